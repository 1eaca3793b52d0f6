"""Training on a CUDA device: images/s at several batch sizes, and several students trained at once on one device.

Needs a CUDA device of compute capability 7.0 or more (bfloat16 units from 8.0 on) and Triton, which comes with torch;
no data set. Everything lies on the device: random uint8 images of CIFAR's shape, augmented there. After `--minutes` no
further part is started, and those left out are named.

    python -m benchmarks.gpu [--out benchmarks/gpu.json]
    python -m benchmarks.gpu --device cpu --quick

KD at each batch size is measured in alternating blocks with the floor (the two networks alone on a resident batch,
compiled alike): compiled as the engine does, compiled into CUDA graphs, and once not compiled. `waiting_share` is the
part of a block that was left when the processor had handed over the last step: near 0, the device waits for the
processor, and a graph or a larger batch helps; near 1 it does not. OFD, AB's first phase and the student
alone follow at the first batch size.

Several students share one teacher, one batch and one program: their weights are stacked, and vmap makes one operation
of theirs. Each learns exactly what it would have learnt alone.
"""

import argparse
import copy
import gc
import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.func import functional_call, stack_module_state

from benchmarks.pair import PAPER, QUICK, Pair, floor, network, plan_for, random_data, settings_for
from benchmarks.step import endless, whole_step
from benchmarks.timing import block, figures, ratios, spread, wait_for
from understudy.engine import facts
from understudy.engine.memory.kept import keep_freed_memory
from understudy.engine.rates.schedule import make_optimizer
from understudy.precision import Precision, can_compile, has_fast_bfloat16
from understudy.spec import OptimSettings, write_whole

BATCH_SIZES, NUM_STUDENTS = (512, 128, 2048), (4, 8)
OTHERS = ("ofd", "ab", "none")
NUM_IMAGES, BLOCKS, STEPS, WARM_UP = 50_000, 5, 20, 5
# torch.compile's options for each way; the first batch size is measured uncompiled too.
WAYS: dict[str, dict[str, Any]] = {"graphs": {"mode": "reduce-overhead"}, "compiled": {}}


