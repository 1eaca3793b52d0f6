"""What a mistyped name may have been meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


def nearest(name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.5) -> str:
    """'; nearest: resnet18, resnet34', at most so many, or nothing where none is near; capitals do not matter."""
    by_lower = {one.lower(): one for one in known}
    near = [by_lower[one] for one in get_close_matches(name.lower(), by_lower, n=count, cutoff=cutoff)]
    return f"; nearest: {', '.join(near)}" if near else ""


def near_runs(folder: Path) -> list[str]:
    """Finished or begun runs in the folder itself, or beside it under a similar name; at most four."""
    if folder.is_dir():
        return [str(path.parent) for path in sorted(folder.glob("*/run.json"))[:4]]
    beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
    names = [path.name for path in beside if path.is_dir()]
    return [str(folder.parent / name) for name in get_close_matches(folder.name, names, n=3)]


def did_you_mean(folder: Path) -> str:
    """'; did you mean runs/teacher?', or nothing."""
    near = near_runs(folder)
    return f"; did you mean {' or '.join(near)}?" if near else ""
