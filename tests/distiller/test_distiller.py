"""The distiller: named scalars, gradients where they belong, the teacher in each mode, one real forward."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F

from understudy.distiller import Distiller
from understudy.engine.memory.live_bytes import peak_bytes
from understudy.losses import activation_boundary, attention
from understudy.methods import METHODS, adjust, find
from understudy.models import build
from understudy.modes import set_teacher_mode

SHAPE = (1, 8, 8)


def pair(student="digits-1x4", teacher="digits-2x6"):
    torch.manual_seed(0)
    networks = [build(name, num_classes=5, in_channels=1) for name in (student, teacher)]
    return networks[0], networks[1]


def batch(size=6):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(size, *SHAPE, generator=generator), torch.randint(5, (size,), generator=generator)


def make(name, networks=None, **changes):
    student, teacher = networks or pair()
    return Distiller(student, teacher, adjust(find(name), **changes), torch.zeros(2, *SHAPE))


@pytest.mark.parametrize("name", [*METHODS, "kd+none", "ab+kd_only"])
def test_answers_the_loss_as_the_sum_of_its_detached_terms(name):
    distiller = make(name)
    for index in range(len(distiller.method.phases)):
        distiller.enter(index)
        answer = distiller(*batch())
        terms = {key: value for key, value in answer.items() if key not in ("loss", "output")}
        assert terms and ("output" in answer) == distiller.phase.trains_student
        assert "output" not in answer or answer["output"].shape == (6, 5)
        assert not any(value.requires_grad for value in terms.values())
        torch.testing.assert_close(answer["loss"], torch.stack(list(terms.values())).sum())


def test_the_terms_are_those_of_the_declaration():
    student, teacher = pair()
    twin, images, labels = copy.deepcopy(student), *batch()
    answer = make("kd", (student, teacher))(images, labels)
    logits = twin(images)
    torch.testing.assert_close(answer["task"], F.cross_entropy(logits, labels))
    wanted = (teacher.eval()(images) / 4).softmax(1)
    divergence = (wanted * (wanted.log() - (logits / 4).log_softmax(1))).sum(1).mean() * 16
    torch.testing.assert_close(answer["kd"], divergence)


def test_ab_compares_each_pair_before_its_activation_with_the_ladder():
    networks = pair("digits-1x6", "digits-2x6")
    twins = copy.deepcopy(networks)
    images, labels = batch()
    answer = make("ab", networks)(images, labels)
    x, y, expected = images, images, 0.0
    twins[1].eval()
    for name, weight in (("stage1", 0.75e-3), ("stage2", 1.5e-3), ("stage3", 3e-3)):
        x, y = getattr(twins[0], name)(x), getattr(twins[1], name)(y)
        expected += weight * activation_boundary(x, y)
        x, y = x.relu(), y.relu()
    torch.testing.assert_close(answer["ab"], expected.detach())
    assert answer["loss"].item() == answer["ab"].item()


def test_connectors_are_there_exactly_where_widths_differ():
    assert not list(make("ab", pair("digits-1x6", "digits-2x6")).comparisons.parameters())
    # OFD's are there at any widths: 3 of them, of a convolution's weights and a BatchNorm's two.
    overhaul = make("ofd", pair("digits-1x6", "digits-2x6"))
    assert len([*overhaul.comparison("ofd").students.parameters()]) == 9
    different = make("ab", pair("digits-1x4", "digits-2x6"))
    assert [connector[0].conv.weight.shape[:2] for connector in different.comparison("ab").students] == [
        (6, 4),
        (12, 8),
        (24, 16),
    ]


def test_the_classifier_gets_no_gradient_while_boundaries_are_learnt():
    distiller = make("ab+kd")
    distiller(*batch())["loss"].backward()
    # None, not zeros: a zero gradient would let weight decay shrink it.
    assert distiller.student.fc.weight.grad is None


def test_looking_at_gradients_takes_no_more_memory_than_a_step():
    distiller = make("ab+kd_only", pair("digits-2x16", "digits-1x4"))
    distiller.enter(1)
    images, labels = batch(64)

    def step():
        distiller(images, labels)["loss"].backward()
        distiller.zero_grad(set_to_none=True)

    step()
    taken, looking = (
        peak_bytes(doing, torch.device("cpu")) for doing in (step, lambda: distiller.gradient_norms(images, labels))
    )
    # The second forward is kept for every term, but not the first one beside it.
    assert looking < 1.5 * taken


@pytest.mark.parametrize(
    ("mode", "moves", "uses_batch"), [("eval", False, False), ("batch", False, True), ("train", True, True)]
)
def test_the_teachers_mode_decides_which_statistics_it_uses_and_whether_they_move(mode, moves, uses_batch):
    student, teacher = pair()
    reference = copy.deepcopy(teacher).train(uses_batch)
    before = {name: value.clone() for name, value in teacher.named_buffers()}
    distiller = make("kd_only", (student, teacher), teacher_mode=mode)
    images, labels = batch()
    answer = distiller(images, labels)
    moved = any(not torch.equal(value, before[name]) for name, value in teacher.named_buffers())
    assert moved == moves
    wanted = (reference(images) / 3).softmax(1)
    expected = (wanted * (wanted.log() - (answer["output"] / 3).log_softmax(1))).sum(1).mean()
    torch.testing.assert_close(answer["kd"], expected.detach())


def test_distillers_that_share_a_teacher_each_read_it_in_their_own_mode():
    (student, teacher), images = pair(), batch()

    def taught_by(teacher, name):
        torch.manual_seed(0)
        return Distiller(copy.deepcopy(student), teacher, name, images[0]).train()

    def losses(distillers):
        return [distiller(*images)["loss"].item() for distiller in distillers]

    names = ("kd", "ofd")
    wanted = losses(taught_by(copy.deepcopy(teacher), name) for name in names)
    together = [taught_by(teacher, name) for name in names]
    assert losses(together) == wanted
    together[0].remove_readers()
    assert losses(together[1:]) == wanted[1:]


def test_a_teacher_in_batch_mode_can_be_put_back():
    _, teacher = pair()
    images, _ = batch()
    expected = copy.deepcopy(teacher).eval()(images)
    set_teacher_mode(teacher, "batch")
    set_teacher_mode(teacher, "eval")
    torch.testing.assert_close(teacher(images), expected)


def test_the_students_batch_norm_is_updated_once_a_step():
    student, teacher = pair()
    twin, (images, labels) = copy.deepcopy(student), batch()
    make("ab", (student, teacher))(images, labels)
    twin(images)
    for own, wanted in zip(student.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(own, wanted)


def test_the_order_of_the_batch_does_not_matter():
    images, labels = batch()
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    for index in (0, 1):
        one, other = make("ab+kd"), make("ab+kd")
        other.load_state_dict(one.state_dict())
        one.enter(index), other.enter(index)
        torch.testing.assert_close(one(images, labels)["loss"], other(images[order], labels[order])["loss"])


def test_soft_labels_count_each_class_by_its_share():
    images, labels = batch()
    soft = torch.full((len(labels), 5), 0.02)
    soft[:, 0] += 0.3
    soft[range(len(labels)), labels] += 0.6
    answer = make("none")(images, soft)
    log_p = answer["output"].log_softmax(dim=1)
    expected = [-sum(float(soft[i, k]) * float(log_p[i, k]) for k in range(5)) for i in range(len(labels))]
    assert float(answer["task"]) == pytest.approx(sum(expected) / len(labels), rel=1e-5)


def test_soft_labels_of_all_but_one_class_are_hard_ones_to_every_term():
    images, labels = batch()
    for name in ("kd", "at_gradient", "bss"):
        torch.manual_seed(0)
        hard = make(name)(images, labels)
        torch.manual_seed(0)
        soft = make(name)(images, F.one_hot(labels, 5).float())
        assert all(torch.allclose(hard[key], soft[key]) for key in hard), name


def test_the_student_stays_the_plain_network():
    student, teacher = pair()
    keys, size = list(student.state_dict()), sum(p.numel() for p in student.parameters())
    distiller = make("ab+kd", (student, teacher))
    assert distiller.student is student and list(student.state_dict()) == keys
    assert sum(p.numel() for p in distiller.student.parameters()) == size


@pytest.mark.slow
def test_compiled_it_answers_the_same_in_both_phases():
    images, labels = batch()
    plain, compiled = make("ab+kd"), make("ab+kd")
    compiled.load_state_dict(plain.state_dict())
    compiled.compile(fullgraph=True, backend="aot_eager")
    for index in (0, 1):
        plain.enter(index), compiled.enter(index)
        expected, found = plain(images, labels), compiled(images, labels)
        torch.testing.assert_close(dict(found), dict(expected))
        for distiller, answer in ((plain, expected), (compiled, found)):
            distiller.zero_grad(set_to_none=True)
            answer["loss"].backward()
        for own, wanted in zip(compiled.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(own.grad, wanted.grad)


class Narrow(torch.nn.Module):
    """Its maps end at a single place, where a batch of one has no statistics."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(1, 6, 8), torch.nn.BatchNorm2d(6)
        self.fc = torch.nn.Linear(6, 5)

    def forward(self, images):
        return self.fc(self.norm(self.conv(images)).relu().flatten(1))


