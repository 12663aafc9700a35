"""What a study says of a room: how many servers fit at which risk, and what stands in the way of more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from tapas_opt.planning.outcome import Outcome
from tapas_opt.planning.study import Risk

__all__ = ["breaches", "fitting"]

ROOM = ("site", "saas_share", "policy")
"""What a room is filled for: each such room is judged over all scenarios, failures and seeds."""

CAUSE = ("scenario", "weather", "failure", "which")
"""What may break a risk: a scenario, the weather, and what fails besides."""


def fitting(outcomes: Sequence[Outcome], risks: Mapping[str, Risk]) -> list[dict[str, Any]]:
    """For each room, policy and risk: the largest oversubscription up to which every run is safe.

    Returns
    -------
    list
        By site and share, then risk, then policy, so that policies that compete stand together: the room (``site``,
        ``saas_share``, ``policy``), ``risk``; ``oversubscription`` and ``servers`` of the largest safe filling, None
        where not even the first is safe; ``vms`` that got a server there, the fewest of its runs;
        ``next_oversubscription``, the first that is not safe, None where all are; and ``binding``, what breaks most
        there: how often, and the worst run of each.
    """
    rooms: dict[tuple[Any, ...], list[Outcome]] = {}
    for row in outcomes:
        rooms.setdefault(tuple(row[name] for name in ROOM), []).append(row)
    return [
        {**dict(zip(ROOM, room, strict=True)), "risk": name, **_fitting(_fillings(own), risk)}
        for place in dict.fromkeys(room[:-1] for room in rooms)
        for name, risk in risks.items()
        for room, own in rooms.items()
        if room[:-1] == place
    ]


def breaches(outcome: Outcome, risk: Risk) -> dict[str, float]:
    """By metric, how far a run is above what the risk allows, over that limit; ``inf`` where nothing is allowed.

    A metric that was never defined in the run, such as the quality of answers where none was given, is broken.
    """
    found = {}
    for name, limit in risk.limits().items():
        value = _value(outcome, name)
        if value is None:
            found[name] = float("inf")
        elif value > limit:
            found[name] = (value - limit) / limit if limit > 0.0 else float("inf")
    return found


def _fillings(rows: Sequence[Outcome]) -> list[list[Outcome]]:
    """Runs of a room by its filling, which rises."""

    def filling(row: Outcome) -> float:
        return float(row["oversubscription"])

    return [list(same) for _, same in groupby(sorted(rows, key=filling), key=filling)]


def _fitting(fillings: Sequence[Sequence[Outcome]], risk: Risk) -> dict[str, Any]:
    """Over fillings that rise: those up to the first that is not safe."""
    safe: Sequence[Outcome] | None = None
    for filling in fillings:
        binding = list(_binding(filling, risk))
        if binding:
            return {**_filled(safe), "next_oversubscription": filling[0]["oversubscription"], "binding": binding}
        safe = filling
    return {**_filled(safe), "next_oversubscription": None, "binding": []}


def _filled(filling: Sequence[Outcome] | None) -> dict[str, Any]:
    if not filling:
        return {"oversubscription": None, "servers": None, "vms": None}
    vms = min(row["metrics"]["vms_placed"] for row in filling)
    return {"oversubscription": filling[0]["oversubscription"], "servers": filling[0]["servers"], "vms": vms}


def _binding(filling: Sequence[Outcome], risk: Risk) -> Iterator[dict[str, Any]]:
    """What breaks the risk, by scenario, failure and metric, most often first; of those alike the worst value first."""
    runs = Counter(_cause(row) for row in filling)
    broken: dict[tuple[tuple[str, ...], str], list[Outcome]] = {}
    for row in filling:
        for name in breaches(row, risk):
            broken.setdefault((_cause(row), name), []).append(row)
    by_weight: list[tuple[float, float, dict[str, Any]]] = []
    for (cause, name), rows in broken.items():
        worst = _worst(rows, name)
        told = {**dict(zip(CAUSE, cause, strict=True)), "metric": name, "limit": risk.limits()[name], "worst": worst}
        told |= {"runs_broken": len(rows), "runs": runs[cause]}
        by_weight.append((len(rows) / runs[cause], worst or 0.0, told))
    yield from (told for _, _, told in sorted(by_weight, key=lambda item: (-item[0], -item[1])))


def _cause(row: Outcome) -> tuple[str, ...]:
    return tuple(row[name] for name in CAUSE)


def _worst(rows: Sequence[Outcome], name: str) -> float | None:
    """The highest value; None where the metric was not defined."""
    values = [_value(row, name) for row in rows]
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def _value(row: Outcome, name: str) -> float | None:
    """What a risk looks at; VMs turned away are no metric of a run by themselves."""
    value: float | None = row[name] if name == "vms_rejected_frac" else row["metrics"].get(name)
    return value
