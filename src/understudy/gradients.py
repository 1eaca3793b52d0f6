"""Gradients of several losses at the same parameters: their norms, and one kept no longer than another."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from understudy.ops import full_precision
from understudy.processes import mean_over_processes

Gradients = Sequence[Tensor | None]
# Powers of two, which change no digit: gradients of a mean over images are mostly below float16's smallest numbers and
# far from its largest, those of a loss in hundreds are beyond it.
HALF_SCALES = (2.0**12, 2.0**4, 2.0**-4)


def gradients_of(loss: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor | None]:
    """The gradient at each parameter, None where the loss does not reach it; the graph is kept."""
    if not loss.requires_grad:
        return [None] * len(parameters)
    device = loss.device.type
    is_half = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
    # A loss scaler scales what comes after this; here small gradients would be lost on their way through float16.
    for scale in HALF_SCALES if is_half else (1.0,):
        # Backward belongs outside autocast, which would lower its products once more.
        with full_precision(loss):
            found = torch.autograd.grad(loss * scale, parameters, retain_graph=True, allow_unused=True)
        if not is_half or all(bool(one.isfinite().all()) for one in found if one is not None):
            break
    return [one if one is None else one / scale for one in found] if is_half else list(found)


def norm_of(gradients: Gradients) -> Tensor:
    """The L2 norm over all parameters together: -> ()."""
    norms = [gradient.float().norm() for gradient in gradients if gradient is not None]
    return torch.stack(norms).norm() if norms else torch.zeros(())


def clipped(gradient: Tensor, longest: Tensor) -> Tensor:
    """The gradient at the length `longest` where it is longer, as it is elsewhere; its direction is kept."""
    norm = gradient.norm()
    # Where the norm is zero nothing is longer; the divisor only has to be another number.
    return gradient * torch.where(norm > longest, longest / torch.where(norm > 0, norm, 1.0), 1.0)


def add_clipped(
    main: Tensor, transfer: Tensor, shared: Sequence[nn.Parameter], others: Sequence[nn.Parameter], factor: Tensor
) -> Tensor:
    """main + transfer, whose backward clips the transfer's gradient by the main one's, parameter by parameter.

    At each of the `shared` parameters the transfer's gradient is no longer than `factor` times the main gradient; at
    the `others` (connectors, which the main loss may not reach) it is left alone. The gradients are computed here, in
    two passes; backward only hands them out.

    Lee, Kim & Song, "Self-supervised Knowledge Distillation Using Singular Value Decomposition", ECCV 2018, in the form
    of the authors' code.
    """
    if not torch.is_grad_enabled():
        return main + transfer
    parameters = [*shared, *others]
    of_main, of_transfer = (mean_over_processes(gradients_of(loss, parameters)) for loss in (main, transfer))
    combined: list[Tensor | None] = []
    for index, (own, extra) in enumerate(zip(of_main, of_transfer, strict=True)):
        if index < len(shared) and extra is not None:
            longest = factor * own.norm() if own is not None else torch.zeros_like(factor)
            extra = clipped(extra, longest)
        combined.append(extra if own is None else own if extra is None else own + extra)
    reached = [index for index, gradient in enumerate(combined) if gradient is not None]
    return _HandOut.apply(
        (main + transfer).detach(),
        [combined[index] for index in reached],
        *(parameters[index] for index in reached),
    )


class _HandOut(torch.autograd.Function):
    """A value whose gradient at the parameters is already known."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(outer[0] * gradient for gradient in ctx.gradients)
