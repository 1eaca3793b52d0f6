"""What is true of every method in every one of its phases, on small networks in float64."""

import copy
import functools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from understudy.distiller import Distiller
from understudy.losses import kd
from understudy.losses.bss import boundary_batch
from understudy.methods import METHODS, adjust, find
from understudy.models import build, load_weights, save_weights
from understudy.modes import BATCH_NORMS

NAMES = (*METHODS, "kd+nst", "ofd+ab", "ft+mhgd", "rkd+at")
every_method = pytest.mark.parametrize("name", NAMES)
every_phase = pytest.mark.parametrize(
    ("name", "index"), [(name, index) for name in NAMES for index in range(len(find(name).phases))]
)
students_phase = pytest.mark.parametrize(
    ("name", "index"),
    [(name, index) for name in NAMES for index, phase in enumerate(find(name).phases) if phase.trains_student],
)


@functools.cache
def settled_pair():
    """A student and a teacher with running statistics of their own, both with a liking for class 0."""
    torch.manual_seed(0)
    networks = [build(name, num_classes=5, in_channels=1).double() for name in ("digits-1x4", "digits-2x6")]
    for network in networks:
        for _ in range(10):
            network(torch.randn(8, 1, 8, 8, dtype=torch.float64))
        with torch.no_grad():
            network.fc.bias[0] += 1.0
    return networks[0], networks[1]


def make(name, size=(8, 8), **changes):
    """Always the same distiller: networks, connectors and guides have the same numbers each time."""
    student, teacher = copy.deepcopy(settled_pair())
    torch.manual_seed(1)
    return Distiller(student, teacher, adjust(find(name), **changes), torch.zeros(2, 1, *size).double()).double()


def batch(count=6, size=(8, 8)):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 1, *size, generator=generator, dtype=torch.float64), torch.arange(count) % 5


def without_sampling(name, terms=None):
    """The changes with which boundary samples have the likeliest class as their target."""
    fixed = {"bss": {"sample": False}} if "bss" in {term.name for term in find(name).terms} else {}
    return {"terms": {key: {**fixed.get(key, {}), **(terms or {}).get(key, {})} for key in {**fixed, **(terms or {})}}}


def snapshot(modules):
    return [value.clone() for module in modules for value in module.state_dict().values()]


def guides(distiller):
    return {name: distiller.comparison(name).guides for name in distiller.term_names}


# Gradients --------------------------------------------------------------------------------------------------------


@every_phase
def test_gradients_reach_the_student_the_phases_connectors_and_guides_and_nothing_else(name, index):
    distiller = make(name)
    distiller.enter(index)
    distiller(*batch())["loss"].backward()
    phase, student = distiller.phase, list(distiller.student.parameters())
    if phase.trains_student:
        assert any(p.grad is not None and p.grad.any() for p in student)
    modules = [connector for term in phase.terms for connector in distiller.comparison(term.name).students]
    modules += [guide for term in phase.guides for guide in distiller.comparison(term.name).guides]
    for module in modules:
        parameters = list(module.parameters())
        assert all(p.grad is not None for p in parameters)
        assert not parameters or any(p.grad.any() for p in parameters)
    learnt = {id(p) for module in modules for p in module.parameters()}
    learnt |= {id(p) for p in student if phase.trains_student}
    assert all(p.grad is None for p in distiller.parameters() if id(p) not in learnt)
    assert {id(p) for p in distiller.phase_parameters()} == learnt


@every_phase
def test_a_step_leaves_the_teacher_and_what_rests_as_they_were(name, index):
    distiller = make(name)
    distiller.enter(index)
    resting = [] if distiller.teacher is None else [distiller.teacher]
    learnt = {term.name for term in distiller.phase.guides}
    resting += [guide for term, guide in guides(distiller).items() if term not in learnt]
    assert not any(p.requires_grad for module in resting for p in module.parameters())
    resting += [] if distiller.phase.trains_student else [distiller.student]
    before, all_before = snapshot(resting), snapshot([distiller])
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    distiller(*batch())["loss"].backward()
    optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(snapshot(resting), before, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(snapshot([distiller]), all_before, strict=True))


