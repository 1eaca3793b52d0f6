"""Weight selection: a student that begins with parts of a larger network's weights."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from understudy.spec import few

# Of a convolution's weights (out, in, height, width) only these can be thinned out; a kernel is taken whole.
CHANNELS = 2


def select_weights(student: nn.Module, larger: nn.Module, *, leave: Collection[str] = ()) -> list[str]:
    """Fill the student with evenly spaced elements of the tensors that the larger network has under the same names.

    Row i of a student's n is row floor(i N / n) of the larger network's N, and likewise in every dimension, so that
    each layer keeps reading the channels that the one before keeps. Of a stage's blocks the first are taken, as their
    names are the same. The answer names the student's tensors that stay as they are: those that the larger network
    lacks or has smaller, kernels of another size, and those that `leave` names, as a classifier of other classes.

    Raises ValueError where fewer than half of the student's layers (tensors of at least two dimensions) would be
    filled: the networks are of two families.

    Source: Xu et al., Initializing Models with Larger Ones, ICLR 2024, section 3 (uniform selection, first-N layers).
    """
    own, there = student.state_dict(), larger.state_dict()
    chosen = {
        name: _evenly_spaced(there[name], value.shape)
        for name, value in own.items()
        if name in there and name not in leave and _is_part(value, there[name])
    }
    layers = [name for name, value in own.items() if value.ndim >= CHANNELS]
    filled = sum(name in chosen for name in layers)
    if 2 * filled < len(layers):
        raise ValueError(
            f"{filled} of the {len(layers)} layers of {type(student).__name__} are parts of {type(larger).__name__}'s: "
            f"found {_few(own)} here and {_few(there)} there, expected equal names and no larger shapes; weight "
            f"selection is for two networks of one family"
        )
    student.load_state_dict({name: chosen.get(name, value) for name, value in own.items()})
    return [name for name in own if name not in chosen]


def _is_part(small: Tensor, large: Tensor) -> bool:
    """Whether the shape can be had by leaving rows out, and whole kernels."""
    is_kernel = small.ndim > CHANNELS + 1
    return (
        small.ndim == large.ndim
        and all(a <= b for a, b in zip(small.shape, large.shape, strict=True))
        and (not is_kernel or small.shape[CHANNELS:] == large.shape[CHANNELS:])
    )


def _evenly_spaced(large: Tensor, shape: torch.Size) -> Tensor:
    for dimension, count in enumerate(shape):
        rows = torch.arange(count, device=large.device) * large.shape[dimension] // max(count, 1)
        large = large.index_select(dimension, rows)
    return large


def _few(state: Mapping[str, Tensor], shown: int = 3) -> str:
    """'conv1.weight (16, 3, 3, 3) and 8 more' of layers' weights."""
    layers = [f"{name} {tuple(value.shape)}" for name, value in state.items() if value.ndim >= CHANNELS]
    return few(layers, shown)
