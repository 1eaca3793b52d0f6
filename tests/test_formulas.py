"""docs/formulas.md: its plain lines give the library's values and gradients."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from understudy import losses
from understudy.methods import METHODS

PAGE = (Path(__file__).parents[1] / "docs" / "formulas.md").read_text(encoding="utf-8")
WRITTEN: dict = {}
exec(compile("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)), "docs/formulas.md", "exec"), WRITTEN)

LOGITS = ((6, 5), (6, 5))
MAPS = ((4, 3, 5, 5), (4, 3, 5, 5))
UNEQUAL = ((4, 3, 5, 5), (4, 6, 5, 5))
EMBEDDINGS = ((6, 4), (6, 7))
PAIRS = ((3, 4, 6, 6), (3, 5, 3, 3), (3, 4, 6, 6), (3, 5, 3, 3))
SHAPES = {
    "kd": LOGITS,
    "dtl": LOGITS,
    "hint": MAPS,
    "lp": MAPS,
    "activation_boundary": MAPS,
    "partial_l2": MAPS,
    "attention": UNEQUAL,
    "nst": UNEQUAL,
    "fsp": PAIRS,
    "factor": MAPS,
    "kd_svd": PAIRS,
    "rkd_distance": EMBEDDINGS,
    "rkd_angle": EMBEDDINGS,
}


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def value_and_gradients(loss, *tensors):
    """Of the first half of the tensors, which are the student's."""
    own = [tensor.clone().requires_grad_() for tensor in tensors[: len(tensors) // 2]]
    value = loss(*own, *tensors[len(own) :])
    return value.detach(), *torch.autograd.grad(value, own)


@pytest.mark.parametrize("name", SHAPES)
def test_the_lines_are_the_loss(name, generator):
    tensors = [normal(generator, *shape) for shape in SHAPES[name]]
    found = value_and_gradients(getattr(losses, name), *tensors)
    torch.testing.assert_close(found, value_and_gradients(WRITTEN[name], *tensors))
    assert found[0] > 0


def test_the_margin_is_that_of_ofd(generator):
    bias, weight = normal(generator, 9), normal(generator, 9)
    torch.testing.assert_close(losses.negative_mean(bias, weight), WRITTEN["margin"](bias, weight))


@pytest.fixture
def networks(generator):
    """Two small networks that end in maps of unequal widths, and read classes off them."""
    both = [nn.Sequential(nn.Conv2d(2, width, 3, padding=1), nn.Tanh(), nn.Conv2d(width, 3, 3)) for width in (3, 5)]
    for parameter in nn.ModuleList(both).double().parameters():
        parameter.data.copy_(normal(generator, *parameter.shape))
    return both


def gradients_of_weights(loss, network):
    return torch.autograd.grad(loss, list(network.parameters()))


def test_the_lines_are_the_gradient_form_of_attention(networks, generator):
    images = normal(generator, 4, 2, 5, 5).requires_grad_()
    labels = torch.tensor([0, 2, 1, 2])

    def answer(loss):
        student, teacher = (network(images).mean(dim=(2, 3)) for network in networks)
        value = loss(student, teacher, labels, images)
        return value, *gradients_of_weights(value, networks[0])

    torch.testing.assert_close(answer(losses.attention_gradient), answer(WRITTEN["attention_gradient"]))


def test_the_lines_are_the_jacobian(networks, generator):
    images = normal(generator, 4, 2, 5, 5).requires_grad_()

    def ours(student, teacher, images):
        return losses.jacobian(losses.attention_peak(student), losses.attention_peak(teacher), images)

    def answer(loss):
        value = loss(*(network(images) for network in networks), images)
        return value, *gradients_of_weights(value, networks[0])

    torch.testing.assert_close(answer(ours), answer(WRITTEN["jacobian"]))


def test_the_lines_move_an_image_as_bss_does(networks, generator):
    images = normal(generator, 8, 2, 5, 5)

    def teacher(images):
        return networks[1](images).mean(dim=(2, 3))

    target = (teacher(images).argmax(dim=1) + 1) % 3
    moved = losses.boundary_samples(teacher, images, target)
    written = [WRITTEN["boundary_sample"](teacher, image, aim) for image, aim in zip(images, target, strict=True)]
    torch.testing.assert_close(moved, torch.stack(written))
    assert (moved != images).flatten(1).any(dim=1).all()


def test_the_lines_are_the_distance_of_graphs(generator):
    maps = [normal(generator, *shape) for shape in PAIRS]
    guide = losses.GraphHead(PAIRS[0], PAIRS[1], heads=2).eval()
    graphs = []

    class Guide:
        def graph(self, front, back):
            graphs.append(guide.graph(front, back))
            return graphs[-1]

    found = losses.mhgd(*maps, Guide())
    wanted, own = graphs
    torch.testing.assert_close(found, WRITTEN["graphs_apart"](own, wanted), check_dtype=False, rtol=1e-5, atol=1e-7)
    assert found > 0


def test_the_lines_are_the_regression(generator):
    student, teacher = normal(generator, 6, 4), normal(generator, 6, 4)
    keep = torch.tensor([True, False, True, True, False, True])
    torch.testing.assert_close(losses.regression(student, teacher, keep), WRITTEN["regression"](student, teacher, keep))


def test_every_method_stands_on_the_page():
    assert [name for name in METHODS if name != "none" and f"`{name}`" not in PAGE] == []
