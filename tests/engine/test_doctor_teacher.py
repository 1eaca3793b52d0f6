"""The doctor on the teacher: diseases are made, and found; a healthy one has no finding."""

import shlex

import pytest
import torch
from torch import nn

from understudy.data import Augment, Dataset, ImageSet
from understudy.engine.doctor import Finding, examine, problems
from understudy.engine.doctor.class_order import best_order, class_order
from understudy.engine.doctor.guessing import guessing, guessing_by_accuracy
from understudy.engine.doctor.odds import is_better, share_by_guessing
from understudy.engine.doctor.pair import accuracies, meant_for, shared, sizes
from understudy.engine.doctor.recipe import recipe
from understudy.engine.doctor.views import predictions, views
from understudy.engine.plan import make_plan
from understudy.methods import find
from understudy.models import build, save_weights
from understudy.precision import Precision
from understudy.spec import read_settings
from understudy.teachers import Member, Teachers

PLAIN = Precision(device=torch.device("cpu"), dtype=torch.float32, channels_last=False, compile=False)
NAMES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay")
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
DATAS_OWN = ((120.0, 120.0, 120.0), (70.0, 70.0, 70.0))


class Nearest(nn.Module):
    """Answers the class whose example is nearest, of images normalised by its own constants."""

    def __init__(self, examples, mean, std):
        super().__init__()
        mean, std = (torch.tensor(values)[:, None, None] for values in (mean, std))
        # A hundredth: distances are large for logits.
        self.examples = nn.Parameter((examples - mean) / std)

    def forward(self, images):
        return -0.01 * (images[:, None] - self.examples[None]).square().flatten(2).sum(dim=2)


@pytest.fixture
def examples(generator):
    """One image for each class, the classes unequally bright and of different colours."""
    colours = torch.rand(10, 3, 1, 1, generator=generator)
    return 30 + 190 * (0.7 * colours + 0.3 * torch.rand(10, 3, 6, 6, generator=generator))


@pytest.fixture
def data(examples, generator):
    def images(each):
        labels = torch.arange(10).repeat_interleave(each)
        noise = 30 * torch.randn(len(labels), 3, 6, 6, generator=generator)
        pixels = (examples[labels] + noise).clamp(0, 255).to(torch.uint8)
        return ImageSet(images=pixels, labels=labels, class_names=NAMES)

    mean, std = DATAS_OWN
    return Dataset(name="dots", train=images(8), test=images(30), mean=mean, std=std, augment=Augment(pad=1, flip=True))


def plan_of(teacher, data, student="digits-1x4", method="kd", *words):
    """The teacher stands for one that its settings name."""
    options = {"student.model": "digits-1x4", "teacher.model": "mine", "method.name": method, "batch_size": 16}
    return plan_with(teacher, data, student, {**options, "teacher.weights": "mine.pt"}, *words)


def plan_with_module(teacher, data):
    """One that was given as it is."""
    return plan_with(teacher, data, "digits-1x4", {"student.model": "a", "teacher.model": "Mine", "method.name": "kd"})


def plan_with(teacher, data, student, options, *words):
    network = build(student, num_classes=10, in_channels=3) if isinstance(student, str) else student
    return make_plan(read_settings(options=options, words=words), network, teacher, data)


def found_by(plan) -> list[Finding]:
    return problems(examine(plan))


def smaller(finding):
    """Nearest has fewer parameters than the student of these tests, and this is told."""
    return finding.check == "student and teacher"


def test_a_teacher_that_is_right_has_no_finding(examples, data):
    found = examine(plan_of(Nearest(examples, *DATAS_OWN), data))
    assert [one for one in problems(found) if not smaller(one)] == []
    (accuracy,) = [one for one in found if one.check == "teacher's accuracy"]
    assert accuracy.severity == "fine" and "% of 300 test images" in accuracy.found


def test_a_teacher_that_knows_nothing_is_told_from_one_that_knows_little(data, generator):
    labels = data.test.labels
    guesses = torch.randint(10, (300,), generator=generator)
    (finding,) = guessing("the teacher", guesses, labels, 10)
    assert finding.severity == "error" and "guessing is on 10.0 %" in finding.found
    knows_a_little = torch.where(torch.rand(300, generator=generator) < 0.15, labels, guesses)
    assert guessing("the teacher", knows_a_little, labels, 10) == []
    # Always the same answer is right on as many as that class has, and no better for it.
    assert guessing("the teacher", torch.zeros_like(labels), labels, 10)
    # Five images tell nothing.
    assert guessing("the teacher", guesses[:5], labels[:5], 10) == []


