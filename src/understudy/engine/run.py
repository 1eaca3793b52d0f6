"""A run from its settings to the student in its folder."""

import contextlib
import itertools
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._functorch import config as functorch_config

from understudy.data import Dataset, Mixing, TrainingBatches
from understudy.data.batches.decoding import told_of_ended_workers
from understudy.distiller import Distiller
from understudy.engine.best import keep_if_best
from understudy.engine.compile_cache import keep_compiled_code
from understudy.engine.display import Display, silent
from understudy.engine.distributed import check_processes, own_folder
from understudy.engine.feed import Feed
from understudy.engine.finish import finish
from understudy.engine.loop import Loop
from understudy.engine.measure.agreement import Agreement
from understudy.engine.measure.seen import keep_seen
from understudy.engine.measure.training import make_agreement, measure_epoch
from understudy.engine.measure.variation import Variation
from understudy.engine.memory.kept import keep_freed_memory, memory_handed_back, told_when_full
from understudy.engine.memory.student_memory import student_memory
from understudy.engine.plan import Plan, check_classes, make_plan
from understudy.engine.rates.auto import AutoRates
from understudy.engine.records import checkpoint, folder
from understudy.engine.records.record import Record
from understudy.engine.records.trackers import check_trackers, open_trackers
from understudy.engine.selection import select_images
from understudy.engine.start import announce, find_facts, note_going_on, read_facts
from understudy.engine.student_size import images_scaled
from understudy.engine.teacher_cache.cache import TeacherCache
from understudy.methods import Method
from understudy.models import load_weights
from understudy.modes import own_draws, tensors_of
from understudy.precision import Precision, can_compile, threads_for
from understudy.processes import is_first, joined, like_first, num_processes
from understudy.spec import RunFailedError, Settings, check_folder, read_object, run_files
from understudy.spec.scores import in_words


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run: the trained student, its scores on the test images, and the folder that holds everything."""

    student: nn.Module
    folder: Path
    summary: dict[str, Any]

    @property
    def scores(self) -> dict[str, float]:
        """All numbers of the student on the test images, by name; those ending in _pct are in per cent."""
        return self.summary["scores"]

    @property
    def accuracy_pct(self) -> float:
        """Of the test images that are classified rightly. Raises ValueError for a task that is not classification."""
        if "accuracy_pct" not in self.scores:
            raise ValueError(f"this run has no accuracy; its scores are {', '.join(self.scores)}")
        return self.scores["accuracy_pct"]


def execute(
    settings: Settings,
    out: Path,
    *,
    student: nn.Module | None = None,
    teacher: nn.Module | None = None,
    data: Dataset | None = None,
    method: Method | None = None,
    display: Display | None = None,
    until: float | None = None,
) -> Result:
    """Carry the run out in the folder `out`, or go on with it there; a finished one is only read.

    Networks, data and a method that are not given are what the settings name. Raises ValueError for settings that
    cannot be carried out, before anything is trained; StoppedError at a signal, or at `until` (a time of
    `time.time()`), after saving.

    Processes that torchrun started carry it out together, and all of them have the result.
    """
    with memory_handed_back(), joined(), own_folder(out) as place, own_draws():
        shown = display if display is not None and is_first() else silent()
        result = _execute(settings, place, student, teacher, data, method, shown, until)
    return replace(result, folder=out)


def _execute(
    settings: Settings,
    out: Path,
    student: nn.Module | None,
    teacher: nn.Module | None,
    data: Dataset | None,
    method: Method | None,
    display: Display,
    until: float | None,
) -> Result:
    finished = folder.is_finished(out, settings)
    check_trackers(settings.run.trackers)
    if settings.run.teacher_cache is not None and not finished:
        check_folder(settings.run.teacher_cache)
    plan = make_plan(settings, student, teacher, data, method)
    if finished:
        summary = _read_finished(plan, out, display)
    else:
        keep_freed_memory()
        scaled, full = images_scaled(plan.student, settings.student.size), told_when_full(settings.batch_size)
        # A process that ends while this one computes is told of wherever that stands.
        with folder.held(out), threads_for(plan.batch_multiply_adds), scaled, full, told_of_ended_workers():
            # Once more: another process may have carried it out while the networks were built.
            if num_processes() == 1 and folder.is_finished(out, settings):
                summary = _read_finished(plan, out, display)
            else:
                folder.start(out, settings)
                summary = _carry_out(plan, out, display, until)
    return Result(student=plan.student.eval(), folder=out, summary=summary)


def _carry_out(plan: Plan, out: Path, display: Display, until: float | None) -> dict[str, Any]:
    """Train, from the folder's checkpoint where there is one, and measure; the summary."""
    _check_learns(plan)
    if not (out / checkpoint.FILE).exists():
        check_classes(plan)
    precision = _precision(plan, out)
    # Before anything goes to the device, and before anything reads the networks.
    memory = student_memory(plan.student, plan.shapes["student"])
    for network in (plan.assembled, plan.teacher, plan.whole_teacher):
        if network is not None:
            precision.place(network)
    with contextlib.closing(plan.make_batches(precision)) as batches:
        shared = check_processes(plan.task, batches.batch_size)
        if shared is not None:
            display.say(shared)
        if batches.batch_size < plan.settings.batch_size:
            display.say(f"batches of {batches.batch_size}, which is all images: batch_size={plan.settings.batch_size}")
        with _attached(plan, precision) as (distiller, agreement):
            return _train(plan, out, distiller, agreement, precision, batches, memory, display, until)


