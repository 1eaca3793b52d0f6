"""Convolutions and transformers of torchvision and timm as teacher and student: one step of what reads features."""

import pytest
import torch
import torchvision
from torch import nn

from understudy.distiller import Distiller
from understudy.methods import METHODS

NUM_CLASSES = 5
SIZE = 64


def torchvision_network(name: str) -> nn.Module:
    return torchvision.models.get_model(name, weights=None, num_classes=NUM_CLASSES)


def timm_network(name: str, **changes) -> nn.Module:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    return timm.create_model(name, pretrained=False, num_classes=NUM_CLASSES, **changes)


def tiny_transformer() -> nn.Module:
    return timm_network("vit_tiny_patch16_224", img_size=SIZE)


# Name -> (student, teacher).
PAIRS = {
    "resnet50 teaches mobilenet": lambda: (torchvision_network("mobilenet_v3_small"), torchvision_network("resnet50")),
    "convnext teaches resnet18": lambda: (torchvision_network("resnet18"), timm_network("convnext_atto")),
    "transformer teaches resnet18": lambda: (torchvision_network("resnet18"), tiny_transformer()),
    "resnet18 teaches transformer": lambda: (tiny_transformer(), torchvision_network("resnet18")),
}


@pytest.mark.parametrize("name", ["kd", "ab", "ofd", "at", "nst", "fitnet", "fsp", "rkd"])
@pytest.mark.parametrize("pair", [pytest.param(one, marks=pytest.mark.slow) for one in PAIRS])
def test_one_step_moves_the_student_and_its_connectors_and_leaves_the_teacher(pair, name):
    torch.manual_seed(0)
    images = torch.randn(2, 3, SIZE, SIZE)
    labels = torch.randint(NUM_CLASSES, (2,))
    student, teacher = PAIRS[pair]()
    distiller = Distiller(student, teacher, METHODS[name], images)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    for index, phase in enumerate(distiller.method.phases):
        distiller.enter(index)
        trained = distiller.phase_parameters()
        optimizer = torch.optim.SGD(trained, lr=1e-3)
        answer = distiller(images, labels)
        assert all(value.isfinite().all() for value in answer.values())
        answer["loss"].backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in trained)
        for term in phase.terms:
            sites = distiller.sites[term.name]
            assert len({(site.student.name, site.teacher.name) for site in sites}) == len(sites)
            # RKD's connectors match lengths, and so on: where there are any, each gets a gradient.
            connectors = list(distiller.comparison(term.name).students.parameters())
            assert all(p.grad is not None for p in connectors) and (
                not connectors or any(p.grad.any() for p in connectors)
            )
        assert any(p.grad is not None and p.grad.any() for p in student.parameters())
        optimizer.step()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
