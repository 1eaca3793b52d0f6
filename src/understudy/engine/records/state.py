"""How far a run has come, and all that it takes to go on from there to the same bits."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from understudy.distiller import Distiller
from understudy.engine import draws
from understudy.engine.measure.variation import Variation
from understudy.engine.rates.auto import AutoRates
from understudy.engine.records.record import Record
from understudy.spec import few


@dataclass
class Place:
    """How far a run has come: the phase, steps done in it, steps done in all, and seconds spent.

    `wall_s` counts everything since the first step, the lists only training: measuring and saving are left out.
    """

    phase: int = 0
    phase_step: int = 0
    step: int = 0
    wall_s: float = 0.0
    epoch_train_s: float = 0.0
    phase_train_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class State:
    """What changes while a run goes on, but for the optimiser and its schedule, which every phase has anew.

    `keep` (N,) says which training images the terms that select look at, None for all.
    """

    distiller: Distiller
    record: Record
    variation: Variation
    auto_rates: AutoRates | None
    keep: Tensor | None

    def taken(self, place: Place, optimizer: Optimizer, schedule: LRScheduler, device: torch.device) -> dict[str, Any]:
        """All of it, as `checkpoint.save` writes it."""
        distiller = self.distiller
        return {
            "place": vars(place).copy(),
            "student": distiller.student.state_dict(),
            "objective": self._objective_state(),
            "comparisons": distiller.comparisons.state_dict(),
            "scales": distiller.scales,
            "keep": self.keep,
            "teacher": self._moving_teacher(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "auto_rates": self.auto_rates.state() if self.auto_rates else None,
            # A module of one's own may begin elsewhere in the process that goes on.
            "start": self.variation.start,
            "random": draws.taken(device),
            "record": self.record.state(),
        }

    def put_back(self, saved: dict[str, Any]) -> Place:
        """Networks, log and rates as they were; where the run was."""
        distiller = self.distiller
        _check_same(distiller.student, saved["student"])
        distiller.student.load_state_dict(saved["student"])
        if isinstance(distiller.objective, nn.Module):
            distiller.objective.load_state_dict(saved["objective"])
        distiller.comparisons.load_state_dict(saved["comparisons"])
        distiller.scales.copy_(saved["scales"])
        if self.auto_rates is not None:
            self.auto_rates.restore(saved["auto_rates"])
        self.variation.restore(saved["start"])
        if saved["teacher"] and distiller.teacher is not None:
            distiller.teacher.load_state_dict(saved["teacher"])
        self.record.restore(saved["record"])
        return Place(**saved["place"])

    def _objective_state(self) -> dict[str, Tensor]:
        objective = self.distiller.objective
        return objective.state_dict() if isinstance(objective, nn.Module) else {}

    def _moving_teacher(self) -> dict[str, Tensor]:
        """The teacher's state where the method moves its statistics; nothing elsewhere."""
        teacher = self.distiller.teacher
        return teacher.state_dict() if teacher is not None and self.distiller.method.teacher_mode == "train" else {}


def _check_same(student: nn.Module, saved: dict[str, Tensor]) -> None:
    """ValueError where the student is built otherwise than the one whose run is to go on."""
    own = {name: tuple(value.shape) for name, value in student.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in saved.items()}
    other = [name for name in {**own, **there} if own.get(name) != there.get(name)]
    if other:
        told = [f"{name} is {there.get(name, 'not')} there, {own.get(name, 'not')} here" for name in other]
        raise ValueError(
            f"the run that is to go on trained another network of the same name: {few(told, 3)}; "
            f"give another folder with --out"
        )
