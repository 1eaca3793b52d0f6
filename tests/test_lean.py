"""Lean copies: the same values for less, whatever the network does with its layers; the network itself untouched."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from understudy.models import build
from understudy.modes import BATCH_NORMS
from understudy.taps import Tapped, lean_copy, named_positions

pytestmark = pytest.mark.slow

IMAGES = torch.zeros(2, 3, 8, 8, dtype=torch.float64)


def settled(network: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    """In eval mode, each BatchNorm with statistics and parameters of its own."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, BATCH_NORMS):
            for tensor in (module.running_mean, module.bias):
                if tensor is not None:
                    tensor.data.normal_(0.0, 0.3, generator=generator)
            for tensor in (module.running_var, module.weight):
                if tensor is not None:
                    tensor.data.uniform_(0.5, 2.0, generator=generator)
    return network.eval().to(dtype)


def timm(name: str) -> nn.Module:
    library = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    return library.create_model(name, num_classes=7)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@torch.no_grad()
def difference(found: nn.Module, wanted: nn.Module, names: tuple[str, ...], images: Tensor) -> float:
    """The largest difference of output and positions, in units of each one's largest value."""
    answers = []
    for network in (found, wanted):
        output, features = Tapped(network, names, images)(images)
        answers.append([output, *features.values()])
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*answers, strict=True))


@pytest.mark.parametrize(
    ("make", "size", "num_folded"),
    [
        # Of each block the second, and the very first, which takes the stem: the others take sums.
        pytest.param(lambda: build("wrn16-2", num_classes=7), 8, 7, id="wrn"),
        # Here the stem is the first block's shortcut as well.
        pytest.param(lambda: build("wrn16-1", num_classes=7), 8, 6, id="narrow wrn"),
        pytest.param(lambda: timm("resnet18"), 32, 20, id="resnet18"),
        pytest.param(lambda: timm("mobilenetv2_050"), 32, 52, id="mobilenet"),
    ],
)
def test_a_lean_copy_answers_the_same(make: Callable[[], nn.Module], size: int, num_folded: int):
    network, images = settled(make()), noise(3, 3, size, size)
    names = tuple(
        name for role in ("before_relu", "after_relu", "group_end") for name in named_positions(network, role, images)
    )
    lean = lean_copy(network, names, images)
    assert len(lean.folded) == num_folded and lean.network is not network
    assert difference(lean.network, network, names, images) < 1e-10


class Chain(nn.Module):
    """A layer, its BatchNorm, something after it."""

    def __init__(self, layer: nn.Module, norm: nn.Module):
        super().__init__()
        self.layer, self.norm = layer, norm

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.layer(x)))


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        pytest.param(nn.Conv2d(6, 4, 3, bias=False), nn.BatchNorm2d(4), (6, 5, 5), id="without bias"),
        pytest.param(nn.Conv2d(6, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4), (6, 5, 5), id="with bias"),
        pytest.param(nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6), (6, 5, 5), id="depthwise"),
        pytest.param(nn.Conv2d(6, 4, 1, groups=2), nn.BatchNorm2d(4), (6, 5, 5), id="grouped"),
        pytest.param(nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4, affine=False), (6, 5, 5), id="not affine"),
        pytest.param(nn.Conv1d(6, 4, 3), nn.BatchNorm1d(4), (6, 9), id="one axis"),
        pytest.param(nn.Linear(6, 4), nn.BatchNorm1d(4, eps=0.1), (6,), id="linear"),
    ],
)
def test_every_kind_of_layer_takes_its_norm_in(layer: nn.Module, norm: nn.Module, shape: tuple[int, ...]):
    network, images = settled(Chain(layer, norm)), noise(5, *shape)
    lean = lean_copy(network, ("norm",), images)
    assert lean.folded == (("layer", "norm"),) and not isinstance(lean.network.norm, BATCH_NORMS)
    assert difference(lean.network, network, ("norm",), images) < 1e-10


def conv(**options: Any) -> nn.Conv2d:
    return nn.Conv2d(3, 3, 3, padding=1, **options)


class Elsewhere(Chain):
    """The layer's output goes past its BatchNorm as well."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer(x)
        return self.norm(out) + out


class NormTwice(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.norm(self.layer(x)).relu())


class LayerTwice(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(self.layer(x).relu()))


class AsksItsNorm(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x)) * self.norm.weight.sum()


class AlwaysRandom(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.norm(self.layer(x)))


class Squashing(nn.BatchNorm2d):
    """A BatchNorm that does something of its own."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).tanh()


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(Elsewhere(conv(), nn.BatchNorm2d(3)), id="output used elsewhere"),
        pytest.param(NormTwice(conv(), nn.BatchNorm2d(3)), id="norm used twice"),
        pytest.param(LayerTwice(conv(), nn.BatchNorm2d(3)), id="layer used twice"),
        pytest.param(AsksItsNorm(conv(), nn.BatchNorm2d(3)), id="norm asked for its numbers"),
        pytest.param(AlwaysRandom(conv(), nn.BatchNorm2d(3)), id="random in eval mode"),
        pytest.param(Chain(conv(), Squashing(3)), id="norm that does more"),
        pytest.param(Chain(conv(), nn.BatchNorm2d(3, track_running_stats=False)), id="no statistics"),
        pytest.param(Chain(weight_norm(conv()), nn.BatchNorm2d(3)), id="computed weight"),
        pytest.param(Chain(nn.ReLU(), nn.BatchNorm2d(3)), id="no layer"),
        pytest.param(Chain(conv(), nn.InstanceNorm2d(3, affine=True)), id="other norm"),
    ],
)
def test_what_cannot_be_folded_is_left_alone(network: nn.Module):
    lean = lean_copy(settled(network), (), IMAGES)
    assert lean.folded == () and lean.network is network


