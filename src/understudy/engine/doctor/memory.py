"""Does a whole batch fit into memory?"""

from collections.abc import Callable
from pathlib import Path

import torch

from understudy.data import ImageSet
from understudy.engine.doctor.case import Case
from understudy.engine.doctor.finding import Finding
from understudy.engine.memory.live_bytes import peak_bytes
from understudy.spec.sizes import size_in_words

CHECK = "memory"
FEW = 2  # the fewest images that BatchNorm learns from
# Kept free: what kernels take within an operator, and what the allocator cannot join.
MARGIN = 0.9
# Numbers that the optimiser keeps for each parameter.
KEPT_MOMENTS = {"sgd": 1, "adamw": 2}


def memory(case: Case, available: Callable[[torch.device], int]) -> list[Finding]:
    """An error where a step of the whole batch would take more than there is, with the batch size that fits.

    Rule: the peak of a step on half of the case's images and on all of them, of the phase that takes most, is a line
    that is followed to the batch size; what the run keeps beside comes on top. More than 90 % of the available memory
    is too much. Terms whose memory grows with the square of the batch take a little more than that.
    """
    few = len(case.images)
    kept = _kept(case)
    lines = [line(case, few) for _ in case.phases()]
    there = MARGIN * available(case.precision.device)

    def needed(batch_size: int) -> float:
        return kept + max(fixed + slope * batch_size for fixed, slope in lines)

    whole = needed(case.batch_size)
    told = f"a step of {case.batch_size} images takes about {size_in_words(whole)}"
    if whole <= there:
        return [Finding(check=CHECK, severity="fine", found=f"{told} of {size_in_words(there / MARGIN)}")]
    fitting = [size for size in (2**power for power in range(20)) if size < case.batch_size and needed(size) <= there]
    return [
        Finding(
            check=CHECK,
            severity="error",
            found=f"{told}, and {size_in_words(there / MARGIN)} are free on {case.precision.device}.",
            why="The run would end for want of memory.",
            do=f"--batch-size {fitting[-1]}" if fitting else "take smaller images or networks, or another device",
        )
    ]


def _kept(case: Case) -> int:
    """Bytes of what the optimiser keeps, of the weights that the run began with, and of images that lie on a GPU."""
    each = 4 * (KEPT_MOMENTS[case.plan.settings.optim.opt] + 1)
    numbers = sum(p.numel() for p in case.plan.student.parameters() if p.requires_grad)
    train, device = case.plan.data.train, case.precision.device
    images = train.images.nbytes if isinstance(train, ImageSet) and device.type == "cuda" else 0
    return each * numbers + images


def line(case: Case, few: int) -> tuple[float, float]:
    """Bytes of a step that do not depend on the batch, and bytes for each image."""
    _peak(case, few)  # what is made once, on the first call, is no part of it
    if few < 2 * FEW:
        # As many are the whole batch. Half of them might be one image, from which BatchNorm learns nothing.
        return 0.0, _peak(case, few) / few
    half, whole = (_peak(case, count) for count in (few // 2, few))
    slope = max(0.0, (whole - half) / (few - few // 2))
    return whole - slope * few, slope


def _peak(case: Case, count: int) -> int:
    def step() -> None:
        with case.precision.autocast():
            losses = case.distiller(case.images[:count], case.labels[:count])
        losses["loss"].backward()

    case.distiller.zero_grad(set_to_none=True)
    taken = peak_bytes(step, case.precision.device)
    case.distiller.zero_grad(set_to_none=True)
    return taken


def free_bytes(device: torch.device) -> int:
    """What this process can still take: of the CUDA device, or of the machine or its control group."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    machine = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if not limit.exists() or limit.read_text(encoding="utf-8").strip() == "max":
        return machine
    return min(machine, int(limit.read_text(encoding="utf-8")) - int(used.read_text(encoding="utf-8")))
