"""Weight selection: what of a larger network a student begins with."""

import copy
import itertools

import pytest
import torch
from torch import nn

from understudy.models import build, select_weights


def kept(small, large):
    """The rows of a dimension that are kept, found by walking along it."""
    return [next(j for j in range(large) if j * small <= i * large < (j + 1) * small) for i in range(small)]


def wide(*sizes):
    """Convolutions and BatchNorms of these widths, then a classifier of the last."""
    layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(sizes[:-1])]
    blocks = [part for layer in layers for part in (layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU())]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(*sizes[-2:]))


@pytest.mark.parametrize(("small", "large"), [(4, 8), (4, 7), (5, 8), (3, 3), (1, 5)])
def test_each_element_is_the_one_that_walking_along_both_dimensions_finds(small, large):
    torch.manual_seed(0)
    student, teacher = wide(3, small, 10), wide(3, large, 10)
    assert select_weights(student, teacher) == []
    rows = kept(small, large)
    for i, j in enumerate(rows):
        assert torch.equal(student[0].weight[i], teacher[0].weight[j])
        assert student[1].running_var[i] == teacher[1].running_var[j]
        for k in range(10):
            assert student[-1].weight[k, i] == teacher[-1].weight[k, j]


def test_a_network_of_the_same_size_gets_all():
    torch.manual_seed(0)
    student, teacher = (build("wrn10-1", num_classes=10, in_channels=3) for _ in range(2))
    assert select_weights(student, teacher) == []
    assert all(torch.equal(student.state_dict()[name], value) for name, value in teacher.state_dict().items())


def test_layers_read_the_channels_that_those_before_them_keep():
    """A teacher that reads no other channels than the student has answers as the student does."""
    torch.manual_seed(0)
    student, teacher = (build(name, num_classes=10, in_channels=3) for name in ("wrn10-2", "wrn10-4"))
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight)
            nn.init.normal_(module.running_mean)
    select_weights(student, teacher)
    for name, value in student.state_dict().items():
        if value.ndim > 1:
            there = teacher.state_dict()[name]
            unread = torch.ones(there.shape[1], dtype=torch.bool)
            unread[kept(value.shape[1], there.shape[1])] = False
            there[:, unread] = 0.0
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(student.eval()(images), teacher.eval()(images))


def test_the_first_blocks_of_a_deeper_network_are_taken():
    torch.manual_seed(0)
    student, teacher = (build(name, num_classes=10, in_channels=3) for name in ("wrn16-2", "wrn22-4"))
    assert select_weights(student, teacher) == []
    rows, columns = kept(64, 128), kept(64, 128)
    for block in range(2):
        own, there = (network.block2.layer[block].conv2.weight for network in (student, teacher))
        assert torch.equal(own, there[rows][:, columns])


def test_what_does_not_fit_stays_as_it_is_and_is_named():
    torch.manual_seed(0)
    student, teacher = wide(3, 8, 6, 6, 6, 10), wide(3, 4, 12, 12, 12, 10)
    teacher[3] = nn.Conv2d(8, 12, 5)
    before = copy.deepcopy(student.state_dict())
    left = select_weights(student, teacher)
    assert {"0.weight", "1.running_mean", "3.weight"} <= set(left)
    assert not {"3.bias", "6.weight", "9.weight", "14.weight"} & set(left)
    assert all(torch.equal(student.state_dict()[name], before[name]) for name in left)


def test_what_is_to_be_left_stays_random():
    torch.manual_seed(0)
    student, teacher = wide(3, 4, 10), wide(3, 8, 100)
    assert select_weights(student, teacher, leave=["5.weight", "5.bias"]) == ["5.weight", "5.bias"]


def test_queries_keys_and_values_in_one_matrix_are_each_thinned_out():
    torch.manual_seed(0)
    student, teacher = nn.Linear(4, 3 * 4), nn.Linear(12, 3 * 12)
    select_weights(student, teacher)
    for part in range(3):
        rows = [12 * part + row for row in kept(4, 12)]
        assert torch.equal(student.bias[4 * part : 4 * part + 4], teacher.bias[rows])


@pytest.mark.parametrize(
    ("larger", "filled"), [(wide(3, 4, 10), 0), (build("digits-2x16", num_classes=10, in_channels=3), 1)]
)
def test_networks_of_two_families_are_refused(larger, filled):
    """A classifier is called fc in many a family."""
    student = build("wrn10-1", num_classes=10, in_channels=3)
    with pytest.raises(ValueError, match=rf"{filled} of the 10 layers of WideResNet are parts of \w+'s: found conv"):
        select_weights(student, larger)
