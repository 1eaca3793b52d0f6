"""Numbers of the recipe that cannot work, whatever the data."""

from torch import nn

from understudy.engine.doctor.finding import Finding
from understudy.methods import Method
from understudy.modes import BATCH_NORMS
from understudy.spec import Settings

# The usual rate of SGD on images is 0.01 to 0.5.
HIGHEST_RATE = 5.0


def recipe(settings: Settings, method: Method, student: nn.Module, batch_size: int) -> list[Finding]:
    """An SGD rate of 5 or more, smoothed labels that nobody learns, and batches of one image in front of a BatchNorm.

    `batch_size` is the real one.
    """
    return _rate(settings) + _smoothing(settings, method) + _single(student, batch_size)


def _rate(settings: Settings) -> list[Finding]:
    if settings.optim.opt != "sgd" or settings.optim.lr < HIGHEST_RATE:
        return []
    return [
        Finding(
            check="learning rate",
            severity="warning",
            found=f"optim.lr={settings.optim.lr:g} with SGD and a momentum of {settings.optim.momentum:g}.",
            why="Rates from 0.01 to 0.5 are usual; at ten times as much the loss seldom stays finite.",
            do="optim.lr=0.1",
        )
    ]


def _smoothing(settings: Settings, method: Method) -> list[Finding]:
    if not settings.data.smoothing or any(phase.labels for phase in method.phases):
        return []
    return [
        Finding(
            check="labels",
            severity="warning",
            found=f"data.smoothing={settings.data.smoothing:g}, and {method.title} learns no labels.",
            why="Smoothed labels change nothing here.",
            do="method.labels=true, or leave data.smoothing out",
        )
    ]


def _single(student: nn.Module, batch_size: int) -> list[Finding]:
    norms = sum(isinstance(module, BATCH_NORMS) for module in student.modules())
    if batch_size > 1 or not norms:
        return []
    return [
        Finding(
            check="batch size",
            severity="warning",
            found=f"steps of one image in front of the student's {norms} BatchNorms.",
            why="Each image would be normalised by its own statistics, which testing does not have.",
            do="--batch-size 32, or any above 1",
        )
    ]
