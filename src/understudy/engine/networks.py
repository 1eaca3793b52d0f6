"""Networks as a run's settings name them."""

import json
from pathlib import Path

from torch import nn

from understudy.data import Dataset
from understudy.engine import folder
from understudy.models import build, load_weights, read_metadata
from understudy.spec import NetworkSettings


def build_network(wanted: NetworkSettings, data: Dataset) -> nn.Module:
    """The network for these data, with its weights if the settings name a file."""
    network = build(wanted.model, num_classes=data.num_classes, in_channels=data.image_shape[0])
    if wanted.weights is not None:
        load_weights(network, wanted.weights)
    return network


def student_metadata(model: str, data: Dataset) -> dict[str, str]:
    """What the student's file says of itself, so that it can be used without its run."""
    return {
        "model": model,
        "data": data.name,
        "class_names": json.dumps(data.train.class_names),
        "in_channels": str(data.image_shape[0]),
        "mean": json.dumps(data.mean),
        "std": json.dumps(data.std),
    }


def locate(name: str, weights: Path | None) -> NetworkSettings:
    """A network as the command line gives it: a model's name and a file, a run's folder, or a student's own file.

    Raises ValueError where a folder holds no finished run, or a file does not say which model it is.
    """
    path = Path(name)
    if path.is_dir():
        path = path / folder.STUDENT
        if not path.exists():
            raise ValueError(
                f"{name} holds no finished run (no {folder.STUDENT}); give a model's name or a finished run"
            )
    elif path.suffix != ".safetensors":
        return NetworkSettings(model=name, weights=weights)
    if weights is not None:
        raise ValueError(f"{name} brings its own weights; leave out {weights}")
    model = read_metadata(path).get("model") if path.exists() else None
    if not path.exists():
        raise ValueError(f"there is no file {path}")
    if model is None:
        raise ValueError(f"{path} does not say which model it is; give the model's name and the file as its weights")
    return NetworkSettings(model=model, weights=path)
