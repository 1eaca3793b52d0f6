"""How networks are left after a look at them."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from understudy.modes import undisturbed


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: torch.rand(1).item()])
def test_no_generator_moves_in_a_stretch_that_disturbs_nothing(draw):
    before = draw(), draw()
    with undisturbed(nn.BatchNorm2d(2)):
        drawn = draw()
    after = draw()
    assert drawn == after and len({*before, drawn}) == 3
