"""Some of a set's classes, or all in another order."""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from understudy.data.image_files import ImageFiles
from understudy.data.image_set import ImageSet
from understudy.spec import as_word, few

Images = TypeVar("Images", ImageSet, ImageFiles)


def select_classes(images: Images, names: Sequence[str]) -> Images:
    """The images of the classes `names`, in the order of the set, labelled by the place of the name given here.

    Images of other classes are dropped. A ValueError for no names, for names given twice, and one for all unknown
    names, with the nearest.
    """
    if not names:
        raise ValueError("no classes are chosen; name at least one")
    # As YAML does with names that look like numbers, so may whoever writes Python.
    names = [str(name) for name in names]
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    ambiguous = sorted({name for name in names if images.class_names.count(name) > 1})
    if repeated or ambiguous:
        raise ValueError(
            f"classes are given twice: {', '.join(repeated)}"
            if repeated
            else f"several classes of this set have the same name: {', '.join(ambiguous)}"
        )
    unknown = [name for name in names if name not in images.class_names]
    if unknown:
        told = [f"{name!r}{_nearest(name, images.class_names)}" for name in unknown]
        # YAML takes 00001 for the number 1.
        quoted = any(name.isdigit() for name in images.class_names) and any(name.isdigit() for name in unknown)
        hint = f"; names of digits want quotes, {as_word('data.classes', images.class_names[:2])}" if quoted else ""
        raise ValueError(f"unknown classes: {'; '.join(told)}; the set has {_shown(images.class_names)}{hint}")
    new_label = torch.full((len(images.class_names),), -1)
    new_label[[images.class_names.index(name) for name in names]] = torch.arange(len(names))
    labels = new_label.to(images.labels.device)[images.labels]
    kept = (labels >= 0).nonzero()[:, 0]
    chosen = images.subset(kept)
    return replace(chosen, labels=labels[kept], class_names=tuple(names))


def alike(names: Sequence[str]) -> list[list[str]]:
    """Groups of names that differ in capitals alone."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(name.casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _nearest(name: str, known: tuple[str, ...]) -> str:
    """ " (did you mean 'dog'?)", or nothing where none is near; capitals do not matter."""
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=2, cutoff=0.5)
    return f" (did you mean {' or '.join(repr(by_lower[each]) for each in near)}?)" if near else ""


def _shown(names: tuple[str, ...]) -> str:
    return f"{len(names)} classes: {few(names, 10)}"