def _check_learns(plan: Plan) -> None:
    """ValueError, before anything is computed, for a student with nothing to train or a state that cannot be kept."""
    others = plan.student.state_dict().keys() - tensors_of(plan.student).keys()
    if others:
        raise ValueError(
            f"the student's state has {min(others)}, which is no tensor; files of weights hold tensors alone: "
            "give a network whose modules have no get_extra_state"
        )
    taught_by = {id(parameter) for parameter in plan.teacher.parameters()} if plan.teacher is not None else set()
    own = [parameter for parameter in plan.student.parameters() if parameter.requires_grad]
    if not any(id(parameter) not in taught_by for parameter in own):
        why = "its parameters are the teacher's" if own else "none of its parameters requires a gradient"
        raise ValueError(
            f"the student has nothing to train: {why}; give another network, "
            "or student.requires_grad_(True) where it taught an earlier run"
        )


def _precision(plan: Plan, out: Path) -> Precision:
    """What is chosen here, or that of the run that goes on: another machine might choose otherwise."""
    chosen = plan.choose_precision()
    if not (out / checkpoint.FILE).exists():
        return chosen
    before = read_object(out / run_files.FACTS, "precision")["precision"]
    same = replace(
        chosen,
        dtype=getattr(torch, before["dtype"]),
        channels_last=before["channels_last"],
        compile=before["compile"] and can_compile(chosen.device),
    )
    # It may have begun on a GPU, whose bfloat16 has no such limits.
    return plan.without_narrow_convolutions(same)


@contextlib.contextmanager
def _attached(plan: Plan, precision: Precision) -> Iterator[tuple[Distiller, Agreement | None]]:
    """What reads the networks, in the block: they may go on to another run, however this one ends."""
    example = torch.zeros(2, *plan.data.image_shape, device=precision.device)
    distiller, agreement = plan.make_distiller(precision), None
    try:
        agreement = make_agreement(plan.student, plan.teacher, distiller, example)
        yield distiller, agreement
    finally:
        distiller.remove_readers()
        if agreement is not None:
            agreement.remove()


def _train(
    plan: Plan,
    out: Path,
    distiller: Distiller,
    agreement: Agreement | None,
    precision: Precision,
    batches: TrainingBatches,
    memory: dict[str, int],
    display: Display,
    until: float | None,
) -> dict[str, Any]:
    record, saved = Record(out), checkpoint.load(out)
    # Networks of one's own may begin elsewhere in each process.
    networks = [network for network in (distiller, plan.assembled, plan.whole_teacher) if network is not None]
    like_first(tensor for network in networks for tensor in itertools.chain(network.parameters(), network.buffers()))
    if saved is None:
        record.start()
        run_facts = find_facts(plan, out, distiller, batches, precision, memory, display)
    else:
        run_facts = read_facts(plan, out)
        note_going_on(out, run_facts, precision)
        display.say(f"going on at step {saved['place']['step']}")
    announce(display, out, run_facts, plan.data)
    if saved is None:
        keep = select_images(distiller, plan.data, precision, record)
    else:
        keep = None if saved["keep"] is None else saved["keep"].to(precision.device)
    example = torch.zeros(2, *plan.data.image_shape, device=precision.device)
    _make_teacher_lean(distiller, example, precision, display)
    cache = _make_cache(plan, distiller, batches, precision, display)
    # After all readers are attached: hooks that come later never fire in a compiled network.
    if precision.compile:
        _compile(distiller, display)

    def measure() -> dict[str, Any]:
        found = measure_epoch(plan, agreement, precision, distiller)
        keep_if_best(plan, out, found["scores"])
        return found

    loop = Loop(
        settings=plan.settings,
        distiller=distiller,
        feed=Feed(batches=batches, mixing=_make_mixing(plan), keep=keep, cache=cache),
        epochs=plan.epochs,
        precision=precision,
        record=record,
        display=display,
        measure=measure,
        variation=Variation(plan.student),
        auto_rates=AutoRates(plan.student) if plan.settings.optim.auto_rates else None,
        until=until,
    )
    first_step = saved["place"]["step"] if saved is not None else 0
    names = plan.settings.run.trackers if is_first() else ()
    with open_trackers(names, plan.settings, out, first_step, display.say) as trackers:
        record.send = trackers.send
        try:
            with _told(loop, first_step):
                place = loop.run(saved)
        finally:
            display.stop()
    # Before the summary: a run that has one is finished, and nothing of it is made any more.
    _keep_seen(plan, precision, out, display)
    with _told(loop, first_step=-1):
        return finish(out, plan, precision, place, run_facts, agreement)


