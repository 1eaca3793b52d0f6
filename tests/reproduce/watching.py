"""Looking at runs while other processes carry them out."""

import re
import time

LONG = {"epochs": 400, "run.eval_every": 400}


def wait_for(found, seconds=240):
    """What `found` answers once that is something."""
    until = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return answer


def steps_of(folder):
    """The steps that a run's log has, in order."""
    return [
        int(step) for step in re.findall(r'"kind": "steps".*?"step": (\d+)', (folder / "metrics.jsonl").read_text())
    ]


def holders(log):
    """The processes that carried a run out, as its log says."""
    return [int(number) for number in re.findall(r"process (\d+) on", log.read_text())]
