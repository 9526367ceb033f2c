"""How long something will still take, from how fast it went of late."""

from collections import deque
from math import inf

WINDOW = 60.0  # seconds looked back: speed changes, e.g. when worker processes have started


class TimeLeft:
    """Estimates the time left from what was done within the last minute.

    What was done before the first note counts for nothing: a step that is gone on with jumps there at once.

    Parameters
    ----------
    total : int
        Number of parts.
    most_seconds : float
        The step ends after this time in any case; 0 for no such limit.
    """

    def __init__(self, total: int, most_seconds: float = 0.0) -> None:
        self.total = total
        self._most = most_seconds or inf
        self._noted: deque[tuple[float, int]] = deque()
        self._started: float | None = None

    def note(self, done: int, now: float) -> None:
        """Note that ``done`` parts in all are finished at the time ``now``, in seconds of any clock."""
        if self._started is None:
            self._started = now
        self._noted.append((now, done))
        while len(self._noted) > 2 and now - self._noted[1][0] > WINDOW:
            self._noted.popleft()

    def seconds(self) -> float | None:
        """Seconds left after the last note; None while nothing is known of the speed."""
        if self._started is None:
            return None
        (first, before), (last, done) = self._noted[0], self._noted[-1]
        if done <= before or last <= first:
            return None
        by_speed = (self.total - done) * (last - first) / (done - before)
        return max(0.0, min(by_speed, self._most - (last - self._started)))


def in_words(seconds: float) -> str:
    """A length of time for a reader: "8 s", "3 min", "2 h 05 min", "4 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes / 1440:.0f} days"
