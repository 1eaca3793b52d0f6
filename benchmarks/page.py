"""The page of the benchmarks, README.md, and its plots, from results.json and peers.json. Nothing here is measured."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.plots import draw_epochs, draw_losses

PEERS = Path(__file__).parent / "peers.json"
TITLES = {
    "kd": "KD",
    "ofd": "OFD",
    "ab/initialise": "AB, initialisation",
    "none": "without a teacher",
    "cached": "KD, stored answers",
}


def write_page(results: dict[str, Any], folder: Path) -> None:
    """README.md, epochs.svg and losses.svg in the folder."""
    peers = json.loads(PEERS.read_text(encoding="utf-8"))
    done = {name: part["result"] for name, part in results["parts"].items() if "result" in part}
    sections = [_head(results), _training(done, peers), _compiling(done), _losses(done, peers), _growth(done, folder)]
    sections += [_accuracy(folder), _failed(results), _gpu(folder)]
    (folder / "README.md").write_text("\n\n".join(part for part in sections if part) + "\n", encoding="utf-8")


def _head(results: dict[str, Any]) -> str:
    machine, versions = results["hardware"], results["versions"]
    quick = "\n\n**Quick run: tiny sizes, to see that everything runs. None of these numbers means anything.**"
    loads = [part["load_at_start"] for part in results["parts"].values()]
    return (
        "# How fast it is\n\n"
        "Written by `make bench` from results.json; every number stands there with its smallest and largest value. "
        "`python -m benchmarks PART` measures a part again, `--quick` shows that it runs.\n\n"
        f"{results['started']}: {machine['cpu']}, {results['threads']} threads, {machine['memory_gib']:g} GiB; Python "
        f"{versions['python']}, torch {versions['torch']}; {results['wall_s'] / 60:.0f} minutes in all. The load "
        f"average was {min(loads):.1f} to {max(loads):.1f} when the parts began: on a machine that does other "
        f"things as well, ratios hold and images/s do not.{quick if results['quick'] else ''}"
    )


# Training -------------------------------------------------------------------------------------------------------------


def _training(done: dict[str, Any], peers: dict[str, Any]) -> str:
    rows = [_training_row(name, found, peers) for name, found in _trained(done).items()]
    if not rows:
        return ""
    head = (
        "training",
        "fastest peer, recorded",
        "the same, brought to this machine",
        "goal over it",
        "ours, images/s",
        "ours over it",
        "own floor, images/s",
        "a step over the floor (goal 1.10)",
    )
    floors = [found["float32_floor_s"]["median"] for found in _trained(done).values() if "float32_floor_s" in found]
    return "\n\n".join(
        [
            "## Training end to end\n\nWRN 22-4 teaches WRN 16-2, batches of 128, as the engine takes a step: data, "
            "augmentation, both networks, losses, backward, step, record.",
            table(head, rows),
            f"Peers: {peers['where']} A recorded figure is brought to this machine by the float32 floor measured in "
            f"the same run, here {min(floors):.2f} to {max(floors):.2f} s a step: recorded x "
            f"{peers['float32_floor_s']} s / floor. The own floor is teacher forward (where there is one), student "
            "forward, backward and step on a resident batch, in the same precision and compiled alike. In brackets the "
            "smallest and the largest value over alternating blocks. No step with the live teacher can be "
            "faster than its floor, whatever the goal; values below 1 are noise. Connectors are no "
            "part of the floor: OFD's and AB's steps have them on top." + _precision(done),
            _recorded(peers),
            _torchdistill(done),
        ]
    ).rstrip()


def _trained(done: dict[str, Any]) -> dict[str, Any]:
    """Part -> its speeds under one set of names."""
    found = {}
    for name, result in done.items():
        if name.startswith("training:"):
            for phase in result["phases"]:
                found[name.partition(":")[2]] = phase
    if "cached" in done:
        stored = done["cached"]
        batch = stored["batch_size"]
        floor = stored["float32_floor_images_per_s"]
        found["cached"] = {
            "images_per_s": stored["stored_images_per_s"],
            "floor_images_per_s": stored["student_floor_images_per_s"],
            "over_floor": stored["stored_over_student_floor"],
            "float32_floor_s": {key: batch / floor[key] for key in ("median", "min", "max")},
        }
    return found


def _training_row(name: str, found: dict[str, Any], peers: dict[str, Any]) -> tuple[str, ...]:
    ours, floor = found["images_per_s"], found["floor_images_per_s"]
    recorded = peers["training_images_per_s"].get("kd" if name == "cached" else name)
    of_peer, over, floor_over = ("–", "–", "–"), "–", ""
    if recorded:
        peer, speed = max(recorded.items(), key=lambda one: one[1])
        here = speed * peers["float32_floor_s"] / found["float32_floor_s"]["median"]
        of_peer = (f"{speed:g} ({peer})", f"{here:.0f}", f"{peers['training_goals'][name]['over_peer']:g}")
        over = spread({key: value / here for key, value in ours.items() if key != "n"})
        floor_over = f", {floor['median'] / here:.2f} times the peer"
    return (TITLES[name], *of_peer, spread(ours), over, f"{spread(floor)}{floor_over}", spread(found["over_floor"]))


def _precision(done: dict[str, Any]) -> str:
    used = next((result["precision"] for name, result in done.items() if name.startswith("training:")), None)
    if used is None:
        return ""
    layout = "channels last" if used["channels_last"] else "NCHW"
    return f" Ours: {used['dtype']}, {layout}, {'compiled' if used['compile'] else 'not compiled'}."


def _recorded(peers: dict[str, Any]) -> str:
    """Every peer's own figures."""
    found = peers["training_images_per_s"]
    rows = [
        (peer, *(f"{found[method].get(peer, '–')}" for method in found))
        for peer in dict.fromkeys(peer for speeds in found.values() for peer in speeds)
    ]
    return table(("recorded, images/s", *(TITLES[method] for method in found)), rows)


