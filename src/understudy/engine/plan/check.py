"""What a method, its teacher and the data have to have of each other; a ValueError where they have not."""

from pathlib import Path

from torch import nn

from understudy.data.names import data_folder, is_known, unknown
from understudy.engine.plan.plan import Plan
from understudy.methods import LOGITS, Method
from understudy.models import build
from understudy.spec import Settings, did_you_mean, few


def check_teacher(settings: Settings, method: Method, given: nn.Module | None) -> None:
    """A method that needs a teacher is `given` one, or has one with weights in the settings."""
    if given is not None:
        return
    if settings.teacher is None and method.needs_teacher:
        raise ValueError(f"method {settings.method.name} needs a teacher; give --teacher")
    if settings.teacher is None and settings.student.from_teacher:
        raise ValueError("student.from_teacher needs a teacher; give --teacher, or leave it out")
    for one in (settings.teacher, *settings.more_teachers):
        if one is not None and one.weights is None:
            raise ValueError(
                f"teacher {one.model} has no weights; give --teacher-weights FILE, "
                f"or the folder of a run that trained it as --teacher{did_you_mean(Path(one.model))}"
            )


def check_names(settings: Settings) -> None:
    """ValueError for data and models that nobody knows.

    No file is read. The networks are built, for ten classes, as only that tells a size that a family has not.
    """
    folder = settings.data.folder or data_folder()
    if not is_known(settings.data.name, folder):
        raise unknown(settings.data.name, folder)
    teachers = [one for one in (settings.teacher, *settings.more_teachers) if one is not None]
    build(settings.student.model, num_classes=10)
    for one in teachers:
        try:
            build(one.model, num_classes=10)
        except ValueError as error:
            near = did_you_mean(Path(one.model))
            or_run = "" if one.weights else f"; a teacher may be a run's folder, and there is none of this name{near}"
            raise ValueError(f"{error}{or_run}") from error


def check_mixing(settings: Settings, method: Method) -> None:
    """Mixed images have no label of their own, which smoothed ones keep as the likeliest."""
    if not settings.data.mixup and not settings.data.cutmix:
        return
    for term in method.terms:
        if term.inputs is not None or term.select is not None:
            raise ValueError(
                f"{term.name} asks which class an image is of, and data.mixup and data.cutmix mix two images in one; "
                f"leave them out, or choose another method"
            )


def check_classes(plan: Plan) -> None:
    """ValueError where a term takes the teacher's classes for the data's, which have other names."""
    for term in plan.method.terms:
        if plan.other_classes and (term.tap, term.teacher_tap) == (LOGITS, None):
            data = plan.data
            lacking = [name for name in data.train.class_names if name not in plan.other_classes]
            raise ValueError(
                f"{term.name} compares logits, and the teacher knows {few(plan.other_classes, 3)}, but not "
                f"{few(lacking, 3)} of {data.name}; dtl gives the student a head for the teacher's classes. If they "
                f"are the same by other names, say with teacher.class_names=[...] what {data.name} calls each of the "
                f"teacher's, in its order"
            )
