"""What a cell comes to: plain values that are kept in a file, and are the same wherever it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tapas_opt.planning.cells import Cell, Step, Work
from tapas_opt.planning.lessons import Lesson, taught
from tapas_opt.planning.program import program
from tapas_opt.planning.worths import placed_on
from tapas_opt.simulation.case import Learned, World, world_of
from tapas_opt.simulation.metrics import json_safe

__all__ = ["MEASURED", "Outcome", "outcome_of"]

Outcome = Mapping[str, Any]
"""By coordinate and figure: JSON values only."""

MEASURED = ("wall_s", "decision_p99_s")
"""Metrics that a real clock shows, and that differ from run to run."""


def outcome_of(work: Work, learned: Learned) -> Outcome:
    """Run a cell, place all VMs for a step, or learn a site; a lesson goes by nothing that was learned.

    Returns
    -------
    Outcome
        Its coordinates, ``key`` and ``program``. Of a lesson: what :func:`~tapas_opt.planning.lessons.taught` says.
        Of a step: what :func:`~tapas_opt.planning.worths.placed_on` says. Of a cell: ``servers``, ``hours``,
        ``built_kw`` (Σ ratings of UPSs), ``peak_kw`` (the most that all UPSs carried together), tokens and VM hours
        (:class:`~tapas_opt.simulation.record.Traffic`), ``vms_rejected_frac`` and ``metrics``.
    """
    return {**work.coordinates(), "key": work.key, "program": program(), **_found(work, learned)}


def _found(work: Work, learned: Learned) -> dict[str, Any]:
    if isinstance(work, Lesson):
        return taught(work)
    world = world_of(work.case, learned)
    return placed_on(world) if isinstance(work, Step) else _run(world, work)


def _run(world: World, cell: Cell) -> dict[str, Any]:
    record = world.run(cell.policy)
    return {
        "servers": sum(1 for _ in world.site.servers()),
        "hours": 24.0 * cell.case.days,
        "built_kw": sum(ups.rating_w for room in world.site.rooms for ups in room.upses) / 1e3,
        "peak_kw": float(record.ups_power_w.sum(axis=1).max()) / 1e3,
        **asdict(record.traffic),
        "vms_rejected_frac": record.vms_rejected_frac,
        "metrics": json_safe(record.metrics),
    }
