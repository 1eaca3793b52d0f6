"""Where a teacher's answers lie, and in which form.

Answers are kept by position: what a term makes of the teacher there, for each fixed view of the images. Their folder is
named by everything they depend on, so that answers of another teacher, data or precision are never found, and whatever
run wants the same ones shares them.
"""

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from understudy.data import BoxedImages, Dataset, ImageFiles, TrainingBatches
from understudy.distiller import Distiller, Wanted
from understudy.distiller.comparisons import chosen_options
from understudy.engine import facts
from understudy.engine.teacher_cache.rows import RowFormat
from understudy.precision import Precision


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where the answers at one position lie, one file for each view, in which form, and what they depend on."""

    folder: Path
    rows: RowFormat
    about: dict[str, Any]

    def path(self, view: int) -> Path:
        return self.folder / f"view{view}.npy"


# Term name -> the stores of its positions.
Stores = dict[str, list[Store]]


def each(stores: Stores) -> Iterator[Store]:
    return (store for own in stores.values() for store in own)


def stores_for(root: Path, common: dict[str, Any], distiller: Distiller, answers: Wanted) -> Stores:
    """Where answers like these lie."""
    return {
        name: [_store(root, common, distiller, name, *one) for one in enumerate(tensors)]
        for name, tensors in answers.items()
    }


def _store(root: Path, common: dict[str, Any], distiller: Distiller, name: str, index: int, answer: Tensor) -> Store:
    """The store of a term's position: by which student and how it is compared there does not matter."""
    comparison, rows = distiller.comparison(name), RowFormat.of(answer)
    term, site = comparison.term, comparison.sites[index]
    transform = term.teacher
    about = {
        **common,
        "position": site.teacher.name,
        "shape": [site.teacher.shape[1:], site.teacher_shape[1:], rows.shape],
        "stored": [str(rows.dtype), rows.channels_last, rows.is_bits],
        "transform": None if transform is None else [transform.__module__, transform.__qualname__],
        "options": {} if transform is None else chosen_options(transform, term),
        "numbers": facts.state_sha256(comparison.teachers[index]),
    }
    fingerprint = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return Store(folder=root / fingerprint[:24], rows=rows, about=about)


def what_answers_depend_on(
    distiller: Distiller, batches: TrainingBatches, data: Dataset, precision: Precision
) -> dict[str, Any]:
    """All that decides the bits of an answer, but for the position. A view's number stands in the file's name."""
    teacher = distiller.teacher
    assert teacher is not None
    return {
        "understudy": facts.versions()["understudy"],
        "torch": torch.__version__,
        "teacher": facts.state_sha256(teacher),
        "architecture": [type(teacher).__module__, type(teacher).__qualname__, repr(teacher)],
        "images": data.train.fingerprint(),
        "mean": data.mean,
        "std": data.std,
        "augment": repr(batches.augment),
        # Also without augmentation, files are cropped.
        **({} if data.in_memory else {"crops": repr(data.augment)}),
        # What is in a file may change under its name.
        **({"files": data.train.stamps()} if isinstance(data.train, ImageFiles | BoxedImages) else {}),
        # Without augmentation nothing is drawn.
        "seed": None if batches.augment is None else batches.seed,
        "batch_size": batches.batch_size,
        "precision": [str(precision.dtype), precision.channels_last, _kind_of(precision.device)],
    }


def _kind_of(device: torch.device) -> str:
    """Devices of one kind round alike."""
    return device.type if device.type == "cpu" else torch.cuda.get_device_name(device)


def is_importable(transform: Callable[..., Any]) -> bool:
    """Whether its module and name lead to it: not so of what a function has made, a partial or an instance."""
    if inspect.isbuiltin(transform):
        return True
    found: object = sys.modules.get(getattr(transform, "__module__", None) or "")
    for part in getattr(transform, "__qualname__", "<none>").split("."):
        found = getattr(found, part, None)
    return found is transform
