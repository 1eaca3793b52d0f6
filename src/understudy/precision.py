"""In which numbers a run computes, chosen from what the machine has."""

import contextlib
import os
import shutil
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from understudy.processes import is_launched, local_rank, processes_here
from understudy.spec import RunSettings

# Below this, compiling costs more than it saves: multiply-adds of a whole phase. On two cores with AVX512-BF16 and
# nothing on disk, WRN 22-4 -> WRN 16-2 takes 28 (no teacher) to 40 s (KD) to compile, and each 1e12 multiply-adds are
# 0.14 (KD), 0.2 (AT), 0.3 (OFD, no teacher) to 0.5 s (AB) faster for it: earned back after 0.8e14 to 2.8e14. With the
# code on disk the first step takes 3 s. `python -m benchmarks compile_time:kd` measures it.
COMPILE_FROM = 1.5e14
# Below this, a step is too short to be divided between cores: multiply-adds of one batch through the larger network.
THREADS_FROM = 1e9
# Below this, a network's convolutions are too small for bfloat16's conversions to pay: multiply-adds of one image.
LOW_PRECISION_FROM = 5e6
NEEDED_TO_COMPILE = {
    "cpu": "a C++ compiler (g++ or clang++) on the path; install one",
    "cuda": "a GPU of compute capability 7.0 or more, Triton, a C compiler (gcc or clang) and Python's headers "
    "(python3-dev); install them or choose another device",
}


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Device, number format, memory format, and whether the step is compiled."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool
    compile: bool

    def autocast(self) -> contextlib.AbstractContextManager:
        """Convolutions and products in `dtype`; parameters, sums and losses stay float32."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def exact(self) -> "Precision":
        """In which students are measured at the end: float32, as they are."""
        return replace(self, dtype=torch.float32, compile=False)

    def place(self, network: nn.Module) -> nn.Module:
        """The network on the device, in the memory format."""
        if self.channels_last:
            # torch's own annotation leaves memory_format out.
            return network.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return network.to(self.device)

    def facts(self) -> dict[str, object]:
        return {
            "dtype": str(self.dtype).removeprefix("torch."),
            "channels_last": self.channels_last,
            "compile": self.compile,
            "device": str(self.device),
            **({"tf32": torch.backends.cudnn.allow_tf32} if self._may_round else {}),
        }

    @property
    def _may_round(self) -> bool:
        """Whether torch takes TF32's 10 bits for convolutions in float32, as it does unless told otherwise."""
        return self.device.type == "cuda" and self.dtype == torch.float32


@contextlib.contextmanager
def threads_for(multiply_adds: float) -> Iterator[None]:
    """One thread for steps too short to divide, as many as before for others; put back at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if multiply_adds < THREADS_FROM else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_device(wanted: str) -> torch.device:
    """`auto` is the first CUDA device, else the processor. Raises ValueError for a device that is not there.

    Of several processes on a machine each has its own CUDA device.
    """
    if wanted == "auto" and torch.cuda.is_available():
        if processes_here() > torch.cuda.device_count():
            raise ValueError(
                f"{processes_here()} processes on a machine with {torch.cuda.device_count()} CUDA devices, of which "
                f"each process needs one; start as many as there are (torchrun --nproc-per-node), or give "
                f"run.device=cpu"
            )
        return torch.device("cuda", local_rank() % torch.cuda.device_count()) if is_launched() else torch.device("cuda")
    if wanted == "auto":
        return torch.device("cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ValueError(f"run.device={wanted!r}: expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"run.device={wanted!r}: expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"run.device={wanted!r}: this machine has {torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    return device


def choose(settings: RunSettings, *, multiply_adds: int, phase_multiply_adds: float) -> Precision:
    """What `auto` means here: `multiply_adds` of one image through the larger network, and of the longest phase.

    Raises ValueError for a device that is not there, and for `compile="on"` where nothing can be compiled.
    """
    device = choose_device(settings.device)
    low = settings.precision == "bfloat16" or (
        settings.precision == "auto" and has_fast_bfloat16(device) and multiply_adds >= LOW_PRECISION_FROM
    )
    compiles = settings.compile == "on" or (
        settings.compile == "auto" and phase_multiply_adds >= COMPILE_FROM and can_compile(device)
    )
    if settings.compile == "on" and not can_compile(device):
        raise ValueError(f"run.compile=on needs {NEEDED_TO_COMPILE[device.type]}, or run.compile=off")
    return Precision(
        device=device,
        dtype=torch.bfloat16 if low else torch.float32,
        channels_last=low or device.type == "cuda",
        compile=compiles,
    )


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 run on units made for them."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # A torch too old to say counts as without.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile finds what it needs: a C++ compiler for the processor, Triton and its own for CUDA."""
    if device.type == "cuda":
        is_able = torch.cuda.get_device_capability(device) >= (7, 0) and find_spec("triton") is not None
        return is_able and _can_build_for_triton()
    return any(shutil.which(name) for name in ("g++", "clang++", "c++"))


def _can_build_for_triton() -> bool:
    """Whether there are a C compiler and Python's headers: Triton compiles its driver when it is first used."""
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    return headers.exists() and ("CC" in os.environ or any(shutil.which(name) for name in ("gcc", "clang")))
