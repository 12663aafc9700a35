"""Solvers run in processes of their own, and a deadline is kept by ending the process.

HiGHS given 0.1 s has returned after 0.45 s, CP-SAT given 600 s after 1.5 h (google/or-tools#5163); neither
caps its memory; and some versions of both cannot be loaded together. A process that can be killed cures all three.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

from tapas_opt.errors import DeadlinePassed, NotFound, WorkerFailed
from tapas_opt.mip import cpsat, decomposition, pyomo_solver, scip
from tapas_opt.mip.machine import worker_memory_bytes
from tapas_opt.mip.process import CANCELLED, LOOK_S, Process

__all__ = ["WARM_UPS", "Worker", "Workers"]

T = TypeVar("T")

GRACE_S = 0.5
"""A solver that keeps its own limit still needs this long to hand over what it has."""

STARTED_AHEAD = 2
"""The process that works, and a spare: ending the first costs the next caller no start-up."""

LONGEST_S = 1e6
"""Longest wait that the operating system's timers are asked for."""

WARM_UPS: Mapping[str, Callable[[], object]] = MappingProxyType(
    {
        "highs": decomposition.warm_up,
        "cpsat": cpsat.warm_up,
        "scip": scip.warm_up,
        "pyomo": pyomo_solver.warm_up,
    }
)
"""The solvers that get a process of their own, each with what to do before its first run."""


def nothing() -> None:
    """The warm-up of a worker that needs none."""


class Worker:
    """A process that runs one function at a time, and is ended when it takes too long.

    >>> with Worker() as worker:
    ...     worker.run(pow, 2, 10, deadline_s=5.0)
    1024

    The function must be importable (not from ``__main__``), its arguments and value picklable. One that has
    a ``deadline_s`` of its own gets it by `functools.partial`::

        worker.run(partial(highs.solve, arrays, deadline_s=2.0), deadline_s=2.0)

    Parameters
    ----------
    warm_up
        Run in each new process, ahead of its first function.
    memory_bytes
        Cap of each process's address space, thread stacks and mapped files included; None for no cap.
    runs_per_process
        A process is replaced after this many runs, because solvers leak.
    """

    def __init__(
        self,
        *,
        warm_up: Callable[[], object] = nothing,
        memory_bytes: int | None = None,
        runs_per_process: int = 200,
    ) -> None:
        self._warm_up = warm_up
        self._memory_bytes = memory_bytes
        self._runs_per_process = runs_per_process
        self._turn = threading.Lock()
        self._state = threading.Lock()
        self._idle: deque[Process] = deque()
        self._running: Process | None = None
        self._closed = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids, spare included."""
        with self._state:
            return [p.pid for p in (self._running, *self._idle) if p is not None]

    def start(self) -> None:
        """Start the processes ahead of the first run; returns before they are ready."""
        with self._state:
            self._top_up()

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait until the next run would find a process that is warm; False if that takes longer.

        Raises
        ------
        WorkerFailed
            The warm-up failed.
        """
        until = time.monotonic() + timeout_s
        if not self._turn.acquire(timeout=timeout_s):
            return False
        try:
            process = self._take()
            try:
                return process.wait_until_ready(until - time.monotonic())
            finally:
                self._give_back(process)
        finally:
            self._turn.release()

    def run(
        self,
        function: Callable[..., T],
        *args: Any,
        deadline_s: float,
        grace_s: float = GRACE_S,
        on_news: Callable[[Any], None] | None = None,
        cancel: threading.Event | None = None,
        **kwargs: Any,
    ) -> T:
        """Run the function in the process and return its value.

        Parameters
        ----------
        deadline_s, grace_s
            The run has ended, one way or the other, this long after the call; waiting for the worker counts.
        on_news
            Called here with whatever the function tells on its way, all of it before the run ends: the function gets
            a keyword argument ``tell`` for that, which takes anything picklable. What arrived before a process
            was ended counts.
        cancel
            Once set, the run ends and its process with it; waiting for the worker ends too.

        Raises
        ------
        DeadlinePassed
            The process did not answer in time and was ended, or the worker was busy or starting all the while.
        WorkerFailed
            The function raised anything but a `TapasError`, the process crashed, ran out of memory or sent
            something unreadable, or ``cancel`` was set, or `cancel` or `close` called.
        TapasError
            As the function raised it.
        """
        order = pickle.dumps((function, args, kwargs, on_news is not None), pickle.HIGHEST_PROTOCOL)
        until = time.monotonic() + min(deadline_s + grace_s, LONGEST_S)
        self._take_turn(until, deadline_s, cancel)
        try:
            process = self._take()
            try:
                self._await(process, until, deadline_s, cancel)
                too_late = DeadlinePassed(f"no answer within {deadline_s:g} s, so the worker's process was ended")
                value: T = process.ask(order, until - time.monotonic(), too_late, on_news=on_news, cancel=cancel)
                return value
            finally:
                self._give_back(process)
        finally:
            self._turn.release()

    def cancel(self) -> bool:
        """End the run in progress, whose caller gets `WorkerFailed`; False if there is none."""
        with self._state:
            return self._running is not None and self._running.end(CANCELLED)

    def close(self) -> None:
        """End the run in progress and all processes; the worker takes no more runs."""
        with self._state:
            self._closed = True
            if self._running is not None:
                self._running.end("the worker was closed")
            while self._idle:
                self._idle.pop().discard()
        if self._turn.acquire(timeout=5.0):  # the runner has given its process back: none is left
            self._turn.release()

    def _take_turn(self, until: float, deadline_s: float, cancel: threading.Event | None) -> None:
        if not _in_slices(lambda wait_s: self._turn.acquire(timeout=wait_s), until, cancel):
            raise DeadlinePassed(f"the worker was busy with another run for {deadline_s:g} s")

    def _await(self, process: Process, until: float, deadline_s: float, cancel: threading.Event | None) -> None:
        if not _in_slices(process.wait_until_ready, until, cancel):
            raise DeadlinePassed(f"the worker's process was not ready within {deadline_s:g} s")

    def _take(self) -> Process:
        with self._state:
            if self._closed:
                raise WorkerFailed("the worker was closed")
            while self._idle and not self._idle[0].alive:
                self._idle.popleft().discard()
            self._top_up()
            if not self._idle:
                raise WorkerFailed("the operating system starts no more processes")
            self._running = self._idle.popleft()
            self._running.begin()
            return self._running

    def _give_back(self, process: Process) -> None:
        reusable = process.finish()
        with self._state:
            self._running = None
            keep = reusable and not self._closed and process.runs < self._runs_per_process
            if keep:
                self._idle.appendleft(process)
        if not keep:  # ending one process and starting another takes long enough to miss a deadline by
            threading.Thread(target=self._replace, args=[process], daemon=True).start()

    def _replace(self, process: Process) -> None:
        process.discard()
        with self._state:
            if not self._closed:
                self._top_up()

    def _top_up(self) -> None:
        with suppress(OSError):  # out of processes or memory: fewer must do
            while len(self._idle) + (self._running is not None) < STARTED_AHEAD:
                self._idle.append(Process(self._warm_up, self._memory_bytes))


