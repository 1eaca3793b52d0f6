"""The names in a file of weights and the names in a network: wrappings taken off, renames applied and proposed."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

# What DataParallel, torch.compile and training frameworks put before every name.
WRAPPINGS = ("module.", "_orig_mod.", "model.", "student.")

Value = TypeVar("Value")
Shapes = Mapping[str, tuple[int, ...]]


def fitted(state: Mapping[str, Value], own: Iterable[str], rename: Mapping[str, str]) -> dict[str, Value]:
    """What the file holds under the names that the network's `own` know best, after the renames.

    Wrappings that all names share are taken off as far as more names are known for it. Raises ValueError for a rename
    that is no regular expression, that touches no name, or that gives two tensors one name.
    """
    known, found, refused = set(own), [], []
    for unwrapped in _unwrapped(state):
        try:
            found.append(renamed(unwrapped, rename))
        except ValueError as error:  # a rename may be of the very wrapping that is taken off here
            refused.append(error)
    if not found:
        raise refused[0]
    names = max(found, key=lambda each: len(known & set(each)))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the renames {as_words(rename)} give several tensors the name {twice}; make them more exact")
    return dict(zip(names, state.values(), strict=True))


def alone(found: Mapping[str, Value], fits: Callable[[Mapping[str, Value]], bool]) -> Mapping[str, Value]:
    """What lies under one wrapping, without it, where that alone `fits`: a program's checkpoint may hold its loss too.

    All of it where nothing does, or the parts under several, as two networks of one kind.
    """
    parts = [
        {name.removeprefix(wrapping): value for name, value in found.items() if name.startswith(wrapping)}
        for wrapping in (*WRAPPINGS, "teacher.")
    ]
    fitting = [part for part in parts if len(part) < len(found) and fits(part)]
    return fitting[0] if len(fitting) == 1 else found


def _unwrapped(state: Iterable[str]) -> list[list[str]]:
    """The names as they are, then with each wrapping that all of them share taken off in turn."""
    found = [[*state]]
    while wrapping := next((w for w in WRAPPINGS if found[-1] and all(n.startswith(w) for n in found[-1])), None):
        found.append([name.removeprefix(wrapping) for name in found[-1]])
    return found


def renamed(names: list[str], rename: Mapping[str, str]) -> list[str]:
    """The names with each old part replaced by the new one, in the order of the renames.

    An old part is what stands between dots, one or several in a row, or a regular expression for it: `linear` is not
    found in `bilinear.weight`. An empty new part takes the old one out.
    """
    for old, new in rename.items():
        try:
            changed = [re.sub(rf"(?<![^.])(?:{old})(?![^.])", new, name) for name in names]
        except re.error as error:
            raise ValueError(f"the rename {old}={new} is no regular expression: {error}") from error
        if changed == names:
            raise ValueError(f"the rename {old}={new} touches no name in the file, as {', '.join(names[:2])}")
        # A part that was taken out leaves its dot behind.
        names = [re.sub(r"\.{2,}", ".", name).strip(".") for name in changed]
    return names


def propose(own: Shapes, found: Shapes) -> dict[str, str]:
    """Renames with which the file's names become the network's, each of its shape; empty where there are none.

    Names that only one side has are paired by last part and shape, in order; a rename is what differs within a pair.
    """
    missing = {name: shape for name, shape in own.items() if name not in found}
    unexpected = {name: shape for name, shape in found.items() if name not in own}
    rename: dict[str, str] = {}
    for kind in dict.fromkeys(_kind(*item) for item in unexpected.items()):
        olds, news = (
            sorted((item[0] for item in side.items() if _kind(*item) == kind), key=_in_order)
            for side in (unexpected, missing)
        )
        for old, new in zip(olds, news, strict=False):
            part, other = _difference(old, new)
            rename.setdefault(part, other)
    if "" in rename or not rename:
        return {}
    try:
        fits = dict(zip(renamed([*found], rename), found.values(), strict=True)) == dict(own)
    except ValueError:
        return {}  # one rename undoes another: these are two networks
    return rename if fits else {}


def _kind(name: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    return name.rpartition(".")[2], shape


def _in_order(name: str) -> list[tuple[int, str]]:
    """Numbers by their size: layer 2 stands before layer 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _difference(old: str, new: str) -> tuple[str, str]:
    """What is left of both when the parts that they share at either end are taken off."""
    olds, news = old.split("."), new.split(".")
    while olds and news and olds[-1] == news[-1]:
        del olds[-1], news[-1]
    while olds and news and olds[0] == news[0]:
        del olds[0], news[0]
    return ".".join(olds), ".".join(news)


def as_words(rename: Mapping[str, str]) -> str:
    """As on the command line, without the section: linear=fc."""
    return " ".join(f"{old}={new}" for old, new in rename.items())
