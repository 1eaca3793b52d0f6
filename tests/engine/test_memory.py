import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import torch
from understudy.engine.memory.kept import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def step():
    return torch.ones(12 * 2**20).sum()
# Where small blocks lie between large ones, the first steps look for places that the others then find.
for _ in range(10):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

LARGEST = """
import torch
from understudy.engine.memory.kept import keep_freed_memory, memory_handed_back
keep_freed_memory()
def mib(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith(what))
with memory_handed_back():
    maps = torch.empty(3 * 2**28)
    maps[: 2**26].fill_(1.0)
    mapped, taken = mib("VmData"), mib("VmRSS")
    del maps
    print(mapped - mib("VmData"))
print(taken - mib("VmRSS"))
"""


def page_faults(word):
    done = subprocess.run([sys.executable, "-c", COUNT, word], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow  # it starts processes
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings")
def test_a_step_finds_the_memory_that_the_step_before_it_freed():
    """Blocks of 48 MiB, above any size up to which glibc keeps them by itself."""
    given_back = page_faults("given back")
    if given_back < 100:
        pytest.skip("this C library keeps freed blocks anyway")

    assert page_faults("kept") < given_back / 10


@pytest.mark.slow  # it starts a process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings")
def test_three_gibibytes_that_are_freed_at_once_are_kept_as_well_until_the_run_is_over():
    """256 MiB of them were written."""
    done = subprocess.run([sys.executable, "-c", LARGEST], capture_output=True, text=True, check=True)
    given_back_mib, given_back_at_the_end_mib = map(int, done.stdout.split())
    assert given_back_mib < 1 and given_back_at_the_end_mib > 250
