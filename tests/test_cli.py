"""The command line: exit status, one message for a mistake, and what is printed."""

import json
import os

import pytest
import torch
import yaml

from understudy.cli.run import default_name
from understudy.models import build, save_weights
from understudy.spec import read_settings


@pytest.mark.slow
def test_trains_a_teacher_distils_a_student_evaluates_it_and_reports(call, tmp_path):
    status, out, _ = call("train", "--model", "digits-1x6", "--epochs", 1, "--out", "teacher")
    assert status == 0 and "teacher/student.safetensors" in out
    words = [
        "distill",
        "--teacher",
        "teacher",
        "--student",
        "digits-1x4",
        "--method",
        "ab+kd",
        "--epochs",
        "1+1",
        "--out",
        "run",
    ]
    status, out, _ = call(*words)
    assert status == 0 and "teacher digits-1x6" in out
    accuracy = json.loads((tmp_path / "run" / "summary.json").read_text())["scores"]["accuracy_pct"]
    status, again, _ = call(*words)
    assert status == 0 and "already finished" in again
    status, out, _ = call("evaluate", "run")
    assert status == 0 and f"accuracy {accuracy:.2f} %" in out
    status, out, _ = call("evaluate", "run/student.safetensors", "--data", "digits", "--model", "digits-1x4")
    assert status == 0 and f"accuracy {accuracy:.2f} %" in out
    words = ["--teacher", "teacher", "--json", "new/all.json", "--confusion", "new/confusion.svg"]
    status, out, _ = call("evaluate", "run", *words)
    assert status == 0 and "of the answers equal" in out and (tmp_path / "new" / "confusion.svg").exists()
    assert json.loads((tmp_path / "new" / "all.json").read_text())["accuracy_pct"] == accuracy
    status, out, _ = call("export", "run", "--to", "safetensors")
    assert status == 0 and "run/export/model.safetensors: logits equal to the bit" in out and "README.md" in out
    status, out, _ = call("evaluate", "run/export/model.safetensors")
    assert status == 0 and f"accuracy {accuracy:.2f} %" in out
    status, out, _ = call("report", "teacher", "run", "--out", "page.html")
    assert status == 0 and f"{accuracy:.2f}" in out and (tmp_path / "page.html").exists()


