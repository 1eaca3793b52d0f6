"""What guessing explains, and what it does not."""

from scipy.special import bdtrc
from torch import Tensor

# A healthy set-up is taken for a guessing one in at most one of a thousand.
GUESSING = 1e-3
# Fewer images than these tell no guessing network from a good one.
FEWEST_IMAGES = 50


def tail(right: int, num_images: int, share: float) -> float:
    """The chance of `right` or more hits in so many independent trials that each hit with probability `share`."""
    return 1.0 if right <= 0 else float(bdtrc(right - 1, num_images, share))


def is_guessing(right: int, num_images: int, share: float) -> bool:
    """Whether so many right answers are no more than guesses, which hit with probability `share`, would bring.

    Rule: guesses do as well with a probability above 0.001. False for fewer than 50 images.
    """
    return num_images >= FEWEST_IMAGES and tail(right, num_images, share) > GUESSING


def share_by_guessing(predicted: Tensor, labels: Tensor, num_classes: int) -> float:
    """The accuracy of answers that come as often as these and know nothing of the image (as in Cohen's kappa).

    (N,), (N,) in int64. 1 / num_classes where either is balanced; the share of a class where only it is answered.
    """
    answered, shown = (values.bincount(minlength=num_classes).double() for values in (predicted, labels))
    return float((answered * shown).sum() / (answered.sum() * shown.sum()))


def is_better(predicted: Tensor, before: Tensor, labels: Tensor, odds: float) -> bool:
    """Whether the new answers are right where the old ones are wrong more often than the other way round.

    A one-sided sign test over the images on which exactly one of the two is right, at the level `odds`.
    """
    gained = int(((predicted == labels) & (before != labels)).sum())
    lost = int(((predicted != labels) & (before == labels)).sum())
    return gained + lost > 0 and tail(gained, gained + lost, 0.5) < odds
