"""Weights on disk: safetensors, or plain tensor files read without running a pickle."""

import difflib
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

# Counters that BatchNorm needs only when its momentum is None; files in circulation often lack them.
OPTIONAL = "num_batches_tracked"


def save_weights(network: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the network's state to `path` as safetensors, whole or not at all; equal states give equal files."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    content = _with_sorted_header(save(state, metadata={"format": "pt", **(metadata or {})}))
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _with_sorted_header(content: bytes) -> bytes:
    """The same safetensors file with its header in alphabetical order; the library writes metadata in a random one."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; empty for other files."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors file or a torch file of plain tensors (`weights_only`)."""
    if not path.is_file():
        beside = [str(other) for other in path.parent.glob("*")] if path.parent.is_dir() else []
        near = difflib.get_close_matches(str(path), beside, n=1)
        raise ValueError(f"no weights at {path}" + (f"; nearest: {near[0]}" if near else ""))
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} does not hold plain tensors (safetensors or a state dict): {error}") from error
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected tensors by name")
    return state


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill `network` from `path`, in the network's own precision.

    Raises ValueError that lists missing, unexpected and misshaped keys; nothing is loaded then.
    """
    state = read_state(path)
    own = network.state_dict()
    missing = [name for name in own if name not in state and not name.endswith(OPTIONAL)]
    unexpected = [name for name in state if name not in own]
    misshaped = [
        f"{name} {tuple(state[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if missing or unexpected or misshaped:
        parts = {"missing": missing, "unexpected": unexpected, "misshaped": misshaped}
        found = "; ".join(f"{len(names)} {word}: {_few(names)}" for word, names in parts.items() if names)
        raise ValueError(f"{path} does not fit {type(network).__name__}: {found}")
    network.load_state_dict({**own, **state})


def _few(names: list[str], shown: int = 4) -> str:
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")
