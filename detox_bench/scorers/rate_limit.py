"""A token bucket of depth one: requests leave one by one, never faster than a rate.

It holds one token and refills at the rate, so nothing is saved up while a server is slow or asks
to wait: after a pause the rate is kept as before it.
"""

import threading
import time
from collections.abc import Callable


class TokenBucket:
    """Lets at most ``rate`` calls a second through; threads may share it.

    ``clock`` gives seconds that never go back; ``sleep`` waits for some, and may raise to give up
    waiting.
    """

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1 / rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self) -> None:
        """Wait for the token and take it."""
        while (left := self._take_or_wait()) > 0:
            self._sleep(left)

    def pause(self, seconds: float) -> None:
        """Let nothing through for ``seconds`` from now; a longer pause is not cut short."""
        with self._lock:
            self._free_at = max(self._free_at, self._clock() + seconds)

    def _take_or_wait(self) -> float:
        """Take the token and return 0, or return the seconds until it may be there."""
        with self._lock:
            now = self._clock()
            if now < self._free_at:
                return self._free_at - now
            self._free_at = now + self._interval
            return 0.0
