"""Retrieval as a run: on digits divided by class, five to train on and five to search among."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from understudy.data import load
from understudy.engine import execute
from understudy.engine.display import silent
from understudy.engine.doctor.examine import examine
from understudy.engine.evaluate.assess import assess
from understudy.engine.loop import StoppedError
from understudy.engine.plan import make_plan
from understudy.engine.rates.auto import AutoRates
from understudy.export.export import export_run
from understudy.models import read_metadata
from understudy.spec import SettingsError, read_settings
from understudy.tasks.recall import recall_pct

BASE = {"student.model": "digits-1x4", "data.name": "digits-disjoint", "batch_size": 40, "epochs": 2, "optim.lr": 0.05}


def settings(*words, task="train", **options):
    named = {"task": task, "retrieval.loss": "multi_similarity", **BASE}
    return read_settings(options=named | options, words=["run.compile=off", "run.precision=float32", *words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run."""
    return execute(settings(), tmp_path_factory.mktemp("retrieval") / "run")


def test_a_run_learns_to_find_digits_that_it_has_never_seen(trained):
    assert list(trained.scores) == [f"recall_at_{k}_pct" for k in (1, 2, 4, 8)]
    assert trained.summary["headline"] == "recall_at_1_pct"
    scores = list(trained.scores.values())
    # One in five is right by chance.
    assert scores[0] > 60.0 and scores == sorted(scores)


def test_which_pairs_count_is_a_setting_that_is_checked_before_anything_runs(tmp_path):
    run = execute(settings("retrieval.loss=triplet", "retrieval.miner=distance_weighted"), tmp_path / "run")
    assert run.scores["recall_at_1_pct"] > 50.0
    with pytest.raises(ValueError, match="retrieval.miner=hard chooses pairs of images, and arcface compares none"):
        make_plan(settings("retrieval.loss=arcface", "retrieval.miner=hard"))


def test_the_classifiers_own_weights_are_not_kept_and_the_file_says_what_it_is(tmp_path):
    words = ("retrieval.loss=cross_entropy", "retrieval.options.width=16", "retrieval.length=6")
    run = execute(settings(*words, epochs=1), tmp_path / "run")
    weights = load_file(run.folder / "student.safetensors")
    assert weights["fc.0.weight"].shape[0] == 6
    assert not any("classify" in name or "losses" in name for name in weights)
    assert json.loads(read_metadata(run.folder / "student.safetensors")["embedding"])["length"] == 6


class OfOneSize(torch.nn.Module):
    """A classifier of images of 4x4 alone, as vision transformers are of 224x224."""

    def __init__(self, num_classes):
        super().__init__()
        self.flatten, self.fc1, self.fc2 = torch.nn.Flatten(), torch.nn.Linear(16, 12), torch.nn.Linear(12, num_classes)

    def forward(self, images):
        return self.fc2(torch.relu(self.fc1(self.flatten(images))))


