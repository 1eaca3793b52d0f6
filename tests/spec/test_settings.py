"""Epochs and phases: what is asked of a run, and how it is divided."""

import pytest

from understudy.spec import Settings, epochs_per_phase

STUDENT = {"student": {"model": "wrn16-2"}}


@pytest.mark.parametrize(
    ("asked", "shares", "expected"),
    [
        ((1, 5), (20 / 120, 100 / 120), (1, 5)),
        ((1, 5), (1.0,), (6,)),
        ((6,), (20 / 120, 100 / 120), (1, 5)),
        ((120,), (20 / 120, 100 / 120), (20, 100)),
        ((2,), (20 / 120, 100 / 120), (1, 1)),
        ((7,), (1.0,), (7,)),
        ((4,), (0.45, 0.45, 0.1), (1, 2, 1)),
        ((3,), (0.45, 0.45, 0.1), (1, 1, 1)),
    ],
)
def test_epochs_are_taken_summed_or_divided_by_the_phases_shares(asked, shares, expected):
    assert epochs_per_phase(asked, shares) == expected


@pytest.mark.parametrize("asked", [(1,), (1, 2, 3)])
def test_epochs_that_fit_no_phases_are_an_error(asked):
    with pytest.raises(ValueError, match="phases"):
        epochs_per_phase(asked, (0.5, 0.5))


@pytest.mark.parametrize(("written", "expected"), [("1+5", (1, 5)), ("20", (20,)), (20, (20,)), ([3, 12], (3, 12))])
def test_epochs_are_read_in_every_way_one_writes_them(written, expected):
    assert Settings.model_validate({**STUDENT, "epochs": written}).epochs == expected


def test_settings_are_fixed_once_made():
    settings = Settings.model_validate(STUDENT)
    with pytest.raises(ValueError, match="frozen"):
        settings.batch_size = 3


def test_the_defaults_are_the_authors_recipe():
    optim = Settings.model_validate(STUDENT).optim
    assert (optim.lr, optim.momentum, optim.nesterov, optim.weight_decay) == (0.1, 0.9, True, 5e-4)
    assert (optim.sched, optim.milestones, optim.decay_rate) == ("multistep", (0.3, 0.6, 0.8), 0.2)