def test_a_single_boundary_image_is_read_on_running_statistics():
    torch.manual_seed(0)
    student, teacher = Narrow(), Narrow()
    distiller = make("bss", (student, teacher))
    images, _ = batch()
    seen = teacher.eval()(images).argmax(dim=1)
    distiller.train()
    # Both are right about the first image, the teacher is wrong about all others.
    labels = (seen + 1) % 5
    labels[0] = seen[0]
    with torch.no_grad():
        student.fc.weight.zero_()
        student.fc.bias.copy_(torch.eye(5)[seen[0]])
    before = student.norm.num_batches_tracked.clone()
    answer = distiller(images, labels)
    assert answer["bss"] > 0 and student.norm.num_batches_tracked == before + 1
    assert student.norm.training


@pytest.mark.parametrize("mode", ["batch", "train"])
def test_boundary_images_are_moved_on_the_teachers_running_statistics(mode):
    networks = pair()
    distiller = Distiller(*networks, adjust(find("bss"), teacher_mode=mode), torch.zeros(2, *SHAPE))
    norms = [module for module in networks[1].modules() if isinstance(module, torch.nn.BatchNorm2d)]
    images, _ = batch()
    seen = []
    networks[1].register_forward_pre_hook(lambda module, inputs: seen.append((len(inputs[0]), norms[0].training)))
    labels = networks[0].eval()(images).argmax(dim=1)
    networks[1].fc.load_state_dict({"weight": torch.zeros(5, 24), "bias": torch.eye(5)[labels[0]]})
    distiller.train()
    distiller(images, labels)
    assert seen[0] == (len(images), True) and len(seen) > 1 and not any(training for _, training in seen[1:])
    assert all(norm.training for norm in norms)
    assert all(int(norm.num_batches_tracked) == (mode == "train") for norm in norms)


