"""Second derivatives: by finite differences, against torch's own, in low precision, and at what price."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from understudy.distiller import Distiller
from understudy.methods import find
from understudy.models import build
from understudy.twice import twice_differentiable

LAYOUTS = {
    "plain": {},
    "bias": {"bias": True},
    "strides": {"stride": (2, 1), "padding": (1, 0)},
    "dilated": {"dilation": 2, "padding": 2},
    "groups": {"groups": 2, "bias": True},
    "uneven": {"stride": 3, "padding": 1},
    "valid": {"padding": "valid"},
}


def randn(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def input_gradient(forward, x, g, **how):
    """The gradient at x that g at the output gives, with its graph."""
    with twice_differentiable():
        output = forward(x, **how)
    (gradient,) = torch.autograd.grad(output, x, g, create_graph=True)
    return gradient


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_convolutions_gradients_agree_with_finite_differences(generator, layout):
    options = {"bias": False, **LAYOUTS[layout]}
    conv = nn.Conv2d(2, 4, (3, 2), **options).double()
    x = randn(generator, 2, 2, 6, 5).requires_grad_()
    g = randn(generator, *conv(x).shape).requires_grad_()

    def forward(x, g, *parameters):
        weight, bias = parameters if len(parameters) == 2 else (*parameters, None)
        with twice_differentiable():
            return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups) * g

    def gradient(x, g, *parameters):
        output = forward(x.tanh(), g, *parameters).sum(dim=(1, 2, 3)).square().sum()
        return torch.autograd.grad(output, x, create_graph=True)[0]

    assert torch.autograd.gradcheck(forward, (x, g, *conv.parameters()))
    assert torch.autograd.gradcheck(gradient, (x, g, *conv.parameters()))


@pytest.mark.parametrize("shape", [(5, 3, 2, 2), (6, 3)])
def test_a_batch_norms_gradients_agree_with_finite_differences(generator, shape):
    x, g = randn(generator, *shape).requires_grad_(), randn(generator, *shape).requires_grad_()
    weight, bias = randn(generator, 3).requires_grad_(), randn(generator, 3).requires_grad_()

    def forward(x, weight, bias):
        # So large an epsilon that the unit input is far from one of length one.
        return F.batch_norm(x, None, None, weight, bias, True, 0.1, 0.5)

    def twice(x, weight, bias):
        with twice_differentiable():
            return forward(x, weight, bias)

    assert torch.equal(twice(x, weight, bias), forward(x, weight, bias))
    assert torch.autograd.gradcheck(twice, (x, weight, bias))

    def gradient(x, g, weight):
        return input_gradient(twice, x, g, weight=weight, bias=bias.detach())

    # A backward without any gradient, which the check would ask for as well, autograd never runs.
    assert torch.autograd.gradcheck(gradient, (x, g, weight), check_undefined_grad=False)


def test_running_statistics_move_as_they_do_elsewhere(generator):
    own, other = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 5, 5, generator=generator) + 2.0
    for _ in range(2):
        other(x)
        with twice_differentiable():
            own(x)
    torch.testing.assert_close(own.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_a_single_number_has_no_statistics_and_torch_says_so():
    with twice_differentiable(), pytest.raises(ValueError, match="more than 1 value per channel"):
        nn.BatchNorm2d(3)(torch.zeros(1, 3, 1, 1))


@pytest.mark.parametrize("name", ["jacobian", "at_gradient"])
def test_every_parameters_gradient_is_that_of_torchs_own_double_backward(generator, name, monkeypatch):
    answers = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student, teacher = (build("wrn10-1", num_classes=4).double() for _ in range(2))
    images, labels = randn(generator, 5, 3, 16, 16), torch.tensor([0, 3, 1, 2, 2])
    for is_plain in (False, True):
        if is_plain:
            monkeypatch.setattr("understudy.twice.EXCHANGED", {})
        own = copy.deepcopy(student)
        answer = Distiller(own, teacher, find(name), images[:2])(images, labels)
        answer["loss"].backward()
        answers.append((answer, {key: p.grad for key, p in own.named_parameters()}, own.state_dict()))
    torch.testing.assert_close(answers[0], answers[1], rtol=1e-10, atol=1e-12)
    assert all(gradient.any() for gradient in answers[0][1].values())


def test_batch_norm_rounds_to_low_precision_once(generator):
    shape = (16, 8, 6, 6)
    x, g, v = (randn(generator, *shape) for _ in range(3))
    # Means far from zero and tensors that are alike: what is left after the sums is small.
    x, g, v = (t.bfloat16() for t in (0.5 * x + 3.0 * randn(generator, 8, 1, 1), g + 0.2 * x, v + 0.3 * g + 0.3 * x))

    def second(x, g, v, weight):
        x, g = x.detach().requires_grad_(), g.detach().requires_grad_()
        bias = torch.zeros_like(weight)
        gradient = input_gradient(lambda x: F.batch_norm(x, None, None, weight, bias, training=True), x, g)
        return torch.autograd.grad(gradient, (x, g), v)

    found = second(x, g, v, torch.ones(8))
    for own, wanted in zip(found, second(*(t.double() for t in (x, g, v, torch.ones(8)))), strict=True):
        assert own.dtype == torch.bfloat16
        assert (own.double() - wanted).norm() <= 2**-9 * wanted.norm()


def test_autocast_lowers_what_it_lowers_elsewhere(generator):
    conv = nn.Conv2d(3, 4, 3)
    x = torch.randn(2, 3, 6, 6, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        expected = conv(x)
        with twice_differentiable():
            found, exact = conv(x), copy.deepcopy(conv).double()(x.double())
    assert found.dtype == torch.bfloat16 and torch.equal(found, expected)
    assert exact.dtype == torch.float64
    (gradient,) = torch.autograd.grad(found.square().sum(), conv.weight)
    assert gradient.dtype == torch.float32


def test_autocast_around_a_backward_lowers_nothing(generator):
    conv, answers = nn.Conv2d(3, 4, 3), []
    for is_low in (False, True):
        x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
        gradient = input_gradient(lambda x: conv(x).square(), x, torch.ones(2, 4, 4, 4))
        with torch.autocast("cpu", torch.bfloat16, enabled=is_low):
            answers.append(torch.autograd.grad(gradient, (x, conv.weight), torch.ones_like(x)))
    assert all(torch.equal(one, other) for one, other in zip(*answers, strict=True))


class WeightGradients(TorchDispatchMode):
    """Counts the convolutions whose gradient at the weight is computed."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution_backward.default:
            self.count += args[-1][1]
        return func(*args, **(kwargs or {}))


