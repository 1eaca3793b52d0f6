"""What the fast precision costs in accuracy: the same runs in bfloat16, compiled, and in float32, over several seeds.

    python -m benchmarks.accuracy --teacher-weights FILE --runs runs/accuracy

WRN 22-4 teaches WRN 16-2 on CIFAR-10 by KD, OFD and AB, the student beginning with parts of its teacher, the rate
falling to nothing at the end. Runs of few steps differ by their seed more than by the tenths of a point that are looked
for: on an eighth of the images (--percent 12.5, KD, three seeds, two cores without AMX) they end at 52 to 66 %
error, on half of them seeds are still a point apart. A run that was stopped goes on, a finished one is only read.
"""

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import torch

from understudy.engine import execute, facts
from understudy.spec import read_settings

METHODS = {"kd": "2", "ofd": "2", "ab": "1+1"}
PRECISIONS = ("float32", "bfloat16")


def settings_words(percent: float, precision: str) -> list[str]:
    """What both runs have, and that the one in bfloat16 is compiled, as the benchmarks are."""
    compiled = "run.compile=on" if precision == "bfloat16" else "run.compile=off"
    same = ["student.from_teacher=true", "optim.sched=onecycle", "run.eval_every=99"]
    return [f"data.percent={percent:g}", *same, compiled]


def error_of(method: str, precision: str, seed: int, wanted: argparse.Namespace) -> float:
    """Of one run, in per cent; the student is measured in float32 at the end of either."""
    options = {
        "teacher.model": "wrn22-4",
        "teacher.weights": str(wanted.teacher_weights),
        "student.model": "wrn16-2",
        "method.name": method,
        "data.name": "cifar10",
        "epochs": METHODS[method],
        "run.seed": seed,
        "run.precision": precision,
    }
    settings = read_settings(options=options, words=settings_words(wanted.percent, precision))
    result = execute(settings, wanted.runs / f"{method}-{precision}-seed{seed}")
    return 100.0 - result.accuracy_pct


def compare(errors: dict[str, list[float]]) -> dict[str, Any]:
    """Both precisions' errors, and the mean difference with its standard error over the pairs of seeds."""
    pairs = [low - high for low, high in zip(errors["bfloat16"], errors["float32"], strict=True)]
    spread = statistics.stdev(pairs) / math.sqrt(len(pairs)) if len(pairs) > 1 else math.nan
    means = {precision: round(statistics.mean(values), 2) for precision, values in errors.items()}
    return {
        "error_pct": {precision: [round(value, 2) for value in values] for precision, values in errors.items()},
        "mean_error_pct": means,
        "difference_points": round(statistics.mean(pairs), 2),
        "standard_error_points": round(spread, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher-weights", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"), help="where the runs go")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "accuracy.json", help="the file to add to")
    parser.add_argument("--percent", type=float, default=100.0, help="of the training images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS)
    wanted = parser.parse_args()
    found: dict[str, Any] = json.loads(wanted.out.read_text(encoding="utf-8")) if wanted.out.exists() else {}
    machine = {"versions": facts.versions(), "hardware": facts.hardware(torch.device("cpu"))}
    for method in wanted.methods:
        errors = {p: [error_of(method, p, seed, wanted) for seed in wanted.seeds] for p in PRECISIONS}
        what = {"epochs": METHODS[method], "percent": wanted.percent, "seeds": wanted.seeds}
        found[method] = {**what, **compare(errors), **machine}
        print(method, json.dumps(found[method]), flush=True)
        wanted.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
