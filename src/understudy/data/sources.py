"""The data sets that are known by name."""

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import TypeVar

from understudy.data.boxed.sets import boxed, is_boxed
from understudy.data.choose import Loading, read_files, read_tensors
from understudy.data.classes import alike, select_classes
from understudy.data.disjoint import SUFFIX, divided_by_class, held_out_classes, pooled
from understudy.data.image_files import ImageFiles
from understudy.data.image_set import Dataset, ImageSet
from understudy.data.mislabel import mislabelled
from understudy.data.named.cifar import CIFAR10, CIFAR100, cifar
from understudy.data.named.digits import digits
from understudy.data.names import IN_MEMORY, data_folder
from understudy.data.parts import parts
from understudy.data.subsets import per_class_subset, percent_subset, validation_split
from understudy.spec import expanded, few, kind_of

# What comes undivided is always divided alike: a student must not be tested on what its teacher was trained on.
SPLIT_SEED = 0
# Digits, letters and traffic signs mean something else in a mirror.
NOT_FLIPPED = ("mnist", "kmnist", "svhn", "gtsrb")
KINDS: dict[str, tuple[type, str]] = {
    "name": (str, "a name from `understudy list data`"),
    "percent": (Real, "a number, as 10 for a tenth"),
    "per_class": (Integral, "a whole number of images"),
    "validation": (Real, "a share from 0 to 1"),
    "mislabel": (Real, "a share from 0 to 1"),
    "seed": (Integral, "a whole number"),
    "classes": (Sequence, "a list of names"),
    "loading": (Loading, "Loading(how=...)"),
}
Part = TypeVar("Part", ImageSet, ImageFiles)


def load(
    name: str,
    *,
    folder: str | Path | None = None,
    percent: float | None = None,
    per_class: int | None = None,
    validation: float = 0.0,
    mislabel: float = 0.0,
    seed: int = 0,
    download: bool = False,
    classes: Sequence[str] | None = None,
    loading: Loading | None = None,
) -> Dataset:
    """The data set `name`, whole or a class-balanced part of it.

    `folder` is where files are looked for and downloaded to: $UNDERSTUDY_DATA or else ./data by default.
    `classes` are those that are kept, in this order. `validation` is the fraction of each class then taken out of the
    train images, and takes the place of a validation part that the set may have; then `percent` of the rest, or
    `per_class` images of each class, are kept. Of the test images only other classes are left out. Mean and std stay
    those of the whole set. The fraction `mislabel` of what is trained on is given another class's label. `seed` decides
    which images these are, nothing else. `loading` is how they are read.

    NAME-disjoint is the set NAME with all its images pooled and divided by class; of parts that have no class in common
    `validation` holds whole classes out, and `classes` cannot be chosen.

    Raises ValueError for a name that nobody knows, files that are absent or cannot be read, classes that are not in the
    set, shares that leave a class or a side without images, and wishes that do not go together or not with this set.
    A download that fails may also be torchvision's OSError.
    """
    _check_kinds(
        name=name,
        percent=percent,
        per_class=per_class,
        validation=validation,
        mislabel=mislabel,
        seed=seed,
        classes=classes,
        loading=loading,
    )
    if percent is not None and per_class is not None:
        raise ValueError(f"percent ({percent:g}) and per_class ({per_class}) are both given; give one")
    loading = loading or Loading()
    folder = expanded(folder or data_folder())
    if is_boxed(name, folder):
        if per_class is not None or classes is not None or mislabel:
            raise ValueError(
                f"{name} shows objects of several classes in an image, and no image has a label; data.percent takes "
                f"some of the images, per_class, classes and mislabel are for others"
            )
        data = boxed(
            name,
            folder=folder,
            percent=percent,
            validation=validation,
            seed=seed,
            split_seed=SPLIT_SEED,
            download=download,
            loading=loading,
        )
        return _noting_alike(data)

    def chosen(part: Part) -> Part:
        return part if classes is None or tuple(classes) == part.class_names else select_classes(part, classes)

    def divided(train: Part, held_out: Part | None, disjoint: bool) -> tuple[Part, Part | None]:
        """What is left to train on, and the images to choose by."""
        if validation != 0 and disjoint:
            train, held_out = held_out_classes(train, fraction=validation)
        elif validation != 0:
            train, held_out = validation_split(train, fraction=validation, seed=seed)
        if percent is not None:
            train = percent_subset(train, percent=percent, seed=seed)
        if per_class is not None:
            train = per_class_subset(train, per_class=per_class, seed=seed)
        return train, held_out

    base = name.removesuffix(SUFFIX)
    if base in IN_MEMORY:
        whole = _tensors(base, folder, download) if base == name else _tensors_by_class(name, folder, download)
        _check_classes(name, whole.disjoint, classes, whole.train.class_names)
        assert isinstance(whole.train, ImageSet) and isinstance(whole.test, ImageSet)
        train, test = (whole.train, whole.test) if whole.disjoint else (chosen(whole.train), chosen(whole.test))
        train, held_out = divided(train, None, whole.disjoint)
        data = read_tensors(replace(whole, train=train, test=test, validation=held_out), loading)
    else:
        if loading.hflip is None and base in NOT_FLIPPED:
            loading = replace(loading, hflip=False)
        found = parts(name, folder=folder, seed=SPLIT_SEED, download=download)
        _check_classes(name, found.disjoint, classes, found.train.class_names)
        train, test, held_out = found.train, found.test, found.validation
        if not found.disjoint:
            train, test, held_out = chosen(train), chosen(test), None if held_out is None else chosen(held_out)
        train, held_out = divided(train, held_out, found.disjoint)
        data = read_files(replace(found, name=name, train=train, test=test, validation=held_out), loading)
        data = _noting_alike(data)
    return data if mislabel == 0 else mislabelled(data, share=mislabel, seed=seed)


def _noting_alike(data: Dataset) -> Dataset:
    """With a note of classes that are probably one, written in two ways."""
    groups = alike(data.train.class_names)
    told = few([" and ".join(group) for group in groups])
    return replace(data, note=f"{data.note}; classes that differ in capitals alone: {told}") if groups else data


def _check_kinds(**given: object) -> None:
    """ValueError for arguments of other kinds than those they are declared with; None was not given."""
    for argument, value in given.items():
        kind, said = KINDS[argument]
        is_other = not isinstance(value, kind) or isinstance(value, bool)
        if value is not None and (is_other or (argument == "classes" and isinstance(value, str))):
            raise ValueError(f"{argument} is {kind_of(value)}, {value!r}; expected {said}")


def _check_classes(name: str, disjoint: bool, classes: Sequence[str] | None, of_train: tuple[str, ...]) -> None:
    """A set's own classes may be named, as the file of a network that was trained on it names them."""
    if disjoint and classes is not None and tuple(classes) != of_train:
        raise ValueError(f"{name} is divided by class, so none can be chosen; leave out data.classes")


def _tensors_by_class(name: str, folder: Path, download: bool) -> Dataset:
    """A set in memory with its images pooled and divided by class."""
    whole = _tensors(name.removesuffix(SUFFIX), folder, download)
    assert isinstance(whole.train, ImageSet) and isinstance(whole.test, ImageSet)
    train, test = divided_by_class(pooled([whole.train, whole.test]))
    return replace(whole, name=name, train=train, test=test, disjoint=True)


def _tensors(name: str, folder: Path, download: bool) -> Dataset:
    if name == "digits":
        return digits()
    return cifar({"cifar10": CIFAR10, "cifar100": CIFAR100}[name], folder=folder, download=download)
