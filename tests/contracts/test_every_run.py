"""What is true of a whole run, for every method: it learns, its student is a plain network, and a kill costs no bit."""

import itertools
import json

import pytest
import torch

from understudy.distiller import Distiller
from understudy.engine import execute
from understudy.engine.display import silent
from understudy.methods import LOGITS, METHODS, adjust, find
from understudy.models import build, load_weights, save_weights
from understudy.spec import read_settings

# One with two phases is in the fast tests.
EVERY = [pytest.param(name, marks=[] if name == "ab+kd" else [pytest.mark.slow]) for name in METHODS]


class Killed(Exception):
    """Stands in for a signal: nothing of the run gets to say goodbye."""


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    """A teacher that has seen all digits for a few epochs."""
    folder = tmp_path_factory.mktemp("teacher")
    options = {"task": "train", "student.model": "digits-1x8", "data.name": "digits", "epochs": 3, "batch_size": 64}
    execute(read_settings(options=options, words=["optim.sched=onecycle"]), folder / "run")
    return folder / "run" / "student.safetensors"


@pytest.fixture
def settings(teacher_file):
    def make(method, *words, epochs, per_class):
        options = {
            "student.model": "digits-1x4",
            "teacher.model": "digits-1x8",
            "teacher.weights": str(teacher_file),
            "method.name": method,
            "data.name": "digits",
            "data.per_class": per_class,
            "epochs": "+".join([str(epochs)] * len(find(method).phases)),
            "batch_size": 25,
        }
        return read_settings(options=options, words=words)

    return make


def killed_at(step):
    """A display that ends the process's work in this step."""
    display, steps = silent(), iter(range(1, 10**6))

    def count():
        if next(steps) == step:
            raise Killed

    display.step = count
    return display


@pytest.mark.parametrize("name", EVERY)
def test_learns_what_it_sets_out_to_learn(name, settings, tmp_path):
    # Balanced, because the papers' weights are for networks of another size.
    result = execute(settings(name, "run.balance=1", "run.log_every=1", epochs=12, per_class=10), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    for phase in find(name).phases:
        steps = [line["terms"] for line in lines if line["kind"] == "steps" and line["phase"] == phase.name]
        quarter = len(steps) // 4
        # A weight that moves hides whether its term is learnt.
        moving = {term.name for term in phase.terms if term.schedule is not None}
        for term in steps[0].keys() - moving:
            values = [line[term] for line in steps]
            assert sum(values[-quarter:]) < sum(values[:quarter]), f"{phase.name}, {term}: {values}"
    last = find(name).phases[-1]
    if last.labels or any(term.tap == LOGITS for term in last.terms):
        assert result.accuracy_pct > 20.0


@pytest.mark.parametrize("name", EVERY)
def test_killed_and_started_again_it_ends_in_the_same_bits(name, settings, tmp_path):
    wanted = settings(name, "run.checkpoint_every=2", epochs=3, per_class=5)
    untouched = execute(wanted, tmp_path / "untouched")
    num_steps = 6 * len(find(name).phases)
    for step in {3, num_steps - 1}:
        with pytest.raises(Killed):
            execute(wanted, tmp_path / f"killed{step}", display=killed_at(step))
        again = execute(wanted, tmp_path / f"killed{step}")
        assert again.summary["student_sha256"] == untouched.summary["student_sha256"]


@pytest.mark.parametrize("name", EVERY)
def test_the_student_that_is_left_is_a_plain_network(name, settings, tmp_path):
    result = execute(settings(name, epochs=1, per_class=5), tmp_path / "run")
    plain = build("digits-1x4", num_classes=10, in_channels=1)
    load_weights(plain, tmp_path / "run" / "student.safetensors")
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in result.student.parameters())
    assert result.summary["parameters"] == sum(p.numel() for p in plain.parameters())


def lines_of(folder, kind):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_gradients_are_written_down_at_each_phases_start_and_on_demand(settings, tmp_path):
    execute(settings("ab+kd", "run.gradients_every=4", epochs=3, per_class=5), tmp_path / "run")
    found = lines_of(tmp_path / "run", "gradients")
    # Two steps an epoch: after the fourth step of each phase, which ends an epoch; the sixth ends the phase.
    places = [("initialise", 0), ("initialise", 4), ("train", 6), ("train", 10)]
    assert [(line["phase"], line["step"]) for line in found] == places
    execute(settings("ab+kd", "run.gradients_every=3", epochs=3, per_class=5), tmp_path / "other")
    found = lines_of(tmp_path / "other", "gradients")
    assert [line["step"] for line in found] == [0, 3, 6, 9]
    assert all(set(line["relative"]) == {"ab" if line["phase"] == "initialise" else "kd"} for line in found)
    assert all(line["task"] > 0 for line in found)


def test_balanced_every_terms_gradient_is_the_asked_multiple_of_the_tasks(settings, tmp_path):
    execute(settings("rkd", "run.balance=0.5", epochs=2, per_class=5), tmp_path / "run")
    (line,) = lines_of(tmp_path / "run", "gradients")
    assert line["relative"] == pytest.approx({"rkd_distance": 0.5, "rkd_angle": 0.5}, rel=1e-3)
    assert set(line["balanced_by"]) == {"rkd_distance", "rkd_angle"}


