"""Every method on pairs of networks that nobody edited: other widths, other sizes, other families."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from understudy.connectors import Conv1x1BN
from understudy.distiller import Distiller
from understudy.losses.ab import activation_boundary
from understudy.losses.ofd import MarginReLU
from understudy.methods import LOGITS, METHODS, Method, Phase, Term, find
from understudy.taps import named_positions

pytestmark = pytest.mark.slow

NUM_CLASSES = 5


class Groups(nn.Module):
    """Groups of two convolutions, each group with a width and a stride of its own; no word about positions."""

    def __init__(self, widths: tuple[int, ...], strides: tuple[int, ...], num_classes: int = NUM_CLASSES):
        super().__init__()
        self.groups = nn.ModuleList()
        for width_in, width, stride in zip((3, *widths[:-1]), widths, strides, strict=True):
            self.groups.append(
                nn.Sequential(
                    nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(width, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                )
            )
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for group in self.groups:
            x = F.relu(group(x))
        return self.classifier(x.mean(dim=(2, 3)))


def convolutions(num_teacher_classes: int = NUM_CLASSES) -> tuple[nn.Module, nn.Module]:
    """Two groups at 1/2 and 1/6 of the images' size, and three at 1, 1/2 and 1/4."""
    return Groups((4, 6), (2, 3)), Groups((5, 7, 8), (1, 2, 2), num_teacher_classes)


def timm_network(name: str, **changes) -> nn.Module:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    return timm.create_model(name, pretrained=False, num_classes=NUM_CLASSES, **changes)


def vision_transformer(depth: int = 2) -> nn.Module:
    """For 32-pixel images: 4x4 patches and a class token."""
    name = "vit_tiny_patch16_224"
    return timm_network(name, img_size=32, patch_size=8, depth=depth, embed_dim=32, num_heads=2)


def channels_last() -> nn.Module:
    """A ConvNeXt whose activations see (B, H, W, C)."""
    return timm_network("convnext_tiny", depths=(1, 1, 1, 1), dims=(8, 12, 16, 24))


def windows(window_size: int = 4) -> nn.Module:
    """A Swin transformer for 32-pixel images: attention inside windows, channels last, 8x8 and 4x4 positions."""
    changes = {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 2)}
    return timm_network("swin_tiny_patch4_window7_224", img_size=32, window_size=window_size, **changes)


