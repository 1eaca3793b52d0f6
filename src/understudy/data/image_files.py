"""Labelled images that stay where they are and are decoded when they are asked for."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor


class Source(Protocol):
    """Images in a fixed order; picklable, for worker processes get a copy and open the files themselves."""

    def read(self, row: int) -> Image.Image:
        """The image in RGB. ValueError that names it where it cannot be decoded."""
        ...

    def name(self, row: int) -> str:
        """Where the image lies, as a user would look for it; also part of the fingerprint."""
        ...

    def stamp(self, row: int) -> str:
        """Another one once the file that holds the image was written again; empty where no file does."""
        ...


def digest_of_stamps(source: Source, rows: Tensor) -> str:
    """SHA-256 in hexadecimal over the stamps of these rows (N,)."""
    digest = hashlib.sha256()
    for row in rows.tolist():
        digest.update(f"{source.stamp(row)}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFiles:
    """Images of a source in any sizes: `rows` (N,) says which, `labels` (N,) what they show, both int64.

    A label is an index into `class_names`; labels outside the classes are a ValueError. Two sets are the same when
    their fingerprints are; `==` is identity.
    """

    source: Source
    rows: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("rows", "labels"):
            found: Tensor = getattr(self, name)
            if found.shape != self.labels.shape or found.ndim != 1 or found.dtype != torch.int64:
                raise ValueError(
                    f"{name} must be an int64 tensor of shape (N,), one for each image, "
                    f"found {found.dtype} of shape {tuple(found.shape)}"
                )
        wrong = (self.labels < 0) | (self.labels >= len(self.class_names))
        if wrong.any():
            first = int(wrong.nonzero()[0])
            raise ValueError(
                f"{int(wrong.sum())} of {len(self)} labels are outside 0..{len(self.class_names) - 1}; "
                f"the first is {int(self.labels[first])} at {self.name(first)}"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, index: int) -> Image.Image:
        """The image at this place of the set, in RGB."""
        return self.source.read(int(self.rows[index]))

    def name(self, index: int) -> str:
        """Where the image at this place of the set lies."""
        return self.source.name(int(self.rows[index]))

    def stamps(self) -> str:
        """SHA-256 in hexadecimal over the stamps: another one once a file was written again, whatever is in it."""
        return digest_of_stamps(self.source, self.rows)

    def subset(self, indices: Tensor | Sequence[int]) -> "ImageFiles":
        """The images at `indices`, in that order, with all class names kept."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return ImageFiles(
            source=self.source, rows=self.rows[chosen], labels=self.labels[chosen], class_names=self.class_names
        )

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal over the names of images and classes and the labels; no image is read for it."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for row, label in zip(self.rows.tolist(), self.labels.tolist(), strict=True):
            digest.update(f"{self.source.name(row)}\0{label}\n".encode())
        return digest.hexdigest()
