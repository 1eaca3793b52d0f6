"""What a run that goes on, or is asked for again, must not do: with another teacher, in another precision, twice at
once."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from tests.engine.stopping import stops_after
from understudy import distil, load_data
from understudy.data import Loading
from understudy.engine import draws, execute, facts, loop, run
from understudy.engine.display import silent
from understudy.engine.loop import StoppedError
from understudy.engine.plan import Plan
from understudy.engine.records import checkpoint, folder
from understudy.models import build
from understudy.precision import Precision
from understudy.processes import own_of
from understudy.spec import run_files
from understudy.teachers import Member, Teachers


def teacher(seed):
    torch.manual_seed(seed)
    return build("digits-2x6", num_classes=10, in_channels=1)


def student():
    torch.manual_seed(9)
    return build("digits-1x4", num_classes=10, in_channels=1)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", per_class=5)


@pytest.mark.parametrize("cut", [False, True], ids=["finished", "cut off"])
def test_another_teacher_in_the_same_folder_is_refused(digits, tmp_path, cut):
    common = {"data": digits, "method": "kd", "epochs": 2, "folder": tmp_path / "run", "batch_size": 25}
    if cut:
        with pytest.raises(StoppedError):
            distil(student(), teacher(0), **common, display=stops_after(2))
    else:
        distil(student(), teacher(0), **common)
    with pytest.raises(ValueError, match="taught by another teacher of the same name"):
        distil(student(), teacher(1), **common)
    distil(student(), teacher(0), **common)


def test_the_precision_of_a_run_that_goes_on_is_its_own(settings, tmp_path, monkeypatch):
    """Begun where bfloat16 was chosen, it goes on so where float32 would be."""
    choose = Plan.choose_precision

    def low(plan):
        return replace(choose(plan), dtype=torch.bfloat16, channels_last=True)

    monkeypatch.setattr(Plan, "choose_precision", low)
    with pytest.raises(StoppedError):
        execute(settings("kd"), tmp_path / "run", display=stops_after(4))
    monkeypatch.setattr(Plan, "choose_precision", choose)
    seen = []
    plain = Precision.autocast
    monkeypatch.setattr(Precision, "autocast", lambda own: seen.append(own.dtype) or plain(own))
    execute(settings("kd"), tmp_path / "run")
    told = json.loads((tmp_path / "run" / "run.json").read_text())["precision"]["dtype"]
    # But for the measurement at the end.
    assert told == "bfloat16" and seen[0] == torch.bfloat16 and seen.count(torch.bfloat16) > seen.count(torch.float32)


def test_the_students_memory_is_measured_before_anything_goes_to_the_device(settings, tmp_path, monkeypatch):
    """It is measured on the processor: on a GPU the first step was never reached."""
    placed = []
    place, measure = Precision.place, run.student_memory
    monkeypatch.setattr(Precision, "place", lambda own, network: placed.append(network) or place(own, network))
    found = []
    monkeypatch.setattr(run, "student_memory", lambda *given: found.append(len(placed)) or measure(*given))
    execute(settings("kd"), tmp_path / "run")
    assert found == [0] and placed


HOLD = """
import sys, time
from pathlib import Path
from understudy.engine.records import folder
with folder.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_on_what_a_run_goes_on_is_written_down_where_it_is_something_else(digits, tmp_path, monkeypatch):
    common = {"data": digits, "method": "kd", "epochs": 2, "folder": tmp_path / "run", "batch_size": 25}
    machines = iter(("first", "first", "second"))

    def cut(after):
        machine = {"cpu": next(machines)}
        monkeypatch.setattr(facts, "hardware", lambda device: machine)
        with pytest.raises(StoppedError):
            distil(student(), teacher(0), **common, display=stops_after(after))
        return json.loads((tmp_path / "run" / "run.json").read_text())

    assert "went_on" not in cut(2) and "went_on" not in cut(1)
    found = cut(1)
    assert found["hardware"] == {"cpu": "first"} and [one["hardware"] for one in found["went_on"]] == [
        {"cpu": "second"}
    ]


