"""A small teacher and settings for runs that take a second."""

import pytest
import torch

from understudy.models import build, save_weights
from understudy.spec import read_settings

METADATA = {"model": "digits-2x6", "data": "digits"}


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory):
    """An untrained teacher: enough to have activation boundaries."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_weights(build("digits-2x6", num_classes=10, in_channels=1), path, METADATA)
    return path


@pytest.fixture
def settings(teacher_file):
    """A function from a method and words (section.key=value) to the settings of a short run on some digits."""

    def make(method="ab+kd", *words, **options):
        teacher = {"teacher.model": "digits-2x6", "teacher.weights": str(teacher_file)} if method != "none" else {}
        wanted = {
            "student.model": "digits-1x4",
            "method.name": method,
            "data.name": "digits",
            "data.percent": 20,
            "epochs": "1+2",
            "batch_size": 32,
            **teacher,
            **options,
        }
        return read_settings(options=wanted, words=words)

    return make
