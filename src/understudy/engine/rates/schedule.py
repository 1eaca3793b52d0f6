"""The optimiser of a phase, and how its learning rate moves from step to step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR

from understudy.spec import OptimSettings


def make_optimizer(parameters: Sequence[nn.Parameter] | Sequence[dict[str, Any]], settings: OptimSettings) -> Optimizer:
    """The optimiser of the phase's parameters or groups of them (`engine.rates`), a step in one kernel for each."""
    if settings.opt == "adamw":
        return AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    optimizer = SGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov and settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    if settings.momentum > 0:
        optimizer.register_step_pre_hook(_begin_momentum)
    return optimizer


def _begin_momentum(optimizer: Optimizer, *given: Any) -> None:
    """Of parameters that are reached for the first time after others, as layers that are left out at random are.

    torch's fused SGD knows no such ones; no momentum is what the others set out from as well.
    """
    for group in optimizer.param_groups:
        reached = [parameter for parameter in group["params"] if parameter.grad is not None]
        fresh = [one for one in reached if optimizer.state[one].get("momentum_buffer") is None]
        if 0 < len(fresh) < len(reached):
            for parameter in fresh:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter.grad)


def make_schedule(optimizer: Optimizer, settings: OptimSettings, num_steps: int) -> LRScheduler:
    """One value per step: `multistep` falls at shares of the phase, `cosine` slowly to nothing, `onecycle` rises first.

    Groups of parameters keep the ratios of their rates. Milestones are shares of the phase's steps, so that they keep
    their place in phases of any length.
    """
    if settings.sched == "constant":
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    if settings.sched == "onecycle" and num_steps > 1:
        peaks = [group["lr"] for group in optimizer.param_groups]
        # Where it rises for exactly one step, torch divides by nothing.
        share = settings.warmup - 1e-9 if abs(settings.warmup * num_steps - 1) < 1e-9 else settings.warmup
        return OneCycleLR(optimizer, peaks, total_steps=num_steps, pct_start=share, cycle_momentum=False)
    if settings.sched == "cosine":
        return CosineAnnealingLR(optimizer, T_max=num_steps)
    return MultiStepLR(optimizer, milestones(settings, num_steps), gamma=settings.decay_rate)


def milestones(settings: OptimSettings, num_steps: int) -> list[int]:
    """The steps of a phase from which on the rate is lower, with `multistep`: never the first one."""
    return [max(1, round(share * num_steps)) for share in settings.milestones] if settings.sched == "multistep" else []
