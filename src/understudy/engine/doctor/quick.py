"""What is looked at when a run starts: all that takes no step of a network."""

from typing import Any

from understudy.data import BoxedImages, Dataset, ImageSet
from understudy.distiller import Distiller
from understudy.engine.display import Display
from understudy.engine.doctor.duplicates import leaks
from understudy.engine.doctor.examine import data_findings, label_findings, pair_findings
from understudy.engine.doctor.finding import Finding, problems
from understudy.engine.doctor.guessing import guessing_by_accuracy
from understudy.engine.doctor.pictures import UNREADABLE, unreadable
from understudy.engine.doctor.positions import named_after
from understudy.engine.doctor.sample import sample
from understudy.engine.doctor.scan import parts_of, scan
from understudy.engine.doctor.teacher import teacher
from understudy.engine.plan import Plan
from understudy.precision import Precision
from understudy.processes import is_first, of_each

# What is hashed in about a second.
MOST_BYTES = 256 * 2**20
LOOK_AT_FILES_S = 4.0
TEST_IMAGES = 300


def look_quickly(
    plan: Plan, distiller: Distiller, precision: Precision, measured: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """The problems of a run that is about to start, as JSON knows them.

    `measured` is what run.json says of the teacher. Pixels are looked at where they are in memory and no more than 256
    MiB; the order of the teacher's classes and its normalisation on a few test images. Nothing of networks or random
    states is touched.
    """
    found = data_findings(plan) if _is_small(plan) else label_findings(plan.data)
    found += pair_findings(plan) + named_after(distiller)
    of_teacher = problems(teacher(plan, precision, _some(plan)))
    scores = measured["scores"] if measured is not None else None
    if not of_teacher and scores is not None and "accuracy_pct" in scores:
        of_teacher = guessing_by_accuracy(
            "the teacher", scores["accuracy_pct"], len(plan.data.test), plan.data.num_classes
        )
    return [one.as_plain() for one in problems(found + of_teacher)]


def _some(plan: Plan) -> ImageSet | None:
    """Test images for the teacher, if it is to be asked."""
    is_asked = plan.whole_teacher is not None and plan.task.answers_classes
    return sample(plan.data, TEST_IMAGES) if is_asked and not isinstance(plan.data.train, BoxedImages) else None


def look_at_files(data: Dataset) -> list[dict[str, Any]]:
    """The problems of images in files, of those that a few seconds are enough for, as JSON knows them.

    Images in memory were decoded when they were loaded. Of several processes the first one looks, for all. Raises a
    ValueError that lists the images which cannot be decoded.
    """
    (found, *_) = of_each(_of_files(data) if is_first() else [])
    for one in found:
        if one["check"] == UNREADABLE:
            raise ValueError(f"{one['found']}; {one['do']}")
    return found


def _of_files(data: Dataset) -> list[dict[str, Any]]:
    files = {name: part for name, part in parts_of(data).items() if not isinstance(part, ImageSet)}
    scans = {name: scan(part, seconds=LOOK_AT_FILES_S / len(files)) for name, part in files.items()}
    found = unreadable(scans) if scans else []
    if {"training", "test"} <= set(scans):
        found += leaks(scans["training"], scans["test"])
    return [one.as_plain() for one in problems(found)]


def tell(display: Display, found: list[dict[str, Any]]) -> None:
    """One line for each problem."""
    for one in found:
        display.say(str(Finding(**one)))


def _is_small(plan: Plan) -> bool:
    parts = (plan.data.train, plan.data.test)
    return (
        all(isinstance(part, ImageSet) for part in parts)
        and sum(part.images.nbytes for part in parts if isinstance(part, ImageSet)) <= MOST_BYTES
    )
