"""Teachers as settings and their own files describe them."""

import json

import pytest
import torch
from safetensors.torch import save_file

from understudy.data import load
from understudy.engine import execute
from understudy.engine.networks import build_network, build_teacher, locate, student_metadata
from understudy.engine.plan import check_classes, make_plan
from understudy.models import build, save_weights
from understudy.spec import StudentSettings, TeacherSettings, read_settings
from understudy.teachers import Teachers

DIGITS = [str(digit) for digit in range(10)]


@pytest.fixture
def digits():
    return load("digits", per_class=5)


@pytest.fixture
def written(tmp_path, digits):
    """Writes a random teacher of so many classes, whose file says of itself what is given."""

    def write(name, seed=0, num_classes=10, **said):
        torch.manual_seed(seed)
        network = build("digits-1x4", num_classes=num_classes, in_channels=1)
        metadata = student_metadata("digits-1x4", digits, network) | {
            key: json.dumps(value) for key, value in said.items()
        }
        save_weights(network, tmp_path / name, metadata)
        return network.eval(), TeacherSettings(model="digits-1x4", weights=tmp_path / name)

    return write


@pytest.fixture
def images(digits):
    mean, std = digits.mean[0], digits.std[0]
    return (digits.test.images[:4].float() - mean) / std


def test_a_teacher_trained_on_these_very_images_is_the_network_itself(written, digits):
    _, wanted = written("teacher.safetensors")
    assert not isinstance(build_teacher([wanted], digits), Teachers)


def test_a_teacher_whose_file_tells_another_order_of_classes_is_put_in_order(written, digits, images):
    network, wanted = written("teacher.safetensors", class_names=DIGITS[::-1])
    teacher = build_teacher([wanted], digits).eval()
    torch.testing.assert_close(teacher(images), network(images).flip(1))


def test_a_misspelt_name_among_the_teachers_classes_is_told(written, digits):
    _, wanted = written("teacher.safetensors")
    names = (*DIGITS[:9], "nein")
    with pytest.raises(ValueError, match="teacher.class_names lacks 9, which the data have"):
        build_teacher([wanted.model_copy(update={"class_names": names})], digits)


def test_a_teacher_of_more_classes_answers_the_students(written, digits, images):
    network, wanted = written("teacher.safetensors", num_classes=12, class_names=["ten", *DIGITS, "eleven"])
    torch.testing.assert_close(build_teacher([wanted], digits).eval()(images), network(images)[:, 1:11])


def test_a_teachers_file_tells_its_normalisation_and_the_settings_win(written, digits, images):
    network, wanted = written("teacher.safetensors", mean=[0.0], std=[255.0])
    pixels = images * digits.std[0] + digits.mean[0]
    torch.testing.assert_close(build_teacher([wanted], digits).eval()(images), network(pixels / 255.0))
    settings = wanted.model_copy(update={"mean": (0.5,), "std": (0.5,)})
    torch.testing.assert_close(
        build_teacher([settings], digits).eval()(images), network(pixels / 127.5 - 1.0), rtol=1e-4, atol=1e-5
    )


def test_a_teacher_of_a_number_of_classes_that_its_names_contradict_is_refused(written, digits):
    _, wanted = written("teacher.safetensors")
    with pytest.raises(ValueError, match="num_classes=12 and 10 class names"):
        build_teacher([wanted.model_copy(update={"num_classes": 12})], digits)


