"""Weights on disk, measured: which file, which images, which classes, and beside which teacher."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto
from PIL import Image

from understudy.data import Loading, load
from understudy.engine import execute
from understudy.engine.best import is_kept
from understudy.engine.evaluate import assess as assess_module
from understudy.engine.evaluate.assess import assess
from understudy.export.student import open_run
from understudy.models import build, load_weights, save_weights
from understudy.precision import Precision
from understudy.tasks.classification import evaluate

PLAIN = Precision(device=torch.device("cpu"), dtype=torch.float32, channels_last=False, compile=False)


@pytest.fixture
def run(settings, tmp_path):
    """A finished run that held out a fifth of its training images."""
    return execute(settings("kd", **{"data.validation": 0.2}), tmp_path / "run").folder


def test_a_run_is_measured_as_it_measured_itself(run):
    found = assess(str(run))
    summary = json.loads((run / "summary.json").read_text())
    assert found["accuracy_pct"] == summary["scores"]["accuracy_pct"] and found["sha256"] == summary["student_sha256"]
    assert (found["num_images"], found["parameters"]) == (360, summary["parameters"])
    assert (found["split"], found["teacher"], found["runtime"]) == ("test", None, "torch")
    network = build("digits-1x4", num_classes=10, in_channels=1)
    load_weights(network, run / "student.safetensors")
    data = load("digits")
    assert found["nll"] == pytest.approx(evaluate(network, data.test, data, PLAIN)["loss"], rel=1e-6)
    assert json.loads(json.dumps(found)) == found


def test_a_run_that_was_given_chosen_classes_is_measured_and_exported_on_these(settings, tmp_path):
    data = load("digits", classes=["8", "3", "5"])
    run = execute(settings("none"), tmp_path / "run", data=data)
    found = assess(str(run.folder))
    assert found["accuracy_pct"] == run.accuracy_pct and found["num_images"] == len(data.test)
    assert found["data_sha256"] == data.fingerprint() and open_run(run.folder).data.train.class_names == (
        "8",
        "3",
        "5",
    )


def test_the_student_of_the_best_epoch_on_held_out_images_is_kept_and_measured(settings, tmp_path):
    # At this rate the last epochs are worse than one before them.
    words = ("optim.lr=2.0", "optim.sched=constant")
    wanted = settings("none", *words, epochs=6, **{"data.validation": 0.2, "run.eval_every": 1})
    run = execute(wanted, tmp_path / "run")
    best = run.summary["best"]
    log = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    curve = {one["epoch"]: one["scores"]["validation"]["accuracy_pct"] for one in log if one["kind"] == "epoch"}
    assert best["split"] == "validation" and best["score"] == max(curve.values()) == curve[best["epoch"]]
    assert best["epoch"] < 6
    found = assess(str(run.folder / "best.safetensors"))
    assert found["accuracy_pct"] == best["test_scores"]["accuracy_pct"]
    assert assess(str(run.folder / "best.safetensors"), split="validation")["accuracy_pct"] == pytest.approx(
        best["score"]
    )
    assert assess(str(run.folder))["accuracy_pct"] == run.accuracy_pct != found["accuracy_pct"]
    # Of another epoch than the log's best, as after a kill: it is not passed off as that.
    assert is_kept(run.folder, best) and not is_kept(run.folder, {**best, "score": best["score"] + 0.1})


def test_the_validation_and_training_images_are_those_of_the_run(run):
    assert assess(str(run), split="validation")["num_images"] == pytest.approx(0.2 * 1437, abs=5)
    assert assess(str(run), split="train")["num_images"] == pytest.approx(0.2 * 0.8 * 1437, abs=5)
    assert assess(str(run / "student.safetensors"), split="validation")["split"] == "validation"


def photos(folder, count=8, side=200):
    """Two classes that differ in their borders alone, which a crop of the middle does not show."""
    for name, colour in (("a", 30), ("b", 220)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.full((side, side, 3), colour, dtype=np.uint8)
            pixels[20:-20, 20:-20] = np.random.default_rng(number).integers(0, 255, (side - 40, side - 40, 3))
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def test_images_that_have_moved_are_read_as_the_run_read_them(settings, tmp_path):
    photos(tmp_path / "photos")
    options = {"data.name": f"folder:{tmp_path / 'photos'}", "data.validation": 0.25, "student.model": "wrn10-1"}
    read = ["data.size=32", "data.loading=memory"]
    run = execute(settings("none", *read, epochs=1, **options), tmp_path / "run").folder
    whole = assess(str(run))
    shutil.move(tmp_path / "photos", tmp_path / "moved")
    there = f"folder:{tmp_path / 'moved'}"
    moved = assess(str(run), data=there)
    assert (moved["nll"], moved["data_sha256"]) == (whole["nll"], whole["data_sha256"])
    assert assess(str(run), data=there, split="validation")["num_images"] == 4
    opened = open_run(run, data=there)
    assert opened.data.in_memory and opened.data.fingerprint() == whole["data_sha256"]
    # Alone, without its run's settings, a student's file says that its images were seen whole.
    shutil.copy(run / "student.safetensors", tmp_path / "alone.safetensors")
    alone = assess(str(tmp_path / "alone.safetensors"), data=there)
    assert alone["nll"] == pytest.approx(whole["nll"], rel=1e-3)


def test_a_file_without_a_run_has_no_validation_images(teacher_file):
    assert assess(str(teacher_file))["num_images"] == 360
    with pytest.raises(ValueError, match="digits has no validation images here"):
        assess(str(teacher_file), split="validation")


def test_the_agreement_with_a_teacher_is_that_of_both_networks_answers(run, teacher_file):
    found = assess(str(run), teacher="digits-2x6", teacher_weights=teacher_file)["teacher"]
    assert found == assess(str(run), teacher=str(teacher_file))["teacher"]
    data = load("digits")
    images = (data.test.images.float() - torch.tensor(data.mean)) / torch.tensor(data.std)
    answers = []
    for name, file in (("digits-1x4", run / "student.safetensors"), ("digits-2x6", teacher_file)):
        network = build(name, num_classes=10, in_channels=1).eval()
        load_weights(network, file)
        answers.append(network(images).detach())
    student, teacher = answers
    assert found["equal_pct"] == pytest.approx(100.0 * (student.argmax(1) == teacher.argmax(1)).double().mean().item())
    expected = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean").item()
    assert found["kl"] == pytest.approx(expected, rel=1e-4) and found["model"] == "digits-2x6"
    assert found["accuracy_pct"] == assess(str(teacher_file))["accuracy_pct"]


def test_an_onnx_file_is_measured_on_images_normalised_as_it_says(write_sums, tmp_path, monkeypatch):
    digits = load("digits")
    wider = {
        part: replace(images, images=F.pad(images.images, (0, 2)))
        for part, images in (("train", digits.train), ("test", digits.test))
    }
    data, wide = replace(digits, **wider), wider["test"].images
    monkeypatch.setattr(assess_module, "load", lambda name, **_: data)
    facts = {"model": "sums", "data": "wide", "mean": "[100.0]", "std": "[50.0]"}
    shape = ("batch", 1, 8, 10)
    file = write_sums(tmp_path / "floats.onnx", shape=shape, metadata=facts)
    found = assess(str(file))
    answered = ((wide.float() - 100) / 50).sum(dim=(1, 2))
    right = (answered.argmax(1) == data.test.labels).double().mean().item()
    assert found["accuracy_pct"] == pytest.approx(100.0 * right)
    assert found["nll"] == pytest.approx(F.cross_entropy(answered, data.test.labels).item(), rel=1e-5)
    assert (found["model"], found["runtime"], found["parameters"]) == ("sums", "onnxruntime", None)
    pixels = write_sums(tmp_path / "pixels.onnx", shape=shape, kind=TensorProto.UINT8, metadata=facts)
    assert assess(str(pixels))["nll"] == pytest.approx(
        F.cross_entropy(wide.float().sum((1, 2)), data.test.labels).item()
    )


def test_an_onnx_file_for_other_images_or_with_too_few_logits_is_told(write_sums, tmp_path):
    file = write_sums(tmp_path / "large.onnx", shape=("batch", 3, 32, 32))
    with pytest.raises(ValueError, match="takes images of 3x32x32, digits has 1x8x8"):
        assess(str(file), data="digits")
    with pytest.raises(ValueError, match=r"answers \(8,\) to an image, expected 10 logits"):
        assess(str(write_sums(tmp_path / "few.onnx")), data="digits")


def test_a_measurement_fetches_its_data_where_it_is_asked_to(tmp_path, monkeypatch):
    save_weights(build("digits-1x4", num_classes=10, in_channels=1), tmp_path / "s.safetensors")
    asked = []

    def recording(name, *, download, **options):
        asked.append(download)
        return load(name, **options)

    monkeypatch.setattr(assess_module, "load", recording)
    for words in ((), ("data.download=true",)):
        assess(str(tmp_path / "s.safetensors"), model="digits-1x4", data="digits", words=words)
    assert asked == [False, True]


def test_what_an_onnx_file_of_others_does_not_say_is_told(write_sums, tmp_path):
    """Normalisation and size; what it says itself, and what nothing can be done with, are refused."""
    file = write_sums(tmp_path / "theirs.onnx", shape=("batch", 1, 10, 10))
    found = assess(str(file), data="digits", words=["data.size=10", "data.mean=[0.5]", "data.std=[0.25]"])
    pixels = load("digits", loading=Loading(size=10)).test
    answered = ((pixels.images.float() / 255 - 0.5) / 0.25).sum(dim=(1, 2))
    assert found["nll"] == pytest.approx(F.cross_entropy(answered, pixels.labels).item(), rel=1e-5)
    with pytest.raises(ValueError, match="whose network is as it is; leave out rename"):
        assess(str(file), data="digits", words=["data.size=10", "student.rename.fc=head"])
    said = write_sums(tmp_path / "said.onnx", shape=("batch", 1, 10, 10), metadata={"mean": "[100.0]", "std": "[50.0]"})
    with pytest.raises(ValueError, match="says itself how images are normalised; leave out mean"):
        assess(str(said), data="digits", words=["data.size=10", "data.mean=[0.5]"])
    with pytest.raises(ValueError, match="leave out size"):
        assess(str(file), data="digits", words=["data.size=10", "teacher.size=10"], teacher=str(file))


def test_other_classes_and_broken_weights_are_told(tmp_path):
    torch.manual_seed(0)
    network = build("digits-1x4", num_classes=10, in_channels=1)
    file = tmp_path / "letters.safetensors"
    save_weights(network, file, {"model": "digits-1x4", "class_names": json.dumps(list("abcdefghij"))})
    with pytest.raises(ValueError, match=r"knows 10 classes \(a, b, c and 7 more\), digits has 10 classes \(0, 1"):
        assess(str(file), data="digits")
    network.fc.bias.data[0] = float("nan")
    save_weights(network, tmp_path / "nan.safetensors", {"model": "digits-1x4"})
    with pytest.raises(ValueError, match="answers 360 of 360 images with logits that are not finite"):
        assess(str(tmp_path / "nan.safetensors"), data="digits")


def test_a_network_that_knows_the_classes_in_another_order_is_right_about_the_same_images(tmp_path):
    torch.manual_seed(0)
    network = build("digits-1x4", num_classes=10, in_channels=1)
    said = {"model": "digits-1x4", "mean": "[70.0]"}
    save_weights(network, tmp_path / "a.safetensors", {**said, "class_names": json.dumps(list("0123456789"))})
    for parameter in network.fc.parameters():
        parameter.data = parameter.data.flip(0)
    save_weights(network, tmp_path / "b.safetensors", {**said, "class_names": json.dumps(list("9876543210"))})
    found = [assess(str(tmp_path / name), data="digits") for name in ("a.safetensors", "b.safetensors")]
    assert found[0]["confusion"] == found[1]["confusion"]
    data = load("digits")
    # It was trained on pixels with another mean than the data's, and is asked with its own.
    images = (data.test.images.float() - 70.0) / torch.tensor(data.std)
    answered = network.eval()(images).flip(1)
    assert found[0]["nll"] == pytest.approx(F.cross_entropy(answered, data.test.labels).item(), rel=1e-5)


def test_an_onnx_file_with_another_order_of_classes_is_told(write_sums, tmp_path):
    names = json.dumps(list("9876543210"))
    file = write_sums(tmp_path / "reversed.onnx", metadata={"class_names": names})
    with pytest.raises(ValueError, match="the same in the same order"):
        assess(str(file), data="digits")


def test_a_teachers_weights_without_its_name_are_told(teacher_file):
    with pytest.raises(ValueError, match="--teacher-weights .* alone"):
        assess(str(teacher_file), teacher_weights=teacher_file)


def test_a_file_that_can_run_code_is_not_read(tmp_path):
    (tmp_path / "model.pt2").write_bytes(b"")
    with pytest.raises(ValueError, match="can run code; measure the run"):
        assess(str(tmp_path / "model.pt2"))


def test_weights_that_are_not_there_are_named(tmp_path):
    (tmp_path / "students").mkdir()
    with pytest.raises(ValueError, match="there is no file .*nothing.safetensors; give a run's folder or a file"):
        assess(str(tmp_path / "nothing.safetensors"), model="digits-1x4")
    with pytest.raises(ValueError, match=r"there is no file .*students/student\.safetensors"):
        assess(str(tmp_path / "students"), model="digits-1x4")


def test_what_a_file_does_not_say_can_be_told(tmp_path):
    torch.manual_seed(0)
    network = build("digits-1x4", num_classes=10, in_channels=1).eval()
    file, data = tmp_path / "bare.safetensors", load("digits")
    save_weights(network, file, {"mean": "[70.0]"})
    words = ["data.mean=[0.5]", "data.std=[0.25]"]
    found = assess(str(file), model="digits-1x4", data="digits", words=words)
    answered = network((data.test.images.float() - 127.5) / 63.75)
    assert found["nll"] == pytest.approx(F.cross_entropy(answered, data.test.labels).item(), rel=1e-5)
    # A teacher's own stay its own.
    beside = assess(
        str(file), model="digits-1x4", data="digits", teacher="digits-1x4", teacher_weights=file,
        words=[*words, "teacher.mean=[0.5]", "teacher.std=[0.25]"],
    )  # fmt: skip
    assert beside["nll"] == found["nll"] and beside["teacher"]["kl"] == pytest.approx(0, abs=1e-9)
    state = {name.replace("fc.", "head."): value for name, value in network.state_dict().items()}
    torch.save(state, tmp_path / "renamed.pt")
    renamed = [*words, "student.rename.head=fc"]
    assert assess(str(tmp_path / "renamed.pt"), model="digits-1x4", data="digits", words=renamed)["nll"] == found["nll"]


def test_a_network_of_more_classes_than_its_file_names_is_measured_on_those_of_the_data(tmp_path):
    torch.manual_seed(0)
    file = tmp_path / "more.safetensors"
    network = build("digits-1x4", num_classes=12, in_channels=1).eval()
    save_weights(network, file, {})
    with pytest.raises(ValueError, match=r"knows 12 classes: name them in its order with student.class_names=\[...\]$"):
        assess(str(file), model="digits-1x4", data="digits")
    names = "student.class_names=[x,9,8,7,6,5,4,3,2,1,0,y]"
    found = assess(str(file), model="digits-1x4", data="digits", words=[names])
    data = load("digits")
    images = (data.test.images.float() - torch.tensor(data.mean)) / torch.tensor(data.std)
    answered = network(images)[:, 1:11].flip(1)
    assert found["nll"] == pytest.approx(F.cross_entropy(answered, data.test.labels).item(), rel=1e-5)
    with pytest.raises(ValueError, match="student.class_names: found 3, expected a list"):
        assess(str(file), model="digits-1x4", data="digits", words=["student.class_names=3"])
    with pytest.raises(
        ValueError, match=r"knows 12 classes \(x, 9, 8 and 9 more\), digits has .*; it has to know all of them"
    ):
        assess(str(file), model="digits-1x4", data="digits", words=[names.replace("1,0,y", "a,b,y")])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("optim.lr=1", "optim.lr: a measurement takes data.size, data.crop_pct, data.mean"),
        ("data.augment=false", "data.augment: a measurement takes data.size"),
        ("student.size=8", "student.size: a measurement takes .* student.class_names, student.rename, teacher.mean"),
        ("data.maen=[0.5]", "data.maen: there is no such setting; nearest: data.mean"),
    ],
)
def test_settings_that_change_nothing_in_a_measurement_are_refused(tmp_path, word, told):
    with pytest.raises(ValueError, match=told):
        assess(str(tmp_path / "any.safetensors"), words=[word])
