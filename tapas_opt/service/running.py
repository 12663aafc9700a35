"""A server's life: load, serve, keep up, stop."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from tapas_opt.control.recorder import KeptWithin, Met, Recorder, unrecorded
from tapas_opt.mip.worker import Worker, Workers
from tapas_opt.service.core import Core
from tapas_opt.service.loading import load
from tapas_opt.service.loops import Loops
from tapas_opt.service.options import Options
from tapas_opt.service.server import Server
from tapas_opt.solve import solver_workers, warm_up_loops
from tapas_opt.state.journal import Journal, journal_url

__all__ = ["run"]

WARM_UP_S = 20.0
"""At most so long is waited for a solver before serving without it: greedy needs none."""


def run(options: Options, ready: Callable[[str, Core], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``ready`` is called with the address once everything is loaded."""
    with _stop_signals() as told:
        server = Server(options)
        server.start()
        try:
            with solver_workers() as workers, solver_workers() as urgent_workers, _recording(options) as met:
                _serve(options, server, workers, urgent_workers, met, told, ready)
        finally:
            server.stop()


@contextmanager
def _stop_signals() -> Iterator[socket.socket]:
    """A socket that can be read from once SIGTERM or SIGINT has come.

    A handler runs in the main thread alone, and a main thread that waits for a lock sleeps on when another thread is
    the one that is interrupted. Whichever thread it is, it writes to this socket.
    """
    told, tell = socket.socketpair()
    tell.setblocking(False)
    numbers = (signal.SIGTERM, signal.SIGINT)
    with told, tell:
        before = [signal.signal(number, _nothing_more) for number in numbers]
        written_before = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
        try:
            yield told
        finally:
            signal.set_wakeup_fd(written_before)
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def _nothing_more(_number: int, _frame: FrameType | None) -> None:
    """The handler that a signal needs so that it is written to the socket."""


@contextmanager
def _recording(options: Options) -> Iterator[Met]:
    """What is told of problems: a recorder, where a folder is given."""
    if options.record_problems is None:
        yield unrecorded
        return
    with Recorder(options.record_problems, KeptWithin(count=options.record_most)) as recorder:
        yield recorder.offer


def _serve(
    options: Options,
    server: Server,
    workers: Workers,
    urgent_workers: Workers,
    met: Met,
    told_to_stop: socket.socket,
    ready: Callable[[str, Core], None],
) -> None:
    """Load, serve until told to stop, and keep what is known."""
    with _journal(options) as journal:
        warm_up_loops()  # before the processes that load what is compiled here
        starting = [each["highs"] for each in (workers, urgent_workers)]  # while the journal is read
        looks = Loops()
        core = load(options, journal, looks.wake, workers, urgent_workers, met)
        _wait_until_warm(starting)
        with looks.of(core):
            server.serve(core)
            ready(server.address, core)
            told_to_stop.recv(1)
            server.stop()
        core.tracking.write(core.controller)


@contextmanager
def _journal(options: Options) -> Iterator[Journal]:
    journal = Journal(journal_url(options.state))
    try:
        yield journal
    finally:
        journal.close()


def _wait_until_warm(starting: Sequence[Worker]) -> None:
    """The first decision should not wait for its solver to start."""
    until = time.monotonic() + WARM_UP_S
    for worker in starting:
        worker.wait_until_ready(max(0.0, until - time.monotonic()))