@contextlib.contextmanager
def _told(loop: Loop, first_step: int) -> Iterator[None]:
    """Training and measuring. A ValueError that is not ours is a mistake in a network, method or library.

    It keeps its traceback. Ours is a mistake in what was asked before the first step, such as an image that cannot be
    read after it.
    """
    try:
        yield
    except ValueError as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        is_ours = str(frame.f_globals.get("__name__")).partition(".")[0] == "understudy"
        if is_ours and loop.place.step <= first_step:
            raise
        after = f"the run failed after step {loop.place.step}"
        raise (RunFailedError(f"{after}: {error}") if is_ours else RuntimeError(after)) from error


def _keep_seen(plan: Plan, precision: Precision, out: Path, display: Display) -> None:
    """Pictures for the report; the run goes on to its end whatever a network of one's own does here."""
    try:
        keep_seen(plan, precision.exact(), out)
    except Exception as error:
        display.say(f"the report will not show what was transferred ({type(error).__name__}: {error})")


def _make_teacher_lean(distiller: Distiller, example: torch.Tensor, precision: Precision, display: Display) -> None:
    """Before the teacher is asked or compiled: it is read from a copy that answers the same for less."""
    lean = distiller.make_teacher_lean(example, precision.dtype)
    if lean is not None and lean.network is not distiller.teacher:
        cast = f", weights of {len(lean.cast)} layers in {precision.facts()['dtype']}" if lean.cast else ""
        display.say(f"teacher read from a copy: {len(lean.folded)} BatchNorms folded{cast}")


def _compile(distiller: Distiller, display: Display) -> None:
    keep_compiled_code(display.say)
    if any(term.clip for term in distiller.method.terms):
        # A clipped term is differentiated by itself first, which compiled code forbids that gives its buffers away;
        # torch sees that only where it does not find the code among what earlier runs have kept.
        functorch_config.donated_buffer = False
    # What earlier runs of this process compiled counts against the limit of recompilations, beyond which torch would go
    # on uncompiled.
    torch.compiler.reset()
    distiller.compile(dynamic=False)


def _make_mixing(plan: Plan) -> Mixing:
    wanted = plan.settings.data
    return Mixing(
        num_classes=plan.data.num_classes,
        seed=plan.settings.run.seed,
        mixup=wanted.mixup,
        cutmix=wanted.cutmix,
        smoothing=wanted.smoothing,
    )


def _make_cache(
    plan: Plan, distiller: Distiller, batches: TrainingBatches, precision: Precision, display: Display
) -> TeacherCache | None:
    """The teacher's stored answers, where the settings name a folder and the method has a teacher."""
    wanted = plan.settings.run
    if wanted.teacher_cache is None or distiller.teacher is None:
        return None
    return TeacherCache(
        wanted.teacher_cache,
        wanted.teacher_cache_gb,
        distiller=distiller,
        batches=batches,
        data=plan.data,
        epochs=plan.epochs,
        precision=precision,
        display=display,
    )


def _read_finished(plan: Plan, out: Path, display: Display) -> dict[str, Any]:
    """The summary of the run that is finished in the folder; its student's weights are loaded."""
    read_facts(plan, out)
    summary = read_object(out / run_files.SUMMARY, "scores", "headline")
    load_weights(plan.assembled, out / run_files.STUDENT)
    display.say(f"{out} is already finished: {in_words(summary['headline'], summary['scores'])}")
    return summary
