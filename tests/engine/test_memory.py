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
