"""Workers that are ready for a first emergency: what an answer needs is loaded and compiled before it is asked for."""

from __future__ import annotations

from functools import partial

from tapas_opt.mip.worker import WARM_UPS, Workers
from tapas_opt.placement import greedy as placing
from tapas_opt.reconfiguration import greedy as reconfiguring
from tapas_opt.routing import greedy as routing

__all__ = ["solver_workers", "warm_up", "warm_up_loops"]


def solver_workers(*, memory_bytes: int | None = None) -> Workers:
    """Workers whose processes are warm for `solve`, and not only for their solver.

    A fresh process that had to load the code of the problems first, 1.5 s of it, would miss its first deadline.
    """
    return Workers({name: partial(warm_up, name) for name in WARM_UPS}, memory_bytes=memory_bytes)


def warm_up(worker: str) -> None:
    """Load a worker's solver, the three kinds of problems, and their compiled loops; runs in each new process."""
    WARM_UPS[worker]()
    warm_up_loops()


def warm_up_loops() -> None:
    """Compile what the greedy paths of all kinds of problems need, or load what was compiled before."""
    from tapas_opt.placement import dealing_kernels  # noqa: PLC0415  compiled loops take long to import

    for greedy in (placing, reconfiguring, routing):
        greedy.warm_up()
    dealing_kernels.warm_up()
