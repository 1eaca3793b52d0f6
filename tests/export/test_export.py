"""From a finished run to files: what is in them, that they answer as the student, and what is told otherwise."""

import json
import math
import re
import subprocess
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from understudy.data import load
from understudy.engine import execute
from understudy.engine.evaluate import onnx_file
from understudy.engine.evaluate.assess import assess
from understudy.export import ExportError, export_run
from understudy.export import export as export_module
from understudy.models import build, load_weights, read_metadata
from understudy.spec import read_settings


@pytest.fixture(autouse=True)
def few_calls(monkeypatch):
    """Times are not what is tested here."""
    monkeypatch.setattr("understudy.engine.measure.latency.ENOUGH_S", 0.0)


@pytest.fixture(scope="module")
def all_formats(run, tmp_path_factory):
    """The run in every format, and what was printed meanwhile."""
    out = tmp_path_factory.mktemp("all") / "export"
    lines = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        exported = export_run(run, ["onnx", "safetensors", "torch"], out=out, say=lines.append)
    return out, exported, lines, warned


def student_of(run):
    network = build("digits-1x4", num_classes=10, in_channels=1).eval()
    load_weights(network, run / "student.safetensors")
    return network


def pixels_of(count):
    return load("digits").test.images[:count]


def normalised(pixels):
    data = load("digits")
    return (pixels.float() - torch.tensor(data.mean)) / torch.tensor(data.std)


@pytest.mark.slow
def test_the_folder_holds_the_files_their_source_and_the_card(all_formats):
    out, exported, lines, _ = all_formats
    names = ["README.md", "model.onnx", "model.pt2", "model.py", "model.safetensors"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert [one.format for one in exported] == ["onnx", "safetensors", "torch"]
    assert all(one.comparison.num_images == one.comparison.num_equal == 128 for one in exported)
    assert "model.safetensors: logits equal to the bit, top-1 equal on 128 of 128 test images" in lines[1]
    assert re.search(r"model\.onnx: logits .*, top-1 equal on 128 of 128 test images", lines[0])


@pytest.mark.slow
def test_exporters_neither_print_nor_warn(run, tmp_path, capfd, all_formats):
    assert all_formats[3] == []
    capfd.readouterr()
    export_run(run, ["onnx"], out=tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 5, 200])
def test_onnx_answers_any_number_of_real_images_as_the_student_does(run, all_formats, size):
    images = normalised(pixels_of(size))
    session = onnxruntime.InferenceSession(all_formats[0] / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    with torch.no_grad():
        expected = student_of(run)(images)
    np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-4, atol=1e-5)
    onnx.checker.check_model(onnx.load(all_formats[0] / "model.onnx"), full_check=True)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3, 8])
def test_the_program_answers_any_number_of_images_as_the_student_does(run, all_formats, size):
    images = normalised(pixels_of(size))
    program = torch.export.load(all_formats[0] / "model.pt2").module()
    with torch.no_grad():
        torch.testing.assert_close(program(images), student_of(run)(images))


@pytest.mark.slow
def test_the_weights_are_those_of_the_plain_network(run, all_formats):
    state = load_file(all_formats[0] / "model.safetensors")
    plain = build("digits-1x4", num_classes=10, in_channels=1)
    plain.load_state_dict(state, strict=True)
    student = student_of(run).state_dict()
    assert all(torch.equal(value, student[name]) for name, value in state.items())


@pytest.mark.slow
def test_every_file_says_what_it_is(run, all_formats):
    out = all_formats[0]
    with safe_open(out / "model.safetensors", "pt") as file:
        said = [file.metadata()]
    said.append({one.key: one.value for one in onnx.load(out / "model.onnx").metadata_props})
    words = {"facts.json": ""}
    torch.export.load(out / "model.pt2", extra_files=words)
    said.append(json.loads(words["facts.json"]))
    data, summary = load("digits"), json.loads((run / "summary.json").read_text())
    for facts in said:
        assert facts["model"] == "digits-1x4" and facts["input"] == "normalised float32"
        assert json.loads(facts["class_names"]) == list("0123456789") and facts["num_classes"] == "10"
        assert (json.loads(facts["mean"]), json.loads(facts["std"])) == (list(data.mean), list(data.std))
        assert (facts["in_channels"], facts["height"], facts["width"]) == ("1", "8", "8")
        assert float(facts["accuracy_pct"]) == summary["scores"]["accuracy_pct"]


