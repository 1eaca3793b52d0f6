"""Every number beside scikit-learn's, or a loop's."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score

from understudy.engine.measure.measurement import measure, measure_alike

NAMES = tuple("abcdefgh")


@pytest.fixture
def answers(generator):
    """Logits of 200 images and labels that no image of class h has."""
    logits = 2.0 * torch.randn(200, 8, generator=generator)
    return logits, torch.randint(7, (200,), generator=generator)


def test_the_sums_are_scikit_learns(answers):
    logits, labels = answers
    found = measure(logits, labels, NAMES)
    probabilities = logits.double().softmax(dim=1).numpy()
    top = {k: 100 * top_k_accuracy_score(labels, logits, k=k, labels=range(8)) for k in (1, 5)}
    assert (found.accuracy_pct, found.top5_pct) == (pytest.approx(top[1]), pytest.approx(top[5]))
    assert found.error_pct == 100.0 - found.accuracy_pct and found.num_images == 200
    assert found.nll == pytest.approx(log_loss(labels, probabilities, labels=range(8)))
    assert found.mean_confidence_pct == pytest.approx(100 * probabilities.max(axis=1).mean())
    expected = confusion_matrix(labels, logits.argmax(dim=1), labels=range(8))
    assert np.array_equal(np.array(found.confusion), expected)


def test_a_class_has_its_share_and_what_it_is_mostly_taken_for():
    answered = torch.tensor([0, 0, 1, 2, 2, 2, 1])
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1])
    found = measure(10.0 * torch.eye(4)[answered], labels, ("cat", "dog", "ship", "truck"))
    cat, dog, ship, _ = found.per_class
    assert (cat.num_images, cat.accuracy_pct, cat.taken_for, cat.taken_for_pct) == (5, 40.0, "ship", 40.0)
    assert (dog.num_images, dog.accuracy_pct, dog.taken_for, dog.taken_for_pct) == (2, 50.0, "ship", 50.0)
    assert (ship.num_images, ship.accuracy_pct, ship.taken_for) == (0, None, None)
    assert found.top5_pct is None


def test_very_large_logits_give_finite_numbers():
    found = measure(torch.tensor([[1e4, 0.0], [0.0, 1e4]]), torch.tensor([0, 0]), ("a", "b"))
    assert found.nll == pytest.approx(5e3) and found.mean_confidence_pct == 100.0 and found.ece_pct == 50.0


def test_agreement_with_a_teacher_is_the_share_of_equal_answers_and_the_mean_divergence(generator):
    student, teacher = (torch.randn(50, 4, generator=generator) for _ in range(2))
    found = measure_alike(student, teacher)
    equal = sum(int(s.argmax() == t.argmax()) for s, t in zip(student, teacher, strict=True))
    divergence = 0.0
    for s, t in zip(student.double().softmax(1).tolist(), teacher.double().softmax(1).tolist(), strict=True):
        divergence += sum(b * math.log(b / a) for a, b in zip(s, t, strict=True))
    assert found.equal_pct == 100.0 * equal / 50 and found.kl == pytest.approx(divergence / 50)
    same = measure_alike(student, student)
    assert same.equal_pct == 100.0 and same.kl == pytest.approx(0.0, abs=1e-12)
