"""All benchmarks, each in a fresh process, into results.json and the page README.md; or some of them, printed.

python -m benchmarks                        everything (`make bench`), under 20 minutes on two cores
python -m benchmarks training:kd scale:loader
python -m benchmarks --page                 the page again, from results.json
"""

import argparse
import importlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.page import write_page
from understudy.engine import facts
from understudy.precision import choose_device

FOLDER = Path(__file__).parent
# Module, or module:argument of its `measure`.
PARTS = (
    "losses",
    "jacobian",
    "training:kd",
    "training:ofd",
    "training:ab/initialise",
    "training:none",
    "cached",
    "torchdistill_kd",
    "compile_time:kd",
    "scale:loader",
    "scale:decoding",
    "scale:losses",
    "scale:epochs",
)


def run_part(name: str, *, quick: bool) -> dict[str, Any]:
    """What a part measures, in this process."""
    module, _, argument = name.partition(":")
    measure = importlib.import_module(f"benchmarks.{module}").measure
    options = {"quick": True} if quick and "quick" in inspect.signature(measure).parameters else {}
    return measure(*([argument] if argument else []), **options)


def timed(name: str, *, quick: bool) -> dict[str, Any]:
    """A part's result, or how it failed, with its time and how busy the machine was when it began."""
    load, started = os.getloadavg()[0], time.perf_counter()
    found = _run_here(name) if quick else _run_in_a_process(name)
    return {"wall_s": round(time.perf_counter() - started, 1), "load_at_start": round(load, 2), **found}


def _run_here(name: str) -> dict[str, Any]:
    """Tiny, in this process: nothing is measured that a process before it could disturb."""
    try:
        return {"result": json.loads(json.dumps(run_part(name, quick=True)))}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _run_in_a_process(name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        words = [sys.executable, "-m", "benchmarks", name, "--out", str(out)]
        done = subprocess.run(words, cwd=FOLDER.parent, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            return {"result": json.loads(out.read_text(encoding="utf-8"))[name]}
    print(done.stderr, file=sys.stderr)
    return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}


def run_all(*, quick: bool) -> dict[str, Any]:
    """Every part after the other, each in a fresh process but for quick ones, with what they were measured on."""
    started = time.perf_counter()
    results: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "hardware": facts.hardware(choose_device("auto")),
        "threads": torch.get_num_threads(),
        "versions": facts.versions(),
        "parts": {},
    }
    for name in PARTS:
        print(f"{name} ...", end=" ", flush=True)
        results["parts"][name] = found = timed(name, quick=quick)
        print(f"{found['wall_s']:.0f} s" + (f", failed: {found['error']}" if "error" in found else ""), flush=True)
    results["wall_s"] = round(time.perf_counter() - started, 1)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="*", help=f"some of {', '.join(PARTS)} (default: all, each in a fresh process)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether everything runs, not how fast")
    parser.add_argument("--out", type=Path, help="the JSON file to write (default for all: benchmarks/results.json)")
    parser.add_argument("--page", action="store_true", help="only write the page, from the results that are there")
    wanted = parser.parse_args()
    unknown = [name for name in wanted.part if name.partition(":")[0] not in {part.partition(":")[0] for part in PARTS}]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; known are {', '.join(PARTS)}")
    # Everything here is of processors, as the peers' figures are; for CUDA there is benchmarks.gpu.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if wanted.part:
        text = json.dumps({name: run_part(name, quick=wanted.quick) for name in wanted.part}, indent=1)
        print(text) if wanted.out is None else wanted.out.write_text(text + "\n", encoding="utf-8")
        return
    out = wanted.out or FOLDER / "results.json"
    if not wanted.page:
        results = run_all(quick=wanted.quick)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    results = json.loads(out.read_text(encoding="utf-8"))
    write_page(results, out.parent)
    print(f"{out} and {out.parent / 'README.md'}")
    if any("error" in part for part in results["parts"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
