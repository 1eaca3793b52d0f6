"""Networks by name: exact parameter counts, and errors that name the nearest."""

import sys

import pytest
import torch
from torch import nn

from understudy.models import build, load_weights

# CIFAR-10, CIFAR-100; recomputed from the papers' blocks by closed forms that know no PyTorch.
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
    "resnet8": (78_042, 83_892),
    "resnet8-a": (75_290, 81_140),
    "resnet14": (175_258, 181_108),
    "resnet20": (272_474, 278_324),
    "resnet20-a": (269_722, 275_572),
    "resnet26": (369_690, 375_540),
    "resnet26-a": (366_938, 372_788),
    "resnet32": (466_906, 472_756),
    "resnet56": (855_770, 861_620),
    "resnet56-a": (853_018, 858_868),
    "resnet110": (1_730_714, 1_736_564),
    "preresnet164": (1_703_258, 1_726_388),
    "preresnet1001": (10_327_706, 10_350_836),
    "pyramidnet110-84-basic": (3_904_446, 3_913_536),
    "pyramidnet200-240-bottleneck": (26_752_702, 26_844_952),
    # MXNet's own has biases in place of the scales, which it fixes at 1: as many.
    "inception-bn-small": (1_651_114, 1_681_444),
}
# For the transfer of ImageNet's networks: classes -> parameters.
LARGE_COUNTS = {
    "mobilenet-v1": {1000: 4_231_976, 67: 3_275_651, 200: 3_411_976},
    "bn-inception": {1000: 11_295_240},
}


def count(name, num_classes):
    with torch.device("meta"):
        network = build(name, num_classes=num_classes)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_networks_have_exactly_the_published_number_of_parameters(name):
    assert (count(name, 10), count(name, 100)) == COUNTS[name]


@pytest.mark.parametrize("name", LARGE_COUNTS)
def test_networks_of_imagenet_have_exactly_the_published_number_of_parameters(name):
    assert {classes: count(name, classes) for classes in LARGE_COUNTS[name]} == LARGE_COUNTS[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrn16_2", "nearest: wrn16-2"),
        ("resnet26_a", "nearest: resnet26-a"),
        ("pyramidnet110", "nearest: pyramidnet110-84-basic"),
        ("mobilenet", "nearest: mobilenet-v1"),
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


def test_a_users_function_is_found_in_the_folder_of_the_command(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\n\n\ndef tiny(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert build("own_networks:tiny", num_classes=4)[1].out_features == 4


def test_a_network_with_an_auxiliary_classifier_answers_logits_alone_and_takes_pretrained_weights(tmp_path):
    """GoogLeNet's weights as torchvision publishes them hold those of two classifiers that are used in training."""
    network = build("torchvision:googlenet", num_classes=4, in_channels=3)
    answer = network.train()(torch.zeros(2, 3, 64, 64))
    assert isinstance(answer, torch.Tensor) and answer.shape == (2, 4)
    state = {**network.state_dict(), "aux1.fc2.weight": torch.zeros(4, 1024), "aux2.conv.bn.bias": torch.zeros(128)}
    torch.save(state, tmp_path / "googlenet.pt")
    load_weights(network, tmp_path / "googlenet.pt")


def test_a_function_of_ones_own_is_told_the_channels_if_it_takes_them(tmp_path, monkeypatch):
    for name, taken in (
        ("plain", ""),
        ("with_channels", ", in_channels=3"),
        ("as_in_timm", ", in_chans=3"),
        ("wanted", ", in_channels"),
    ):
        channels = taken.strip(", ").removesuffix("=3") or 3
        body = f"nn.Sequential(nn.Conv2d({channels}, 2, 1), nn.Flatten(), nn.LazyLinear(num_classes))"
        text = f"from torch import nn\ndef make(num_classes{taken}):\n    return {body}\n"
        (tmp_path / f"own_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    names = ("plain", "with_channels", "as_in_timm", "wanted")
    widths = [build(f"own_{name}:make", num_classes=5, in_channels=1)[0].in_channels for name in names]
    assert widths == [3, 1, 1, 1]


def test_networks_of_timm_need_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match="timm:resnet18 needs timm: `pip install timm`"):
        build("timm:resnet18", num_classes=10)


def test_what_may_be_meant_by_a_name_of_another_family_is_told(tmp_path):
    with pytest.raises(ValueError, match="nearest: 14 and 20; ImageNet's network is torchvision:resnet18"):
        build("resnet18", num_classes=10)
    with pytest.raises(ValueError, match=r"nearest: 14 and 20$"):
        build("resnet19", num_classes=10)
    with pytest.raises(ValueError, match="torchvision:resnet18 takes images of 3 channels, and these have 1; timm's"):
        build("torchvision:resnet18", num_classes=10, in_channels=1)
    with pytest.raises(ValueError, match="a file or folder, where a model's name is expected; .* are --weights"):
        build(str(tmp_path), num_classes=10)
