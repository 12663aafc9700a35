"""Tracked biases beside the journal: written now and then and at the end, read strictly at the start."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from tapas_opt.control.controller import Controller
from tapas_opt.durable import replace_text
from tapas_opt.errors import InvalidInput

__all__ = ["SAVE_EVERY_S", "TrackingFile", "tracking_path"]

_LOG = logging.getLogger(__name__)

SAVE_EVERY_S = 60.0
"""Biases last for hours: what a crash may lose is a minute of them."""


def tracking_path(journal: str) -> Path | None:
    """``<journal>.tracking.json`` for a journal that is a file; None for one in a database or opened by a URI."""
    return None if "://" in journal or journal.startswith("file:") else Path(f"{journal}.tracking.json")


class TrackingFile:
    """Keeps what a controller tracks; a file that cannot be written or read costs knowledge, never service."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._saved_at_s = float("-inf")
        self._saved_look_s: float | None = None
        self._complaint = ""

    def read(self, controller: Controller) -> None:
        """Go on from what was written; a file that is damaged is said so, and everything is learned anew."""
        if self._path is None or not self._path.exists():
            return
        try:
            controller.restore_tracking(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError, InvalidInput) as error:
            why = f"{self._path} cannot be used ({_short(error)})"
            _LOG.warning("%s: biases are tracked anew, with wider margins until sensors have been read", why)
            controller.forget_tracking(why)
        else:
            self._saved_look_s = controller.outlook.tracking.looked_at_s

    def keep(self, controller: Controller) -> None:
        """Write, if there is something new and the last time is long enough ago."""
        if time.monotonic() - self._saved_at_s >= SAVE_EVERY_S:
            self.write(controller)

    def write(self, controller: Controller) -> None:
        """Write what is tracked now, if that is something new."""
        if self._path is None or controller.outlook.tracking.looked_at_s == self._saved_look_s:
            return
        with controller.lock:
            now = controller.outlook.tracking.copy()
        self._saved_at_s = time.monotonic()
        try:
            replace_text(self._path, json.dumps(now.to_json(), allow_nan=False))
        except OSError as error:
            self._complain(
                f"{self._path} cannot be written: {error.strerror}; what is tracked would not survive a restart"
            )
        else:
            self._saved_look_s, self._complaint = now.looked_at_s, ""

    def _complain(self, text: str) -> None:
        """Say the same thing once, not every minute."""
        if text != self._complaint:
            _LOG.warning(text)
        self._complaint = text


def _short(error: Exception) -> str:
    return str(error).splitlines()[0]
