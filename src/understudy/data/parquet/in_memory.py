"""Images of one size and their labels from Parquet files, decoded at once.

All that can be wrong is looked for before anything is trained on; a ValueError names file, row and cause.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import torch

from understudy.data.decode import decode
from understudy.data.image_set import ImageSet
from understudy.data.parquet.addresses import opened
from understudy.data.parquet.layout import class_names, image_and_label, labels


def read_images(
    paths: list[Path],
    *,
    label_columns: tuple[str, ...],
    known_class_names: tuple[str, ...],
    size: tuple[int, int],
) -> ImageSet:
    """All rows of `paths` in order, in RGB; every image must be of `size` (height, width).

    The label is the first of `label_columns` that a file has. Class names come from the files' metadata, else
    the known ones are taken; their number must be that of the known ones.
    """
    names: dict[Path, tuple[str, ...]] = {}
    tables: dict[Path, pa.Table] = {}
    for path in paths:
        with opened(str(path)) as file:
            image, label = image_and_label(path, file.schema_arrow, label_columns)
            names[path] = _class_names(path, file.schema_arrow, label, known_class_names)
            tables[path] = file.read(columns=[image, label])
    if len(set(names.values())) > 1:
        raise ValueError(f"{', '.join(path.name for path in paths)}: their class names differ")
    found = labels({path: table.column(1) for path, table in tables.items()}, len(known_class_names))
    pixels = decode(_contents(tables), num_images=len(found), size=size)
    return ImageSet(
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        labels=torch.from_numpy(found),
        class_names=names[paths[0]],
    )


def _class_names(path: Path, schema: pa.Schema, label: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """From the metadata, or the known ones."""
    names = class_names(path, schema, label)
    if names is not None and len(names) != len(known):
        raise ValueError(f"{path}: its metadata must list {len(known)} class names, found {len(names)} class names")
    return names or known


def _contents(tables: dict[Path, pa.Table]) -> Iterator[tuple[str, bytes | None]]:
    """(where, file contents) of each image, one Arrow chunk at a time to keep the copies small."""
    for path, table in tables.items():
        row = 0
        for chunk in table.column(0).chunks:
            for contents in chunk.field("bytes"):
                yield f"row {row} (counted from 0) of {path}", contents.as_py()
                row += 1