class Centring(torch.nn.Module):
    """Normalises what it is given in place."""

    def __init__(self, network):
        super().__init__()
        self.network, self.taps = network, {"before_relu": tuple(f"network.stage{n}" for n in (1, 2, 3))}

    def forward(self, images):
        images -= 0.5
        return self.network(images)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_a_network_that_writes_into_its_images_leaves_the_others_as_they_were(is_compiled):
    images, labels = batch()
    before = images.clone()
    student, teacher = pair()
    distiller = Distiller(student, Centring(teacher), find("ab+kd"), images)
    plain = Distiller(copy.deepcopy(student), copy.deepcopy(teacher), find("kd"), images)
    if is_compiled:
        distiller.compile()
    distiller.enter(1)
    output = distiller(images, labels)["output"]
    assert torch.equal(images, before)
    assert torch.allclose(output, plain(images, labels)["output"], atol=1e-5)


class Centred(Centring):
    """The same without writing into what it is given."""

    def forward(self, images):
        return self.network(images - 0.5)


def test_boundary_images_come_to_both_networks_as_they_were_made_whatever_the_teacher_writes():
    images, _ = batch()
    _, teacher = pair()
    labels = teacher.eval()(images - 0.5).argmax(dim=1)
    losses = []
    for wrapped in (Centring, Centred):
        torch.manual_seed(0)
        student = Centred(copy.deepcopy(teacher))
        with torch.no_grad():
            next(student.parameters()).mul_(1.1)
        losses.append(Distiller(student, wrapped(copy.deepcopy(teacher)), find("bss"), images).eval()(images, labels))
    assert losses[0]["bss"] > 0 and torch.equal(losses[0]["bss"], losses[1]["bss"])