def _torchdistill(done: dict[str, Any]) -> str:
    found = done.get("torchdistill_kd")
    if not found:
        return ""
    if not found["installed"]:
        return "torchdistill is not installed here: its figures are as recorded; `pip install torchdistill` adds a run."
    words = f"torchdistill {found['version']}, KD by its own loop in this run: {spread(found['images_per_s'])} images/s"
    if "training:kd" in done:
        ours = done["training:kd"]["phases"][0]["images_per_s"]["median"]
        words += f"; ours is {ours / found['images_per_s']['median']:.2f} times that"
    floor = found["float32_floor_s"]
    return f"{words}. The float32 floor beside it, with the system's own memory allocation: {spread(floor)} s a step."


# Compiling ------------------------------------------------------------------------------------------------------------


def _compiling(done: dict[str, Any]) -> str:
    rows = [
        (
            result["method"],
            f"{result['cold_s']:.1f}",
            f"{result['warm_s']:.1f}",
            f"{result['cache_mib']:.0f}",
            spread(result["eager_over_compiled"]),
            "–"
            if result["earned_back_from_multiply_adds"] is None
            else f"{result['earned_back_from_multiply_adds']:.1e}",
        )
        for name, result in done.items()
        if name.startswith("compile_time:")
    ]
    if not rows:
        return ""
    head = (
        "method",
        "first step, nothing on disk, s",
        "first step, compiled before, s",
        "on disk, MiB",
        "a step uncompiled over compiled",
        "earned back from, multiply-adds",
    )
    return (
        "## Compiling\n\nEach first step in a fresh process. Compiled code is kept in the user's cache folder "
        "(~/.cache/understudy, or where TORCHINDUCTOR_CACHE_DIR says), so that it is paid once.\n\n" + table(head, rows)
    )


# Losses ---------------------------------------------------------------------------------------------------------------


