"""Images with boxes around the objects that they show, decoded when they are asked for."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from understudy.data.image_files import Source, digest_of_stamps
from understudy.spec import few


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
    """What one image shows: `boxes` (N, 4), `labels` (N,) in int64 and `difficult` (N,), which no one has to find.

    A box is [xmin, ymin, xmax, ymax] in pixels, at their edges: the whole of an image is [0, 0, width, height].
    `size` is the (width, height) of the image that the boxes are of, where its annotation says it.
    """

    boxes: Tensor
    labels: Tensor
    difficult: Tensor
    size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def kept(self, which: Tensor) -> "Objects":
        """Those objects for which `which` (N,) is true."""
        return replace(self, boxes=self.boxes[which], labels=self.labels[which], difficult=self.difficult[which])

    def clipped(self, width: int, height: int) -> "Objects":
        """The same with what hangs over the edges of the image cut off."""
        corners = self.boxes.reshape(-1, 2, 2).clamp(min=torch.zeros(2), max=torch.tensor([width, height]))
        return replace(self, boxes=corners.reshape(-1, 4).to(self.boxes.dtype))

    def misfit(self, width: int, height: int) -> str:
        """What is wrong with the boxes for an image of this size; an empty string where nothing is."""
        if self.size is not None and self.size != (width, height):
            turned = ", turned as its EXIF orientation says" if self.size == (height, width) else ""
            return f"{width}x{height} pixels{turned}, and its annotation is of {self.size[0]}x{self.size[1]}"
        outside = (self.boxes[:, :2] >= torch.tensor([width, height])).any(dim=1) | (self.boxes[:, 2:] <= 0).any(dim=1)
        if outside.any():
            return f"{width}x{height} pixels, and the box {self.boxes[outside][0].tolist()} lies outside"
        return ""


def objects_of(
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    difficult: Sequence[bool],
    size: tuple[int, int] | None = None,
) -> Objects:
    """The same as tensors, of no objects too."""
    return Objects(
        boxes=torch.tensor([*boxes], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([*labels], dtype=torch.int64),
        difficult=torch.tensor([*difficult], dtype=torch.bool),
        size=size,
    )


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """The objects of one image, by the names of their classes; its (width, height) and file, where they are told."""

    boxes: list[list[float]]
    names: list[str]
    difficult: list[bool]
    size: tuple[int, int] | None = None
    file_name: str = ""


def labelled(annotation: Annotation, class_names: Sequence[str], where: str) -> Objects:
    """The same with labels. Raises ValueError for a class that is none of the names."""
    unknown = sorted(set(annotation.names) - set(class_names))
    if unknown:
        raise ValueError(f"{where} shows objects called {few(unknown, 5)}, expected {few(class_names, 20)}")
    labels = [class_names.index(name) for name in annotation.names]
    return objects_of(annotation.boxes, labels, annotation.difficult, annotation.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxedImages:
    """Images of a source in any sizes: `rows` (N,) says which, `objects` what each of them shows.

    Labels outside the classes and boxes without width or height are a ValueError that names the image. Two sets are the
    same when their fingerprints are; `==` is identity.
    """

    source: Source
    rows: Tensor
    objects: tuple[Objects, ...]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.rows.shape != (len(self.objects),) or self.rows.dtype != torch.int64:
            raise ValueError(
                f"rows must be an int64 tensor of shape ({len(self.objects)},), one for each image's objects, "
                f"found {self.rows.dtype} of shape {tuple(self.rows.shape)}"
            )
        for index, each in enumerate(self.objects):
            wrong = (each.labels < 0) | (each.labels >= len(self.class_names))
            if wrong.any():
                raise ValueError(
                    f"{self.name(index)} has label {int(each.labels[wrong][0])}, "
                    f"expected 0..{len(self.class_names) - 1}"
                )
            # Written so that a corner that is no number is found too.
            flat = ~(each.boxes[:, 2:] > each.boxes[:, :2]).all(dim=1)
            if flat.any():
                raise ValueError(
                    f"{self.name(index)} has the box {each.boxes[flat][0].tolist()}, "
                    f"expected [xmin, ymin, xmax, ymax] with a width and a height"
                )

    def __len__(self) -> int:
        return len(self.objects)

    def read(self, index: int) -> Image.Image:
        """The image at this place of the set, in RGB. Raises ValueError where its boxes are not of such an image."""
        image = self.source.read(int(self.rows[index]))
        trouble = self.objects[index].misfit(*image.size)
        if trouble:
            raise ValueError(f"{self.name(index)} has {trouble}; its boxes have to be of the image as it is shown")
        return image

    def name(self, index: int) -> str:
        """Where the image at this place of the set lies."""
        return self.source.name(int(self.rows[index]))

    def stamps(self) -> str:
        """SHA-256 in hexadecimal over the stamps: another one once a file was written again, whatever is in it."""
        return digest_of_stamps(self.source, self.rows)

    @property
    def num_objects(self) -> int:
        return sum(len(each) for each in self.objects)

    def subset(self, indices: Tensor | Sequence[int]) -> "BoxedImages":
        """The images at `indices`, in that order, with all class names kept."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return BoxedImages(
            source=self.source,
            rows=self.rows[chosen],
            objects=tuple(self.objects[index] for index in chosen.tolist()),
            class_names=self.class_names,
        )

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal over the names of images and classes and the objects; no image is read for it."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for index, each in enumerate(self.objects):
            told = [each.boxes.tolist(), each.labels.tolist(), each.difficult.tolist()]
            digest.update(f"{self.name(index)}\0{json.dumps(told)}\n".encode())
        return digest.hexdigest()
