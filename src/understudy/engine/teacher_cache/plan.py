"""Which of the teacher's answers a run stores, and how much they take: decided before anything is written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from understudy.data import Dataset, TrainingBatches
from understudy.distiller import Distiller, Wanted
from understudy.engine.teacher_cache.stores import Stores, each, is_importable, stores_for, what_answers_depend_on
from understudy.methods import Method, Phase
from understudy.precision import Precision

GB = 10**9


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
    common = what_answers_depend_on(distiller, batches, data, precision)
    for index, phase in enumerate(distiller.method.phases):
        if not phase.terms and not phase.guides:
            continue  # the teacher is not asked
        distiller.enter(index)
        stores, files = {}, {}
        reason = obstacle(distiller.method, phase) or _lack_of_views(batches)
        if not reason:
            images = next(batches.in_view(0))
            answers = ask(distiller, images, precision)
            stores = stores_for(root, common, distiller, answers)
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
        if term.teacher is not None and not is_importable(term.teacher):
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
