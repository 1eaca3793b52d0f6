"""Images with boxes from Parquet files, in the layout of Hugging Face's sets for detection.

A column `image` of structs with the encoded file in `bytes`, and a column `objects` with lists: `bbox` [xmin, ymin,
xmax, ymax] in pixels from 0, `category`, and perhaps `difficult`. The metadata has `class_names`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from understudy.data.boxed.parts import BoxedParts, parts_as_said
from understudy.data.boxed_images import BoxedImages, Objects, objects_of
from understudy.data.parquet.addresses import opened
from understudy.data.parquet.layout import IMAGE_COLUMNS, class_names
from understudy.data.parquet.shards import find_shards
from understudy.data.parquet.source import ParquetFile, ParquetSource
from understudy.data.part_words import PARTS

OBJECTS = "objects"


def has_boxes(name: str, folder: Path) -> bool:
    """Whether the folder has files NAME-train*.parquet, and they have a column of objects."""
    shards = find_shards(folder, name, "train")
    if not shards:
        return False
    with opened(str(shards[0])) as parquet:
        return OBJECTS in parquet.schema_arrow.names


def boxed_parquet(name: str, *, folder: Path, seed: int) -> BoxedParts:
    """The set NAME from the files of `find_shards`; `seed` divides it where there are files to train on alone."""
    shards = {part: find_shards(folder, name, part) for part in PARTS}
    said = {part: _images(paths) for part, paths in shards.items() if paths}
    return parts_as_said(name, said, seed=seed, note=f"Parquet files of {name} in {folder}")


def summary(name: str, folder: Path) -> str:
    """ "542 images to train on, 239 to test on, boxes of 20 classes"."""
    found = boxed_parquet(name, folder=folder, seed=0)
    return (
        f"{len(found.train):,} images to train on, {len(found.test):,} to test on, "
        f"boxes of {len(found.train.class_names)} classes"
    )


def _images(shards: Sequence[Path]) -> BoxedImages:
    files, objects, known = [], [], []
    for path in shards:
        with opened(str(path)) as parquet:
            schema = parquet.schema_arrow
            image = next((column for column in IMAGE_COLUMNS if column in schema.names), None)
            if image is None or OBJECTS not in schema.names:
                raise ValueError(f"{path}: expected columns image and {OBJECTS}, found {', '.join(schema.names)}")
            files.append(ParquetFile.of(parquet, address=str(path), name=path.name, image_column=image))
            rows = parquet.read(columns=[OBJECTS], use_threads=False).column(0).to_pylist()
            objects += [_objects(each, f"row {row} of {path}") for row, each in enumerate(rows)]
            known.append(_class_names(path, schema))
    if len(set(known)) > 1:
        raise ValueError(f"{', '.join(path.name for path in shards)}: their class names differ")
    return BoxedImages(
        source=ParquetSource(tuple(files)),
        rows=torch.arange(len(objects)),
        objects=tuple(objects),
        class_names=known[0],
    )


def _class_names(path: Path, schema: pa.Schema) -> tuple[str, ...]:
    names = class_names(path, schema, OBJECTS)
    if names is None:
        raise ValueError(f"{path}: its metadata has no class_names, a list in the order of the categories")
    return names


def _objects(row: Any, where: str) -> Objects:
    try:
        boxes, labels = row["bbox"], row["category"]
        difficult = row.get("difficult") or [False] * len(labels)
        if not len(boxes) == len(labels) == len(difficult):
            raise ValueError(f"{len(boxes)} boxes, {len(labels)} categories, {len(difficult)} difficult")
        return objects_of(boxes, labels, difficult)
    except (TypeError, KeyError, ValueError, RuntimeError) as error:
        raise ValueError(f"{where}: its objects cannot be read ({type(error).__name__}: {error})") from error