def test_a_student_that_is_built_otherwise_by_now_is_told(digits, tmp_path):
    common = {"data": digits, "method": "kd", "epochs": 2, "folder": tmp_path / "run", "batch_size": 25}
    with pytest.raises(StoppedError):
        distil(student(), teacher(0), **common, display=stops_after(2))
    wider = build("digits-1x6", num_classes=10, in_channels=1)
    with pytest.raises(ValueError, match=r"another network of the same name: stage1.* there, .* give another folder"):
        distil(wider, teacher(0), **common, quiet=True)


def test_a_student_of_which_other_parts_learn_by_now_is_told(digits, tmp_path):
    common = {"data": digits, "method": "kd", "epochs": 2, "folder": tmp_path / "run", "batch_size": 25}
    with pytest.raises(StoppedError):
        distil(student(), teacher(0), **common, display=stops_after(2))
    frozen = student()
    frozen.stage1.requires_grad_(False)
    with pytest.raises(ValueError, match=r"tensors learnt in the run so far, \d+ would from now on: parts .* frozen"):
        distil(frozen, teacher(0), **common, quiet=True)
    distil(student(), teacher(0), **common, quiet=True)


def test_images_that_are_augmented_otherwise_by_now_are_told(digits, tmp_path):
    common = {"method": "kd", "epochs": 2, "folder": tmp_path / "run", "batch_size": 25, "quiet": True}
    distil(student(), teacher(0), data=digits, **common)
    flipped = replace(digits, augment=replace(digits.augment, flip=True))
    with pytest.raises(ValueError, match=r"on images as Augment\(.*flip=False\) shows them, not Augment\(.*flip=True"):
        distil(student(), teacher(0), data=flipped, **common)


def test_teachers_of_other_shares_are_another_teacher(digits, tmp_path):
    common = {"data": digits, "method": "kd", "epochs": 2, "folder": tmp_path / "run", "batch_size": 25, "quiet": True}
    example = torch.zeros(2, *digits.image_shape)

    def both(share):
        members = [Member(network=teacher(0), share=share), Member(network=teacher(1))]
        return Teachers(members, mean=digits.mean, std=digits.std, example=example)

    distil(student(), both(1.0), **common)
    distil(student(), both(1.0), **common)
    with pytest.raises(ValueError, match="taught by another teacher of the same name"):
        distil(student(), both(2.0), **common)


