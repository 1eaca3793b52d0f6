"""Do the labels make a task: every class there, and none far rarer than another?"""

import torch
from torch import Tensor

from understudy.data import BoxedImages, Dataset
from understudy.engine.doctor.finding import Finding
from understudy.spec import few

CHECK = "labels"
IMBALANCE = 100


def labels(data: Dataset) -> list[Finding]:
    """Labels outside the classes, classes without images, and classes 100 times as frequent as others.

    Rules: exact counts. A class without training images is an error where it is tested, a warning elsewhere.
    """
    assert not isinstance(data.train, BoxedImages) and not isinstance(data.test, BoxedImages)
    names = data.train.class_names
    parts = {"training": data.train.labels.cpu(), "test": data.test.labels.cpu()}
    if data.disjoint:
        return _of_disjoint(data, parts)
    outside = [one for part, values in parts.items() for one in _outside(part, values, len(names))]
    if outside:
        return outside
    train, test = (torch.bincount(values, minlength=len(names)) for values in parts.values())
    found = _untrained(train, test, names) + _untested(train, test, names) + _imbalance(train, names)
    fewest, most = int(train.min()), int(train.max())
    counts = f"{fewest:,} to {most:,}" if fewest < most else f"{most:,}"
    return found or [
        Finding(check=CHECK, severity="fine", found=f"{len(names):,} classes, each with {counts} training images")
    ]


def _of_disjoint(data: Dataset, parts: dict[str, Tensor]) -> list[Finding]:
    """Of parts with classes of their own: those that are trained on are never tested."""
    assert not isinstance(data.train, BoxedImages) and not isinstance(data.test, BoxedImages)
    own = {"training": data.train.class_names, "test": data.test.class_names}
    found = [one for part, values in parts.items() for one in _outside(part, values, len(own[part]))]
    counts = f"{len(own['training']):,} classes to train on and {len(own['test']):,} others to test on"
    return (
        found
        or _imbalance(torch.bincount(parts["training"], minlength=len(own["training"])), own["training"])
        or [Finding(check=CHECK, severity="fine", found=counts)]
    )


def _outside(part: str, values: Tensor, num_classes: int) -> list[Finding]:
    wrong = ((values < 0) | (values >= num_classes)).nonzero()[:, 0].tolist()
    if not wrong:
        return []
    return [
        Finding(
            check=CHECK,
            severity="error",
            found=f"{len(wrong):,} {part} labels are outside 0..{num_classes - 1}: "
            f"{few(f'{int(values[index])} at image {index}' for index in wrong)}.",
            why="The cross-entropy has no such class.",
            do="number the classes from 0 on, and name every one of them",
        )
    ]


def _untrained(train: Tensor, test: Tensor, names: tuple[str, ...]) -> list[Finding]:
    missing = (train == 0).nonzero()[:, 0].tolist()
    if not missing:
        return []
    num_tested = int(test[missing].sum())
    return [
        Finding(
            check=CHECK,
            severity="error" if num_tested else "warning",
            found=f"{len(missing):,} of {len(names):,} classes have no training image: "
            f"{few(names[index] for index in missing)}; {num_tested:,} test images show them.",
            why="No label teaches the student these classes.",
            do="add images of them, or leave the classes out",
        )
    ]


def _untested(train: Tensor, test: Tensor, names: tuple[str, ...]) -> list[Finding]:
    missing = ((test == 0) & (train > 0)).nonzero()[:, 0].tolist()
    if not missing:
        return []
    return [
        Finding(
            check=CHECK,
            severity="warning",
            found=f"{len(missing):,} of {len(names):,} classes have no test image: "
            f"{few(names[index] for index in missing)}.",
            why="The accuracy would say nothing of them.",
            do="move some of their images to the test part",
        )
    ]


def _imbalance(train: Tensor, names: tuple[str, ...]) -> list[Finding]:
    there = train[train > 0]
    if len(there) == 0 or there.max() < IMBALANCE * there.min():
        return []
    most, fewest = int(train.argmax()), int((train == there.min()).nonzero()[0])
    return [
        Finding(
            check=CHECK,
            severity="warning",
            found=f"class {names[most]} has {int(there.max()):,} training images and class {names[fewest]} "
            f"{int(there.min()):,}, {int(there.max() / there.min()):,} times fewer.",
            why="The student can be right on nearly all images and never answer the rare classes.",
            do="take as many images of each class (data.per_class=N), or read the accuracy class by class",
        )
    ]