def _in_slices(wait: Callable[[float], bool], until: float, cancel: threading.Event | None) -> bool:
    """Wait, and look now and then whether the run was cancelled; whether the wait was worth it."""
    while True:
        if cancel is not None and cancel.is_set():
            raise WorkerFailed(CANCELLED)
        left_s = max(0.0, until - time.monotonic())
        if wait(left_s if cancel is None else min(left_s, LOOK_S)):
            return True
        if left_s == 0.0 or cancel is None:
            return False


class Workers:
    """One `Worker` per solver, started when first asked for: two solvers never meet in one process.

    Parameters
    ----------
    warm_ups
        The solvers' names, each with what its processes do ahead of their first run.
    memory_bytes
        Cap of each process's address space; default `worker_memory_bytes`, a share of the machine's memory.
    """

    def __init__(
        self, warm_ups: Mapping[str, Callable[[], object]] = WARM_UPS, *, memory_bytes: int | None = None
    ) -> None:
        self._warm_ups = dict(warm_ups)
        self._memory_bytes = worker_memory_bytes() if memory_bytes is None else memory_bytes
        self._lock = threading.Lock()
        self._workers: dict[str, Worker] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getitem__(self, solver: str) -> Worker:
        """The solver's worker, started if it was not.

        Raises
        ------
        NotFound
            There is no such solver.
        WorkerFailed
            The workers are closed.
        """
        if solver not in self._warm_ups:
            raise NotFound("solver", solver, f"there are {', '.join(sorted(self._warm_ups))}")
        with self._lock:
            if self._closed:
                raise WorkerFailed("the workers were closed")
            if solver not in self._workers:
                self._workers[solver] = Worker(warm_up=self._warm_ups[solver], memory_bytes=self._memory_bytes)
                self._workers[solver].start()
            return self._workers[solver]

    def close(self) -> None:
        """Close every worker."""
        with self._lock:
            self._closed = True
            for worker in self._workers.values():
                worker.close()