@pytest.mark.slow  # it starts processes
def test_two_processes_do_not_carry_out_one_run(settings, tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(folder.BusyError, match="another process is carrying out the run in"):
            execute(settings("kd"), tmp_path / "run")
        other.kill()
    # Its lock went with it.
    execute(settings("kd"), tmp_path / "run")
    assert not (tmp_path / "run" / folder.LOCK).exists()


def test_a_folder_whose_run_was_killed_before_its_settings_were_written_is_free(settings, tmp_path):
    (tmp_path / "run").mkdir()
    for name in (run_files.WEIGHTS, "settings.partial.yaml", folder.LOCK):
        (tmp_path / "run" / name).write_text("{}")
    execute(settings("kd"), tmp_path / "run")
    assert (tmp_path / "run" / run_files.SUMMARY).exists()


def test_each_process_has_its_own_generators_back():
    states = [{"cpu": torch.get_rng_state(), "cuda": []}, {"cpu": torch.get_rng_state() * 0, "cuda": []}]
    assert own_of(states) is states[0]
    # From a machine with GPUs, and from before there was one for each process.
    draws.put_back({"cpu": states[0]["cpu"], "cuda": [states[0]["cpu"]]}, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), states[0]["cpu"])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"data__per_class": 5}, r"data\.per_class is for data by name, and was given with a Dataset.*load_data"),
        ({"data__validation": 0.2}, r"data\.validation"),
        ({"student__weights": "nowhere.safetensors"}, r"student\.weights is for student by name.*a DigitsNet"),
        ({"teacher__size": 16}, r"teacher\.size is for teacher by name"),
    ],
)
def test_settings_that_nobody_would_read_are_refused(digits, tmp_path, options, named):
    with pytest.raises(ValueError, match=named):
        distil(student(), teacher(0), digits, method="kd", epochs=1, folder=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_settings_of_the_training_are_read_whatever_is_given(digits, tmp_path):
    options = {"data__views": 2, "data__epoch_images": 100, "data__augment": False, "batch_size": 25}
    done = distil(student(), teacher(0), digits, method="kd", epochs=1, folder=tmp_path / "run", **options)
    assert done.summary["phases"][0]["images"] == 100


def test_what_goes_wrong_with_the_pictures_leaves_the_run_finished(settings, tmp_path, monkeypatch):
    def breaks(*given):
        raise KeyError("odd network")

    monkeypatch.setattr(run, "keep_seen", breaks)
    display, said = silent(), []
    display.say = said.append
    execute(settings("kd"), tmp_path / "run", display=display)
    assert (tmp_path / "run" / run_files.SUMMARY).exists()
    assert any("will not show what was transferred (KeyError: 'odd network')" in one for one in said)


def test_agreement_of_tokens_is_measured_only_on_one_grid(tmp_path):
    """Patches of two sizes, which AB compares by averaging: no neuron has its like."""
    data = load_data("digits", per_class=5, loading=Loading(size=16))

    def vit(patch):
        torch.manual_seed(patch)
        return VisionTransformer(
            img_size=16, patch_size=patch, in_chans=1, num_classes=10, embed_dim=16, depth=3, num_heads=2
        )

    common = {"data": data, "method": "ab", "epochs": 2, "batch_size": 25}
    run = distil(vit(4), vit(2), **common, folder=tmp_path / "other")
    assert run.summary["agreement"] is None
    run = distil(vit(4), vit(4), **common, folder=tmp_path / "same")
    assert len(run.summary["agreement"]) == 3 and min(run.summary["agreement"].values()) > 0.5


def test_a_run_whose_terminal_is_closed_saves_and_one_that_ignores_that_goes_on(settings, tmp_path, monkeypatch):
    # The tests themselves may have been started by nohup.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with pytest.raises(StoppedError, match="stopped by SIGHUP at step 4"):
            execute(settings("kd"), tmp_path / "run", display=stops_after(4, signal.SIGHUP))
        assert (tmp_path / "run" / checkpoint.FILE).exists()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        execute(settings("kd"), tmp_path / "run", display=stops_after(1, signal.SIGHUP))
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_slow_steps_are_saved_by_the_clock(settings, tmp_path, monkeypatch):
    saved = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda place, state: saved.append(state["place"]["step"]) or save(place, state)
    )
    execute(settings("kd"), tmp_path / "seldom")
    last = saved[-1]
    assert saved == [last] and last > 3
    saved.clear()
    monkeypatch.setattr(loop, "SAVE_AFTER_S", 0.0)
    execute(settings("kd"), tmp_path / "often")
    assert saved == list(range(1, last + 1))


def test_a_log_that_is_older_than_the_checkpoint_is_told(settings, tmp_path):
    with pytest.raises(StoppedError):
        execute(settings("kd"), tmp_path / "run", display=stops_after(4))
    log = tmp_path / "run" / run_files.LOG
    log.write_text(log.read_text()[:20])
    with pytest.raises(ValueError, match=r"metrics\.jsonl has 20 bytes, and its checkpoint\.pt goes on after"):
        execute(settings("kd"), tmp_path / "run")
    assert log.stat().st_size == 20


def test_a_checkpoint_that_could_be_read_another_time_is_not_called_broken(settings, tmp_path, monkeypatch):
    (tmp_path / checkpoint.FILE).write_bytes(b"anything")
    for error in (PermissionError(13, "Permission denied"), MemoryError()):
        monkeypatch.setattr(torch, "load", lambda *args, error=error, **kwargs: (_ for _ in ()).throw(error))
        with pytest.raises(type(error)):
            checkpoint.load(tmp_path)


def test_a_run_that_was_refused_before_it_saved_anything_does_not_block_the_corrected_one(settings, tmp_path):
    with pytest.raises(ValueError, match=r"optim\.rates\.layr1"):
        execute(settings("kd", "optim.rates.layr1=0.1"), tmp_path / "run")
    execute(settings("kd"), tmp_path / "run")
    with pytest.raises(ValueError, match="holds a run with other settings"):
        execute(settings("kd", "optim.lr=0.2"), tmp_path / "run")


@pytest.mark.parametrize(("text", "told"), [("- 1\n", "holds no settings"), ("a: [1", "no valid YAML")])
def test_settings_that_are_none_are_told(settings, tmp_path, text, told):
    execute(settings("kd"), tmp_path / "run")
    (tmp_path / "run" / run_files.SETTINGS).write_text(text)
    with pytest.raises(ValueError, match=told):
        execute(settings("kd"), tmp_path / "run")
