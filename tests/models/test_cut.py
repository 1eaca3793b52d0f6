"""Networks cut after a block: what is kept, the head that is fresh, and weights of the whole network."""

import pytest
import torch
from torch import nn

from understudy.models import blocks, build, cut_of, load_weights, save_weights, weights_by_block

pytestmark = pytest.mark.slow

CLASSES = 7


def made(name, channels=3):
    torch.manual_seed(0)
    return build(name, num_classes=CLASSES, in_channels=channels)


def by_hand(network, images):
    """torchvision's ResNet until layer2.0, written out."""
    x = network.maxpool(network.relu(network.bn1(network.conv1(images))))
    return network.layer2[0](network.layer1(x))


def test_a_resnet_is_the_same_until_the_block_and_its_own_head_is_made_in_the_blocks_width():
    name = "torchvision:resnet18@layer2.0"
    short, whole, images = made(name).eval(), made("torchvision:resnet18").eval(), torch.randn(2, 3, 64, 64)
    assert [child for child, _ in short.named_children()] == [
        "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "avgpool", "fc",
    ]  # fmt: skip
    assert short.fc.in_features == 128 and short.fc.out_features == CLASSES
    expected = short.fc(by_hand(whole, images).mean(dim=(2, 3)))
    torch.testing.assert_close(short(images), expected)
    kept = {name for name in whole.state_dict() if name.startswith(("conv1", "bn1", "layer1", "layer2.0", "fc"))}
    assert set(short.state_dict()) == kept
    cut = cut_of(short)
    assert cut.after == "layer2.0" and set(cut.dropped) == set(whole.state_dict()) - kept
    assert cut.head == ("fc.weight", "fc.bias") and cut_of(whole) is None


@pytest.mark.parametrize(
    ("name", "head", "size"),
    [
        ("resnet14@layer2.1", ("linear.weight", (CLASSES, 32)), 32),
        ("resnet14-a@layer2", ("linear.weight", (CLASSES, 32)), 32),
        ("wrn16-1@block2.layer.0", ("bn1.running_var", (32,)), 32),
        ("preresnet20@layer2", ("bn.weight", (128,)), 32),
        ("pyramidnet14-12-basic@layer2", ("fc.weight", (CLASSES, 24)), 32),
        ("mobilenet-v1@model.5", ("fc.weight", (CLASSES, 256)), 64),
        ("digits-2x4@stage2", ("fc.weight", (CLASSES, 8)), 8),
        ("digits-2x4@stage2.2", ("fc.weight", (CLASSES, 8)), 8),
        ("torchvision:mobilenet_v2@features.7", ("classifier.1.weight", (CLASSES, 64)), 64),
        ("torchvision:vgg11@features.10", ("classifier.weight", (CLASSES, 256)), 64),
        ("torchvision:mobilenet_v3_small@features.5", ("classifier.weight", (CLASSES, 40)), 64),
        ("torchvision:densenet121@features.denseblock2", ("features.norm5.running_mean", (512,)), 64),
        ("torchvision:swin_t@features.3", ("norm.weight", (192,)), 224),
        ("torchvision:convnext_tiny@features.3", ("classifier.2.weight", (CLASSES, 192)), 64),
        ("timm:resnet18@layer3.0", ("fc.weight", (CLASSES, 256)), 64),
        ("timm:vit_tiny_patch16_224@blocks.5", ("head.weight", (CLASSES, 192)), 224),
    ],
)
def test_networks_of_every_kind_are_cut_and_learn(name, head, size):
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    short = made(name)
    assert short.training
    assert tuple(short.state_dict()[head[0]].shape) == head[1]
    output = short(torch.randn(2, 3, size, size))
    assert output.shape == (2, CLASSES)
    output.sum().backward()
    assert all(p.grad is not None for p in short.parameters()), "something is kept that does not run"


def test_weights_of_the_whole_network_fill_it_but_for_the_fresh_head(tmp_path):
    torch.manual_seed(1)
    whole = build("resnet14", num_classes=CLASSES)
    save_weights(whole, tmp_path / "whole.safetensors")
    short = made("resnet14@layer3.0")
    fresh = short.linear.weight.detach().clone()
    assert load_weights(short, tmp_path / "whole.safetensors", num_classes=CLASSES) == ["linear.weight", "linear.bias"]
    assert torch.equal(short.linear.weight, fresh)
    state = whole.state_dict()
    assert all(torch.equal(value, state[n]) for n, value in short.state_dict().items() if not n.startswith("linear."))
    with pytest.raises(ValueError, match="weights of the whole network.*train that from this file first"):
        load_weights(short, tmp_path / "whole.safetensors")
    save_weights(short, tmp_path / "short.safetensors")
    again = made("resnet14@layer3.0")
    assert load_weights(again, tmp_path / "short.safetensors") == []
    assert torch.equal(again.linear.weight, fresh)


def test_names_that_neither_network_has_are_still_told(tmp_path):
    whole = build("resnet14", num_classes=CLASSES)
    whole.extra = nn.Linear(2, 2)
    save_weights(whole, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="2 unexpected: extra"):
        load_weights(made("resnet14@layer3.0"), tmp_path / "other.safetensors", num_classes=CLASSES)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet14@layer4.0", "has no block 'layer4.0' to be cut after; nearest: layer3.0"),
        ("resnet14@", "has no block ''"),
        ("resnet14@linear", "nothing of ResNet is cut off after 'linear': no weights come later"),
        ("resnat14@layer1", "there is no model 'resnat14'; nearest: resnet14"),
    ],
)
def test_a_block_that_is_not_there_is_told_with_near_ones(name, told):
    with pytest.raises(ValueError, match=told):
        made(name)


def test_resnet50_has_sixteen_blocks_and_the_lectures_cuts():
    with torch.device("meta"):
        names = blocks(build("torchvision:resnet50", num_classes=CLASSES))
    assert len(names) == 16 and names[0] == "layer1.0" and names[12:14] == ("layer3.5", "layer4.0")
    for number, after in ((16, "layer4.1"), (15, "layer4.0"), (14, "layer3.5")):
        assert blocks(made(f"torchvision:resnet50@{after}")) == names[: number - 1]
        assert number - 1 == names.index(after) + 1


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("wrn16-1", 6, "block1.layer.0"),
        ("digits-2x4", 3, "stage1"),
        ("torchvision:mobilenet_v2", 17, "features.1"),
        ("torchvision:vit_b_16", 12, "encoder.layers.encoder_layer_0"),
    ],
)
def test_blocks_are_what_a_network_repeats(name, count, first):
    with torch.device("meta"):
        network = build(name, num_classes=CLASSES, in_channels=3)
    found = blocks(network)
    assert len(found) == count and found[0] == first
    names = [one for every in weights_by_block(network).values() for one in every]
    assert names == [n for n, p in network.named_parameters() if p.dim() > 1]
