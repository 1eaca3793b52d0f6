"""Runs with other optimisers and schedules than the default."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine.stopping import stops_after
from understudy.engine import execute
from understudy.engine.loop import StoppedError
from understudy.spec import read_settings

# Fifty images in batches of 25, three epochs: six steps.
BASE = {"task": "train", "student.model": "digits-1x4", "data.name": "digits", "data.per_class": 5, "epochs": 3}
WORDS = ["batch_size=25", "run.compile=off", "run.precision=float32", "run.eval_every=3"]


def run(out, *words, display=None):
    return execute(read_settings(options=BASE, words=[*WORDS, *words]), out, display=display)


def weights(result):
    return torch.cat([parameter.detach().flatten() for parameter in result.student.parameters()])


def test_an_optimiser_that_is_fresh_at_every_step_has_no_momentum(tmp_path):
    every = ",".join(str(step / 6) for step in range(1, 6))
    common = ["optim.nesterov=false", "optim.lr=0.05", "optim.decay_rate=1.0"]
    plain = weights(run(tmp_path / "plain", *common, "optim.momentum=0.0", "optim.sched=constant"))
    milestones = f"optim.milestones=[{every}]"
    kept = weights(run(tmp_path / "kept", *common, milestones))
    fresh = weights(run(tmp_path / "fresh", *common, milestones, "optim.reset_momentum_at_milestones=true"))
    assert torch.equal(fresh, plain) and not torch.allclose(kept, plain)


@pytest.mark.parametrize(
    "words",
    [
        ["optim.opt=adamw", "optim.lr=0.003", "optim.sched=cosine"],
        ["optim.reset_momentum_at_milestones=true"],
    ],
    ids=["adamw", "reset"],
)
def test_stopped_at_any_step_it_ends_in_the_same_bits(tmp_path, words):
    whole = weights(run(tmp_path / "whole", *words))
    for last in range(1, 6):
        out = tmp_path / str(last)
        with pytest.raises(StoppedError):
            run(out, *words, display=stops_after(last))
        assert torch.equal(weights(run(out, *words)), whole)


def test_adamw_with_cosine_learns(tmp_path):
    result = run(tmp_path / "run", "epochs=30", "optim.opt=adamw", "optim.lr=0.01", "optim.sched=cosine")
    # Sixty steps; one in ten is right by chance.
    assert result.accuracy_pct > 40.0


class Skipping(nn.Module):
    """Some blocks are left out at random in training, which Python and numpy draw; each has its part of the answer."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(3))

    def forward(self, images):
        draws = random.random(), np.random.rand(), 0.0
        kept = [block for block, draw in zip(self.blocks, draws, strict=True) if draw < 0.5 or not self.training]
        return torch.stack([block(images) for block in kept]).sum(dim=0)


def test_layers_that_are_reached_later_than_others_learn_and_a_run_goes_on_with_their_draws(tmp_path):
    """The fused SGD of torch takes no gradient of a parameter that was left out of its first step."""

    def skip(out, display=None):
        torch.manual_seed(0)
        student = Skipping()
        before = copy.deepcopy(student.state_dict())
        found = execute(
            read_settings(options=BASE, words=[*WORDS, "run.seed=0"]), out, student=student, display=display
        )
        assert all(not torch.equal(before[name], value) for name, value in found.student.state_dict().items())
        return weights(found)

    whole = skip(tmp_path / "whole")
    for last in (1, 2, 4):
        with pytest.raises(StoppedError):
            skip(tmp_path / str(last), display=stops_after(last))
        assert torch.equal(skip(tmp_path / str(last)), whole)
