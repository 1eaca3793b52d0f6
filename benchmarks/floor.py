"""How close a whole training step is to its floor.

The floor: teacher forward, student forward and backward, optimiser step, on one batch that stays in memory, in the same
precision and compiled in the same way, with nothing else. The whole step adds data, augmentation, positions, losses,
connectors and the record. Both are measured in one process, in alternating blocks, for each phase of a finished run.

    python benchmarks/floor.py RUN [--out results/ab_table1.floor.json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from understudy.data import Batches
from understudy.distiller import Distiller
from understudy.engine import facts
from understudy.engine.memory import keep_freed_memory
from understudy.engine.plan import Plan, make_plan
from understudy.engine.precision import Precision
from understudy.engine.record import Record
from understudy.engine.schedule import make_optimizer
from understudy.spec import Settings

BLOCKS, STEPS_PER_BLOCK, WARM_UP = 6, 5, 3


def whole_step(plan: Plan, precision: Precision, phase: int, folder: Path) -> Callable[[], None]:
    """One step of the run as the engine takes it."""
    for network in (plan.student, plan.teacher):
        if network is not None:
            precision.place(network)
    example = torch.zeros(2, *plan.data.image_shape, device=precision.device)
    distiller = Distiller(plan.student, plan.teacher, plan.method, example)
    precision.place(distiller)
    distiller.enter(phase)
    if precision.compile:
        distiller.compile(dynamic=False)
    batches = endless(
        Batches(
            plan.data.train,
            batch_size=plan.settings.batch_size,
            mean=plan.data.mean,
            std=plan.data.std,
            augment=plan.data.augment,
            seed=0,
            device=precision.device,
            channels_last=precision.channels_last,
        )
    )
    optimizer, record = make_optimizer(distiller.phase_parameters(), plan.settings.optim), Record(folder)

    def step() -> None:
        images, labels = next(batches)
        with precision.autocast():
            losses = distiller(images, labels)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        optimizer.step()
        record.add(losses)

    return step


def endless(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    epoch = 0
    while True:
        epoch += 1
        yield from batches.epoch(epoch)


def bare_step(plan: Plan, precision: Precision, phase: int) -> Callable[[], None]:
    """The floor: a cross-entropy stands for the loss, the batch never changes."""
    student = precision.place(plan.student).train()
    teacher = plan.teacher if plan.method.phases[phase].terms else None
    if teacher is not None:
        precision.place(teacher).eval().requires_grad_(False)
    if precision.compile:
        for network in (student, teacher):
            if network is not None:
                network.compile(dynamic=False)
    images = torch.randn(plan.settings.batch_size, *plan.data.image_shape, device=precision.device)
    images = images.to(memory_format=torch.channels_last) if precision.channels_last else images
    labels = torch.zeros(len(images), dtype=torch.long, device=precision.device)
    optimizer = make_optimizer(list(student.parameters()), plan.settings.optim)

    def step() -> None:
        with precision.autocast():
            if teacher is not None:
                with torch.no_grad():
                    teacher(images)
            loss = F.cross_entropy(student(images).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def block(step: Callable[[], None], device: torch.device) -> float:
    """Seconds per step over one block."""
    started = time.perf_counter()
    for _ in range(STEPS_PER_BLOCK):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / STEPS_PER_BLOCK


def measure(settings: Settings, folder: Path, phase: int) -> dict[str, Any]:
    """Images/s of both, and the ratio of their times with its smallest and largest value over pairs of blocks."""
    plan = make_plan(settings)
    precision = plan.choose_precision()
    whole = whole_step(plan, precision, phase, folder)
    bare = bare_step(make_plan(settings, data=plan.data), precision, phase)
    for _ in range(WARM_UP):
        whole(), bare()
    pairs = [(block(whole, precision.device), block(bare, precision.device)) for _ in range(BLOCKS)]
    ratios = sorted(own / floor for own, floor in pairs)
    return {
        "method": settings.method.name,
        "phase": plan.method.phases[phase].name,
        "images_per_s": round(settings.batch_size / statistics.median(own for own, _ in pairs), 1),
        "floor_images_per_s": round(settings.batch_size / statistics.median(floor for _, floor in pairs), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        "precision": precision.facts(),
        "versions": facts.versions(),
        "hardware": facts.hardware(precision.device),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+", help="folders of runs; their settings are measured")
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    wanted = parser.parse_args()
    keep_freed_memory()
    found = []
    for folder in wanted.run:
        settings = Settings.model_validate(yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8")))
        for phase in range(len(make_plan(settings).method.phases)):
            one = measure(settings, folder, phase)
            found.append(one)
            low, high = one["ratio_range"]
            print(
                f"{one['method']} {one['phase']}: {one['images_per_s']:.0f} images/s, "
                f"floor {one['floor_images_per_s']:.0f} images/s, "
                f"time over floor {one['ratio']:.2f} ({low:.2f} to {high:.2f})",
                flush=True,
            )
    if wanted.out is not None:
        wanted.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
