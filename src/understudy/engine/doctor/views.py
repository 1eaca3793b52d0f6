"""Each of the teacher's networks as a function of pixels, so that its normalisation can be tried."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from understudy.data import Dataset, ImageSet
from understudy.precision import Precision
from understudy.teachers import Teachers

BATCH_SIZE = 100

# Mean and std of each channel.
Constants = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class View:
    """A network that answers logits of the data's classes to images normalised by `mean` and `std` (units of 0..255).

    `title` is it in words, `setting` the section of its settings, empty for a module that was given as it is; `of_data`
    are the constants that the student's images have, in the same units. `reorders` says that its answers are already
    put into the order of the data's classes.
    """

    title: str
    setting: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    of_data: Constants
    answer: Callable[[Tensor], Tensor]
    reorders: bool = False


def views(teacher: nn.Module, data: Dataset, *, has_settings: bool = True) -> list[View]:
    """One for each network of the teacher; a module that was given as it is has no settings."""
    if not isinstance(teacher, Teachers):
        own = data.mean, data.std
        setting = "teacher" if has_settings else ""
        return [View(title="the teacher", setting=setting, mean=own[0], std=own[1], of_data=own, answer=teacher)]
    sections = ["teacher", *(f"more_teachers.{index}" for index in range(len(teacher.networks) - 1))]
    return [
        _of_member(teacher, index, data, section if has_settings else "", alone=len(sections) == 1)
        for index, section in enumerate(sections)
    ]


def _of_member(teacher: Teachers, index: int, data: Dataset, setting: str, *, alone: bool) -> View:
    scale, shift = getattr(teacher, f"scale{index}"), getattr(teacher, f"shift{index}")
    classes = getattr(teacher, f"classes{index}")

    def answer(images: Tensor) -> Tensor:
        # `seen` begins with the student's images; undone here, it leaves the size to be changed.
        logits = teacher.networks[index](teacher.seen(index, (images - shift) / scale))
        return logits if classes is None else logits[:, classes]

    std = [have / factor for have, factor in zip(data.std, scale.flatten().tolist(), strict=True)]
    offsets = zip(data.mean, shift.flatten().tolist(), std, strict=True)
    return View(
        title="the teacher" if alone else f"teacher {index + 1}",
        setting=setting,
        mean=tuple(mean - offset * own for mean, offset, own in offsets),
        std=tuple(std),
        of_data=(data.mean, data.std),
        answer=answer,
        reorders=classes is not None,
    )


def as_member(**said: object) -> str:
    """How what its user says of a module is given: `Member` takes constants in units of 0..255."""
    words = ", ".join(f"{key}={value}" for key, value in said.items())
    return (
        f"give understudy.teachers.Teachers([Member(network=teacher, {words})], mean=data.mean, std=data.std, "
        "example=images) as the teacher"
    )


@torch.no_grad()
def predictions(
    answer: Callable[[Tensor], Tensor],
    images: ImageSet,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    precision: Precision,
    *,
    reverse_channels: bool = False,
) -> Tensor:
    """The likeliest class of each image, normalised by these constants: (N,) in int64, on the processor."""
    columns = [torch.tensor(values, device=precision.device)[:, None, None] for values in (mean, std)]
    found = []
    for pixels in images.images.split(BATCH_SIZE):
        pixels = pixels.flip(1) if reverse_channels else pixels
        with precision.autocast():
            logits = answer((pixels.to(precision.device).float() - columns[0]) / columns[1])
        found.append(logits.argmax(dim=1).cpu())
    return torch.cat(found)
