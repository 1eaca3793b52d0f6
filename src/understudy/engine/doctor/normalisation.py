"""Would the teacher answer better to images that are normalised otherwise?"""

from torch import Tensor

from understudy.data import ImageSet
from understudy.engine.doctor.finding import Finding
from understudy.engine.doctor.odds import FEWEST_IMAGES, is_better
from understudy.engine.doctor.sample import drawn
from understudy.engine.doctor.views import Constants, View, as_member, predictions
from understudy.precision import Precision
from understudy.spec import as_word

CHECK = "teacher's normalisation"
ODDS = 1e-4
SMALLEST_GAIN = 0.02
# All are tried on so many, the best of them on the whole sample.
FIRST_IMAGES = 100
BGR = "BGR"

# Mean and std of pixels in 0..1, as they are usual.
COLOURED: dict[str, Constants] = {
    "ImageNet's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CIFAR-10's": ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    "CIFAR-100's": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
GREY: dict[str, Constants] = {"MNIST's": ((0.1307,), (0.3081,))}


def normalisation(
    view: View, predicted: Tensor, images: ImageSet, precision: Precision
) -> tuple[list[Finding], Tensor]:
    """A warning where a usual normalisation, or BGR for RGB, makes clearly more answers right; and the answers then.

    `predicted` are its answers to these images as it sees them now. Rule: the one that does best on a hundred of the
    images makes at least 2 points of accuracy more on all of them, and the gain is not chance (sign test, 1e-4).
    """
    if len(images) < FEWEST_IMAGES:
        return [], predicted
    some, labels = drawn(len(images), FIRST_IMAGES), images.labels.cpu()
    first, known = images.subset(some), usual(view)
    tries = [*known, *([BGR] if len(view.mean) == 3 else [])]
    right = {name: int((_tried(view, known.get(name), first, precision) == labels[some]).sum()) for name in tries}
    name = max(right, key=lambda name: right[name])
    if right[name] <= int((predicted == labels)[some].sum()):
        return [], predicted
    best = _tried(view, known.get(name), images, precision)
    was, would = (float((answers == labels).double().mean()) for answers in (predicted, best))
    if would - was < SMALLEST_GAIN or not is_better(best, predicted, labels, ODDS):
        return [], predicted
    return [_finding(view, name, known.get(name), 100 * was, 100 * would, len(images))], best


def _tried(view: View, constants: Constants | None, images: ImageSet, precision: Precision) -> Tensor:
    """The answers with these constants; with the channels turned round where there are none."""
    if constants is None:
        return predictions(view.answer, images, view.mean, view.std, precision, reverse_channels=True)
    # Constants are written for pixels in 0..1, and applied to bytes.
    mean, std = (tuple(255.0 * value for value in values) for values in constants)
    return predictions(view.answer, images, mean, std, precision)


def usual(view: View) -> dict[str, Constants]:
    """The data's own normalisation, which is the likeliest, and the usual ones of such images, of pixels in 0..1."""
    channels = len(view.mean)
    mean, std = (tuple(round(value / 255, 6) for value in values) for values in view.of_data)
    return {
        "of this data": (mean, std),
        **{3: COLOURED, 1: GREY}.get(channels, {}),
        "0.5 and 0.5": ((0.5,) * channels, (0.5,) * channels),
        "none (0..1)": ((0.0,) * channels, (1.0,) * channels),
        "raw bytes (0..255)": ((0.0,) * channels, (round(1 / 255, 6),) * channels),
    }


def _finding(
    view: View, name: str, constants: Constants | None, was_pct: float, would_pct: float, num_images: int
) -> Finding:
    numbers = f"{was_pct:.1f} % of {num_images:,} test images as it sees them now"
    if constants is None:
        found = f"{view.title} is right on {numbers}, and on {would_pct:.1f} % with the channels in the order BGR."
        do = "turn round the input channels of its first layer's weights: weight.flip(1)"
    else:
        found = f"{view.title} is right on {numbers}, and on {would_pct:.1f} % with the normalisation {name}."
        do = _in_words(view.setting, dict(zip(("mean", "std"), constants, strict=True)))
    return Finding(check=CHECK, severity="warning", found=found, why="It knows more than it would be asked for.", do=do)


def _in_words(setting: str, constants: dict[str, tuple[float, ...]]) -> str:
    if not setting:
        return as_member(**{key: tuple(round(255 * value, 3) for value in own) for key, own in constants.items()})
    return " ".join(as_word(f"{setting}.{key}", own) for key, own in constants.items())
