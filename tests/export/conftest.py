"""A finished run whose student can be exported."""

import pytest

from understudy.engine import execute
from understudy.spec import read_settings


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A student that has looked at some digits once; only read."""
    wanted = {"task": "train", "student.model": "digits-1x4", "data.name": "digits", "epochs": 1, "batch_size": 64}
    return execute(read_settings(options=wanted), tmp_path_factory.mktemp("finished") / "run").folder
