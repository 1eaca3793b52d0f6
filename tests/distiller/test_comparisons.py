"""What a term compares in two networks: positions, common sizes, windows, weights, and whose options are whose."""

from dataclasses import replace

import pytest
import torch
import torchvision
from torch import Tensor, nn

from understudy.connectors import MatchWidth
from understudy.distiller import Distiller
from understudy.distiller.comparisons import Comparison, find_sites
from understudy.losses.kd import kd
from understudy.losses.lp import lp
from understudy.losses.nst import nst
from understudy.methods import Method, Phase, Term, adjust, find
from understudy.models import build

IMAGES = torch.zeros(2, 3, 8, 8)


class Declared(nn.Module):
    """Convolutions with strides of their own, whose outputs are the positions of "group_end"."""

    def __init__(self, widths: tuple[int, ...], strides: tuple[int | tuple[int, int], ...]):
        super().__init__()
        self.convs = nn.ModuleList()
        for width_in, width, stride in zip((3, *widths[:-1]), widths, strides, strict=True):
            self.convs.append(nn.Conv2d(width_in, width, 3, stride=stride, padding=1))
        self.fc = nn.Linear(widths[-1], 5)
        self.taps = {"group_end": tuple(f"convs.{n}" for n in range(len(widths))), "embedding": ("before:fc",)}

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x).relu()
        return self.fc(x.mean(dim=(2, 3)))


class Tokens(nn.Module):
    """Two tokens in front and 4x4 patches, each with three numbers: (B, 18, 3)."""

    taps = {"group_end": ("tokens",)}

    def __init__(self):
        super().__init__()
        self.front = nn.Parameter(torch.tensor([[100.0, 100.0, 100.0], [200.0, 200.0, 200.0]]))
        self.tokens = nn.Identity()
        self.fc = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        patches = x[:, :, ::2, ::2].flatten(2).transpose(1, 2)
        return self.fc(self.tokens(torch.cat([self.front.expand(len(x), 2, 3), patches], dim=1)).mean(dim=1))


def mean_difference(*features: Tensor) -> Tensor:
    """The students' mean minus the teachers'."""
    half = len(features) // 2
    return (
        torch.stack([f.mean() for f in features[:half]]).sum() - torch.stack([f.mean() for f in features[half:]]).sum()
    )


def compare(term: Term, student: nn.Module, teacher: nn.Module, own: dict, wanted: dict) -> float:
    """The term on features that are given by name."""
    comparison = Comparison(term, student, teacher, IMAGES)
    return comparison(own, comparison.wanted(wanted), {}, lambda values: values).item()


def seen_by(term: Term, student: nn.Module, teacher: nn.Module, own: dict, wanted: dict) -> list[tuple[Tensor, ...]]:
    """What the term's distance is called with."""
    calls = []

    def distance(*features: Tensor) -> Tensor:
        calls.append(features)
        return torch.zeros(())

    compare(replace(term, distance=distance), student, teacher, own, wanted)
    return calls


GROUPS = Term(name="groups", tap="group_end", distance=mean_difference)

# Positions and sizes --------------------------------------------------------------------------------------------------


def test_the_common_size_is_the_smaller_height_and_the_smaller_width(generator):
    student, teacher = Declared((5,), ((2, 1),)), Declared((6,), ((1, 2),))
    (site,) = find_sites(GROUPS, student, teacher, IMAGES)
    assert (site.student.shape, site.teacher.shape) == ((2, 5, 4, 8), (2, 6, 8, 4))
    assert (site.student_shape, site.teacher_shape) == ((2, 5, 4, 4), (2, 6, 4, 4))
    own, wanted = torch.randn(2, 5, 4, 8, generator=generator), torch.randn(2, 6, 8, 4, generator=generator)
    ((seen_own, seen_wanted),) = seen_by(GROUPS, student, teacher, {"convs.0": own}, {"convs.0": wanted})
    torch.testing.assert_close(seen_own, (own[..., ::2] + own[..., 1::2]) / 2)
    torch.testing.assert_close(seen_wanted, (wanted[:, :, ::2] + wanted[:, :, 1::2]) / 2)


