"""MobileNet: the table of the paper."""

import torch
from torch import nn

from understudy.models import build


def test_every_layer_has_the_papers_width_and_stride():
    with torch.device("meta"):
        network = build("mobilenet-v1", num_classes=4)
    blocks = [*network.model.children()]
    spatial = [block[0] for block in blocks]
    assert [conv.stride[0] for conv in spatial] == [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    assert all(conv.groups == conv.in_channels == conv.out_channels for conv in spatial[1:])
    pointwise = [block[3] for block in blocks[1:]]
    assert [conv.out_channels for conv in pointwise] == [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    assert all(conv.kernel_size == (1, 1) for conv in pointwise)


def test_a_separable_convolution_looks_at_each_channel_alone_first():
    with torch.device("meta"):
        network = build("mobilenet-v1", num_classes=4)
    assert [type(layer) for layer in network.model[1]] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 2
    assert network.model[1][0].weight.shape == (32, 1, 3, 3)
