"""The training loop: steps of the phases in the order in which they happen."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from understudy.distiller import Distiller, Wanted
from understudy.engine import draws
from understudy.engine.clock import Clock
from understudy.engine.display import Display
from understudy.engine.feed import Feed
from understudy.engine.measure.pull import BALANCE_BATCHES, in_words, look
from understudy.engine.measure.variation import Variation
from understudy.engine.rates.auto import AutoRates
from understudy.engine.rates.rates import base_rate
from understudy.engine.records import checkpoint
from understudy.engine.records.record import Record, check_weights
from understudy.engine.records.state import Place, State
from understudy.engine.stop import StopRequest
from understudy.engine.updates import Updates
from understudy.precision import Precision
from understudy.processes import is_first, is_true_anywhere, num_processes
from understudy.spec import RunFailedError, Settings

# However many steps that were: more than this is not lost to a process that is killed.
SAVE_AFTER_S = 600.0


class StoppedError(RunFailedError):
    """The run was asked to stop, and has saved its state."""


@dataclass(kw_only=True)
class Loop:
    """Everything that changes while a run goes on, and the loop that changes it.

    `feed` has what the steps are given. `measure` is called after each epoch and returns what the log keeps of it.
    `variation` knows the weights from which the student set out; `auto_rates` adjusts the rates of its blocks. `until`
    is when to save and stop, a time of `time.time()`.
    """

    settings: Settings
    distiller: Distiller
    feed: Feed
    epochs: tuple[int, ...]
    precision: Precision
    record: Record
    display: Display
    measure: Callable[[], dict[str, Any]]
    variation: Variation
    auto_rates: AutoRates | None = None
    until: float | None = None
    place: Place = field(init=False)
    clock: Clock = field(init=False)
    updates: Updates = field(init=False)

    def __post_init__(self) -> None:
        self.place = Place(phase_train_s=[0.0] * len(self.epochs))
        self.state = State(
            distiller=self.distiller,
            record=self.record,
            variation=self.variation,
            auto_rates=self.auto_rates,
            keep=self.feed.keep,
        )
        self.stop = StopRequest(self.until)
        self.has_to_compile = False
        self.saved_at = time.perf_counter()

    def run(self, saved: dict[str, Any] | None) -> Place:
        """Train all phases, from the checkpoint's place where there is one.

        Raises StoppedError at a signal or when the time is up, after saving; NotFiniteError for a loss or a weight
        that is not so.
        """
        if saved is not None:
            self.place = self.state.put_back(saved)
        self.clock = Clock(self.place)
        with self.stop:
            while self.place.phase < len(self.epochs):
                self._prepare_phase(saved)
                saved = None
                self._train_phase()
                self.place.phase += 1
                self.place.phase_step = 0
        return self.place

    def _prepare_phase(self, saved: dict[str, Any] | None) -> None:
        """A fresh optimiser and schedule for the phase, or the checkpoint's."""
        self.distiller.enter(self.place.phase)
        self.has_to_compile = self.precision.compile
        phase = self.distiller.phase
        num_steps = self._phase_steps()
        self.updates = Updates(self.distiller, self.settings.optim, num_steps, self.auto_rates)
        if saved is not None:
            self.updates.put_back(saved)
            draws.put_back(saved["random"], self.precision.device)
        else:
            self._look_at_gradients(self.settings.run.balance)
        self.display.start(f"{phase.name:<10}", num_steps, self.place.phase_step)

    def _train_phase(self) -> None:
        while self.place.phase_step < self._phase_steps():
            self._train_epoch(self._epoch(), first_step=self.place.phase_step % self._per_epoch)

    def _train_epoch(self, epoch: int, first_step: int) -> None:
        """One epoch, or the rest of it."""
        every = self.settings.run
        self.distiller.train()
        self.clock.start()
        self._open_view(epoch)
        if self.auto_rates is not None and first_step == 0:
            self.auto_rates.begin_epoch()
        for images, labels, keep, known in self.feed.steps(epoch, first_step):
            self._step(images, labels, keep, known)
            epoch_ends = self.place.phase_step % self._per_epoch == 0
            if epoch_ends or self.place.step % every.log_every == 0:
                self._note(epoch)
            if epoch_ends:
                self._end_epoch(epoch)
            if every.gradients_every and self.place.phase_step % every.gradients_every == 0:
                self.clock.lap()
                self._look_at_gradients(None)
                self.clock.start()
            self._stop_if_asked(epoch)
            if self._has_to_save():
                self._save(epoch)

    def _open_view(self, epoch: int) -> None:
        """Have the teacher's stored answers ready; the time is the epoch's, but no step's."""
        # One process fills while others wait: they would not ask together whether to stop.
        alone = num_processes() == 1
        if self.feed.open(epoch, between=lambda: self._stop_if_asked(epoch) if alone else None):
            self.clock.lap()

    def _step(self, images: torch.Tensor, labels: Any, keep: torch.Tensor | None, known: Wanted | None) -> None:
        done = self.place.phase_step
        started = time.perf_counter()
        self.distiller.at(done / self._phase_steps(), done / self._per_epoch)
        with self.precision.autocast():
            losses = self.distiller(images, labels, keep, known)
        losses["loss"].backward()
        self.updates.step(done + 1)
        self.record.add(losses)
        self.place.phase_step += 1
        self.place.step += 1
        if self.has_to_compile:
            self._note_compiling(time.perf_counter() - started)
        self.display.step()

    def _note_compiling(self, first_step_s: float) -> None:
        """Write down how long this process's first step of the phase took: nearly all of it is compiling."""
        self.has_to_compile = False
        self.record.write(
            "compile", phase=self.distiller.phase.name, step=self.place.step, compile_s=round(first_step_s, 2)
        )

    def _note(self, epoch: int) -> None:
        """Read the terms since the last note, check them, and write them down."""
        num_steps = len(self.record.pending)
        where = f"epoch {epoch}, phase {self.distiller.phase.name}"
        means = self.record.read(last_step=self.place.step, where=where)
        if not means:
            return
        self.clock.lap()
        speed = num_steps * self.feed.batches.batch_size / max(self.clock.take_unnoted_s(), 1e-9)
        self.record.write(
            "steps",
            phase=self.distiller.phase.name,
            epoch=epoch,
            step=self.place.step,
            lr=base_rate(self.updates.optimizer),
            terms=means,
            images_per_s=round(speed, 1),
        )
        self.display.status(f"loss {means['loss']:<8.4g} {speed:,.0f} images/s")

    def _end_epoch(self, epoch: int) -> None:
        train_s = self.clock.take_epoch_s()
        self._note_weights(epoch)
        self.record.write(
            "epoch",
            phase=self.distiller.phase.name,
            epoch=epoch,
            step=self.place.step,
            terms=self.record.end_epoch(),
            train_s=round(train_s, 2),
            images_per_s=round(self.feed.batches.batch_size * self._per_epoch / max(train_s, 1e-9), 1),
            **({"teacher": "stored"} if self.feed.is_stored else {}),
            **(self.measure() if self._is_measured() else {"scores": None, "agreement": None}),
        )
        self.distiller.train()
        self.clock.start()

    def _note_weights(self, epoch: int) -> None:
        """Write down how far the weights have come, and adjust the blocks' rates where the run does that."""
        where = {"phase": self.distiller.phase.name, "epoch": epoch, "step": self.place.step}
        self.record.write("weights", **where, blocks=self.variation.measure())
        if self.auto_rates is not None:
            self.record.write("rates", **where, **self.auto_rates.end_epoch(self.updates.optimizer))

    # Looking at gradients -------------------------------------------------------------------------------------------

    def _look_at_gradients(self, balance: float | None) -> None:
        """Write down how hard each term pulls on the batch that comes next; at a phase's start, say it as well.

        To balance, several batches are looked at.
        """
        done = self.place.phase_step
        if not self.distiller.phase.trains_student or done >= self._phase_steps():
            return
        self.distiller.at(done / self._phase_steps(), done / self._per_epoch)
        some = range(min(BALANCE_BATCHES if balance else 1, self._phase_steps() - done))
        batches = (self.feed.batch(self._epoch(ahead), (done + ahead) % self._per_epoch) for ahead in some)
        found = look(self.distiller, batches, self.precision, balance)
        self.record.write("gradients", step=self.place.step, **found)
        if done == 0:
            clipped = {term.name for term in self.distiller.phase.terms if term.clip}
            for line in in_words(found, clipped):
                self.display.say(line)

    # Stopping and going on ------------------------------------------------------------------------------------------

    def _has_to_save(self) -> bool:
        if self.place.step % self.settings.run.checkpoint_every == 0 or self.place.phase_step == self._phase_steps():
            return True
        return is_true_anywhere(time.perf_counter() - self.saved_at > SAVE_AFTER_S)

    def _save(self, epoch: int) -> None:
        self._note(epoch)
        # What is saved can be gone on with, and what is finished was saved.
        check_weights(self.distiller, f"at step {self.place.step} (epoch {epoch}, phase {self.distiller.phase.name})")
        self.clock.lap()
        self.clock.wall()
        saved = self.state.taken(self.place, self.updates.optimizer, self.updates.schedule, self.precision.device)
        if is_first():
            checkpoint.save(self.record.path.parent, saved)
        self.saved_at = time.perf_counter()
        self.clock.start()

    def _stop_if_asked(self, epoch: int) -> None:
        reason = self.stop.reason
        if not is_true_anywhere(reason is not None):
            return
        self._save(epoch)
        raise StoppedError(
            f"stopped by {reason or 'another process'} at step {self.place.step}; the same command goes on from there"
        )

    # Counting -------------------------------------------------------------------------------------------------------

    @property
    def _per_epoch(self) -> int:
        return self.feed.batches.steps_per_epoch

    def _phase_steps(self) -> int:
        return self.epochs[self.place.phase] * self._per_epoch

    def _epoch(self, ahead: int = 0) -> int:
        """The epoch the next step belongs to, or one that many later in the phase, from 1 over the whole run."""
        done = self.place.phase_step + ahead
        return sum(self.epochs[: self.place.phase]) + done // self._per_epoch + 1

    def _is_measured(self) -> bool:
        """Whether the epoch that has just ended is one after which the student is measured."""
        done = self.place.phase_step // self._per_epoch
        return done % self.settings.run.eval_every == 0 or done == self.epochs[self.place.phase]
