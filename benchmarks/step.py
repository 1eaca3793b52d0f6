"""A step as the engine takes it, in parts that can be exchanged: what the engine has no setting for is measured so."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from understudy.data import training_batches
from understudy.distiller import Distiller
from understudy.engine.plan import Plan
from understudy.engine.rates.schedule import make_optimizer
from understudy.precision import Precision


def whole_step(plan: Plan, precision: Precision, **compile_options: Any) -> Callable[[], Tensor]:
    """Batch, augmentation, both networks, terms, backward and optimiser of the plan's first phase; answers the loss.

    Where the precision says so, it is compiled with these options, as torch.compile takes them.
    """
    for network in (plan.student, plan.teacher):
        if network is not None:
            precision.place(network)
    example = torch.zeros(2, *plan.data.image_shape, device=precision.device)
    distiller = Distiller(plan.student, plan.teacher, plan.method, example)
    precision.place(distiller)
    distiller.make_teacher_lean(example, precision.dtype)
    if precision.compile:
        distiller.compile(dynamic=False, **compile_options)
    batches = endless(plan, precision)
    optimizer = make_optimizer(distiller.phase_parameters(), plan.settings.optim)

    def step() -> Tensor:
        images, labels = next(batches)
        # Lets CUDA graphs reuse the memory of the last step's answers; nothing anywhere else.
        torch.compiler.cudagraph_mark_step_begin()
        with precision.autocast():
            losses = distiller(images, labels)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        optimizer.step()
        return losses["loss"].detach()

    return step


def endless(plan: Plan, precision: Precision) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels, epoch after epoch."""
    batches = training_batches(
        plan.data,
        batch_size=plan.settings.batch_size,
        seed=plan.settings.run.seed,
        device=precision.device,
        channels_last=precision.channels_last,
    )
    for epoch in itertools.count(1):
        for images, labels in batches.epoch(epoch):
            assert isinstance(labels, Tensor)
            yield images, labels
