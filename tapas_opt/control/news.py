"""Word to whoever waits that something has changed."""

from __future__ import annotations

import threading

__all__ = ["News"]


class News:
    """Numbers what happens, and wakes those who wait for more. Safe to call from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number = 0
        self._closed = False

    @property
    def number(self) -> int:
        """How much has happened so far."""
        return self._number

    @property
    def closed(self) -> bool:
        """Whether nothing more will happen."""
        return self._closed

    def tell(self) -> None:
        """Something has happened."""
        with self._changed:
            self._number += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more will happen; whoever waits stops waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self, known: int, timeout_s: float) -> int:
        """Return how much has happened, as soon as that is not ``known`` or nothing more will, or in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number != known, timeout_s)
            return self._number
