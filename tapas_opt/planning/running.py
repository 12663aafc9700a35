"""Cells and lessons run where there is room: in this process, in processes of this machine, or on a Dask cluster.

Each is a pure function of its inputs, so that where it runs, and how often it was begun, changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from tapas_opt.errors import InvalidInput, ServerUnreachable, WorkerFailed
from tapas_opt.planning.cells import Work, goes_by, profiles_fingerprint
from tapas_opt.planning.outcome import Outcome, outcome_of
from tapas_opt.planning.program import program
from tapas_opt.simulation.case import Learned

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["on_cluster", "on_cores"]

FOUND_WITHIN_S = 10.0
IN_FLIGHT = 2
"""Cells that are handed to a process before it asks: none waits for another to be sent."""


def on_cores(work: Sequence[Work], known: Mapping[str, Learned], jobs: int) -> Iterator[Outcome]:
    """What cells come to, in the order in which they finish; one job is this process.

    Parameters
    ----------
    known
        What each of them goes by, as :func:`~tapas_opt.planning.cells.goes_by` has it.

    Raises
    ------
    WorkerFailed
        A process died, such as for want of memory.
    """
    if jobs == 1 or len(work) < 2:
        yield from (outcome_of(item, known[goes_by(item)]) for item in work)
        return
    # Never fork: threads of numba and of solvers do not survive it.
    with (
        tempfile.TemporaryDirectory(prefix="tapas-opt-", ignore_cleanup_errors=True) as scratch,
        ProcessPoolExecutor(min(jobs, len(work)), get_context("spawn"), _alone, (scratch,)) as pool,
    ):
        try:
            yield from _as_they_end(pool, work, known, IN_FLIGHT * jobs)
        except BrokenProcessPool as error:
            raise WorkerFailed(
                "a process died under a cell, perhaps for want of memory; finished cells are kept: run again with "
                "fewer --jobs"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def on_cluster(work: Sequence[Work], known: Mapping[str, Learned], address: str) -> Iterator[Outcome]:
    """What cells come to on a Dask cluster, in the order in which they finish.

    A cell whose worker dies begins again on another one. Dask moves Python objects between its processes: whoever can
    reach the scheduler can run code on it, so it belongs on a network of one's own.

    Raises
    ------
    InvalidInput
        `distributed` is not installed here, the address is none, or a worker runs another version of tapas-opt.
    ServerUnreachable
        No scheduler answers at the address, or any more.
    WorkerFailed
        A cell's workers died again and again.
    """
    try:
        from distributed import Client, as_completed  # noqa: PLC0415  not needed on one machine
    except ImportError as error:
        what = "needs the package distributed: pip install 'tapas-opt[cluster]'"
        raise InvalidInput.one("whatif", "--cluster", what) from error
    from distributed.scheduler import KilledWorker  # noqa: PLC0415

    try:
        client = Client(address, timeout=FOUND_WITHIN_S)
    except ValueError as error:
        what = f"{address!r} is no address such as tcp://10.0.0.5:8786: {error}"
        raise InvalidInput.one("whatif", "--cluster", what) from error
    except OSError as error:
        raise ServerUnreachable(f"no Dask scheduler answers at {address!r}: {error}") from error
    with client:
        futures = _handed_over(client, work, known)
        try:
            for future in as_completed(futures):
                yield _same_program(future.result())
        except KilledWorker as error:
            raise WorkerFailed(
                f"workers died under one cell again and again; finished cells are kept: {error}"
            ) from error
        except (asyncio.CancelledError, CancelledError, OSError) as error:
            raise ServerUnreachable(f"the Dask scheduler at {address!r} went away; finished cells are kept") from error
        finally:
            with suppress(asyncio.CancelledError, CancelledError, OSError):
                client.cancel(futures)


def _handed_over(client: Client, work: Sequence[Work], known: Mapping[str, Learned]) -> list[Any]:
    """A task for each cell; what is learned is a task as well, so that it is made again when its worker dies."""
    held = {
        name: client.submit(_same, learned, key=f"learned-{learned.models.fingerprint}-{profiles_fingerprint(learned)}")
        for name, learned in known.items()
    }
    return [client.submit(outcome_of, item, held[goes_by(item)], key=f"cell-{item.key}") for item in work]


def _as_they_end(
    pool: ProcessPoolExecutor, work: Sequence[Work], known: Mapping[str, Learned], at_once: int
) -> Iterator[Outcome]:
    """Few are handed over at a time, so that what is not begun can still be left."""
    left, running = list(reversed(work)), set[Future[Outcome]]()
    while left or running:
        while left and len(running) < at_once:
            item = left.pop()
            running.add(pool.submit(outcome_of, item, known[goes_by(item)]))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)


def _alone(scratch: str) -> None:
    """Each process has a core to itself, and ends with the one that began it, however that ends.

    What sites are learned from is written in ``scratch``: nothing of it is left by a process that is ended.
    """
    import numba  # noqa: PLC0415  slow to import

    tempfile.tempdir = scratch
    numba.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a cell at once, and not with its last step
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent, scratch), daemon=True).start()


def _end_with(parent: BaseProcess, scratch: str) -> None:
    parent.join()
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


def _same_program(outcome: Outcome) -> Outcome:
    if outcome["program"] != program():
        what = "its workers run another version of tapas-opt or what it computes with; install the same, restart them"
        raise InvalidInput.one("whatif", "--cluster", what)
    return outcome


def _same(learned: Learned) -> Learned:
    return learned