def test_nothing_is_folded_across_a_position_that_is_read():
    network = settled(Chain(nn.Sequential(conv()), nn.BatchNorm2d(3)))
    for name in ("layer", "layer.0", "before:norm"):
        assert lean_copy(network, (name,), IMAGES).folded == ()
    assert lean_copy(network, ("norm", "before:relu()"), IMAGES).folded == (("layer.0", "norm"),)


def test_a_pair_that_cannot_be_folded_does_not_keep_the_others_from_it():
    network = settled(nn.Sequential(Chain(conv(), nn.BatchNorm2d(3)), Elsewhere(conv(), nn.BatchNorm2d(3))))
    lean = lean_copy(network, (), IMAGES)
    assert lean.folded == (("0.layer", "0.norm"),)
    assert difference(lean.network, network, (), noise(4, 3, 8, 8)) < 1e-10


def test_the_activation_that_a_norm_brings_along_stays_where_it_was():
    network = settled(timm("mobilenetv2_050"))
    images = noise(2, 3, 32, 32)
    names = ("bn1", "bn1.act", "before:bn1.act", "blocks.1.0.bn2.act")
    lean = lean_copy(network, names, images)
    assert difference(lean.network, network, names, images) < 1e-10


def test_a_network_without_a_copy_is_read_itself():
    class Uncopied(Chain):
        def __deepcopy__(self, _: Any) -> nn.Module:
            raise RuntimeError("only leaves can be copied")

    network = settled(Uncopied(conv(), nn.BatchNorm2d(3)))
    assert lean_copy(network, (), IMAGES).network is network


def test_the_network_stays_as_it_was_and_nothing_is_drawn():
    network = settled(build("wrn16-1", num_classes=7), torch.float32)
    before, random_state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    lean = lean_copy(network, ("bn1",), IMAGES.float(), torch.bfloat16)
    assert lean.folded and lean.cast
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    shared = {p.data_ptr() for p in network.parameters()} & {p.data_ptr() for p in lean.network.parameters()}
    assert not shared and not any(p.requires_grad for p in lean.network.parameters())


def test_the_memory_format_is_kept():
    network = settled(build("wrn16-1", num_classes=7), torch.float32).to(memory_format=torch.channels_last)
    lean = lean_copy(network, (), IMAGES.float(), torch.bfloat16)
    weight = lean.network.get_submodule("block2.layer.0.conv1").weight
    assert weight.dtype == torch.bfloat16 and weight.is_contiguous(memory_format=torch.channels_last)


# In lower precision ---------------------------------------------------------------------------------------------------


def relative_errors(found: nn.Module, exact: nn.Module, names: tuple[str, ...], images: Tensor) -> list[float]:
    """Root mean square error of each value under autocast, in units of the exact one's."""
    with torch.no_grad():
        wanted_output, wanted = Tapped(exact, names, images)(images.double())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output, features = Tapped(found, names, images.float())(images.float())
    pairs = [(output, wanted_output), *((features[name], wanted[name]) for name in names)]
    return [float((one.double() - other).norm() / other.norm()) for one, other in pairs]


@pytest.mark.parametrize(
    ("make", "size"),
    [
        pytest.param(lambda: build("wrn16-1", num_classes=7), 16, id="wrn"),
        pytest.param(lambda: timm("resnet18"), 64, id="resnet18"),
    ],
)
def test_cast_once_the_values_are_as_near_the_truth_as_autocasts(make: Callable[[], nn.Module], size: int):
    exact = settled(make())
    network, images = copy.deepcopy(exact).float(), noise(8, 3, size, size)
    names = tuple(name for name in named_positions(network, "before_relu", images.float()))
    lean = lean_copy(network, names, images.float(), torch.bfloat16)
    assert {lean.network.get_submodule(name).weight.dtype for name in lean.cast} == {torch.bfloat16}
    # Where a BatchNorm is left, its numbers are float32.
    assert {p.dtype for p in lean.network.parameters()} <= {torch.bfloat16, torch.float32}
    ours = relative_errors(lean.network, exact, names, images)
    theirs = relative_errors(network, exact, names, images)
    assert max(theirs) < 0.05
    assert all(own < 1.25 * other for own, other in zip(ours, theirs, strict=True))


def test_cast_once_gives_the_bits_of_casting_each_time():
    network, images = settled(timm("resnet18"), torch.float32), noise(4, 3, 32, 32).float()
    folded = lean_copy(network, (), images).network
    cast = lean_copy(network, (), images, torch.bfloat16)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cast.network(images), folded(images))
    assert len(cast.cast) == 21


class Standardised(nn.Conv2d):
    """Its weight has mean zero, whatever it is: rounded before that, it would be another one."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight - self.weight.mean(), self.bias)


def test_a_weight_that_is_computed_with_is_not_cast():
    torch.manual_seed(0)
    network = nn.Sequential(Standardised(3, 4, 3), nn.ReLU()).eval()
    assert lean_copy(network, (), IMAGES.float(), torch.bfloat16).cast == ()
    assert lean_copy(nn.Sequential(conv()).eval(), (), IMAGES.float(), torch.bfloat16).cast == ("0",)
