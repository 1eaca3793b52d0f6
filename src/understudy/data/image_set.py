"""Labelled images held in memory, and the data set that groups parts of any kind."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from understudy.data.augment import Augment
from understudy.data.boxed_images import BoxedImages
from understudy.data.crops import Crops
from understudy.data.fit import Fit
from understudy.data.image_files import ImageFiles
from understudy.data.units import check_bytes
from understudy.spec import few, kind_of


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images (N, C, H, W) in uint8, labels (N,) in int64 and the name of every class.

    A label is an index into `class_names`. Tensors of another shape or type, and labels outside the
    classes, are a ValueError. Two sets are the same when their fingerprints are; `==` is identity.
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise ValueError(
                f"images must be a uint8 tensor of shape (N, C, H, W), "
                f"found {self.images.dtype} of shape {tuple(self.images.shape)}"
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be an int64 tensor of shape ({len(self.images)},), one for each image, "
                f"found {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )
        wrong = (self.labels < 0) | (self.labels >= len(self.class_names))
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise ValueError(
                f"{int(wrong.sum())} of {len(self)} labels are outside 0..{len(self.class_names) - 1}; "
                f"the first is {int(self.labels[row])} at image {row}"
            )

    def _check_kinds(self) -> None:
        for name, found in (("images", self.images), ("labels", self.labels)):
            if not isinstance(found, Tensor):
                raise ValueError(f"{name} is {kind_of(found)}; expected a tensor: torch.as_tensor({name})")
        if not isinstance(self.class_names, Sequence) or isinstance(self.class_names, str):
            raise ValueError(
                f"class_names is {kind_of(self.class_names)}; expected a tuple of names, one for each class"
            )

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Tensor | Sequence[int]) -> "ImageSet":
        """The images at `indices`, in that order, with all class names kept."""
        chosen = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        return ImageSet(images=self.images[chosen], labels=self.labels[chosen], class_names=self.class_names)

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal over shape, pixels, labels and class names; the device does not matter."""
        digest = hashlib.sha256(json.dumps([list(self.images.shape), self.class_names]).encode())
        digest.update(self.images.cpu().contiguous().numpy().data)
        # Little-endian, so that the same set has one fingerprint on every machine.
        digest.update(self.labels.cpu().contiguous().numpy().astype("<i8").data)
        return digest.hexdigest()


Images = ImageSet | ImageFiles | BoxedImages
# What makes the images of each kind ready.
GOES_WITH = {ImageSet: Augment, ImageFiles: Crops, BoxedImages: Fit}


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A train and a test set of the same classes and image shape, and how they are normalised and augmented.

    Parts that are `disjoint` have no class in common instead: for retrieval, on classes that were never seen. A
    `gallery` is where the test images are looked for, if not among themselves, and has their classes.

    All parts are images in memory of one shape, with `augment` an Augment, or all are files, with Crops, or all show
    objects in boxes, with a Fit; these give them their shape. `workers` processes decode these ahead of time. `mean`
    and `std` have one entry a channel, in units of 0..255. `mislabelled` says which training images were given a wrong
    label on purpose: place in `train` -> the right one. `loading` says in words how the images are read and why, `note`
    what else their user should know.
    """

    name: str
    train: Images
    test: Images
    validation: Images | None = None
    gallery: Images | None = None
    disjoint: bool = False
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment | Crops | Fit
    workers: int = 0
    mislabelled: Mapping[int, int] = field(default_factory=dict)
    loading: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for part, images in self._parts():
            if not len(images):
                raise ValueError(f"{self.name}: {part} has no images; give it one at least")
            self._check_classes(part, images)
            wanted = GOES_WITH[type(images)]
            if not isinstance(self.augment, wanted):
                raise ValueError(
                    f"{self.name}: {part} is of {type(images).__name__}, which go with augment={wanted.__name__}(...), "
                    f"found {self.augment}; all parts are read in the same way"
                )
            if isinstance(images, ImageSet) and images.images.shape[1:] != self.image_shape:
                raise ValueError(
                    f"{self.name}: {part} has images of {tuple(images.images.shape[1:])}, train of "
                    f"{self.image_shape} (channels, height, width); they must be the same"
                )
        if len(self.mean) != self.image_shape[0] or len(self.std) != self.image_shape[0]:
            raise ValueError(
                f"{self.name}: mean and std need one entry for each of the {self.image_shape[0]} channels, "
                f"found {len(self.mean)} and {len(self.std)}"
            )
        check_bytes(self.name, self.mean, self.std)

    def _check_classes(self, part: str, images: Images) -> None:
        other, wanted = ("test", self.test) if part == "gallery" else ("train", self.train)
        found, expected = images.class_names, wanted.class_names
        if self.disjoint and part in ("test", "validation"):
            shared = sorted(set(found) & set(expected))
            if shared:
                raise ValueError(f"{self.name}: {part} and train share the classes {few(shared, 5)}")
        elif tuple(found) != tuple(expected):
            raise ValueError(
                f"{self.name}: {part} has the classes {few(found, 5)}, "
                f"{other} has {few(expected, 5)}; they must be equal, in order"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width), as the networks see them."""
        if isinstance(self.augment, Crops | Fit):
            return 3, self.augment.size, self.augment.size
        assert isinstance(self.train, ImageSet)
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        return len(self.train.class_names)

    @property
    def in_memory(self) -> bool:
        return isinstance(self.augment, Augment)

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal over the fingerprints of the parts, normalisation and the crops of files included."""
        digest = hashlib.sha256(json.dumps([self.mean, self.std]).encode())
        for part, images in self._parts():
            digest.update(f"{part} {images.fingerprint()}\n".encode())
        if not self.in_memory:
            digest.update(repr(self.augment).encode())
        return digest.hexdigest()

    def _parts(self) -> list[tuple[str, Images]]:
        others = (("validation", self.validation), ("gallery", self.gallery))
        return [
            ("train", self.train),
            ("test", self.test),
            *((name, part) for name, part in others if part is not None),
        ]
