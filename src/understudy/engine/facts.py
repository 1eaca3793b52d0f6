"""What a number has to carry to be obtained again: versions, hardware, sizes, fingerprints."""

import contextlib
import functools
import hashlib
import os
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from understudy.data.batches.decoding import usable_cores
from understudy.modes import evaluating, tensors_of

NEEDED = ("torch", "torchvision", "numpy", "pyarrow", "pillow", "scikit-learn", "scipy")
USED_IF_THERE = ("timm", "pytorch-metric-learning", "faiss-cpu")


SOURCES = "understudy sources"  # among the versions: code changes more often than the package's number


def versions() -> dict[str, str]:
    """Of Python, of what a run's numbers come from, and of what networks and losses may come from, if it is there."""
    found = {
        "python": platform.python_version(),
        "understudy": _own_version(),
        **{name: metadata.version(name) for name in NEEDED},
    }
    for name in USED_IF_THERE:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return {**found, SOURCES: _own_sources()}


def _own_version() -> str:
    try:
        return metadata.version("understudy")
    except metadata.PackageNotFoundError:
        return "not installed"  # run from its sources, as on machines where nothing can be installed


@functools.cache
def _own_sources() -> str:
    """A fingerprint of the package's own code, which changes more often than its version does."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def hardware(device: torch.device) -> dict[str, object]:
    """Processor, memory in GiB, and the CUDA device in use, if any.

    `cores` are those this process may use, `threads` on how many torch computes now: 1 where steps are short.
    """
    pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": torch.cpu.get_capabilities().get("cpu_name")
        if hasattr(torch.cpu, "get_capabilities")
        else platform.processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(pages * page_size / 2**30, 1),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def command() -> str:
    """The command line that started this process."""
    program = Path(sys.argv[0]).name
    return shlex.join(["understudy" if program == "__main__.py" else program, *sys.argv[1:]])


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def multiply_adds(network: nn.Module, image: Tensor) -> tuple[Any, int]:
    """The output, and the multiplications of convolutions and products, for one image (1, C, H, W)."""
    with evaluating(network), FlopCounterMode(display=False) as counter:
        output = network(image)
    return output, counter.get_total_flops() // 2


def sha256(path: Path) -> str:
    """A file's fingerprint."""
    about = path.stat()
    return _sha256(path.resolve(), about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, changed_ns: int, size: int) -> str:
    """Read once as long as the file stays as it is: a plan of many runs asks for the same one again and again."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def state_sha256(network: nn.Module, about: str = "") -> str:
    """A fingerprint of a network's weights, whatever file they came from, and of what else is said about it."""
    digest = hashlib.sha256(about.encode())
    for name, value in sorted(tensors_of(network).items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().double().numpy().tobytes())
    return digest.hexdigest()
