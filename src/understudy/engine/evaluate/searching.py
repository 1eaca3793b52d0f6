"""Measuring embeddings on disk: how often the nearest images show a query's class."""

from dataclasses import replace
from typing import Any

from understudy.data import Dataset
from understudy.engine import facts
from understudy.engine.evaluate.subject import Subject, part_of, settings_beside
from understudy.spec import RetrievalSettings
from understudy.tasks import search


def measure_search(
    subject: Subject, taught_by: Subject | None, data: Dataset, split: str
) -> tuple[dict[str, Any], int]:
    """The scores of the network and of its teacher, by the settings of the run beside it; how many images there are.

    The numbers of K and the mirrored image are the usual ones where no run lies beside the file.
    """
    settings = settings_beside(subject.found)
    wanted = (settings.retrieval if settings is not None else None) or RetrievalSettings()
    num_images = len(part_of(data, split))
    teacher = taught_by and {
        "model": taught_by.found.model,
        "file": str(taught_by.found.file),
        "sha256": facts.sha256(taught_by.found.file),
        "scores": _scores(taught_by, data, split, wanted),
    }
    return {"num_images": num_images, "scores": _scores(subject, data, split, wanted), "teacher": teacher}, num_images


def _scores(subject: Subject, data: Dataset, split: str, wanted: RetrievalSettings) -> dict[str, float]:
    seen = replace(data, mean=subject.mean, std=subject.std)
    return search(
        subject.answer,
        part_of(seen, split),
        seen,
        subject.precision,
        at=wanted.at,
        flip=wanted.flip,
        as_input=(lambda images: images.round().byte()) if subject.takes_pixels else (lambda images: images),
    )