def test_a_dry_run_prints_settings_that_can_be_given_back(call, tmp_path):
    status, out, _ = call(
        "distill", "--student", "wrn16-2", "--method", "ab+kd", "--epochs", "1+5", "--dry-run", "optim.lr=0.05"
    )
    assert status == 0 and yaml.safe_load(out)["optim"]["lr"] == 0.05
    (tmp_path / "run.yaml").write_text(out)
    assert call("distill", "--config", "run.yaml", "--dry-run")[1] == out
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--model", "wrn16-2", "optim.lrr=1"], "optim.lrr: there is no such setting; nearest: optim.lr"),
        (["train", "--model", "digits_2x8"], "nearest: digits-2x8"),
        (["train"], "student.model: missing"),
        (["distill", "--student", "digits-1x4", "--method", "abb"], "nearest: ab"),
        (["distill", "--student", "digits-1x4", "--method", "ab"], "needs a teacher"),
        (["distill", "--student", "digits-1x4", "--teacher", "digits-1x6", "--method", "ab"], "no weights"),
        (["distill", "--student", "digits-1x4", "--teacher", ".", "--method", "ab"], "no finished run"),
        (["distill", "--student", "digits-1x4", "--teacher", "best", "--method", "kd", "--dry-run"], "a run's folder"),
        (["train", "--model", "digits-1x4", "--data", "digts"], "digits"),
        (["evaluate", "nothing.safetensors"], "there is no file nothing.safetensors"),
        (["evaluate", "digits-1x4"], "give a run's folder"),
        (["evaluate", "nothing.onnx"], "there is no file nothing.onnx"),
        (["evaluate", "nothing.safetensors", "--confusion", "c.jpg"], "written as .svg or .png"),
        (["export", "nowhere", "--to", "safetensors"], "nowhere is not a run folder"),
        (["export", ".", "--to", "safetensor"], "nearest: safetensors"),
        (["layers", "wrn16_2"], "nearest: wrn16-2"),
        (["report", "nowhere"], "nowhere"),
        (["reproduce", "ab_table9"], "there are ab_table1"),
        (["reproduce", "ab_table1", "2+2"], "has no row 2+2"),
        (["reproduce", "ab_table1", "--teacher-weights", "none.safetensors"], "there is no file none.safetensors"),
        (["reproduce", "ab_table1", "--seed", 1, "--seeds", 2], "found --seed and --seeds"),
        (["reproduce", "ab_table1", "--minutes", -1], "Invalid value for '--minutes'"),
        (["train", "--config", "none.yaml"], "none.yaml: cannot be read"),
        (["train", "--model", "shutil:disk_usage"], "is called with num_classes=10: missing a required argument"),
        (["evaluate", "runs/teachr"], "there is no run runs/teachr"),
        (["evaluate", "weights/missing.pth"], "there is no file weights/missing.pth"),
        (["layers", "wrn10-2", "--role", "after_relu"], "--role is of pairs of positions; give --student"),
        (["train", "--model", "wrn16-2", "--lr", "0.1"], "no option --lr; settings are given as words: optim.lr=0.1"),
        (["distill", "--optim.weight-decay=0"], "settings are given as words: optim.weight_decay=0"),
        (["doctor", "--scheduler"], "settings are given as words: optim.sched=VALUE"),
        (["train", "--epoch", "3"], "--epochs"),
        (["layers", "wrn16-2", "--lr", "0.1"], "No such option: --lr"),
        (["layers", "math:pi"], "model 'math:pi' is a float; expected a function that is called with num_classes"),
        (["evaluate", ".", "--precision", "half"], "'half' is not one of 'auto', 'float32', 'bfloat16'"),
    ],
)
def test_a_mistake_is_one_message_and_status_2(call, tmp_path, words, told):
    status, _, error = call(*words)
    assert status == 2 and told in error and "Traceback" not in error
    assert not list(tmp_path.rglob("metrics.jsonl"))


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "runs/teachr"],
        ["report", "runs/teachr"],
        ["distill", "--teacher", "runs/teachr", "--student", "digits-1x4", "--method", "kd"],
    ],
)
def test_a_mistyped_run_is_told_the_nearest_one(call, tmp_path, words):
    (tmp_path / "runs" / "teacher").mkdir(parents=True)
    status, _, error = call(*words)
    assert status == 2 and "; did you mean runs/teacher?" in error


def test_results_that_are_no_json_are_named_with_their_line(call, tmp_path):
    (tmp_path / "ab_table1.json").write_text("[\n{,\n]")
    status, _, error = call("list", "tables", "--results", ".")
    assert status == 2 and "ab_table1.json, line 2: not JSON" in error


def test_settings_are_listed_with_the_words_they_take(call):
    status, out, _ = call("list", "settings")
    assert status == 0 and "(multistep, onecycle, cosine, constant)" in " ".join(out.split())


@pytest.mark.parametrize("words", [["--no-such-option"], ["lists"], ["list", "colours"]])
def test_what_is_no_command_is_status_2(call, words):
    assert call(*words)[0] == 2


def test_a_run_that_fails_is_status_1_and_tells_step_and_term(call):
    status, _, error = call("train", "--model", "digits-1x4", "--epochs", 1, "optim.lr=1e30")
    assert status == 1 and "not finite at step" in error and "term task" in error


def test_an_exported_file_that_differs_is_status_1_and_one_message(call, tmp_path, monkeypatch):
    from understudy.export import ExportError

    def differs(*_, **__):
        raise ExportError("model.onnx was not written: its logits differ")

    monkeypatch.setattr("understudy.export.export_run", differs)
    status, _, error = call("export", "run", "--to", "onnx")
    assert status == 1 and error == "understudy: model.onnx was not written: its logits differ\n"


