"""The doctor on what is compared and trained: diseases are made, and found; a healthy pair has no finding."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from understudy.connectors import Conv1x1BN
from understudy.data import load
from understudy.distiller import Distiller
from understudy.engine.doctor import problems
from understudy.engine.doctor.examine import make_case
from understudy.engine.doctor.memory import free_bytes, line, memory
from understudy.engine.doctor.positions import positions
from understudy.engine.doctor.reach import reach
from understudy.engine.doctor.steps import try_steps
from understudy.engine.doctor.terms import terms
from understudy.engine.memory.live_bytes import peak_bytes
from understudy.engine.plan import make_plan
from understudy.methods import METHODS, Method, Phase, Term
from understudy.models import build
from understudy.precision import Precision
from understudy.spec import read_settings

CPU = torch.device("cpu")
PLAIN = Precision(device=CPU, dtype=torch.float32, channels_last=False, compile=False)


@pytest.fixture(scope="module")
def data():
    return load("digits")


@pytest.fixture
def case(data):
    """A function from a method (or its name) and networks to a case."""

    def make(method="ab+kd", *words, student=None, teacher=None):
        torch.manual_seed(0)
        options = {"student.model": "digits-1x4", "teacher.model": "mine", "epochs": 10}
        plan = make_plan(
            read_settings(options=options, words=words),
            student or build("digits-1x4", num_classes=10, in_channels=1),
            teacher or build("digits-1x6", num_classes=10, in_channels=1),
            data,
            method if isinstance(method, Method) else METHODS[method],
        )
        return make_case(plan, PLAIN)

    return make


def one_term(term, **phase):
    return Method(title="Mine", paper="none", phases=(Phase(name="train", terms=(term,), **phase),))


def mean_square(student, teacher):
    return (student - teacher).square().mean()


def scaled(factor):
    return lambda student, teacher: factor * mean_square(student, teacher)


@pytest.mark.parametrize("name", ["none", "ab+kd", "ofd", "ft", "bss"])
def test_healthy_networks_have_no_finding(case, name):
    found = case(name)
    stepped, steps = try_steps(found)
    whole = stepped + positions(found) + terms(found) + reach(found, steps) + memory(found, free_bytes)
    assert problems(whole) == []
    assert {"first step", "gradients' reach", "memory"} <= {one.check for one in whole}


# The first step -----------------------------------------------------------------------------------------------------


def test_a_step_that_fails_is_told_with_what_it_says(case):
    def breaks(student, teacher):
        raise ValueError("three is not four")

    (finding,) = try_steps(case(one_term(Term(name="mine", tap="logits", distance=breaks))))[0]
    assert finding.severity == "error" and "phase train" in finding.found and "three is not four" in finding.found


def test_a_loss_that_is_not_finite_names_the_term(case):
    (finding,) = try_steps(case(one_term(Term(name="mine", tap="logits", distance=scaled(float("inf"))))))[0]
    assert finding.severity == "error" and "mine is inf" in finding.found


# Terms --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "severity", "told"),
    [
        (0.0, "error", "exactly zero"),
        (float("nan"), "error", "is nan"),
        (1e-7, "warning", "hardly be heard"),
        (1e6, "warning", "Nothing else"),
    ],
)
def test_a_dead_a_vanishing_and_a_drowning_term_are_told(case, factor, severity, told):
    term = Term(name="mine", tap="logits", distance=scaled(factor))
    (finding,) = problems(terms(case(one_term(term))))
    assert finding.severity == severity and told in finding.found + finding.why and "term mine" in finding.found


def test_the_weight_that_is_proposed_cures(case):
    term = Term(name="mine", tap="logits", distance=scaled(1e6), weight=7.0)
    (finding,) = problems(terms(case(one_term(term))))
    weight = float(finding.do.split("weight=")[1].split()[0])
    cured = case(one_term(replace(term, weight=weight)))
    assert problems(terms(cured)) == []
    assert "mine 1" in terms(cured)[0].found or "mine 0.9" in terms(cured)[0].found


def test_what_may_be_zero_at_first_and_what_is_clipped_or_balanced_is_left_alone(case):
    moved = Term(name="mine", tap="logits", distance=mean_square, schedule=lambda progress: progress)
    assert problems(terms(case(one_term(moved)))) == []
    loud = Term(name="mine", tap="logits", distance=scaled(1e6))
    assert problems(terms(case(one_term(replace(loud, clip=True))))) == []
    assert problems(terms(case(one_term(loud), "run.balance=1"))) == []


def test_a_later_phase_is_not_judged_by_the_student_before_it(case):
    loud = Term(name="mine", tap="logits", distance=scaled(1e6))
    phases = (Phase(name="first"), Phase(name="second", terms=(loud,)))
    assert problems(terms(case(Method(title="Mine", paper="none", phases=phases)))) == []


# Positions ----------------------------------------------------------------------------------------------------------


def rectified(network):
    network.taps = {**network.taps, "before_relu": network.taps["after_relu"]}
    return network


def test_positions_after_the_activation_are_named_where_those_before_it_are_meant(case):
    found = problems(positions(case("ab", teacher=rectified(build("digits-1x6", num_classes=10, in_channels=1)))))
    assert len(found) == 3 and "the teacher's relu()#1 has no negative value" in found[0].found
    found = problems(positions(case("ofd", student=rectified(build("digits-1x4", num_classes=10, in_channels=1)))))
    assert len(found) == 3 and "the student's relu()#1" in found[0].found and "ofd" in found[0].found


def test_dead_channels_and_dead_positions_are_told(case):
    teacher = build("digits-1x6", num_classes=10, in_channels=1)
    with torch.no_grad():
        for stage, channels in ((teacher.stage1, 3), (teacher.stage2, 7), (teacher.stage3, 24)):
            stage[1].weight[:channels] = stage[1].bias[:channels] = 0.0
    found = problems(positions(case("ab", teacher=teacher)))
    # Half of six channels is not more than half.
    assert [(one.severity, one.found) for one in found if one.check == "dead positions"] == [
        ("error", "the teacher's stage3 is zero everywhere."),
        ("warning", "the teacher's stage2 has 7 of 12 channels that are zero everywhere."),
    ]


def test_reading_positions_leaves_networks_and_modes_as_they_were(case):
    found = case("ab")
    before = {name: value.clone() for name, value in found.distiller.state_dict().items()}
    modes = [module.training for module in found.distiller.modules()]
    positions(found)
    assert all(torch.equal(value, before[name]) for name, value in found.distiller.state_dict().items())
    assert modes == [module.training for module in found.distiller.modules()]


# What gradients reach -----------------------------------------------------------------------------------------------


class Frozen(Conv1x1BN):
    def __init__(self, *shapes):
        super().__init__(*shapes)
        self.conv.requires_grad_(False)


class Unused(Conv1x1BN):
    def forward(self, feature):
        return self.conv(feature)


@pytest.mark.parametrize(("connector", "names"), [(Frozen, "conv.weight"), (Unused, "bn.weight, connector 0.bn.bias")])
def test_a_connector_that_cannot_train_is_named(case, connector, names):
    term = Term(name="mine", tap="group_end", layers="last", student=connector, distance=mean_square)
    found = case(one_term(term))
    (finding,) = problems(reach(found, try_steps(found)[1]))
    assert finding.severity == "warning" and "term mine" in finding.found and names in finding.found


def test_a_classifier_that_nothing_trains_is_an_error(case):
    term = Term(name="mine", tap="group_end", student=Conv1x1BN, distance=mean_square)
    found = case(one_term(term, labels=0.0))
    (finding,) = problems(reach(found, try_steps(found)[1]))
    assert finding.severity == "error" and "fc.weight, fc.bias" in finding.found and "fc.weight" in finding.why


def test_parameters_that_no_answer_depends_on_are_a_warning_and_frozen_ones_nothing(case):
    student = build("digits-1x4", num_classes=10, in_channels=1)
    student.spare = nn.Linear(3, 3)
    found = case("kd", student=student)
    (finding,) = problems(reach(found, try_steps(found)[1]))
    assert finding.severity == "warning" and "spare.weight, spare.bias" in finding.found
    student.spare.requires_grad_(False)
    assert problems(reach(found, try_steps(found)[1])) == []
    # With nothing to train a step fails, and is not needed for this.
    student.requires_grad_(False)
    assert reach(found, [])[0].severity == "error"


# Memory -------------------------------------------------------------------------------------------------------------


def test_bytes_are_counted_while_they_live():
    def work():
        one = torch.zeros(1000)  # 4000 bytes
        two = one.view(10, 100) + 1.0  # and 4000; the view has none
        del one
        return two * 2.0  # and 4000, where the first are free again

    assert peak_bytes(work, CPU) == 8000


def test_what_backward_needs_is_counted():
    network = nn.Sequential(nn.Linear(10, 1000), nn.ReLU(), nn.Linear(1000, 1))
    images = torch.randn(64, 10)
    forward = peak_bytes(lambda: network(images), CPU)
    whole = peak_bytes(lambda: network(images).sum().backward(), CPU)
    gradients = sum(4 * p.numel() for p in network.parameters())
    assert whole >= forward + gradients and forward >= 2 * 64 * 1000 * 4


def test_the_line_through_small_batches_meets_the_step_of_a_larger_one(case):
    found = case("ab")
    images, labels = torch.randn(96, *found.images.shape[1:]), torch.zeros(96, dtype=torch.long)
    found.distiller.zero_grad(set_to_none=True)
    real = peak_bytes(lambda: found.distiller(images, labels)["loss"].backward(), CPU)
    fixed, slope = line(found, len(found.images))
    assert fixed + 96 * slope == pytest.approx(real, rel=0.1) and fixed > 0


def test_a_batch_that_is_too_large_is_an_error_with_the_largest_that_fits(case):
    found = replace(case("kd"), batch_size=4096)
    (fits,) = memory(found, lambda device: 2**33)
    assert fits.severity == "fine"
    whole = float(fits.found.split("about ")[1].split(" MiB")[0]) * 2**20
    (finding,) = memory(found, lambda device: int(whole / 3))
    assert finding.severity == "error" and finding.do == "--batch-size 1024"
    (finding,) = memory(found, lambda device: 1)
    assert "smaller images" in finding.do


@pytest.mark.parametrize("batch_size", [2, 3, 4])
def test_no_step_is_measured_on_one_image_of_which_batchnorm_has_no_variance(case, batch_size):
    """As an embedding's head has it: large images leave two to four for the step that is tried."""
    found = case("none")
    student = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(1), nn.Linear(1, 10))
    distiller = Distiller(student, None, "none", found.images)
    few = replace(
        found,
        distiller=distiller,
        images=found.images[:batch_size],
        labels=found.labels[:batch_size],
        batch_size=batch_size,
    )
    (fits,) = memory(few, lambda device: 2**33)
    assert fits.severity == "fine"


def test_what_is_free_is_less_than_the_machine_has():
    import os

    assert 0 < free_bytes(CPU) < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.gpu
def test_on_cuda_the_allocator_counts():
    device = torch.device("cuda")
    assert peak_bytes(lambda: torch.zeros(2**20, device=device), device) == 2**22
    assert free_bytes(device) <= torch.cuda.get_device_properties(device).total_memory