@every_phase
@pytest.mark.slow
def test_a_lean_teacher_changes_neither_loss_nor_gradients(name, index):
    answers = []
    for is_lean in (False, True):
        distiller = make(name, **without_sampling(name))
        if is_lean:
            distiller.make_teacher_lean(torch.zeros(2, 1, 8, 8).double())
        distiller.enter(index)
        torch.manual_seed(4)
        answer = distiller(*batch())
        answer["loss"].backward()
        answers.append(([value.detach() for value in answer.values()], [p.grad for p in distiller.parameters()]))
    torch.testing.assert_close(answers[1], answers[0], rtol=1e-9, atol=1e-12)


@students_phase
def test_gradient_norms_disturb_nothing(name, index):
    distiller = make(name)
    distiller.enter(index)
    buffers = [value.clone() for value in distiller.buffers()]
    modes, random = [module.training for module in distiller.modules()], torch.get_rng_state()
    distiller.gradient_norms(*batch())
    assert all(torch.equal(*pair) for pair in zip(distiller.buffers(), buffers, strict=True))
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in distiller.modules()] == modes
    assert all(p.grad is None for p in distiller.parameters())


@students_phase
@pytest.mark.slow
def test_gradient_norms_are_those_of_each_term_alone(name, index):
    images, labels = batch()
    distiller = make(name, **without_sampling(name))
    distiller.enter(index)
    distiller.at(0.3, 2.0)
    expected = {"task": math.sqrt(sum(g.square().sum() for g in task_gradients(images, labels).values()))}
    for term in distiller.phase.terms:
        own = term_gradients(name, index, term.name, images, labels)
        expected[term.name] = math.sqrt(sum(g.square().sum() for g in own.values()))
    assert distiller.gradient_norms(images, labels) == pytest.approx(expected, rel=1e-5, abs=1e-12)


def task_gradients(images, labels) -> dict[str, Any]:
    """The cross-entropy's gradient at each of the student's parameters, without a distiller."""
    student = copy.deepcopy(settled_pair()[0]).train()
    F.cross_entropy(student(images), labels).backward()
    return {key: p.grad for key, p in student.named_parameters()}


def term_gradients(name, index, wanted, images, labels):
    """One term's gradient: the loss with the other terms at zero, minus the labels' part."""
    zeros = {term.name: {"weight": 0.0} for term in find(name).phases[index].terms if term.name != wanted}
    changes = {**zeros, **{term: {**zeros.get(term, {}), "clip": False} for term in (wanted, *zeros)}}
    distiller = make(name, **without_sampling(name, changes))
    distiller.enter(index)
    distiller.at(0.3, 2.0)
    distiller(images, labels)["loss"].backward()
    of_task = task_gradients(images, labels)
    return {
        key: (torch.zeros_like(p) if p.grad is None else p.grad) - distiller.phase.labels * of_task[key]
        for key, p in distiller.student.named_parameters()
    }


@students_phase
@pytest.mark.slow
def test_balanced_every_terms_gradient_has_the_ratio_asked_for(name, index):
    images, labels = batch()
    distiller = make(name, **without_sampling(name))
    distiller.enter(index)
    before = distiller.gradient_norms(images, labels)
    factors = distiller.balance(0.5, images, labels)
    after = distiller.gradient_norms(images, labels)
    assert after["task"] == before["task"] > 0
    for term in distiller.phase.terms:
        assert before[term.name] > 0
        assert after[term.name] == pytest.approx(0.5 * before["task"], rel=1e-4)
        assert factors[term.name] == pytest.approx(0.5 * before["task"] / before[term.name], rel=1e-4)


# What must not change it ------------------------------------------------------------------------------------------