@pytest.mark.parametrize(
    "command", ["train", "distill", "doctor", "evaluate", "export", "layers", "list", "report", "demo", "reproduce"]
)
def test_every_command_explains_itself(call, command):
    status, out, _ = call(command, "--help")
    assert status == 0 and "Usage" in out and len(out) > 300


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("methods", ["none", "kd", "ab", "ab+kd", "margin ReLU", "marginal L2", "Heo"]),
        ("models", ["wrn16-2", "timm:NAME"]),
        ("data", ["digits", "cifar10", "cifar100"]),
        ("tables", ["ab_table1", "Learning speed", "cannot be run yet", "An estimate"]),
        ("settings", ["optim.lr", "run.precision"]),
    ],
)
def test_lists_what_there_is(call, what, names):
    status, out, _ = call("list", what)
    assert status == 0 and all(name in out for name in names)


def test_a_table_is_listed_by_rows_and_printed_in_formats(call):
    status, out, _ = call("list", "tables", "ab_table7")
    assert status == 0 and "ab/layer2" in out and "96.40" in out and "not run" in out
    status, out, _ = call("list", "tables", "nst_table4")
    assert status == 0 and "begins with" in out and "nst_table3/kd+nst_polynomial" in out
    status, out, _ = call("list", "tables", "ab_table8", "--to", "csv")
    assert status == 0 and len(out.splitlines()) == 11
    for words, said in (
        (("tables", "ab_tabel1"), "nearest: ab_table1"),
        (("tables", "--to", "csv"), "give its name"),
        (("models", "ab_table1"), "are for tables, found models"),
    ):
        status, _, err = call("list", *words)
        assert status == 2 and said in " ".join(err.split())


def test_layers_shows_positions_with_shape_parameters_and_activation(call):
    status, out, _ = call("layers", "wrn10-1")
    (line,) = [line for line in out.splitlines() if line.startswith("bn1 ")]
    assert status == 0 and line.split() == ["bn1", "BatchNorm2d", "64x8x8", "128", "before", "ReLU", "before_relu"]


def test_layers_of_a_pair_shows_what_would_connect_them(call):
    status, out, _ = call("layers", "wrn16-4", "--student", "wrn16-2")
    assert status == 0 and "128x8x8" in out and "256x8x8" in out and out.count("1x1 conv + BN") == 3
    status, out, _ = call("layers", "wrn16-2", "--student", "wrn10-2")
    assert status == 0 and out.count("none: equal widths") == 3


def test_layers_of_a_pair_that_sees_images_of_two_sizes(call):
    words = ("layers", "wrn10-2", "--student", "wrn10-1", "--role", "group_end", "--size", 64)
    status, out, _ = call(*words, "--student-size", 16)
    (line,) = [line for line in out.splitlines() if line.startswith("block1 ")]
    assert status == 0 and line.split()[:4] == ["block1", "16x16x16", "block1", "32x64x64"]
    assert line.endswith("1x1 conv + BN at 16x16")
    status, _, error = call("layers", "wrn10-2", "--student", "torchvision:resnet18", "--student-size", 0)
    assert status == 2 and "--student-size" in error
    status, _, error = call("layers", "wrn10-2", "--student-size", 16)
    assert status == 2 and "give --student, or --size" in error


def test_layers_ends_with_the_roles_and_how_others_are_named(call):
    status, out, _ = call("layers", "torchvision:resnet18", "--size", 64)
    end = out[out.index("What methods read") :]
    assert status == 0 and "group_end    proposal  layer1  64x16x16" in end and "terms.at.positions='" in end
    assert any(line.split()[-1:] == ["before_relu"] for line in out.splitlines() if "layer1.1.relu#2" in line)


def test_the_pairs_that_layers_prints_can_be_given_back(call):
    status, out, _ = call("layers", "wrn16-4", "--student", "wrn16-2", "--role", "group_end")
    text = out[out.index("terms.at.positions='") :].replace("'", "")
    words = ["distill", "--student", "wrn16-2", "--method", "at", "--dry-run", text]
    settings = yaml.safe_load(call(*words)[1])
    assert status == 0 and settings["terms"]["at"]["positions"].split(", ") == [f"block{n}=block{n}" for n in (1, 2, 3)]