@pytest.mark.parametrize("tokens_teach", [True, False])
def test_tokens_are_compared_as_maps_without_those_in_front(tokens_teach, generator):
    networks = [Declared((4,), (1,)), Tokens()]
    (site,) = find_sites(GROUPS, *(networks if tokens_teach else networks[::-1]), IMAGES)
    shapes = [(2, 4, 4, 4), (2, 3, 4, 4)]
    assert [site.student_shape, site.teacher_shape] == (shapes if tokens_teach else shapes[::-1])
    tokens = torch.randn(2, 18, 3, generator=generator)
    features = [{"convs.0": torch.zeros(2, 4, 8, 8)}, {"tokens": tokens}]
    if not tokens_teach:
        networks, features = networks[::-1], features[::-1]
    ((own, wanted),) = seen_by(GROUPS, *networks, *features)
    seen = wanted if tokens_teach else own
    assert seen.shape == (2, 3, 4, 4)
    for row in range(4):
        for column in range(4):
            assert torch.equal(seen[:, :, row, column], tokens[:, 2 + 4 * row + column])


def test_tokens_read_from_the_network_hold_the_patches_in_place(generator):
    # The patches are every other pixel: a student that reads those pixels is at distance zero.
    class Pixels(nn.Module):
        taps = {"group_end": ("pixels",)}

        def __init__(self):
            super().__init__()
            self.pixels, self.fc = nn.AvgPool2d(1, stride=2), nn.Linear(3, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.pixels(x).mean(dim=(2, 3)))

    images, labels = torch.randn(2, 3, 8, 8, generator=generator), torch.tensor([0, 1])
    answer = Distiller(Pixels(), Tokens(), find("at"), IMAGES)(images, labels)
    assert answer["at"].item() == pytest.approx(0.0, abs=1e-9)


def test_vectors_stay_vectors():
    term = Term(name="vectors", tap="embedding", distance=mean_difference)
    student, teacher = Declared((4,), (1,)), Declared((6,), (1,))
    (site,) = find_sites(term, student, teacher, IMAGES)
    assert (site.student_shape, site.teacher_shape) == ((2, 4), (2, 6))
    own, wanted = torch.ones(2, 4), torch.zeros(2, 6)
    assert seen_by(term, student, teacher, {"before:fc": own}, {"before:fc": wanted}) == [(own, wanted)]


def test_an_embedding_that_is_a_map_is_its_mean(generator):
    term = Term(name="vectors", tap="embedding", distance=mean_difference)
    student, teacher = Declared((4,), (2,)), Declared((6,), (1,))
    student.taps = {"embedding": ("convs.0",)}
    (site,) = find_sites(term, student, teacher, IMAGES)
    assert (site.student_shape, site.teacher_shape) == ((2, 4), (2, 6))
    own, wanted = torch.randn(2, 4, 4, 4, generator=generator), torch.zeros(2, 6)
    ((found, other),) = seen_by(term, student, teacher, {"convs.0": own}, {"before:fc": wanted})
    torch.testing.assert_close(found, own.mean(dim=(2, 3)))
    assert other is wanted


def test_the_last_layer_alone_and_the_last_two_of_a_span():
    networks = Declared((4, 5, 6), (1, 2, 2)), Declared((4, 5, 6), (1, 2, 2))
    for span, expected in ((1, ["convs.2"]), (2, ["convs.1", "convs.2"])):
        sites = find_sites(replace(GROUPS, layers="last", span=span), *networks, IMAGES)
        assert [site.student.name for site in sites] == expected == [site.teacher.name for site in sites]
    assert len(find_sites(GROUPS, *networks, IMAGES)) == 3


def test_a_teacher_may_be_read_elsewhere():
    student, teacher = Declared((4,), (1,)), Declared((6,), (1,))
    term = Term(name="both", tap="embedding", teacher_tap="logits", distance=mean_difference)
    (site,) = find_sites(term, student, teacher, IMAGES)
    assert (site.student.name, site.teacher.name) == ("before:fc", "logits")
    assert (site.student_shape, site.teacher_shape) == ((2, 4), (2, 5))


def test_a_dry_run_for_the_logits_leaves_the_modes():
    student, teacher = build("digits-1x4", num_classes=5, in_channels=3), Declared((6,), (1,))
    student.stage2.eval()
    before = [module.training for module in student.modules()]
    find_sites(Term(name="kd", tap="logits", distance=kd), student, teacher, IMAGES)
    assert [module.training for module in student.modules()] == before


