"""Positions that networks nobody edited are proposed to have: an end for each size they work at, and no gate."""

import pytest
import torch
import torchvision
from torch import nn

from understudy.taps import Tapped, as_map, grid, named_positions, positions

pytestmark = pytest.mark.slow


def built(source: str, name: str, **changes) -> nn.Module:
    torch.manual_seed(0)
    if source == "torchvision":
        return torchvision.models.get_model(name, weights=None, num_classes=5, **changes)
    timm = pytest.importorskip("timm", reason="timm is not installed")
    return timm.create_model(name, pretrained=False, num_classes=5, **changes)


# (source, name, what is changed), the images' size, the sizes at which groups end, and their ends.
NETWORKS = [
    (
        ("torchvision", "resnet50", {}),
        64,
        (16, 8, 4, 2),
        ("layer1", "layer2", "layer3", "layer4"),
        ("layer1.2.relu#3", "layer2.3.relu#3", "layer3.5.relu#3", "layer4.2.relu#3"),
    ),
    (
        ("torchvision", "mobilenet_v2", {"width_mult": 0.25}),
        64,
        (32, 16, 8, 4, 2),
        ("features.1", "features.3", "features.6", "features.13", "features.18"),
        (
            "features.1.conv.0.2",
            "features.3.conv.1.2",
            "features.6.conv.1.2",
            "features.13.conv.1.2",
            "features.18.2",
        ),
    ),
    (
        ("torchvision", "mobilenet_v3_small", {}),
        64,
        (16, 8, 4, 2),
        ("features.1", "features.3", "features.8", "features.12"),
        ("features.1.block.0.2", "features.3.block.1.2", "features.8.block.1.2", "features.12.2"),
    ),
    (
        ("torchvision", "shufflenet_v2_x0_5", {}),
        64,
        (8, 4, 2),
        ("stage2", "stage3", "conv5"),
        ("stage2.3.branch2.7", "stage3.7.branch2.7", "conv5.2"),
    ),
    (
        ("torchvision", "squeezenet1_1", {}),
        64,
        (15, 7, 3),
        ("features.4", "features.7", "features.12"),
        ("features.4.expand3x3_activation", "features.7.expand3x3_activation", "features.12.expand3x3_activation"),
    ),
    (
        ("torchvision", "densenet121", {}),
        64,
        (16, 8, 4, 2),
        ("features.transition1.conv", "features.transition2.conv", "features.transition3.conv", "relu()"),
        ("features.transition1.relu", "features.transition2.relu", "features.transition3.relu", "relu()"),
    ),
    (
        ("torchvision", "regnet_y_400mf", {}),
        64,
        (16, 8, 4, 2),
        tuple(f"trunk_output.block{n}" for n in (1, 2, 3, 4)),
        tuple(f"trunk_output.block{n}.block{n}-{last}.activation" for n, last in ((1, 0), (2, 2), (3, 5), (4, 5))),
    ),
    (
        ("torchvision", "alexnet", {}),
        64,
        (15, 7, 3),
        ("features.1", "features.4", "features.11"),
        ("features.1", "features.4", "features.11"),
    ),
    (
        ("timm", "resnet10t", {}),
        64,
        (16, 8, 4, 2),
        ("layer1", "layer2", "layer3", "layer4"),
        tuple(f"layer{n}.0.act2" for n in (1, 2, 3, 4)),
    ),
    # Blocks of which there is one of their kind each.
    (
        ("timm", "test_resnet", {}),
        64,
        (16, 8, 4, 2),
        ("layer1", "layer2", "layer3", "layer4"),
        ("layer1.0.act2", "layer2.0.act2", "layer3.0.act3", "layer4.0.act2"),
    ),
    # Activations come first in its blocks.
    (
        ("timm", "test_nfnet", {}),
        64,
        (16, 8, 4, 2),
        ("stages.0", "stages.1", "stages.2", "final_act"),
        ("stages.1.0.act1", "stages.2.0.act1", "stages.3.0.act1", "final_act"),
    ),
    (
        ("timm", "efficientnet_b0", {}),
        64,
        (32, 16, 8, 4, 2),
        ("blocks.0", "blocks.1", "blocks.2", "blocks.4", "bn2"),
        ("blocks.0.0.bn1.act", "blocks.1.1.bn2.act", "blocks.2.1.bn2.act", "blocks.4.2.bn2.act", "bn2.act"),
    ),
    (
        ("timm", "convnext_atto", {}),
        64,
        (16, 8, 4, 2),
        ("stages.0", "stages.1", "stages.2", "stages.3"),
        tuple(f"stages.{n}.blocks.{last}.mlp.act" for n, last in ((0, 1), (1, 1), (2, 5), (3, 1))),
    ),
    (
        ("timm", "vit_tiny_patch16_224", {"img_size": 64}),
        64,
        (4, 4, 4),
        ("blocks.3", "blocks.7", "norm"),
        tuple(f"blocks.{n}.mlp.act" for n in (3, 7, 11)),
    ),
    (
        ("timm", "deit_tiny_distilled_patch16_224", {"img_size": 64}),
        64,
        (4, 4, 4),
        ("blocks.3", "blocks.7", "norm"),
        tuple(f"blocks.{n}.mlp.act" for n in (3, 7, 11)),
    ),
    (
        ("timm", "swin_tiny_patch4_window7_224", {"img_size": 64, "embed_dim": 24, "depths": (2, 2, 2, 2)}),
        64,
        (16, 8, 4, 2),
        ("layers.0", "layers.1", "layers.2", "norm"),
        tuple(f"layers.{n}.blocks.1.mlp.act" for n in range(4)),
    ),
    # Convolutions and attention.
    (
        ("timm", "mobilevit_xxs", {}),
        64,
        (32, 16, 8, 4, 2),
        ("stages.0", "stages.1", "stages.2", "stages.3", "final_conv"),
        (
            "stages.0.0.conv2_kxk.bn.act",
            "stages.1.2.conv2_kxk.bn.act",
            "stages.2.1.conv_fusion.bn.act",
            "stages.3.1.conv_fusion.bn.act",
            "final_conv.bn.act",
        ),
    ),
]


@pytest.mark.parametrize(
    ("network", "size", "sizes", "ends", "activations"), [pytest.param(*one, id=one[0][1]) for one in NETWORKS]
)
def test_groups_end_where_an_expert_would_say(network, size, sizes, ends, activations):
    source, name, changes = network
    net, images = built(source, name, **changes), torch.randn(2, 3, size, size)
    for module in net.modules():
        # Some begin with blocks that add nothing to their shortcut.
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    assert named_positions(net, "group_end", images) == ends
    before = named_positions(net, "before_relu", images)
    assert before == tuple(f"before:{activation}" for activation in activations)
    said = {place.name: place.activation for place in positions(net, images)}
    _, features = Tapped(net.eval(), [*ends, *before], images)(images)
    for role in (ends, before):
        assert [grid(features[one].shape, (size, size)) for one in role] == [(one, one) for one in sizes]
        assert [as_map(features[one], (size, size)).shape[2:] for one in role] == [(one, one) for one in sizes]
    for one in before:
        assert said[one].startswith("before ") and not said[one].endswith(("igmoid", "Tanh"))
        assert features[one].min() < 0


def test_after_relu_are_what_those_activations_answer():
    net, images = built("torchvision", "mobilenet_v3_small"), torch.zeros(2, 3, 64, 64)
    expected = ("features.1.block.0", "features.3.block.1", "features.8.block.1", "features.12")
    assert named_positions(net, "after_relu", images) == expected
