"""`folder:PATH`, a folder for every class, as torchvision's ImageFolder reads it."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from understudy.data.decode import NUM_SHOWN, listed
from understudy.data.division import Parts, divided
from understudy.data.file_source import image_files
from understudy.data.image_files import ImageFiles
from understudy.data.neighbours import inside, neighbours
from understudy.data.part_words import part_in

# What the folders of the parts may be called, in any capitals.
TRAIN, TEST = ("train", "training"), ("test", "testing")
VALIDATION = ("val", "valid", "validation")


def class_folders(path: Path, *, seed: int) -> Parts:
    """PATH/train/CLASS/*.jpg with PATH/test or PATH/val, else PATH/CLASS/*.jpg divided by seed.

    Classes are in the order of their names. Where there are both, val is for validation.
    """
    name = f"folder:{path}"
    if not path.is_dir():
        raise ValueError(f"{name}: there is no such folder" + neighbours(path))
    trains = _named(path, TRAIN)
    tests, validations = _named(path, TEST), _named(path, VALIDATION)
    for part in (trains, tests, validations):
        if len(part) > 1:
            raise ValueError(f"{name}: it has {' and '.join(part)}, which are called alike; expected one of them")
    held_out = [*tests, *validations]
    if not trains:
        if held_out:
            raise ValueError(f"{name}: it has {held_out[0]}, but no train; expected train beside it, or classes alone")
        within = {one: _folders(path / one) for one in _folders(path)}
        _check_division(name, path, within)
        files, others = class_images(path, root=path)
        _check_classes(name, path, files)
        return divided(
            name, files, seed=seed, note=f"{path}, a folder for every class{_nested(within)}" + _left_out(others)
        )
    if not held_out:
        raise ValueError(
            f"{name}: it has {trains[0]}, but neither test nor val; folder:{path / trains[0]} divides its images by "
            "seed"
        )
    train, others = class_images(path / trains[0], root=path)
    _check_classes(name, path / trains[0], train)
    parts_held_out = []
    for part in held_out:
        images, left_out = class_images(path / part, root=path)
        parts_held_out.append(images)
        others += left_out
    return Parts(
        name=name,
        train=train,
        test=parts_held_out[0],
        validation=parts_held_out[1] if parts_held_out[1:] else None,
        note=f"{path}, {' and '.join([trains[0], *held_out])} as they lie there" + _left_out(others),
    )


def _named(path: Path, words: tuple[str, ...]) -> list[str]:
    """The folders in `path` that are called one of these, in the order of the words."""
    found = [one.name for one in path.iterdir() if one.is_dir() and one.name.lower() in words]
    return sorted(found, key=lambda name: (words.index(name.lower()), name))


def _check_division(name: str, path: Path, within: Mapping[str, list[str]]) -> None:
    """A ValueError where parts are called otherwise than they are looked for, or lie inside the classes."""
    if len(within) < 2 or not all(within.values()):
        return
    if all(part_in(one) for one in within):
        raise ValueError(
            f"{name}: {', '.join(within)} hold folders and are called by parts, not by classes; call them train, and "
            "test or val"
        )
    inner = sorted({one for folders in within.values() for one in folders})
    if all(one.lower() in TRAIN + TEST + VALIDATION for one in inner):
        raise ValueError(
            f"{name}: the classes hold {', '.join(inner)}; expected the classes in these: "
            f"{path / inner[0] / next(iter(within))}"
        )


def _nested(within: Mapping[str, list[str]]) -> str:
    """Which classes hold folders of their own, whose images are the class's."""
    found = [f"{name}: {', '.join(folders[:NUM_SHOWN])}" for name, folders in within.items() if folders]
    return f", with the images of the folders in it ({'; '.join(found[:NUM_SHOWN])})" if found else ""


def _folders(path: Path) -> list[str]:
    """Of a million files none is asked what it is: the folder says it."""
    with os.scandir(path) as entries:
        return sorted(one.name for one in entries if one.is_dir() and not one.name.startswith("."))


def _check_classes(name: str, path: Path, files: ImageFiles) -> None:
    """A ValueError where the folders are not those of classes, most likely: there is one, and all lies in it."""
    if len(files.class_names) > 1:
        return
    only = next(iter(files.class_names))
    within = sorted(one.name for one in (path / only).iterdir() if one.is_dir())
    hint = f"; {only} holds folders ({', '.join(within[:3])}): did you mean folder:{path / only}?" if within else ""
    raise ValueError(f"{name}: found one class, {only}; a network needs two or more to tell apart{hint}")


def class_images(directory: Path, *, root: Path) -> tuple[ImageFiles, Counter[str]]:
    """(all images in the folders of their classes, how many other files there are by their ending).

    Images inside further folders belong to the class; they are named from `root`, which the directory is or lies in.
    A ValueError where there are no classes, and one that names every class without images.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    try:
        # A notebook's checkpoints are no class.
        class_names = [name for name in find_classes(directory)[0] if not name.startswith(".")]
    except FileNotFoundError as error:
        raise ValueError(
            f"{directory} has no folders of classes: expected {directory / 'CLASS' / 'IMAGE.jpg'}, "
            f"found {inside(directory)}"
        ) from error
    label_of = {name: label for label, name in enumerate(class_names)}
    samples = make_dataset(directory, label_of, extensions=IMG_EXTENSIONS, allow_empty=True)
    # Nor are copies in its folder inside a class, or what macOS leaves beside a file, images.
    start = len(os.path.join(directory, ""))
    samples = [(path, label) for path, label in samples if f"{os.sep}." not in os.sep + path[start:]]
    empty = sorted(set(class_names) - {class_names[label] for _, label in samples})
    if empty:
        told = [f"{name} (found {inside(directory / name)})" for name in empty]
        raise ValueError(
            listed(told, f"of {len(class_names)} classes in {directory} have no images")
            + f"; endings that are read: {', '.join(IMG_EXTENSIONS)}"
        )
    # Paths begin with the directory as it was given; of a million of them no Path is made.
    below = directory.relative_to(root)
    prefix = "" if below == Path() else f"{below.as_posix()}/"
    names = [prefix + path[start:].replace(os.sep, "/") for path, _ in samples]
    files = image_files(root, names, [label for _, label in samples], class_names)
    return files, _endings(directory, class_names, IMG_EXTENSIONS)


def _endings(directory: Path, class_names: list[str], read: tuple[str, ...]) -> Counter[str]:
    """How many files there are of every ending that is not read."""
    found: Counter[str] = Counter()
    for class_name in class_names:
        for _, _, names in os.walk(directory / class_name, followlinks=True):
            found.update(os.path.splitext(name)[1].lower() or name for name in names)
    return Counter({ending: count for ending, count in found.items() if ending not in read})


def _left_out(others: Counter[str]) -> str:
    told = ", ".join(f"{count} of {ending}" for ending, count in others.most_common(NUM_SHOWN))
    return f"; files of other kinds were left out ({told})" if others else ""