def test_a_gradient_at_the_images_computes_none_at_the_weights(generator):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 3))
    images = torch.randn(2, 3, 6, 6, generator=generator).requires_grad_()
    with twice_differentiable():
        output = network(images)
    with WeightGradients() as computed:
        (gradient,) = torch.autograd.grad(output.square().sum(), images, create_graph=True)
    assert computed.count == 0
    with WeightGradients() as computed:
        gradient.square().sum().backward()
    # Each convolution once in the forward, and once in the backward.
    assert computed.count == 4 and all(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(3)])
def test_a_second_derivative_through_a_weights_gradient_is_refused(generator, layer):
    x = torch.randn(2, 3, 6, 6, generator=generator).requires_grad_()
    with twice_differentiable():
        output = layer(x)
    (gradient,) = torch.autograd.grad(output.square().sum(), layer.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate"):
        gradient.square().sum().backward()


def test_frozen_layers_pass_the_gradient_on(generator):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Softplus(), nn.Conv2d(4, 2, 3)).double()
    network[0].requires_grad_(False)
    network[3].weight.requires_grad_(False)
    images, wanted = randn(generator, 2, 3, 6, 6), []
    for mode in (twice_differentiable(), torch.enable_grad()):
        x = images.clone().requires_grad_()
        with mode:
            output = network(x)
        (gradient,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
        wanted.append(torch.autograd.grad(gradient.square().sum(), (x, network[1].weight, network[3].bias)))
    torch.testing.assert_close(*wanted)


def test_compiled_it_gives_the_same_gradients(generator):
    if not hasattr(torch._dynamo.config, "trace_autograd_ops"):
        pytest.skip("this torch does not compile through torch.autograd.grad")
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).double()
    images = randn(generator, 2, 3, 6, 6).requires_grad_()

    def loss(images):
        with twice_differentiable():
            output = network(images)
        return torch.autograd.grad(output.square().sum(), images, create_graph=True)[0].square().sum()

    answers = []
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        for form in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
            value = form(images)
            # A bias before BatchNorm is reached by nothing but rounding.
            answers.append((value, *torch.autograd.grad(value, [p for p in network.parameters() if p.dim() > 1])))
    torch.testing.assert_close(*answers)