# Windows and weights --------------------------------------------------------------------------------------------------


def constant_features(values: tuple[float, ...], sizes: tuple[int, ...]) -> dict[str, Tensor]:
    return {f"convs.{n}": torch.full((2, 4, s, s), v) for n, (v, s) in enumerate(zip(values, sizes, strict=True))}


NETWORKS = Declared((4, 4, 4), (1, 2, 2)), Declared((4, 4, 4), (1, 2, 2))
OWN, WANTED = constant_features((1.0, 10.0, 100.0), (8, 4, 2)), constant_features((0.0, 0.0, 0.0), (8, 4, 2))


def test_each_earlier_layer_counts_by_the_ladder_less():
    term = replace(GROUPS, weight=3.0, ladder=0.5)
    assert compare(term, *NETWORKS, OWN, WANTED) == pytest.approx(3.0 * (0.25 * 1.0 + 0.5 * 10.0 + 100.0))
    assert compare(replace(term, layers="last"), *NETWORKS, OWN, WANTED) == pytest.approx(3.0 * 100.0)


def test_a_span_of_two_compares_each_two_in_a_row_students_first():
    own, wanted = OWN, constant_features((2.0, 20.0, 200.0), (8, 4, 2))
    calls = seen_by(replace(GROUPS, span=2), *NETWORKS, own, wanted)
    assert [[feature[0, 0, 0, 0].item() for feature in call] for call in calls] == [
        [1.0, 10.0, 2.0, 20.0],
        [10.0, 100.0, 20.0, 200.0],
    ]
    calls = seen_by(replace(GROUPS, span=2, layers="last"), *NETWORKS, own, wanted)
    assert [[feature[0, 0, 0, 0].item() for feature in call] for call in calls] == [[10.0, 100.0, 20.0, 200.0]]


def test_the_ladder_of_a_span_counts_its_windows():
    term = replace(GROUPS, span=2, weight=3.0, ladder=0.5)
    assert compare(term, *NETWORKS, OWN, WANTED) == pytest.approx(3.0 * (0.5 * 11.0 + 110.0))


@pytest.mark.parametrize(
    ("over", "sizes"), [("image", (1, 1, 1)), ("positions", (64, 16, 4)), ("elements", (6 * 64, 7 * 16, 8 * 4))]
)
def test_a_distance_can_be_divided_by_the_positions_or_elements_of_the_teachers_map(over, sizes):
    teacher = Declared((6, 7, 8), (1, 2, 2))
    wanted = {f"convs.{n}": torch.zeros(2, 6 + n, s, s) for n, s in enumerate((8, 4, 2))}
    by_hand = [value / size for value, size in zip((1.0, 10.0, 100.0), sizes, strict=True)]
    term = replace(GROUPS, over=over, ladder=0.5)
    found = compare(term, NETWORKS[0], teacher, OWN, wanted)
    assert found == pytest.approx(0.25 * by_hand[0] + 0.5 * by_hand[1] + by_hand[2])
    # Of two in a row, the later one's.
    found = compare(replace(term, span=2), NETWORKS[0], teacher, OWN, wanted)
    assert found == pytest.approx(0.5 * 11.0 / sizes[1] + 110.0 / sizes[2])


def test_positions_and_elements_are_those_of_the_common_size():
    student, teacher = Declared((4,), (2,)), Declared((6,), (1,))
    own, wanted = {"convs.0": torch.ones(2, 4, 4, 4)}, {"convs.0": torch.zeros(2, 6, 8, 8)}
    assert compare(replace(GROUPS, over="positions"), student, teacher, own, wanted) == pytest.approx(1 / 16)
    assert compare(replace(GROUPS, over="elements"), student, teacher, own, wanted) == pytest.approx(1 / 96)


# The teacher's side ---------------------------------------------------------------------------------------------------


