"""An embedding network of a classifier, in the form that is wanted."""

from collections.abc import Callable

from torch import Tensor, nn

from understudy.models.embedding import Form, without_classifier
from understudy.models.hdhe import hdhe


def embed(make: Callable[[], nn.Module], form: Form, images: Tensor) -> nn.Module:
    """The embedding network of this form; `make` answers the classifier anew, as often as it is called.

    `images` (B, C, H, W) are an example. Raises ValueError where the classifier cannot be brought into the form.
    """
    if not form.heads:
        return without_classifier(make(), form, images)
    return hdhe([make() for _ in form.heads], form, images)
