"""The whole examination of a run that has not begun."""

from dataclasses import replace
from pathlib import Path

from understudy.data import BoxedImages, Dataset
from understudy.engine.doctor.case import Case
from understudy.engine.doctor.duplicates import conflicts, leaks
from understudy.engine.doctor.finding import Finding, problems
from understudy.engine.doctor.labels import labels
from understudy.engine.doctor.memory import FEW, free_bytes, memory
from understudy.engine.doctor.objects import objects
from understudy.engine.doctor.pair import enlarged, meant_for, probabilities, shared, sizes
from understudy.engine.doctor.pictures import blank, unreadable
from understudy.engine.doctor.positions import positions
from understudy.engine.doctor.reach import reach
from understudy.engine.doctor.recipe import recipe
from understudy.engine.doctor.sample import sample
from understudy.engine.doctor.scan import parts_of, scan
from understudy.engine.doctor.several import several
from understudy.engine.doctor.steps import try_steps
from understudy.engine.doctor.teacher import teacher
from understudy.engine.doctor.terms import terms
from understudy.engine.plan import Plan, check_classes
from understudy.engine.records import folder
from understudy.engine.student_size import images_scaled
from understudy.precision import Precision, threads_for

TEST_IMAGES = 1000
# Images of a step that is tried, and the pixels they may have together.
STEP_IMAGES, STEP_PIXELS = 32, 32 * 64 * 64


def examine(plan: Plan, out: Path | None = None) -> list[Finding]:
    """All findings about the run, in the order in which they were looked for; `out` is where it would be written.

    The networks of the plan are placed, frozen and called as a run would; make another plan to train them.
    """
    found = data_findings(plan) + pair_findings(plan) + folder_findings(plan, out)
    if any(one.severity == "error" and one.check in ("images", "labels") for one in found):
        return found  # the other checks need images and labels
    precision = plan.choose_precision()
    with threads_for(plan.batch_multiply_adds), images_scaled(plan.student, plan.settings.student.size):
        for network in (plan.student, plan.teacher):
            if network is not None:
                precision.place(network)
        try:
            check_classes(plan)
            case = make_case(plan, precision)
        except ValueError as error:
            return [*found, _cannot_begin(str(error))]
        return found + _of_networks(case)


def data_findings(plan: Plan) -> list[Finding]:
    """What is wrong with the images and labels."""
    scans = {name: scan(part) for name, part in parts_of(plan.data).items()}
    found = [
        *label_findings(plan.data),
        *unreadable(scans),
        *blank(scans),
        *leaks(scans["training"], scans["test"]),
    ]
    # An image with boxes has no one label.
    is_boxed = isinstance(plan.data.train, BoxedImages)
    return found if is_boxed else [*found, *conflicts(scans["training"], plan.data.train.class_names)]


def label_findings(data: Dataset) -> list[Finding]:
    """What is wrong with the labels, or with the objects in boxes."""
    return objects(data) if isinstance(data.train, BoxedImages) else labels(data)


def pair_findings(plan: Plan) -> list[Finding]:
    """What can be said of the two networks and the recipe before anything is computed."""
    found = recipe(plan.settings, plan.method, plan.student, plan.batch_size)
    found += meant_for([plan.settings.student.model], max(plan.shapes["student"][1:]))
    taught_by = (plan.settings.teacher, *plan.settings.more_teachers)
    if plan.task.answers_classes:
        networks = {"student": plan.student, "teacher": plan.whole_teacher}
        for role, network in networks.items():
            found += probabilities(role, network, plan.shapes[role]) if network is not None else []
    if plan.teacher is not None:
        found += meant_for([one.model for one in taught_by if one is not None], max(plan.shapes["teacher"][1:]))
        found += shared(plan.student, plan.teacher)
        found += enlarged(plan.teacher, plan.settings.data.size)
        found += sizes(plan.sizes["student"]["parameters"], plan.sizes["teacher"]["parameters"])
    return found


def folder_findings(plan: Plan, out: Path | None) -> list[Finding]:
    """An error where the folder holds something else, or another run."""
    if out is None:
        return []
    try:
        folder.is_finished(out, plan.settings)
    except ValueError as error:
        return [Finding(check="folder", severity="error", found=str(error), why="The run would not begin.")]
    return []


def make_case(plan: Plan, precision: Precision) -> Case:
    """What the checks of the networks look at. ValueError where the two cannot be compared."""
    settings, shape = plan.settings, plan.data.image_shape
    distiller = plan.make_distiller(precision)
    few = min(settings.batch_size, STEP_IMAGES, max(2 * FEW, STEP_PIXELS // (shape[1] * shape[2])))
    if plan.task.images_per_class:
        few = max(2, few // plan.task.images_per_class) * plan.task.images_per_class
    images, labels = plan.make_batches(precision, batch_size=few, workers=0).batch(1, 0)
    return Case(
        plan=plan,
        precision=replace(precision, compile=False),
        distiller=distiller,
        images=images,
        labels=labels,
        test=None if isinstance(plan.data.train, BoxedImages) else sample(plan.data, TEST_IMAGES),
        batch_size=plan.batch_size,
    )


def _of_networks(case: Case) -> list[Finding]:
    found = teacher(case.plan, case.precision, case.test) + several(case) + positions(case)
    stepped, steps = try_steps(case)
    found += stepped
    if problems(stepped):
        return found
    return found + terms(case) + reach(case, steps) + memory(case, free_bytes)


def _cannot_begin(told: str) -> Finding:
    return Finding(check="set-up", severity="error", found=told, why="The run would not begin.")