def test_boundary_images_are_not_made_once_they_count_nothing():
    student, teacher = pair()
    distiller = make("bss", (student, teacher))
    images, _ = batch()
    labels = student.eval()(images).argmax(dim=1)
    distiller.train()
    before, calls = int(student.stage1[1].num_batches_tracked), calls_of(teacher)
    distiller.at(0.76, 1.0)
    answer = distiller(images, labels)
    assert answer["bss"] == 0.0 and len(calls) == 1
    assert int(student.stage1[1].num_batches_tracked) == before + 1


def test_a_network_with_nan_among_its_weights_is_refused():
    student, teacher = pair()
    torch.nn.init.constant_(teacher.fc.weight, torch.nan)
    with pytest.raises(ValueError, match=r"the teacher's fc\.weight holds NaN"):
        make("ab", (student, teacher))
    student, teacher = pair()
    torch.nn.init.constant_(student.fc.bias, torch.nan)
    with pytest.raises(ValueError, match=r"the student's fc\.bias holds NaN"):
        make("ab", (student, teacher))


class Answering(torch.nn.Module):
    """The network's answer in another form."""

    def __init__(self, network, form):
        super().__init__()
        self.network, self.form = network, form

    def forward(self, images):
        return self.form(self.network(images))


@pytest.mark.parametrize(
    ("form", "found"),
    [(lambda logits: {"logits": logits}, "no tensor"), (lambda logits: logits[:, 0], r"a tensor of shape \(2,\)")],
)
def test_a_teacher_that_does_not_answer_logits_is_told(form, found):
    student, teacher = pair()
    with pytest.raises(ValueError, match=f"the teacher's answer is {found}, and logits"):
        make("kd", (student, Answering(teacher, form)))


def test_a_student_that_does_not_answer_logits_needs_an_objective():
    student, teacher = pair()
    images, labels = batch()
    answering = Answering(student, lambda logits: (logits, None))
    method = adjust(find("at"), terms={"at": {"positions": "network.stage1=stage1"}})
    with pytest.raises(ValueError, match="the student's answer in training is a tuple"):
        Distiller(answering, teacher, method, torch.zeros(2, *SHAPE))(images, labels)
    objective = lambda output, labels: torch.nn.functional.cross_entropy(output[0], labels)  # noqa: E731
    answer = Distiller(answering, teacher, method, torch.zeros(2, *SHAPE), objective)(images, labels)
    assert answer["output"][0].shape == (6, 5) and answer["output"][1] is None


def test_stored_answers_do_not_serve_a_term_that_makes_its_own_images():
    distiller = make("bss")
    images, labels = batch()
    with pytest.raises(ValueError, match="bss asks the teacher about images that it makes itself"):
        distiller(images, labels, known=distiller.wanted(images))


def test_connectors_have_the_images_precision():
    student, teacher = (network.double() for network in pair())
    distiller = Distiller(student, teacher, find("ofd"), torch.zeros(2, *SHAPE, dtype=torch.float64))
    images, labels = batch()
    assert distiller(images.double(), labels)["loss"].dtype == torch.float64


def test_maps_of_two_sizes_are_compared_as_the_distance_compares_them():
    torch.manual_seed(0)
    student, teacher = (
        build("digits-1x4", num_classes=5, in_channels=1),
        build("digits-2x6", num_classes=5, in_channels=1),
    )
    words = "stage2=stage1"
    distiller = make("at", (student, teacher), terms={"at": {"positions": words}})
    images, labels = batch()
    found = {}
    for name, network in (("stage2", student), ("stage1", teacher)):
        getattr(network, name).register_forward_hook(lambda *args, name=name: found.__setitem__(name, args[2]))
    term = distiller(images, labels)["at"]
    positions = min(found["stage2"].shape[-1], found["stage1"].shape[-1]) ** 2
    expected = 1000.0 / positions * attention(found["stage2"], found["stage1"])
    torch.testing.assert_close(term, expected.detach())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"student": torch.nn.Linear}, "student is the class Linear; expected a module"),
        ({"teacher": "wrn16-2"}, "teacher is a str; expected a module .*, or None"),
        ({"method": 3}, "method is an int; expected a name from `understudy list methods`, or a Method"),
        ({"images": [0]}, r"images is a list; expected an example batch, a tensor \(B, C, H, W\)"),
        ({"images": torch.zeros(SHAPE)}, r"images is torch.float32 of shape \(1, 8, 8\); expected an example batch"),
        ({"images": torch.zeros(2, *SHAPE).byte()}, "images is torch.uint8 .* of floats, normalised as the networks"),
    ],
)
def test_arguments_of_another_kind_are_told_what_is_taken(given, told):
    student, teacher = pair()
    wanted = {"student": student, "teacher": teacher, "method": "kd", "images": torch.zeros(2, *SHAPE), **given}
    with pytest.raises(ValueError, match=told):
        Distiller(**wanted)