def test_a_network_of_one_size_is_asked_at_its_own(tmp_path, monkeypatch):
    (tmp_path / "one_size.py").write_text(f"from {__name__} import OfOneSize\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = {"student.model": "one_size:OfOneSize"}
    with pytest.raises(ValueError, match="the student does not take images of 1x8x8"):
        make_plan(settings(**own))
    run = execute(settings(**own, **{"student.size": 4, "epochs": 1}), tmp_path / "run")
    export_run(run.folder, ["safetensors"])
    taught = settings(
        task="distill",
        **{"method.name": "rkd", "teacher.model": "one_size:OfOneSize", "epochs": 1},
        **{"teacher.weights": str(run.folder / "student.safetensors")},
    )
    assert make_plan(taught).teacher.sizes == [(4, 4)]


def test_the_score_is_that_of_the_sum_of_image_and_mirror(trained):
    plan = make_plan(settings())
    data, network = plan.data, plan.student
    network.load_state_dict(load_file(trained.folder / "student.safetensors"))
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    images = (data.test.images.float() - mean) / std
    with torch.no_grad():
        vectors = network.eval()(images) + network(images.flip(3))
    assert recall_pct(vectors, data.test.labels, (1, 8)) == {
        k: pytest.approx(trained.scores[f"recall_at_{k}_pct"]) for k in (1, 8)
    }
    other = plan.task.measure(network, data.test, replace(data, gallery=data.test), plan.choose_precision())
    assert other["recall_at_1_pct"] == 100.0  # each image finds itself in a gallery of the same images


def test_evaluate_measures_the_file_alone_as_the_run_did(trained, tmp_path):
    found = assess(str(trained.folder))
    assert found["scores"] == {name: pytest.approx(value) for name, value in trained.scores.items()}
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((trained.folder / "student.safetensors").read_bytes())
    beside = assess(str(alone), teacher=str(trained.folder))
    assert beside["scores"] == found["scores"] == beside["teacher"]["scores"]


def test_a_finished_run_is_only_read_and_named_by_its_loss(trained):
    assert json.loads((trained.folder / "run.json").read_text())["method"]["title"] == "Multi-similarity"
    again = execute(settings(), trained.folder)
    assert again.scores == trained.scores


def test_a_run_that_was_stopped_ends_in_the_same_bits(trained, tmp_path):
    """With batches by class, and a classifier with dropout that the student's file does not have."""
    words = ("retrieval.loss=cross_entropy", "retrieval.images_per_class=2", "retrieval.options.width=16")
    execute(settings(*words, epochs=1), tmp_path / "whole")
    display = silent()
    seen = []

    def step():
        seen.append(1)
        if len(seen) == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    display.step = step
    with pytest.raises(StoppedError):
        execute(settings(*words, epochs=1), tmp_path / "stopped", display=display)
    assert len(seen) < 20
    execute(settings(*words, epochs=1), tmp_path / "stopped")
    files = [(tmp_path / name / "student.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert files[0] == files[1]


def test_an_embedding_has_no_confusion_and_says_so_before_it_is_measured(trained, monkeypatch):
    monkeypatch.setattr("understudy.engine.evaluate.assess.make_ready", None)
    with pytest.raises(ValueError, match="--confusion: digits-.* does not answer classes; leave it out"):
        assess(str(trained.folder), needs_classes=True)


@pytest.mark.parametrize("method", ["rkd", "at"])
def test_a_teacher_of_embeddings_teaches_a_student_of_another_length(trained, tmp_path, method):
    taught = execute(
        settings(
            "retrieval.length=5",
            task="distill",
            **{
                "teacher.model": "digits-1x4",
                "teacher.weights": str(trained.folder / "student.safetensors"),
                "method.name": method,
                "epochs": 1,
            },
        ),
        tmp_path / "run",
    )
    facts = json.loads((taught.folder / "run.json").read_text())
    assert facts["teacher"]["scores"]["recall_at_1_pct"] == pytest.approx(trained.scores["recall_at_1_pct"], abs=0.2)
    assert taught.scores["recall_at_1_pct"] > 30.0


def test_a_student_of_embeddings_alone_is_measured_while_it_learns(trained, tmp_path):
    taught = execute(
        settings(
            "method.labels=false",
            "data.validation=0.4",
            task="distill",
            **{
                "teacher.model": "digits-1x4",
                "teacher.weights": str(trained.folder / "student.safetensors"),
                "method.name": "rkd",
                "epochs": 2,
            },
        ),
        tmp_path / "run",
    )
    lines = [json.loads(line) for line in (taught.folder / "metrics.jsonl").read_text().splitlines()]
    scores = [line["scores"] for line in lines if line["kind"] == "epoch"]
    assert len(scores) == 2 and all("recall_at_1_pct" in each["validation"] for each in scores)
    assert (taught.folder / "best.safetensors").exists()


def test_an_ensemble_of_heads_is_trained_kept_and_read_again(tmp_path):
    words = ("retrieval.ensemble=hdhe", "retrieval.loss=cross_entropy", "retrieval.options.width=8")
    run = execute(settings(*words, **{"student.model": "resnet8", "epochs": 1, "data.percent": 20}), tmp_path / "run")
    rates = {one["pattern"]: one["factor"] for one in json.loads((run.folder / "run.json").read_text())["rates"]}
    assert rates == {
        "trunk": 0.5, "heads.0": 0.5, "heads.1": 4.0, "objective.losses.0": 0.5, "objective.losses.1": 4.0
    }  # fmt: skip
    found = assess(str(run.folder))
    assert found["scores"] == {name: pytest.approx(value) for name, value in run.scores.items()}
    assert found["parameters"] == sum(
        value.numel()
        for name, value in load_file(run.folder / "student.safetensors").items()
        if "running" not in name and "num_batches" not in name
    )


def test_heads_learn_from_pairs_as_well_with_losses_that_have_nothing_to_learn(tmp_path):
    words = ("retrieval.ensemble=hdhe", "retrieval.loss=triplet")
    run = execute(settings(*words, **{"student.model": "resnet8", "epochs": 1, "data.percent": 20}), tmp_path / "run")
    rates = {one["pattern"]: one["factor"] for one in json.loads((run.folder / "run.json").read_text())["rates"]}
    assert rates == {"trunk": 0.5, "heads.0": 0.5, "heads.1": 4.0}


def test_weights_of_a_classifier_are_where_the_embedding_sets_out(tmp_path):
    digits = {"data.name": "digits", "data.percent": 10, "epochs": 1}
    first = execute(read_settings(options={"task": "train", **BASE, **digits}), tmp_path / "first")
    weights = first.folder / "student.safetensors"
    plan = make_plan(settings(**{"student.weights": str(weights)}))
    started, kept = plan.student.state_dict(), load_file(weights)
    assert plan.left_random == []
    assert all(torch.equal(value, kept[name]) for name, value in started.items())
    assert set(kept) - set(started) == {"fc.weight", "fc.bias"}


def test_the_doctor_finds_nothing_wrong_with_such_a_pair(trained):
    words = {
        "teacher.model": "digits-1x4",
        "teacher.weights": str(trained.folder / "student.safetensors"),
        "method.name": "rkd",
    }
    findings = examine(make_plan(settings(task="distill", **words)))
    assert not [one for one in findings if one.severity == "error"]
    assert not any("guess" in one.found or "order" in one.check for one in findings)


def test_the_exported_network_answers_unit_vectors_and_its_card_says_so(trained, tmp_path):
    export_run(trained.folder, ["safetensors", "torch"], out=tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert not (tmp_path / "model.py").exists()
    assert "a vector of length 1" in card and "recall@8 %" in card and "logits for each image" not in card
    network = torch.export.load(tmp_path / "model.pt2").module()
    answer = network(torch.randn(2, 1, 8, 8))
    torch.testing.assert_close(answer.norm(dim=1), torch.ones(2))


def test_what_cannot_be_learnt_is_said_before_anything_is_trained(tmp_path, trained):
    with pytest.raises(ValueError, match=r"digits-disjoint tests on classes that are not trained on"):
        make_plan(read_settings(options={"task": "train", **BASE}))
    with pytest.raises(ValueError, match="kd compares logits, and an embedding network has none"):
        make_plan(
            settings(
                task="distill",
                **{
                    "method.name": "kd",
                    "teacher.model": "digits-1x4",
                    "teacher.weights": str(trained.folder / "student.safetensors"),
                },
            )
        )
    with pytest.raises(ValueError, match="a batch of 42 cannot hold 4 images of each"):
        execute(settings(batch_size=42), tmp_path / "run")
    data = make_plan(settings()).data
    lonely = replace(data, test=data.test.subset([int((data.test.labels == label).nonzero()[0]) for label in (0, 1)]))
    with pytest.raises(ValueError, match="no test image has another one of its class to be found"):
        execute(settings(), tmp_path / "lonely", data=lonely)
    assert not (tmp_path / "lonely" / "metrics.jsonl").exists()
    with pytest.raises(ValueError, match="nearest: proxy_anchor"):
        make_plan(settings("retrieval.loss=proxyanchor"))
    with pytest.raises(SettingsError, match="add retrieval.feature=linear"):
        settings("retrieval.ensemble=hdhe", "retrieval.length=8")


def test_heads_of_ones_own_and_a_gallery_are_settings():
    wanted = settings(
        "retrieval.heads=[{blocks: 1, stride: 2, rate: 4}, {}]", "retrieval.shared=layer1", "retrieval.at=[1,10]"
    )
    plan = make_plan(wanted.model_copy(update={"student": wanted.student.model_copy(update={"model": "resnet8"})}))
    assert plan.student.rates == {"trunk": 4.0, "heads.0": 4.0, "heads.1": 1.0}
    # Losses of pairs have nothing to learn.
    assert plan.settings.optim.rates == plan.student.rates
    assert plan.task.headline == "recall_at_1_pct" and len(plan.objective.losses) == 2
    with pytest.raises(ValueError, match="heads side by side are in none; leave it out"):
        AutoRates(plan.student)
    assert load("digits-disjoint").gallery is None