def normalised(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """The network with a bias and a weight of its own in every channel of every BatchNorm."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.2, generator=generator)
            nn.init.normal_(module.bias, 0.0, 0.5, generator=generator)
    return network


def by_hand(norm: nn.BatchNorm2d) -> Tensor:
    """E[x | x < 0] for each channel, x from N(bias, weight^2), by the densities' sum on a fine grid."""
    means = []
    for mean, std in zip(norm.bias.tolist(), norm.weight.abs().tolist(), strict=True):
        x = torch.linspace(mean - 12 * std, 0.0, 20_001, dtype=torch.float64) if mean - 12 * std < 0 else torch.zeros(1)
        density = (-0.5 * ((x - mean) / std).square()).exp()
        means.append(((density * x).sum() / density.sum()).item())
    return torch.tensor(means)


@pytest.mark.parametrize("name", ["wrn10-1", "digits-2x6", "torchvision resnet", "vgg"])
def test_the_margins_are_those_of_the_batch_norm_that_makes_the_feature(name, generator):
    if name == "torchvision resnet":
        block = torchvision.models.resnet.BasicBlock
        teacher, images = torchvision.models.ResNet(block, [2, 1, 1, 1], num_classes=5), torch.zeros(2, 3, 32, 32)
        norms = ["layer1.1.bn2", "layer2.0.bn2", "layer3.0.bn2"]
    elif name == "vgg":
        layers = [
            [nn.Conv2d(width_in, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            for width_in in (3, 6, 6)
        ]
        teacher = nn.Sequential(nn.Sequential(*sum(layers, [])), nn.Flatten(), nn.Linear(6, 5))
        images, norms = IMAGES, ["0.1", "0.5", "0.9"]
    else:
        teacher, images = build(name, num_classes=5, in_channels=3), torch.zeros(2, 3, 16, 16)
        norms = {
            "wrn10-1": ["block2.layer.0.bn1", "block3.layer.0.bn1", "bn1"],
            "digits-2x6": ["stage1.4", "stage2.4", "stage3.4"],
        }[name]
    teacher, student = normalised(teacher, generator), build("digits-1x4", num_classes=5, in_channels=3)
    student.taps = {"before_relu": ("stage1",) * len(norms)}
    comparison = Comparison(find("ofd").terms[0], student, teacher, images)
    assert len(comparison.teachers) == len(norms)
    for transform, norm in zip(comparison.teachers, norms, strict=True):
        expected = by_hand(teacher.get_submodule(norm))
        torch.testing.assert_close(transform.margin_C, expected, rtol=1e-2, atol=1e-3)


class Scaled(nn.Module):
    """A teacher's transform with a parameter."""

    def __init__(self, teacher_shape: tuple[int, ...], norm: nn.Module | None):
        super().__init__()
        self.scale = nn.Parameter(torch.full((teacher_shape[1], 1, 1), 2.0))

    def forward(self, feature: Tensor) -> Tensor:
        return self.scale * feature


def test_the_teachers_transforms_are_not_trained_and_the_students_are():
    student, teacher = Declared((4,), (1,)), Declared((6,), (1,))
    term = Term(name="mine", tap="group_end", teacher=Scaled, student=MatchWidth, distance=mean_difference)
    comparison = Comparison(term, student, teacher, IMAGES)
    own, wanted = torch.ones(2, 4, 8, 8, requires_grad=True), torch.ones(2, 6, 8, 8)
    value = comparison({"convs.0": own}, comparison.wanted({"convs.0": wanted}), {}, lambda values: values)
    value.backward()
    assert value.item() == pytest.approx(comparison.students[0](own).mean().item() - 2.0)
    assert all(p.grad is None and not p.requires_grad for p in comparison.teachers.parameters())
    assert all(p.grad is not None for p in comparison.students.parameters())


# Options --------------------------------------------------------------------------------------------------------------


def digits() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    networks = [build(name, num_classes=5, in_channels=3) for name in ("digits-1x4", "digits-2x6")]
    return networks[0], networks[1]


def chosen(name: str, **options: float | str) -> Term:
    return adjust(find(name), terms={name: options}).terms[0]


def test_the_authors_margin_reaches_the_margin_relu(generator):
    student, teacher = digits()
    # Almost never negative: there the authors fall back to three deviations.
    teacher.stage3[4].bias.data.fill_(9.0), teacher.stage3[4].weight.data.fill_(2.0)
    exact = Comparison(chosen("ofd"), student, teacher, IMAGES).teachers[2].margin_C
    authors = Comparison(chosen("ofd", form="authors"), student, teacher, IMAGES).teachers[2].margin_C
    torch.testing.assert_close(authors, torch.full((24,), -6.0))
    assert exact.gt(-1.0).all()


def test_the_kernel_reaches_nst_and_the_power_reaches_lp(generator):
    networks = digits()
    own, wanted = (torch.randn(2, width, 2, 2, generator=generator) for width in (16, 24))
    features = {"relu()#3": own}, {"relu()#3": wanted}
    for kernel in ("linear", "polynomial", "gaussian"):
        expected = 25.0 * nst(own, wanted, kernel=kernel).item()
        assert compare(chosen("nst", kernel=kernel), *networks, *features) == pytest.approx(expected)
    features = {"stage3": wanted.roll(1, 0)}, {"stage3": wanted}
    for p in (1, 0.5):
        term = chosen("lp", p=p, layers="last")
        networks = build("digits-1x6", num_classes=5, in_channels=3), networks[1]
        expected = 3e-3 * lp(wanted.roll(1, 0), wanted, p=p).item()
        assert compare(term, *networks, *features) == pytest.approx(expected)


def test_the_rate_reaches_both_the_paraphraser_and_the_translator():
    comparison = Comparison(chosen("ft", rate=0.25), *digits(), IMAGES)
    feature = torch.zeros(2, 24, 2, 2)
    assert comparison.guides[0].encode(feature).shape == (2, 6, 2, 2)
    assert comparison.students[0](feature[:, :16]).shape == (2, 6, 2, 2)


def test_the_number_of_heads_reaches_the_graph():
    comparison = Comparison(chosen("mhgd", heads=2), *digits(), IMAGES)
    assert [guide.heads for guide in comparison.guides] == [2, 2]
    # One guide for each two layers in a row: 6 and 12 channels, 12 and 24.
    shapes = [guide.graph(torch.zeros(3, front), torch.zeros(3, back)).shape for guide, (front, back) in
              zip(comparison.guides, ((6, 12), (12, 24)), strict=True)]  # fmt: skip
    assert shapes == [(2, 3, 3), (2, 3, 3)]


def test_an_option_reaches_only_the_functions_that_take_it(generator):
    logits = torch.randn(2, 5, generator=generator), torch.randn(2, 5, generator=generator)
    own, wanted = ({"logits": values} for values in logits)
    found = compare(chosen("kd", temperature=2.0), *digits(), own, wanted)
    assert found == pytest.approx(kd(*logits, temperature=2.0).item())
    # How many images are kept concerns the selection and not the distance.
    term = chosen("selective", keep=0.5)
    comparison = Comparison(replace(term, student=None), *digits()[:1] * 2, IMAGES)
    own, wanted = {"before:fc": torch.ones(2, 16)}, [torch.zeros(2, 16)]
    kept = {need: torch.tensor([True, False]) for need in term.needs}
    assert comparison(own, wanted, kept, lambda values: values).item() == pytest.approx(16 / 2)


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "role"), [("ab", "before_relu"), ("ofd", "before_relu"), ("fsp", "group_end")])
def test_shapes_that_cannot_be_connected_are_named_with_the_term_and_both_positions(name, role):
    student, teacher = digits()
    student.taps, teacher.taps = {role: ("stage2", "stage3")}, {role: ("stage3", "before:fc")}
    with pytest.raises(ValueError, match=f"^{name} at stage3 <- before:fc: a 1x1 convolution connects maps"):
        Comparison(find(name).terms[0], student, teacher, IMAGES)


@pytest.mark.parametrize(
    ("name", "role", "positions", "words"),
    [
        ("at", "group_end", ("stage3", "before:fc"), "attention is a map over positions"),
        ("nst", "after_relu", ("stage3", "before:fc"), "channels are compared over the same positions"),
        ("jacobian", "group_end", ("stage3", "before:fc"), "a peak is looked for over positions"),
    ],
)
def test_what_only_the_distance_notices_is_named_too(name, role, positions, words):
    student, teacher = digits()
    student.taps, teacher.taps = {role: (positions[0],)}, {role: (positions[1],)}
    distiller = Distiller(student, teacher, find(name), IMAGES)
    term = find(name).terms[0].name
    with pytest.raises(ValueError, match=f"^{term} at stage3 <- before:fc: {words}"):
        distiller(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("distance", "told"),
    [
        (lambda student, teacher: (student - teacher).pow(2).mean(1), r"answers shape \(2,\), expected a scalar"),
        (lambda student, teacher: (student - teacher).mean().item(), "answers float, expected a scalar tensor"),
    ],
)
def test_a_distance_that_is_no_scalar_is_told(distance, told):
    term = Term(name="mine", tap="logits", distance=distance)
    method = Method(title="Mine", paper="", phases=(Phase(name="train", terms=(term,)),))
    student, teacher = (build("digits-1x4", num_classes=5, in_channels=3) for _ in range(2))
    with pytest.raises(ValueError, match=f"^mine at logits <- logits: the distance {told}"):
        Distiller(student, teacher, method, IMAGES)(IMAGES, torch.tensor([0, 1]))


def test_too_few_positions_are_counted():
    with pytest.raises(ValueError, match="^groups compares 3 positions together, and there is 2 for 'group_end'"):
        find_sites(replace(GROUPS, span=3), *(Declared((4, 4), (1, 2)) for _ in range(2)), IMAGES)


# Positions by hand ----------------------------------------------------------------------------------------------------


def with_positions(name: str, text: str) -> Term:
    return adjust(find(name), terms={name: {"positions": text}}).terms[0]


def test_positions_given_by_hand_are_compared_and_no_others():
    student, teacher = Declared((4, 6, 8), (1, 2, 2)), Declared((5, 7), (1, 2))
    sites = find_sites(with_positions("at", "convs.2=convs.0,\n  before:convs.1=convs.1"), student, teacher, IMAGES)
    assert [(site.student.name, site.teacher.name) for site in sites] == [
        ("convs.2", "convs.0"),
        ("before:convs.1", "convs.1"),
    ]
    assert [site.student_shape[2:] for site in sites] == [(2, 2), (4, 4)]


def test_a_term_of_the_last_layer_compares_all_that_are_given():
    student, teacher = Declared((4, 6), (1, 2)), Declared((5, 7), (1, 2))
    term = with_positions("nst", "convs.0=convs.0,convs.1=convs.1")
    assert term.layers == "last" and len(find_sites(term, student, teacher, IMAGES)) == 2


def test_a_students_vector_is_given_for_the_teachers_logits():
    student, teacher = Declared((4, 6), (1, 2)), Declared((5, 7), (1, 2))
    (site,) = find_sites(with_positions("dtl", "before:fc=logits"), student, teacher, IMAGES)
    assert (site.student_shape, site.teacher_shape) == ((2, 6), (2, 5))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("conv.1=convs.0", "terms.at.positions, the student's 'conv.1': .*near it: .*convs.1"),
        ("convs.1=convs.7", "terms.at.positions, the teacher's 'convs.7': .*near it: .*convs.1"),
    ],
)
def test_a_position_that_is_not_there_is_answered_with_the_nearest(text, told):
    student, teacher = Declared((4, 6), (1, 2)), Declared((5, 7), (1, 2))
    with pytest.raises(ValueError, match=told):
        find_sites(with_positions("at", text), student, teacher, IMAGES)


def test_one_pair_is_too_few_where_two_are_compared_together():
    student, teacher = Declared((4, 6), (1, 2)), Declared((5, 7), (1, 2))
    with pytest.raises(ValueError, match="fsp compares 2 positions .* there is 1 .*terms.fsp.positions="):
        find_sites(with_positions("fsp", "convs.0=convs.0"), student, teacher, IMAGES)


def test_what_a_relation_of_images_needs_of_them_comes_from_all_processes():
    seen = []

    def distance(own, wanted, labels):
        seen.append((own.shape[0], wanted.shape[0], labels.tolist()))
        return own.sum()

    term = Term(name="relation", tap="embedding", distance=distance, needs=("labels",), across_images=True)
    student, teacher = (Declared((4,), (2,)) for _ in range(2))
    comparison = Comparison(term, student, teacher, torch.zeros(2, 3, 8, 8))
    features = {"before:fc": torch.ones(2, 4)}
    comparison(features, [torch.ones(2, 4)], {"labels": torch.tensor([1, 3])}, lambda own: torch.cat([own, own]))
    assert seen == [(4, 4, [1, 3, 1, 3])]