@every_phase
@pytest.mark.slow
def test_the_order_of_the_batch_does_not_matter(name, index):
    images, labels = batch()
    keep, order = torch.tensor([1, 1, 0, 1, 0, 1]), torch.tensor([3, 1, 5, 0, 2, 4])
    answers = []
    for moved in (torch.arange(6), order):
        distiller = make(name, **without_sampling(name))
        distiller.enter(index)
        for guide in guides(distiller).values():
            guide.eval()  # in training, some draw numbers for each row of the batch
        answers.append(distiller(images[moved], labels[moved], keep[moved]))
    first, second = answers
    if "output" in first:
        torch.testing.assert_close(second.pop("output"), first.pop("output")[order], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(second, first, rtol=1e-9, atol=1e-12)


@every_phase
@pytest.mark.slow
def test_compared_alone_a_term_that_relates_no_images_is_the_mean_over_them(name, index):
    images, labels = batch()
    distiller = make(name, **without_sampling(name))
    distiller.enter(index)
    distiller.eval()  # BatchNorm's statistics relate images
    alone = [distiller(images[i : i + 1], labels[i : i + 1]) for i in range(6)]
    together = distiller(images, labels)
    # Boundary samples are averaged over the images that have one.
    related = {term.name for term in distiller.phase.terms if term.across_images or term.inputs is not None}
    related |= {f"{term.name}_guide" for term in distiller.phase.guides if term.across_images}
    for key in together.keys() - related - {"loss", "output"}:
        expected = torch.stack([answer[key] for answer in alone]).mean()
        torch.testing.assert_close(together[key], expected, rtol=1e-9, atol=1e-12)


# Edges ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (11, 8)], ids=lambda size: f"{size[0]}x{size[1]}")
@every_method
@pytest.mark.slow
def test_finite_for_one_image_and_three_of_odd_sizes(name, size):
    distiller = make(name, size)
    for index in range(len(distiller.method.phases)):
        distiller.enter(index)
        for count in (1, 3):
            answer = distiller(*batch(count, size))
            answer["loss"].backward()
            gradients = [p.grad for p in distiller.parameters() if p.grad is not None]
            assert all(value.isfinite().all() for value in answer.values())
            assert gradients and all(gradient.isfinite().all() for gradient in gradients)
            distiller.zero_grad(set_to_none=True)


@every_method
def test_the_student_stays_a_plain_network_that_can_be_saved(name, tmp_path):
    distiller = make(name)
    for index in range(len(distiller.method.phases)):
        distiller.enter(index)
        distiller(*batch())["loss"].backward()
        torch.optim.SGD(distiller.phase_parameters(), lr=0.01).step()
        distiller.zero_grad(set_to_none=True)
    torch.manual_seed(3)
    fresh = build("digits-1x4", num_classes=5, in_channels=1).double()
    assert list(distiller.student.state_dict()) == list(fresh.state_dict())
    sizes = [sum(p.numel() for p in network.parameters()) for network in (distiller.student, fresh)]
    assert sizes[0] == sizes[1]
    save_weights(distiller.student, tmp_path / "student.safetensors")
    load_weights(fresh, tmp_path / "student.safetensors")
    images, _ = batch()
    assert torch.equal(fresh.eval()(images), distiller.eval().student(images))
    assert not torch.equal(fresh(images), settled_pair()[0].eval()(images))


# Single methods -----------------------------------------------------------------------------------------------------


def norms_in(*modules):
    return [one for module in modules for one in module.modules() if isinstance(one, BATCH_NORMS)]


@students_phase
def test_statistics_of_what_learns_move_once_a_step_and_of_what_rests_never(name, index):
    distiller = make(name)
    distiller.enter(index)
    learning = norms_in(distiller.student, *(distiller.comparison(one.name).students for one in distiller.phase.terms))
    resting = [norm for norm in norms_in(distiller.comparisons) if norm not in learning]
    before = {norm: int(norm.num_batches_tracked) for norm in learning + resting}
    distiller(*batch())
    # Boundary samples are a second batch of the student's.
    once = {1, 2} if any(term.inputs is not None for term in distiller.phase.terms) else {1}
    assert {int(norm.num_batches_tracked) - before[norm] for norm in learning} <= once
    assert {int(norm.num_batches_tracked) - before[norm] for norm in resting} <= {0}


def test_selecting_all_images_is_selecting_none_in_particular():
    answers = []
    for keep in (None, torch.ones(6, dtype=torch.bool)):
        distiller = make("selective")
        answers.append(distiller(*batch(), keep))
        answers[-1]["loss"].backward()
        answers[-1]["gradient"] = distiller.student.stage1[0].weight.grad
    torch.testing.assert_close(*answers)
    assert answers[0]["selective"] > 0


def test_images_that_are_not_selected_count_as_zero():
    images, labels = batch()
    one_each = [make("selective")(images, labels, torch.arange(6) == chosen)["selective"] for chosen in range(6)]
    torch.testing.assert_close(torch.stack(one_each).sum(), make("selective")(images, labels)["selective"])
    answer = make("selective")(images, labels, torch.zeros(6, dtype=torch.bool))
    assert answer["selective"] == 0 and answer["loss"] == answer["task"]


@pytest.mark.parametrize(
    ("progress", "clean", "boundary"), [(0.0, 4.0, 2.0), (0.375, 2.875, 1.0), (0.75, 1.75, 0.0), (1.0, 1.0, 0.0)]
)
def test_boundary_samples_weights_follow_the_progress(progress, clean, boundary):
    images, labels = batch()
    student, teacher = copy.deepcopy(settled_pair())
    student.train(), teacher.eval()
    logits = student(images), teacher(images)
    moved = boundary_batch(teacher, images, labels, *logits, sample=False)
    assert 0 < len(moved) < 6
    # T = 3 without the factor T^2.
    on_images, on_moved = (kd(*pair, temperature=3.0) / 9.0 for pair in (logits, (student(moved), teacher(moved))))
    distiller = make("bss", **without_sampling("bss"))
    distiller.at(progress, 0.0)
    answer = distiller(images, labels)
    torch.testing.assert_close(answer["bss_clean"], clean * on_images.detach())
    torch.testing.assert_close(answer["bss"], boundary * on_moved.detach())


# Compiled -----------------------------------------------------------------------------------------------------------

CLIPPED = {"kd": {"clip": True, "weight": 1e4}}
COMPILED = [
    *(("kd", CLIPPED), ("bss", {})),
    *((name, {}) for name in ("ofd", "nst", "rkd", "at", "fitnet", "jacobian", "kd_svd", "mhgd", "selective")),
]


def both(name, terms):
    """The same distiller eager and compiled."""
    torch.compiler.reset()
    plain, compiled = make(name, terms=terms), make(name, terms=terms)
    compiled.compile(fullgraph=False, backend="aot_eager")
    return plain, compiled


@pytest.mark.slow
@pytest.mark.parametrize(("name", "terms"), COMPILED, ids=[f"{name}-clipped" if t else name for name, t in COMPILED])
def test_compiled_it_answers_the_same(name, terms):
    distillers = both(name, terms)
    images, labels = batch()
    for index in range(len(distillers[0].method.phases)):
        answers = []
        for distiller in distillers:
            distiller.enter(index)
            distiller.at(0.3, 2.0)
            distiller.zero_grad(set_to_none=True)
            torch.manual_seed(4)  # both draw the same
            answers.append(dict(distiller(images, labels)))
            answers[-1]["loss"].backward()
        torch.testing.assert_close(answers[1], answers[0], rtol=1e-9, atol=1e-12)
        for own, wanted in zip(distillers[1].parameters(), distillers[0].parameters(), strict=True):
            assert (own.grad is None) == (wanted.grad is None)
            torch.testing.assert_close(own.grad, wanted.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "terms"), [("bss", {}), ("ofd", {}), ("kd", CLIPPED)])
def test_gradient_norms_can_be_taken_after_a_compiled_step(name, terms):
    plain, compiled = both(name, terms)
    for distiller in (plain, compiled):
        torch.manual_seed(4)
        distiller(*batch())["loss"].backward()
    expected, found = [distiller.gradient_norms(*batch()) for distiller in (plain, compiled)]
    assert found == pytest.approx(expected, rel=1e-6)
