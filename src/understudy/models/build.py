"""A network from its name."""

import difflib
import importlib

from torch import nn

from understudy.models import digits_net, wide_resnet

# What `understudy list models` shows. Every depth 6 n + 4 and width is understood, not only those listed.
NAMES = {
    "wrn10-1": "wide residual network, depth 10, width 1 (Zagoruyko & Komodakis 2016)",
    "wrn16-1": "wide residual network, depth 16, width 1",
    "wrn16-2": "wide residual network, depth 16, width 2: AB's student",
    "wrn16-4": "wide residual network, depth 16, width 4",
    "wrn22-4": "wide residual network, depth 22, width 4: AB's teacher",
    "wrn28-4": "wide residual network, depth 28, width 4",
    "wrn28-10": "wide residual network, depth 28, width 10",
    "wrn40-2": "wide residual network, depth 40, width 2",
    "digits-2x8": "three stages of two convolutions, for 8-pixel digits: the demo's student",
    "digits-2x16": "the same, twice as wide: the demo's teacher",
}


def build(name: str, *, num_classes: int, in_channels: int = 3) -> nn.Module:
    """The network called `name`, with random weights from torch's global generator.

    `name` is one of NAMES (any wrnDEPTH-WIDTH, digits-DEPTHxWIDTH), `timm:NAME`, `torchvision:NAME`, or
    `package.module:function`, a function of the user's that is called with `num_classes` and returns an nn.Module.

    Raises ValueError for a name nobody knows, with the nearest ones.
    """
    source, colon, rest = name.partition(":")
    if colon:
        return _from_elsewhere(source, rest, num_classes, in_channels)
    for family in (wide_resnet, digits_net):
        network = family.from_name(name, num_classes, in_channels)
        if network is not None:
            return network
    raise ValueError(_unknown(name, list(NAMES), "`understudy list models` shows all"))


def _from_elsewhere(source: str, rest: str, num_classes: int, in_channels: int) -> nn.Module:
    if source == "timm":
        return _from_timm(rest, num_classes, in_channels)
    if source == "torchvision":
        return _from_torchvision(rest, num_classes)
    return _from_user(source, rest, num_classes)


def _from_timm(name: str, num_classes: int, in_channels: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ValueError(f"timm:{name} needs timm: `pip install timm`") from error
    if not timm.is_model(name):
        raise ValueError(_unknown(f"timm:{name}", [f"timm:{known}" for known in timm.list_models()], ""))
    return timm.create_model(name, pretrained=False, num_classes=num_classes, in_chans=in_channels)


def _from_torchvision(name: str, num_classes: int) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(_unknown(f"torchvision:{name}", [f"torchvision:{other}" for other in known], ""))
    return models.get_model(name, weights=None, num_classes=num_classes)


def _from_user(module_name: str, function_name: str, num_classes: int) -> nn.Module:
    whole = f"{module_name}:{function_name}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise ValueError(
            f"model {whole!r}: there is no module {module_name!r} to import; a model is a name from "
            f"`understudy list models`, timm:NAME, torchvision:NAME, or package.module:function"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        public = [known for known in vars(module) if not known.startswith("_")]
        raise ValueError(_unknown(whole, [f"{module_name}:{known}" for known in public], ""))
    network = function(num_classes=num_classes)
    if not isinstance(network, nn.Module):
        raise ValueError(f"model {whole!r} returned a {type(network).__name__}, expected an nn.Module")
    return network


def _unknown(name: str, known: list[str], hint: str) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    nearest = f"; nearest: {', '.join(near)}" if near else ""
    return f"there is no model {name!r}{nearest}" + (f"; {hint}" if hint else "")
