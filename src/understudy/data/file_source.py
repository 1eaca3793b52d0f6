"""Images that are files of their own below one folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from PIL import Image

from understudy.data.decode import listed
from understudy.data.image_files import ImageFiles
from understudy.data.rgb import read_rgb


@dataclass(frozen=True, eq=False)
class FileSource:
    """Files by their names below `root`, with / between folders.

    A fingerprint depends on these names, not on `root`: the set may move to another disk.
    """

    root: Path
    # A million names in one buffer: a copy for a worker process costs little, and no page of it is written to.
    names: pa.StringArray

    def read(self, row: int) -> Image.Image:
        path = self.root / self.name(row)
        return read_rgb(path, str(path))

    def name(self, row: int) -> str:
        return self.names[row].as_py()

    def stamp(self, row: int) -> str:
        about = (self.root / self.name(row)).stat()
        return f"{about.st_size} {about.st_mtime_ns}"


def file_source(root: Path, names: Sequence[str], *, listed_in: str = "") -> FileSource:
    """The files `names` below `root`, in this order.

    Where the names come from a list, `listed_in` says which, and files that are not there are one ValueError.
    """
    if listed_in:
        absent = [name for name in names if not (root / name).is_file()]
        if absent:
            raise ValueError(listed(absent, f"of {len(names)} files that {listed_in} names are not in {root}"))
    odd = [repr(name) for name in names if not _is_utf8(name)]
    if odd:
        raise ValueError(listed(odd, f"of {len(names)} files in {root} have names that are not UTF-8; rename them"))
    return FileSource(root, pa.array(names, type=pa.string()))


def image_files(
    root: Path, names: Sequence[str], labels: Sequence[int], class_names: Sequence[str], *, listed_in: str = ""
) -> ImageFiles:
    """The same with a class for each of them."""
    return ImageFiles(
        source=file_source(root, names, listed_in=listed_in),
        rows=torch.arange(len(names)),
        labels=torch.tensor(labels, dtype=torch.int64),
        class_names=tuple(class_names),
    )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