# Name -> (student, teacher), and the images' height and width.
PAIRS = {
    "other widths and sizes": (convolutions, (24, 16)),
    "vision transformer teaches resnet": (lambda: (timm_network("resnet10t"), vision_transformer()), (32, 32)),
    "resnet teaches vision transformer": (lambda: (vision_transformer(), timm_network("resnet10t")), (32, 32)),
    "convnext teaches mobilenet": (
        lambda: (
            timm_network("mobilenetv3_small_050"),
            timm_network("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 12, 16, 24)),
        ),
        (64, 64),
    ),
    "channels first and last": (lambda: (Groups((4, 6, 8), (2, 2, 2)), channels_last()), (32, 32)),
    "windows": (lambda: (windows(), Groups((4, 6, 8), (2, 2, 2))), (32, 32)),
}


def batch(size: tuple[int, int], num_images: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(num_images, 3, *size, generator=generator)
    return images, torch.randint(NUM_CLASSES, (num_images,), generator=generator)


def make(networks: tuple[nn.Module, nn.Module], method: Method | str, size: tuple[int, int]) -> Distiller:
    method = find(method) if isinstance(method, str) else method
    return Distiller(*networks, method, torch.zeros(2, 3, *size))


def pair_named(name: str) -> tuple[tuple[nn.Module, nn.Module], tuple[int, int]]:
    torch.manual_seed(0)
    networks, size = PAIRS[name]
    return networks(), size


def check_learns(distiller: Distiller, size: tuple[int, int]) -> None:
    """In every phase: finite terms, each of which reaches the student; guides and connectors get their gradient."""
    images, labels = batch(size)
    for index, phase in enumerate(distiller.method.phases):
        distiller.enter(index)
        distiller.zero_grad(set_to_none=True)
        answer = distiller(images, labels)
        assert all(value.isfinite().all() for value in answer.values())
        answer["loss"].backward()
        trained = distiller.phase_parameters()
        assert all(p.grad is None or p.grad.isfinite().all() for p in trained)
        connectors = [p for term in phase.terms for p in distiller.comparison(term.name).students.parameters()]
        assert all(p.grad is not None for p in connectors)
        if phase.trains_student:
            assert any(p.grad is not None and p.grad.any() for p in distiller.student.parameters())
        else:
            assert any(p.grad.any() for p in trained)
        norms = distiller.gradient_norms(images, labels)
        # Where a term makes its own images, there may be none that qualify.
        assert all(norms[term.name] > 0 for term in phase.terms if term.inputs is None)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("pair", PAIRS)
def test_every_method_learns_between_networks_nobody_edited(name, pair):
    networks, size = pair_named(pair)
    assert not any(hasattr(network, "taps") for network in networks)
    check_learns(make(networks, name, size), size)


def test_unequal_sizes_meet_at_the_smaller_one():
    networks, size = pair_named("other widths and sizes")
    sites = make(networks, "at", size).sites["at"]
    assert [(site.student.shape, site.teacher.shape) for site in sites] == [
        ((2, 4, 12, 8), (2, 7, 12, 8)),
        ((2, 6, 4, 3), (2, 8, 6, 4)),
    ]
    assert [(site.student_shape, site.teacher_shape) for site in sites] == [
        ((2, 4, 12, 8), (2, 7, 12, 8)),
        ((2, 6, 4, 3), (2, 8, 4, 3)),
    ]


# What mathematics forbids ---------------------------------------------------------------------------------------------


def compares_logits(method: Method) -> bool:
    return any(term.tap == LOGITS and term.teacher_tap is None for term in method.terms)


@pytest.mark.parametrize("name", METHODS)
def test_with_other_classes_what_compares_logits_says_to_take_dtl_and_the_rest_works(name):
    networks, size = convolutions(num_teacher_classes=7), (24, 16)
    if compares_logits(METHODS[name]):
        with pytest.raises(
            ValueError, match="the student answers 5 classes, the teacher 7; dtl gives the student a head"
        ):
            make(networks, name, size)
    else:
        distiller, (images, labels) = make(networks, name, size), batch(size)
        for index in range(len(distiller.method.phases)):
            distiller.enter(index)
            distiller(images, labels)["loss"].backward()


@pytest.mark.parametrize("name", METHODS)
def test_without_maps_what_compares_maps_says_so_and_the_rest_works(name):
    networks = tuple(
        nn.Sequential(nn.Flatten(), nn.Linear(48, width), nn.ReLU(), nn.Linear(width, NUM_CLASSES)) for width in (6, 8)
    )
    roles = {role for term in METHODS[name].terms for role in (term.tap, term.teacher_tap)}
    if roles <= {LOGITS, "embedding", None}:
        make(networks, name, (4, 4))(*batch((4, 4)))["loss"].backward()
    else:
        with pytest.raises(ValueError, match="nothing to propose for .*feature map.*; give the network a `taps`"):
            make(networks, name, (4, 4))


@pytest.mark.parametrize(("name", "role"), [("fsp", "group_end"), ("kd_svd", "after_relu"), ("mhgd", "after_relu")])
def test_two_positions_cannot_be_had_of_one_and_declared_ones_help(name, role):
    student, teacher = Groups((4, 6), (2, 2)), vision_transformer(depth=1)
    with pytest.raises(
        ValueError, match=f"{name} compares 2 positions together, and there is 1 for '{role}'; .*`taps`"
    ):
        make((student, teacher), name, (32, 32))
    teacher.taps = {role: ("patch_embed", "norm")}
    check_learns(make((student, teacher), name, (32, 32)), (32, 32))


@pytest.mark.parametrize("name", ["rkd", "selective", "dtl"])
def test_a_classifier_that_is_a_convolution_has_an_embedding_before_it_or_where_it_is_declared(name):
    student = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(6, NUM_CLASSES, 1),
        nn.Flatten(),
    )
    networks = student, Groups((5, 7), (2, 2))
    distiller = make(networks, name, (8, 8))
    assert distiller.sites[distiller.method.terms[0].name][0].student.name == "before:3"
    check_learns(distiller, (8, 8))
    # Where a normalisation follows, nothing says which of the two answers the classes.
    unclear = nn.Sequential(*student, nn.BatchNorm1d(NUM_CLASSES))
    with pytest.raises(
        ValueError, match="'embedding' in Sequential: no linear layer or convolution .*`taps` attribute, {'embedding'"
    ):
        make((unclear, networks[1]), name, (8, 8))
    student = nn.Sequential(*student[:3], nn.Flatten(), nn.Unflatten(1, (6, 1, 1)), *student[3:])
    student.taps = {"embedding": ("3",)}
    check_learns(make((student, networks[1]), name, (8, 8)), (8, 8))


# Transformers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "ends"), [(1, ()), (2, (0,)), (3, (0, 1)), (4, (1, 2)), (12, (3, 7))])
def test_a_transformer_of_one_size_has_a_position_at_the_end_of_each_third_of_its_blocks(depth, ends):
    network, images = vision_transformer(depth), torch.zeros(2, 3, 32, 32)
    assert named_positions(network, "group_end", images) == (*(f"blocks.{end}" for end in ends), "norm")
    before = tuple(f"before:blocks.{end}.mlp.act" for end in (*ends, depth - 1))
    assert named_positions(network, "before_relu", images) == before


def test_the_blocks_of_torchvisions_transformer_are_found_under_their_names():
    network = torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=6, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    assert named_positions(network, "group_end", torch.zeros(2, 3, 32, 32)) == (
        "encoder.layers.encoder_layer_1",
        "encoder.layers.encoder_layer_3",
        "encoder.ln",
    )


@pytest.mark.parametrize("window_size", [2, 4])
def test_what_is_split_into_windows_is_no_map_of_the_image(window_size):
    # In the second group windows of four hold the whole map.
    network, images = windows(window_size), torch.zeros(2, 3, 32, 32)
    assert named_positions(network, "group_end", images) == ("layers.0", "norm")
    assert named_positions(network, "before_relu", images) == tuple(
        f"before:layers.{n}.blocks.1.mlp.act" for n in (0, 1)
    )


def test_the_blocks_are_those_that_hold_most_parameters():
    def layer() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())

    network = nn.Sequential(*(nn.Sequential(layer(), layer(), layer()) for _ in range(3)))
    images = torch.zeros(2, 3, 8, 8)
    assert named_positions(network, "before_relu", images) == tuple(f"before:{n}.2.1" for n in range(3))


