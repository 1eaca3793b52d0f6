"""What a run says of the images it selects."""

import json
from dataclasses import replace

import pytest
import torch

from understudy.data import load
from understudy.distiller import Distiller
from understudy.engine import execute
from understudy.engine.selection import found_wrong
from understudy.methods import LOGITS, find
from understudy.models import build, load_weights


def test_precision_is_of_the_dropped_and_recall_of_the_mislabelled():
    keep = torch.tensor([True, False, False, True, False, True])
    assert found_wrong(keep, {1: 0, 2: 0, 3: 0}) == {
        "mislabelled": 3,
        "mislabelled_dropped": 2,
        "precision_pct": pytest.approx(200 / 3),
        "recall_pct": pytest.approx(200 / 3),
    }
    assert found_wrong(torch.ones(4, dtype=torch.bool), {1: 0}) == {
        "mislabelled": 1, "mislabelled_dropped": 0, "precision_pct": None, "recall_pct": 0.0,
    }  # fmt: skip


def test_a_run_writes_down_which_images_are_mislabelled_and_how_many_the_selection_finds(settings, tmp_path):
    words = ("data.mislabel=0.2", "terms.selective.keep=0.6")
    execute(settings("selective", *words, epochs=1), tmp_path / "run")
    summary, listed = (json.loads((tmp_path / "run" / n).read_text()) for n in ("summary.json", "mislabelled.json"))
    right, wrong = load("digits", percent=20).train.labels, load("digits", percent=20, mislabel=0.2).train.labels
    assert listed == [
        {"image": place, "label": str(int(wrong[place])), "right": str(int(right[place]))}
        for place in (right != wrong).nonzero()[:, 0].tolist()
    ]
    found = summary["selection"]["selective"]
    assert found["mislabelled"] == len(listed) > 50
    assert found["recall_pct"] == pytest.approx(100 * found["mislabelled_dropped"] / len(listed))
    dropped = found["images"] - found["kept"]
    assert found["precision_pct"] == pytest.approx(100 * found["mislabelled_dropped"] / dropped)


chosen_from = []


def first_five(embeddings, labels):
    """Stands in for the graph cut: a choice that can be told from the labels."""
    chosen_from.append(embeddings)
    return labels < 5


def test_the_terms_look_at_the_very_images_that_were_chosen(settings, tmp_path, monkeypatch):
    method = find("selective")
    (term,) = method.terms
    phases = (replace(method.phases[0], terms=(replace(term, select=first_five, options={}),)),)
    seen, forward = [], Distiller.forward

    def noted(self, images, labels, keep=None, known=None):
        seen.append((labels, keep))
        return forward(self, images, labels, keep, known)

    monkeypatch.setattr(Distiller, "forward", noted)
    chosen_from.clear()
    wanted = settings("selective", epochs=2)
    execute(wanted, tmp_path / "run", method=replace(method, phases=phases))
    assert len(seen) > 4 and all(torch.equal(keep, labels < 5) for labels, keep in seen)
    assert any(keep.any() and not keep.all() for _, keep in seen)
    # And they are chosen from the teacher's embeddings of the images as they are, in order.
    data, teacher = load("digits", percent=20), build("digits-2x6", num_classes=10, in_channels=1)
    load_weights(teacher, wanted.teacher.weights)
    embeddings = []
    teacher.fc.register_forward_pre_hook(lambda module, inputs: embeddings.append(inputs[0]))
    with torch.no_grad():
        teacher.eval()((data.train.images.float() - data.mean[0]) / data.std[0])
    torch.testing.assert_close(chosen_from[0], embeddings[0], rtol=1e-4, atol=1e-5)


def selecting(select, **changes):
    method = find("selective")
    term = replace(method.terms[0], select=select, options={}, **changes)
    return replace(method, phases=(replace(method.phases[0], terms=(term,)),))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda labels: labels, r"torch.int64 of shape \(\d+,\)"),
        (lambda labels: labels[:4] > 2, r"torch.bool of shape \(4,\)"),
        (lambda labels: [True] * len(labels), "a list"),
    ],
)
def test_a_selection_that_is_no_truth_value_for_each_image_is_told(settings, tmp_path, answer, found):
    def own(features, labels):
        return answer(labels)

    with pytest.raises(ValueError, match=rf"selective: select answered {found}; expected .* torch.bool of shape"):
        execute(settings("selective", epochs=1), tmp_path / "run", method=selecting(own))


def test_images_are_selected_by_logits_too(settings, tmp_path):
    seen = []

    def sure(logits, labels):
        seen.append(logits)
        return logits.softmax(dim=1).amax(dim=1) > 0.3

    method = selecting(sure, tap=LOGITS, student=None)
    execute(settings("selective", epochs=1), tmp_path / "run", method=method)
    (logits,) = seen
    assert logits.ndim == 2 and logits.shape[1] == 10 and logits.dtype == torch.float32


def test_a_run_with_the_labels_as_they_are_says_nothing_of_wrong_ones(settings, tmp_path):
    execute(settings("selective", epochs=1), tmp_path / "run")
    assert not (tmp_path / "run" / "mislabelled.json").exists()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary["selection"]["selective"]) == {"kept", "images"}
