"""Runs that learn to detect objects, on a few made-up images in VOC's layout."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from understudy.data.boxed.voc import CLASSES
from understudy.engine import execute
from understudy.engine.display import silent
from understudy.engine.doctor import examine
from understudy.engine.doctor.objects import objects as examine_objects
from understudy.engine.evaluate.assess import assess
from understudy.engine.evaluate.detecting import make_detector_ready
from understudy.engine.evaluate.subject import find
from understudy.engine.loop import StoppedError
from understudy.engine.plan import make_plan
from understudy.export import detector as detector_module
from understudy.export.export import export_run
from understudy.export.same_answers import ExportError
from understudy.export.student import told_name
from understudy.models import build, save_weights
from understudy.report import read_run, write_page
from understudy.spec import read_settings
from understudy.tasks.detection import Backbone, load_detector

pytestmark = pytest.mark.slow  # every run draws and measures hundreds of boxes

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


@pytest.fixture(scope="module")
def voc_folder(tmp_path_factory):
    """White boxes are dogs, on noise: six images to train on, three to test on."""
    folder = tmp_path_factory.mktemp("data")
    root = folder / "VOCdevkit/VOC2007"
    for place in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / place).mkdir(parents=True)
    drawn = np.random.default_rng(0)
    for image_set, count in (("trainval", 6), ("test", 3)):
        names = [f"{image_set}{number}" for number in range(count)]
        (root / f"ImageSets/Main/{image_set}.txt").write_text("\n".join(names))
        for name in names:
            pixels = drawn.integers(0, 128, (48, 64, 3), dtype=np.uint8)
            x, y = drawn.integers(0, 20, 2)
            pixels[y : y + 24, x : x + 30] = 255
            Image.fromarray(pixels).save(root / f"JPEGImages/{name}.jpg")
            told = OBJECT.format("dog", x + 1, y + 1, x + 30, y + 24)
            (root / f"Annotations/{name}.xml").write_text(f"<annotation>{told}</annotation>")
    return folder


@pytest.fixture(scope="module")
def make_settings(voc_folder):
    def make(*words, **options):
        wanted = {
            "task": "train",
            "student.model": "mobilenet-v1",
            "data.name": "voc2007",
            "data.folder": str(voc_folder),
            "data.size": 64,
            "epochs": 2,
            "batch_size": 2,
            **options,
        }
        plain = [
            "detection.fpn=false",
            "detection.head=16",
            "detection.regions=32",
            "optim.lr=0.01",
            "run.device=cpu",
            "run.eval_every=2",
        ]
        return read_settings(options=wanted, words=[*plain, *words])

    return make


@pytest.fixture(scope="module")
def trained(make_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "detector"
    return execute(make_settings(), folder)


def test_a_run_ends_with_a_detector_that_plain_torchvision_code_uses(trained):
    detector = load_detector(trained.folder)
    assert isinstance(detector, GeneralizedRCNN)
    (found,) = detector([torch.rand(3, 48, 64)])
    assert {*found} == {"boxes", "labels", "scores"}
    # Of 20 classes the test images show dogs alone.
    assert {*trained.scores} == {"map_pct", "map_area_pct", "ap_dog_pct", "ap_area_dog_pct"}
    assert trained.summary["headline"] == "map_pct"


def test_measuring_the_file_gives_the_runs_own_numbers(trained):
    found = assess(str(trained.folder))
    assert found["scores"] == trained.scores
    dog = next(one for one in found["per_class"] if one["name"] == "dog")
    assert found["coco"].keys() == {"ap_pct", "ap50_pct", "ap75_pct"}
    assert dog["num_objects"] == 3 and dog["ap_pct"] == trained.scores["ap_dog_pct"]
    with pytest.raises(ValueError, match="leave out --teacher"):
        assess(str(trained.folder), teacher=str(trained.folder))
    with pytest.raises(ValueError, match="is measured in float32, found --precision bfloat16: leave it out"):
        assess(str(trained.folder), precision="bfloat16")


def test_images_on_which_no_object_counts_are_not_measured(trained, make_settings):
    data = make_plan(make_settings()).data
    crowds = [replace(each, difficult=torch.ones_like(each.difficult)) for each in data.test.objects]
    with pytest.raises(ValueError, match="no object of test counts .* so there is nothing to measure"):
        assess(str(trained.folder), data=replace(data, test=replace(data.test, objects=tuple(crowds))))


@pytest.fixture(scope="module")
def exported(trained):
    lines = []
    (found,) = export_run(trained.folder, ["onnx"], say=lines.append)
    assert f"detections in {found.comparison.num_images} test images are the same" in lines[0]
    return found


def test_an_exported_detector_finds_the_same_in_images_of_any_size(trained, exported):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert exported.comparison.num_images == 3 and exported.comparison.num_detections > 0
    session, detector = onnxruntime.InferenceSession(exported.file), load_detector(trained.folder)
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["class_names"])[11] == "dog" and said["map_pct"] == str(trained.scores["map_pct"])
    for shape in ((3, 48, 64), (3, 91, 33)):
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
        with torch.no_grad():
            (wanted,) = detector([pixels / 255])
        boxes, labels, scores = session.run(["boxes", "labels", "scores"], {"pixels": pixels.numpy()})
        assert len(scores) == len(wanted["scores"]) > 0
        torch.testing.assert_close(torch.from_numpy(scores), wanted["scores"], atol=1e-4, rtol=0.0)
        assert boxes.min() >= 0 and boxes[:, 2].max() <= shape[2] and boxes[:, 3].max() <= shape[1]
        assert labels.min() >= 0 and labels.max() < 20


def test_an_exported_detector_is_not_measured_again_and_does_not_say_where_its_images_lay(exported):
    with pytest.raises(ValueError, match="holds a detector, which was compared with its run when it was made"):
        assess(str(exported.file))
    assert told_name("coco:/home/me/fish/") == "coco:fish" and told_name("voc2007") == "voc2007"
    assert told_name("parquet:s3://bucket/x*.parquet") == "parquet:s3://bucket/x*.parquet"


def test_a_detectors_card_has_a_program_that_runs_without_understudy(exported):
    card = exported.file.with_name("README.md").read_text(encoding="utf-8")
    assert "It finds objects of 20 classes" in card and exported.sha256 in card and "ONNX Runtime" in card
    program = card.split("```python\n")[1].split("```")[0]
    assert "understudy" not in program
    program = program.replace("np.zeros((3, 48, 64), dtype=np.uint8)", "np.full((3, 48, 64), 200, dtype=np.uint8)")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=exported.file.parent, capture_output=True, text=True, check=True
    )
    assert done.stderr == "" and done.stdout.split()[0] in CLASSES


def test_a_file_that_finds_something_else_is_not_written(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(detector_module, "_read", lambda _: lambda pixels: (torch.zeros(0, 4), *torch.zeros(2, 0)))
    with pytest.raises(ExportError, match=r"model\.onnx was not written: .* of the detector's .* are not found"):
        export_run(trained.folder, ["onnx"], out=tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_what_a_detector_cannot_be_asked_is_told(trained, make_settings, tmp_path):
    with pytest.raises(ValueError, match=r"exported to onnx alone, found safetensors: .*\.detection\.load_detector"):
        export_run(trained.folder, ["safetensors"])
    with pytest.raises(ValueError, match="this run has no accuracy; its scores are map_pct"):
        _ = trained.accuracy_pct
    classifier = tmp_path / "classifier.safetensors"
    save_weights(build("mobilenet-v1", num_classes=20), classifier, {"model": "mobilenet-v1"})
    wanted = make_settings()
    with pytest.raises(ValueError, match="voc2007 shows objects in boxes, and .* holds no detector"):
        assess(str(classifier), data="voc2007", data_folder=wanted.data.folder, words=["data.size=64"])
    teacher = {"model": "mobilenet-v1", "weights": str(trained.folder / "student.safetensors")}
    options = {"task": "distill", "method.name": "at"} | {f"teacher.{key}": value for key, value in teacher.items()}
    for words, told in (
        (["teacher.size=32"], "teacher.size=32: a detector's teacher sees the student's images; give data.size"),
        ([f"more_teachers=[{{model: mobilenet-v1, weights: {teacher['weights']}}}]"], "found 2 teachers; a detector"),
    ):
        with pytest.raises(ValueError, match=told):
            make_plan(make_settings(*words, **options))


def test_data_of_other_classes_or_another_order_are_refused(trained, make_settings):
    data = make_plan(make_settings()).data
    parts = {
        name: replace(part, class_names=part.class_names[::-1])
        for name, part in (("train", data.train), ("test", data.test))
    }
    turned = replace(data, **parts)
    with pytest.raises(ValueError, match="it has to know the same in the same order"):
        make_detector_ready(find(str(trained.folder)), turned)


def test_the_report_holds_a_picture_of_what_was_found(trained, tmp_path):
    assert (trained.folder / "detections.jpg").is_file() and not (trained.folder / "seen.npz").exists()
    page = write_page([read_run(trained.folder)], tmp_path / "page.html").read_text()
    assert '<img src="data:image/jpeg;base64,' in page and "mAP %" in page


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(trained, make_settings, tmp_path):
    display, steps = silent(), 0

    def step():
        nonlocal steps
        steps += 1
        if steps == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    display.step = step
    with pytest.raises(StoppedError):
        execute(make_settings(), tmp_path / "again", display=display)
    execute(make_settings(), tmp_path / "again")
    for name in ("student.safetensors", "detections.jpg"):
        assert (tmp_path / "again" / name).read_bytes() == (trained.folder / name).read_bytes()


def test_a_finished_run_is_only_read(trained, make_settings):
    assert execute(make_settings(), trained.folder).scores == trained.scores


@pytest.mark.parametrize("method", ["at", "fitnet"])
def test_a_detector_learns_from_a_detectors_features(method, trained, make_settings, tmp_path):
    student = {"task": "distill", "method.name": method, "student.model": "torchvision:mobilenet_v2"}
    teacher = {"teacher.model": "mobilenet-v1", "teacher.weights": str(trained.folder / "student.safetensors")}
    result = execute(make_settings(**student, **teacher), tmp_path / method)
    facts = json.loads((tmp_path / method / "run.json").read_text())
    assert facts["teacher"]["scores"] == trained.scores
    pairs = next(iter(facts["method"]["phases"][0]["terms"].values()))["positions"]
    assert pairs and all(name.startswith(("body.", "before:body.")) for pair in pairs for name in pair)
    assert result.summary["teacher_scores"] == trained.scores


def test_a_teacher_of_another_normalisation_is_refused_and_not_misread(trained, make_settings, tmp_path):
    teacher = {"teacher.model": "mobilenet-v1", "teacher.weights": str(trained.folder / "student.safetensors")}
    wanted = {"task": "distill", "method.name": "at", **teacher}
    with pytest.raises(
        ValueError, match=r"trained on images with another mean than voc2007.*add data.mean=\[0\.[0-9.,]+\]"
    ):
        make_plan(make_settings("data.mean=[0.1,0.1,0.1]", **wanted))
    with pytest.raises(ValueError, match=r"another std than voc2007.*add data.std=\[0.5,0.5,0.5\]"):
        make_plan(make_settings("teacher.std=[0.5,0.5,0.5]", **wanted))


def test_a_detector_on_a_network_of_ones_own_is_read_by_the_name_that_is_given(make_settings, tmp_path, monkeypatch):
    (tmp_path / "own_backbone.py").write_text(
        "from understudy.models import build\n\ndef make(num_classes):\n"
        "    return build('mobilenet-v1', num_classes=num_classes)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    classifier = build("mobilenet-v1", num_classes=1)
    student = Backbone(classifier, torch.zeros(2, 3, 64, 64))
    run = execute(make_settings(epochs=1, **{"student.model": "Backbone"}), tmp_path / "run", student=student)
    with pytest.raises(ValueError, match="there is no model"):
        load_detector(tmp_path / "run")
    found = assess(str(tmp_path / "run"), model="own_backbone:make")
    assert found["scores"] == pytest.approx(run.scores)


def test_methods_that_compare_logits_are_refused(trained, make_settings, tmp_path):
    teacher = {"teacher.model": "mobilenet-v1", "teacher.weights": str(trained.folder / "student.safetensors")}
    with pytest.raises(ValueError, match="kd compares what networks answer to an image.*such as at"):
        execute(make_settings(**{"task": "distill", "method.name": "kd"}, **teacher), tmp_path / "kd")


def test_a_backbone_begins_with_a_classifiers_weights(make_settings, tmp_path):
    torch.manual_seed(1)
    network, path = build("mobilenet-v1", num_classes=5), tmp_path / "classifier.safetensors"
    save_weights(network, path)
    plan = make_plan(make_settings(**{"student.weights": str(path)}))
    state = network.state_dict()
    own = plan.student.state_dict()
    assert own and all(torch.equal(value, state[name.removeprefix("body.")]) for name, value in own.items())
    assert plan.left_random == []


def test_sets_with_boxes_and_settings_of_detection_go_together(make_settings, tmp_path):
    settings = make_settings()
    with pytest.raises(ValueError, match=r"shows objects in boxes; add detection\.fpn=true"):
        make_plan(settings.model_copy(update={"detection": None}))
    digits = settings.data.model_copy(update={"name": "digits", "size": None})
    with pytest.raises(ValueError, match="digits has no boxes"):
        make_plan(settings.model_copy(update={"data": digits}))


def test_the_doctor_looks_at_boxes_and_tries_a_step(trained, make_settings, tmp_path):
    teacher = {"teacher.model": "mobilenet-v1", "teacher.weights": str(trained.folder / "student.safetensors")}
    plan = make_plan(make_settings(**{"task": "distill", "method.name": "at"}, **teacher))
    found = {one.check: one.severity for one in examine(plan)}
    assert "error" not in found.values()
    # Of VOC's classes dogs alone are shown.
    assert found["labels"] == "warning" and found["images"] == "fine"


@pytest.mark.parametrize(("part", "told"), [("train", "nothing to learn"), ("test", "nothing to measure")])
def test_a_part_without_an_object_that_counts_is_told_before_anything_is_trained(make_settings, part, told):
    plan = make_plan(make_settings())
    images = getattr(plan.data, part)
    objects = tuple(replace(one, difficult=torch.ones(len(one), dtype=torch.bool)) for one in images.objects)
    data = replace(plan.data, **{part: replace(images, objects=objects)})
    with pytest.raises(ValueError, match=f"no object of {part} counts .* {told}; look at the annotations"):
        make_plan(plan.settings, data=data)


def test_the_doctor_tells_of_boxes_that_teach_nothing(make_settings):
    data = make_plan(make_settings()).data
    told = {}
    for name, keep, difficult in (("none", False, False), ("crowds", True, True), ("dogs", True, False)):
        objects = [one.kept(torch.full((len(one),), keep)) for one in data.train.objects]
        objects = tuple(replace(one, difficult=torch.full((len(one),), difficult)) for one in objects)
        (told[name],) = examine_objects(replace(data, train=replace(data.train, objects=objects)))
    assert [one.severity for one in told.values()] == ["error", "error", "warning"]
    assert told["none"].found == "no training object counts."
    assert told["crowds"].found == "no training object counts: all 6 are difficult, or crowds."
    assert told["dogs"].found.startswith("no test object is of aeroplane, bicycle")
