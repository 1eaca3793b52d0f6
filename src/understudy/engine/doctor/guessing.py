"""Does the teacher know more than guessing?"""

from torch import Tensor

from understudy.engine.doctor.finding import Finding
from understudy.engine.doctor.odds import is_guessing, share_by_guessing

CHECK = "teacher's accuracy"


def guessing(title: str, predicted: Tensor, labels: Tensor, num_classes: int) -> list[Finding]:
    """An error where answers as frequent as the teacher's, but given blindly, would be right as often.

    Rule: `is_guessing` on the sampled test images, against the share that blind answers of the same frequencies get.
    """
    right, share = int((predicted == labels).sum()), share_by_guessing(predicted, labels, num_classes)
    return [_guesses(title, right, len(labels), share)] if is_guessing(right, len(labels), share) else []


def guessing_by_accuracy(title: str, accuracy_pct: float, num_images: int, num_classes: int) -> list[Finding]:
    """The same from a measured accuracy alone, against answers that hit one of `num_classes`."""
    right, share = round(accuracy_pct * num_images / 100), 1 / num_classes
    return [_guesses(title, right, num_images, share)] if is_guessing(right, num_images, share) else []


def _guesses(title: str, right: int, num_images: int, share: float) -> Finding:
    return Finding(
        check=CHECK,
        severity="error",
        found=f"{title} is right on {100 * right / num_images:.1f} % of {num_images:,} test images, and guessing is on "
        f"{100 * share:.1f} %.",
        why="The student would learn noise.",
        do="check its weights, and whether they were trained on these classes and on images like these",
    )
