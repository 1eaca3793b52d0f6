"""A lean copy of a network, for reading alone: BatchNorms folded into the layers before them, weights cast once.

A BatchNorm with fixed statistics is an affine map of its channels, and so part of the convolution or linear layer whose
output it takes. Which are is found by watching a forward, of any network, and then tried: what changes a value that is
read stays as it was.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from understudy.modes import BATCH_NORMS
from understudy.taps.positions import DryRun
from understudy.taps.tapped import Tapped

# What autocast computes in the lower precision, as far as it is a module with a weight.
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)

# Folding moves values by rounding only, which in float64 stays far below this share of the largest one.
TOLERANCE = 1e-9

# The names of a layer and of the BatchNorm that takes its output.
Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Lean:
    """A network in eval mode for reading, which layers took a BatchNorm in, and which have cast weights.

    Where there are none of either, the network is the one that was given, and no copy.
    """

    network: nn.Module
    folded: tuple[Pair, ...]
    cast: tuple[str, ...]


def lean_copy(network: nn.Module, names: Sequence[str], images: Tensor, dtype: torch.dtype = torch.float32) -> Lean:
    """A copy whose output and positions `names` have the values that the network's have in eval mode.

    `dtype` is autocast's where it will be read under autocast: the layers' weights are cast to it once, if that leaves
    every value the same to the bit, and the copy cannot be called without autocast then. The network is in eval mode
    and stays as it was. Of `images` only the shape matters. A BatchNorm that was folded is, in the copy, a container of
    its children, or empty: positions named after it are still there. Hooks that hung on it are not.
    """
    own = _copied(network)
    if own is None:
        return Lean(network=network, folded=(), cast=())
    probe = _probe(images)
    with torch.no_grad(), torch.random.fork_rng([images.device] if images.is_cuda else []):
        folded = _harmless(own, names, probe)
        _fold(own, folded)
        cast = [] if dtype == torch.float32 else _castable(own)
        if cast and not _casts_alike(own, cast, names, probe, dtype):
            cast = []
        _cast(own, cast, dtype)
    return Lean(network=own if folded or cast else network, folded=tuple(folded), cast=tuple(cast))


def _copied(network: nn.Module) -> nn.Module | None:
    """A deep copy; None of a network that has none, as with weights that are computed from others."""
    try:
        return copy.deepcopy(network).requires_grad_(False)
    except (RuntimeError, TypeError):
        return None


def _probe(images: Tensor) -> Tensor:
    """Two images of noise: on a constant one, much comes out the same that differs elsewhere."""
    noise = torch.randn(2, *images.shape[1:], generator=torch.Generator().manual_seed(0))
    return noise.to(images)


# Folding ------------------------------------------------------------------------------------------------------------


def _harmless(network: nn.Module, names: Sequence[str], probe: Tensor) -> list[Pair]:
    """Those pairs that can be folded and change nothing: all of them together, or else each that does not by itself."""
    pairs = _candidates(network, names, probe)
    if not pairs:
        return []
    wanted = _read_exactly(network, [], names, probe)

    def is_harmless(chosen: list[Pair]) -> bool:
        return _are_close(_read_exactly(network, chosen, names, probe), wanted)

    if not is_harmless(pairs):
        pairs = [pair for pair in pairs if is_harmless([pair])]
    return pairs if is_harmless(pairs) else []


def _candidates(network: nn.Module, names: Sequence[str], probe: Tensor) -> list[Pair]:
    """Layers whose very output a BatchNorm takes, where both run once and nothing is read between them."""
    run = DryRun(network, probe)
    read = {run.find(name).identity for name in names}
    layers = {
        event.identity: owner
        for (side, owner, _), event in run.events.items()
        if side == "after" and event.identity not in read and run.calls[owner] == 1 and _has_weight(run, owner)
    }
    return [
        (layers[event.identity], owner)
        for (side, owner, _), event in run.events.items()
        if side == "before" and event.identity in layers and run.calls[owner] == 1 and _is_fixed(run, owner)
    ]


def _has_weight(run: DryRun, owner: str) -> bool:
    """Whether it is a layer that owns its weight: one computed anew in each forward would be no place for a factor."""
    module = run.modules.get(owner)
    return isinstance(module, LAYERS) and "weight" in dict(module.named_parameters(recurse=False))


def _is_fixed(run: DryRun, owner: str) -> bool:
    """Whether it is a BatchNorm that has running statistics."""
    module = run.modules.get(owner)
    return isinstance(module, BATCH_NORMS) and module.running_mean is not None


def _fold(network: nn.Module, pairs: Sequence[Pair]) -> None:
    for layer, norm in pairs:
        _take_in(network.get_submodule(layer), network.get_submodule(norm))
        parent, _, child = norm.rpartition(".")
        # Some BatchNorms bring their activation along (timm's): it goes on alone.
        rest = nn.Sequential(OrderedDict(network.get_submodule(norm).named_children()))
        setattr(network.get_submodule(parent), child, rest.eval())


def _take_in(layer: Any, norm: Any) -> None:
    """y -> (y - mean) / sqrt(var + eps) * gamma + beta as part of the layer's weight and bias, computed in float64."""
    weight, mean, variance = (tensor.double() for tensor in (layer.weight, norm.running_mean, norm.running_var))
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = -mean * scale if layer.bias is None else (layer.bias.double() - mean) * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    weight = weight * scale.view(-1, *[1] * (weight.dim() - 1))
    dtype = layer.weight.dtype
    layer.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    layer.bias = nn.Parameter(bias.to(dtype), requires_grad=False)


