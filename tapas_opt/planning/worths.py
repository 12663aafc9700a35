"""What one more kW or 1,000 CFM would be worth, and where: all VMs placed on a site again that has it.

The question is what a secure placement of all VMs at once leaves out, on the site as it is and with one limit raised.
Of both answers plan and bound are known, so that the worth is an interval, as in :mod:`tapas_opt.worth`: ``bound before
− objective after`` and ``objective before − bound after``. Nobody need use what a limit has more, so that it is worth
nothing at the least. That has to be said: inlets are forecast at the limits of rows, and with more of it every VM is
taken to draw more. Solvers stop by work, so that an answer is the same on any machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from tapas_opt.control.settings import Settings
from tapas_opt.domain.result import Rejection, Result
from tapas_opt.domain.site import Ahu, Aisle, Room, Row, Site, Ups
from tapas_opt.domain.topology import topology_of
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.planning.study import Steps
from tapas_opt.simulation.case import World
from tapas_opt.solve import solve

__all__ = ["AS_IS", "EACH", "intervals", "kept_out", "placed_on", "raised", "scarcest", "together"]

AS_IS = ""
EACH = "*"
"""In the place of a name: all of a kind. Where one may be lost, more of another alone is often worth nothing."""

WORK = 1
"""Rounds of the solver: greedy's bound knows nothing of failures, and the first round's does."""

VM_FRAC = 1000.0
"""A VM that is not placed costs so many times what is negligible in a placement."""

STATING = Settings(solver="greedy", work=WORK, arm_every_s=0.0)


def placed_on(world: World) -> dict[str, Any]:
    """Place all VMs that run at a world's start on its empty site, secure against any single failure.

    Returns
    -------
    dict
        ``wanted`` and ``placed`` VMs; ``objective`` and ``bound`` in VMs not placed; ``kept_out``, by what those are
        kept out (:func:`kept_out`).
    """
    met: list[tuple[Any, Result[Any]]] = []
    controller = world.known().controller(STATING, lambda problem, result: met.append((problem, result)))
    running, start_s = world.story.running, world.story.start_s
    controller.place(running, world.story.groups, now_s=start_s, deadline_s=1.0)
    problem: PlacementProblem = met[-1][0]
    result: Result[Any] = solve(problem, work=WORK)
    vm = VM_FRAC * problem.negligible_cost
    bound = result.bound / vm
    return {
        "wanted": float(len(problem.vms)),
        "placed": float(len(result.plan.server_of)),
        "objective": result.objective / vm,
        "bound": bound if isfinite(bound) else None,
        "kept_out": kept_out(result.why_not),
    }


def kept_out(why_not: Sequence[Rejection]) -> list[dict[str, Any]]:
    """What keeps VMs out, most of them first: ``constraint``, ``vms``, and ``short_by`` (``unit``) the nearest misses.

    A VM is counted with each constraint that it meets on its way in.
    """
    met: dict[tuple[str, str], dict[str, float]] = {}
    for item in why_not:
        vms = met.setdefault((str(item.constraint), item.unit), {})
        vms[item.subject] = min(item.shortfall, vms.get(item.subject, item.shortfall))
    told: list[dict[str, Any]] = [
        {"constraint": name, "vms": len(vms), "short_by": min(vms.values()), "unit": unit}
        for (name, unit), vms in met.items()
    ]
    return sorted(told, key=lambda item: -len(met[item["constraint"], item["unit"]]))


def scarcest(site: Site, places: int) -> list[str]:
    """Rows, UPSs and air handlers by what hangs on them at nameplate over what they carry, of each kind the first few.

    Returns
    -------
    list
        Labels such as ``row:R1``, ``ups:U2`` and ``ahu:AHU1``.
    """
    topology = topology_of(site)
    hardware = [site.hardware[name] for name in topology.hardware]
    power_w = np.array([item.max_power_w for item in hardware])[topology.server_hardware]
    airflow_cfm = np.array([item.max_airflow_cfm for item in hardware])[topology.server_hardware]
    rack_w = np.bincount(topology.server_rack, power_w, len(topology.racks)).astype(np.float64)
    row = np.bincount(topology.rack_row, rack_w, len(topology.rows)) / topology.row_budget_w
    ups = topology.on_upses(rack_w) / topology.ups_rating_w
    aisle_cfm = np.bincount(topology.server_aisle, airflow_cfm, len(topology.aisles))
    aisle = aisle_cfm / (topology.ahu_airflow_cfm @ topology.ahu_share)
    ahu = topology.ahu_share @ aisle / topology.ahu_share.sum(axis=1)
    kinds = (("row", topology.rows, row), ("ups", topology.upses, ups), ("ahu", topology.ahus, ahu))
    return [f"{kind}:{name}" for kind, names, used in kinds for name in _first(names, used, places)]


def together(site: Site) -> list[str]:
    """Labels that stand for all of a kind, ``row:*``, ``ups:*`` and ``ahu:*``, where there is more than one."""
    topology = topology_of(site)
    kinds = (("row", topology.rows), ("ups", topology.upses), ("ahu", topology.ahus))
    return [f"{kind}:{EACH}" for kind, names in kinds if len(names) > 1]


def raised(site: Site, element: str, steps: Steps) -> Site:
    """The site with a row, UPS or air handler, or each of a kind, that carries a step more.

    An air handler's coil grows with its flow.
    """
    return replace(site, rooms=tuple(_raised_room(room, element, steps) for room in site.rooms))


def intervals(answers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each raised limit, how many VMs more are placed: ``least``, ``most``, and ``found`` by the two plans.

    Where the plan of before is better it is the plan of after as well. ``kept_out`` is of the site as it is.

    Parameters
    ----------
    answers
        Of :func:`placed_on`, with ``site``, ``oversubscription``, ``saas_share``, ``element``, ``step`` and ``unit``.
    """
    by_room: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for answer in answers:
        room = (answer["site"], answer["oversubscription"], answer["saas_share"])
        by_room.setdefault(room, []).append(answer)
    return [row for own in by_room.values() for row in _of_room(own)]