def test_a_network_is_not_its_own_teacher_and_stays_as_it_was():
    student, _ = pair()
    with pytest.raises(ValueError, match="student and teacher are one network"):
        Distiller(student, student, "kd", torch.zeros(2, *SHAPE))
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_a_distiller_is_not_copied_in_silence():
    distiller = Distiller(*pair(), "ab", torch.zeros(2, *SHAPE))
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(ValueError, match="cannot be copied or pickled: .* make another one"):
            copied(distiller)
    other = Distiller(*pair(), "ab", torch.zeros(2, *SHAPE))
    other.load_state_dict(distiller.state_dict())


def test_a_phase_that_is_entered_stands_at_its_beginning():
    distiller = Distiller(*pair(), "ab+kd", torch.zeros(2, *SHAPE))
    distiller.at(0.75, 3.0)
    distiller.enter(1)
    assert (float(distiller.progress), float(distiller.epochs)) == (0.0, 0.0)


def test_a_method_without_its_teacher_is_an_error():
    with pytest.raises(ValueError, match="AB needs a teacher"):
        Distiller(pair()[0], None, find("ab"), torch.zeros(2, *SHAPE))


# The teacher's lean copy ----------------------------------------------------------------------------------------------


def lean(name, networks=None, **changes):
    distiller = make(name, networks, **changes)
    return distiller, distiller.make_teacher_lean(torch.zeros(2, *SHAPE))


def calls_of(module):
    """A list that grows with each call of the module."""
    calls = []
    module.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def test_a_lean_teacher_is_a_copy_that_no_state_knows_of():
    plain, (distiller, copied) = make("ab+kd"), lean("ab+kd")
    assert copied is not None and copied.folded and copied.network is not distiller.teacher
    assert list(distiller.state_dict()) == list(plain.state_dict())
    assert len([*distiller.parameters()]) == len([*plain.parameters()])
    calls = calls_of(distiller.teacher)
    distiller(*batch())["loss"].backward()
    assert not calls and not copied.network.training
    assert all(p.grad is None for p in copied.network.parameters())


@pytest.mark.parametrize("mode", ["batch", "train"])
def test_a_teacher_that_uses_the_batchs_statistics_is_read_itself(mode):
    distiller, copied = lean("kd", teacher_mode=mode)
    calls = calls_of(distiller.teacher)
    distiller(*batch())
    assert copied is None and calls


@pytest.mark.parametrize("name", ["jacobian", "at_gradient"])
def test_a_lean_teacher_is_differentiated_like_the_teacher_itself(name):
    images, labels = batch()
    itself, distiller = make(name).double(), make(name).double()
    copied = distiller.make_teacher_lean(images[:2].double())
    assert copied is not None and copied.folded
    calls = calls_of(distiller.teacher)
    gradients = []
    for each in (itself, distiller):
        each(images.double(), labels)["loss"].backward()
        gradients.append([parameter.grad for parameter in each.student.parameters()])
    assert not calls
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)


def test_the_lean_teacher_runs_to_its_classifier_only_where_logits_are_read():
    distiller, copied = lean("ab+kd")
    calls = calls_of(copied.network.fc)
    distiller(*batch())
    assert not calls
    distiller.enter(1)
    distiller(*batch())
    assert calls
    distiller, copied = lean("bss")
    calls = calls_of(copied.network.fc)
    distiller(*batch())
    assert calls


