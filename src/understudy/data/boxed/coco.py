"""`coco:PATH`, images with boxes of one's own in COCO's format, as most programs for labelling write it.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; the format is at cocodataset.org/#format-data.

PATH/annotations/instances_train2017.json with images in PATH/train2017, PATH/train/_annotations.coco.json with images
beside it, or one JSON file with images beside it or in a folder images.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from understudy.data.boxed.coco_file import CocoFile, OtherFormatError, as_annotations, read_lists
from understudy.data.boxed.parts import BoxedParts, annotated_images, parts_as_said
from understudy.data.boxed_images import BoxedImages
from understudy.data.neighbours import inside, neighbours
from understudy.data.part_words import PARTS, part_in
from understudy.spec import few

DEPTH = 3  # of folders in which annotations are looked for
INSTANCES, ANNOTATIONS = "instances_", "annotations"
BESIDE = ("", "images", "data", "JPEGImages")


def coco(path: Path, *, seed: int) -> BoxedParts:
    """The set in a folder, or of one JSON file, divided as its files are named, else by `seed`.

    Classes are the categories of all files by their names, in the order of their ids, train's first. Crowds (`iscrowd`)
    count as difficult. What is left out is in the note: boxes without width or height, of which COCO itself has some,
    and a category that is only a heading of others. Raises ValueError that names the file for whatever cannot be read.
    """
    name = f"coco:{path}"
    if path.is_file():
        root, read = _root_of(path), {"": as_annotations(path, read_lists(path))}
    elif path.is_dir():
        root, read = path, _by_part(name, path)
    else:
        raise ValueError(f"{name}: there is no such folder or file{neighbours(path)}")
    files = [read[part] for part in ("", *PARTS) if part in read]
    headings = _headings(files)
    class_names = tuple(dict.fromkeys(name for each in files for name in each.names if name not in headings))
    said = {part: _images(root, part, each, class_names) for part, each in read.items()}
    return parts_as_said(name, said, seed=seed, note=f"{path}, in COCO's format{_left_out(files, headings)}")


def _left_out(files: Sequence[CocoFile], headings: set[str]) -> str:
    """The end of the note; an empty string where nothing is left out."""
    counted = {
        "boxes left out that have no width or height": sum(each.num_flat for each in files),
        "crowds, which no one has to find": sum(each.num_crowds for each in files),
        "category left out, a heading of the others": ", ".join(sorted(headings)),
    }
    return "".join(f"; {what}: {found}" for what, found in counted.items() if found)


def _root_of(file: Path) -> Path:
    """Images are not beside the files in a folder of annotations, but beside that folder."""
    return file.parent.parent if file.parent.name.lower() == ANNOTATIONS else file.parent


def _by_part(name: str, path: Path) -> dict[str, CocoFile]:
    """The files below a folder by their names, else their folders'.

    Of instances_* where there are any, else of every JSON file in the format.
    """
    found = sorted(file for depth in range(DEPTH) for file in path.glob("*/" * depth + "*.json"))
    found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    chosen = [file for file in found if file.name.startswith(INSTANCES)] or found
    read: dict[str, CocoFile] = {}
    troubles = []
    for file in chosen:
        part = part_in(file.stem, *[file.parent.name] * (file.parent != path))
        try:
            content = read_lists(file)
        except OtherFormatError as error:
            # By this name it is one of annotations: without it the rest would be divided otherwise.
            if file.name.startswith(INSTANCES):
                raise
            troubles.append(str(error))
            continue
        if part in read:
            raise ValueError(
                f"{name}: {read[part].file} and {file} are both of {part or 'no part'} by their names; expected one "
                "file of annotations for each of train, test and val"
            )
        read[part] = as_annotations(file, content)
    if not read:
        expected = f"annotations/{INSTANCES}train.json, train/_annotations.coco.json or one file alone"
        found_there = few(troubles, 1) or f"found {inside(path)}"
        raise ValueError(f"{name} has no JSON file of annotations: expected {expected}; {found_there}")
    return read


def _headings(read: Sequence[CocoFile]) -> set[str]:
    """Categories without an object that others call their supercategory: Roboflow's name of the whole set is one."""
    shown = {name for each in read for annotation in each.images.values() for name in annotation.names}
    return {name for each in read for name in each.names if name in each.supercategories and name not in shown}


def _images(root: Path, part: str, read: CocoFile, class_names: tuple[str, ...]) -> BoxedImages:
    if not read.images:
        raise ValueError(f"{read.file} has no images")
    names = _located(root, part, read)
    return annotated_images(
        root, dict(zip(names, read.images.values(), strict=True)), class_names, listed_in=str(read.file)
    )


def _located(root: Path, part: str, read: CocoFile) -> list[str]:
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
