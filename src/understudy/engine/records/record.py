"""The log of a run: one JSON object a line, and the checks that losses and weights are finite."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from understudy.engine.records import checkpoint
from understudy.processes import mean_of_all
from understudy.spec import RunFailedError
from understudy.spec.run_files import LOG

_ADVICE = (
    "Lower optim.lr (phases.NAME.lr: one phase's alone) or the term's weight (terms.NAME.weight), or try "
    "--precision float32"
)


class NotFiniteError(RunFailedError):
    """A loss, or a weight, became infinite or not a number."""


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """The log of the run in this folder, first line first."""
    return [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]


def check_weights(network: nn.Module, where: str) -> None:
    """Raises NotFiniteError that names the first trained weight which is not finite."""
    trained = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    # One reading of the device for all of them.
    if not trained or nn.utils.get_total_norm(trained.values()).isfinite():
        return
    # The squares of large weights overflow before the weights do.
    broken = [name for name, weight in trained.items() if not weight.isfinite().all()]
    if broken:
        raise NotFiniteError(f"the weights {broken[0]} are not finite {where}. {_ADVICE}")


class Record:
    """Terms of every step, kept on the device and read once every `log_every` steps.

    Reading a value waits for the device, so it happens rarely; a loss that is not finite is still reported with the
    very step at which it arose. `send` is called with each line that is written.
    """

    def __init__(self, folder: Path):
        self.path = folder / LOG
        self.send: Callable[[dict[str, Any]], None] = lambda line: None
        self.names: tuple[str, ...] = ()
        self.pending: list[Tensor] = []
        self.epoch_sum: list[float] = []
        self.epoch_steps = 0

    def start(self) -> None:
        """An empty log: lines of a run that never came to its first checkpoint are dropped."""
        self.path.write_text("", encoding="utf-8")

    def add(self, losses: dict[str, Tensor]) -> None:
        """Note one step's `loss` and terms."""
        self.names = tuple(name for name in losses if name != "output")
        self.pending.append(torch.stack([losses[name].detach().float() for name in self.names]))

    def read(self, *, last_step: int, where: str) -> dict[str, float]:
        """The mean of each term since the last reading; `last_step` is the run's step of the newest one.

        Raises NotFiniteError that names the first step and term.
        """
        if not self.pending:
            return {}
        rows = mean_of_all(torch.stack(self.pending)).cpu()
        self.pending = []
        bad = (~rows.isfinite()).nonzero()
        if len(bad):
            self._complain(rows, int(bad[0, 0]), last_step - len(rows) + 1 + int(bad[0, 0]), where)
        sums = rows.double().sum(dim=0).tolist()
        self.epoch_sum = [a + b for a, b in zip(self.epoch_sum or [0.0] * len(sums), sums, strict=True)]
        self.epoch_steps += len(rows)
        return {name: value / len(rows) for name, value in zip(self.names, sums, strict=True)}

    def end_epoch(self) -> dict[str, float]:
        """The mean of each term over the epoch; starts the next one."""
        means = {name: value / self.epoch_steps for name, value in zip(self.names, self.epoch_sum, strict=True)}
        self.epoch_sum, self.epoch_steps = [], 0
        return means

    def write(self, kind: str, **values: Any) -> None:
        """Append one line."""
        line = {"kind": kind, **values}
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            # A full disk's own error names no file.
            raise OSError(error.errno or 0, error.strerror or str(error), str(self.path)) from error
        self.send(line)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold for the log to go on as if nothing had happened."""
        with self.path.open("a", encoding="utf-8") as file:
            file.flush()
            os.fsync(file.fileno())
        return {
            "bytes": self.path.stat().st_size,
            "names": list(self.names),
            "epoch_sum": list(self.epoch_sum),
            "epoch_steps": self.epoch_steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to the checkpoint's place: later lines are cut off."""
        found = self.path.stat().st_size if self.path.exists() else 0
        if found < state["bytes"]:
            raise ValueError(
                f"{self.path} has {found} bytes, and its {checkpoint.FILE} goes on after {state['bytes']}: they are "
                f"not of one moment; copy both together, or remove the checkpoint to start this run again"
            )
        with self.path.open("r+b") as file:
            file.truncate(state["bytes"])
        self.names = tuple(state["names"])
        self.epoch_sum, self.epoch_steps = list(state["epoch_sum"]), state["epoch_steps"]
        self.pending = []

    def _complain(self, rows: Tensor, row: int, step: int, where: str) -> None:
        values = dict(zip(self.names, rows[row].tolist(), strict=True))
        terms = {name: value for name, value in values.items() if name != "loss" and not math.isfinite(value)}
        named = (
            ", ".join(f"term {name} is {value}" for name, value in terms.items()) or f"their sum is {values['loss']}"
        )
        raise NotFiniteError(f"the loss is not finite at step {step} ({where}): {named}. {_ADVICE}")