def _read_exactly(network: nn.Module, pairs: list[Pair], names: Sequence[str], probe: Tensor) -> list[Tensor] | None:
    """What a copy in float64 answers with these pairs folded; None where it answers nothing."""

    def make() -> nn.Module:
        exact = copy.deepcopy(network).double()
        _fold(exact, pairs)
        return exact

    return _read(make, names, probe.double())


def _read(make: Callable[[], nn.Module], names: Sequence[str], probe: Tensor) -> list[Tensor] | None:
    """Output and positions; None for a network that does not run when it is changed so.

    It may ask its BatchNorm for its numbers, or insist on float32; whatever the error, it is to be left alone.
    """
    try:
        output, features = Tapped(make(), names, probe)(probe)
    except Exception:
        return None
    return [*([output] if isinstance(output, Tensor) else []), *features.values()]


def _are_close(found: list[Tensor] | None, wanted: list[Tensor] | None) -> bool:
    if found is None or wanted is None or [one.shape for one in found] != [one.shape for one in wanted]:
        return False
    # Not a number is close to nothing.
    return all(
        bool((one - other).abs().max() <= TOLERANCE * other.abs().max())
        for one, other in zip(found, wanted, strict=True)
    )


# Casting ------------------------------------------------------------------------------------------------------------


def _castable(network: nn.Module) -> list[str]:
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, LAYERS) and {p.dtype for p in module.parameters(recurse=False)} == {torch.float32}
    ]


def _cast(network: nn.Module, names: Sequence[str], dtype: torch.dtype) -> None:
    """The layers' weights and biases in `dtype`; autocast would cast them at each call."""
    for name in names:
        layer = network.get_submodule(name)
        for key, parameter in [*layer.named_parameters(recurse=False)]:
            # A new parameter: another module that shares the old one goes on with it.
            setattr(layer, key, nn.Parameter(parameter.to(dtype), requires_grad=False))


def _casts_alike(network: nn.Module, cast: list[str], names: Sequence[str], probe: Tensor, dtype: torch.dtype) -> bool:
    """Whether casting once gives the bits that autocast gives: it does not where a weight is more than a factor."""

    def make() -> nn.Module:
        other = copy.deepcopy(network)
        _cast(other, cast, dtype)
        return other

    with torch.autocast(probe.device.type, dtype=dtype):
        wanted, found = _read(lambda: copy.deepcopy(network), names, probe), _read(make, names, probe)
    if wanted is None or found is None:
        return False
    return all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