# Gradients of gradients -----------------------------------------------------------------------------------------------


class Attending(nn.Module):
    """A convolution, attention between positions and a gate; with torch's fused functions or written out."""

    def __init__(self, is_fused: bool, in_place: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.qkv = nn.Linear(8, 24)
        self.fc = nn.Linear(8, NUM_CLASSES)
        self.is_fused, self.in_place = is_fused, in_place

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if self.is_fused:
            return F.scaled_dot_product_attention(query, key, value)
        return (query @ key.mT / math.sqrt(query.shape[-1])).softmax(dim=-1) @ value

    def gate(self, x: Tensor) -> Tensor:
        if self.is_fused:
            gate = x + 0.0
            # In place, the answer is not looked at.
            answer = F.hardsigmoid(gate, inplace=self.in_place)
            return gate if self.in_place else answer
        return (x / 6 + 0.5).clamp(0, 1)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.conv(images).flatten(2).transpose(1, 2)
        query, key, value = self.qkv(tokens).chunk(3, dim=2)
        mixed = self.attend(query[:, None], key[:, None], value[:, None])[:, 0]
        return self.fc((mixed * self.gate(4 * tokens)).mean(dim=1))


@pytest.mark.parametrize("in_place", [False, True])
def test_input_gradients_go_through_attention_and_gates_that_torch_differentiates_once(in_place):
    torch.manual_seed(0)
    images, labels = (tensor.double() if tensor.is_floating_point() else tensor for tensor in batch((8, 8)))
    fused, written = Attending(True, in_place).double(), Attending(False).double()
    written.load_state_dict(fused.state_dict())
    teacher = Groups((5, 7), (2, 2)).double()
    answers = []
    for student in (fused, written):
        distiller = Distiller(student, copy.deepcopy(teacher), find("at_gradient"), images[:2])
        answers.append(distiller(images, labels))
        answers[-1]["loss"].backward()
    torch.testing.assert_close(answers[0], answers[1])
    for own, expected in zip(fused.parameters(), written.parameters(), strict=True):
        torch.testing.assert_close(own.grad, expected.grad)


# A method of one's own ------------------------------------------------------------------------------------------------


def test_a_method_composed_from_parts_needs_no_class_and_learns():
    term = Term(
        name="mine",
        tap="before_relu",
        teacher=MarginReLU,
        student=Conv1x1BN,
        distance=activation_boundary,
        weight=3e-3,
        ladder=0.5,
    )
    method = Method(title="Mine", paper="none", phases=(Phase(name="train", terms=(term,)),))
    networks, size = pair_named("other widths and sizes")
    distiller, (images, labels) = make(networks, method, size), batch(size)
    optimizer = torch.optim.SGD(distiller.phase_parameters(), lr=0.05)
    losses = []
    for _ in range(8):
        answer = distiller(images, labels)
        optimizer.zero_grad(set_to_none=True)
        answer["loss"].backward()
        optimizer.step()
        losses.append({key: value.item() for key, value in answer.items() if key != "output"})
    assert losses[0].keys() == {"loss", "task", "mine"}
    assert all(losses[-1][key] < 0.9 * losses[0][key] for key in losses[0])
