"""A peer's own loop in the same run: KD by torchdistill, where it is installed (pip install torchdistill).

Networks, batch size and images are those of the other benchmarks; all else is as in its CIFAR-10 configurations and its
examples' loop: PIL images, transforms image by image in two loader processes, float32, SGD, a loss read every step.

    python -m benchmarks torchdistill_kd
"""

import importlib.util
import logging
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from benchmarks.pair import PAPER, QUICK, Pair, float32, floor, network, random_data
from benchmarks.timing import alternate, ratios, spread
from understudy.data import ImageSet

BLOCKS, STEPS, WARM_UP = 4, 3, 1


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Its images/s in alternation with the float32 floor; `installed` false and nothing else where it is not."""
    if importlib.util.find_spec("torchdistill") is None:
        return {"installed": False}
    pair, blocks = (QUICK, 1) if quick else (PAPER, BLOCKS)
    device = torch.device("cpu")
    steps = _its_steps(pair, WARM_UP + blocks * STEPS)
    takes = {"own": steps.__next__, "float32_floor": floor(pair, float32(device))}
    for take in takes.values():
        take()
    times = alternate(takes, blocks=blocks, num_steps=STEPS, device=device)
    return {
        "installed": True,
        "version": metadata.version("torchdistill"),
        "method": "kd",
        "images_per_s": spread([pair.batch_size / one for one in times["own"]]),
        "float32_floor_s": spread(times["float32_floor"]),
        "float32_floor_over_own": ratios(times["float32_floor"], times["own"]),
    }


class Pictures(TorchDataset):
    """Random pixels as torchvision's CIFAR sets hand them out: a PIL image at a time, transformed."""

    def __init__(self, pair: Pair, num_images: int):
        from torchvision import transforms

        images = random_data(pair, num_images).train
        assert isinstance(images, ImageSet)
        self.pixels, self.labels = images.images.permute(0, 2, 3, 1).numpy(), images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(pair.size, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5,) * 3, (0.29,) * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        transformed = self.transform(Image.fromarray(self.pixels[index]))
        assert isinstance(transformed, Tensor)
        return transformed, self.labels[index]


def _its_steps(pair: Pair, num_steps: int) -> Iterator[float]:
    """The steps of one epoch, as its image classification example takes them; each answers the loss."""
    # No dependency of the library: only where somebody has installed it.
    from torchdistill.core.distillation import DistillationBox  # pyright: ignore[reportMissingImports]

    logging.disable(logging.INFO)
    device = torch.device("cpu")
    data = Pictures(pair, num_steps * pair.batch_size)
    box = DistillationBox(
        network(pair.teacher), network(pair.student), {"train": data}, _config(pair), device, None, False, 1
    )
    box.pre_epoch_process(epoch=0)
    for images, labels, extra in box.train_data_loader:
        loss = box.forward_process(images.to(device), labels.to(device), extra)
        box.post_forward_process(loss=loss)
        yield loss.item()


def _config(pair: Pair) -> dict[str, Any]:
    kd = {
        "key": "KDLoss",
        "kwargs": {
            "student_module_path": ".",
            "student_module_io": "output",
            "teacher_module_path": ".",
            "teacher_module_io": "output",
            "temperature": 4.0,
            "alpha": 0.1,
            "reduction": "batchmean",
        },
    }
    return {
        "num_epochs": 1,
        "train_data_loader": {
            "dataset_id": "train",
            "sampler": {"class_or_func": torch.utils.data.RandomSampler, "kwargs": {}},
            "kwargs": {"batch_size": pair.batch_size, "num_workers": 2, "pin_memory": True, "drop_last": True},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only", "requires_grad": True},
        "optimizer": {
            "key": "SGD",
            "kwargs": {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True},
        },
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": {"criterion": kd, "weight": 1.0}}}},
    }