def test_blind_answers_are_right_as_often_as_simulated(generator):
    shares = torch.tensor([0.7, 0.2, 0.1])
    answers, shown = (torch.multinomial(shares, 20_000, replacement=True, generator=generator) for _ in range(2))
    assert share_by_guessing(answers, shown, 3) == pytest.approx(0.7**2 + 0.2**2 + 0.1**2, abs=0.02)
    assert share_by_guessing(answers, shown, 3) == pytest.approx(float((answers == shown).double().mean()), abs=0.02)


def test_a_measured_accuracy_at_chance_is_an_error_and_one_above_is_none():
    assert guessing_by_accuracy("the teacher", 10.6, 1000, 10)[0].severity == "error"
    assert guessing_by_accuracy("the teacher", 14.0, 1000, 10) == []


def test_the_sign_test_wants_more_gains_than_losses():
    labels = torch.zeros(40, dtype=torch.long)
    before, better = torch.ones(40, dtype=torch.long), torch.zeros(40, dtype=torch.long)
    assert is_better(better, before, labels, 1e-4) and not is_better(before, better, labels, 1e-4)
    assert not is_better(before, before, labels, 1e-4)
    # 10 of 10 is one in 1024.
    before[10:] = 0
    assert is_better(better, before, labels, 1e-2) and not is_better(better, before, labels, 1e-4)


def test_another_order_of_classes_is_found_with_the_setting_that_says_it(examples, data):
    order = [3, 0, 1, 2, 4, 5, 6, 7, 8, 9]
    (finding,) = [one for one in found_by(plan_of(Nearest(examples[order], *DATAS_OWN), data)) if not smaller(one)]
    assert finding.check == "order of classes" and finding.severity == "error"
    assert "'ant' means 'dog', 'bee' means 'ant', 'cat' means 'bee', 'dog' means 'cat'." in finding.found
    own = [NAMES[index] for index in order]
    assert finding.do == f"teacher.class_names='[{', '.join(own)}]'"
    # Pasted into a shell it says what it means.
    said = read_settings(options={"student.model": "a", "teacher.model": "b"}, words=shlex.split(finding.do))
    assert said.teacher is not None and list(said.teacher.class_names or ()) == own


@pytest.mark.parametrize(
    ("normalised", "order"), [(DATAS_OWN, [3, 0, 1, 2, 4, 5, 6, 7, 8, 9]), (((0.0,) * 3, (1.0,) * 3), [*range(10)])]
)
def test_of_a_module_it_is_said_what_to_make_of_it_and_that_mends_it(examples, data, normalised, order):
    teacher = Nearest(examples[order], *normalised)
    (finding,) = [one for one in found_by(plan_with_module(teacher, data)) if not smaller(one)]
    said = finding.do.removeprefix("give understudy.teachers.").removesuffix(" as the teacher")
    images = torch.zeros(2, 3, 6, 6)
    mended = eval(said, {"Teachers": Teachers, "Member": Member, "teacher": teacher, "data": data, "images": images})
    assert [one for one in found_by(plan_with_module(mended, data)) if not smaller(one)] == []


def test_an_order_of_many_classes_is_said_whole():
    names = tuple(f"no {number}, or so" for number in range(200))
    labels = torch.arange(200).repeat(3)
    predicted = (labels + 1) % 200
    (finding,) = class_order("teacher 3", "more_teachers.1", predicted, labels, names)
    words = shlex.split(finding.do)
    options = {"student.model": "a", "teacher.model": "b", "more_teachers": [{"model": "c"}, {"model": "d"}]}
    said = read_settings(options=options, words=words).more_teachers[1]
    assert list(said.class_names or ()) == [*names[-1:], *names[:-1]] and said.model == "d"


def test_two_exchanged_classes_of_ten_are_found(data):
    labels = data.test.labels
    predicted = labels.clone()
    predicted[labels == 3], predicted[labels == 7] = 7, 3
    (finding,) = class_order("the teacher", "teacher", predicted, labels, NAMES)
    assert "80.0 %" in finding.found and "100.0 %" in finding.found and "'dog' means 'hen'" in finding.found
    (finding,) = class_order("the teacher", "teacher", predicted, labels, NAMES, reorders=True)
    assert "is not the order" in finding.do


def test_classes_that_are_confused_or_few_are_not_taken_for_another_order(generator):
    # Two classes that are exchanged somewhat more often than not.
    labels = torch.arange(10).repeat(2000)
    is_confused = ((labels == 3) | (labels == 7)) & (torch.rand(20_000, generator=generator) < 0.55)
    predicted = torch.where(is_confused, 10 - labels, labels)
    assert best_order(predicted, labels, 10).tolist() == [0, 1, 2, 7, 4, 5, 6, 3, 8, 9]
    assert class_order("the teacher", "teacher", predicted, labels, NAMES) == []
    # Exchanged always, and seen four times each.
    labels = torch.tensor([0] * 60 + [3] * 4 + [7] * 4)
    predicted = torch.where(labels == 0, 0, 10 - labels)
    assert class_order("the teacher", "teacher", predicted, labels, NAMES) == []


