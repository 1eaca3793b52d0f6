"""The classification sets of torchvision that come with an official split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Part = dict[str, Any]  # the arguments of torchvision's class that choose a part


@dataclass(frozen=True, kw_only=True)
class TorchvisionSet:
    """A class of `torchvision.datasets` by name, where below the data folder it looks, and the arguments of each part.

    `files` answers (path, label) of every image of one of its objects; None where it holds pixels instead.
    `class_names` are those of the object unless given here; where it has none, as in older torchvisions, classes are
    numbered up to `num_classes`.
    """

    make: str
    place: str
    meaning: str
    train: Part = field(default_factory=lambda: {"split": "train"})
    test: Part = field(default_factory=lambda: {"split": "test"})
    validation: Part | None = None
    files: Callable[[Any], list[tuple[Any, int]]] | None
    class_names: tuple[str, ...] | None = None
    num_classes: int = 0
    can_be_fetched: bool = True


# torchvision has no public way to its lists of files that leaves the images unread.
def _listed(found: Any) -> list[tuple[Any, int]]:
    return list(zip(found._image_files, found._labels, strict=True))


def _samples(found: Any) -> list[tuple[Any, int]]:
    return found._samples


def _pets(found: Any) -> list[tuple[Any, int]]:
    return list(zip(found._images, found._labels, strict=True))


def _folders(found: Any) -> list[tuple[Any, int]]:
    return found.samples


_TRAIN, _NOT_TRAIN = {"train": True}, {"train": False}
_DIGITS = tuple("0123456789")

TORCHVISION: Mapping[str, TorchvisionSet] = {
    "country211": TorchvisionSet(
        make="Country211",
        place="country211/",
        meaning="63,300 photographs of 211 countries",
        validation={"split": "valid"},
        files=_folders,
    ),
    "dtd": TorchvisionSet(
        make="DTD",
        place="dtd/dtd/",
        meaning="5,640 textures in 47 classes; first partition",
        train={"split": "train", "partition": 1},
        test={"split": "test", "partition": 1},
        validation={"split": "val", "partition": 1},
        files=_listed,
    ),
    "fashion_mnist": TorchvisionSet(
        make="FashionMNIST",
        place="FashionMNIST/raw/",
        meaning="70,000 grey images of 28x28, 10 kinds of clothing",
        train=_TRAIN,
        test=_NOT_TRAIN,
        files=None,
    ),
    "fgvc_aircraft": TorchvisionSet(
        make="FGVCAircraft",
        place="fgvc-aircraft-2013b/",
        meaning="10,000 aircraft in 100 variants; trainval, test",
        train={"split": "trainval", "annotation_level": "variant"},
        test={"split": "test", "annotation_level": "variant"},
        files=_listed,
    ),
    "flowers102": TorchvisionSet(
        make="Flowers102",
        place="flowers-102/",
        meaning="8,189 flowers in 102 classes",
        validation={"split": "val"},
        files=_listed,
        num_classes=102,
    ),
    "food101": TorchvisionSet(
        make="Food101", place="food-101/", meaning="101,000 dishes in 101 classes", files=_listed
    ),
    "gtsrb": TorchvisionSet(
        make="GTSRB",
        place="gtsrb/",
        meaning="German traffic signs in 43 classes",
        files=_samples,
        class_names=tuple(f"{label:05d}" for label in range(43)),
    ),
    "imagenette": TorchvisionSet(
        make="Imagenette",
        place="imagenette2/",
        meaning="13,394 images of ten classes of ImageNet",
        train={"split": "train", "size": "full"},
        test={"split": "val", "size": "full"},
        files=_samples,
    ),
    "kmnist": TorchvisionSet(
        make="KMNIST",
        place="KMNIST/raw/",
        meaning="70,000 grey images of 28x28, 10 Japanese letters",
        train=_TRAIN,
        test=_NOT_TRAIN,
        files=None,
    ),
    "mnist": TorchvisionSet(
        make="MNIST",
        place="MNIST/raw/",
        meaning="70,000 grey handwritten digits of 28x28",
        train=_TRAIN,
        test=_NOT_TRAIN,
        files=None,
    ),
    "pets": TorchvisionSet(
        make="OxfordIIITPet",
        place="oxford-iiit-pet/",
        meaning="Oxford-IIIT: 7,349 cats and dogs in 37 breeds",
        train={"split": "trainval", "target_types": "category"},
        test={"split": "test", "target_types": "category"},
        files=_pets,
    ),
    "stanford_cars": TorchvisionSet(
        make="StanfordCars",
        place="stanford_cars/",
        meaning="16,185 cars in 196 models",
        files=_samples,
        can_be_fetched=False,  # its official address is gone
    ),
    "stl10": TorchvisionSet(
        make="STL10",
        place="stl10_binary/",
        meaning="13,000 colour images of 96x96 in 10 classes",
        files=None,
        class_names=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
    ),
    "svhn": TorchvisionSet(
        make="SVHN",
        place="train_32x32.mat, test_32x32.mat",
        meaning="99,289 colour house numbers of 32x32, by digit",
        files=None,
        class_names=_DIGITS,
    ),
}
