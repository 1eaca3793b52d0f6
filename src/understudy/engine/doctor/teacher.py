"""The teacher on test images: is it right, and would it be right more often otherwise?"""

from torch import Tensor

from understudy.data import ImageSet
from understudy.engine.doctor.class_order import class_order, mapped_by_the_other_half
from understudy.engine.doctor.finding import Finding
from understudy.engine.doctor.guessing import CHECK, guessing
from understudy.engine.doctor.normalisation import normalisation
from understudy.engine.doctor.odds import FEWEST_IMAGES
from understudy.engine.doctor.pair import accuracies
from understudy.engine.doctor.views import View, predictions, views
from understudy.engine.plan import Plan
from understudy.modes import evaluating
from understudy.precision import Precision


def teacher(plan: Plan, precision: Precision, test: ImageSet | None) -> list[Finding]:
    """The findings about each network of the teacher, on these images; none where it knows no or other classes."""
    if plan.teacher is None or plan.whole_teacher is None or test is None or not plan.task.answers_classes:
        return []
    # Of a name there is always a file.
    has_settings = plan.settings.teacher is not None and plan.settings.teacher.weights is not None
    with evaluating(plan.teacher):
        each = views(plan.teacher, plan.data, has_settings=has_settings)
        found = [one for view in each for one in _of_view(plan, precision, view, test)]
        return found + _beside_the_student(plan, precision, test)


def _of_view(plan: Plan, precision: Precision, view: View, test: ImageSet) -> list[Finding]:
    """The cause where there is one, else that it is guessing, else its accuracy."""
    labels, names = test.labels.cpu(), plan.data.train.class_names
    predicted = predictions(view.answer, test, view.mean, view.std, precision)
    told = f"{view.title} is right on {accuracy_pct(predicted, labels):.1f} % of {len(labels):,} test images"
    if len(labels) < FEWEST_IMAGES:
        told += ", too few to tell whether it guesses"
    return (
        _causes(precision, view, predicted, test)
        or guessing(view.title, predicted, labels, len(names))
        or [Finding(check=CHECK, severity="fine", found=told)]
    )


def _causes(precision: Precision, view: View, predicted: Tensor, test: ImageSet) -> list[Finding]:
    """The order of its classes, its normalisation, or both: what makes most of its answers right.

    Answers to pixels that are normalised wrongly can be wrong in an orderly way, and the other way round.
    """
    labels, names = test.labels.cpu(), test.class_names

    def order(answers: Tensor) -> list[Finding]:
        return class_order(view.title, view.setting, answers, labels, names, reorders=view.reorders)

    otherwise, best = normalisation(view, predicted, test, precision)
    if not otherwise:
        return order(predicted)
    mapped = mapped_by_the_other_half(predicted, labels, len(names))
    if order(predicted) and accuracy_pct(mapped, labels) > accuracy_pct(best, labels):
        return order(predicted)
    return otherwise + order(best)


def accuracy_pct(predicted: Tensor, labels: Tensor) -> float:
    return 100 * float((predicted == labels).double().mean())


def _beside_the_student(plan: Plan, precision: Precision, test: ImageSet) -> list[Finding]:
    """Of a student that starts with weights from a file."""
    if plan.settings.student.weights is None or plan.teacher is None:
        return []
    with evaluating(plan.student):
        student, teacher = (
            predictions(network, test, plan.data.mean, plan.data.std, precision)
            for network in (plan.student, plan.teacher)
        )
    return accuracies(student, teacher, test.labels.cpu())
