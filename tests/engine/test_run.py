"""Runs from settings to folder: what is written, what is refused, and what is told when a loss breaks."""

import io
import json
import math

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file

from understudy.engine import execute
from understudy.engine import loop as loop_module
from understudy.engine import run as run_module
from understudy.engine.display import Display, silent
from understudy.engine.measure import training as measure
from understudy.engine.measure.pull import in_words
from understudy.engine.memory.kept import TooLargeError, told_when_full
from understudy.engine.plan import make_plan
from understudy.engine.records.record import NotFiniteError
from understudy.models import build, read_metadata


def lines(folder, kind):
    return [
        found
        for line in (folder / "metrics.jsonl").read_text().splitlines()
        if (found := json.loads(line))["kind"] == kind
    ]


@pytest.mark.parametrize("method", ["none", "kd", "kd_only", "ab", "ab+kd"])
def test_every_method_trains_end_to_end(settings, tmp_path, method):
    result = execute(settings(method), tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    phases = [phase["name"] for phase in facts["method"]["phases"]]
    epochs = lines(tmp_path / "run", "epoch")
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert list(dict.fromkeys(line["phase"] for line in epochs)) == phases
    assert epochs[-1]["terms"]["loss"] < epochs[len(phases) - 1]["terms"]["loss"]
    assert result.accuracy_pct == epochs[-1]["scores"]["test"]["accuracy_pct"]


def test_the_folder_holds_what_it_takes_to_do_it_again(settings, tmp_path):
    result = execute(settings(), tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.pt",
        "metrics.jsonl",
        "run.json",
        "seen.npz",
        "settings.yaml",
        "student.safetensors",
        "summary.json",
        "weights.json",
    ]
    written = yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text())
    assert written["optim"]["lr"] == 0.1 and written["epochs"] == [1, 2]
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(facts["teacher"]["sha256"]) == len(facts["data"]["sha256"]) == 64
    assert facts["data"]["train_images"] == pytest.approx(0.2 * 1437, abs=5)
    assert result.summary["parameters"] == sum(p.numel() for p in result.student.parameters())


def test_batches_are_as_large_as_the_set_at_most_and_the_log_says_so(settings, tmp_path):
    screen = Console(file=io.StringIO(), width=200)
    wanted = settings("none", batch_size=512, epochs=1, **{"data.percent": None, "data.per_class": 5})
    execute(wanted, tmp_path / "run", display=Display(screen))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["batch_size"] == 50
    assert "batches of 50, which is all images: batch_size=512" in screen.file.getvalue()


class Breaking(torch.nn.Module):
    """A network of one's own with a mistake that shows after some steps."""

    def __init__(self, error):
        super().__init__()
        self.network, self.steps, self.error = build("digits-1x4", num_classes=10, in_channels=1), 0, error

    def forward(self, images):
        self.steps += self.training and torch.is_grad_enabled()
        if self.steps == 6:
            raise self.error
        return self.network(images)


def test_a_mistake_in_a_network_of_ones_own_is_not_taken_for_one_in_the_settings(settings, tmp_path):
    with pytest.raises(RuntimeError, match="the run failed after step [1-9]") as failure:
        execute(settings("none"), tmp_path / "run", student=Breaking(ValueError("of its own")))
    assert isinstance(failure.value.__cause__, ValueError) and "own" in str(failure.value.__cause__)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nOf which"), MemoryError()]
)
def test_memory_that_does_not_suffice_is_told_with_what_can_be_done(error, settings, tmp_path):
    with pytest.raises(TooLargeError, match=r"out of memory.* batches of 32 images.*understudy doctor") as failure:
        execute(settings("none", batch_size=32), tmp_path / "run", student=Breaking(error))
    assert ("Tried to allocate 20.00 GiB." in str(failure.value)) == bool(str(error))


def test_torchs_own_error_on_a_processor_is_one_of_memory_and_others_are_not():
    with pytest.raises(TooLargeError, match="can't allocate memory"), told_when_full(8):
        torch.empty(2**55)
    with pytest.raises(TooLargeError, match=r"take smaller images \(data.size\)"), told_when_full():
        torch.empty(2**55)
    with pytest.raises(RuntimeError, match="^another$"), told_when_full(8):
        raise RuntimeError("another")


def test_the_student_alone_is_written_without_connectors(settings, tmp_path):
    execute(settings("ab"), tmp_path / "run")
    path = tmp_path / "run" / "student.safetensors"
    plain = build("digits-1x4", num_classes=10, in_channels=1)
    assert sorted(load_file(path)) == sorted(plain.state_dict())
    assert read_metadata(path)["model"] == "digits-1x4" and json.loads(read_metadata(path)["mean"])


