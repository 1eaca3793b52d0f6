"""Data sets from Parquet files: `parquet:PATTERN`, and by name from the data folder."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import torch

from understudy.data.division import Parts, divided
from understudy.data.image_files import ImageFiles
from understudy.data.parquet.addresses import find, opened
from understudy.data.parquet.layout import class_names as class_names_in
from understudy.data.parquet.layout import image_and_label, labels
from understudy.data.parquet.shards import check_shards, find_shards
from understudy.data.parquet.source import ParquetFile, ParquetSource
from understudy.data.part_words import PARTS, part_in

LABEL_COLUMNS = ("label", "fine_label", "labels")


def parquet_parts(pattern: str, *, seed: int) -> Parts:
    """All files that match, divided as their names (or else their folders') say; divided by seed where none says.

    The words are train, test and validation, with their usual variants. Without test, validation is to test on.
    """
    name = f"parquet:{pattern}"
    by_part: dict[str, list[str]] = {}
    addresses = find(pattern)
    depth = _common_depth(addresses)
    for address in addresses:
        by_part.setdefault(_part(address, depth), []).append(address)
    for part, those in by_part.items():
        check_shards(those, f"{name} {part}".rstrip())
    unnamed = by_part.get("", [])
    if unnamed and len(by_part) > 1:
        raise ValueError(
            f"{name}: other files are named for train or test, but not {', '.join(unnamed)}; "
            "name all of them so or none, or choose with the pattern"
        )
    if "test" not in by_part and "validation" in by_part:
        by_part["test"] = by_part.pop("validation")
    if by_part and not by_part.keys() & {"train", ""}:
        others = [address for addresses in by_part.values() for address in addresses]
        raise ValueError(f"{name} matches files to test on alone: {', '.join(others)}; none is to train on")
    return _parts(name, by_part, seed=seed, note=f"Parquet files {pattern}")


def has_parquet(name: str, folder: Path) -> bool:
    """Whether the folder has files NAME-train*.parquet, or train*.parquet in a folder NAME."""
    return bool(re.fullmatch(r"[\w.-]+", name)) and bool(find_shards(folder, name, "train"))


def named_parquet_parts(name: str, *, folder: Path, seed: int) -> Parts:
    """The set NAME from the files of `find_shards`; divided by seed where there are files to train on alone."""
    by_part = {part: [str(path) for path in find_shards(folder, name, part)] for part in PARTS}
    by_part = {part: addresses for part, addresses in by_part.items() if addresses}
    if "test" not in by_part and "validation" in by_part:
        by_part["test"] = by_part.pop("validation")
    return _parts(name, by_part, seed=seed, note=f"Parquet files of {name} in {folder}")


def summary(name: str, folder: Path) -> str:
    """ "600 images to train on, 300 to test on, 15 classes", from the files' labels; or why it cannot be loaded."""
    try:
        scanned = {part: [_scan(str(path), 0) for path in find_shards(folder, name, part)] for part in PARTS}
        num_classes = len(_class_names([each for found in scanned.values() for each in found]))
    except ValueError as error:
        return f"cannot be loaded: {str(error).replace(os.path.join(folder, ''), '')}"
    counts = {part: sum(len(each.labels) for each in found) for part, found in scanned.items()}
    # As it is loaded: what is called validation is tested on where nothing is called test.
    train, test = counts["train"], counts["test"] or counts["validation"]
    tested = f"{test:,} to test on" if test else "divided by seed"
    return f"{train:,} images to train on, {tested}, {num_classes} classes"


def _part(address: str, depth: int) -> str:
    """ "train", "test", "validation", or "" where neither the file's name nor its folder's says.

    The first `depth` folders, which all files have in common, say nothing.
    """
    path = _path(address)
    return part_in(path.stem, *path.parent.parts[depth:][-1:])


@dataclass(frozen=True)
class _Scanned:
    """What is known of a file before an image is read."""

    file: ParquetFile
    labels: pa.ChunkedArray
    class_names: tuple[str, ...] | None


def _parts(name: str, by_part: dict[str, list[str]], *, seed: int, note: str) -> Parts:
    depth = _common_depth([address for addresses in by_part.values() for address in addresses])
    scanned = {part: [_scan(address, depth) for address in addresses] for part, addresses in by_part.items()}
    class_names = _class_names([each for found in scanned.values() for each in found])
    parts = {part: _images(found, class_names) for part, found in scanned.items()}
    if len(parts) == 1:
        return divided(name, next(iter(parts.values())), seed=seed, note=note)
    shown = ", ".join(f"{part} {len(by_part[part])}" for part in PARTS if part in by_part)
    return Parts(
        name=name,
        train=parts["train"],
        test=parts["test"],
        validation=parts.get("validation"),
        note=f"{note}, divided as they are named (files: {shown})",
    )


def _scan(address: str, depth: int) -> _Scanned:
    """Labels and layout; the file is named from the folder on that all have in common, `depth` folders deep."""
    with opened(address) as parquet:
        schema = parquet.schema_arrow
        image, label = image_and_label(address, schema, LABEL_COLUMNS)
        name = "/".join(_path(address).parts[depth:])
        file = ParquetFile.of(parquet, address=address, name=name, image_column=image)
        column = parquet.read(columns=[label], use_threads=False).column(0)
        return _Scanned(file, column, class_names_in(address, schema, label))


def _common_depth(addresses: list[str]) -> int:
    """How many folders all of them begin with."""
    return len(os.path.commonprefix([_path(address).parent.parts for address in addresses]))


def _path(address: str) -> PurePosixPath:
    return PurePosixPath(address.replace("\\", "/"))


def _images(scanned: list[_Scanned], class_names: tuple[str, ...]) -> ImageFiles:
    found = labels({each.file.address: each.labels for each in scanned}, len(class_names))
    return ImageFiles(
        source=ParquetSource(tuple(each.file for each in scanned)),
        rows=torch.arange(len(found)),
        labels=torch.from_numpy(found),
        class_names=class_names,
    )


def _class_names(scanned: list[_Scanned]) -> tuple[str, ...]:
    """Those of the metadata, which must agree, else "0", "1", ... up to the largest label."""
    said = {each.class_names: each.file.address for each in scanned if each.class_names is not None}
    if len(said) > 1:
        raise ValueError(f"the class names in the metadata differ between {' and '.join(said.values())}")
    if said:
        return next(iter(said))
    largest = max((label or 0 for each in scanned for label in each.labels.to_pylist()), default=0)
    return tuple(str(label) for label in range(largest + 1))
