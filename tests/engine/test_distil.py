"""The Python call, with networks of one's own."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from understudy import distil, doctor, load_data
from understudy.engine import execute
from understudy.engine.loop import StoppedError
from understudy.models import build, load_weights
from understudy.spec import read_settings

README = Path(__file__).parents[2] / "README.md"


class MyStudent(nn.Module):
    """Nobody edited it: no names for positions, functional and in-place ReLUs, a residual sum."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.third = nn.Conv2d(6, 12, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(12, num_classes)

    def forward(self, images):
        x = F.relu(self.first(images))
        x = F.relu(x + self.second(x))
        return self.fc(self.relu(self.third(x)).mean(dim=(2, 3)))


@pytest.fixture
def teacher(teacher_file):
    network = build("digits-2x6", num_classes=10, in_channels=1)
    network.taps = {"before_relu": ("stage1", "stage2")}
    load_weights(network, teacher_file)
    return network


def test_distils_networks_of_ones_own_and_returns_the_plain_student(teacher, tmp_path):
    data = load_data("digits", per_class=10)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    run = distil(MyStudent(), teacher, data, method="ab+kd", epochs="1+2", folder=tmp_path / "run", batch_size=32)
    assert type(run.student) is MyStudent and 0 <= run.accuracy_pct <= 100
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    facts = json.loads((run.folder / "run.json").read_text())
    positions = facts["method"]["phases"][0]["terms"]["ab"]["positions"]
    assert [teacher_name for _, teacher_name in positions] == ["stage1", "stage2"]
    again = distil(MyStudent(), teacher, data, method="ab+kd", epochs="1+2", folder=tmp_path / "run", batch_size=32)
    assert again.accuracy_pct == run.accuracy_pct
    assert all(torch.equal(a, b) for a, b in zip(run.student.parameters(), again.student.parameters(), strict=True))


def test_a_teacher_by_its_models_name_has_the_weights_that_are_given_with_it(teacher_file, tmp_path):
    data = load_data("digits", per_class=5)
    given = {"epochs": 1, "folder": tmp_path / "run", "teacher__weights": str(teacher_file)}
    run = distil(MyStudent(), "digits-2x6", data, **given)
    assert json.loads((run.folder / "run.json").read_text())["teacher"]["weights"] == str(teacher_file)
    with pytest.raises(ValueError, match="brings its own weights; leave out"):
        distil(MyStudent(), str(run.folder), data, **given | {"folder": tmp_path / "other"})


def test_a_network_with_another_number_of_classes_is_an_error(teacher, tmp_path):
    with pytest.raises(ValueError, match=r"student answers \(1, 7\) to one image, expected \(1, 10\)"):
        distil(MyStudent(7), teacher, "digits", folder=tmp_path / "run")


def test_a_student_with_nothing_to_train_is_told(teacher, tmp_path):
    data = load_data("digits", per_class=5)
    with pytest.raises(ValueError, match="nothing to train: its parameters are the teacher's"):
        distil(teacher, teacher, data, folder=tmp_path / "same", quiet=True)
    resting = build("digits-1x4", num_classes=10, in_channels=1).requires_grad_(False)
    with pytest.raises(ValueError, match=r"none of its parameters requires a gradient; .*requires_grad_\(True\)"):
        distil(resting, teacher, data, folder=tmp_path / "resting", quiet=True)


def test_a_program_that_draws_goes_on_drawing_where_it_was(teacher, tmp_path):
    """A search draws a rate before each run: they would all be the same one."""
    data, drawn = load_data("digits", per_class=2), []
    for trial in range(3):
        drawn.append((random.random(), np.random.rand()))
        distil(
            build("digits-1x4", num_classes=10, in_channels=1),
            teacher,
            data,
            epochs=1,
            folder=tmp_path / str(trial),
            quiet=True,
            batch_size=10,
        )
        doctor(build("digits-1x4", num_classes=10, in_channels=1), teacher, data, epochs=1, batch_size=10)
    assert len(set(drawn)) == 3


def test_a_misspelt_setting_is_an_error(teacher, tmp_path):
    with pytest.raises(ValueError, match="nearest: optim.lr"):
        distil(MyStudent(), teacher, "digits", folder=tmp_path / "run", optim__lrr=0.1)


