"""A data set divided into images to train on and images to test on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from understudy.data.decode import listed
from understudy.data.image_files import ImageFiles

TEST_SHARE = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """The parts of a set, of the same classes in the same order; `note` says where they were found and how divided.

    Parts that are `disjoint` have no class in common. `gallery` is where the test images are looked for, if not among
    themselves; its classes are theirs.
    """

    name: str
    train: ImageFiles
    test: ImageFiles
    validation: ImageFiles | None = None
    gallery: ImageFiles | None = None
    disjoint: bool = False
    note: str

    def __post_init__(self) -> None:
        for part, files in (("train", self.train), ("test", self.test), ("validation", self.validation)):
            if files is None:
                continue
            if not len(files):
                raise ValueError(f"{self.name}: {part} has no images")
            differ = difference(self.train.class_names, files.class_names)
            if differ and not self.disjoint:
                raise ValueError(f"{self.name}: the classes of train and {part} differ: {differ}")


def divided(name: str, files: ImageFiles, *, seed: int, note: str) -> Parts:
    """A fifth of every class to test on, rounded but at least one image; a ValueError for classes of one image.

    Which images these are depends on the seed, their names and the number in their class, and on nothing else:
    not on the order, on other classes or on where the set lies.
    """
    is_test = torch.zeros(len(files), dtype=torch.bool)
    lonely = []
    for label, class_name in enumerate(files.class_names):
        of_class = (files.labels == label).nonzero()[:, 0]
        if len(of_class) == 1:
            lonely.append(class_name)
        is_test[of_class[drawn([files.name(index) for index in of_class.tolist()], seed)]] = True
    if lonely:
        what = f"of {len(files.class_names)} classes have one image, which cannot be both trained on and tested on"
        raise ValueError(f"{name}: {listed(lonely, what)}")
    return Parts(
        name=name,
        train=files.subset((~is_test).nonzero()[:, 0]),
        test=files.subset(is_test.nonzero()[:, 0]),
        note=f"{note}; {TEST_SHARE:.0%} of every class to test on, drawn by seed {seed}",
    )


def drawn(names: Sequence[str], seed: int) -> list[int]:
    """Where the fifth of these images stands whose hashes are lowest, rounded but at least one of any."""
    count = max(1, round(len(names) * TEST_SHARE)) if names else 0
    hashes = [hashlib.sha256(f"{seed}\0{name}".encode()).digest() for name in names]
    return sorted(range(len(names)), key=hashes.__getitem__)[:count]


def difference(expected: tuple[str, ...], found: tuple[str, ...]) -> str:
    """What the second lacks or has too much; an empty string where they are equal."""
    missing, extra = set(expected) - set(found), set(found) - set(expected)
    told = [
        listed(sorted(names), f"{'class is' if len(names) == 1 else 'classes are'} {what}")
        for names, what in ((missing, "missing"), (extra, "unknown to train"))
        if names
    ]
    return "; ".join(told) or ("" if expected == found else "they are in another order")
