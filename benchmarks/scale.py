"""How cost grows: a KD epoch with the number of images, the loader alone, and each loss with its tensors.

python -m benchmarks scale:epochs scale:loader scale:decoding scale:losses
"""

import itertools
import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.pair import PAPER, QUICK, Pair, network, random_data, settings_for
from benchmarks.timing import alternate, figures, slope, spread
from understudy.data import Dataset, Loading, TrainingBatches, load, training_batches
from understudy.engine import execute
from understudy.engine.memory.kept import keep_freed_memory
from understudy.losses.ab import activation_boundary
from understudy.losses.at import attention
from understudy.losses.fitnet import hint
from understudy.losses.fsp import fsp
from understudy.losses.ft import factor
from understudy.losses.kd_svd import kd_svd
from understudy.losses.nst import nst
from understudy.losses.ofd import partial_l2
from understudy.losses.rkd import rkd_angle, rkd_distance

ROOT = Path(__file__).parent.parent
# Tiny networks, so that what belongs to the images is a large part of a step.
SMALL = Pair(student="digits-1x4", teacher="digits-1x4", batch_size=128, size=32)
COUNTS = (5_000, 10_000, 20_000, 50_000)
CPU = torch.device("cpu")


def measure(part: str = "epochs", *, quick: bool = False) -> dict[str, Any]:
    """One of the parts `epochs`, `loader`, `decoding` and `losses`."""
    return {"epochs": epochs, "loader": loader, "decoding": decoding, "losses": losses}[part](quick)


# Images -----------------------------------------------------------------------------------------------------------


def epochs(quick: bool) -> dict[str, Any]:
    """Microseconds per image of whole KD epochs of small networks, and the process's largest memory, by the number of
    images; each in fresh processes that see as many images in all, upwards and then downwards."""
    pair, counts = (QUICK, (64, 128)) if quick else (SMALL, COUNTS)
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for count in (*counts, *reversed(counts)):
        found[count].append(_in_a_process(f"whole_epochs({count}, {max(counts) // count}, {quick})"))
    sizes = list(found)
    times = [min(one["us_per_image"] for one in each) for each in found.values()]
    largest, smallest = found[sizes[-1]], found[sizes[0]]
    growth_mib = min(one["memory_mib"] for one in largest) - min(one["memory_mib"] for one in smallest)
    return {
        "student": pair.student,
        "teacher": pair.teacher,
        "batch_size": pair.batch_size,
        "images": sizes,
        "us_per_image": [spread([one["us_per_image"] for one in each]) for each in found.values()],
        "memory_mib": [spread([one["memory_mib"] for one in each]) for each in found.values()],
        "exponent": figures(slope(sizes, times), 2),
        "bytes_of_an_image": 3 * pair.size**2,
        "memory_bytes_per_image": figures(growth_mib * 2**20 / (sizes[-1] - sizes[0])),
    }


def whole_epochs(num_images: int, num_epochs: int, quick: bool) -> dict[str, float]:
    """The time of KD's epochs in this process, as the engine logs it, and the most memory that the process ever had."""
    pair = QUICK if quick else SMALL
    settings = settings_for(pair, "kd", f"epochs={num_epochs}", f"run.eval_every={num_epochs}", compiles=False)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        execute(settings, out, data=random_data(pair, num_images), teacher=network(pair.teacher))
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    train_s = sum(line["train_s"] for line in lines if line["kind"] == "epoch")
    num_trained = num_epochs * (num_images // pair.batch_size) * pair.batch_size
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"us_per_image": 1e6 * train_s / num_trained, "memory_mib": memory / 2**20}


