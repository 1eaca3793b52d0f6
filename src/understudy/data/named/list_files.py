"""The text files that come with a data set: one entry a line, fields between spaces."""

from collections.abc import Sequence
from pathlib import Path

from understudy.data.decode import listed


def check_layout(name: str, root: Path, expected: Sequence[str], *, origin: str) -> None:
    """A ValueError that names all of the `expected` files and folders below `root` that are not there.

    `origin` says where the set comes from.
    """
    absent = [each for each in expected if not (root / each).exists()]
    if absent:
        found = f"{root.absolute()} has no {', '.join(absent)}" if root.is_dir() else f"there is no {root.absolute()}"
        raise ValueError(
            f"{name}: {found}; expected there {', '.join(expected)}, as in {origin}; name the folder above it with the "
            "environment variable UNDERSTUDY_DATA"
        )


def entries(path: Path, num_fields: int) -> list[list[str]]:
    """The fields of every line; the last takes the rest of it. Empty lines are passed over.

    A ValueError names all lines that have fewer fields.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    rows = [(number, line.split(maxsplit=num_fields - 1)) for number, line in enumerate(lines, 1) if line]
    short = [f"line {number}: {' '.join(fields)!r}" for number, fields in rows if len(fields) < num_fields]
    if short:
        raise ValueError(f"{path}: {listed(short, f'of {len(rows)} lines have fewer than {num_fields} fields')}")
    if not rows:
        raise ValueError(f"{path} is empty")
    return [fields for _, fields in rows]


def column(path: Path) -> list[str]:
    """The only field of every line."""
    return [fields[0] for fields in entries(path, 1)]