def test_the_readmes_five_lines_run(teacher, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _ = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert 'load_data("cifar10", download=True)' in code
    short = code.replace('"cifar10", download=True', '"digits", per_class=5').replace("1+5", "1+1")
    exec(short, {"MyStudent": MyStudent, "my_trained_teacher": teacher})
    assert capsys.readouterr().out and (tmp_path / "runs" / "mine" / "student.safetensors").exists()


def test_the_readmes_loop_of_ones_own_learns(teacher):
    _, code = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    torch.manual_seed(0)
    student, images = MyStudent(), torch.randn(16, 1, 8, 8)
    before = [parameter.detach().clone() for parameter in student.parameters()]
    loader = [(images, torch.arange(16) % 10)] * 2
    exec(code, {"torch": torch, "student": student, "teacher": teacher, "example_images": images, "loader": loader})
    assert not any(torch.equal(old, new) for old, new in zip(before, student.parameters(), strict=True))


def test_a_teacher_that_used_each_batchs_statistics_tracks_them_again_afterwards(teacher, tmp_path):
    distil(MyStudent(), teacher, load_data("digits", per_class=5), method="ofd", epochs=1, folder=tmp_path / "run")
    norms = [module for module in teacher.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and all(norm.track_running_stats and not norm.training for norm in norms)
    before = norms[0].running_mean.clone()
    teacher.train()(torch.randn(8, 1, 8, 8))
    assert not torch.equal(norms[0].running_mean, before)


def test_how_far_the_weights_came_counts_from_where_the_first_process_began(teacher, tmp_path):
    data, folder, words = load_data("digits", per_class=10), tmp_path / "run", ["optim.lr=1e-6", "run.eval_every=1"]

    def train(until=None):
        settings = read_settings(
            options={"student.model": "MyStudent", "data.name": "digits", "epochs": "2", "batch_size": 50}, words=words
        )
        return execute(settings, folder, student=MyStudent(), data=data, until=until)

    with pytest.raises(StoppedError):
        train(until=0.0)
    train()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    blocks = [line["blocks"] for line in lines if line["kind"] == "weights"]
    assert len(blocks) == 2 and all(one["relative"] < 1e-3 for each in blocks for one in each.values())


def test_more_teachers_beside_a_module_are_refused_and_not_passed_over(teacher, teacher_file, tmp_path):
    others = [{"model": "digits-2x6", "weights": str(teacher_file)}]
    with pytest.raises(ValueError, match="more_teachers is for teachers by name"):
        distil(MyStudent(), teacher, load_data("digits", per_class=5), folder=tmp_path / "run", more_teachers=others)


def test_networks_come_back_without_anything_attached_and_ready_to_be_used(teacher, tmp_path):
    data, student = load_data("digits", per_class=5), MyStudent()
    run = distil(student, teacher, data, method="at", epochs=1, folder=tmp_path / "run")
    assert run.student is student and not student.training
    for network in (student, teacher):
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"student": MyStudent}, "student is the class MyStudent; expected a module"),
        ({"teacher": 3}, "teacher is an int; expected .* a run's folder, or None"),
        ({"teacher": Path("runs/teacher")}, "there is no run runs/teacher"),
        ({"data": Path("photos")}, "data is a PosixPath; expected a name such as 'cifar10' or 'folder:photos'"),
        ({"data": [(torch.zeros(1), 0)]}, "data is a list; expected a name"),
        ({"method": F.mse_loss}, "method is a function; expected a name from `understudy list methods`, or a Method"),
    ],
)
def test_arguments_of_another_kind_are_told_what_is_taken(teacher, tmp_path, given, told):
    wanted = {"student": MyStudent(), "teacher": teacher, "data": "digits", "method": "kd", **given}
    with pytest.raises(ValueError, match=told):
        distil(wanted["student"], wanted["teacher"], wanted["data"], method=wanted["method"], folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_in_data_parallel_is_asked_for_without_it(teacher, tmp_path):
    for student, wanted in ((nn.DataParallel(MyStudent()), teacher), (MyStudent(), nn.DataParallel(teacher))):
        with pytest.raises(ValueError, match="the network is a DataParallel; give the network in it, its `module`"):
            distil(student, wanted, "digits", method="kd", folder=tmp_path / "run")


def test_epochs_are_whole(teacher, tmp_path):
    with pytest.raises(ValueError, match="epochs: found 1.5, expected whole numbers joined by"):
        distil(MyStudent(), teacher, "digits", method="kd", epochs=1.5, folder=tmp_path / "run")  # pyright: ignore


def test_a_network_that_takes_more_than_images_is_told_in_a_sentence(teacher, tmp_path):
    class Two(MyStudent):
        def forward(self, images, others):
            return super().forward(images + others)

    with pytest.raises(ValueError, match=r"the student does not take images of 1x8x8 \(.*'others'\)"):
        distil(Two(), teacher, "digits", method="kd", folder=tmp_path / "run")


def test_what_a_run_says_is_shown_unless_it_is_to_be_quiet(teacher, tmp_path, capsys):
    data = load_data("digits", per_class=5)
    for quiet, shown in ((True, ""), (False, "student MyStudent")):
        distil(MyStudent(), teacher, data, epochs=1, folder=tmp_path / f"{quiet}", batch_size=32, quiet=quiet)
        out, err = capsys.readouterr()
        assert out == "" and (shown in err if shown else err == "")


def test_the_doctor_looks_at_the_same_arguments_and_leaves_them_as_they_are(teacher, tmp_path):
    data, student = load_data("digits", per_class=20), MyStudent()
    before = {name: value.clone() for name, value in (*student.state_dict().items(), *teacher.state_dict().items())}
    found = doctor(student, teacher, data, method="ab+kd", epochs="1+2", batch_size=32)
    (guessing,) = [one for one in found if one.check == "teacher's accuracy"]
    assert guessing.severity == "error" and str(guessing).startswith("error (teacher's accuracy): ")
    after = {name: value for name, value in (*student.state_dict().items(), *teacher.state_dict().items())}
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(one.requires_grad for one in (*student.parameters(), *teacher.parameters()))
    with pytest.raises(ValueError, match="kd needs a teacher"):
        doctor(student, None, data)
    student.fc.bias = teacher.fc.bias
    found = doctor(student, teacher, data, method="kd", epochs=1, batch_size=32)
    assert any("student and teacher share" in one.found and one.severity == "error" for one in found)
