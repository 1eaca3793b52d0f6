"""A run that is asked to stop, as by a user, after some steps."""

import os
import signal

from understudy.engine.display import Display, silent


def stops_after(steps: int, number: int = signal.SIGTERM) -> Display:
    """A silent display that sends the process this signal in the given step."""
    display = silent()
    seen = []

    def step() -> None:
        seen.append(1)
        if len(seen) == steps:
            os.kill(os.getpid(), number)

    display.step = step
    return display
