"""Problems that were met in production, kept as files so that they can be replayed at a desk.

Nothing waits for it: a problem is handed over once its answer is known, written by a process of its own, and left out
when there are too many at once. Of each kind the newest are kept.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tapas_opt.domain.result import Result
from tapas_opt.errors import InvalidInput, TapasError
from tapas_opt.mip.worker import Worker
from tapas_opt.problem_file.files import KINDS, kind_of, write_plan, write_problem
from tapas_opt.routing.problem import RoutingProblem

__all__ = ["KeptWithin", "Met", "Recorder", "keep", "unrecorded"]

_LOG = logging.getLogger(__name__)

Met = Callable[[Any, Result[Any]], None]
"""What is told of a problem and its answer."""

WAITING = 4
"""Problems that may wait to be written; further ones are left out."""

ROUTING_EVERY_S = 60.0
"""Routing is planned every few seconds, and each plan is much like the one before."""

WRITING_S = 120.0
"""A problem that takes longer to write is given up."""

_ENDINGS = (".problem.json.gz", ".plan.json.gz")


@dataclass(frozen=True, slots=True)
class KeptWithin:
    """How many problems of each kind are kept with their plans, and how many bytes all kinds may take together."""

    count: int = 50
    bytes: int = 256 * 2**20


def unrecorded(problem: Any, result: Result[Any]) -> None:
    """What is told of problems where nobody records them."""


class Recorder:
    """Keeps problems and their plans in a folder while its context is open.

    Parameters
    ----------
    now_s
        The time by which files are named.

    Raises
    ------
    InvalidInput
        The folder cannot be made.
    """

    def __init__(
        self, folder: Path, within: KeptWithin | None = None, *, now_s: Callable[[], float] = time.time
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput.one("problems", str(folder), f"cannot be made: {error.strerror}") from error
        self._folder, self._within, self._now_s = folder, within or KeptWithin(), now_s
        self._queue: queue.Queue[tuple[str, Any, Any] | None] = queue.Queue(WAITING)
        self._worker = Worker()
        self._thread = threading.Thread(target=self._write_all, name="tapas-opt-problems", daemon=True)
        self._number, self._routed_s = 0, -ROUTING_EVERY_S
        self.left_out = 0

    def __enter__(self) -> Self:
        self._worker.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what waits, and end."""
        self._queue.put(None)
        self._thread.join(WRITING_S)
        self._worker.close()

    def offer(self, problem: Any, result: Result[Any]) -> None:
        """Have a problem and its plan written when there is time; never waits."""
        now_s = self._now_s()
        if isinstance(problem, RoutingProblem):
            if now_s - self._routed_s < ROUTING_EVERY_S:
                return
            self._routed_s = now_s
        self._number += 1
        at = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%S")
        try:
            self._queue.put_nowait((f"{kind_of(problem)}-{at}-{self._number:06d}", problem, result.plan))
        except queue.Full:
            self.left_out += 1

    def _write_all(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._worker.run(keep, self._folder, *item, self._within, deadline_s=WRITING_S)
            except TapasError as error:
                _LOG.warning("a problem was not recorded: %s", error)


def keep(folder: Path, name: str, problem: Any, plan: Any, within: KeptWithin) -> None:
    """Write a problem and its plan, and remove the oldest of its kind that are too many; runs in a process of its own.

    Raises
    ------
    InvalidInput
        The folder cannot be written to.
    """
    try:
        write_problem(problem, folder / f"{name}{_ENDINGS[0]}")
        write_plan(plan, folder / f"{name}{_ENDINGS[1]}")
        for file in _too_old(folder, kind_of(problem), within):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInput.one("problems", str(folder), f"cannot be written: {error.strerror}") from error


def _too_old(folder: Path, kind: str, within: KeptWithin) -> Iterable[Path]:
    """Files of the oldest problems of a kind, beyond the number and the share of bytes that it may have."""
    names = sorted({_name(file) for file in folder.glob(f"{kind}-*") if file.name.endswith(_ENDINGS)}, reverse=True)
    taken = 0
    for place, name in enumerate(names):
        files = [folder / f"{name}{ending}" for ending in _ENDINGS if (folder / f"{name}{ending}").exists()]
        taken += sum(file.stat().st_size for file in files)
        if place >= within.count or (place > 0 and taken > within.bytes // len(KINDS)):
            yield from files


def _name(file: Path) -> str:
    return file.name.removesuffix(_ENDINGS[0]).removesuffix(_ENDINGS[1])
