"""The optimiser of a phase, and how its learning rate moves from step to step."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, MultiStepLR, OneCycleLR

from understudy.spec import OptimSettings


def make_optimizer(parameters: Sequence[nn.Parameter] | Sequence[dict[str, Any]], settings: OptimSettings) -> SGD:
    """SGD over the phase's parameters or groups of them (`engine.rates`), its whole step in one kernel for each."""
    return SGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov and settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def make_schedule(optimizer: Optimizer, settings: OptimSettings, num_steps: int) -> LRScheduler:
    """One value per step: `multistep` falls at shares of the phase, `onecycle` rises once and falls to nothing.

    Groups of parameters keep the ratios of their rates. Milestones are shares of the phase's steps, so that they keep
    their place in phases of any length.
    """
    if settings.sched == "constant":
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    if settings.sched == "onecycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, peaks, total_steps=num_steps, pct_start=settings.warmup, cycle_momentum=False)
    milestones = [round(share * num_steps) for share in settings.milestones]
    return MultiStepLR(optimizer, milestones, gamma=settings.decay_rate)