def test_of_two_explanations_the_one_that_makes_more_answers_right_is_told(examples, data):
    # All wrong as they stand; normalised wrongly they are all one class, and that one is right on a tenth.
    teacher = Nearest(examples.roll(1, dims=0), *DATAS_OWN)
    found = [one.check for one in found_by(plan_of(teacher, data)) if not smaller(one)]
    assert found == ["order of classes"]


def test_no_order_is_read_out_of_noise_or_of_a_few_answers(generator):
    # As many classes as images: some order always fits, by accident.
    labels = torch.arange(200).repeat(3)
    predicted = torch.randint(200, (600,), generator=generator)
    names = tuple(map(str, range(200)))
    assert (best_order(predicted, labels, 200)[predicted] == labels).double().mean() > 0.2
    assert class_order("the teacher", "teacher", predicted, labels, names) == []
    # A teacher that answers two classes only, whatever it sees.
    labels = torch.arange(10).repeat(60)
    predicted = torch.randint(2, (600,), generator=generator)
    assert class_order("the teacher", "teacher", predicted, labels, NAMES) == []


def test_the_best_order_of_very_many_classes_takes_no_table_of_all_pairs():
    labels = torch.tensor([5, 7_000_000, 9, 5, 7_000_000])
    order = best_order(torch.tensor([9, 5, 7_000_000, 9, 5]), labels, 10_000_000)
    assert order[[9, 5, 7_000_000]].tolist() == [5, 7_000_000, 9] and len(order.unique()) == len(order)


def test_the_best_order_moves_nothing_without_a_reason():
    assert best_order(torch.tensor([1, 1]), torch.tensor([1, 1]), 4).tolist() == [0, 1, 2, 3]
    assert best_order(torch.tensor([0, 3, 1]), torch.tensor([0, 3, 3]), 4).tolist() == [0, 1, 2, 3]
    assert best_order(torch.tensor([1, 1, 2]), torch.tensor([2, 2, 0]), 4).tolist() == [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("name", "own", "setting"),
    [
        ("raw bytes", ((0.0,) * 3, (1.0,) * 3), "teacher.std='[0.003922, 0.003922, 0.003922]'"),
        ("none (0..1)", ((0.0,) * 3, (255.0,) * 3), "teacher.mean='[0.0, 0.0, 0.0]' teacher.std='[1.0, 1.0, 1.0]'"),
    ],
)
def test_another_normalisation_is_found_with_the_setting_that_says_it(examples, data, name, own, setting):
    (finding,) = [one for one in found_by(plan_of(Nearest(examples, *own), data)) if not smaller(one)]
    assert finding.check == "teacher's normalisation" and finding.severity == "warning"
    assert name in finding.found and setting in finding.do
    # What it says can be said.
    read_settings(options={"student.model": "a", "teacher.model": "b"}, words=shlex.split(finding.do))


def test_the_normalisation_of_imagenet_is_found_where_data_are_not_normalised(examples, data):
    from dataclasses import replace

    bare = replace(data, mean=(0.0,) * 3, std=(255.0,) * 3)
    (finding,) = [one for one in found_by(plan_of(Nearest(examples, *IMAGENET), bare)) if not smaller(one)]
    assert finding.check == "teacher's normalisation" and "teacher.mean='[0.4" in finding.do


def test_the_datas_own_normalisation_is_tried_where_the_teacher_was_told_another(examples, data):
    told = Member(network=Nearest(examples, *DATAS_OWN), mean=(0.0,) * 3, std=(1.0,) * 3, classes=None)
    teacher = Teachers([told], mean=data.mean, std=data.std, example=torch.zeros(2, 3, 6, 6))
    (finding,) = [one for one in found_by(plan_of(teacher, data)) if not smaller(one)]
    assert "with the normalisation of this data" in finding.found
    assert finding.do == "teacher.mean='[0.470588, 0.470588, 0.470588]' teacher.std='[0.27451, 0.27451, 0.27451]'"


def test_channels_in_another_order_are_found(examples, data):
    (finding,) = [one for one in found_by(plan_of(Nearest(examples.flip(1), *DATAS_OWN), data)) if not smaller(one)]
    assert "BGR" in finding.found and "flip(1)" in finding.do


def test_both_another_order_and_another_normalisation_are_found_at_once(examples, data):
    order = [1, 0, 2, 3, 4, 5, 6, 7, 8, 9]
    found = found_by(plan_of(Nearest(examples[order], (0.0,) * 3, (1.0,) * 3), data))
    assert [one.check for one in found if not smaller(one)] == ["order of classes", "teacher's normalisation"]


