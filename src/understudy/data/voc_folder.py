"""`voc:PATH`, images with boxes of one's own and classes of one's own, annotated in VOC's XML.

PATH/Annotations/*.xml with images in PATH/JPEGImages, and perhaps lists in PATH/ImageSets/Main, or PATH/train/*.xml
with images beside them, and PATH/test or PATH/val likewise.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from understudy.data.boxed_images import BoxedImages
from understudy.data.boxed_parts import BoxedParts, parts_as_said
from understudy.data.decode import listed
from understudy.data.file_source import file_source
from understudy.data.neighbours import inside, neighbours
from understudy.data.part_words import part_in
from understudy.data.voc import Annotation, labelled, read_annotation

LISTS = "ImageSets/Main"
ANNOTATIONS, IMAGES = "Annotations", ("JPEGImages", "images", "Images")


def voc_folder(path: Path, *, seed: int) -> BoxedParts:
    """The set in a folder, divided by its lists, else as its folders are named, else by `seed`.

    Classes are those that any annotation names, in the order of their names. Raises ValueError that names the file for
    whatever cannot be read.
    """
    name = f"voc:{path}"
    if not path.is_dir():
        raise ValueError(f"{name}: there is no such folder{neighbours(path)}")
    files = sorted(file for file in path.rglob("*.xml") if not _is_hidden(file.relative_to(path)))
    if not files:
        expected = f"{ANNOTATIONS}/*.xml or train/*.xml"
        raise ValueError(f"{name} has no annotations: expected {expected}, found {inside(path)}")
    by_part = _by_list(path, files) or _by_folder(path, files)
    read = {file: read_annotation(file) for those in by_part.values() for file in those}
    class_names = tuple(sorted({each for annotation in read.values() for each in annotation.names}))
    images = _images_of(path, [*read])
    said = {
        part: _images(path, {images[file]: (file, read[file]) for file in those}, class_names)
        for part, those in by_part.items()
    }
    return parts_as_said(name, said, seed=seed, note=f"{path}, annotated as VOC is")


def _is_hidden(below: Path) -> bool:
    return any(part.startswith(".") for part in below.parts)


def _by_list(path: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The annotations by the lists of their names; nothing where there are no lists.

    Tested on test, where there is one, or else on val; trained on trainval where nothing of it is tested on.
    """
    lists = {each.stem: each for each in (path / LISTS).glob("*.txt")}
    train = "trainval" if "trainval" in lists and ("test" in lists or "train" not in lists) else "train"
    wanted = {"train": train, "test": "test"} | ({"validation": "val"} if train == "train" else {})
    file_of = {file.stem: file for file in files}
    found = {}
    for part, which in wanted.items():
        if which in lists:
            names = [line.strip() for line in lists[which].read_text(encoding="utf-8").splitlines() if line.strip()]
            absent = [each for each in names if each not in file_of]
            if absent:
                raise ValueError(listed(absent, f"of {len(names)} images that {lists[which]} names have no XML file"))
            found[part] = [file_of[each] for each in names]
    return found


def _by_folder(path: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The annotations by what the folders that they lie in, below `path`, are called."""
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(part_in(*reversed(file.parent.relative_to(path).parts)), []).append(file)
    return found


def _images_of(path: Path, files: Sequence[Path]) -> dict[Path, str]:
    """The image of each annotation, from `path` on: called alike, beside it or in a folder of images."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    known: dict[Path, dict[str, str]] = {}
    found, absent = {}, []
    for file in files:
        for place in _places(path, file.parent):
            if place not in known:
                inside = sorted(place.iterdir()) if place.is_dir() else []
                known[place] = {one.stem: one.name for one in inside if one.suffix.lower() in IMG_EXTENSIONS}
            if file.stem in known[place]:
                found[file] = (place / known[place][file.stem]).relative_to(path).as_posix()
                break
        else:
            absent.append(str(file.relative_to(path)))
    if absent:
        where = f"in {', '.join(IMAGES)} or beside them"
        raise ValueError(listed(absent, f"of {len(files)} annotations in {path} have no image of their name {where}"))
    return found


def _places(path: Path, beside: Path) -> list[Path]:
    """Where the images of annotations in the folder `beside` may lie."""
    below = beside.relative_to(path)
    twins = [
        path.joinpath(*(images if part.lower() == ANNOTATIONS.lower() else part for part in below.parts))
        for images in IMAGES
    ]
    return [beside, *twins, *(beside / images for images in IMAGES), *(path / images for images in IMAGES)]


def _images(path: Path, annotated: Mapping[str, tuple[Path, Annotation]], class_names: tuple[str, ...]) -> BoxedImages:
    return BoxedImages(
        source=file_source(path, [*annotated]),
        rows=torch.arange(len(annotated)),
        objects=tuple(labelled(annotation, class_names, file) for file, annotation in annotated.values()),
        class_names=class_names,
    )