def test_the_same_seed_gives_the_same_student_and_another_seed_another(settings, tmp_path):
    weights = [
        load_file(execute(settings("none", f"run.seed={seed}"), tmp_path / name).folder / "student.safetensors")
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not torch.equal(weights[0]["fc.weight"], weights[2]["fc.weight"])


def test_runs_of_one_seed_start_from_the_same_student_whatever_the_method(settings):
    started = [make_plan(settings(method)).student.state_dict() for method in ("none", "kd", "ab+kd")]
    assert all(torch.equal(started[0][key], other[key]) for other in started for key in started[0])


@pytest.mark.parametrize(
    ("precision", "words"),
    [("float32", "6 BatchNorms folded"), ("bfloat16", "6 BatchNorms folded, weights of 7 layers in bfloat16")],
)
def test_a_run_reads_its_teacher_from_a_lean_copy(settings, tmp_path, precision, words):
    display, said = silent(), []
    display.say = said.append
    execute(settings("ab+kd", f"run.precision={precision}"), tmp_path / "run", display=display)
    assert [text for text in said if "copy" in text] == [f"teacher read from a copy: {words}"]


def test_a_loss_that_is_not_finite_is_told_with_step_and_term(settings, tmp_path):
    with pytest.raises(NotFiniteError, match=r"not finite at step \d+ \(epoch 1, phase train\): term task is nan"):
        execute(settings("none", "optim.lr=1e30"), tmp_path / "run")
    assert not (tmp_path / "run" / "summary.json").exists()


def test_the_step_that_is_told_is_the_first_bad_one(settings, tmp_path):
    with pytest.raises(NotFiniteError) as first:
        execute(settings("none", "optim.lr=1e30", "run.log_every=1"), tmp_path / "a")
    with pytest.raises(NotFiniteError) as later:
        execute(settings("none", "optim.lr=1e30", "run.log_every=50"), tmp_path / "b")
    assert str(first.value) == str(later.value)


def test_a_folder_with_other_settings_is_refused_naming_each(settings, tmp_path):
    execute(settings("none"), tmp_path / "run")
    with pytest.raises(ValueError, match=r"optim.lr is 0.1 there, 0.05 here.*--out"):
        execute(settings("none", "optim.lr=0.05"), tmp_path / "run")
    # How often something is written does not make another run.
    execute(settings("none", "run.log_every=7"), tmp_path / "run")


def test_a_run_that_another_process_finished_meanwhile_is_not_overwritten(settings, tmp_path, monkeypatch):
    """Its folder was free when it was looked at, and the networks take a while to build."""
    real, first = run_module.make_plan, settings("none", "optim.lr=0.05")

    def late(*arguments):
        monkeypatch.setattr(run_module, "make_plan", real)
        execute(first, tmp_path / "run")
        return real(*arguments)

    monkeypatch.setattr(run_module, "make_plan", late)
    with pytest.raises(ValueError, match=r"other settings: optim.lr is 0.05 there, 0.1 here"):
        execute(settings("none", "optim.lr=0.1"), tmp_path / "run")
    before = (tmp_path / "run" / "summary.json").read_text()
    monkeypatch.setattr(run_module, "make_plan", late)
    assert execute(first, tmp_path / "run").summary == json.loads(before)


def test_looking_at_gradients_is_not_counted_as_training(settings, tmp_path, monkeypatch):
    """By a clock that goes on while they are looked at, and hardly otherwise."""
    now, real = [0.0], loop_module.look

    def look(*arguments):
        now[0] += 1000.0
        return real(*arguments)

    def clock():
        now[0] += 0.001
        return now[0]

    monkeypatch.setattr(loop_module, "look", look)
    monkeypatch.setattr(loop_module.time, "perf_counter", clock)
    execute(settings("kd", "run.gradients_every=1", "run.log_every=3"), tmp_path / "run")
    assert max(line["train_s"] for line in lines(tmp_path / "run", "epoch")) < 100.0
    speeds = [line["images_per_s"] for line in lines(tmp_path / "run", "steps")]
    assert min(speeds) > 100.0 and max(speeds) < 100 * min(speeds)


def test_a_folder_from_before_there_was_a_setting_is_one_with_its_default(settings, tmp_path):
    execute(settings("kd"), tmp_path / "run")
    path = tmp_path / "run" / "settings.yaml"
    written = yaml.safe_load(path.read_text())
    del written["data"]["views"], written["run"]["teacher_cache_gb"], written["teacher"]["share"]
    path.write_text(yaml.safe_dump(written))
    execute(settings("kd"), tmp_path / "run")
    with pytest.raises(ValueError, match="data.views is 0 there, 2 here"):
        execute(settings("kd", "data.views=2"), tmp_path / "run")


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(settings, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("cat")
    with pytest.raises(ValueError, match="holds something else"):
        execute(settings("none"), tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("kd", {"teacher.weights": None}, "has no weights"),
        ("none", {"method.name": "kd"}, "needs a teacher"),
        ("none", {"student.model": "digits_2x8"}, "nearest: digits-2x8"),
        ("none", {"data.name": "digit"}, "digits"),
        ("ab", {"epochs": "1+1+1"}, "3 numbers of epochs for 2 phases"),
        ("none", {"run.device": "gpu"}, "expected auto, cpu, cuda"),
        ("none", {"student.model": "torchvision:resnet18"}, "takes images of 3 channels, and these have 1"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(settings, tmp_path, method, options, words):
    with pytest.raises(ValueError, match=words):
        execute(settings(method, **options), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"data.epoch_images": 1}])
def test_a_batchnorm_that_sees_a_single_value_is_told_with_what_to_do(settings, tmp_path, options):
    """Images of 4x4 come to 1x1 in the last stage; digits as they are to 2x2, which is enough for a batch of one."""
    with pytest.raises(
        ValueError, match=r"one value a channel.*found batch_size=1 or one training image \(for each process\), give 2"
    ):
        execute(settings("none", **options, **{"student.size": 4}), tmp_path / "run")
    plan = make_plan(settings("none", **options))
    assert not any(module.num_batches_tracked for module in plan.student.modules() if hasattr(module, "running_var"))


def test_with_a_validation_split_the_test_images_are_read_once(settings, tmp_path):
    execute(settings("none", **{"data.validation": 0.2}), tmp_path / "run")
    assert all(set(line["scores"]) == {"validation"} for line in lines(tmp_path / "run", "epoch"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["split"] == "test" and summary["best"]["split"] == "validation"
    last = lines(tmp_path / "run", "epoch")[-1]["scores"]["validation"]
    assert summary["validation_scores"] == pytest.approx(last) and summary["validation_scores"] != summary["scores"]


def test_only_agreement_is_measured_while_the_classifier_is_not_trained(settings, tmp_path):
    execute(settings("ab+kd"), tmp_path / "run")
    first, second, _ = lines(tmp_path / "run", "epoch")
    assert first["scores"] is None and set(first["agreement"]) == {"stage1", "stage2", "stage3"}
    assert second["scores"] is not None and all(0 <= value <= 1 for value in second["agreement"].values())


def test_while_images_are_held_out_the_agreement_is_measured_on_them(settings, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(measure, "agree", lambda agreement, images, *rest: seen.append(images) or None)
    wanted = settings("kd", epochs=1, **{"data.validation": 0.2})
    plan = make_plan(wanted)
    execute(wanted, tmp_path / "run", data=None)
    assert [len(images) for images in seen] == [len(plan.data.validation)]
    assert len(plan.data.validation) != len(plan.data.test)


def test_a_gradient_of_zero_or_none_at_all_is_told_beside_the_ratios():
    found = {"phase": "train", "task": 2.0, "relative": {"kd": 0.25, "ab": 0.0, "at": math.inf, "ofd": None}}
    said = in_words(found)
    assert said[0] == "train: gradients at the student beside the labels': kd 0.25, ab 0, at inf"
    assert "ab has no gradient" in said[1] and "at's gradient" in said[2] and len(said) == 3
    assert in_words({"phase": "train", "task": 0.0, "relative": {"kd": None}}) == []
    loud = {"phase": "train", "task": 2.0, "relative": {"fsp": 250.0, "ab": 1e-5}}
    _, first, second = in_words(loud)
    assert "beside fsp nothing else will be heard" in first and "terms.fsp.weight" in first
    assert "ab will hardly be heard" in second and "a higher terms.ab.weight" in second
    assert len(in_words(loud, clipped={"fsp"})) == 2
    (said,) = in_words({"phase": "train", "task": math.inf, "relative": {"kd": 0.0}})
    assert "the labels' gradient on the first batch is not finite" in said and "kd" not in said