@pytest.mark.slow
def test_a_file_in_place_of_a_run_is_told(tmp_path):
    (tmp_path / "student.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="student.safetensors is a file, and a run's folder is exported"):
        export_run(tmp_path / "student.safetensors", ["onnx"])


def test_nothing_tells_of_the_machine_the_files_were_made_on(all_formats):
    folder = str(onnx_file.__file__).rpartition("/understudy/")[0].encode()
    assert [path.name for path in all_formats[0].iterdir() if folder in path.read_bytes()] == []


@pytest.mark.slow
def test_the_exported_files_are_measured_as_the_run_was(run, all_formats):
    expected = assess(str(run))
    for name in ("model.onnx", "model.safetensors"):
        found = assess(str(all_formats[0] / name))
        assert (found["accuracy_pct"], found["parameters"]) == (expected["accuracy_pct"], expected["parameters"])
        assert found["nll"] == pytest.approx(expected["nll"], rel=1e-5)
    for student, teacher in ((all_formats[0] / "model.onnx", None), (run, all_formats[0] / "model.onnx")):
        with pytest.raises(ValueError, match="model.onnx is measured in float32, found --precision bfloat16"):
            assess(str(student), teacher=teacher and str(teacher), precision="bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["onnx", "torch"])
def test_with_normalisation_a_file_takes_pixels(run, tmp_path, file_format):
    export_run(run, [file_format], out=tmp_path, with_normalisation=True)
    pixels = pixels_of(9)
    with torch.no_grad():
        expected = student_of(run)(normalised(pixels))
        if file_format == "onnx":
            found = onnx_file.open_onnx(tmp_path / "model.onnx")(pixels)
            assert assess(str(tmp_path / "model.onnx"))["accuracy_pct"] == assess(str(run))["accuracy_pct"]
        else:
            found = torch.export.load(tmp_path / "model.pt2").module()(pixels)
    torch.testing.assert_close(found, expected)
    assert run_snippets(tmp_path) == 1


def run_snippets(folder):
    """Runs each program of the card in its folder, without understudy; how many there are."""
    programs = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for program in programs:
        start = f"import sys; sys.modules['understudy'] = None; sys.path.insert(0, {str(folder)!r})\n"
        ended = subprocess.run(
            [sys.executable, "-I", "-c", start + program], capture_output=True, text=True, cwd=folder, timeout=120
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.strip() in list("0123456789")
    return len(programs)


@pytest.mark.slow
def test_the_cards_programs_load_every_file_without_understudy(all_formats):
    assert run_snippets(all_formats[0]) == 3


@pytest.mark.slow
def test_the_card_has_the_numbers_and_where_they_come_from(run, all_formats):
    out, exported, _, _ = all_formats
    card = (out / "README.md").read_text(encoding="utf-8")
    summary, facts = (json.loads((run / name).read_text()) for name in ("summary.json", "run.json"))
    for words in (
        f"| accuracy % | {summary['scores']['accuracy_pct']:.2f} (360 test images",
        f"| parameters | {summary['parameters']:,} |",
        f"| multiply-adds | {summary['multiply_adds']:,} for one image of 1x8x8 |",
        facts["data"]["sha256"],
        summary["student_sha256"],
        f"torch {torch.__version__.partition('+')[0]}",
        "| PyTorch | 1 |",
        "| ONNX Runtime | 32 |",
        f"{torch.get_num_threads()} thread",
        *(f"{one.file.stat().st_size:,} | " for one in exported),
        *(one.sha256 for one in exported),
    ):
        assert words in card
    assert "None" not in card and "{{" not in card and not re.search(r"\n{4}", card)


def own_network(folder):
    (folder / "exported_nets.py").write_text(
        "from torch import nn\n"
        "def small(num_classes):\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, num_classes))\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", ["timm:resnet10t", "exported_nets:small"])
def test_networks_of_others_are_exported_as_well(tmp_path, monkeypatch, model):
    own_network(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    wanted = {"task": "train", "student.model": model, "data.name": "digits", "data.per_class": 5, "epochs": 1}
    execute(read_settings(options=wanted), tmp_path / "run")
    exported = export_run(tmp_path / "run", ["safetensors", "onnx"])
    out = tmp_path / "run" / "export"
    assert [one.file for one in exported] == [out / "model.safetensors", out / "model.onnx"]
    assert not (out / "model.py").exists()
    own_network(out)
    assert run_snippets(out) == 2


def test_a_network_given_in_python_is_exported_by_the_name_of_its_function(tmp_path, monkeypatch):
    from understudy import distil

    own_network(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    network = __import__("exported_nets").small(num_classes=10)
    distil(network, None, "digits", method="none", epochs=1, folder=tmp_path / "run", data__per_class=5)
    with pytest.raises(ValueError, match="no model 'Sequential'.*give --model package.module:function"):
        export_run(tmp_path / "run", ["safetensors"])
    (exported,) = export_run(tmp_path / "run", ["safetensors"], model="exported_nets:small")
    assert exported.comparison.largest_difference == 0.0


@pytest.mark.parametrize("how", ["memory", "workers"])
def test_a_student_of_image_files_is_compared_on_them(tmp_path, how):
    for index in range(16):
        path = tmp_path / "photos" / f"{'cat' if index % 2 else 'dog'}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (15 * index, 40, 200)).save(path)
    words = [f"data.loading={how}", "data.size=12", "data.workers=0"]
    wanted = {"task": "train", "student.model": "wrn10-1", "data.name": f"folder:{tmp_path / 'photos'}", "epochs": 1}
    execute(read_settings(options=wanted, words=words), tmp_path / "run")
    (exported,) = export_run(tmp_path / "run", ["safetensors"])
    with safe_open(exported.file, "pt") as file:
        assert (file.metadata()["height"], file.metadata()["class_names"]) == ("12", '["cat", "dog"]')
    assert assess(str(exported.file))["accuracy_pct"] == assess(str(tmp_path / "run"))["accuracy_pct"]
    assert exported.comparison.num_images == assess(str(exported.file))["num_images"] > 0


def test_a_file_that_answers_otherwise_is_not_left_behind(run, tmp_path, monkeypatch):
    def forgets_a_bias(student, path, metadata):
        from understudy.models import save_weights

        student.network.fc.bias.data[3] += 1.0
        save_weights(student.network, path, metadata)
        student.network.fc.bias.data[3] -= 1.0

    monkeypatch.setattr(export_module.safetensors_file, "write_safetensors", forgets_a_bias)
    (tmp_path / "model.safetensors").write_bytes(b"an older one")
    with pytest.raises(ExportError, match=r"model\.safetensors was not written: its logits differ .* by up to 1"):
        export_run(run, ["safetensors"], out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_bytes() == b"an older one"


@pytest.mark.slow
def test_an_onnx_file_that_differs_by_more_than_the_tolerance_is_not_left_behind(run, tmp_path):
    with pytest.raises(ExportError, match=r"model\.onnx was not written: its logits differ"):
        export_run(run, ["onnx"], out=tmp_path, tolerance=1e-12)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_network_that_cannot_be_exported_is_told_in_a_few_lines(run, tmp_path, monkeypatch):
    class Asks(nn.Module):
        """What it does depends on the pixels."""

        def forward(self, images):
            return images.flatten(1)[:, :10] if images.sum() > 0 else images.flatten(1)[:, 10:20]

    opened = export_module.open_student(export_module.open_run(run))
    object.__setattr__(opened, "network", Asks())
    monkeypatch.setattr(export_module, "open_student", lambda *_, **__: opened)
    with pytest.raises(ExportError, match="digits-1x4 cannot be exported to .*model.pt2: ") as caught:
        export_run(run, ["torch"], out=tmp_path)
    assert len(str(caught.value).splitlines()) <= 4 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("formats", "options", "words"),
    [
        (["onx"], {}, "no format 'onx'; there are safetensors, onnx, torch; nearest: onnx"),
        ([], {}, "at least one format"),
        (["safetensors"], {"with_normalisation": True}, "weights alone"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(run, tmp_path, formats, options, words):
    with pytest.raises(ValueError, match=words):
        export_run(run, formats, out=tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_a_folder_without_a_finished_run_is_told(run, tmp_path):
    with pytest.raises(ValueError, match="not a run folder"):
        export_run(tmp_path, ["safetensors"])
    for name in ("run.json", "settings.yaml", "metrics.jsonl", "student.safetensors"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(ValueError, match="is unfinished, 1 of 1 epochs"):
        export_run(tmp_path, ["safetensors"])
    (tmp_path / "summary.json").write_bytes((run / "summary.json").read_bytes())
    (tmp_path / "student.safetensors").write_bytes((run / "student.safetensors").read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match="not the file that the run measured"):
        export_run(tmp_path, ["safetensors"])


@pytest.fixture
def run_on_insects(tmp_path):
    """On a folder `set` of images, which lies beside the run's."""
    for part in ("train", "test"):
        for place, name in enumerate(("ant", "bee")):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (8, 8), (99 * place, number, 0)).save(tmp_path / "set" / part / name / f"{number}.png")
    options = {"task": "train", "student.model": "digits-1x4", "data.name": f"folder:{tmp_path / 'set'}", "epochs": 1}
    return execute(read_settings(options={**options, "batch_size": 4}), tmp_path / "run").folder


def test_images_that_have_moved_since_are_named(run_on_insects, tmp_path):
    (tmp_path / "set").rename(tmp_path / "moved")
    with pytest.raises(ValueError, match="set: there is no such folder"):
        export_run(run_on_insects, ["safetensors"])
    export_run(run_on_insects, ["safetensors"], data=f"folder:{tmp_path / 'moved'}")
    assert (run_on_insects / "export" / "model.safetensors").exists()
    options = {"task": "train", "student.model": "digits-1x4", "data.name": f"folder:{tmp_path / 'moved'}", "epochs": 1}
    again = execute(read_settings(options={**options, "batch_size": 4}), run_on_insects)
    assert again.summary["student_sha256"] and again.folder == run_on_insects


def test_classes_that_were_renamed_since_are_told(run_on_insects, tmp_path):
    made = run_on_insects
    for part in ("train", "test"):
        (tmp_path / "set" / part / "ant").rename(tmp_path / "set" / part / "cow")
    with pytest.raises(ValueError, match=r"knows 2 classes \(ant, bee\), and .* has 2 classes \(bee, cow\) by now"):
        export_run(made, ["safetensors"])
    assert not (made / "export").exists()


def test_a_card_names_files_of_an_earlier_export_and_a_file_is_no_folder(run, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"old")
    export_run(run, ["safetensors"], out=tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "From an earlier export, and not compared for this card: `model.onnx`." in card
    with pytest.raises(ValueError, match="model.onnx is a file; give another folder"):
        export_run(run, ["safetensors"], out=tmp_path / "model.onnx" / "export")


def test_missing_packages_are_told_before_anything_is_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"needs onnx, onnxruntime, onnxscript; .*pip install onnx onnxruntime onnxscript"
    ):
        export_run(run, ["safetensors", "onnx"], out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("tolerance", [-1e-4, math.nan, math.inf])
def test_a_tolerance_that_is_none_is_refused_before_anything_is_written(run, tmp_path, tolerance):
    with pytest.raises(ValueError, match="expected a number from 0 on"):
        export_run(run, ["onnx"], out=tmp_path, tolerance=tolerance)
    assert list(tmp_path.iterdir()) == []


def test_the_best_epochs_student_is_exported_with_its_own_numbers(run, tmp_path):
    settings = read_settings(
        options={"task": "train", "student.model": "digits-1x4", "data.name": "digits", "data.validation": 0.2},
        words=["data.percent=20", "epochs=3", "batch_size=32"],
    )
    folder = execute(settings, tmp_path / "run").folder
    best = json.loads((folder / "summary.json").read_text())["best"]
    (exported,) = export_run(folder, ["safetensors"], best=True)
    assert exported.file.parent == folder / "export-best"
    state = load_file(folder / "best.safetensors")
    assert all(torch.equal(value, state[name]) for name, value in load_file(exported.file).items())
    accuracy = best["test_scores"]["accuracy_pct"]
    card = (exported.file.parent / "README.md").read_text()
    assert f"{accuracy:.2f} (360 test images, epoch {best['epoch']}, the best on held-out images, float32)" in card
    assert read_metadata(exported.file)["accuracy_pct"] == str(accuracy)
    assert "last epoch" in (export_run(folder, ["safetensors"])[0].file.parent / "README.md").read_text()
    with pytest.raises(ValueError, match="kept no best epoch's student: a run that holds images out"):
        export_run(run, ["safetensors"], best=True)
