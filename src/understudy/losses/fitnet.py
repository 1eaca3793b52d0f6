"""FitNets: hints.

Romero, Ballas, Kahou, Chassang, Gatta & Bengio, "FitNets: Hints for Thin Deep Nets", ICLR 2015, section 2.2
(hint-based training).

Differs from the paper: the regressor has a BatchNorm; the guided layer is the end of the last group, where the paper
takes a middle layer; the second phase learns from labels alone (`fitnet+kd` has KD as AB's authors do), where the paper
adds KD with a weight that falls. The share of the first phase is theirs too.
"""

from torch import Tensor

from understudy.ops import at_least_float32, sum_of_squares


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Half the sum of squared differences over one image.

    (B, ...), (B, ...) -> (), averaged over the batch; the student's features have passed the regressor. Each unit
    is compared with its own: only an orthogonal map of the channels applied to both sides changes nothing. Raises
    ValueError for unequal shapes.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"a hint compares features of one shape; found the student's {tuple(student.shape)} and the teacher's "
            f"{tuple(teacher.shape)}; pass the student's through a regressor to the teacher's shape first"
        )
    difference = at_least_float32(student.detach()) - at_least_float32(teacher.detach())
    return 0.5 * sum_of_squares(student, difference) / student.shape[0]