def test_balanced_is_the_mean_of_several_batches(settings, tmp_path, monkeypatch):
    """Two steps an epoch: of two epochs' batches where a phase has them, and no more than eight."""
    measure, seen = Distiller.gradient_norms, []

    def counted(self, images, labels, keep=None):
        seen.append((self.phase.name, images))
        # The second batch of each phase has no image for the term.
        return {**measure(self, images, labels, keep), **({"kd": 0.0} if len(seen) == 2 else {})}

    monkeypatch.setattr(Distiller, "gradient_norms", counted)
    execute(settings("kd", "run.balance=0.5", epochs=2, per_class=5), tmp_path / "run")
    (line,) = lines_of(tmp_path / "run", "gradients")
    assert len(seen) == 4 and line["relative"] == {"kd": 0.5}
    assert not any(torch.equal(one, other) for (_, one), (_, other) in itertools.combinations(seen, 2))
    seen.clear()
    execute(settings("ab+kd", "run.balance=0.5", epochs=5, per_class=5), tmp_path / "long")
    assert [name for name, _ in seen] == ["initialise"] * 8 + ["train"] * 8


def test_looking_at_gradients_changes_no_bit(settings, tmp_path):
    plain = execute(settings("bss", epochs=2, per_class=5), tmp_path / "plain")
    looked = execute(settings("bss", "run.gradients_every=1", epochs=2, per_class=5), tmp_path / "looked")
    assert plain.summary["student_sha256"] == looked.summary["student_sha256"]


def test_the_method_is_told_where_its_phase_stands(settings, tmp_path, monkeypatch):
    told, at = [], Distiller.at

    def noted(self, progress, epochs):
        told.append((self.phase_index, progress, epochs))
        at(self, progress, epochs)

    monkeypatch.setattr(Distiller, "at", noted)
    wanted = settings("ab+kd", epochs=2, per_class=5)
    execute(wanted, tmp_path / "whole")
    # Two steps an epoch; a phase's start looks at its gradients first.
    phases = [[(index, done / 4, done / 2) for done in (0, *range(4))] for index in (0, 1)]
    assert told == [*phases[0], *phases[1]]
    told.clear()
    with pytest.raises(Killed):
        execute(
            settings("ab+kd", "run.checkpoint_every=1", epochs=2, per_class=5), tmp_path / "run", display=killed_at(7)
        )
    told.clear()
    execute(wanted, tmp_path / "run")
    assert told == phases[1][3:]


def test_a_selection_is_written_down_and_leaves_as_many_as_were_asked(settings, tmp_path):
    execute(settings("selective", "terms.selective.keep=0.6", epochs=1, per_class=20), tmp_path / "run")
    (line,) = lines_of(tmp_path / "run", "selection")
    assert line["images"] == 200 and 120 <= line["kept"] < 200


def test_a_teacher_of_other_classes_teaches_through_a_head_of_its_own(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "teacher.safetensors"
    save_weights(build("digits-1x8", num_classes=7, in_channels=1), path)
    from understudy import distil, load_data

    teacher = build("digits-1x8", num_classes=7, in_channels=1)
    load_weights(teacher, path)
    data = load_data("digits", per_class=5)
    result = distil("digits-1x4", teacher, data, method="ab+dtl", epochs=2, folder=tmp_path / "run")
    assert result.summary["teacher_scores"] is None
    with pytest.raises(ValueError, match="7; dtl gives the student a head"):
        distil("digits-1x4", teacher, data, method="kd", epochs=2, folder=tmp_path / "other")


def test_a_folder_of_another_declaration_is_not_gone_on_with(settings, tmp_path):
    wanted = settings("kd", epochs=2, per_class=5)
    execute(wanted, tmp_path / "run", method=METHODS["kd"])
    with pytest.raises(ValueError, match="another declaration of KD"):
        execute(wanted, tmp_path / "run", method=adjust(METHODS["kd"], terms={"kd": {"weight": 2.0}}))


def test_the_student_is_measured_every_so_many_epochs_and_at_each_phases_end(settings, tmp_path):
    execute(settings("kd", "run.eval_every=2", epochs=5, per_class=5), tmp_path / "run")
    assert [bool(line["scores"]) for line in lines_of(tmp_path / "run", "epoch")] == [False, True, False, True, True]


def test_a_run_of_long_epochs_is_killed_and_ends_in_the_same_bits(settings, tmp_path):
    wanted = settings("ab+kd", "data.epoch_images=120", "phases.train.lr=0.02", epochs=2, per_class=5)
    whole = execute(wanted, tmp_path / "whole").summary
    # 4 steps of 25 images an epoch, from 50 images.
    assert [phase["images"] for phase in whole["phases"]] == [200, 200]
    with pytest.raises(Killed):
        execute(wanted, tmp_path / "run", display=killed_at(6))
    assert execute(wanted, tmp_path / "run").summary["student_sha256"] == whole["student_sha256"]
    rates = {line["lr"] for line in lines_of(tmp_path / "whole", "steps") if line["phase"] == "train"}
    assert max(rates) <= 0.02