def measure(
    device: torch.device,
    *,
    quick: bool = False,
    minutes: float = 9.0,
    keep: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Everything, on this device; `quick` with tiny networks and one block, nothing compiled.

    A part that fails has its error in place of numbers. `keep` has what there is after each part: a machine may be
    taken back at any moment.
    """
    started = time.perf_counter()
    precision = Precision(
        device=device,
        dtype=torch.bfloat16 if has_fast_bfloat16(device) else torch.float32,
        channels_last=True,
        compile=not quick and can_compile(device),
    )
    parts = _parts(precision, quick)
    found: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "precision": precision.facts(),
        "hardware": facts.hardware(device),
        "versions": facts.versions(),
        "cuda": torch.version.cuda,
        "parts": {},
        "not_run": [*parts],
    }
    for name, part in parts.items():
        if time.perf_counter() - started > 60 * minutes:
            break
        print(name, "...", file=sys.stderr, flush=True)
        found["not_run"].remove(name)
        try:
            found["parts"][name] = part()
        except Exception as error:
            traceback.print_exc()
            found["parts"][name] = {"error": f"{type(error).__name__}: {error}"}
        found["wall_s"] = figures(time.perf_counter() - started)
        keep(found)
    return found


def _parts(precision: Precision, quick: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured, the most telling first."""
    sizes, counts = ((QUICK.batch_size,), (2,)) if quick else (BATCH_SIZES, NUM_STUDENTS)
    ways = WAYS if precision.compile else {}
    parts: dict[str, Callable[[], dict[str, Any]]] = {}
    for size in sizes:
        pair = replace(QUICK if quick else PAPER, batch_size=size)
        for way, options in ways.items():
            parts[f"kd {way}, batch {size}"] = partial(one_student, pair, precision, options, quick)
        if size == sizes[0]:
            eager = replace(precision, compile=False)
            parts[f"kd uncompiled, batch {size}"] = partial(one_student, pair, eager, {}, quick)
            for count in counts:
                parts[f"kd {count} students at once, batch {size}"] = partial(
                    several_students, pair, precision, count, quick
                )
    first = replace(QUICK if quick else PAPER, batch_size=sizes[0])
    for method in OTHERS:
        parts[f"{method}, batch {sizes[0]}"] = partial(one_student, first, precision, {}, quick, method)
    return parts


# One student --------------------------------------------------------------------------------------------------------


def one_student(
    pair: Pair, precision: Precision, options: dict[str, Any], quick: bool, method: str = "kd"
) -> dict[str, Any]:
    """Images/s of whole steps of the method's first phase, and how many times the floor's time each takes.

    `first_step_s` is what the first step took, nearly all of it compiling. Graphs that torch left out, for which it
    gives no error, are counted in `graphs_skipped`.
    """
    # One part after the other: graphs of several would each hold the memory of a step.
    _forget_compiled(precision.device)
    data = random_data(pair, 4 * pair.batch_size if quick else NUM_IMAGES)
    settings = settings_for(pair, method, compiles=precision.compile)
    own = whole_step(plan_for(pair, settings, data), precision, **options)
    bare = floor(pair, precision, with_teacher=method != "none", **options)
    first_step_s = block(own, 1, precision.device)
    for step in (own, bare):
        block(step, WARM_UP, precision.device)
    times: dict[str, list[float]] = {"own": [], "floor": [], "waiting": []}
    for _ in range(1 if quick else BLOCKS):
        seconds, waiting = _handed_over(own, precision.device)
        times["own"].append(seconds)
        times["waiting"].append(waiting)
        times["floor"].append(block(bare, STEPS, precision.device))
    return {
        "images_per_s": spread([pair.batch_size / one for one in times["own"]]),
        "floor_images_per_s": spread([pair.batch_size / one for one in times["floor"]]),
        "over_floor": ratios(times["own"], times["floor"]),
        "waiting_share": spread(times["waiting"]),
        "first_step_s": figures(first_step_s),
        "graphs_skipped": counters["inductor"]["cudagraph_skips"],
        "peak_memory_mib": _peak_memory(precision.device),
    }


def _handed_over(step: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    """Seconds per step, and the share of the block in which the processor only waited for the device."""
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    handed_over = time.perf_counter()
    wait_for(device)
    ended = time.perf_counter()
    return (ended - started) / STEPS, (ended - handed_over) / (ended - started)


# Several students ---------------------------------------------------------------------------------------------------


class Together:
    """Students of one kind whose weights are stacked, with one optimiser: a step trains each as if it were alone.

    All see the same images. The loss is cross-entropy plus KD at T = 4 for each, and their sum is minimised: SGD treats
    every weight by itself, so that no student's step depends on another's.
    """

    def __init__(self, students: list[nn.Module], teacher: nn.Module, precision: Precision, optim: OptimSettings):
        self.precision = precision
        self.teacher = precision.place(teacher).eval().requires_grad_(False)
        placed = [precision.place(student).train() for student in students]
        self.parameters, self.buffers = stack_module_state(placed)
        self.student = copy.deepcopy(placed[0]).to("meta")
        self.optimizer = make_optimizer(list(self.parameters.values()), optim)
        self.losses = torch.compile(self._losses, dynamic=False) if precision.compile else self._losses

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Each student's loss (students,), before the step."""
        with self.precision.autocast():
            losses = self.losses(images, labels)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        self.optimizer.step()
        return losses.detach()

    def _losses(self, images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = F.log_softmax(self.teacher(images).float() / 4.0, dim=1)

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            logits = functional_call(self.student, (parameters, buffers), (images,)).float()
            own = F.log_softmax(logits / 4.0, dim=1)
            return F.cross_entropy(logits, labels) + 16.0 * (wanted.exp() * (wanted - own)).sum(dim=1).mean()

        return torch.vmap(one)(self.parameters, self.buffers)


def several_students(pair: Pair, precision: Precision, num_students: int, quick: bool) -> dict[str, Any]:
    """Images/s counted once for each student; the teacher answers each batch once for all of them."""
    _forget_compiled(precision.device)
    data = random_data(pair, 4 * pair.batch_size if quick else NUM_IMAGES)
    plan = plan_for(pair, settings_for(pair, "kd", compiles=precision.compile), data)
    students = [network(pair.student) for _ in range(num_students)]
    together = Together(students, network(pair.teacher), precision, plan.settings.optim)
    batches = endless(plan, precision)

    def step() -> Tensor:
        return together.step(*next(batches))

    block(step, WARM_UP, precision.device)
    times = [block(step, STEPS, precision.device) for _ in range(1 if quick else BLOCKS)]
    return {
        "images_per_s": spread([num_students * pair.batch_size / one for one in times]),
        "peak_memory_mib": _peak_memory(precision.device),
    }


# The device -----------------------------------------------------------------------------------------------------------


def _forget_compiled(device: torch.device) -> None:
    torch.compiler.reset()
    counters.clear()
    # What reads the networks refers to itself, and would hold their memory.
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory(device: torch.device) -> float | None:
    return figures(torch.cuda.max_memory_allocated(device) / 2**20) if device.type == "cuda" else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to see that it runs")
    parser.add_argument("--quick", action="store_true", help="tiny networks, one block, nothing compiled")
    parser.add_argument("--minutes", type=float, default=9.0, help="after these, no further part is started")
    parser.add_argument("--out", type=Path, help="a JSON file to write (default: print)")
    wanted = parser.parse_args()
    device = torch.device(wanted.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "benchmarks.gpu needs a CUDA device and a torch built for CUDA; found none. "
            "--device cpu --quick shows that it runs, on the processor and with tiny networks"
        )
    keep_freed_memory()

    def keep(found: dict[str, Any]) -> None:
        if wanted.out is not None:
            write_whole(wanted.out, json.dumps(found, indent=1) + "\n")

    found = measure(device, quick=wanted.quick, minutes=wanted.minutes, keep=keep)
    if wanted.out is None:
        print(json.dumps(found, indent=1))
    if any("error" in part for part in found["parts"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
