"""Which model a file of weights says that it belongs to."""

from collections.abc import Mapping
from pathlib import Path

from understudy.spec.run_files import SETTINGS

KNOWN_SOURCES = ("timm", "torchvision")


def model_said(path: Path, metadata: Mapping[str, str]) -> str | None:
    """The model's name in the file's metadata; None where there is none.

    Raises ValueError where it is a function (package.module:function) and the file does not lie in a run's folder: a
    file from elsewhere does not decide which code runs.
    """
    model = metadata.get("model")
    source, colon, _ = (model or "").partition(":")
    if colon and source not in KNOWN_SOURCES and not (path.parent / SETTINGS).is_file():
        raise ValueError(
            f"{path} says that its network is made by {model}, code that is not run on a file's word; if it is yours, "
            f"name it: --model {model} (for a teacher --teacher {model} --teacher-weights {path})"
        )
    return model
