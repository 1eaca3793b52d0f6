"""What is true of every network of our own: logits, positions that are what their roles say, a step of distillation."""

import itertools

import pytest
import torch
from torch import nn

from understudy.distiller import Distiller
from understudy.methods import find
from understudy.models import NAMES, build
from understudy.taps import Tapped, norm_at

pytestmark = pytest.mark.slow

ROLES = {"group_end", "before_relu", "after_relu", "embedding"}
NUM_CLASSES = 7

# A small member of each family: the images' size, and the shapes (channels, size) of group ends and before the ReLU.
SMALL = {
    "wrn10-1": (32, ((16, 32), (32, 16), (64, 8)), ((16, 32), (32, 16), (64, 8))),
    "resnet8": (32, ((16, 32), (32, 16), (64, 8)), ((16, 32), (32, 16), (64, 8))),
    "resnet14-a": (32, ((16, 32), (32, 16), (64, 8)), ((16, 32), (32, 16), (64, 8))),
    "preresnet11": (32, ((64, 32), (128, 16), (256, 8)), ((64, 32), (128, 16), (256, 8))),
    "preresnet20": (32, ((64, 32), (128, 16), (256, 8)), ((64, 32), (128, 16), (256, 8))),
    "pyramidnet14-12-basic": (32, ((20, 32), (24, 16), (28, 8)), ((20, 32), (24, 16), (28, 8))),
    # As the overhaul's authors read it: behind the next group's first convolution, which narrows.
    "pyramidnet20-12-bottleneck": (32, ((80, 32), (96, 16), (112, 8)), ((22, 32), (26, 16), (112, 8))),
    "inception-bn-small": (32, ((80, 32), (144, 16), (336, 8)), ((80, 32), (144, 16), (336, 8))),
    "bn-inception": (64, ((192, 16), (320, 8), (608, 4), (1024, 2)), ((192, 16), (320, 8), (608, 4), (1024, 2))),
    "mobilenet-v1": (64, ((128, 16), (256, 8), (512, 4), (1024, 2)), ((128, 16), (256, 8), (512, 4), (1024, 2))),
    "digits-1x4": (8, ((4, 8), (8, 4), (16, 2)), ((4, 8), (8, 4), (16, 2))),
}


def small(name: str) -> tuple[nn.Module, torch.Tensor]:
    """The network, and images for it, an odd number of pixels where it can be."""
    torch.manual_seed(0)
    size = SMALL[name][0]
    images = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1))
    return build(name, num_classes=NUM_CLASSES), images


def module_of(position: str) -> str:
    """before:layer1.0.relu()#2 -> layer1.0."""
    return position.removeprefix("before:").partition("relu()")[0].rstrip(".")


@pytest.mark.parametrize("name", NAMES)
def test_every_listed_network_answers_logits_and_names_layers_that_it_has(name):
    with torch.device("meta"):
        network = build(name, num_classes=NUM_CLASSES, in_channels=2)
        assert network(torch.zeros(3, 2, 64, 64)).shape == (3, NUM_CLASSES)
    assert set(network.taps) == ROLES
    for position in itertools.chain(*network.taps.values()):
        network.get_submodule(module_of(position))


def test_every_family_has_a_small_member_here():
    with torch.device("meta"):
        listed, members = ({type(build(name, num_classes=2)) for name in names} for names in (NAMES, SMALL))
    assert listed == members


@pytest.mark.parametrize("name", SMALL)
def test_positions_have_the_sizes_and_signs_of_their_roles(name):
    network, images = small(name)
    _, ends, before = SMALL[name]
    logits, features = Tapped(network, [*itertools.chain(*network.taps.values())], images)(images)
    assert logits.shape == (4, NUM_CLASSES)
    read = {role: [features[position] for position in positions] for role, positions in network.taps.items()}
    assert [(f.shape[1], *f.shape[2:]) for f in read["group_end"]] == [(c, size, size) for c, size in ends]
    assert [(f.shape[1], *f.shape[2:]) for f in read["before_relu"]] == [(c, size, size) for c, size in before]
    assert [f.shape[2:] for f in read["after_relu"]] == [f.shape[2:] for f in read["group_end"]]
    assert all(f.min() < 0 < f.max() for f in read["before_relu"])
    assert all(f.min() == 0 < f.max() for f in read["after_relu"])
    (embedding,) = read["embedding"]
    assert embedding.shape == (4, [m for m in network.modules() if isinstance(m, nn.Linear)][-1].in_features)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "pyramidnet14-12-basic"])
def test_what_is_read_after_a_relu_is_the_relu_of_what_is_read_before_it(name):
    network, images = small(name)
    before, after = network.taps["before_relu"], network.taps["after_relu"]
    _, features = Tapped(network, [*before, *after], images)(images)
    for one, other in zip(before, after, strict=True):
        assert torch.equal(features[one].relu(), features[other])


@pytest.mark.parametrize("name", SMALL)
def test_the_margins_batch_norm_is_the_one_that_made_the_feature(name):
    network, images = small(name)
    for position, (channels, _) in zip(network.taps["before_relu"], SMALL[name][2], strict=True):
        norm = norm_at(network, position, channels, images)
        last = f"{module_of(position)}.bn2" if ":" in position else position
        # A position may be a group's name, whose last layer is the BatchNorm.
        found = network.get_submodule(last)
        assert norm is (found[-1] if isinstance(found, nn.Sequential) else found)


# All roles, in one method.
@pytest.mark.parametrize("student_first", [True, False])
@pytest.mark.parametrize("name", SMALL)
def test_a_step_of_distillation_to_and_from_it_reaches_the_student(name, student_first):
    network, images = small(name)
    networks = (network, build("wrn10-1", num_classes=NUM_CLASSES))
    distiller = Distiller(*(networks if student_first else networks[::-1]), find("fsp+ab+ofd+nst+rkd+kd"), images)
    roles = {term.tap for term in distiller.method.terms}
    assert roles == ROLES | {"logits"}
    for index, phase in enumerate(distiller.method.phases):
        distiller.enter(index)
        optimizer = torch.optim.SGD(distiller.phase_parameters(), lr=1e-6)
        answer = distiller(images, torch.arange(4))
        assert all(value.isfinite().all() for value in answer.values())
        answer["loss"].backward()
        norms = distiller.gradient_norms(images, torch.arange(4))
        assert all(norms[term.name] > 0 for term in phase.terms)
        optimizer.step()


@pytest.mark.parametrize("name", SMALL)
def test_images_of_an_odd_size_fit_too(name):
    network, _ = small(name)
    assert network.eval()(torch.randn(2, 3, 45, 37)).shape == (2, NUM_CLASSES)