@pytest.mark.parametrize("change", ["move", "load"])
def test_a_teacher_that_may_have_changed_is_read_itself(change):
    distiller, _ = lean("kd_only")
    other, _ = pair("digits-2x6", "digits-1x4")
    torch.manual_seed(9)
    torch.nn.init.normal_(other.fc.weight)
    state = {**distiller.state_dict(), **{f"teacher.{key}": value for key, value in other.state_dict().items()}}
    if change == "load":
        distiller.load_state_dict(state)
        images, labels = batch()
    else:
        distiller.double()
        images, labels = batch()[0].double(), batch()[1]
    calls = calls_of(distiller.teacher)
    answer = distiller(images, labels)
    assert distiller.teacher is not None
    wanted = (distiller.teacher(images) / 3).softmax(1)
    expected = (wanted * (wanted.log() - (answer["output"] / 3).log_softmax(1))).sum(1).mean()
    assert len(calls) == 2
    torch.testing.assert_close(answer["kd"], expected.detach())


@pytest.mark.slow
def test_compiled_with_a_lean_teacher_it_answers_the_same_in_both_phases():
    images, labels = batch()
    for dtype in (torch.float32, torch.bfloat16):
        plain, compiled = make("ab+kd"), make("ab+kd")
        for distiller in (plain, compiled):
            distiller.make_teacher_lean(torch.zeros(2, *SHAPE), dtype)
        compiled.compile(fullgraph=True, backend="aot_eager")
        for index in (0, 1):
            plain.enter(index), compiled.enter(index)
            torch.testing.assert_close(dict(compiled(images, labels)), dict(plain(images, labels)))


def test_a_lean_teacher_computes_in_its_own_dtype_and_under_autocast_the_same():
    images, labels = batch()
    distiller = make("kd_only")
    copied = distiller.make_teacher_lean(torch.zeros(2, *SHAPE), torch.bfloat16)
    assert copied is not None and copied.cast
    alone = distiller.wanted(images)["kd"][0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(distiller.wanted(images)["kd"][0], alone)
    assert distiller.teacher is not None and alone.dtype == torch.bfloat16
    torch.testing.assert_close(alone.float(), distiller.teacher(images), rtol=0.05, atol=0.05)
    # The student's are its caller's business.
    assert distiller(images, labels)["output"].dtype == torch.float32


@pytest.mark.slow
def test_compiled_a_lean_teacher_serves_terms_that_make_their_own_images():
    distiller, copied = lean("bss")
    distiller.compile(backend="aot_eager")
    calls, copys_calls = calls_of(distiller.teacher), calls_of(copied.network)
    images, _ = batch()
    assert distiller._read_teacher is not None
    with torch.no_grad():
        torch.testing.assert_close(distiller._read_teacher(0, images)["logits"], copied.network(images))
    assert copys_calls and not calls


class HeadOfThree(torch.nn.Module):
    """An objective with a layer of its own."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(5, 3)

    def forward(self, output, labels):
        return F.cross_entropy(self.head(output), labels % 3)


def test_an_objective_of_ones_own_takes_the_place_of_the_cross_entropy_and_is_trained():
    (student, teacher), objective = pair(), HeadOfThree()
    distiller = Distiller(student, teacher, find("kd"), torch.zeros(2, *SHAPE), objective)
    twin, (images, labels) = copy.deepcopy(student), batch()
    answer = distiller(images, labels)
    torch.testing.assert_close(answer["task"], objective(twin(images), labels))
    answer["loss"].backward()
    trained = {id(parameter) for parameter in distiller.phase_parameters()}
    assert id(objective.head.weight) in trained and objective.head.weight.grad.abs().sum() > 0
    distiller = Distiller(student, teacher, find("ab"), torch.zeros(2, *SHAPE), objective)
    assert id(objective.head.weight) not in {id(parameter) for parameter in distiller.phase_parameters()}


def test_a_methods_name_is_as_good_as_the_method():
    student, teacher = pair()
    distiller = Distiller(student, teacher, "ab+kd", torch.zeros(2, *SHAPE))
    assert distiller.method is METHODS["ab+kd"]
    with pytest.raises(ValueError, match="there is no method 'abkd'; nearest"):
        Distiller(student, teacher, "abkd", torch.zeros(2, *SHAPE))
