"""Whether something can be written at a path, asked before the work that is to be written there. Nothing is made."""

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path, with ~ as the home folder; of a user that there is not, a file of that name."""
    return Path(os.path.expanduser(path))


def check_folder(folder: Path) -> Path:
    """The folder, which is there or can be made. Raises ValueError where a file is in its way or it is read-only."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"{folder} cannot be written to: {there} is a file; give another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{folder} cannot be written to: {there} does not allow it; give another folder")
    return folder


def check_file(path: Path) -> Path:
    """The path of a file that can be written. Raises ValueError for a folder, and where its own is refused."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the name of a file, such as {path / 'NAME'}")
    check_folder(path.parent)
    return path
