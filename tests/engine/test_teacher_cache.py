"""The teacher's stored answers: the live teacher's to the bit, found by what decides them, and never half of them."""

import functools
import json
import os
import re
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from understudy.data import Augment, Batches, Dataset, ImageSet
from understudy.data.batches.epochs import Showing
from understudy.data.batches.scale import Scale
from understudy.distiller import Distiller
from understudy.engine import execute
from understudy.engine.display import silent
from understudy.engine.loop import StoppedError
from understudy.engine.teacher_cache.cache import TeacherCache
from understudy.methods import METHODS, Method, Phase, adjust, find
from understudy.models import build
from understudy.precision import Precision
from understudy.spec import read_settings

pytestmark = pytest.mark.slow

PLAIN = Precision(device=torch.device("cpu"), dtype=torch.float32, channels_last=False, compile=False)
LOW = replace(PLAIN, dtype=torch.bfloat16, channels_last=True)
NUM_IMAGES, BATCH_SIZE, VIEWS = 70, 16, 3


def random_data(seed=0, **changes) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (NUM_IMAGES, 1, 8, 8), dtype=torch.uint8, generator=generator)
    labels = torch.arange(NUM_IMAGES) % 5
    part = ImageSet(images=images, labels=labels, class_names=tuple("abcde"))
    settings = {"mean": (100.0,), "std": (70.0,), "augment": Augment(pad=2)}
    return Dataset(name="random", train=part, test=part, **(settings | changes))


def settled_teacher(name="digits-2x6") -> nn.Module:
    """With running statistics of its own."""
    torch.manual_seed(0)
    teacher = build(name, num_classes=5, in_channels=1)
    for _ in range(3):
        teacher(torch.randn(16, 1, 8, 8))
    return teacher


class Setting:
    """A cache with all that it is built from; `said` is what it told."""

    def __init__(self, root, method="kd", *, teacher=None, student="digits-1x4", data=None, precision=PLAIN, **changes):
        data = data or random_data()
        options = {"batch_size": BATCH_SIZE, "seed": 7, "views": VIEWS, "augment": data.augment} | changes
        limit_gb, epochs = options.pop("limit_gb", 1.0), options.pop("epochs", None)
        method = method if isinstance(method, Method) else adjust(find(method), teacher_mode="eval")
        networks = [build(student, num_classes=5, in_channels=1), teacher or settled_teacher()]
        self.distiller = Distiller(*(precision.place(one) for one in networks), method, torch.zeros(2, 1, 8, 8))
        precision.place(self.distiller)
        augment, showing = options.pop("augment"), Showing(**options)
        scale = Scale(mean=data.mean, std=data.std, device="cpu", channels_last=precision.channels_last)
        self.batches = Batches(data.train, showing, scale, augment)
        self.precision, self.said, display = precision, [], silent()
        display.say = self.said.append
        self.cache = TeacherCache(
            root,
            limit_gb,
            distiller=self.distiller,
            batches=self.batches,
            data=data,
            epochs=epochs or (VIEWS,) * len(method.phases),
            precision=precision,
            display=display,
        )
        self.asked = 0
        live = self.distiller.wanted

        def counted(images):
            self.asked += 1
            return live(images)

        self.distiller.wanted = counted

    def fill(self, phase=0):
        self.distiller.enter(phase)
        for view in sorted({self.batches.view(epoch) for epoch in range(1, VIEWS + 1)}):
            self.cache.open(view)
        return self

    def folders(self, phase=0):
        return [store.folder.name for stores in self.cache.stores[phase].values() for store in stores]


def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.npy*"))


# Equal to the live teacher ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", [PLAIN, LOW], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["kd", "ab", "ofd", "at", "dtl", "kd_svd", "at+kd"])
def test_a_steps_rows_are_the_live_teachers_answers_to_the_bit(tmp_path, method, precision):
    made = Setting(tmp_path / "cache", method, precision=precision).fill()
    for epoch in range(1, 2 * VIEWS + 1):
        for step, (images, _) in enumerate(made.batches.epoch(epoch)):
            known = made.cache.rows(made.batches.view(epoch), made.batches.chosen(epoch, step))
            with torch.no_grad(), precision.autocast():
                live = made.distiller.wanted(images)
            assert known is not None and known.keys() == live.keys()
            for name in live:
                for found, wanted in zip(known[name], live[name], strict=True):
                    assert torch.equal(found, wanted) and found.dtype == wanted.dtype, name
                    assert found.stride() == wanted.stride(), name


