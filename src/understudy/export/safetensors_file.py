"""The weights alone: plain keys of the plain network, in safetensors."""

from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from understudy.engine.networks import build_network
from understudy.export.student import Student
from understudy.models import end_of, save_weights
from understudy.spec import NetworkSettings

NAME = "model.safetensors"


def write_safetensors(student: Student, path: Path, metadata: Mapping[str, str]) -> None:
    save_weights(student.network, path, metadata)


def read_safetensors(student: Student, path: Path) -> Callable[[Tensor], Tensor]:
    """A new network of the class with the file's weights, every one of them and no other."""
    end = end_of(student.network)
    form = None if end is None else end.form
    network = build_network(NetworkSettings(model=student.model), student.data, form, student.pixels.shape[1:])
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()