def _of_room(answers: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    before = next(answer for answer in answers if answer["element"] == AS_IS)
    for after in answers:
        if after is not before:
            told = ("site", "oversubscription", "saas_share", "element", "step", "unit")
            best = min(before, after, key=lambda answer: float(answer["objective"]))
            yield {
                **{name: after[name] for name in told},
                "wanted": before["wanted"],
                "placed_before": before["placed"],
                "placed_after": best["placed"],
                "least": 0.0 if before["bound"] is None else max(0.0, before["bound"] - after["objective"]),
                "most": None if after["bound"] is None else max(0.0, before["objective"] - after["bound"]),
                "found": before["objective"] - best["objective"],
                "kept_out": before["kept_out"],
            }


def _is(kind: str, name: str, element: str) -> bool:
    return element in (f"{kind}:{name}", f"{kind}:{EACH}")


def _first(names: Sequence[str], used: Any, places: int) -> list[str]:
    return [names[i] for i in np.argsort(-used, kind="stable")[:places].tolist()]


def _raised_room(room: Room, element: str, steps: Steps) -> Room:
    return replace(
        room,
        upses=tuple(_raised_ups(ups, element, steps.power_w) for ups in room.upses),
        ahus=tuple(_raised_ahu(ahu, element, steps.airflow_cfm) for ahu in room.ahus),
        aisles=tuple(_raised_aisle(aisle, element, steps.power_w) for aisle in room.aisles),
    )


def _raised_ups(ups: Ups, element: str, step_w: int) -> Ups:
    return replace(ups, rating_w=ups.rating_w + step_w) if _is("ups", ups.name, element) else ups


def _raised_ahu(ahu: Ahu, element: str, step_cfm: int) -> Ahu:
    if not _is("ahu", ahu.name, element):
        return ahu
    grown = 1.0 + step_cfm / ahu.max_airflow_cfm
    return replace(ahu, max_airflow_cfm=ahu.max_airflow_cfm + step_cfm, coil_capacity_w=ahu.coil_capacity_w * grown)


def _raised_aisle(aisle: Aisle, element: str, step_w: int) -> Aisle:
    def raised_row(row: Row) -> Row:
        return replace(row, power_budget_w=row.power_budget_w + step_w) if _is("row", row.name, element) else row

    return replace(aisle, rows=tuple(raised_row(row) for row in aisle.rows))
