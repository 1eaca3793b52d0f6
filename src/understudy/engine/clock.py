"""The seconds of a run: of training by itself, and of all."""

import time

from understudy.engine.records.state import Place


class Clock:
    """Counts into `place`; what lies between a lap and the next start (measuring, saving) is no training."""

    def __init__(self, place: Place):
        self.place = place
        self._since = self._wall_since = time.perf_counter()
        self._unnoted_s = 0.0

    def start(self) -> None:
        """Training goes on from here."""
        self._since = time.perf_counter()

    def lap(self) -> None:
        """Count what was trained since the start, and start again."""
        now = time.perf_counter()
        lap, self._since = now - self._since, now
        self.place.phase_train_s[self.place.phase] += lap
        self.place.epoch_train_s += lap
        self._unnoted_s += lap

    def wall(self) -> None:
        """Count all that has passed since this was last asked."""
        now = time.perf_counter()
        self.place.wall_s, self._wall_since = self.place.wall_s + now - self._wall_since, now

    def take_unnoted_s(self) -> float:
        """The training counted since this was last asked."""
        taken, self._unnoted_s = self._unnoted_s, 0.0
        return taken

    def take_epoch_s(self) -> float:
        """The training of the epoch that ends here."""
        taken, self.place.epoch_train_s = self.place.epoch_train_s, 0.0
        return taken
