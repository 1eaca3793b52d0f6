"""What lies in a place or beside it, for messages about what does not."""

from pathlib import Path

from understudy.spec import few, nearest


def inside(directory: Path) -> str:
    """The first names in it, in order."""
    return few(sorted(path.name for path in directory.iterdir()), 3) or "nothing"


def neighbours(path: Path) -> str:
    """The end of a message that says that there is no such folder: what lies where it should, and the nearest name."""
    above = path.absolute().parent
    if not above.is_dir():
        return ""
    return f"; {above} has {inside(above)}{nearest(path.name, [one.name for one in above.iterdir()])}"
