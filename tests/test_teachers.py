"""Teachers that see other pixels, know other classes, or are several."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from understudy import Distiller
from understudy.methods import find
from understudy.models import build
from understudy.teachers import Member, Teachers

MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
OWN_MEAN, OWN_STD = (127.5, 120.0, 90.0), (127.5, 40.0, 60.0)


def normalised(pixels, mean, std):
    mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (mean, std))
    return (pixels - mean) / std


@pytest.fixture
def pixels(generator):
    return torch.randint(0, 256, (4, 3, 16, 16), generator=generator).float()


def network(num_classes=5, seed=0):
    torch.manual_seed(seed)
    return build("wrn10-1", num_classes=num_classes).eval()


def teachers(*members, pixels):
    return Teachers(members, mean=MEAN, std=STD, example=normalised(pixels, MEAN, STD)).eval()


def test_a_teacher_sees_the_images_in_its_own_normalisation(pixels):
    member = Member(network=network(), mean=OWN_MEAN, std=OWN_STD)
    seen = teachers(member, pixels=pixels)(normalised(pixels, MEAN, STD))
    torch.testing.assert_close(seen, member.network(normalised(pixels, OWN_MEAN, OWN_STD)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (8, 8)])
def test_a_teacher_sees_the_images_at_its_own_size(pixels, size):
    images = normalised(pixels, MEAN, STD)
    member = Member(network=network(), size=size)
    wanted = F.interpolate(images, size=size, mode="bilinear", antialias=True)
    torch.testing.assert_close(teachers(member, pixels=pixels)(images), member.network(wanted), rtol=1e-4, atol=1e-5)


def test_logits_come_in_the_students_order_of_classes(pixels):
    images = normalised(pixels, MEAN, STD)
    member = Member(network=network(), classes=(3, 0, 4))
    logits = teachers(member, pixels=pixels)(images)
    torch.testing.assert_close(logits, member.network(images)[:, [3, 0, 4]])


def test_several_teachers_answer_the_mean_by_their_shares(pixels):
    images = normalised(pixels, MEAN, STD)
    members = [Member(network=network(seed=seed), share=share) for seed, share in ((0, 1.0), (1, 3.0))]
    logits = teachers(*members, pixels=pixels)(images)
    torch.testing.assert_close(logits, 0.25 * members[0].network(images) + 0.75 * members[1].network(images))


def test_other_shares_and_sizes_are_told_apart(pixels):
    """What stored answers are found by."""
    said = {
        repr(
            teachers(Member(network=network(), share=share, size=size), Member(network=network(seed=1)), pixels=pixels)
        )
        for share, size in ((1.0, None), (3.0, None), (1.0, (24, 24)))
    }
    assert len(said) == 3


def test_each_of_several_sees_its_own_pixels(pixels):
    one = Member(network=network(), mean=OWN_MEAN, std=OWN_STD)
    other = Member(network=network(seed=1), size=(24, 24))
    images = normalised(pixels, MEAN, STD)
    logits = teachers(one, other, pixels=pixels)(images)
    alone = [teachers(member, pixels=pixels)(images) for member in (one, other)]
    torch.testing.assert_close(logits, (alone[0] + alone[1]) / 2)


def test_teachers_of_unequal_numbers_of_classes_are_refused(pixels):
    with pytest.raises(ValueError, match="5, 7 classes.*class_names"):
        teachers(Member(network=network()), Member(network=network(7)), pixels=pixels)


def test_constants_of_pixels_from_0_to_1_are_told_from_those_of_bytes(pixels):
    with pytest.raises(ValueError, match=r"the teacher: mean and std are of bytes, 0 to 255; .*did you mean \(127.5"):
        teachers(Member(network=network(), mean=(0.5,) * 3, std=(0.25,) * 3), pixels=pixels)
    teachers(Member(network=network(), mean=(0.0,) * 3, std=(1.0,) * 3), pixels=pixels)  # bytes as they are


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"share": 0.0}, "member 1: found share=0, expected more than 0"),
        ({"std": (50.0, 0.0, 70.0)}, r"member 1: found std=\(50.0, 0.0, 70.0\), expected more than 0 for each channel"),
        ({"size": 16}, r"member 1: found size=16, expected \(height, width\)"),
        ({"classes": (0, 1, 1, 2, 3)}, "member 1: classes names one of its logits twice"),
        ({"classes": (0, -1)}, r"member 1: found classes=\(0, -1\), expected places among its logits, from 0"),
        ({"classes": ()}, r"member 1: found classes=\(\), expected places"),
        ({"classes": (0, 1, 2, 3, 9)}, "member 1: classes names logit 9, and its network answers 5 logits"),
        ({"network": "wrn10-1"}, r"member 1 is a str; expected Member\(network=MODULE\)"),
    ],
)
def test_what_no_member_can_have_is_told(pixels, changes, told):
    with pytest.raises(ValueError, match=told):
        teachers(Member(network=network()), Member(**{"network": network(), **changes}), pixels=pixels)


def test_networks_are_given_as_members(pixels):
    with pytest.raises(ValueError, match="member 0 is a WideResNet; expected Member"):
        teachers(network(), pixels=pixels)
    with pytest.raises(ValueError, match="found none"):
        teachers(pixels=pixels)


def test_building_one_leaves_modes_and_statistics_alone(pixels):
    own = network().train()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    Teachers([Member(network=own, mean=OWN_MEAN)], mean=MEAN, std=STD, example=normalised(pixels, MEAN, STD))
    assert own.training and own.bn1.training
    for name, value in own.state_dict().items():
        assert torch.equal(value, before[name])


class Undeclared(nn.Module):
    """A network nobody edited: no positions of its own, functional activations."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8, 5)

    def forward(self, images):
        x = F.relu(self.norm(self.first(images)))
        return self.fc(F.relu(self.second(x)).mean(dim=(2, 3)))


@pytest.mark.parametrize("make", [network, Undeclared], ids=["declared", "proposed"])
def test_positions_are_the_first_members(make, pixels):
    member, other = Member(network=make(), size=(24, 24)), Member(network=network(seed=1))
    found = teachers(member, other, pixels=pixels)
    for role in ("group_end", "before_relu", "after_relu", "embedding"):
        assert found.taps[role]
        assert all(name.removeprefix("before:").startswith("networks.0.") for name in found.taps[role])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kd", "ab", "ofd", "at", "fsp", "jacobian", "rkd", "bss", "nst"])
def test_every_kind_of_method_learns_from_teachers(name, pixels):
    images, labels = normalised(pixels, MEAN, STD), torch.arange(4)
    teacher = teachers(
        Member(network=network(), mean=OWN_MEAN, size=(24, 24)), Member(network=network(seed=1)), pixels=pixels
    )
    distiller = Distiller(network(seed=2), teacher, find(name), images)
    distiller.make_teacher_lean(images)
    answer = distiller(images, labels)
    answer["loss"].backward()
    assert torch.isfinite(answer["loss"])
    gradients = [p.grad for p in distiller.phase_parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)
    assert all(p.grad is None for p in teacher.parameters())


def test_the_lean_copy_answers_as_the_teachers_do(pixels):
    images, labels = normalised(pixels, MEAN, STD), torch.arange(4)
    teacher = teachers(Member(network=network(), std=OWN_STD), Member(network=network(seed=1)), pixels=pixels)
    distiller = Distiller(network(seed=2), teacher, find("kd"), images)
    before = distiller(images, labels)["kd"]
    assert distiller.make_teacher_lean(images).folded
    torch.testing.assert_close(distiller(images, labels)["kd"], before, rtol=1e-4, atol=1e-6)
