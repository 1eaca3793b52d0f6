"""Being asked to stop."""

import signal
import threading
import time
from types import FrameType
from typing import Any


class StopRequest:
    """A signal while in its `with` block, or the end of the time; the loop looks at it between two steps.

    SIGINT, SIGTERM, and SIGHUP of a terminal that is closed, unless it is ignored, as by nohup. The first signal asks
    politely, a second one of the same kind acts as usual. Outside the main thread Python delivers no signals. `until`
    is a time of `time.time()`.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, until: float | None = None) -> None:
        self.until = until
        self.signal: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            heard = [one for one in self.SIGNALS if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @property
    def reason(self) -> str | None:
        """What asks to stop; None while nothing does."""
        if self.signal is None and self.until is not None and time.time() >= self.until:
            return "the time limit"
        return self.signal

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name
        signal.signal(number, self._before[signal.Signals(number)])
