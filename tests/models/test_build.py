"""Networks by name: exact parameter counts, positions, and errors that name the nearest."""

import pytest
import torch
from torch import nn

from understudy.models import NAMES, build
from understudy.models.wide_resnet import WideResNet
from understudy.taps import Tapped

# CIFAR-10, CIFAR-100; recomputed from the paper's block by a closed form that knows no PyTorch.
COUNTS = {
    "wrn10-1": (77_850, 83_700),
    "wrn10-4": (1_198_810, 1_221_940),
    "wrn16-1": (175_066, 180_916),
    "wrn16-2": (691_674, 703_284),
    "wrn16-4": (2_748_890, 2_772_020),
    "wrn22-4": (4_298_970, 4_322_100),
    "wrn28-1": (369_498, 375_348),
    "wrn28-2": (1_467_610, 1_479_220),
    "wrn28-4": (5_849_050, 5_872_180),
    "wrn28-10": (36_479_194, 36_536_884),
    "wrn40-1": (563_930, 569_780),
    "wrn40-2": (2_243_546, 2_255_156),
    "wrn40-4": (8_949_210, 8_972_340),
    "wrn16-8": (10_961_370, 11_007_540),
    "wrn22-8": (17_158_106, 17_204_276),
}


def count(name, num_classes):
    with torch.device("meta"):
        network = build(name, num_classes=num_classes)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_wide_networks_have_exactly_the_published_number_of_parameters(name):
    assert (count(name, 10), count(name, 100)) == COUNTS[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_listed_network_computes_logits_and_has_the_positions_it_names(name):
    channels, size = (1, 8) if name.startswith("digits") else (3, 32)
    network = build(name, num_classes=7, in_channels=channels)
    images = torch.zeros(2, channels, size, size)
    assert network(images).shape == (2, 7)
    named = [name for positions in network.taps.values() for name in positions]
    assert set(network.taps) == {"group_end", "before_relu", "after_relu", "embedding"}
    assert set(Tapped(network, named, images)(images)[1]) == set(named)


def test_a_wide_block_shares_its_activation_with_the_shortcut_only_where_widths_differ():
    block = WideResNet(depth=10, width=2).block2.layer[0].eval()
    x = torch.randn(2, 32, 8, 8)
    active = block.bn1(x).relu()
    expected = block.convShortcut(active) + block.conv2(block.bn2(block.conv1(active)).relu())
    torch.testing.assert_close(block(x), expected)
    assert WideResNet(depth=16, width=1).block1.layer[0].convShortcut is None


def test_convolutions_start_he_normal_by_fan_out_and_the_classifier_without_bias():
    torch.manual_seed(0)
    network = WideResNet(depth=10, width=4)
    weight = network.block3.layer[0].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert not network.fc.bias.any()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrn16_2", "nearest: wrn16-2"),
        ("wrn17-2", "6 n \\+ 4"),
        ("wrn16-0", "width is 1 or more"),
        ("timm:resnet1", "nearest: timm:resnet"),
        ("torchvision:resnet19", "nearest: torchvision:resnet1"),
        ("no_such_package.nets:small", "no module 'no_such_package.nets'"),
        ("torch.nn:Linaer", "nearest: torch.nn:Linear"),
        ("builtins:dict", "returned a dict, expected an nn.Module"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, words):
    with pytest.raises(ValueError, match=words):
        build(name, num_classes=10)


def test_networks_of_others_are_built_by_name():
    assert build("timm:resnet10t", num_classes=3, in_channels=1).eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 3)
    assert build("torchvision:mobilenet_v3_small", num_classes=3).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_a_function_of_the_users_is_called_with_the_number_of_classes(tmp_path, monkeypatch):
    (tmp_path / "own_nets.py").write_text(
        "from torch import nn\ndef small(num_classes): return nn.Linear(4, num_classes)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    network = build("own_nets:small", num_classes=6)
    assert isinstance(network, nn.Linear) and network.out_features == 6
