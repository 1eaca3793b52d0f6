"""The whole examination: what the command prints, and what a run says when it starts."""

import io
import json
import shlex

import pytest
import torch
import yaml
from rich.console import Console

from understudy.data import load
from understudy.engine import execute
from understudy.engine.display import Display
from understudy.engine.doctor import Finding, examine, problems, quick
from understudy.engine.doctor.examine import make_case
from understudy.engine.doctor.positions import named_after
from understudy.engine.doctor.show import show
from understudy.engine.plan import make_plan
from understudy.models import build, load_weights, save_weights

SOME = [
    Finding(check="memory", severity="fine", found="a step of 128 images takes about 3 MiB of 19.2 GiB"),
    Finding(check="labels", severity="warning", found="1 of 10 classes has no test image: 7.", why="Silence.", do="x"),
    Finding(
        check="order of classes",
        severity="error",
        found="the teacher is right on 10.0 % of 1,000 test images, and on 90.0 % in another order.",
        why="It would teach the student wrong names.",
        do="teacher.class_names=[airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck, and, so, on]",
    ),
]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The folder of a teacher that knows the digits."""
    from understudy.spec import read_settings

    out = tmp_path_factory.mktemp("runs") / "teacher"
    options = {"task": "train", "student.model": "digits-1x8", "epochs": 4, "batch_size": 64}
    execute(read_settings(options=options, words=["optim.sched=onecycle"]), out)
    return out


@pytest.fixture(name="call")
def call_doctor(call, monkeypatch):
    """Run `understudy doctor` in an empty folder; (exit status, standard output, standard error)."""
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *words: call("doctor", *words)


def test_a_healthy_run_is_status_0_and_trains_nothing(call, teacher, tmp_path):
    status, out, _ = call("--teacher", teacher, "--student", "digits-1x4", "--method", "ab+kd", "--epochs", "1+2")
    assert status == 0 and "0 errors, 0 warnings" in out and "✓ teacher's accuracy" in out
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_status_1_and_a_file_has_the_findings(call, teacher, tmp_path):
    torch.manual_seed(0)
    save_weights(build("digits-1x8", num_classes=10, in_channels=1), tmp_path / "untrained.safetensors")
    words = ["--student", "digits-1x4", "--teacher", "digits-1x8", "--teacher-weights", "untrained.safetensors"]
    status, out, _ = call(*words, "--method", "kd", "--json", "findings.json")
    assert status == 1 and "✗ error  teacher's accuracy" in out and "1 error, 0 warnings" in out
    (error,) = [
        one for one in json.loads((tmp_path / "findings.json").read_text())["findings"] if one["severity"] == "error"
    ]
    assert error["check"] == "teacher's accuracy" and error["why"] and error["do"]


def test_a_warning_alone_is_status_0_and_a_mistake_status_2(call, teacher):
    words = ["--teacher", teacher, "--student", "digits-1x4", "--method"]
    status, out, _ = call(*words, "kd", "optim.lr=10")
    assert status == 0 and "! warning  learning rate" in out
    status, _, error = call(*words, "kdd")
    assert status == 2 and "nearest: kd" in error


def test_a_folder_with_another_run_is_an_error(call, teacher):
    status, out, _ = call("--student", "digits-1x4", "--method", "none", "--out", teacher)
    assert status == 1 and "folder" in out and "other settings" in out


def test_a_dry_run_prints_what_distill_would(call):
    status, out, _ = call("--student", "digits-1x4", "--method", "kd", "--dry-run")
    assert status == 0 and "model: digits-1x4" in out


def test_after_an_error_in_the_images_the_networks_are_not_called(settings, monkeypatch):
    plan = make_plan(settings("kd"))
    plan.data.train.labels[0] = 99
    found = examine(plan)
    assert [one.check for one in problems(found)] == ["labels"]
    assert "memory" not in {one.check for one in found}


@pytest.mark.parametrize("width", [80, 120])
def test_what_is_printed_fits_the_terminal_with_the_worst_first(width):
    console = Console(width=width, record=True, file=io.StringIO())
    show(SOME, console, "a learns from b")
    lines = console.export_text().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    text = "\n".join(lines)
    assert (
        text.index("✗ error")
        < text.index("! warning")
        < text.index("✓ memory")
        < text.index("1 error, 1 warning, 1 fine")
    )
    # A long word to copy is folded, not cut.
    assert "so, on]" in text and "…" not in text


# At the start of a run ------------------------------------------------------------------------------------------------


def test_a_run_says_and_writes_down_its_problems(settings, tmp_path):
    console = Console(width=200, record=True, file=io.StringIO())
    # The teacher of these settings is untrained.
    execute(settings("kd"), tmp_path / "run", display=Display(console))
    text = console.export_text()
    assert "error (teacher's accuracy): the teacher is right on" in text
    (finding,) = json.loads((tmp_path / "run" / "run.json").read_text())["findings"]
    assert finding["severity"] == "error" and finding["check"] == "teacher's accuracy"


def test_a_healthy_run_says_nothing_and_has_no_findings(settings, tmp_path):
    console = Console(width=200, record=True, file=io.StringIO())
    execute(settings("none"), tmp_path / "run", display=Display(console))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["findings"] == []
    assert "error" not in console.export_text() and "warning" not in console.export_text()


def test_looking_changes_no_bit_of_a_run(settings, tmp_path, monkeypatch):
    looked = execute(settings("ab+kd"), tmp_path / "looked")
    from understudy.engine import start

    monkeypatch.setattr(start, "look_quickly", lambda *arguments: [])
    plain = execute(settings("ab+kd"), tmp_path / "plain")
    assert looked.summary["student_sha256"] == plain.summary["student_sha256"]
    states = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("looked", "plain")]
    assert torch.equal(states[0]["random"][0]["cpu"], states[1]["random"][0]["cpu"])


def test_large_sets_are_not_hashed_at_the_start(settings, monkeypatch):
    plan = make_plan(settings("none"))
    plan.data.test.images[:2] = plan.data.train.images[:2]
    case = make_case(plan, plan.choose_precision())
    assert [one["check"] for one in quick.look_quickly(plan, case.distiller, case.precision, None)] == ["duplicates"]
    monkeypatch.setattr(quick, "MOST_BYTES", 1000)
    assert quick.look_quickly(plan, case.distiller, case.precision, None) == []


def test_the_order_of_the_teachers_classes_is_looked_at_when_a_run_starts(settings, tmp_path):
    trained = execute(
        settings("none", epochs=12, **{"data.percent": 100, "student.model": "digits-2x6"}), tmp_path / "a"
    )
    network = build("digits-2x6", num_classes=10, in_channels=1)
    load_weights(network, trained.folder / "student.safetensors")
    for parameter in network.fc.parameters():
        parameter.data = parameter.data[[1, 0, *range(2, 10)]]
    save_weights(network, tmp_path / "exchanged.safetensors")
    console = Console(width=300, record=True, file=io.StringIO())
    wanted = settings("kd", epochs=1, **{"teacher.weights": str(tmp_path / "exchanged.safetensors")})
    execute(wanted, tmp_path / "run", display=Display(console))
    (finding,) = json.loads((tmp_path / "run" / "run.json").read_text())["findings"]
    assert finding["check"] == "order of classes"
    (word,) = shlex.split(finding["do"])
    assert yaml.safe_load(word.removeprefix("teacher.class_names=")) == [*"1023456789"]
    assert "teacher.class_names=" in console.export_text()


def test_a_position_after_an_activation_is_told_when_a_run_starts(settings):
    words = ["terms.ab.positions=relu()#1=relu()#1"]
    plan = make_plan(settings("ab", *words))
    found = named_after(make_case(plan, plan.choose_precision()).distiller)
    assert [one.check for one in found] == ["before activation"] * 2
    assert found[0].found.startswith("the student's relu()#1 comes after ReLU, and ab reads it")
    plan = make_plan(settings("ab"))
    assert named_after(make_case(plan, plan.choose_precision()).distiller) == []


def test_the_digits_themselves_are_healthy():
    from understudy.engine.doctor.labels import labels

    assert problems(labels(load("digits"))) == []