def test_a_view_of_a_teacher_of_other_pixels_and_classes_sees_what_it_sees(examples, data):
    order = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    mean, std = (10.0,) * 3, (1.0,) * 3
    member = Member(network=Nearest(examples[order], mean, std), mean=mean, std=std, classes=tuple(order))
    teacher = Teachers([member], mean=data.mean, std=data.std, example=torch.zeros(2, 3, 6, 6))
    (view,) = views(teacher, data)
    assert view.reorders and view.mean == pytest.approx(mean, rel=1e-4) and view.std == pytest.approx(std, rel=1e-4)
    seen = predictions(view.answer, data.test, view.mean, view.std, PLAIN)
    whole = predictions(teacher, data.test, data.mean, data.std, PLAIN)
    assert torch.equal(seen, whole) and (seen == data.test.labels).double().mean() > 0.9


def test_a_teacher_of_other_classes_is_not_measured_and_cannot_teach_by_its_logits(data):
    teacher = build("digits-1x8", num_classes=7, in_channels=3)
    (finding,) = found_by(plan_of(teacher, data))
    assert finding.severity == "error" and "dtl gives the student a head" in finding.found
    assert found_by(plan_of(teacher, data, "digits-1x4", "dtl")) == []


def test_shared_and_copied_weights_are_told_apart():
    student, teacher = (build("digits-1x4", num_classes=10, in_channels=1) for _ in range(2))
    assert shared(student, teacher) == []
    (finding,) = shared(student, student)
    assert finding.severity == "error" and "share" in finding.found
    student.load_state_dict(teacher.state_dict())
    (finding,) = shared(student, teacher)
    assert finding.severity == "warning" and "very weights" in finding.found


def test_a_network_that_answers_probabilities_is_told(examples, data):
    teacher = nn.Sequential(Nearest(examples, *DATAS_OWN), nn.Softmax(dim=1))
    (finding,) = [one for one in found_by(plan_of(teacher, data)) if not smaller(one)]
    assert finding.severity == "error" and "the teacher answers probabilities" in finding.found
    student = nn.Sequential(build("digits-1x4", num_classes=10, in_channels=3), nn.Softmax(dim=1))
    found = found_by(plan_of(Nearest(examples, *DATAS_OWN), data, student))
    assert any("the student answers probabilities" in one.found for one in found)


@pytest.mark.parametrize("name", ["resnet50", "wrn16-2", "preresnet164", "wrn16-2@block1"])
def test_a_network_of_cifars_for_large_images_is_told(name):
    (finding,) = meant_for([name, name], side=224)
    assert finding.severity == "warning" and f"{name} is a network for images of 32 pixels" in finding.found
    assert meant_for([name], side=64) == []


def test_networks_for_large_images_are_not():
    assert (
        meant_for(["torchvision:resnet50", "mobilenet-v1", "bn-inception", "ResNet", "resnet18", "a:b"], side=224) == []
    )


def test_a_teacher_smaller_than_its_student_is_told_and_one_as_large_is_not():
    assert "1,000 parameters, the student 1,001" in sizes(student=1001, teacher=1000)[0].found
    assert sizes(student=1000, teacher=1000) == []


def test_a_student_that_knows_more_than_its_teacher_is_told(examples, data, tmp_path):
    labels = data.test.labels
    half = torch.where(torch.arange(300) % 2 == 0, labels, (labels + 1) % 10)
    assert "100.0 %" in accuracies(student=labels, teacher=half, labels=labels)[0].found
    assert accuracies(student=half, teacher=labels, labels=labels) == []
    torch.manual_seed(0)
    path = tmp_path / "student.safetensors"
    save_weights(build("digits-1x4", num_classes=10, in_channels=3), path)
    settings = plan_of(Nearest(examples, *DATAS_OWN), data, "digits-1x4", "kd", f"student.weights={path}")
    assert [one for one in found_by(settings) if not smaller(one)] == []


def test_a_rate_of_ten_and_a_batch_of_one_are_told(settings):
    student = build("digits-1x4", num_classes=10, in_channels=1)
    assert recipe(settings(), find("none"), student, 32) == []
    (finding,) = recipe(settings("kd", "optim.lr=10"), find("kd"), student, 32)
    assert finding.check == "learning rate" and "optim.lr=10" in finding.found
    (finding,) = recipe(settings(), find("none"), student, 1)
    assert finding.check == "batch size"
    assert recipe(settings(), find("none"), nn.Linear(2, 2), 1) == []


def test_smoothed_labels_that_nobody_learns_are_told(settings):
    student, smoothed = nn.Linear(2, 2), settings("ab+kd", "data.smoothing=0.1")
    (finding,) = recipe(smoothed, find("ab+kd"), student, 32)
    assert finding.severity == "warning" and "learns no labels" in finding.found
    assert recipe(smoothed, find("kd"), student, 32) == []
