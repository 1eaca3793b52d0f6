"""CIFAR ResNets: both shortcuts by hand, and weights of others that reach what their authors say."""

import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from understudy.data import load
from understudy.models import build, load_weights
from understudy.models.resnet import Block

# Of 1, by colour: the constants that the BSS authors trained with.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def residual(block, x):
    return block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))


def test_option_a_takes_every_second_position_and_has_zeros_for_the_new_channels():
    block, x = Block(3, 5, 2, projects=False).eval(), torch.randn(2, 3, 7, 6)
    out = (block(x) - residual(block, x).relu()).detach()
    shortcut = torch.zeros(2, 5, 4, 3)
    for row in range(4):
        for column in range(3):
            shortcut[:, :3, row, column] = x[:, :, 2 * row, 2 * column]
    torch.testing.assert_close(out, (residual(block, x) + shortcut).relu() - residual(block, x).relu())
    assert block.shortcut is None


def test_option_b_projects_the_input_where_the_width_changes():
    block, x = Block(3, 5, 2, projects=True).eval(), torch.randn(2, 3, 8, 8)
    conv, norm = block.shortcut.children()
    assert conv.kernel_size == (1, 1) and conv.stride == (2, 2) and conv.bias is None
    torch.testing.assert_close(block(x), (residual(block, x) + norm(F.conv2d(x, conv.weight, stride=2))).relu())


@pytest.mark.parametrize("projects", [True, False])
def test_elsewhere_the_shortcut_is_the_input_itself(projects):
    block, x = Block(4, 4, 1, projects=projects).eval(), torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(block(x), (residual(block, x) + x).relu())


@pytest.mark.slow
def test_the_bss_authors_teacher_has_its_accuracy_on_cifar10(data_folder):
    """7.45 % error on the 10,000 test images, in float32."""
    folder = data_folder("cifar10")
    path = Path(os.environ["UNDERSTUDY_DATA"]).parent / "teachers" / "resnet26-cifar10.safetensors"
    if not path.is_file():
        pytest.skip(f"the teacher is missing: no {path.name} in a folder 'teachers' beside the data")
    network = build("resnet26-a", num_classes=10)
    load_weights(network, path)
    network.eval().to(memory_format=torch.channels_last)
    test = load("cifar10", folder=folder).test
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    num_right = 0
    with torch.inference_mode():
        for images, labels in zip(test.images.split(500), test.labels.split(500), strict=True):
            logits = network((images.float() / 255 - mean) / std)
            num_right += int((logits.argmax(dim=1) == labels).sum())
    assert num_right == 9255
