"""`voc:PATH`, images with boxes of one's own and classes of one's own, annotated in VOC's XML.

PATH/Annotations/*.xml with images in PATH/JPEGImages, and perhaps lists in PATH/ImageSets/Main, or PATH/train/*.xml
with images beside them, and PATH/test or PATH/val likewise.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from understudy.data.boxed.parts import BoxedParts, annotated_images, parts_as_said
from understudy.data.boxed.voc import read_annotation
from understudy.data.boxed_images import Annotation
from understudy.data.decode import listed
from understudy.data.neighbours import inside, neighbours
from understudy.data.part_words import part_in

LISTS, TRAINVAL = "ImageSets/Main", "trainval"
# Folders of annotations and of images, as programs call them; one stands beside the other, or in its place.
ANNOTATIONS, IMAGES = ("annotations", "labels", "xmls"), ("JPEGImages", "images", "Images", "data")


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
        raise ValueError(f"{name} has no annotations: expected Annotations/*.xml or train/*.xml, found {inside(path)}")
    by_part = _by_list(path, files) or _by_folder(path, files)
    read = {file: read_annotation(file) for those in by_part.values() for file in those}
    class_names = tuple(sorted({each for annotation in read.values() for each in annotation.names}))
    images = _images_of(path, read)
    said = {
        part: annotated_images(path, {images[file]: read[file] for file in those}, class_names)
        for part, those in by_part.items()
    }
    return parts_as_said(name, said, seed=seed, note=f"{path}, annotated as VOC is")


def _is_hidden(below: Path) -> bool:
    return any(part.startswith(".") for part in below.parts)


# Divided by lists ----------------------------------------------------------------------------------------------------


def _by_list(path: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The annotations by the lists of their names; nothing where there are no lists for parts.

    Beside test, trainval is trained on whole; else what is called val is held out, or tested on.
    """
    lists = {part: each for each in sorted((path / LISTS).glob("*.txt")) if (part := _part_of(each.stem))}
    below = [one.parent for one in path.glob(f"*/{LISTS}")]
    if not lists and below:
        raise ValueError(f"voc:{path} has lists of its parts further in; did you mean voc:{below[0].parent}?")
    if TRAINVAL in lists and ("test" in lists or "train" not in lists):
        lists = {"train": lists[TRAINVAL]} | {part: lists[part] for part in ("test",) if part in lists}
    lists.pop(TRAINVAL, None)
    known = _by_name(path, files) if lists else {}
    return {part: _listed(each, known) for part, each in lists.items()}


def _part_of(stem: str) -> str:
    """What a list is for by its whole name; those of single classes, as cat_train, are for none."""
    return TRAINVAL if stem.lower() == TRAINVAL else part_in(stem) if stem.isalpha() else ""


def _by_name(path: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The annotations by what lists may call them: their name alone, or with the folders it lies in."""
    found: dict[str, list[Path]] = {}
    for file in files:
        parts = file.relative_to(path).with_suffix("").parts
        for start in range(len(parts)):
            found.setdefault("/".join(parts[start:]), []).append(file)
    return found


def _listed(lines: Path, known: Mapping[str, list[Path]]) -> list[Path]:
    """The annotations that a list names."""
    try:
        names = [line.strip() for line in lines.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{lines}: no text in UTF-8; save it again as such") from error
    found, absent, several = [], [], []
    for name in names:
        plain = name if name in known else PurePosixPath(name).with_suffix("").as_posix()
        those = known.get(plain) or known.get(PurePosixPath(plain).name) or []
        (found if len(those) == 1 else several if those else absent).append(those[0] if len(those) == 1 else name)
    if absent:
        raise ValueError(listed(absent, f"of {len(names)} images that {lines} names have no XML file"))
    if several:
        raise ValueError(listed(several, f"of {len(names)} images that {lines} names have several XML files"))
    return found


# Divided by folders --------------------------------------------------------------------------------------------------


def _by_folder(path: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The annotations by what the folders that they lie in, below `path`, are called."""
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(part_in(*reversed(file.parent.relative_to(path).parts)), []).append(file)
    return found


# Their images --------------------------------------------------------------------------------------------------------


def _images_of(path: Path, read: Mapping[Path, Annotation]) -> dict[Path, str]:
    """The image of each annotation, from `path` on: called alike, beside it or in a folder of images."""
    known: dict[Path, dict[str, list[str]]] = {}
    found, absent, several = {}, [], []
    for file, annotation in read.items():
        for place in _places(path, file.parent):
            if place not in known:
                known[place] = _by_stem(place)
            names = known[place].get(file.stem, [])
            # A mask may lie beside its photograph: the annotation says which of them it is of.
            names = [name for name in names if name == annotation.file_name] or names
            if len(names) > 1:
                several.append(f"{file.relative_to(path)} ({', '.join(names)})")
            if names:
                found[file] = (place / names[0]).relative_to(path).as_posix()
                break
        else:
            absent.append(str(file.relative_to(path)))
    if absent:
        where = f"in {', '.join(IMAGES)} or beside them"
        raise ValueError(listed(absent, f"of {len(read)} annotations in {path} have no image of their name {where}"))
    if several:
        raise ValueError(listed(several, f"of {len(read)} annotations in {path} have several images of their name"))
    first: dict[str, Path] = {}
    twice = [f"{first[image]} and {file}" for file, image in found.items() if first.setdefault(image, file) != file]
    if twice:
        raise ValueError(listed(twice, f"of {len(read)} annotations in {path} are of one image"))
    return found


def _by_stem(place: Path) -> dict[str, list[str]]:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    found: dict[str, list[str]] = {}
    for one in sorted(place.iterdir()) if place.is_dir() else []:
        if one.suffix.lower() in IMG_EXTENSIONS:
            found.setdefault(one.stem, []).append(one.name)
    return found


def _places(path: Path, beside: Path) -> list[Path]:
    """Where the images of annotations in the folder `beside` may lie."""
    below = beside.relative_to(path).parts
    twins = [path.joinpath(*(images if part.lower() in ANNOTATIONS else part for part in below)) for images in IMAGES]
    around = [place / images for place in (beside, *([beside.parent] if below else []), path) for images in IMAGES]
    return [beside, *twins, *([beside.parent] if below else []), *around]
