"""`coco:PATH`, images with boxes of one's own in COCO's format, as most programs for labelling write it.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; the format is at cocodataset.org/#format-data.

PATH/annotations/instances_train2017.json with images in PATH/train2017, PATH/train/_annotations.coco.json with images
beside it, or one JSON file with images beside it or in a folder images.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from understudy.data.boxed_images import Annotation, BoxedImages
from understudy.data.boxed_parts import BoxedParts, annotated_images, parts_as_said
from understudy.data.neighbours import inside, neighbours
from understudy.data.part_words import part_in
from understudy.spec import few

DEPTH = 3  # of folders in which annotations are looked for
INSTANCES, ANNOTATIONS = "instances_", "annotations"
LISTS = ("images", "annotations", "categories")
BESIDE = ("", "images", "data", "JPEGImages")


def coco(path: Path, *, seed: int) -> BoxedParts:
    """The set in a folder, or of one JSON file, divided as its files are named, else by `seed`.

    Classes are the categories of all files by their names, in the order of their ids. Crowds (`iscrowd`) count as
    difficult. What is left out is in the note: boxes without width or height, of which COCO itself has some, and a
    category that is only a heading of others. Raises ValueError that names the file for whatever cannot be read.
    """
    name = f"coco:{path}"
    if path.is_file():
        root, read = _root_of(path), {"": _read(path)}
    elif path.is_dir():
        root, read = path, _by_part(name, path)
    else:
        raise ValueError(f"{name}: there is no such folder or file{neighbours(path)}")
    headings = _headings([*read.values()])
    class_names = tuple(
        dict.fromkeys(category for each in read.values() for category in each.names if category not in headings)
    )
    said = {part: _images(root, part, each, class_names) for part, each in read.items()}
    flat, crowds = (sum(getattr(each, count) for each in read.values()) for count in ("num_flat", "num_crowds"))
    told = [f"boxes left out that have no width or height: {flat}"] * bool(flat)
    told += [f"category left out, a heading of the others: {', '.join(sorted(headings))}"] * bool(headings)
    told += [f"crowds, which no one has to find: {crowds}"] * bool(crowds)
    return parts_as_said(name, said, seed=seed, note="; ".join([f"{path}, in COCO's format", *told]))


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What one file says: its images in order, with their objects by the names of their categories."""

    file: Path
    images: dict[str, Annotation]
    names: tuple[str, ...]
    supercategories: frozenset[str]
    num_flat: int
    num_crowds: int


def _root_of(file: Path) -> Path:
    """Images are not beside the files in a folder of annotations, but beside that folder."""
    return file.parent.parent if file.parent.name.lower() == ANNOTATIONS else file.parent


def _by_part(name: str, path: Path) -> dict[str, _Read]:
    """The files below a folder by their names, else their folders'.

    Of instances_* where there are any, else of every JSON file in the format.
    """
    found = sorted(file for depth in range(DEPTH) for file in path.glob("*/" * depth + "*.json"))
    found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    chosen = [file for file in found if file.name.startswith(INSTANCES)] or found
    files: dict[str, Path] = {}
    read: dict[str, _Read] = {}
    troubles = []
    for file in chosen:
        part = part_in(file.stem, *[file.parent.name] * (file.parent != path))
        try:
            content = _content(file)
        except ValueError as error:
            troubles.append(str(error))
            continue
        if part in files:
            raise ValueError(
                f"{name}: {files[part]} and {file} are both of {part or 'no part'} by their names; expected one "
                "file of annotations for each of train, test and val"
            )
        files[part], read[part] = file, _parsed(file, content)
    if not read:
        expected = f"annotations/{INSTANCES}train.json, train/_annotations.coco.json or one file alone"
        found_there = few(troubles, 1) or f"found {inside(path)}"
        raise ValueError(f"{name} has no JSON file of annotations: expected {expected}; {found_there}")
    return read


def _read(file: Path) -> _Read:
    return _parsed(file, _content(file))


def _content(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is no JSON file that can be read ({error})") from error
    if not isinstance(said, dict) or not all(isinstance(said.get(key), list) for key in LISTS):
        found = few(said) if isinstance(said, dict) else type(said).__name__
        raise ValueError(f"{file} is no file of COCO's format: expected the lists {', '.join(LISTS)}, found {found}")
    return said


def _parsed(file: Path, said: dict[str, Any]) -> _Read:
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
    return _Read(
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


def _headings(read: Sequence[_Read]) -> set[str]:
    """Categories without an object that others call their supercategory: Roboflow's name of the whole set is one."""
    shown = {name for each in read for annotation in each.images.values() for name in annotation.names}
    return {name for each in read for name in each.names if name in each.supercategories and name not in shown}


def _images(root: Path, part: str, read: _Read, class_names: tuple[str, ...]) -> BoxedImages:
    if not read.images:
        raise ValueError(f"{read.file} has no images")
    names = _located(root, part, read)
    return annotated_images(
        root, dict(zip(names, read.images.values(), strict=True)), class_names, listed_in=str(read.file)
    )


def _located(root: Path, part: str, read: _Read) -> list[str]:
    """The files from `root` on: in the first of the usual places that has the first of them.

    As they are named, else by their last part alone: some programs write where they keep the images themselves.
    """
    names, places = [_below(root, name) for name in read.images], _places(root, part, read.file)
    last = [PurePosixPath(name).name for name in names]
    for spelled in (names, _unquoted(names), last, _unquoted(last)):
        for place in places:
            if len({*spelled}) == len(spelled) and (place / spelled[0]).is_file():
                below = place.relative_to(root).as_posix()
                return spelled if below == "." else [f"{below}/{name}" for name in spelled]
    looked_in = [place.relative_to(root).as_posix() for place in places]
    raise ValueError(f"{read.file} names the image {names[0]}, which is in none of {few(looked_in, 10)} of {root}")


def _unquoted(names: Sequence[str]) -> list[str]:
    """Without the %20 of addresses."""
    return [unquote(name) for name in names]


def _below(root: Path, name: str) -> str:
    """Names from the disk's root on as names from `root` on, where they lie there; else without the first slash."""
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(root.absolute()):
        return path.relative_to(root.absolute()).as_posix()
    return name.lstrip("/")


def _places(root: Path, part: str, file: Path) -> list[Path]:
    """The folders in which the images of a file of annotations may lie."""
    own = file.stem.removeprefix(INSTANCES)
    named = sorted(one for one in root.iterdir() if part and one.is_dir() and part_in(one.name) == part)
    places = [file.parent / beside for beside in BESIDE]
    places += [root / own, root / "images" / own]
    places += [one / beside for one in named for beside in BESIDE]
    places += [root / "images" / one.name for one in named]
    places += [root / beside for beside in BESIDE]
    return [place for place in dict.fromkeys(places) if place.is_dir() and place.is_relative_to(root)]
