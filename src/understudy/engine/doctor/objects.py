"""Do the boxes make a task: objects of every class to train on and to test on?"""

import torch

from understudy.data import BoxedImages, Dataset
from understudy.engine.doctor.finding import Finding
from understudy.spec import few

CHECK = "labels"


def objects(data: Dataset) -> list[Finding]:
    """Classes that are tested and have no training objects, and classes that are trained and have no test objects.

    Rules: exact counts, without difficult objects. The first is an error, the second a warning; so is a class that has
    neither. No training object at all is an error.
    """
    names = data.train.class_names
    train, test = (_counts(part) for part in (data.train, data.test))
    if not train.sum():
        return [_nothing(data.train)]
    untrained = ((train == 0) & (test > 0)).nonzero()[:, 0].tolist()
    untested = (test == 0).nonzero()[:, 0].tolist()
    if not untrained and not untested:
        counts = f"{int(train.min()):,} to {int(train.max()):,}"
        return [
            Finding(check=CHECK, severity="fine", found=f"{len(names):,} classes, each with {counts} training objects")
        ]
    found = []
    if untrained:
        found.append(
            Finding(
                check=CHECK,
                severity="error",
                found=f"no training object is of {few(names[label] for label in untrained)}; test images show them.",
                why="No box teaches the student these classes.",
                do="add images of them, or leave the classes out",
            )
        )
    if untested:
        found.append(
            Finding(
                check=CHECK,
                severity="warning",
                found=f"no test object is of {few(names[label] for label in untested)}.",
                why="The mean average precision would leave them out.",
                do="move some of their images to the test part, or leave the classes out",
            )
        )
    return found


def _nothing(images: object) -> Finding:
    assert isinstance(images, BoxedImages)
    difficult = f": all {images.num_objects:,} are difficult, or crowds" if images.num_objects else ""
    return Finding(
        check=CHECK,
        severity="error",
        found=f"no training object counts{difficult}.",
        why="No box teaches the student anything.",
        do="look at the annotations",
    )


def _counts(images: object) -> torch.Tensor:
    assert isinstance(images, BoxedImages)
    labels = torch.cat([each.labels[~each.difficult] for each in images.objects])
    return torch.bincount(labels, minlength=len(images.class_names))