def epochs_of(folder: Path) -> list[tuple[str, bool]]:
    """Phase of each epoch, and whether the log says that the teacher's answers were stored ones."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["phase"], line.get("teacher") == "stored") for line in lines if line["kind"] == "epoch"]


@pytest.mark.parametrize("method", ["kd", "ab+kd", "ofd", "at"])
def test_a_student_that_learns_from_stored_answers_is_the_one_that_learns_from_the_teacher(run, tmp_path, method):
    live = execute(run(method), tmp_path / "live")
    stored = execute(run(method, cache=tmp_path / "cache"), tmp_path / "stored")
    again = execute(run(method, cache=tmp_path / "cache"), tmp_path / "again")
    assert stored.summary["student_sha256"] == again.summary["student_sha256"] == live.summary["student_sha256"]
    assert all(is_stored for _, is_stored in epochs_of(tmp_path / "stored"))
    assert not any(is_stored for _, is_stored in epochs_of(tmp_path / "live"))


def test_the_teacher_rests_while_its_answers_are_read(tmp_path):
    made = Setting(tmp_path / "cache", "ab+kd")
    for phase in (0, 1):
        made.fill(phase)
        made.distiller.teacher.forward = None
        (images, labels), chosen = next(made.batches.epoch(2)), made.batches.chosen(2, 0)
        answer = made.distiller(images, labels, None, made.cache.rows(1, chosen))
        answer["loss"].backward()
        del made.distiller.teacher.forward
        expected = made.distiller(images, labels)
        assert torch.equal(answer["loss"], expected["loss"])


def test_a_compiled_phase_takes_stored_answers(tmp_path):
    made = Setting(tmp_path / "cache", "ab").fill()
    (images, labels), chosen = next(made.batches.epoch(1)), made.batches.chosen(1, 0)
    expected = made.distiller(images, labels)["loss"]
    made.distiller.compile(fullgraph=True, backend="aot_eager")
    known = made.cache.rows(0, chosen)
    torch.testing.assert_close(made.distiller(images, labels, None, known)["loss"], expected)


# What is asked, and what is found ---------------------------------------------------------------------------------


def test_a_view_is_filled_once_and_found_by_the_next_run(tmp_path):
    steps_of_a_view = -(-NUM_IMAGES // BATCH_SIZE)
    first = Setting(tmp_path / "cache").fill()
    assert first.asked == VIEWS * steps_of_a_view
    first.fill()
    assert first.asked == VIEWS * steps_of_a_view
    # The first batch of each view is compared with the teacher.
    assert Setting(tmp_path / "cache").fill().asked == VIEWS


def test_another_student_method_or_temperature_and_a_compiled_run_find_the_same_answers(tmp_path):
    first = Setting(tmp_path / "cache", "kd").fill()
    for other in (
        Setting(tmp_path / "cache", "kd", student="digits-1x6"),
        Setting(tmp_path / "cache", adjust(find("kd"), terms={"kd": {"temperature": 2.0}})),
        Setting(tmp_path / "cache", "kd", views=VIEWS + 2, epochs=(VIEWS,)),
        Setting(tmp_path / "cache", "kd", precision=replace(PLAIN, compile=True)),
    ):
        assert other.fill().asked >= VIEWS and other.folders() == first.folders()
    assert set(first.folders()) <= set(Setting(tmp_path / "cache", "ab+kd").folders(phase=1))


def test_terms_that_take_the_same_of_the_teacher_share_it(tmp_path):
    made = Setting(tmp_path / "cache", "rkd").fill()
    assert len(made.folders()) == 2 and len(set(made.folders())) == 1 and len(files(tmp_path / "cache")) == VIEWS
    known = made.cache.rows(0, torch.arange(4))
    assert known["rkd_distance"][0] is known["rkd_angle"][0]


def altered(change):
    teacher = settled_teacher()
    with torch.no_grad():
        change(teacher)
    return teacher


CHANGES = {
    "a weight": lambda: {"teacher": altered(lambda teacher: teacher.fc.weight[0, 0].add_(1e-3))},
    "a buffer": lambda: {"teacher": altered(lambda teacher: teacher.stage1[1].running_mean[0].add_(1e-3))},
    "the architecture": lambda: {"teacher": altered(lambda teacher: setattr(teacher, "extra", nn.ReLU6()))},
    "a pixel": lambda: {"data": random_data(seed=1)},
    "the mean": lambda: {"data": random_data(mean=(101.0,))},
    "the deviation": lambda: {"data": random_data(std=(71.0,))},
    "the augmentation": lambda: {"augment": Augment(pad=1)},
    "no augmentation": lambda: {"augment": None},
    "the seed": lambda: {"seed": 8},
    "the batch's size": lambda: {"batch_size": BATCH_SIZE + 1},
    "the type": lambda: {"precision": replace(PLAIN, dtype=torch.bfloat16)},
    "the layout": lambda: {"precision": replace(PLAIN, channels_last=True)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_anything_that_decides_the_answers_is_another_folder(tmp_path, change):
    before = Setting(tmp_path / "cache").folders()
    assert before == Setting(tmp_path / "cache").folders()
    assert not set(before) & set(Setting(tmp_path / "cache", **CHANGES[change]()).folders())


def test_so_is_another_torch(tmp_path, monkeypatch):
    before = Setting(tmp_path / "cache").folders()
    monkeypatch.setattr(torch, "__version__", "3.0")
    assert before != Setting(tmp_path / "cache").folders()


def test_without_augmentation_the_seed_decides_nothing(tmp_path):
    one, other = (Setting(tmp_path / "cache", augment=None, seed=seed).fill() for seed in (7, 8))
    assert one.folders() == other.folders() and other.asked == 1


def with_term(**changes) -> Method:
    term = replace(METHODS["ofd"].terms[0], **changes)
    return Method(title="one", paper="", phases=(Phase(name="train", terms=(term,)),))


@pytest.mark.parametrize(
    "changes",
    [
        {"tap": "after_relu"},
        {"teacher_tap": "after_relu"},
        {"teacher": None},
        {"teacher": torch.relu},
        {"options": {"form": "authors"}},
    ],
)
def test_so_is_another_teachers_side_of_a_term(tmp_path, changes):
    before = Setting(tmp_path / "cache", with_term()).folders()
    assert len(set(before)) == 3
    assert not set(before) & set(Setting(tmp_path / "cache", with_term(**changes)).folders())


def test_fewer_layers_are_found_among_more(tmp_path):
    last = Setting(tmp_path / "cache", with_term(layers="last")).folders()
    assert last == Setting(tmp_path / "cache", with_term()).folders()[-1:]


def test_maps_averaged_down_for_a_smaller_student_are_others(tmp_path):
    class Half(nn.Module):
        """A student whose maps are half as wide."""

        def __init__(self):
            super().__init__()
            self.network = build("digits-1x4", num_classes=5, in_channels=1)
            self.taps = {"before_relu": ("network.stage1", "network.stage2", "network.stage3")}

        def forward(self, images):
            return self.network(images[:, :, ::2, ::2])

    folders = []
    for student in (build("digits-1x4", num_classes=5, in_channels=1), Half()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"{__name__}.build", lambda *_, own=student, **__: own)
            folders.append(Setting(tmp_path / "cache", "ab", teacher=TEACHER).folders())
    assert not set(folders[0]) & set(folders[1])


TEACHER = settled_teacher()


def test_what_no_fingerprint_shows_is_noticed_and_filled_again(tmp_path):
    Setting(tmp_path / "cache").fill()
    made = Setting(tmp_path / "cache")
    # The same weights, the same words about it, another forward.
    forward = made.distiller.teacher.forward
    made.distiller.teacher.forward = lambda images: 2.0 * forward(images)
    made.fill()
    assert sum("not what it says now" in line for line in made.said) == VIEWS
    known = made.cache.rows(0, torch.arange(NUM_IMAGES))
    expected = torch.cat([made.distiller.wanted(images)["kd"][0] for images in made.batches.in_view(0)])
    assert torch.equal(known["kd"][0], expected[:NUM_IMAGES])


# Sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["kd", "ab+kd", "ofd"])
def test_the_size_is_said_to_the_byte_before_anything_is_written(tmp_path, method):
    made = Setting(tmp_path / "cache", method)
    assert files(tmp_path / "cache") == []
    phases = range(len(made.distiller.method.phases))
    stores = {store.folder: store for phase in phases for own in made.cache.stores[phase].values() for store in own}
    predicted = VIEWS * sum(store.rows.file_bytes(NUM_IMAGES) for store in stores.values())
    for phase in phases:
        made.fill(phase)
    assert sum(path.stat().st_size for path in files(tmp_path / "cache")) == predicted
    # Exactly so much is enough, a byte less is not.
    assert len(Setting(tmp_path / "cache", method, limit_gb=predicted / 1e9).cache.stores) == len(phases)
    assert len(Setting(tmp_path / "cache", method, limit_gb=(predicted - 1) / 1e9).cache.stores) == len(phases) - 1
    assert f"{VIEWS} views of 70 images" in made.said[0]


def test_a_phase_that_needs_too_much_asks_the_live_teacher_and_the_others_are_stored(run, tmp_path):
    made = Setting(tmp_path / "cache", "ab+kd", limit_gb=1.2e-5)
    assert list(made.cache.stores) == [1] and made.cache.rows(0, torch.arange(4)) is None
    (line,) = [line for line in made.said if "the live teacher answers" in line]
    assert "phase initialise" in line and "3 views need 18.8 kB, and 12 kB of run.teacher_cache_gb=1.2e-05" in line
    assert "data.views=1 would fit" in line
    wanted = run("ab+kd", "run.teacher_cache_gb=4e-5", cache=tmp_path / "cache")
    result, live = execute(wanted, tmp_path / "run"), execute(run("ab+kd"), tmp_path / "live")
    assert result.summary["student_sha256"] == live.summary["student_sha256"]
    assert epochs_of(tmp_path / "run") == [("initialise", False)] * 2 + [("train", True)] * 2


def test_so_does_one_for_which_the_disk_has_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    made = Setting(tmp_path / "cache")
    assert made.cache.stores == {} and made.said == [
        "teacher cache, phase train: the live teacher answers, because 3 views need 4.58 kB, and 1 kB on "
        f"{tmp_path / 'cache'} are left; not one view fits"
    ]


# Where answers cannot be stored -----------------------------------------------------------------------------------


def centred(feature):
    """Every answer depends on the whole batch."""
    return feature - feature.mean(dim=0)


def power(exponent):
    """One name for whatever exponent."""

    def raised(feature):
        return feature**exponent

    return raised


@pytest.mark.parametrize(
    ("method", "phase", "because"),
    [
        (METHODS["ofd"], "train", r"takes each batch's own statistics \(method.teacher_mode=batch\)"),
        ("ft", "paraphrase", "the guide of ft learns from its features"),
        ("bss", "train", "bss asks it about images of its own making"),
        ("at_gradient", "train", "at_gradient takes gradients of its answers by the images"),
        ("jacobian", "train", "jacobian takes gradients"),
        (with_term(teacher=power(2)), "train", "ofd.teacher is known by no name"),
        (with_term(teacher=functools.partial(torch.pow, exponent=2)), "train", "ofd.teacher is known by no name"),
        (with_term(teacher=centred), "train", "what ofd takes of it at stage1 depends on the other images"),
    ],
)
def test_a_phase_whose_answers_are_not_an_images_own_asks_the_live_teacher(tmp_path, method, phase, because):
    made = Setting(tmp_path / "cache", method)
    told = [line for line in made.said if f"phase {phase}: the live teacher answers, because" in line]
    assert len(told) == 1 and re.search(because, told[0]), made.said
    index = [one.name for one in made.distiller.method.phases].index(phase)
    made.distiller.enter(index)
    made.cache.open(0)
    assert not made.cache.serves() and made.cache.rows(0, torch.arange(3)) is None
    assert files(tmp_path / "cache") == []


def test_a_file_in_the_folders_place_is_a_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"run.teacher_cache=.*file is a file; give the name of a folder"):
        Setting(tmp_path / "file")


# Views of every epoch's own ---------------------------------------------------------------------------------------


def test_views_that_never_come_again_are_found_by_another_run(run, tmp_path):
    """Another method of the same seed; what it learns is what the live teacher teaches it."""
    cache = {"cache": tmp_path / "cache"}
    kd, live = (
        execute(run("kd", "epochs=4", "data.views=0", **one), tmp_path / name)
        for name, one in (("kd", cache), ("live", {}))
    )
    assert kd.summary["student_sha256"] == live.summary["student_sha256"]
    there = {path: path.stat().st_mtime_ns for path in files(tmp_path / "cache")}
    assert [path.name for path in there] == [f"view{view}.npy" for view in range(4)]
    other = [execute(run("ab+kd", "data.views=0", **one), tmp_path / f"ab{len(one)}") for one in (cache, {})]
    assert other[0].summary["student_sha256"] == other[1].summary["student_sha256"]
    # The boundaries of the first two epochs are new, the logits of the third and the fourth are there.
    assert {path: path.stat().st_mtime_ns for path in files(tmp_path / "cache") if path in there} == there
    assert epochs_of(tmp_path / "ab1") == [("initialise", True)] * 2 + [("train", True)] * 2


def test_a_run_that_gains_nothing_by_its_cache_says_so_once(tmp_path):
    told = "each view is shown once, so other runs gain by it, not this one (data.views=8: eight, in turn)"
    first = Setting(tmp_path / "cache", views=0)
    assert first.said.count(told) == 1
    first.fill()
    assert told not in Setting(tmp_path / "cache", views=0).said
    assert told not in Setting(tmp_path / "other", epochs=(2 * VIEWS,)).said


def test_images_that_an_epoch_draws_several_times_are_for_the_live_teacher(tmp_path, run):
    made = Setting(tmp_path / "cache", views=0, epoch_images=100)
    assert made.cache.stores == {} and made.batches.view(1) is None
    (line,) = made.said
    assert "the live teacher answers, because an epoch shows an image several times" in line and "data.views=8" in line
    again = ("data.views=0", "data.epoch_images=100")
    results = [execute(run("kd", *again, **one), tmp_path / f"{len(one)}") for one in ({}, {"cache": tmp_path / "c"})]
    assert results[0].summary["student_sha256"] == results[1].summary["student_sha256"]


# Interrupted and at once ------------------------------------------------------------------------------------------


def test_a_view_whose_filling_is_killed_is_filled_again(tmp_path):
    made, batches_seen = Setting(tmp_path / "cache", "ab"), []

    def die():
        batches_seen.append(1)
        if len(batches_seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.cache.open(0, between=die)
    assert files(tmp_path / "cache") == []
    # SIGKILL lets nobody clean up.
    path = made.cache.stores[0]["ab"][0].path(0)
    path.with_suffix(".partial.npy").write_bytes(b"half of it" * 1000)
    again = Setting(tmp_path / "cache", "ab")
    assert "there already" not in again.said[0]
    again.fill()
    assert len(files(tmp_path / "cache")) == 3 * VIEWS
    known, live = again.cache.rows(0, torch.arange(16)), again.distiller.wanted(next(again.batches.in_view(0)))
    assert all(torch.equal(*pair) for pair in zip(known["ab"], live["ab"], strict=True))


class Killed(Exception):
    """Stands in for a signal: nothing of the run gets to say goodbye."""


def test_killed_and_started_again_a_run_with_stored_answers_ends_in_the_same_bits(run, tmp_path):
    untouched = execute(run("ab+kd", "run.checkpoint_every=2", cache=tmp_path / "cache"), tmp_path / "untouched")
    wanted = run("ab+kd", "run.checkpoint_every=2", cache=tmp_path / "other")
    for number in (3, 9):
        display, steps = silent(), iter(range(1, 10**6))

        def count(steps=steps, number=number):
            if next(steps) == number:
                raise Killed

        display.step = count
        with pytest.raises(Killed):
            execute(wanted, tmp_path / "run", display=display)
    again = execute(wanted, tmp_path / "run")
    assert again.summary["student_sha256"] == untouched.summary["student_sha256"]


def test_asked_to_stop_while_a_view_is_filled_it_saves_and_goes_on_to_the_same_bits(run, tmp_path):
    wanted = run("kd", cache=tmp_path / "cache")
    display = silent()

    def say(text):
        if "answers for view 2" in text:
            os.kill(os.getpid(), signal.SIGTERM)

    display.say = say
    with pytest.raises(StoppedError, match="stopped by SIGTERM at step 8"):
        execute(wanted, tmp_path / "run", display=display)
    assert [path.name for path in files(tmp_path / "cache")] == ["view0.npy"]
    again, live = execute(wanted, tmp_path / "run"), execute(run("kd"), tmp_path / "live")
    assert again.summary["student_sha256"] == live.summary["student_sha256"]


def test_of_two_runs_at_once_one_fills_and_the_other_waits(tmp_path):
    both = [Setting(tmp_path / "cache", "ab") for _ in range(2)]
    threads = [threading.Thread(target=made.cache.open, args=(0,)) for made in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    steps_of_a_view = -(-NUM_IMAGES // BATCH_SIZE)
    # At most one comparison besides.
    assert steps_of_a_view <= sum(made.asked for made in both) <= steps_of_a_view + 1
    one, other = (made.cache.rows(0, torch.arange(NUM_IMAGES)) for made in both)
    assert all(torch.equal(*pair) for pair in zip(one["ab"], other["ab"], strict=True))


@pytest.mark.gpu
def test_on_a_device_rows_come_without_a_wait(tmp_path):
    device = torch.device("cuda")
    made = Setting(tmp_path / "cache", "ab").fill()
    here = made.cache.rows(0, torch.arange(16))
    made.cache.precision = replace(PLAIN, device=device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        there = made.cache.rows(0, torch.arange(16))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(
        torch.equal(a, b.cpu()) and b.device.type == "cuda" for a, b in zip(here["ab"], there["ab"], strict=True)
    )


@pytest.fixture
def run(teacher_file):
    """A function from a method and words to the settings of a run in float32 with two views, eight steps an epoch."""

    def make(method, *words, cache=None):
        options = {
            "student.model": "digits-1x4",
            "teacher.model": "digits-2x6",
            "teacher.weights": str(teacher_file),
            "method.name": method,
            "data.name": "digits",
            "data.percent": 20,
            "data.views": 2,
            "epochs": "+".join(["2"] * len(find(method).phases)),
            "batch_size": 32,
            "run.eval_every": 9,
            "run.teacher_cache": None if cache is None else str(cache),
        }
        return read_settings(options=options, words=["method.teacher_mode=eval", *words])

    return make


def test_epochs_longer_than_the_set_read_the_same_answers_again(tmp_path):
    options = {"epoch_images": 2 * NUM_IMAGES, "batch_size": NUM_IMAGES + 10}
    made = Setting(tmp_path / "cache", "kd", **options).fill()
    images, chosen = next(made.batches.epoch(2))[0], made.batches.chosen(2, 0)
    assert len(chosen) == NUM_IMAGES + 10
    with torch.no_grad():
        live = made.distiller.wanted(images)
    known = made.cache.rows(1, chosen)
    assert all(torch.allclose(one, other) for name in live for one, other in zip(known[name], live[name], strict=True))
    again = Setting(tmp_path / "cache", "kd", **options).fill()
    assert not [line for line in again.said if "answers for view" in line]
