"""CIFAR as torchvision keeps it: the official archive, checked against its checksums."""

from pathlib import Path

import torch

from understudy.data.image_set import ImageSet

_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


def has_archive(name: str, folder: Path) -> bool:
    """Whether torchvision's extracted folder of "cifar10" or "cifar100" lies in `folder`."""
    return (folder / _FOLDERS[name]).is_dir()


def read_archive(name: str, *, folder: Path, train: bool, download: bool) -> ImageSet:
    """The train or test images, fetched first if `download` and they are not there yet.

    A file that is missing or has another checksum is a ValueError.
    """
    from torchvision.datasets import CIFAR10, CIFAR100

    source = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    try:
        archive = source(root=folder, train=train, download=download)
    except RuntimeError as error:
        raise ValueError(
            f"{name}: the files in {folder / _FOLDERS[name]} are not the official ones or not all there "
            f"(torchvision: {error}); remove that folder and fetch them with data.download=true "
            f"(in Python: download=True)"
        ) from error
    return ImageSet(
        images=torch.from_numpy(archive.data).permute(0, 3, 1, 2).contiguous(),
        labels=torch.tensor(archive.targets, dtype=torch.int64),
        class_names=tuple(archive.classes),
    )
