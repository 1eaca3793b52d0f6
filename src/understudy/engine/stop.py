"""Being asked to stop."""

import signal
import threading
from types import FrameType
from typing import Any


class StopRequest:
    """Set by SIGINT or SIGTERM while in its `with` block; the loop looks at it between two steps.

    The first signal asks politely, a second one of the same kind acts as usual. Outside the main thread, where Python
    delivers no signals, it never sets.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.name: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.name = signal.Signals(number).name
        signal.signal(number, self._before[signal.Signals(number)])
