"""What time it is: the machine's, or that of the newest telemetry for replays and drills."""

from __future__ import annotations

import threading
import time

__all__ = ["Clock", "SystemClock", "TelemetryClock"]

AHEAD_S = 60.0
"""By how much the clock of a sensor may be ahead of this machine's."""


class SystemClock:
    """Seconds since the Unix epoch, by this machine."""

    def now_s(self) -> float:
        """Return the present time."""
        return time.time()

    def observed(self, at_s: float) -> bool:
        """Whether a reading of that time may be: telemetry from the future would look fresh for ever."""
        return at_s <= self.now_s() + AHEAD_S


class TelemetryClock:
    """Stands at the newest telemetry and never goes back, so that a day may be replayed in a minute."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._now_s = start_s

    def now_s(self) -> float:
        """Time of the newest telemetry."""
        return self._now_s

    def observed(self, at_s: float) -> bool:
        """Move forward to ``at_s``; any time may be."""
        with self._lock:
            self._now_s = max(self._now_s, at_s)
        return True


Clock = SystemClock | TelemetryClock
