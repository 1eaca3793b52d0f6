"""Files that are there whole or not at all, and mistakes in them that are told with the file's name."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


@contextlib.contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """A path to write to, of the same suffix: it becomes `path` when the block ends well, else it is removed."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which appears under its name when the block has ended well, and never otherwise."""
    try:
        with whole_path(path) as partial, partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        # A full disk's own error names no file.
        raise OSError(error.errno or 0, error.strerror or str(error), error.filename or str(path)) from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a small file so that it is there whole or not at all."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def read_object(path: Path, *needed: str) -> dict[str, Any]:
    """The JSON object that a file holds. Raises ValueError where it holds none, or lacks a key that is needed."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: not JSON ({error.msg}); expected one object") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no text in UTF-8; expected one JSON object") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: found {type(found).__name__}; expected one JSON object")
    missing = [name for name in needed if name not in found]
    if missing:
        has = ", ".join(found) or "nothing"
        raise ValueError(f"{path}: found {has}; expected {', '.join(missing)} as well")
    return found
