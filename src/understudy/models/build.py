"""A network from its name."""

import contextlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from understudy.models import (
    bn_inception,
    digits_net,
    mobilenet,
    preresnet,
    pyramidnet,
    resnet,
    small_inception,
    wide_resnet,
)
from understudy.models.cut import SEPARATOR, cut_after
from understudy.spec import kind_of, nearest, user_module

# What `understudy list models` shows. Every depth and width that a family has is understood, not only those listed.
NAMES = {
    "wrn10-1": "wide residual network for 32 pixels, depth 10 (any 6 n + 4), width 1",
    "wrn16-1": "depth 16, width 1",
    "wrn16-2": "depth 16, width 2: AB's student",
    "wrn16-4": "depth 16, width 4",
    "wrn22-4": "depth 22, width 4: AB's teacher",
    "wrn28-4": "depth 28, width 4: OFD's teacher",
    "wrn28-10": "depth 28, width 10",
    "wrn40-2": "depth 40, width 2",
    "resnet8": "residual network for 32 pixels, depth 8 (any 6 n + 2), shortcuts project (option B)",
    "resnet14": "depth 14, option B",
    "resnet20": "depth 20, option B: FT's student",
    "resnet26": "depth 26, option B",
    "resnet32": "depth 32, option B",
    "resnet56": "depth 56, option B: OFD's student, FT's teacher",
    "resnet110": "depth 110, option B",
    "resnet8-a": "depth 8, shortcuts pad with zeros (option A: -a after any depth): BSS's student",
    "resnet26-a": "depth 26, option A: BSS's teacher",
    "preresnet164": "pre-activation residual network for 32 pixels, depth 164 (any 9 n + 2)",
    "preresnet1001": "depth 1001: NST's teacher",
    "pyramidnet110-84-basic": "PyramidNet for 32 pixels, depth 110 (any 6 n + 2), wider by 84: OFD's student",
    "pyramidnet200-240-bottleneck": "depth 200 (any 9 n + 2), wider by 240: OFD's teacher",
    "inception-bn-small": "Inception with BatchNorm for 32 pixels: NST's student",
    "bn-inception": "Inception with BatchNorm for 224 pixels: NST's student on ImageNet",
    "mobilenet-v1": "MobileNet for 224 pixels: AB's and OFD's student of ResNet-50",
    "digits-2x8": "three stages of two convolutions, 8 wide (any NxM), for 8-pixel digits: the demo's student",
    "digits-2x16": "the same, twice as wide: the demo's teacher",
}

FAMILIES = (wide_resnet, resnet, preresnet, pyramidnet, small_inception, bn_inception, mobilenet, digits_net)
FOR_32_PIXELS = (wide_resnet, resnet, preresnet, pyramidnet, small_inception)


def is_for_32_pixels(name: str) -> bool:
    """Whether the network of this name keeps maps as large as the images, as CIFAR's networks do."""
    with torch.device("meta"), contextlib.suppress(ValueError):
        return any(family.from_name(name.partition(SEPARATOR)[0], 10, 3) is not None for family in FOR_32_PIXELS)
    return False


def build(name: str, *, num_classes: int, in_channels: int = 3) -> nn.Module:
    """The network called `name`, with random weights from torch's global generator.

    `name` is one of NAMES or another size of such a family (wrn34-3, resnet44-a), `timm:NAME`, `torchvision:NAME`, or
    `package.module:function`, a function of the user's that is called with `num_classes`, and with `in_channels` (or
    `in_chans`) if it takes them, and returns an nn.Module.
    `NAME@BLOCK` is any of these cut after the module BLOCK, with a fresh head (`understudy.models.cut`).

    Raises ValueError for a name nobody knows, with the nearest ones, and for a size that a family does not have.
    """
    whole, at, block = name.partition(SEPARATOR)
    if at:
        network = build(whole, num_classes=num_classes, in_channels=in_channels)
        return cut_after(network, block, num_classes=num_classes, in_channels=in_channels)
    source, colon, rest = name.partition(":")
    if colon:
        return _from_elsewhere(source, rest, num_classes, in_channels)
    for family in FAMILIES:
        try:
            network = family.from_name(name, num_classes, in_channels)
        except ValueError as error:
            raise ValueError(f"{error}{_of_imagenet(name)}") from error
        if network is not None:
            return network
    if Path(name).exists():
        raise ValueError(
            f"found {name!r}, a file or folder, where a model's name is expected; weights to begin with are --weights"
        )
    hint = (
        "`understudy list models` shows all; one of your own is package.module:function, its weights a file beside it"
    )
    raise ValueError(_unknown(name, list(NAMES), hint))


