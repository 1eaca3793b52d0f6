import pytest
import torch
from torch import nn
from torchvision.models import resnet50

from understudy.models import Form, Head, build, embed
from understudy.models.hdhe import ENSEMBLES, hdhe

pytestmark = pytest.mark.slow

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def form(name="hdhe", **changes):
    heads, shared = ENSEMBLES[name]
    return Form(**{"heads": heads, "shared": shared, **changes})


def made(name, wanted, images=IMAGES):
    torch.manual_seed(0)
    return embed(lambda: build(name, num_classes=5), wanted, images)


def num_parameters(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_the_papers_heads_on_resnet50_have_the_parameters_that_their_layers_have_and_no_more():
    network, plain = made("torchvision:resnet50", form()), resnet50(num_classes=5)
    trunk = num_parameters(plain.conv1, plain.bn1, plain.layer1, plain.layer2)

    def cut(block):
        return num_parameters(block.conv1, block.bn1, block.conv2, block.bn2)

    first = num_parameters(plain.layer3, plain.layer4[0], plain.layer4[1]) + cut(plain.layer4[2])
    second = num_parameters(plain.layer3) + cut(plain.layer4[0])
    assert num_parameters(network) == trunk + first + second
    # The authors' program has the trunk twice.
    assert num_parameters(network) < 2 * num_parameters(plain)
    assert network.unit.parts == (512, 512)
    assert network.eval()(IMAGES).shape == (2, 1024)
    assert network.rates == {"trunk": 0.5, "heads.0": 0.5, "heads.1": 4.0}


def test_a_head_is_the_networks_own_layers_with_stride_one():
    """Against the networks, layer by layer; each head has its own network's weights."""
    torch.manual_seed(0)
    networks = [build("torchvision:resnet50", num_classes=5) for _ in range(2)]
    plain, other = networks[0].eval(), networks[1].eval()
    with torch.no_grad():
        shared = plain.layer2(plain.layer1(plain.maxpool(plain.relu(plain.bn1(plain.conv1(IMAGES))))))
        for network in networks:
            network.layer4[0].conv2.stride = (1, 1)
            network.layer4[0].downsample[0].stride = (1, 1)
        wanted = []
        for network, number in ((plain, 2), (other, 0)):
            x = network.layer3(shared)
            for block in network.layer4[:number]:
                x = block(x)
            last = network.layer4[number]
            x = last.relu(last.bn2(last.conv2(last.relu(last.bn1(last.conv1(x))))))
            wanted.append(x.mean(dim=(2, 3)))
        for network in networks:  # as they were built: the ensemble sets the strides itself
            network.layer4[0].conv2.stride = (2, 2)
            network.layer4[0].downsample[0].stride = (2, 2)
        answer = hdhe(networks, form(), IMAGES).eval()(IMAGES)
    halves = [nn.functional.normalize(half, dim=1) / 2**0.5 for half in wanted]
    torch.testing.assert_close(answer, torch.cat(halves, dim=1))


@pytest.mark.parametrize(
    ("feature", "parts"),
    [("original", (2048, 2048)), ("linear", (64, 64)), ("penultimate", (512, 512)), ("penultimate+", (512, 512))],
)
def test_the_four_feature_vectors_have_their_lengths_and_memory(feature, parts):
    length = 64 if feature == "linear" else None
    network = made("torchvision:resnet50", form(feature=feature, length=length))
    assert network.unit.parts == parts
    assert network(IMAGES).shape == (2, sum(parts))
    original = made("torchvision:resnet50", form())
    if feature in ("original", "linear"):
        assert num_parameters(network) > num_parameters(original)
    else:
        assert num_parameters(network) == num_parameters(original)


def test_penultimate_is_read_before_the_relu_and_with_the_plus_after_it():
    plain, plus = (made("resnet14", form(feature=feature)) for feature in ("penultimate", "penultimate+"))
    assert (plain.train()(IMAGES) < 0).any() and (plus.train()(IMAGES) >= 0).all()


def test_sharing_more_saves_memory_and_a_third_head_costs_some():
    sizes = {name: num_parameters(made("torchvision:resnet18", form(name))) for name in ENSEMBLES}
    assert sizes["ms-hdhe"] < sizes["hdhe"] < sizes["tri-hdhe"]
    assert sizes["ms-hdhe"] < num_parameters(made("torchvision:resnet18", form(shared="layer3.0"))) < sizes["hdhe"]


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:resnet18", "resnet14", "resnet14-a"])
def test_heads_are_made_of_any_residual_network_whose_blocks_are_named(name):
    network = made(name, form(feature="original"))
    both = network.train()(IMAGES)
    assert both.shape == (2, sum(network.unit.parts))
    both.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_head_with_the_networks_own_stride_and_all_blocks_answers_as_the_network():
    torch.manual_seed(0)
    plain = build("resnet14", num_classes=5).eval()
    found = []
    plain.linear.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    plain(IMAGES)
    network = made("resnet14", form(heads=(Head(stride=2),), feature="original")).eval()
    torch.testing.assert_close(network(IMAGES), nn.functional.normalize(found[0], dim=1))


def test_what_cannot_be_made_is_explained():
    with pytest.raises(ValueError, match=r"layer9: the trunk ends with .*: layer1, layer2, layer3, layer3.0"):
        made("torchvision:resnet18", form(shared="layer9"))
    with pytest.raises(ValueError, match="layer3 has the blocks 0 to 1"):
        made("torchvision:resnet18", form(shared="layer3.5"))
    with pytest.raises(ValueError, match="head 2 keeps 3 blocks of layer4, which has 2"):
        made("torchvision:resnet18", form(heads=(Head(), Head(blocks=3))))
    with pytest.raises(ValueError, match="heads are made of a residual network .* MobileNetV3 has 0 of them"):
        made("torchvision:mobilenet_v3_small", form())


def test_a_residual_network_that_does_more_between_its_stages_is_refused():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = build("resnet14", num_classes=5)
            for name, module in [*self.body.named_children()]:
                setattr(self, name, module)
            del self.body

        def forward(self, images):
            x = self.layer1(torch.relu(self.bn1(self.conv1(images)))) * 2.0
            return self.linear(self.layer3(self.layer2(x)).mean(dim=(2, 3)))

    with pytest.raises(ValueError, match="Odd does more between its layers"):
        hdhe([Odd(), Odd()], form(), IMAGES)
