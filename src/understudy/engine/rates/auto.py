"""AutoLR in a run: after each epoch, the factors at which the student's blocks learn (`optim.auto_rates`)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from understudy.engine.rates import autolr
from understudy.models import HeadsOnTrunk, block_of, blocks

STEM = "stem"
# What schedules compute with, beside the rate itself.
RATES = ("lr", "initial_lr", "max_lr", "min_lr")


class AutoRates:
    """The factors of the student's blocks, which start at 1, and what they are made of.

    A factor multiplies those of `optim.rates` and whatever the schedule gives. What comes before the first block has
    a part of its factor, what comes after the last one always 1. Frozen blocks take no part.

    Raises ValueError for a student with fewer than three blocks: there is nothing to put in order; and for heads beside
    each other on one trunk, which are in no order.
    """

    def __init__(self, student: nn.Module):
        if isinstance(student, HeadsOnTrunk):
            raise ValueError("optim.auto_rates puts blocks in order, and heads side by side are in none; leave it out")
        learns = {name: parameter for name, parameter in student.named_parameters() if parameter.requires_grad}
        names = blocks(student)
        own = {block: [p for name, p in learns.items() if p.dim() > 1 and block_of(name, (block,))] for block in names}
        self.weights = {block: weights for block, weights in own.items() if weights}
        if len(self.weights) < 3:
            found = ", ".join(self.weights) or "none"
            raise ValueError(
                f"optim.auto_rates puts the changes of blocks in order, and found too few that learn: {found}"
            )
        self.names = tuple(self.weights)
        places = {id(parameter): place for place, (_, parameter) in enumerate(student.named_parameters())}
        first = min(places[id(p)] for p in self.weights[self.names[0]])
        self._part = {
            id(p): STEM if places[id(p)] < first and block_of(name, names) is None else block_of(name, self.names)
            for name, p in learns.items()
        }
        self.factors = dict.fromkeys((STEM, *self.names), 1.0)
        self.epoch, self.was_adjusted = 0, False
        self.before: dict[str, list[Tensor]] = {}

    def part_of(self, parameter: nn.Parameter) -> str | None:
        """The block of a parameter, STEM for one before them all, None for what keeps its rate."""
        return self._part.get(id(parameter))

    def begin_epoch(self) -> None:
        """Keep the weights as they are at the start of the epoch."""
        self.before = {block: [p.detach().clone() for p in weights] for block, weights in self.weights.items()}

    def end_epoch(self, optimizer: Optimizer) -> dict[str, Any]:
        """What the log keeps of the epoch; the optimiser has the new rates where its changes were out of order."""
        moved = torch.stack([autolr.change(self.weights[block], self.before[block]) for block in self.names])
        changes = dict(zip(self.names, moved.double().tolist(), strict=True))
        # Of a block that rests, such as one that no term of a phase reaches, nothing can be said.
        changed = {block: change for block, change in changes.items() if change > 0.0}
        score, wanted_score = autolr.sorting_score([*changed.values()]), autolr.threshold(self.epoch)
        found = {
            "changes": changes,
            "score": score,
            "threshold": wanted_score,
            "factors": dict(self.factors),
        }
        self.epoch += 1
        if score < wanted_score:
            self._adjust(changed, optimizer)
        return {**found, "next_factors": dict(self.factors)}

    def _adjust(self, changed: Mapping[str, float], optimizer: Optimizer) -> None:
        changes = [*changed.values()]
        wanted = autolr.later_wanted(changes) if self.was_adjusted else autolr.first_wanted(changes)
        new = autolr.adjusted([self.factors[block] for block in changed], changes, wanted)
        factors = {**self.factors, **dict(zip(changed, new, strict=True))}
        factors[STEM] = autolr.STEM * factors[self.names[0]]
        for group in optimizer.param_groups:
            ratio = factors[group["part"]] / self.factors[group["part"]] if group["part"] else 1.0
            group["factor"] *= ratio
            for key in RATES:
                if key in group:
                    group[key] *= ratio
        self.factors, self.was_adjusted = factors, True

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "factors": dict(self.factors),
            "epoch": self.epoch,
            "was_adjusted": self.was_adjusted,
            "before": self.before,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.factors, self.epoch = dict(state["factors"]), state["epoch"]
        self.was_adjusted = state["was_adjusted"]
        self.before = {
            block: [old.to(p.device) for old, p in zip(weights, self.weights[block], strict=True)]
            for block, weights in state["before"].items()
        }
