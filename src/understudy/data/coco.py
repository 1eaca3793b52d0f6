"""`coco:PATH`, images with boxes of one's own in COCO's format, as most programs for labelling write it.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; the format is at cocodataset.org/#format-data.

PATH/annotations/instances_train2017.json with images in PATH/train2017, PATH/train/_annotations.coco.json with images
beside it, or one JSON file with images beside it or in a folder images.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from understudy.data.boxed_images import BoxedImages, Objects, objects_of
from understudy.data.boxed_parts import BoxedParts, parts_as_said
from understudy.data.file_source import file_source
from understudy.data.neighbours import inside, neighbours
from understudy.data.part_words import part_in
from understudy.spec import few

DEPTH = 3  # of folders in which annotations are looked for
INSTANCES = "instances_"
BESIDE = ("", "images", "data", "JPEGImages")


def coco(path: Path, *, seed: int) -> BoxedParts:
    """The set in a folder, or of one JSON file, divided as its files are named, else by `seed`.

    Crowds (`iscrowd`) count as difficult. Boxes without width or height, of which COCO itself has some, are left out
    and counted in the note. Raises ValueError that names the file for whatever cannot be read.
    """
    name = f"coco:{path}"
    root = path if path.is_dir() else path.parent
    read = {part: _read(file, root) for part, file in _by_part(name, _annotations(path)).items()}
    flat = sum(each.num_flat for each in read.values())
    left_out = f"; boxes left out that have no width or height: {flat}" if flat else ""
    said = {part: each.images for part, each in read.items()}
    return parts_as_said(name, said, seed=seed, note=f"{path}, in COCO's format{left_out}")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read:
    """What one file of annotations says."""

    images: BoxedImages
    num_flat: int


def _annotations(path: Path) -> list[Path]:
    """The files of annotations, in order: those called instances_* where there are any, else every JSON file."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"coco:{path}: there is no such folder or file{neighbours(path)}")
    found = sorted(file for depth in range(DEPTH) for file in path.glob("*/" * depth + "*.json"))
    found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    chosen = [file for file in found if file.name.startswith(INSTANCES)] or found
    if not chosen:
        raise ValueError(
            f"coco:{path} has no JSON file of annotations: expected annotations/{INSTANCES}train.json, "
            f"train/_annotations.coco.json or one file alone; found {inside(path)}"
        )
    return chosen


def _by_part(name: str, files: Sequence[Path]) -> dict[str, Path]:
    """By a file's name, else its folder's; one file alone is of no part."""
    if len(files) == 1:
        return {"": files[0]}
    found: dict[str, Path] = {}
    for file in files:
        part = part_in(file.stem, file.parent.name)
        if part in found:
            raise ValueError(
                f"{name}: {found[part]} and {file} are both of {part or 'no part'} by their names; expected one "
                "file of annotations for each of train, test and val"
            )
        found[part] = file
    return found


def _read(file: Path, root: Path) -> _Read:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is no JSON file that can be read ({error})") from error
    wanted = ("images", "annotations", "categories")
    if not isinstance(said, dict) or not all(isinstance(said.get(key), list) for key in wanted):
        found = few(said) if isinstance(said, dict) else type(said).__name__
        raise ValueError(f"{file} is no file of COCO's format: expected the lists {', '.join(wanted)}, found {found}")
    try:
        names = {each["id"]: str(each["name"]) for each in sorted(said["categories"], key=lambda each: each["id"])}
        files = {each["id"]: str(each["file_name"]).replace("\\", "/") for each in said["images"]}
        objects, num_flat = _objects(said["annotations"], [*files], [*names])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is not as COCO's format has it ({type(error).__name__}: {error})") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if len(files) < len(said["images"]) or len(set(names.values())) < len(said["categories"]):
        raise ValueError(f"{file}: two images or categories have one id, or two categories one name")
    below = _place(file, root, [*files.values()]).relative_to(root).as_posix()
    prefix = "" if below == "." else f"{below}/"
    return _Read(
        images=BoxedImages(
            source=file_source(root, [prefix + name for name in files.values()], listed_in=str(file)),
            rows=torch.arange(len(files)),
            objects=objects,
            class_names=tuple(names.values()),
        ),
        num_flat=num_flat,
    )


def _objects(annotations: list[Any], images: list[Any], categories: list[Any]) -> tuple[tuple[Objects, ...], int]:
    """What each image shows, in their order, and how many boxes have no extent."""
    label_of = {category: label for label, category in enumerate(categories)}
    shown: dict[Any, tuple[list[list[float]], list[int], list[bool]]] = {image: ([], [], []) for image in images}
    for each in annotations:
        for key, known in (("image_id", shown), ("category_id", label_of)):
            if each[key] not in known:
                raise ValueError(f"annotation {each.get('id', '')} has {key} {each[key]!r}, which is not in the file")
        if len(each["bbox"]) != 4:
            raise ValueError(f"annotation {each.get('id', '')} has bbox {each['bbox']}, expected [x, y, width, height]")
        x, y, width, height = map(float, each["bbox"])
        boxes, labels, difficult = shown[each["image_id"]]
        boxes.append([x, y, x + width, y + height])
        labels.append(label_of[each["category_id"]])
        difficult.append(bool(each.get("iscrowd", 0)))
    whole = [objects_of(*those) for those in shown.values()]
    # Written so that a corner that is no number is no flat box: it is an error of its own.
    kept = [each.kept(~(each.boxes[:, 2:] <= each.boxes[:, :2]).any(dim=1)) for each in whole]
    return tuple(kept), sum(map(len, whole)) - sum(map(len, kept))


def _place(file: Path, root: Path, names: Sequence[str]) -> Path:
    """The folder in which the file's images lie: the first of the usual ones that has the first of them."""
    own = file.stem.removeprefix(INSTANCES)
    places = [file.parent / beside for beside in BESIDE]
    places += [root / own, root / "images" / own, *(root / beside for beside in BESIDE)]
    for place in places:
        if names and (place / names[0]).is_file():
            return place
    if not names:
        raise ValueError(f"{file} has no images")
    looked_in = dict.fromkeys(place.relative_to(root).as_posix() for place in places)
    raise ValueError(f"{file} names the image {names[0]}, which is in none of {few(looked_in, 10)} of {root}")
