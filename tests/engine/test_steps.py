"""Between two lines of the log, nothing is read back from the device: the processor never waits for it."""

import json

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from understudy.engine import execute
from understudy.engine.display import silent
from understudy.methods import find

pytestmark = pytest.mark.slow

METHODS = ["kd", "ab+kd", "ofd", "at+kd", "nst", "fitnet", "fsp", "ft", "rkd", "dtl", "lp", "selective", "jacobian"]
# Whose teacher is differentiated, so that no answer of it can be stored.
LIVE_ONLY = {"jacobian"}
# Each of these waits for the device: the value, or the number of values, has to be known to go on.
READS = {
    "lift_fresh",
    "_local_scalar_dense",
    "item",
    "is_nonzero",
    "equal",
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
}


class NothingIsRead(TorchDispatchMode):
    """Notes every operation that needs a value on the processor."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        # An index of truth values is a nonzero inside.
        selects = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in READS or selects:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def between_steps(enter, leave):
    """A display that enters before each phase's third step and leaves after its fifth."""
    display, steps = silent(), 0

    def start(name, num_steps, done):
        nonlocal steps
        steps = 0

    def step():
        nonlocal steps
        steps += 1
        if steps == 2:
            enter()
        elif steps == 5:
            leave()

    display.start, display.step = start, step
    return display


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("teacher", ["live", "stored"])
def test_a_step_reads_nothing_back_from_the_device(settings, tmp_path, monkeypatch, method, teacher):
    if teacher == "stored" and method in LIVE_ONLY:
        pytest.skip("its teacher is always asked")
    watch, watched = NothingIsRead(), []

    def no_copy(*_, **__):
        raise AssertionError("a tensor's values were copied out during a step")

    def enter():
        for name in ("tolist", "numpy", "cpu"):
            monkeypatch.setattr(torch.Tensor, name, no_copy)
        watched.append(watch.__enter__())

    def leave():
        watch.__exit__(None, None, None)
        monkeypatch.undo()

    # Answers that depend on the batch, as OFD's teacher has them, are not stored.
    stored = ("data.views=1", f"run.teacher_cache={tmp_path / 'cache'}", "method.teacher_mode=eval")
    wanted = settings(method, "data.percent=50", *(stored if teacher == "stored" else ()), epochs="1+1")
    run = execute(wanted, tmp_path / "run", display=between_steps(enter, leave))
    assert watch.found == [] and len(watched) == len(run.summary["phases"])
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    phases = {line["phase"]: line.get("teacher") for line in lines if line["kind"] == "epoch"}
    terms = {phase.name: bool(phase.terms) for phase in find(method).phases}
    assert teacher == "live" or all(phases[name] == "stored" for name in phases if terms[name])


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_a_step_never_waits_for_a_cuda_device(settings, tmp_path, method):
    display = between_steps(
        lambda: torch.cuda.set_sync_debug_mode("error"), lambda: torch.cuda.set_sync_debug_mode("default")
    )
    words = ("data.percent=50", "run.device=cuda")
    execute(settings(method, *words, epochs="1+1"), tmp_path / "run", display=display)
