"""A limit on how often somebody may ask: a bucket of tokens for each, filled at a steady rate."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST_REMEMBERED = 10_000


class RateLimit:
    """At most ``burst`` requests at once and ``rate`` a second in the long run, for each key.

    Parameters
    ----------
    rate : float
        Requests a second.
    burst : int
        Requests at once.
    clock : callable
        Seconds, never going back.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def allows(self, key: Hashable) -> bool:
        """Take a token; False if there is none."""
        now = self.clock()
        with self._lock:
            tokens, then = self._buckets.pop(key, (float(self.burst), now))
            tokens = min(float(self.burst), tokens + (now - then) * self.rate)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - allowed, now)
            if len(self._buckets) > MOST_REMEMBERED:  # whoever asked longest ago has a full bucket by now, or nearly
                self._buckets.popitem(last=False)
        return allowed
