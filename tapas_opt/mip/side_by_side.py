"""Several models at once, on every core: HiGHS and CP-SAT let go of the interpreter while they solve."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from types import TracebackType
from typing import Any, Generic, TypeVar

from tapas_opt.mip.model import MipArrays
from tapas_opt.mip.result import MipResult

__all__ = ["SideBySide"]

What = TypeVar("What")


class SideBySide(Generic[What]):
    """Solves that run while others are thought of; leaving the context ends what still runs.

    Parameters
    ----------
    most
        Run at once, each with one thread.

    Attributes
    ----------
    stop
        Set when the context is left, for solvers that can be told to end.
    """

    def __init__(self, most: int) -> None:
        self._most, self.stop = most, Event()
        self._pool = ThreadPoolExecutor(most)
        self._running: dict[Future[tuple[MipResult, float]], What] = {}

    def __enter__(self) -> SideBySide[What]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop.set()
        self._pool.shutdown(cancel_futures=True)

    @property
    def full(self) -> bool:
        """Whether as many run as may."""
        return len(self._running) >= self._most

    @property
    def running(self) -> list[What]:
        """What is being solved."""
        return list(self._running.values())

    def begin(self, what: What, solve: Callable[..., MipResult], arrays: MipArrays, **limits: Any) -> None:
        """Have a solver begin with a model, with limits and a start as it takes them."""
        self._running[self._pool.submit(_solved, solve, arrays, limits)] = what

    def ended(self) -> Iterator[tuple[What, MipResult, float]]:
        """Wait for one to end: what it was, its result and the seconds that it took."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for one in done:
            yield self._running.pop(one), *one.result()


def _solved(solve: Callable[..., MipResult], arrays: MipArrays, limits: dict[str, Any]) -> tuple[MipResult, float]:
    began = time.perf_counter()
    return solve(arrays, threads=1, **limits), time.perf_counter() - began
