import json

import pytest
import torch
from torch import nn

from understudy.models import Form, Head, build, embed, end_of
from understudy.models.embedding import unit_parts, without_classifier
from understudy.taps import Tapped

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def features_of(name, seed=0):
    """The network with a seed, and what enters its last linear layer, read by hand."""
    torch.manual_seed(seed)
    network = build(name, num_classes=7).eval()
    found = []
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    network(IMAGES)
    return found[0]


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:resnet18", "wrn10-1", "resnet8", "digits-2x8"])
def test_any_network_without_its_classifier_answers_the_features_before_it(name):
    wanted = features_of(name)
    torch.manual_seed(0)
    network = embed(lambda: build(name, num_classes=7), Form(), IMAGES).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(IMAGES), nn.functional.normalize(wanted, dim=1))
    assert not any(isinstance(module, nn.Linear) and module.out_features == 7 for module in network.modules())
    assert end_of(network).parts == (wanted.shape[1],)


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "timm:dla46_c"])
@pytest.mark.parametrize("length", [None, 12])
def test_a_network_that_ends_in_a_convolution_answers_the_mean_of_the_maps_before_it(name, length):
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = []
    torch.manual_seed(0)
    whole = build(name, num_classes=7).eval()
    [classes] = [one for one in whole.modules() if isinstance(one, nn.Conv2d) and one.out_channels == 7]
    classes.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].mean(dim=(2, 3))))
    whole(images)
    torch.manual_seed(0)
    network = embed(lambda: build(name, num_classes=7), Form(length=length), images).eval()
    wanted = found[0] if length is None else network.embedding[0](found[0])
    with torch.no_grad():
        torch.testing.assert_close(network(images), nn.functional.normalize(wanted, dim=1))
    assert not any(isinstance(one, nn.Conv2d) and one.out_channels == 7 for one in network.modules())
    output, features = Tapped(network, network.taps["embedding"], images)(images)
    assert torch.equal(features["embedding"], output)


def test_roles_that_a_network_with_a_convolution_at_its_end_declares_are_found_in_its_trunk():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 7, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.taps = {"before_relu": ("before:1",), "group_end": ("1",)}
    found = without_classifier(network, Form(), IMAGES)
    assert found.taps["before_relu"] == ("before:trunk.1",) and found.taps["group_end"] == ("trunk.1",)
    Tapped(found, ["before:trunk.1", "trunk.1"], IMAGES)


def test_the_embedding_has_the_length_asked_for_and_is_plain_in_training():
    network = without_classifier(build("wrn10-1", num_classes=7), Form(length=12), IMAGES)
    network.eval()
    assert torch.allclose(network(IMAGES).norm(dim=1), torch.ones(2))
    for module in network.modules():
        module.training = isinstance(module, type(end_of(network)))  # BatchNorms as in evaluation
    plain = network(IMAGES)
    network.eval()
    torch.testing.assert_close(network(IMAGES), nn.functional.normalize(plain, dim=1))
    assert plain.shape == (2, 12) and not torch.allclose(plain.norm(dim=1), torch.ones(2))


def test_the_position_embedding_is_the_answer_and_other_roles_stay():
    network = without_classifier(build("wrn10-1", num_classes=7), Form(length=12), IMAGES).eval()
    assert network.taps["embedding"] == ("fc",)
    assert network.taps["group_end"] == ("block1", "block2", "block3")
    output, features = Tapped(network, ["fc"], IMAGES)(IMAGES)
    assert torch.equal(features["fc"], output)


def test_parts_count_alike_whatever_their_length():
    vectors = torch.tensor([[3.0, 4.0, 100.0], [6.0, 8.0, -1.0]])
    scaled = unit_parts(vectors, (2, 1))
    torch.testing.assert_close(scaled.norm(dim=1), torch.ones(2))
    # The cosine is the mean of the parts' cosines: 1 and -1.
    assert (scaled[0] @ scaled[1]).abs() < 1e-6


def test_a_form_comes_back_from_its_file_and_an_unknown_one_is_refused():
    form = Form(heads=(Head(blocks=2, rate=0.5), Head()), shared="layer3.1", feature="linear", length=64)
    assert Form.from_json(form.to_json()) == form
    with pytest.raises(ValueError, match="the file's embedding has colour, which this version does not know"):
        Form.from_json(json.dumps({"colour": 1}))


def test_a_network_that_does_not_end_in_a_linear_layer_is_refused():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match="Sequential does not end in a linear layer or a 1x1"):
        without_classifier(network, Form(), IMAGES)
    last = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 7, 1), nn.BatchNorm2d(7), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    with pytest.raises(ValueError, match=r"without its last convolution, 1 \(.*7"):
        without_classifier(last, Form(), IMAGES)
