"""On a CUDA device: nothing mixes devices or waits for a value, as far as that shows without one.

Fake tensors know shape, type and device, and raise where torch would: for operands on two devices, and for numbers that
would have to be read back. What needs a device after all, the backward pass, is tested where there is one.
"""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode

from understudy.data import Batches, load
from understudy.data.augment import Augment
from understudy.distiller import Distiller
from understudy.methods import METHODS, Method
from understudy.models import build

EXAMPLE = torch.zeros(8, 1, 8, 8)


def differentiates(method: Method) -> bool:
    return any("images" in term.needs or term.clip for phase in method.phases for term in phase.terms)


@pytest.fixture
def fake():
    return FakeTensorMode(allow_non_fake_inputs=True)


def put_on_cuda(module: nn.Module, fake: FakeTensorMode) -> None:
    """`module.to("cuda")`, which fake tensors do not have: registered tensors alone are moved, as there."""
    moved: dict[int, torch.Tensor] = {}

    def one(tensor: torch.Tensor | None) -> torch.Tensor | None:
        if tensor is None or id(tensor) in moved:
            return None if tensor is None else moved[id(tensor)]
        with fake:
            there = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
        moved[id(tensor)] = nn.Parameter(there, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else there
        return moved[id(tensor)]

    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            tensors.update({name: one(tensor) for name, tensor in tensors.items()})


def on_cuda(method: str, fake: FakeTensorMode) -> tuple[Distiller, torch.Tensor, torch.Tensor]:
    networks = [build(name, num_classes=10, in_channels=1) for name in ("digits-1x4", "digits-2x6")]
    distiller = Distiller(networks[0], networks[1], method, EXAMPLE)
    put_on_cuda(distiller, fake)
    with fake:
        return distiller, EXAMPLE.to("cuda"), torch.zeros(8, dtype=torch.int64, device="cuda")


@pytest.mark.parametrize("name", [name for name, one in METHODS.items() if not differentiates(one) and name != "bss"])
def test_every_method_answers_its_terms_on_the_device_of_the_images(name, fake):
    distiller, images, labels = on_cuda(name, fake)
    for phase in range(len(distiller.method.phases)):
        distiller.enter(phase)
        with fake:
            distiller.at(0.3, 2.0)
            answer = distiller(images, labels)
        assert len(answer) >= 2 and {one.device.type for one in answer.values()} == {"cuda"}


def test_boundary_images_alone_are_waited_for(fake):
    # How many images both networks classify correctly is known to the device alone.
    distiller, images, labels = on_cuda("bss", fake)
    with fake, pytest.raises(DynamicOutputShapeException):
        distiller(images, labels)


def test_a_tensor_that_was_left_behind_would_be_seen(fake):
    distiller, images, labels = on_cuda("kd", fake)
    distiller.student.fc = nn.Linear(16, 10)
    with fake, pytest.raises(RuntimeError, match="same device"):
        distiller(images, labels)


@pytest.mark.parametrize("views", [0, 2])
def test_batches_are_drawn_and_augmented_there(views, fake):
    digits = load("digits").train.subset(torch.arange(20))
    with fake:
        batches = Batches(
            digits,
            batch_size=8, mean=(0.5,), std=(0.2,), augment=Augment(pad=2), seed=0, device="cuda", views=views,
        )  # fmt: skip
        shown = [*batches.epoch(1)]
    assert [images.shape for images, _ in shown] == [(8, 1, 8, 8)] * 2
    assert {one.device.type for batch in shown for one in batch} == {"cuda"}
