"""The teacher on test images: is it right, and would it be right more often otherwise?"""

from torch import Tensor

from understudy.data import ImageSet
from understudy.engine.doctor.case import Case
from understudy.engine.doctor.class_order import class_order, mapped_by_the_other_half
from understudy.engine.doctor.finding import Finding
from understudy.engine.doctor.guessing import CHECK, guessing
from understudy.engine.doctor.normalisation import normalisation
from understudy.engine.doctor.odds import FEWEST_IMAGES
from understudy.engine.doctor.pair import accuracies
from understudy.engine.doctor.views import View, predictions, views
from understudy.modes import evaluating


def teacher(case: Case) -> list[Finding]:
    """The findings about each network of the teacher; none where it knows no or other classes."""
    plan = case.plan
    if plan.teacher is None or plan.whole_teacher is None or case.test is None or not plan.task.answers_classes:
        return []
    with evaluating(plan.teacher):
        found = [finding for view in views(plan.teacher, plan.data) for finding in _of_view(case, view, case.test)]
        return found + _beside_the_student(case, case.test)


def _of_view(case: Case, view: View, test: ImageSet) -> list[Finding]:
    """The cause where there is one, else that it is guessing, else its accuracy."""
    labels, names = test.labels.cpu(), case.plan.data.train.class_names
    predicted = predictions(view.answer, test, view.mean, view.std, case.precision)
    told = f"{view.title} is right on {accuracy_pct(predicted, labels):.1f} % of {len(labels):,} test images"
    if len(labels) < FEWEST_IMAGES:
        told += ", too few to tell whether it guesses"
    return (
        _causes(case, view, predicted, test)
        or guessing(view.title, predicted, labels, len(names))
        or [Finding(check=CHECK, severity="fine", found=told)]
    )


def _causes(case: Case, view: View, predicted: Tensor, test: ImageSet) -> list[Finding]:
    """The order of its classes, its normalisation, or both: what makes most of its answers right.

    Answers to pixels that are normalised wrongly can be wrong in an orderly way, and the other way round.
    """
    labels, names = test.labels.cpu(), case.plan.data.train.class_names

    def order(answers: Tensor) -> list[Finding]:
        return class_order(view.title, view.setting, answers, labels, names, reorders=view.reorders)

    otherwise, best = normalisation(view, predicted, test, case.precision)
    if not otherwise:
        return order(predicted)
    mapped = mapped_by_the_other_half(predicted, labels, len(names))
    if order(predicted) and accuracy_pct(mapped, labels) > accuracy_pct(best, labels):
        return order(predicted)
    return otherwise + order(best)


def accuracy_pct(predicted: Tensor, labels: Tensor) -> float:
    return 100 * float((predicted == labels).double().mean())


def _beside_the_student(case: Case, test: ImageSet) -> list[Finding]:
    """Of a student that starts with weights from a file."""
    plan = case.plan
    if plan.settings.student.weights is None or plan.teacher is None:
        return []
    with evaluating(plan.student):
        student, teacher = (
            predictions(network, test, plan.data.mean, plan.data.std, case.precision)
            for network in (plan.student, plan.teacher)
        )
    return accuracies(student, teacher, test.labels.cpu())