def test_a_run_learns_from_two_teachers(written, settings, tmp_path):
    words = {}
    for index in range(2):
        _, wanted = written(f"teacher{index}.safetensors", seed=index)
        words[index] = wanted.model_dump()
    two = settings("kd").model_copy(
        update={"teacher": TeacherSettings(**words[0]), "more_teachers": (TeacherSettings(**words[1]),)}
    )
    execute(two, tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["teacher"]["name"] == "digits-1x4 + digits-1x4"
    assert facts["teacher"]["parameters"] == 2 * facts["student"]["parameters"]


def test_a_teacher_of_other_classes_teaches_by_dtl(written, settings, tmp_path):
    _, wanted = written("teacher.safetensors", num_classes=7, class_names=list("abcdefg"))
    other = settings("dtl").model_copy(update={"teacher": wanted})
    result = execute(other, tmp_path / "run")
    assert result.summary["teacher_scores"] is None
    with pytest.raises(ValueError, match="the teacher knows a, b, c .* but not 0, 1, 2 .* of digits; dtl gives"):
        execute(settings("kd").model_copy(update={"teacher": wanted}), tmp_path / "kd")
    _, nameless = written("nameless.safetensors", num_classes=7, class_names=[])
    nameless = nameless.model_copy(update={"num_classes": 7})
    with pytest.raises(ValueError, match="10 classes, the teacher 7; dtl gives the student a head"):
        execute(settings("kd").model_copy(update={"teacher": nameless}), tmp_path / "kd")


def test_as_many_other_classes_are_others(written, settings):
    """What the teacher calls a bird is no fish, and is not measured as if it were."""
    names = [*"012345678", "bird"]
    _, wanted = written("teacher.safetensors", num_classes=10, class_names=names)
    taught = {"teacher": wanted, "student": StudentSettings(model="digits-1x4", from_teacher=True)}
    plan = make_plan(settings("dtl").model_copy(update=taught))
    assert plan.whole_teacher is None and {"fc.weight", "fc.bias"} <= set(plan.left_random)
    with pytest.raises(ValueError, match="the teacher knows 0, 1, 2 .* but not 9 of digits; .* teacher.class_names"):
        check_classes(make_plan(settings("kd+dtl").model_copy(update=taught)))
    called = {"teacher": wanted.model_copy(update={"class_names": (*"0123456789",)})}
    renamed = make_plan(settings("kd").model_copy(update=called))
    check_classes(renamed)
    assert renamed.whole_teacher is not None
    _, other = written("other.safetensors", num_classes=10, class_names=[*"abcdefghij"])
    with pytest.raises(ValueError, match="the teachers know different classes"):
        make_plan(settings("dtl").model_copy(update={**taught, "more_teachers": (other,)}))


@pytest.mark.parametrize("section", ["student", "teacher"])
def test_a_networks_renames_are_applied_to_its_file(digits, tmp_path, section):
    network = build("digits-1x4", num_classes=10, in_channels=1)
    state = {name.replace("fc.", "linear."): value for name, value in network.state_dict().items()}
    path = tmp_path / "theirs.safetensors"
    save_file(state, path)
    options = {"student.model": "digits-1x4", f"{section}.model": "digits-1x4", f"{section}.weights": str(path)}
    found = []
    for words in ([], [f"{section}.rename.linear=fc"]):
        wanted = read_settings(options=options, words=words)
        try:
            found.append(
                build_network(wanted.student, digits)
                if section == "student"
                else build_teacher([wanted.teacher], digits)
            )
        except ValueError as error:
            found.append(str(error))
    assert found[0].endswith(f"add {section}.rename.linear=fc")
    assert torch.equal(found[1].fc.weight, network.fc.weight)


def test_a_teacher_that_takes_another_size_says_which(digits, tmp_path):
    network = build("timm:vit_tiny_patch16_224", num_classes=10, in_channels=1)
    save_weights(network, tmp_path / "vit.safetensors")
    wanted = TeacherSettings(model="timm:vit_tiny_patch16_224", weights=tmp_path / "vit.safetensors")
    with pytest.raises(ValueError, match=r"teacher timm:vit.* 1x8x8 .*224.*add teacher.size=224"):
        build_teacher([wanted], digits)
    sized = wanted.model_copy(update={"size": 224})
    assert build_teacher([sized], digits)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_a_student_that_takes_another_size_says_which(settings):
    with pytest.raises(ValueError, match=r"the student does not take images of 1x8x8 .*add data.size=224"):
        make_plan(settings("none", **{"student.model": "timm:vit_tiny_patch16_224"}))


def test_a_student_of_other_classes_keeps_all_but_its_classifier(written, settings, digits):
    network, wanted = written("other.safetensors", num_classes=7)
    plan = make_plan(settings("none", **{"student.weights": str(wanted.weights)}))
    assert plan.left_random == ["fc.weight", "fc.bias"]
    assert plan.student.fc.out_features == 10
    torch.testing.assert_close(plan.student.stage3.state_dict(), network.stage3.state_dict())
    with pytest.raises(ValueError, match=r"2 misshaped: fc.weight \(7, "):
        build_network(wanted, digits)


def test_a_student_that_differs_in_more_than_classes_is_refused(settings, teacher_file):
    with pytest.raises(ValueError, match="does not fit DigitsNet: 15 unexpected"):
        make_plan(settings("none", **{"student.weights": str(teacher_file)}))


@pytest.mark.parametrize("model", ["os:abort", "mine.module:net", "os:abort@layer1"])
def test_a_file_from_elsewhere_does_not_decide_which_code_runs(tmp_path, model):
    file = tmp_path / "model.safetensors"
    save_weights(build("digits-1x4", num_classes=10, in_channels=1), file, {"model": model})
    with pytest.raises(ValueError, match=f"made by {model}, code that is not run on a file's word; .*--model {model}"):
        locate(str(file), None)
    # The folder of a run says what the user gave it.
    (tmp_path / "settings.yaml").touch()
    assert locate(str(file), None).model == model
    for known in ("timm:resnet18", "torchvision:resnet18@layer4.0", "wrn16-2"):
        save_weights(build("digits-1x4", num_classes=10, in_channels=1), file, {"model": known})
        (tmp_path / "settings.yaml").unlink(missing_ok=True)
        assert locate(str(file), None).model == known
