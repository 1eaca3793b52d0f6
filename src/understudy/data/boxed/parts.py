"""A set of images with boxes, divided into images to train on and to test on, and what is taken of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from understudy.data.boxed_images import Annotation, BoxedImages, labelled
from understudy.data.division import TEST_SHARE, difference, drawn
from understudy.data.file_source import file_source
from understudy.data.part_words import PARTS
from understudy.data.seeds import seed_of


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxedParts:
    """The parts of a set; `note` says where they were found."""

    name: str
    train: BoxedImages
    test: BoxedImages
    validation: BoxedImages | None = None
    note: str

    def __post_init__(self) -> None:
        for part, images in (("train", self.train), ("test", self.test), ("validation", self.validation)):
            if images is None:
                continue
            if not len(images):
                raise ValueError(f"{self.name}: {part} has no images")
            differ = difference(self.train.class_names, images.class_names)
            if differ:
                raise ValueError(f"{self.name}: the classes of train and {part} differ: {differ}")

    def chosen(self, *, percent: float | None, validation: float, seed: int) -> "BoxedParts":
        """With `validation` of the train images held out, and of the rest `percent`, drawn without regard to classes.

        An image shows objects of several classes: there is no share of each.
        """
        order = torch.randperm(
            len(self.train), generator=torch.Generator().manual_seed(seed_of("boxed images of seed", seed))
        )
        num_held = round(validation * len(order))
        if validation and not 0 < num_held < len(order):
            raise ValueError(
                f"validation={validation:g} of {len(order)} images leaves {num_held} to measure on and "
                f"{len(order) - num_held} to train on; give a share that leaves some of each"
            )
        rest = order[num_held:]
        if percent is not None:
            if not 0 < percent <= 100:
                raise ValueError(f"percent={percent:g}: expected above 0 and at most 100")
            rest = rest[: max(1, round(percent / 100.0 * len(rest)))]
        if num_held == 0 and percent is None:
            return self
        held = self.train.subset(order[:num_held].sort().values) if num_held else self.validation
        return replace(self, train=self.train.subset(rest.sort().values), validation=held)


def parts_as_said(name: str, said: Mapping[str, BoxedImages], *, seed: int, note: str) -> BoxedParts:
    """Images by what their files or folders are called: "train", "test", "validation", or "" where nothing says.

    What is for validation is tested on where nothing is for testing; what is not divided at all, or is all to train on,
    is divided by seed. Raises ValueError where some images are named for a part and others for none, or none is to
    train on.
    """
    found = dict(said)
    empty = [part or "no part" for part, images in found.items() if not len(images)]
    if empty:
        raise ValueError(f"{name}: {empty[0]} has no images; list some, or take its list away")
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    shown = ", ".join(f"{part or 'no part'} {len(found[part]):,}" for part in (*PARTS, "") if part in found)
    if found.keys() in ({"train"}, {""}):
        return _divided(name, *found.values(), seed=seed, note=note)
    if "" in found or "train" not in found:
        raise ValueError(
            f"{name}: expected images to train on and to test on by the names of their files or folders (train, test, "
            f"val), or no such names at all; found images: {shown or 'none'}"
        )
    return BoxedParts(
        name=name,
        train=found["train"],
        test=found["test"],
        validation=found.get("validation"),
        note=f"{note}, divided as they are named (images: {shown})",
    )


def _divided(name: str, images: BoxedImages, *, seed: int, note: str) -> BoxedParts:
    """A fifth of the images to test on, by their names and the seed alone."""
    if len(images) < 2:
        raise ValueError(f"{name}: one image cannot be both trained on and tested on")
    is_test = torch.zeros(len(images), dtype=torch.bool)
    is_test[drawn([images.name(index) for index in range(len(images))], seed)] = True
    return BoxedParts(
        name=name,
        train=images.subset((~is_test).nonzero()[:, 0]),
        test=images.subset(is_test.nonzero()[:, 0]),
        note=f"{note}; {TEST_SHARE:.0%} of the images to test on, drawn by seed {seed}",
    )


def annotated_images(
    root: Path, annotations: Mapping[str, Annotation], class_names: tuple[str, ...], *, listed_in: str = ""
) -> BoxedImages:
    """The files below `root` with what is said of each; `listed_in` as for `file_source`."""
    return BoxedImages(
        source=file_source(root, [*annotations], listed_in=listed_in),
        rows=torch.arange(len(annotations)),
        objects=tuple(labelled(annotation, class_names, name) for name, annotation in annotations.items()),
        class_names=class_names,
    )
