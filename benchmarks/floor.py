"""How close a whole training step is to its floor.

The floor of distillation: teacher forward, student forward and backward, optimiser step, on one batch that stays in
memory, in the same precision and compiled in the same way, with nothing else. Prints images/s of the floor of each
phase of a run, and the ratio of the run's own speed to it when a run's folder is given.

    python benchmarks/floor.py --run runs/ab_table1/.../ab+kd-1+1-seed0 [--steps 30]
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from understudy.engine.memory import keep_freed_memory
from understudy.engine.precision import Precision
from understudy.engine.schedule import make_optimizer
from understudy.models import build
from understudy.spec import OptimSettings


def floor(run: dict, with_teacher: bool, num_steps: int) -> list[float]:
    """Seconds of each step of the bare pair on a resident batch; a plain cross-entropy stands for the loss."""
    used = run["precision"]
    precision = Precision(
        device=torch.device(used["device"]),
        dtype=getattr(torch, used["dtype"]),
        channels_last=used["channels_last"],
        compile=used["compile"],
    )
    channels, height, width = run["data"]["image_shape"]
    classes = run["data"]["classes"]
    student = precision.place(build(run["student"]["name"], num_classes=classes, in_channels=channels)).train()
    teacher = precision.place(build(run["teacher"]["name"], num_classes=classes, in_channels=channels)).eval()
    teacher.requires_grad_(False)
    if precision.compile:
        student.compile(dynamic=False)
        teacher.compile(dynamic=False)
    images = torch.randn(run["batch_size"], channels, height, width, device=precision.device)
    images = images.to(memory_format=torch.channels_last) if precision.channels_last else images
    labels = torch.randint(classes, (run["batch_size"],), device=precision.device)
    optimizer = make_optimizer(list(student.parameters()), OptimSettings())
    times = []
    for _ in range(num_steps + 5):
        started = time.perf_counter()
        with precision.autocast():
            if with_teacher:
                with torch.no_grad():
                    teacher(images)
            loss = F.cross_entropy(student(images).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if precision.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return times[5:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--steps", type=int, default=30)
    wanted = parser.parse_args()
    keep_freed_memory()
    run = json.loads((wanted.run / "run.json").read_text(encoding="utf-8"))
    summary = json.loads((wanted.run / "summary.json").read_text(encoding="utf-8"))
    for phase, speeds in zip(run["method"]["phases"], summary["phases"], strict=True):
        times = floor(run, with_teacher=bool(phase["terms"]), num_steps=wanted.steps)
        bare = run["batch_size"] / statistics.median(times)
        quartiles = statistics.quantiles(times, n=4)
        spread = (quartiles[2] - quartiles[0]) / statistics.median(times)
        print(
            f"{run['name']} {phase['name']}: run {speeds['images_per_s']:.0f} images/s, floor {bare:.0f} images/s "
            f"(quartile spread {100 * spread:.0f} %), ratio {bare / speeds['images_per_s']:.2f}"
        )


if __name__ == "__main__":
    main()