def _losses(done: dict[str, Any], peers: dict[str, Any]) -> str:
    parts = []
    if "losses" in done:
        head = (
            "loss",
            "best peer, recorded, ms / MB",
            "plain, ms",
            "ours, ms",
            "times faster (goal)",
            "floor, ms",
            "ours over the floor",
            "times faster at the floor",
            "plain, extra MB",
            "ours, extra MB",
            "our share (goal)",
        )
        rows = [_loss_row(name, found, peers["losses"].get(name)) for name, found in done["losses"].items()]
        parts += [
            "## One loss\n\nForward and backward in float32, ours compiled as the engine compiles it, against the "
            "plain definitions in reference.py, in alternating blocks; extra MB is the most beyond its inputs. The "
            "floor reads the inputs in either pass and writes the gradient, or is the connectors' own forward and "
            "backward passes as torch has them. A goal beyond it wants fewer passes through memory, or another "
            "connector.",
            table(head, rows),
            f"Peers: {peers['losses']['where']}.",
        ]
    if "jacobian" in done:
        parts += ["## Jacobian matching", table_of(done["jacobian"])]
    return "\n\n".join(parts)


def _loss_row(name: str, found: dict[str, Any], recorded: dict[str, float] | None) -> tuple[str, ...]:
    peer = "–" if recorded is None else " / ".join(f"{recorded[key]:g}" for key in ("ms", "mb") if key in recorded)
    memory_goal = f" ({found['memory_goal']:.2g})" if "memory_goal" in found else ""
    return (
        name,
        peer,
        spread(found["plain_ms"]),
        spread(found["ours_ms"]),
        f"{number(found['times_faster']['median'])} ({found['goal']:g})",
        *(_floor_cells(found) if "floor_ms" in found else ("–", "–", "–")),
        number(found["plain_mb"]),
        number(found["ours_mb"]),
        f"{number(found['memory'])}{memory_goal}",
    )


def _floor_cells(found: dict[str, Any]) -> tuple[str, str, str]:
    over = number(found["over_floor"]["median"])
    return spread(found["floor_ms"]), over, number(found["most_times_faster"]["median"])


def table_of(found: dict[str, Any]) -> str:
    """Rows by name, where every value is a dict of the same kind; one row of the plain values otherwise."""
    rows = {name: row for name, row in found.items() if isinstance(row, dict) and "median" not in row}
    rows = rows or {"": found}
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    return table(
        ("", *(column.replace("_", " ") for column in columns)),
        [(name, *(cell(row.get(column)) for column in columns)) for name, row in rows.items()],
    )


# Growth ---------------------------------------------------------------------------------------------------------------


def _growth(done: dict[str, Any], folder: Path) -> str:
    parts = []
    if "scale:loader" in done:
        found = done["scale:loader"]
        rows = [(name.replace("_", " "), spread(speed)) for name, speed in found["images_per_s"].items()]
        parts.append(
            f"The loader alone, {found['images']:,} images in batches of {found['batch_size']}:\n\n"
            + table(("batches", "images/s"), rows)
        )
    if "scale:decoding" in done:
        found = done["scale:decoding"]
        rows = [(name, spread(speed)) for name, speed in found["images_per_s"].items()]
        parts.append(
            f"From JPEG files of 500x375, decoded and cropped to 224x224 by {found['workers']} worker processes, in "
            f"batches of {found['batch_size']}; Pillow decodes in one process, and crops nothing:\n\n"
            + table(("batches", "images/s"), rows)
        )
    if "scale:epochs" in done:
        found = done["scale:epochs"]
        draw_epochs(found, folder / "epochs.svg")
        parts.append(
            f"A whole KD epoch ({found['teacher']} teaches {found['student']}, batches of {found['batch_size']}, not "
            "compiled: small networks, so that data and augmentation are a large part of a step), each in a process of "
            f"its own that sees as many images in all. The fitted exponent of the time per image is "
            f"{found['exponent']:.2f} (0: constant); the process grows by {found['memory_bytes_per_image']:,.0f} bytes "
            f"per image, of which {found['bytes_of_an_image']:,} are the image.\n\n"
            "![Time per image and memory by the number of images](epochs.svg)"
        )
    if "scale:losses" in done:
        found = done["scale:losses"]
        draw_losses(found, folder / "losses.svg")
        head = ("loss", "cost", *(f"{axis}: exponent (last step)" for axis in ("batch", "channels", "positions")))
        rows = [(name, f"`{one['cost']}`", *_exponents(one)) for name, one in found.items()]
        parts.append(
            "Losses, forward and backward in float32, against batch B, channels C (an embedding's length d) and "
            "positions P, the others fixed; the exponent is fitted over four sizes, in brackets between the two "
            "largest.\n\n![Milliseconds by batch, channels and positions](losses.svg)\n\n" + table(head, rows)
        )
    return "\n\n".join(["## How it grows", *parts]) if parts else ""


