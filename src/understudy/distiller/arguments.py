"""What a distiller is made of, before anything is asked of it."""

from torch import Tensor, nn

from understudy.methods import Method
from understudy.spec import kind_of


def check_arguments(student: object, teacher: object, method: object, images: object) -> None:
    """ValueError for an argument of another kind than is taken, with what is."""
    expected = (
        ("student", student, nn.Module, "a module (an instance, not its class)"),
        ("teacher", teacher, (nn.Module, type(None)), "a module (an instance, not its class), or None"),
        ("method", method, (Method, str), "a name from `understudy list methods`, or a Method"),
        ("images", images, Tensor, "an example batch, a tensor (B, C, H, W)"),
    )
    for name, found, kinds, words in expected:
        if not isinstance(found, kinds):
            raise ValueError(f"{name} is {kind_of(found)}; expected {words}")
    if student is teacher:
        raise ValueError("student and teacher are one network, which cannot learn from itself; give a copy.deepcopy")
    assert isinstance(images, Tensor)
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(
            f"images is {images.dtype} of shape {tuple(images.shape)}; expected an example batch (B, C, H, W) of "
            f"floats, normalised as the networks see them"
        )
