"""Which of the teacher's answers a run stores, where, and how much they take: decided before anything is written.

Answers are kept by position: what a term makes of the teacher there, for each fixed view of the images. Their folder is
named by everything they depend on, so that answers of another teacher, data or precision are never found, and whatever
run wants the same ones shares them.
"""

import hashlib
import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from understudy.comparisons import chosen_options
from understudy.data import BoxedImages, Dataset, ImageFiles, TrainingBatches
from understudy.distiller import Distiller, Wanted
from understudy.engine import facts
from understudy.engine.stored_rows import RowFormat
from understudy.methods import Method, Phase
from understudy.precision import Precision

GB = 10**9


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


@torch.no_grad()
def ask(distiller: Distiller, images: Tensor, precision: Precision) -> Wanted:
    """The live teacher's answer in the phase that the distiller is in.

    Never compiled, which would gain a tenth: so compiled runs and others have the same answers.
    """
    with precision.autocast():
        return distiller.wanted(images)


def plan_stores(
    root: Path,
    limit_gb: float,
    *,
    distiller: Distiller,
    batches: TrainingBatches,
    data: Dataset,
    epochs: tuple[int, ...],
    precision: Precision,
    say: Callable[[str], None],
) -> dict[int, Stores]:
    """Phase index -> the stores of those phases whose answers are stored; what is decided is said.

    A phase is stored as a whole or not at all, first phase first, as far as `limit_gb` and the disk of `root` go. The
    distiller is left in its first phase.
    """
    plan: dict[int, Stores] = {}
    planned: dict[Path, int] = {}
    gains = False
    common = _what_answers_depend_on(distiller, batches, data, precision)
    for index, phase in enumerate(distiller.method.phases):
        if not phase.terms and not phase.guides:
            continue  # the teacher is not asked
        distiller.enter(index)
        stores, files = {}, {}
        reason = obstacle(distiller.method, phase) or _lack_of_views(batches)
        if not reason:
            images = next(batches.in_view(0))
            answers = ask(distiller, images, precision)
            stores = _stores(root, common, distiller, answers)
            reason = _batch_dependence(distiller, images, answers, precision)
        views = _views(batches, sum(epochs[:index]) + 1, epochs[index])
        if not reason:
            files = {one.path(view): one.rows.file_bytes(len(data.train)) for one in each(stores) for view in views}
            reason = _lack_of_room(root, files, planned, len(views), limit_gb)
        if reason:
            say(f"teacher cache, phase {phase.name}: the live teacher answers, because {reason}")
            continue
        plan[index] = stores
        planned |= files
        what = f"{', '.join(stores)}, {_count(len(views))} of {len(data.train):,} images"
        say(f"teacher cache, phase {phase.name}: {what}, {_sizes(files)} in {root}")
        gains = gains or len(views) < epochs[index] or any(path.exists() for path in files)
    if plan and not gains:
        say("each view is shown once, so other runs gain by it, not this one (data.views=8: eight, in turn)")
    distiller.enter(0)
    return plan


def _views(batches: TrainingBatches, first: int, count: int) -> list[int]:
    """The views that `count` epochs from the `first` one on show."""
    shown = {batches.view(epoch) for epoch in range(first, first + count)}
    return sorted(view for view in shown if view is not None)


def _lack_of_views(batches: TrainingBatches) -> str:
    """Why answers to images like these would never be wanted again, in words; empty where they can be."""
    if batches.view(1) is not None:
        return ""
    return "an epoch shows an image several times, drawn anew each time; with data.views=8 eight versions come again"


def obstacle(method: Method, phase: Phase) -> str:
    """Why the teacher's answers of a phase cannot be stored, in words; empty where they can."""
    if method.teacher_mode != "eval":
        return (
            f"its BatchNorm takes each batch's own statistics (method.teacher_mode={method.teacher_mode}); "
            f"with method.teacher_mode=eval an image's answer is its own"
        )
    if phase.guides:
        return f"the guide of {phase.guides[0].name} learns from its features"
    for term in phase.terms:
        if term.inputs is not None:
            return f"{term.name} asks it about images of its own making"
        if "images" in term.needs:
            return f"{term.name} takes gradients of its answers by the images"
        if term.teacher is not None and not _is_importable(term.teacher):
            return (
                f"{term.name}.teacher is known by no name under which a later run would find its answers; "
                f"make it a function or class at the top of a module"
            )
    return ""


def _batch_dependence(distiller: Distiller, images: Tensor, answers: Wanted, precision: Precision) -> str:
    """Which of the answers to these images changes with the others of the batch, in words; empty where none does."""
    count = -(-len(images) // 2)
    mixed = images.clone()
    mixed[count:].neg_()
    among_others = ask(distiller, mixed, precision)
    for name in answers:
        for site, one, other in zip(distiller.sites[name], answers[name], among_others[name], strict=True):
            if len(one) != len(images) or not torch.equal(one[:count], other[:count]):
                return f"what {name} takes of it at {site.teacher.name} depends on the other images of the batch"
    return ""


def _lack_of_room(root: Path, files: dict[Path, int], planned: dict[Path, int], num_views: int, limit_gb: float) -> str:
    """Why the files of a phase cannot be kept beside those of the phases before it, in words; empty where they can."""
    more = {path: size for path, size in files.items() if path not in planned}
    needed = sum(more.values())
    allowed = limit_gb * GB - sum(planned.values())
    unwritten = sum(size for path, size in {**more, **planned}.items() if not path.exists())
    free = shutil.disk_usage(root).free
    if needed <= allowed and unwritten <= free:
        return ""
    room, where = (allowed, f"of run.teacher_cache_gb={limit_gb:g}") if needed > allowed else (free, f"on {root}")
    fitting = int(room // (sum(files.values()) / num_views))
    advice = f"data.views={fitting} would fit" if fitting else "not one view fits"
    need = "needs" if num_views == 1 else "need"
    return f"{_count(num_views)} {need} {_size(needed)}, and {_size(room)} {where} are left; {advice}"


# Fingerprints ---------------------------------------------------------------------------------------------------------


def _stores(root: Path, common: dict[str, Any], distiller: Distiller, answers: Wanted) -> Stores:
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


def _what_answers_depend_on(
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
        "precision": [str(precision.dtype), precision.channels_last, precision.device.type],
    }


def _is_importable(transform: Callable[..., Any]) -> bool:
    """Whether its module and name lead to it: not so of what a function has made, a partial or an instance."""
    if inspect.isbuiltin(transform):
        return True
    found: object = sys.modules.get(getattr(transform, "__module__", None) or "")
    for part in getattr(transform, "__qualname__", "<none>").split("."):
        found = getattr(found, part, None)
    return found is transform


def _count(num_views: int) -> str:
    return f"{num_views} view{'' if num_views == 1 else 's'}"


def _sizes(files: dict[Path, int]) -> str:
    """'1.43 GB, 717 MB of it there already,'."""
    there = sum(size for path, size in files.items() if path.exists())
    return _size(sum(files.values())) + (f", {_size(there)} of it there already," if there else "")


def _size(num_bytes: float) -> str:
    """1_430_000_000 -> '1.43 GB'."""
    for unit, size in (("GB", GB), ("MB", 10**6)):
        if num_bytes >= size:
            return f"{num_bytes / size:.3g} {unit}"
    return f"{max(num_bytes, 0) / 1000:.3g} kB"
