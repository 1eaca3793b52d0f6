"""What compiling costs and saves: the first step with nothing on disk, with all of it, and what each later step gains.

Each first step is taken in a fresh process with a cache folder of its own; the second process finds the first one's.

    python -m benchmarks compile_time:kd
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.pair import PAPER, QUICK, plan_for, random_data, settings_for
from benchmarks.step import whole_step
from benchmarks.timing import alternate, figures, ratios, spread
from understudy.engine.memory.kept import keep_freed_memory
from understudy.engine.plan import Plan

BLOCKS, STEPS, WARM_UP = 6, 5, 2
ROOT = Path(__file__).parent.parent


def measure(method: str = "kd", *, quick: bool = False) -> dict[str, Any]:
    """Seconds of the first step, cold and from the disk, and from how many multiply-adds on compiling pays."""
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (_first_step(method, folder, quick) for _ in range(2))
        num_bytes = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    # The step without compiling takes part of the time that the cache saves: it is nearly none of it.
    saved_s = cold["eager_s"]["median"] - cold["compiled_s"]["median"]
    saved_per_1e12 = 1e12 * saved_s / cold["multiply_adds"]
    return {
        "method": method,
        "cold_s": cold["first_step_s"],
        "warm_s": warm["first_step_s"],
        "cache_mib": figures(num_bytes / 2**20),
        **{key: cold[key] for key in ("eager_s", "compiled_s", "eager_over_compiled", "multiply_adds")},
        "saved_s_per_1e12_multiply_adds": figures(saved_per_1e12),
        "earned_back_from_multiply_adds": figures(1e12 * cold["first_step_s"] / saved_per_1e12)
        if saved_s > 0
        else None,
    }


def _first_step(method: str, cache: str, quick: bool) -> dict[str, Any]:
    program = f"import json; from benchmarks.compile_time import here; print(json.dumps(here({method!r}, {quick})))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def here(method: str, quick: bool) -> dict[str, Any]:
    """The first compiled step of this process, and later ones in alternation with uncompiled ones."""
    keep_freed_memory()
    pair, blocks = (QUICK, 1) if quick else (PAPER, BLOCKS)
    settings = settings_for(pair, method, compiles=False if quick else None)
    data = random_data(pair, 10 * pair.batch_size)
    plans = [plan_for(pair, settings, data) for _ in range(2)]
    precision = plans[0].choose_precision()
    compiled, eager = whole_step(plans[0], precision), whole_step(plans[1], replace(precision, compile=False))
    once = alternate({"compiled": compiled, "eager": eager}, blocks=1, num_steps=1, device=precision.device)
    for _ in range(WARM_UP):
        compiled()
        eager()
    times = alternate({"compiled": compiled, "eager": eager}, blocks=blocks, num_steps=STEPS, device=precision.device)
    return {
        "first_step_s": figures(once["compiled"][0]),
        "compiled_s": spread(times["compiled"]),
        "eager_s": spread(times["eager"]),
        "eager_over_compiled": ratios(times["eager"], times["compiled"]),
        "multiply_adds": _step_multiply_adds(plans[0]),
    }


def _step_multiply_adds(plan: Plan) -> int:
    """As the engine counts them: the teacher goes forward, the student's backward costs twice its forward."""
    return plan.settings.batch_size * (
        3 * plan.sizes["student"]["multiply_adds"] + plan.sizes.get("teacher", {"multiply_adds": 0})["multiply_adds"]
    )