def _of_imagenet(name: str) -> str:
    """What else the name of a 32-pixel network may mean."""
    from torchvision import models

    return f"; ImageNet's network is torchvision:{name}" if name in models.list_models(module=models) else ""


def _from_elsewhere(source: str, rest: str, num_classes: int, in_channels: int) -> nn.Module:
    if source == "timm":
        return _from_timm(rest, num_classes, in_channels)
    if source == "torchvision":
        return _from_torchvision(rest, num_classes, in_channels)
    return _from_user(source, rest, num_classes, in_channels)


def _from_timm(name: str, num_classes: int, in_channels: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ValueError(f"timm:{name} needs timm: `pip install timm`") from error
    if not timm.is_model(name):
        raise ValueError(_unknown(f"timm:{name}", [f"timm:{known}" for known in timm.list_models()], ""))
    # A tag, as in resnet18.a1_in1k, says where weights are from, which come from elsewhere here.
    architecture = name.partition(".")[0]
    return timm.create_model(architecture, pretrained=False, num_classes=num_classes, in_chans=in_channels)


def _from_torchvision(name: str, num_classes: int, in_channels: int) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(_unknown(f"torchvision:{name}", [f"torchvision:{other}" for other in known], ""))
    if in_channels != 3:
        raise ValueError(
            f"torchvision:{name} takes images of 3 channels, and these have {in_channels}; timm's networks take any "
            f"number (`pip install timm`, then timm:NAME)"
        )
    return models.get_model(name, weights=None, num_classes=num_classes, **torchvision_options(name))


def torchvision_options(name: str) -> dict[str, bool]:
    """What torchvision's network of this name is built with beside its classes.

    In training two of them would answer their auxiliary classifiers' logits as well.
    """
    return {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}


def user_arguments(name: str, num_classes: int, in_channels: int) -> dict[str, int]:
    """What `package.module:function` is called with. Raises ValueError where it cannot be called so."""
    return _given(name, _function(*name.split(":", 1)), num_classes, in_channels)


def _from_user(module_name: str, function_name: str, num_classes: int, in_channels: int) -> nn.Module:
    whole = f"{module_name}:{function_name}"
    function = _function(module_name, function_name)
    network = function(**_given(whole, function, num_classes, in_channels))
    if not isinstance(network, nn.Module):
        raise ValueError(f"model {whole!r} returned a {type(network).__name__}, expected an nn.Module")
    return network


def _function(module_name: str, function_name: str) -> Callable[..., Any]:
    whole = f"{module_name}:{function_name}"
    try:
        module = user_module(module_name)
    except ValueError as error:
        raise ValueError(
            f"model {whole!r}: {error}; a model is a name from "
            f"`understudy list models`, timm:NAME, torchvision:NAME, or package.module:function"
        ) from error
    function = getattr(module, function_name, None)
    if function is not None and not callable(function):
        raise ValueError(
            f"model {whole!r} is {kind_of(function)}; expected a function that is called with num_classes and "
            f"returns a network, or such a class"
        )
    if function is None:
        public = [known for known in vars(module) if not known.startswith("_")]
        raise ValueError(_unknown(whole, [f"{module_name}:{known}" for known in public], ""))
    return function


def _given(whole: str, function: Callable[..., Any], num_classes: int, in_channels: int) -> dict[str, int]:
    """What the function is called with: the classes, and the images' channels under the name by which it takes them.

    ValueError where it cannot be called so; one that does not say what it takes is given the classes alone.
    """
    given = {"num_classes": num_classes}
    try:
        signature = inspect.signature(function)
    except ValueError:
        return given
    given |= {name: in_channels for name in ("in_channels", "in_chans") if name in signature.parameters}
    try:
        signature.bind(**given)
    except TypeError as error:
        words = ", ".join(f"{name}={value}" for name, value in given.items())
        raise ValueError(f"model {whole!r} takes {signature} and is called with {words}: {error}") from error
    return given


def _unknown(name: str, known: list[str], hint: str) -> str:
    return f"there is no model {name!r}{nearest(name, known, count=3)}" + (f"; {hint}" if hint else "")
