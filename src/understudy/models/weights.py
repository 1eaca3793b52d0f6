"""Weights on disk: safetensors, or plain tensor files read without running a pickle."""

import argparse
import difflib
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from understudy.models.cut import cut_of
from understudy.models.renames import alone, as_words, fitted, propose
from understudy.spec import few, whole_file
from understudy.spec.run_files import STUDENT

# Where training programs keep the weights among other things; of averaged weights beside the last ones the averaged,
# which are those that timm and torchvision publish.
AVERAGED = ("state_dict_ema", "model_ema")
HOLDERS = (
    *AVERAGED,
    *("state_dict", "model_state_dict", "model", "net", "network", "student", "weights", "params"),
)
# Auxiliary classifiers, as torchvision calls them in GoogLeNet and Inception v3.
AUXILIARY = re.compile(r"(^|\.)(aux[12]|AuxLogits)\.")
# Counters that BatchNorm needs only when its momentum is None; files in circulation often lack them.
OPTIONAL = "num_batches_tracked"
# How often torch's AveragedModel has averaged; no weight.
COUNTER = "n_averaged"


def save_weights(network: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the network's state to `path` as safetensors, whole or not at all; equal states give equal files."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    content = _with_sorted_header(save(state, metadata={"format": "pt", **(metadata or {})}))
    with whole_file(path) as file:
        file.write(content)


def _with_sorted_header(content: bytes) -> bytes:
    """The same safetensors file with its header in alphabetical order; the library writes metadata in a random one."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def read_metadata(path: Path | str) -> dict[str, str]:
    """What a safetensors file says of itself; empty for other files, whether they are there or not.

    Raises ValueError for a safetensors file that is not whole, and FileNotFoundError where it is not there.
    """
    path = Path(path)
    if not _is_safetensors(path):
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error


def _is_safetensors(path: Path) -> bool:
    """By the ending, or else by what the file begins with: the length of its header, and that."""
    if path.suffix == ".safetensors" or not path.is_file():
        return path.suffix == ".safetensors"
    with open(path, "rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors file or a torch file of plain tensors (`weights_only`), on the CPU.

    In a training program's checkpoint they are found under HOLDERS. Raises ValueError for a folder, where there is no
    file, and for a file that is not whole or holds anything but tensors by name.
    """
    if path.is_dir():
        inside = sorted(one.name for one in path.iterdir() if one.suffix in (".safetensors", ".pt", ".pth"))
        # Of a run's folder, the student after the last epoch.
        likely = next((name for name in inside if name == STUDENT), *inside[:1])
        raise ValueError(
            f"{path} is a folder; give the file of weights in it" + (f": {path / likely}" if inside else "")
        )
    if not path.is_file():
        beside = [str(other) for other in path.parent.glob("*")] if path.parent.is_dir() else []
        near = difflib.get_close_matches(str(path), beside, n=1)
        raise ValueError(f"no weights at {path}" + (f"; nearest: {near[0]}" if near else ""))
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty; was its writing cut off?")
    if _is_torchscript(path):
        raise ValueError(
            f"{path} is a TorchScript program, which holds code beside its weights, and is not run; save the weights "
            f"alone: torch.save(torch.jit.load({str(path)!r}).state_dict(), FILE)"
        )
    try:
        if _is_safetensors(path):
            return load_file(path)
        with torch.serialization.safe_globals(_plain_types()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        raise ValueError(
            f"{path} does not hold plain tensors{f' but a {wanted[1]}' if wanted else ''}, and pickles are not run; "
            "save the weights again, with torch.save(network.state_dict(), FILE) or as safetensors"
        ) from error
    # torch's reader of pickles raises many types for a text that is none.
    except Exception as error:
        told = str(error) if isinstance(error, (SafetensorError, RuntimeError)) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} does not hold plain tensors (safetensors or a state dict): {told}") from error
    state = _inner(content)
    if isinstance(state, dict):
        state.pop(COUNTER, None)
    if not isinstance(state, dict) or not all(isinstance(n, str) and isinstance(v, Tensor) for n, v in state.items()):
        raise ValueError(f"{path} holds {_kind_of(state)}, expected tensors by name")
    return state


def _is_torchscript(path: Path) -> bool:
    """An archive with the constants of a program; torch.save makes archives too, of data alone."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _plain_types() -> list[Any]:
    """What programs keep beside the weights, and what does nothing when it is made: options, paths, numpy's numbers."""
    # numpy's numbers are made by a function that has two names, numpy's older and its newer one.
    number: Any = np.float64(0).__reduce__()[0]
    numbers = [(number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    kinds = [type(np.dtype(each)) for each in (np.float16, np.float32, np.float64, np.int64, np.bool_)]
    return [argparse.Namespace, PosixPath, np.dtype, *kinds, *numbers]


def _inner(content: object) -> object:
    """The state dict in a training program's checkpoint, which may lie in another."""
    while isinstance(content, dict):
        holder = next((key for key in HOLDERS if isinstance(content.get(key), dict)), None)
        if holder is None:
            return content
        content = content[holder]
    return content


def _kind_of(content: object) -> str:
    return f"a dict of {few(content)}" if isinstance(content, dict) else f"a {type(content).__name__}"


def load_weights(
    network: nn.Module,
    path: Path | str,
    rename: Mapping[str, str] | None = None,
    *,
    num_classes: int | None = None,
    section: str = "teacher",
) -> list[str]:
    """Fill `network` from `path`, in the network's own precision.

    Names are compared after `rename` (`understudy.models.renames`: {"linear": "fc"}), and without what wraps all of
    them, such as "module.", or all that fit, beside which a checkpoint may have a loss's weights or another network.
    Raises ValueError that lists missing, unexpected and misshaped names, and the settings of `section` that would help;
    nothing is loaded then.

    With `num_classes`, what has one row for each class, and in the file another number of them, stays as it is: the
    classifier of a network that is to learn other classes. The answer names these tensors. So does the fresh head of a
    network that was cut, where the file has the whole one; what was cut off is left in the file, and so are auxiliary
    classifiers that the network has not.
    """
    path = Path(path)
    state = read_state(path)
    own, cut = network.state_dict(), cut_of(network)
    state = {name: value for name, value in state.items() if name in own or not AUXILIARY.search(name)}
    dropped = () if cut is None else cut.dropped
    if not rename:
        state = dict(alone(state, lambda part: not _misfits(own, part)))
    try:
        state = fitted(state, (*own, *dropped), rename or {})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if cut is not None and not state.keys().isdisjoint(dropped):
        if num_classes is None:
            raise ValueError(
                f"{path} has weights of the whole network, and the head of the one cut after {cut.after} is fresh: "
                f"train that from this file first (understudy train --weights), and give what it wrote"
            )
        classifier = [*cut.head]
    else:
        classifier, dropped = [] if num_classes is None else _of_other_classes(own, state, num_classes), ()
    state = {name: value for name, value in state.items() if name not in classifier and name not in dropped}
    misfits = _misfits({name: value for name, value in own.items() if name not in classifier}, state)
    if misfits:
        raise ValueError(f"{path} does not fit {type(network).__name__}: {misfits}{_advice(own, state, section)}")
    network.load_state_dict({name: state.get(name, value) for name, value in own.items()})
    return classifier


def _of_other_classes(own: Mapping[str, Tensor], state: Mapping[str, Tensor], num_classes: int) -> list[str]:
    """Tensors that have a row for each class here and another number of rows, equally long, in the file."""
    shapes = {name: (value.shape, state[name].shape) for name, value in own.items() if name in state}
    return [
        name
        for name, (here, there) in shapes.items()
        if here != there and here and here[0] == num_classes and here[1:] == there[1:]
    ]


def _misfits(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """'1 missing: fc.weight; 1 unexpected: linear.weight', or nothing."""
    parts = {
        "missing": [name for name in own if name not in state and not name.endswith(OPTIONAL)],
        "unexpected": [name for name in state if name not in own and not name.endswith(OPTIONAL)],
        "misshaped": [
            f"{name} {tuple(state[name].shape)}, expected {tuple(own[name].shape)}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ],
    }
    return "; ".join(f"{len(names)} {word}: {few(names)}" for word, names in parts.items() if names)


def _advice(own: Mapping[str, Tensor], state: Mapping[str, Tensor], section: str) -> str:
    """What to add to the command, where that mends it."""
    shapes = [
        {name: tuple(value.shape) for name, value in side.items() if not name.endswith(OPTIONAL)}
        for side in (own, state)
    ]
    rename = propose(*shapes)
    words = " ".join(f"{section}.rename.{word}" for word in as_words(rename).split())
    if rename:
        return f"; all shapes fit when renamed: add {words}"
    classes = _classes_there(own, state)
    if not classes:
        return ""
    numbered = f", or give their number with teacher.num_classes={classes}" if section == "teacher" else ""
    return f"; it knows {classes} classes: name them in its order with {section}.class_names=[...]{numbered}"


def _classes_there(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> int | None:
    """How many classes the file's network knows, where it differs by the rows of a classifier alone."""
    if own.keys() != state.keys():
        return None
    other = [(own[name].shape, state[name].shape) for name in own if own[name].shape != state[name].shape]
    rows = {(here[:1], there[:1]) for here, there in other}
    is_classifier = len(other) <= 2 and len(rows) == 1 and all(here[1:] == there[1:] for here, there in other)
    return other[0][1][0] if is_classifier and other[0][1] else None