def test_a_run_compares_the_positions_that_were_named(call, tmp_path):
    call("train", "--model", "digits-1x6", "--epochs", 1, "--out", "teacher")
    words = ["distill", "--teacher", "teacher", "--student", "digits-1x4", "--method", "at", "--epochs", 1, "--out"]
    status, _, error = call(*words, "wrong", "terms.at.positions=stag1=stage1")
    assert status == 2 and "the student's 'stag1'" in error and "near it: stage1" in error
    assert call(*words, "run", "terms.at.positions=stage1=stage2")[0] == 0


def test_a_size_that_a_network_does_not_take_is_answered_with_one_that_it_does(call):
    pytest.importorskip("timm", reason="timm is not installed")
    for words in (["timm:vit_tiny_patch16_224"], ["wrn10-1", "--student", "timm:vit_tiny_patch16_224"]):
        status, _, error = call("layers", *words)
        assert status == 2 and "timm:vit_tiny_patch16_224 does not take images of 3x32x32 (Input height" in error
        assert "; give --size 224" in error and "Traceback" not in error


def test_a_teachers_file_that_does_not_name_its_model_is_an_error(call, tmp_path):
    torch.manual_seed(0)
    save_weights(build("digits-1x4", num_classes=10, in_channels=1), tmp_path / "bare.safetensors")
    status, _, error = call("evaluate", "bare.safetensors")
    assert status == 2 and "does not say which model it is" in error


@pytest.mark.parametrize("command", ["distill", "doctor"])
def test_a_teacher_without_a_method_is_asked_about(call, command):
    status, _, told = call(command, "--teacher", "digits-2x16", "--student", "digits-2x8", "--data", "digits")
    assert status == 2 and "give --method, as in --method ab+kd" in " ".join(told.split())


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--model", "digits-1x4", "--out", "afile/sub"],
        ["export", "run", "--to", "safetensors", "--out", "afile"],
        ["report", "run", "--out", "folder"],
        ["demo", "--out", "afile/sub"],
        ["evaluate", "run", "--json", "afile/x.json"],
        ["doctor", "--student", "digits-1x4", "--json", "folder"],
        ["reproduce", "methods_digits", "kd", "--quick", "--results", "afile/results"],
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_the_work(call, tmp_path, words):
    (tmp_path / "afile").write_text("")
    (tmp_path / "folder").mkdir()
    status, _, error = call(*words)
    assert status == 2 and ("is a file; give another folder" in error or "is a folder; give the name" in error)
    assert not list(tmp_path.rglob("metrics.jsonl"))


def test_tilde_is_the_home_folder_wherever_a_path_is_given(call, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    words = ("--model", "digits-1x4", "--epochs", 1, "data.per_class=5")
    status, _, error = call("train", *words, "--out=~/runs/one")
    assert status == 0 and (tmp_path / "home/runs/one/summary.json").exists(), error
    assert call("report", "~/runs/one", "--out=~/page.html")[0] == 0 and (tmp_path / "home/page.html").exists()
    status, _, error = call("train", *words, "data.folder=~nobody_of_this_name", "data.name=cifar10")
    assert status == 2 and "Traceback" not in error and "~nobody_of_this_name" in error


def test_square_brackets_in_a_path_are_printed_as_they_are(call, tmp_path):
    status, out, error = call("train", "--model", "digits-1x4", "--epochs", 1, "--out", "a [/b] c", "data.per_class=5")
    assert status == 0, error
    assert "the student is a [/b] c/student.safetensors" in out and "folder a [/b] c" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "--model", "wrn16-2x"), "there is no model 'wrn16-2x'; nearest: wrn16-2"),
        (("train", "--model", "wrn17-2"), "found 17; nearest: 16 and 22"),
        (("train", "--model", "wrn16-2", "--data", "cifar11"), "unknown data set 'cifar11'"),
        (("distill", "--teacher", "nope", "--student", "wrn16-2", "--method", "kd"), "there is no model 'nope'"),
    ],
)
def test_a_dry_run_refuses_names_that_nobody_knows(call, words, told):
    status, out, err = call(*words, "--dry-run")
    assert status == 2 and out == "" and told in err