def _in_a_process(call: str) -> dict[str, float]:
    program = f"import json; from benchmarks import scale; print(json.dumps(scale.{call}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def loader(quick: bool) -> dict[str, Any]:
    """Images/s of batches alone: drawn and augmented anew, in fixed views, and as they are."""
    keep_freed_memory()
    pair, count = (QUICK, 64) if quick else (PAPER, 50_000)
    data = random_data(pair, count)
    ways = {
        "augmented": _endless(data, pair, augment=True),
        "in_fixed_views": _endless(data, pair, augment=True, views=2),
        "as_they_are": _endless(data, pair, augment=False),
    }
    num_steps = max(1, count // pair.batch_size)
    takes: dict[str, Callable[[], Any]] = {name: batches.__next__ for name, batches in ways.items()}
    times = alternate(takes, blocks=1 if quick else 5, num_steps=num_steps, device=CPU)
    speeds = {name: spread([pair.batch_size / one for one in found]) for name, found in times.items()}
    return {"images": count, "batch_size": pair.batch_size, "images_per_s": speeds}


def _endless(data: Dataset, pair: Pair, *, augment: bool, views: int = 0) -> Any:
    batches = training_batches(
        data, batch_size=pair.batch_size, seed=0, device=CPU, augment=augment, channels_last=True, views=views
    )
    return _without_end(batches)


def _without_end(batches: TrainingBatches) -> Iterator[Any]:
    return (batch for epoch in itertools.count(1) for batch in batches.epoch(epoch))


def decoding(quick: bool) -> dict[str, Any]:
    """Images/s of batches of 224x224 that are decoded from JPEG files, augmented and evaluated; and of Pillow alone.

    Pillow decodes in one process; where the machine has as many cores free as there are workers, so many times that is
    what they could reach at most.
    """
    count, batch_size = (16, 4) if quick else (1024, 64)
    with tempfile.TemporaryDirectory() as folder:
        files = _write_photographs(Path(folder), count)
        data = load(f"folder:{folder}", loading=Loading(how="workers", size=224, workers=0 if quick else None))
        options = {"batch_size": batch_size, "seed": 0, "device": CPU, "channels_last": True}
        ways = {
            "augmented": training_batches(data, augment=True, **options),
            "as they are": training_batches(data, augment=False, **options),
        }
        takes: dict[str, Callable[[], Any]] = {name: _without_end(batches).__next__ for name, batches in ways.items()}
        turn = itertools.cycle(files)
        takes["Pillow alone"] = lambda: [Image.open(next(turn)).convert("RGB") for _ in range(batch_size)]
        for take in takes.values():  # the workers start
            take()
        times = alternate(takes, blocks=1 if quick else 5, num_steps=count // batch_size, device=CPU)
        for batches in ways.values():
            batches.close()
    speeds = {name: spread([batch_size / one for one in found]) for name, found in times.items()}
    return {"images": count, "batch_size": batch_size, "workers": data.workers, "images_per_s": speeds}


def _write_photographs(folder: Path, count: int) -> list[Path]:
    """JPEG files of 500x375, of two classes, as detailed as photographs: about 90 kB each."""
    generator = torch.Generator().manual_seed(0)
    files = []
    for index in range(count):
        part = folder / ("test" if index % 8 == 0 else "train") / f"class{index // 8 % 2}"
        part.mkdir(parents=True, exist_ok=True)
        coarse = torch.rand(1, 3, 24, 32, generator=generator)
        smooth = F.interpolate(coarse, size=(375, 500), mode="bicubic")[0]
        pixels = (smooth + 0.08 * torch.randn(3, 375, 500, generator=generator)).clamp(0, 1).mul(255).byte()
        files.append(part / f"{index}.jpg")
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(files[-1], quality=90)
    return files


# Losses -----------------------------------------------------------------------------------------------------------

# Batch, channels, and positions of a map; what an embedding has of them is batch and length.
BASE = {"batch": 64, "channels": 64, "positions": 256}
LADDERS = {"batch": (32, 64, 128, 256), "channels": (32, 64, 128, 256), "positions": (64, 256, 1024, 4096)}
RELATIONS = {"batch": (32, 64, 128, 256), "channels": (64, 128, 256, 512)}
RELATIONS_BASE = {"batch": 128, "channels": 128, "positions": 1}


def _map(size: dict[str, int]) -> Tensor:
    side = math.isqrt(size["positions"])
    return torch.randn(size["batch"], size["channels"], side, side)


def _embedding(size: dict[str, int]) -> Tensor:
    return torch.randn(size["batch"], size["channels"])


def _fsp(student: Tensor, teacher: Tensor) -> Tensor:
    return fsp(student, student, teacher, teacher)


def _kd_svd(student: Tensor, teacher: Tensor) -> Tensor:
    return kd_svd(student, student, teacher, teacher)


def _gaussian(student: Tensor, teacher: Tensor) -> Tensor:
    return nst(student, teacher, kernel="gaussian")


def _rkd(student: Tensor, teacher: Tensor) -> Tensor:
    return rkd_distance(student, teacher) + 2 * rkd_angle(student, teacher)


# Name -> the loss, and its cost: B images, C channels, P positions, d the length of an embedding.
LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "ab": (activation_boundary, "B C P"),
    "ofd": (partial_l2, "B C P"),
    "at": (attention, "B C P"),
    "fitnet": (hint, "B C P"),
    "ft": (factor, "B C P"),
    "nst polynomial": (nst, "B C P min(C, P)"),
    "nst gaussian": (_gaussian, "B C^2 P"),
    "fsp": (_fsp, "B C^2 P"),
    "kd_svd": (_kd_svd, "B C P m + B m^3, m = min(C, P)"),
    "rkd": (_rkd, "B^2 d + B^3"),
}


def losses(quick: bool) -> dict[str, Any]:
    """Milliseconds of each loss, forward and backward in float32, along each of its sizes, and the fitted exponents."""
    keep_freed_memory()
    return {name: _one_loss(name, function, cost, quick) for name, (function, cost) in LOSSES.items()}


def _one_loss(name: str, function: Callable[[Tensor, Tensor], Tensor], cost: str, quick: bool) -> dict[str, Any]:
    make, base, ladders = (_embedding, RELATIONS_BASE, RELATIONS) if name == "rkd" else (_map, BASE, LADDERS)
    if quick:
        base, ladders = {"batch": 4, "channels": 4, "positions": 16}, {axis: (4, 16) for axis in ladders}
    found = {axis: _along(axis, sizes, make, base, function, quick) for axis, sizes in ladders.items()}
    return {"cost": cost, "base": base, "along": found}


def _along(
    axis: str,
    sizes: tuple[int, ...],
    make: Callable[[dict[str, int]], Tensor],
    base: dict[str, int],
    function: Callable[[Tensor, Tensor], Tensor],
    quick: bool,
) -> dict[str, Any]:
    """The times along one size, the others as in `base`, and the exponent between the two largest and over all."""
    takes = {str(size): _take(function, make({**base, axis: size}), make({**base, axis: size})) for size in sizes}
    for take in takes.values():
        take()
    times = alternate(takes, blocks=1 if quick else 5, num_steps=1, device=CPU)
    best_ms = [1e3 * min(found) for found in times.values()]
    return {
        "sizes": list(sizes),
        "ms": [spread([1e3 * one for one in found]) for found in times.values()],
        "exponent": figures(slope(sizes, best_ms), 2),
        "last_exponent": figures(slope(sizes[-2:], best_ms[-2:]), 2),
    }


def _take(function: Callable[[Tensor, Tensor], Tensor], student: Tensor, teacher: Tensor) -> Callable[[], None]:
    student.requires_grad_()

    def take() -> None:
        student.grad = None
        function(student, teacher).backward()

    return take
