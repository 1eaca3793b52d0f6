"""What Parquet files of images look like, in the layout of Hugging Face's image sets.

A column `image` (or `img`) of structs with the encoded file in `bytes`, and a column of integer labels. A ValueError
names file, row and cause.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from understudy.data.decode import listed

IMAGE_COLUMNS = ("image", "img")


def image_and_label(file: Any, schema: pa.Schema, label_columns: tuple[str, ...]) -> tuple[str, str]:
    """The names of (image column, label column), both checked for their type; `file` is for messages."""
    image = next((name for name in IMAGE_COLUMNS if name in schema.names), None)
    label = next((name for name in label_columns if name in schema.names), None)
    if image is None or label is None:
        what, wanted = ("image", IMAGE_COLUMNS) if image is None else ("label", label_columns)
        raise ValueError(
            f"{file} has no {what} column: expected {' or '.join(wanted)}, "
            f"found {', '.join(schema.names) or 'no columns'}"
        )
    image_type, label_type = schema.field(image).type, schema.field(label).type
    if not pa.types.is_struct(image_type) or "bytes" not in {field.name for field in image_type}:
        raise ValueError(
            f"{file}: column {image!r} must be a struct with the encoded image in 'bytes', found {image_type}"
        )
    if not pa.types.is_integer(label_type):
        raise ValueError(f"{file}: column {label!r} must be of integers, found {label_type}")
    return image, label


def class_names(file: Any, schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """From our own metadata, else from Hugging Face's ClassLabel; None where there are none."""
    metadata = schema.metadata or {}
    try:
        names = json.loads(metadata.get(b"class_names", b"null"))
        if names is None:
            features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
            names = features.get(label, {}).get("names")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{file}: the class names in its metadata are not readable JSON ({error})") from error
    if names is None:
        return None
    if not isinstance(names, list):
        raise ValueError(f"{file}: its metadata must list class names, found {names!r}")
    return tuple(str(name) for name in names)


def labels(columns: Mapping[Any, pa.ChunkedArray], num_classes: int) -> np.ndarray:
    """(N,) int64; one ValueError lists the rows whose label is absent or not in 0..num_classes - 1."""
    troubles = []
    for file, column in columns.items():
        for row, label in enumerate(column.to_pylist()):
            if label is None or not 0 <= label < num_classes:
                troubles.append(f"row {row} of {file} has {'none' if label is None else label}")
    num_rows = sum(len(column) for column in columns.values())
    if troubles:
        allowed = f"labels are not in 0..{num_classes - 1} (rows are counted from 0)"
        raise ValueError(listed(troubles, f"of {num_rows} {allowed}"))
    return np.concatenate([column.to_numpy().astype(np.int64) for column in columns.values()])
