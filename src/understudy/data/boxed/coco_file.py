"""One file of annotations in COCO's format: its images, what they show, and what was left out."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from understudy.data.boxed_images import Annotation
from understudy.spec import few

LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True, kw_only=True)
class CocoFile:
    """What one file says: its images in order, with their objects by the names of their categories."""

    file: Path
    images: dict[str, Annotation]
    names: tuple[str, ...]
    supercategories: frozenset[str]
    num_flat: int
    num_crowds: int


class OtherFormatError(ValueError):
    """A JSON file of something else."""


def read_lists(file: Path) -> dict[str, Any]:
    """What the file holds. Raises ValueError that names it where it cannot be read or is in another format."""
    try:
        said = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is no JSON file that can be read ({error})") from error
    if not isinstance(said, dict) or not all(isinstance(said.get(key), list) for key in LISTS):
        found = few(said) if isinstance(said, dict) else type(said).__name__
        raise OtherFormatError(
            f"{file} is no file of COCO's format: expected the lists {', '.join(LISTS)}, found {found}"
        )
    return said


def as_annotations(file: Path, said: dict[str, Any]) -> CocoFile:
    """Its images with their objects. Raises ValueError that names the file and what in it is wrong."""
    try:
        categories = {each["id"]: each for each in sorted(said["categories"], key=lambda each: each["id"])}
        images = {each["id"]: each for each in said["images"]}
        _check_once(said, images, categories)
        objects, num_flat = _objects(said["annotations"], images, categories)
        annotations = {
            _plain(image["file_name"]): replace(objects[number], size=_size(image)) for number, image in images.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is not as COCO's format has it ({type(error).__name__}: {error})") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return CocoFile(
        file=file,
        images=annotations,
        names=tuple(str(each["name"]) for each in categories.values()),
        supercategories=frozenset(
            str(each.get("supercategory")) for each in categories.values() if each.get("supercategory") != each["name"]
        ),
        num_flat=num_flat,
        num_crowds=sum(sum(each.difficult) for each in objects.values()),
    )


def _plain(file_name: object) -> str:
    return str(file_name).replace("\\", "/")


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = (int(float(image.get(key) or 0)) for key in ("width", "height"))
    return (width, height) if width and height else None


def _check_once(said: dict[str, Any], images: dict[Any, Any], categories: dict[Any, Any]) -> None:
    """Ids and names of files are to be there once; of categories those that have objects."""
    used = {each["category_id"] for each in said["annotations"] if isinstance(each, dict) and "category_id" in each}
    for what, values, distinct in (
        ("ids of images", [each["id"] for each in said["images"]], len(images)),
        ("names of images", [_plain(each["file_name"]) for each in images.values()], None),
        ("ids of categories", [each["id"] for each in said["categories"]], len(categories)),
        ("names of categories", [str(each["name"]) for number, each in categories.items() if number in used], None),
    ):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice and distinct != len(values):
            raise ValueError(f"{what} that are there twice: {few(twice)}; expected each once")


def _objects(
    annotations: Sequence[Any], images: dict[Any, Any], categories: dict[Any, Any]
) -> tuple[dict[Any, Annotation], int]:
    """What each image shows, and how many boxes have no extent."""
    found = {image: Annotation(boxes=[], names=[], difficult=[]) for image in images}
    num_flat = 0
    for each in annotations:
        what = f"annotation {each.get('id', '')}"
        for key, known in (("image_id", found), ("category_id", categories)):
            if each.get(key) not in known:
                raise ValueError(f"{what} has {key} {each.get(key)!r}, which is not in the file")
        bbox = each.get("bbox")
        if not isinstance(bbox, list) or len(bbox) != 4:
            raise ValueError(f"{what} has bbox {bbox}, expected [x, y, width, height]")
        x, y, width, height = map(float, bbox)
        if width <= 0 or height <= 0:
            num_flat += 1
            continue
        there = found[each["image_id"]]
        there.boxes.append([x, y, x + width, y + height])
        there.names.append(str(categories[each["category_id"]]["name"]))
        there.difficult.append(int(each.get("iscrowd") or 0) != 0)
    return found, num_flat