def _exponents(one: dict[str, Any]) -> list[str]:
    along = one["along"]
    return [
        f"{along[axis]['exponent']:.1f} ({along[axis]['last_exponent']:.1f})" if axis in along else "–"
        for axis in ("batch", "channels", "positions")
    ]


# The rest -------------------------------------------------------------------------------------------------------------


def _failed(results: dict[str, Any]) -> str:
    lines = [f"- {name}: {part['error']}" for name, part in results["parts"].items() if "error" in part]
    return "\n".join(["## Did not run\n", *lines]) if lines else ""


def _accuracy(folder: Path) -> str:
    """From accuracy.json, where `python -m benchmarks.accuracy` has written one."""
    file = folder / "accuracy.json"
    if not file.exists():
        return ""
    found = json.loads(file.read_text(encoding="utf-8"))
    errors = ("error in float32 (by seed)", "error in bfloat16 (by seed)", "difference, points", "its standard error")
    head = ("method", "epochs", "% of the images", "machine", *errors)
    rows = [
        (
            method,
            one["epochs"],
            f"{one['percent']:g}",
            f"{one['hardware']['cpu']}, {one['hardware']['cores']} cores",
            *(
                f"{one['mean_error_pct'][precision]:.2f} ({', '.join(f'{error:.2f}' for error in errors)})"
                for precision, errors in one["error_pct"].items()
            ),
            f"{one['difference_points']:+.2f}",
            f"{one['standard_error_points']:.2f}",
        )
        for method, one in found.items()
    ]
    return "\n\n".join(
        [
            "## What bfloat16 costs\n\nWRN 22-4 teaches WRN 16-2 on CIFAR-10 by the same runs in float32 and in "
            "bfloat16, compiled: error in per cent, the mean over seeds (`python -m benchmarks.accuracy`). The goal is "
            "a difference within 0.3 points; a difference of less than about twice its standard error shows none.",
            table(head, rows),
        ]
    )


def _gpu(folder: Path) -> str:
    file = folder / "gpu.json"
    if not file.exists():
        return (
            "## On a CUDA device\n\nNot measured yet. `python -m benchmarks.gpu --out benchmarks/gpu.json` on such a "
            "machine does, in under ten minutes; goal: 40,000 images/s with KD."
        )
    found = json.loads(file.read_text(encoding="utf-8"))
    where = f"{found['started']}: {found['hardware']['gpu'] or found['hardware']['cpu']}, CUDA {found['cuda']}"
    left_out = f" Not run: {', '.join(found['not_run'])}." if found["not_run"] else ""
    measured = {name: part for name, part in found["parts"].items() if "error" not in part}
    sections = [f"## On a CUDA device\n\n{where}, goal 40,000 images/s with KD.{left_out}"]
    return "\n\n".join([*sections, *([table_of(measured)] if measured else []), *filter(None, [_failed(found)])])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict) and "median" in value:
        return spread(value)
    return number(value) if isinstance(value, float) else str(value)


def spread(found: dict[str, float]) -> str:
    """'423 (401 to 440)'."""
    if found.get("n") == 1:
        return number(found["median"])
    return f"{number(found['median'])} ({number(found['min'])} to {number(found['max'])})"


def number(value: float) -> str:
    """Three figures, without an exponent: 1,234, 423, 1.01, 0.0012."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
