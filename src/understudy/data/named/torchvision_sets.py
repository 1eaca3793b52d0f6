"""Sets that torchvision reads, by their official splits."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.data.division import Parts
from understudy.data.file_source import image_files
from understudy.data.image_files import ImageFiles
from understudy.data.named.array_source import ArraySource
from understudy.data.named.torchvision_table import TORCHVISION, Part, TorchvisionSet


def torchvision_parts(name: str, *, folder: Path, download: bool) -> Parts:
    """The set as torchvision reads it from `folder`, fetched first if `download` and it is not there yet.

    A ValueError where files are absent or not the official ones.
    """
    which = TORCHVISION[name]
    chosen = {"train": which.train, "test": which.test, "validation": which.validation}
    parts = {
        part: _images(which, _made(name, arguments, folder, download), folder, f"{name} {part}")
        for part, arguments in chosen.items()
        if arguments is not None
    }
    return Parts(
        name=name,
        train=parts["train"],
        test=parts["test"],
        validation=parts.get("validation"),
        note=f"torchvision's {which.make} in {folder}, by its official split",
    )


def _made(name: str, arguments: Part, folder: Path, download: bool) -> Any:
    from torchvision import datasets

    which = TORCHVISION[name]
    try:
        return getattr(datasets, which.make)(root=str(folder), download=download and which.can_be_fetched, **arguments)
    # torchvision says RuntimeError where its check finds nothing, and a missing list is found when it is opened. A file
    # that was cut off ends its reading in any way.
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise
        way = "fetch it with data.download=true (reproduce: --download, in Python: download=True)"
        if not which.can_be_fetched:
            way = f"put the official files there as torchvision's {which.make} expects them: they cannot be fetched"
        said = str(error) or type(error).__name__
        raise ValueError(
            f"{name} was not found whole in {folder.absolute()} (expected {which.place}; torchvision: {said}); "
            f"name the folder that has it with the environment variable UNDERSTUDY_DATA, or {way}"
        ) from error


def _images(which: TorchvisionSet, found: Any, folder: Path, origin: str) -> ImageFiles:
    class_names = which.class_names or _class_names(which, found)
    if which.files is None:
        return _from_memory(found, class_names, origin)
    pairs = which.files(found)
    root = folder.absolute()
    return image_files(
        folder,
        [Path(path).absolute().relative_to(root).as_posix() for path, _ in pairs],
        [label for _, label in pairs],
        class_names,
        listed_in=origin,
    )


def _class_names(which: TorchvisionSet, found: Any) -> tuple[str, ...]:
    """Of ImageNet's synonyms the first."""
    if which.num_classes and not hasattr(found, "classes"):
        return tuple(map(str, range(which.num_classes)))
    return tuple(each if isinstance(each, str) else each[0] for each in found.classes)


def _from_memory(found: Any, class_names: tuple[str, ...], origin: str) -> ImageFiles:
    pixels = np.asarray(found.data)
    labels = found.targets if hasattr(found, "targets") else found.labels
    return ImageFiles(
        # STL-10 and SVHN hold (N, 3, height, width).
        source=ArraySource(pixels if pixels.ndim == 3 else np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), origin),
        rows=torch.arange(len(pixels)),
        labels=torch.as_tensor(np.asarray(labels), dtype=torch.int64),
        class_names=class_names,
    )
