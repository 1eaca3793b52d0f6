"""Images and labels from Parquet files in the layout of Hugging Face's image sets.

A column `image` (or `img`) of structs with the encoded file in `bytes`, and a column of integer labels. All
that can be wrong is looked for before anything is trained on; a ValueError names file, row and cause.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from understudy.data.decode import decode, listed
from understudy.data.image_set import ImageSet

IMAGE_COLUMNS = ("image", "img")


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
    schemas = {path: _schema(path) for path in paths}
    columns = {path: _columns(path, schema, label_columns) for path, schema in schemas.items()}
    names = {path: _class_names(path, schemas[path], columns[path][1], known_class_names) for path in paths}
    if len(set(names.values())) > 1:
        raise ValueError(f"{', '.join(path.name for path in paths)}: their class names differ")
    tables = {path: _table(path, columns[path]) for path in paths}
    labels = _labels({path: table.column(1) for path, table in tables.items()}, len(known_class_names))
    pixels = decode(_contents(tables), num_images=len(labels), size=size)
    return ImageSet(
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        labels=torch.from_numpy(labels),
        class_names=names[paths[0]],
    )


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except pa.ArrowException as error:
        raise ValueError(f"{path} is not a whole Parquet file ({error}); fetch it again") from error


def _table(path: Path, columns: tuple[str, str]) -> pa.Table:
    try:
        return pq.ParquetFile(path).read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a whole Parquet file ({error}); fetch it again") from error


def _columns(path: Path, schema: pa.Schema, label_columns: tuple[str, ...]) -> tuple[str, str]:
    """The names of (image column, label column), both checked for their type."""
    image = next((name for name in IMAGE_COLUMNS if name in schema.names), None)
    label = next((name for name in label_columns if name in schema.names), None)
    if image is None or label is None:
        what, wanted = ("image", IMAGE_COLUMNS) if image is None else ("label", label_columns)
        raise ValueError(
            f"{path} has no {what} column: expected {' or '.join(wanted)}, "
            f"found {', '.join(schema.names) or 'no columns'}"
        )
    image_type, label_type = schema.field(image).type, schema.field(label).type
    if not pa.types.is_struct(image_type) or "bytes" not in {field.name for field in image_type}:
        raise ValueError(
            f"{path}: column {image!r} must be a struct with the encoded image in 'bytes', found {image_type}"
        )
    if not pa.types.is_integer(label_type):
        raise ValueError(f"{path}: column {label!r} must be of integers, found {label_type}")
    return image, label


def _class_names(path: Path, schema: pa.Schema, label: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """From our own metadata, from Hugging Face's, or the known ones."""
    metadata = schema.metadata or {}
    try:
        names = json.loads(metadata.get(b"class_names", b"null"))
        if names is None:
            features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
            names = features.get(label, {}).get("names")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: the class names in its metadata are not readable JSON ({error})") from error
    if names is None:
        return known
    if not isinstance(names, list) or len(names) != len(known):
        found = f"{len(names)} class names" if isinstance(names, list) else repr(names)
        raise ValueError(f"{path}: its metadata must list {len(known)} class names, found {found}")
    return tuple(str(name) for name in names)


def _labels(columns: dict[Path, pa.ChunkedArray], num_classes: int) -> np.ndarray:
    """(N,) int64; one ValueError lists the rows whose label is absent or not in 0..num_classes - 1."""
    troubles = []
    for path, column in columns.items():
        for row, label in enumerate(column.to_pylist()):
            if label is None or not 0 <= label < num_classes:
                troubles.append(f"row {row} of {path} has {'none' if label is None else label}")
    num_rows = sum(len(column) for column in columns.values())
    if troubles:
        allowed = f"labels are not in 0..{num_classes - 1} (rows are counted from 0)"
        raise ValueError(listed(troubles, f"of {num_rows} {allowed}"))
    return np.concatenate([column.to_numpy().astype(np.int64) for column in columns.values()])


def _contents(tables: dict[Path, pa.Table]) -> Iterator[tuple[str, bytes | None]]:
    """(where, file contents) of each image, one Arrow chunk at a time to keep the copies small."""
    for path, table in tables.items():
        row = 0
        for chunk in table.column(0).chunks:
            for contents in chunk.field("bytes"):
                yield f"row {row} (counted from 0) of {path}", contents.as_py()
                row += 1
