"""Networks that answer images with embeddings: any classifier without its last layer, with a vector of chosen length.

While it trains, such a network answers the plain features, which losses look at; in evaluation the unit vectors that
are searched with, so that their inner product is the cosine.
"""

import json
import math
from collections import OrderedDict
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from understudy.modes import evaluating

Feature = Literal["original", "linear", "penultimate", "penultimate+"]


@dataclass(frozen=True, kw_only=True)
class Head:
    """One of several heads on a shared trunk.

    So many `blocks` of the last stage are kept (None: all), whose first one has this `stride`; `rate` is the factor of
    its learning rate.
    """

    blocks: int | None = None
    stride: int = 1
    rate: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Form:
    """What becomes of a classifier: an embedding of `length` (None: its own), or several heads (models/hdhe.py)."""

    length: int | None = None
    heads: tuple[Head, ...] = ()
    shared: str = "layer2"
    feature: Feature = "penultimate+"

    def to_json(self) -> str:
        """For the file of the weights."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Form":
        """ValueError for what no form has, as a later version might write."""
        said: dict[str, Any] = json.loads(text)
        unknown = sorted(said.keys() - {one.name for one in fields(cls)})
        if unknown:
            raise ValueError(f"the file's embedding has {', '.join(unknown)}, which this version does not know")
        return cls(**{**said, "heads": tuple(Head(**head) for head in said.get("heads", ()))})


class Unit(nn.Module):
    """The end of an embedding network: (B, d) as it is in training, in evaluation of length 1.

    With several `parts` of these lengths each has the same length there: the cosine of two images is then the mean of
    the parts' cosines.
    """

    def __init__(self, parts: tuple[int, ...], form: Form):
        super().__init__()
        self.parts = parts
        self.form = form

    def forward(self, embedding_Bd: Tensor) -> Tensor:
        return embedding_Bd if self.training else unit_parts(embedding_Bd, self.parts)

    def extra_repr(self) -> str:
        return "+".join(map(str, self.parts))


def unit_parts(embedding_Bd: Tensor, parts: tuple[int, ...]) -> Tensor:
    """Every part of the vectors at the same length, and the whole at 1: (B, d) -> (B, d)."""
    scaled = [F.normalize(part, dim=1) for part in embedding_Bd.split(parts, dim=1)]
    return torch.cat(scaled, dim=1) / math.sqrt(len(parts)) if len(parts) > 1 else scaled[0]


def end_of(network: nn.Module) -> Unit | None:
    """The end of an embedding network; None for any other network."""
    return next((module for module in network.modules() if isinstance(module, Unit)), None)


def without_classifier(network: nn.Module, form: Form, images: Tensor) -> nn.Module:
    """The network with its last linear layer replaced: by one that answers `form.length` numbers, or by none.

    Its position "embedding" is what it answers. `images` (B, C, H, W) are an example. Of a network that ends in a 1x1
    convolution, whose maps it averages, the maps before that are averaged, and what `form` wants is done to the mean: a
    linear layer before an average and after it are one, but some networks have a ReLU between. Raises ValueError for a
    network that ends in neither.
    """
    convolution = _last_convolution(network, images)
    if convolution is not None:
        return _without_convolution(network, convolution, form, images)
    name, layer = classifier(network, images)
    length = form.length or layer.in_features
    project = nn.Identity() if form.length is None else nn.Linear(layer.in_features, length)
    end = nn.Sequential(project, Unit((length,), form))
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, end)
    # nn.Module takes any attribute; roles of other positions stay as they are.
    network.taps = {**getattr(network, "taps", {}), "embedding": (name,)}  # pyright: ignore[reportArgumentType]
    return network


def _last_convolution(network: nn.Module, images: Tensor) -> str | None:
    """The name of the 1x1 convolution that answers the classes; None where a linear layer comes after it, or none."""
    called: list[str] = []
    hooks = _noting(network, (nn.Linear, nn.Conv2d), called)
    answer = _answer(network, images, hooks)
    last = network.get_submodule(called[-1]) if called else None
    if not isinstance(last, nn.Conv2d) or last.kernel_size != (1, 1):
        return None
    return called[-1] if answer.shape == (len(images), last.out_channels) else None


def _without_convolution(network: nn.Module, name: str, form: Form, images: Tensor) -> nn.Module:
    parent, _, own = name.rpartition(".")
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    setattr(network.get_submodule(parent), own, nn.Identity())
    width = layer.in_channels
    try:
        found = str(tuple(_answer(network, images, []).shape))
    except RuntimeError as error:  # what follows wants as many channels as there were classes
        found = str(error)
    if found != str((len(images), width)):
        raise ValueError(
            f"{type(network).__name__} does not answer the mean of its maps without its last convolution, {name} "
            f"({found}); choose another network, or give your own that answers vectors (package.module:function)"
        )
    length = form.length or width
    project = nn.Identity() if form.length is None else nn.Linear(width, length)
    end = nn.Sequential(project, Unit((length,), form))
    whole = nn.Sequential(OrderedDict(trunk=network, embedding=end))
    declared = getattr(network, "taps", {})
    below = {role: tuple(_in_trunk(position) for position in positions) for role, positions in declared.items()}
    whole.taps = {**below, "embedding": ("embedding",)}  # pyright: ignore[reportArgumentType]
    return whole


def _in_trunk(position: str) -> str:
    """before:relu -> before:trunk.relu"""
    side, colon, name = position.rpartition(":")
    return f"{side}{colon}trunk.{name}"


def classifier(network: nn.Module, images: Tensor) -> tuple[str, nn.Linear]:
    """The name of the last linear layer that answers a vector for each image, and the layer."""
    called: list[str] = []
    answer = _answer(network, images, _noting(network, (nn.Linear,), called))
    found = network.get_submodule(called[-1]) if called else None
    if not isinstance(found, nn.Linear) or answer.shape != (len(images), found.out_features):
        raise ValueError(
            f"{type(network).__name__} does not end in a linear layer or a 1x1 convolution of the classes, so it has "
            "no embedding before one; choose another network, or give your own that answers vectors "
            "(package.module:function)"
        )
    return called[-1], found


def _noting(network: nn.Module, kinds: tuple[type[nn.Module], ...], called: list[str]) -> list[Any]:
    """Hooks that note the names of modules of these kinds as they are called."""
    return [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: called.append(name) or None)
        for name, module in network.named_modules()
        if isinstance(module, kinds)
    ]


@torch.no_grad()
def _answer(network: nn.Module, images: Tensor, hooks: list[Any]) -> Tensor:
    try:
        with evaluating(network):
            return network(images)
    finally:
        for hook in hooks:
            hook.remove()