def test_a_dry_run_divides_epochs_and_knows_the_method(call):
    pair = ("--student", "digits-1x4", "--teacher", "digits-2x6", "--teacher-weights", "t.safetensors", "--dry-run")
    status, out, _ = call("distill", *pair, "--method", "ab+kd", "--epochs", 12)
    assert status == 0 and yaml.safe_load(out)["epochs"] == [2, 10]
    status, _, err = call("distill", *pair, "--method", "abb")
    assert status == 2 and "nearest: ab" in err
    status, _, err = call("distill", *pair, "--method", "ab", "terms.ab.margn=2")
    assert status == 2 and "nearest: margin" in err


def test_a_teachers_name_is_one_whatever_lies_in_a_folder_of_that_name(call, tmp_path):
    (tmp_path / "digits-2x6").mkdir()
    words = ("--student", "digits-1x4", "--teacher", "digits-2x6", "--method", "kd", "--dry-run")
    status, out, _ = call("distill", *words, "--teacher-weights", "t.safetensors")
    assert status == 0 and yaml.safe_load(out)["teacher"]["weights"] == "t.safetensors"
    (tmp_path / "t.pth").write_bytes(b"")
    status, _, err = call("distill", "--student", "digits-1x4", "--teacher", "t.pth", "--method", "kd", "--dry-run")
    assert status == 2 and "--teacher NAME --teacher-weights t.pth" in err


def test_a_key_that_is_pressed_outside_a_run_is_status_1(call, monkeypatch):
    def pressed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("understudy.cli.tables.check_file", pressed)
    assert call("report", "runs/a")[0] == 1


def test_a_folder_of_images_given_as_it_is_gets_its_address(call, tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    status, _, err = call("train", "--model", "resnet8", "--data", "photos")
    assert status == 2 and "did you mean folder:photos?" in err


def test_several_seeds_are_runs_of_their_own_and_a_mean(call, tmp_path):
    words = ("--model", "digits-1x4", "--data", "digits", "--epochs", 1, "--out", "runs/alone", "data.percent=20")
    status, out, _ = call("train", *words, "--seeds", 2, "--seed", 3)
    assert status == 0 and sorted(path.name for path in (tmp_path / "runs/alone").iterdir()) == ["seed3", "seed4"]
    scores = [
        json.loads((tmp_path / f"runs/alone/seed{seed}/summary.json").read_text())["scores"]["accuracy_pct"]
        for seed in (3, 4)
    ]
    assert f"{sum(scores) / 2:.2f} ± " in out
    # One that fails does not end the others, and is told at the end.
    status, out, err = call("train", *words, "--seeds", 3, "--seed", 3, "optim.lr=1e30", "run.log_every=1")
    assert status == 2 and "other settings: optim.lr" in err
    diverging = ("--out", "runs/high", "optim.lr=1e30", "run.log_every=1")
    status, out, err = call("train", *words, *diverging, "--seeds", 2)
    assert status == 1 and "seed 0: " in err and "seed 1: " in err


def test_the_folder_of_a_run_on_a_long_address_has_a_name_that_can_be_made(tmp_path):
    names = {
        default_name(read_settings(options={"student.model": "resnet8", "data.name": f"folder:/{'deep/' * 60}{name}"}))
        for name in ("a" * 90, "b" + "a" * 89, "鳥" * 75)
    }
    assert len(names) == 3 and all(len(os.fsencode(name)) < 200 for name in names)
    short = default_name(read_settings(options={"student.model": "resnet8", "data.name": "folder:photos"}))
    assert short == "resnet8-none-folder-photos-20-seed0"
