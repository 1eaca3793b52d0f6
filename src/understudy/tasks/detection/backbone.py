"""A classifier cut off where a detector reads it: images to feature maps."""

import copy
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from understudy.taps import Tapped, grid, named_positions, roles_of
from understudy.taps.positions import DryRun, Key

# Detectors on one map read it at a 16th of the image's size, pyramids from a quarter down.
STRIDE, FINEST = 16, 4
MOST_LEVELS = 4
ROLES = ("group_end", "before_relu", "after_relu")


class Backbone(nn.Module):
    """Images (B, 3, H, W) -> maps by the names "0", "1", ..., finest first, and "pool" of a pyramid.

    `body` is the network itself, with its layers after the last position taken out; `positions` says where it is read,
    and is proposed where it is None. With `pyramid`, a feature pyramid of so many channels makes maps of all of them
    (Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017); without, there is one position.

    `taps` has the roles of the network's positions that are left, so that a detector's features can be distilled.
    Raises ValueError where the network cannot be cut there.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Tensor,
        *,
        positions: Sequence[str] | None = None,
        pyramid: int | None = None,
    ):
        super().__init__()
        self.positions = tuple(positions or propose(network, images, many=pyramid is not None))
        if pyramid is None and len(self.positions) != 1:
            raise ValueError(
                f"detection.positions names {len(self.positions)} positions, expected 1 with detection.fpn=false"
            )
        self._size = tuple(images.shape)
        self.taps = _taps(network, images, self.positions)
        _cut(network, images, self.positions)
        self.body = network
        channels = [shape[1] for shape in self._read(images).values()]
        self.fpn = (
            None if pyramid is None else FeaturePyramidNetwork(channels, pyramid, extra_blocks=LastLevelMaxPool())
        )
        self.out_channels = channels[0] if pyramid is None else pyramid

    def _read(self, images: Tensor) -> dict[str, tuple[int, ...]]:
        """Attach what reads the maps; their shapes."""
        # In a tuple, so that it is no submodule: the network is one already.
        try:
            self._reader = (Tapped(self.body, self.positions, images),)
        except (RuntimeError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(
                f"{type(self.body).__name__} does not run without its layers after {self.positions[-1]!r} ({error}); "
                f"name others with detection.positions=NAME (`understudy layers` shows them)"
            ) from error
        shapes = self._reader[0].shapes
        flat = [name for name, shape in shapes.items() if len(shape) != 4]
        if flat:
            raise ValueError(f"detectors read maps (B, C, H, W); {flat[0]!r} has {shapes[flat[0]]}")
        return shapes

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        _, features = self._reader[0](images)
        maps = OrderedDict((str(level), features[name]) for level, name in enumerate(self.positions))
        return maps if self.fpn is None else self.fpn(maps)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Backbone":
        """Copies read themselves: hooks are not copied."""
        other = Backbone.__new__(Backbone)
        memo[id(self)] = other
        nn.Module.__init__(other)
        for name in ("positions", "taps", "out_channels", "training", "_size"):
            setattr(other, name, copy.copy(getattr(self, name)))
        other.body, other.fpn = copy.deepcopy(self.body, memo), copy.deepcopy(self.fpn, memo)
        first = next(self.body.parameters())
        other._read(torch.zeros(self._size, device=first.device, dtype=first.dtype))
        return other


def propose(network: nn.Module, images: Tensor, *, many: bool) -> tuple[str, ...]:
    """Where detectors read the network: the end of the group at a 16th of the images' size or the nearest finer one.

    With `many` the end of each group from a quarter down, four at most; the last one of all where none is so small.
    """
    names = named_positions(network, "group_end", images)
    run = DryRun(network, images)
    sizes = [grid(run.find(name).value.shape, images.shape[-2:]) or (1, 1) for name in names]
    strides = [images.shape[-1] / size[1] for size in sizes]
    if many:
        small = [name for name, stride in zip(names, strides, strict=True) if stride > FINEST / math.sqrt(2)]
        return tuple(small[-MOST_LEVELS:] or names[-1:])
    fine = [name for name, stride in zip(names, strides, strict=True) if stride < STRIDE * math.sqrt(2)]
    return (fine[-1] if fine else names[0],)


def _taps(network: nn.Module, images: Tensor, positions: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The network's positions by their roles, as the backbone calls them, up to where it is cut."""
    run = DryRun(network, images)
    places = _places_until(run, positions)
    taps = {}
    for role, names in roles_of(network, images).items():
        kept = tuple(_below_body(name) for name in names if run.find(name).key in places)
        if role in ROLES and kept:
            taps[role] = kept
    return taps


def _places_until(run: DryRun, positions: Sequence[str]) -> set[Key]:
    """Everything that ran no later than the last of the positions."""
    order = [*run.events]
    return set(order[: 1 + max(order.index(run.find(name).key) for name in positions)])


def _below_body(name: str) -> str:
    """'before:layer1.relu()' -> 'before:body.layer1.relu()'."""
    side, colon, owner = name.rpartition(":")
    return f"{side}{colon}body.{owner}"


def _cut(network: nn.Module, images: Tensor, positions: Sequence[str]) -> None:
    """Put identities in the place of the layers that run after the last position, and of those that never run."""
    early = {key[1] for key in _places_until(DryRun(network, images), positions)}
    for name, _ in [*network.named_modules()]:
        if not name or any(owner == name or owner.startswith(f"{name}.") for owner in early):
            continue
        parent, _, child = name.rpartition(".")
        if _is_there(network, parent):
            setattr(network.get_submodule(parent), child, nn.Identity())


def _is_there(network: nn.Module, name: str) -> bool:
    """Whether the module is still there, and no identity has taken its place or a parent's."""
    try:
        return not isinstance(network.get_submodule(name), nn.Identity)
    except AttributeError:
        return False
