"""What each failure would ask of the domains that it touches.

A *pair* is a domain after a failure, such as "U3 after ups:U2", with shares and a capacity of its own. All of this
follows from the site alone, so it is worked out once a site. A failure touches one room; servers that no failure tells
apart are worked out as one (:mod:`tapas_opt.budgets.units`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.units import room_of, units_of
from tapas_opt.domain.failure import PERMILLE, Failure, FailureKind, FailureSource, effect_of
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.errors import NotFound

__all__ = ["FailurePairs", "SiteFailures", "Scenario", "scenario_name", "single_failures", "site_failures"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

Scenario = tuple[Failure, ...]
"""Failures that are borne together; of several rooms, each room's are a scenario of their own."""

PARTS: tuple[tuple[str, tuple[Constraint, ...]], ...] = (
    ("", (Constraint.UPS_POWER_CAPACITY, Constraint.PDU_POWER_BUDGET, Constraint.ROW_POWER_BUDGET)),
    (" heat", (Constraint.AISLE_HEAT_CAPACITY,)),
    (" air", (Constraint.AISLE_AIRFLOW_CAPACITY,)),
)
"""What a failure may leave short: power, heat taken away, air. Each is a scenario by itself, with a word for its name;
what relieves one by watts relieves the others alike, so that the dearest of the three is what the failure costs."""

FALLS_FRAC = 1e-9
"""A capacity has fallen when it is less by more than this part of itself."""


@dataclass(frozen=True, slots=True)
class FailurePairs:
    """Domains after failures, counted in one unit.

    Attributes
    ----------
    scenarios, scenario_room
        ``[scenario]`` name and room.
    names, scenario
        ``[pair]`` such as ``U3 after ups:U2``, and the number of its scenario.
    family, element
        ``[pair]`` which family's which domain it is; its margin is the domain's.
    capacity
        ``[pair]`` what the domain carries after the failure, in W or CFM.
    member, share_permille
        ``[unit, place]`` pairs that a unit of servers draws on, and with which part of its draw.
    """

    scenarios: tuple[str, ...]
    scenario_room: IntArray
    names: tuple[str, ...]
    scenario: IntArray
    family: tuple[Constraint, ...]
    element: IntArray
    capacity: FloatArray
    member: IntArray
    share_permille: IntArray


@dataclass(frozen=True, slots=True)
class SiteFailures:
    """All pairs of a site.

    Attributes
    ----------
    unit_of
        ``[server]`` unit of servers that gain and lose alike.
    units
        How many there are.
    transient
        Pairs (W) that may be overloaded before anything acts: of each domain only those that no other outweighs.
    power, air
        Pairs in W (power and heat) and in CFM that have to be brought below their capacity.
    no_worse
        Scenario that need not be looked at, and the one that is at least as bad for all that it touches.
    """

    unit_of: IntArray
    units: int
    rooms: tuple[str, ...]
    transient: FailurePairs
    power: FailurePairs
    air: FailurePairs
    no_worse: tuple[tuple[str, str], ...]


def single_failures(topology: Topology) -> tuple[Scenario, ...]:
    """The loss of every single UPS, PDU and air handler."""
    lost = (
        (FailureKind.UPS, topology.upses),
        (FailureKind.PDU, topology.pdus),
        (FailureKind.AHU, topology.ahus),
    )
    return tuple((Failure(kind, name),) for kind, names in lost for name in names)


def scenario_name(scenario: Scenario) -> str:
    """``ups:U2``, ``ups:U2+pdu:P3`` for several at once, ``planned ups:U2`` for an outage."""
    planned = any(failure.source is FailureSource.PLANNED for failure in scenario)
    return "planned " * planned + "+".join(failure.label for failure in scenario)


def site_failures(topology: Topology, scenarios: Sequence[Scenario], standing: Scenario = ()) -> SiteFailures:
    """Work out the pairs of some scenarios; those that change nothing, or are outweighed, are left out.

    Parameters
    ----------
    standing
        What is out of service anyway while the scenarios are borne, such as a planned outage; then only scenarios of
        its room are looked at.

    Raises
    ------
    NotFound
        A scenario names an element that the site does not have.
    """
    small, unit_of = units_of(topology)
    rooms = _Rooms.of(small, scenarios)
    found: list[_Pair] = []
    transient: list[_Pair] = []
    no_worse: list[tuple[str, str]] = []
    for room in rooms.numbers(standing):
        worst, outweighed = _outweighing(rooms.pairs(room, standing))
        found += worst
        no_worse += outweighed
        transient += _heaviest(worst)
    sizes = len(small.servers)
    return SiteFailures(
        unit_of=unit_of,
        units=sizes,
        rooms=topology.rooms,
        transient=_joined(transient, sizes),
        power=_joined([pair for pair in found if pair.family is not Constraint.AISLE_AIRFLOW_CAPACITY], sizes),
        air=_joined([pair for pair in found if pair.family is Constraint.AISLE_AIRFLOW_CAPACITY], sizes),
        no_worse=tuple(no_worse),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """A domain after a scenario; ``share`` is ``[unit of the room]``, of the units ``unit``."""

    scenario: str
    room: int
    domain: str
    family: Constraint
    element: int
    capacity: float
    unit: IntArray
    share: IntArray


@dataclass(frozen=True, slots=True)
class _Rooms:
    """Units room by room, and what fails in each."""

    topology: Topology
    scenarios: dict[int, dict[Scenario, None]]

    @classmethod
    def of(cls, topology: Topology, scenarios: Sequence[Scenario]) -> _Rooms:
        room_of_element = _rooms_of_elements(topology)
        by_room: dict[int, dict[Scenario, None]] = {}
        for scenario in scenarios:
            for failure in scenario:
                if (failure.kind, failure.element) not in room_of_element:
                    effect_of(topology, (failure,))  # says what the site has instead
                    raise NotFound(failure.kind.value, failure.element, "the site has no such element")
            rooms = [room_of_element[failure.kind, failure.element] for failure in scenario]
            for room in dict.fromkeys(rooms):
                here = tuple(f for f, r in zip(scenario, rooms, strict=True) if r == room)
                by_room.setdefault(room, {})[here] = None
        return cls(topology, by_room)

    def numbers(self, standing: Scenario) -> list[int]:
        """Rooms with scenarios; where something stands failed, those of it."""
        known = _rooms_of_elements(self.topology)
        out = {known[failure.kind, failure.element] for failure in standing}
        return sorted(self.scenarios.keys() & out if standing else self.scenarios)

    def pairs(self, room: int, standing: Scenario) -> list[_Pair]:
        """All pairs of a room whose share rises or whose capacity falls."""
        here = room_of(self.topology, room)
        known = _rooms_of_elements(here)
        out = tuple(failure for failure in standing if (failure.kind, failure.element) in known)
        before = _Loads.of(here, out)
        unit = np.flatnonzero(self.topology.server_room == room)
        during = f" during {scenario_name(out)}" if out else ""
        pairs: list[_Pair] = []
        for scenario in self.scenarios[room]:
            after = _Loads.of(here, (*out, *scenario))
            names = [(scenario_name(scenario) + word + during, families) for word, families in PARTS]
            pairs += _touched(before, after, names, room, unit, self)
        return pairs

    def element(self, family: Constraint, domain: str) -> int:
        return _names(self.topology, family).index(domain)


def _rooms_of_elements(topology: Topology) -> dict[tuple[FailureKind, str], int]:
    """Room of everything that can fail."""
    named = (
        (FailureKind.UPS, topology.upses, topology.ups_room),
        (FailureKind.PDU, topology.pdus, topology.pdu_room),
        (FailureKind.AHU, topology.ahus, topology.ahu_room),
        *(
            (kind, topology.rooms, np.arange(len(topology.rooms)))
            for kind in (FailureKind.CHILLED_WATER, FailureKind.ROOM_POWER, FailureKind.ROOM_AIRFLOW)
        ),
    )
    return {(kind, name): int(room) for kind, names, rooms in named for name, room in zip(names, rooms, strict=True)}


def _names(topology: Topology, family: Constraint) -> tuple[str, ...]:
    return {
        Constraint.UPS_POWER_CAPACITY: topology.upses,
        Constraint.PDU_POWER_BUDGET: topology.pdus,
        Constraint.ROW_POWER_BUDGET: topology.rows,
        Constraint.AISLE_HEAT_CAPACITY: topology.aisles,
        Constraint.AISLE_AIRFLOW_CAPACITY: topology.aisles,
    }[family]


@dataclass(frozen=True, slots=True)
class _Loads:
    """Under some failures: per family names, ``[unit, domain]`` shares in thousandths, ``[domain]`` capacities."""

    of_family: dict[Constraint, tuple[tuple[str, ...], IntArray, FloatArray]]

    @classmethod
    def of(cls, topology: Topology, failures: Scenario) -> _Loads:
        effect = effect_of(topology, failures)
        live = ~effect.server_dark[:, None]
        pdu = np.zeros((len(topology.racks), len(topology.pdus)), dtype=np.int64)
        fed = np.arange(len(topology.racks))[:, None]
        np.add.at(pdu, (fed, topology.rack_feeds), np.where(topology.rack_feeds == NONE, 0, effect.feed_permille))
        pdu *= live
        ups = pdu @ _marks(topology.pdu_ups, len(topology.upses))
        row = PERMILLE * _marks(topology.rack_row, len(topology.rows)) * live
        aisle = PERMILLE * _marks(topology.row_aisle[topology.rack_row], len(topology.aisles)) * live
        shares = {
            Constraint.UPS_POWER_CAPACITY: (ups, effect.ups_capacity_w),
            Constraint.PDU_POWER_BUDGET: (pdu, effect.pdu_capacity_w),
            Constraint.ROW_POWER_BUDGET: (row, effect.row_budget_w),
            Constraint.AISLE_HEAT_CAPACITY: (aisle, effect.aisle_heat_capacity_w),
            Constraint.AISLE_AIRFLOW_CAPACITY: (aisle, effect.aisle_airflow_capacity_cfm),
        }
        return cls({family: (_names(topology, family), *loads) for family, loads in shares.items()})


def _marks(index: IntArray, count: int) -> IntArray:
    """``[item, number]`` 1 where the item's index is the number."""
    return np.asarray(index[:, None] == np.arange(count)).astype(np.int64)


def _touched(
    before: _Loads,
    after: _Loads,
    named: Sequence[tuple[str, tuple[Constraint, ...]]],
    room: int,
    unit: IntArray,
    rooms: _Rooms,
) -> Iterator[_Pair]:
    """Domains that the scenario asks more of, or leaves less of."""
    for name, families in named:
        for family in families:
            names, share, capacity = after.of_family[family]
            _, normal, whole = before.of_family[family]
            asked = (share > normal).any(axis=0) | (capacity < whole * (1.0 - FALLS_FRAC))
            for d in np.flatnonzero(asked & share.any(axis=0)).tolist():
                element = rooms.element(family, names[d])
                yield _Pair(name, room, names[d], family, element, float(capacity[d]), unit, share[:, d])


def _outweighs(one: _Pair, other: _Pair) -> bool:
    """Whether every load weighs at least as much in one, and no more is carried there."""
    return one.capacity <= other.capacity and bool((one.share >= other.share).all())


def _outweighing(pairs: list[_Pair]) -> tuple[list[_Pair], list[tuple[str, str]]]:
    """Pairs of scenarios that no other one is at least as bad as in all its pairs; and which are, by which."""
    by_scenario: dict[str, dict[tuple[Constraint, str], _Pair]] = {}
    for pair in pairs:
        by_scenario.setdefault(pair.scenario, {})[pair.family, pair.domain] = pair
    outweighed: dict[str, str] = {}
    for name in reversed(by_scenario):  # of two that are alike the first named stays
        touched = by_scenario[name]
        for other, theirs in by_scenario.items():
            if other == name or other in outweighed or not touched.keys() <= theirs.keys():
                continue
            if all(_outweighs(theirs[domain], pair) for domain, pair in touched.items()):
                outweighed[name] = other
                break
    return [pair for pair in pairs if pair.scenario not in outweighed], list(outweighed.items())


def _heaviest(pairs: list[_Pair]) -> list[_Pair]:
    """Of each domain that has a breaker or a battery, the pairs that no other of it outweighs."""
    dropped: set[int] = set()
    by_domain: dict[tuple[Constraint, str], list[_Pair]] = {}
    for pair in pairs:
        if pair.family in PARTS[0][1]:
            by_domain.setdefault((pair.family, pair.domain), []).append(pair)
    for alike in by_domain.values():
        for one, other in combinations(alike, 2):
            if id(one) not in dropped and id(other) not in dropped:
                if _outweighs(one, other):
                    dropped.add(id(other))
                elif _outweighs(other, one):
                    dropped.add(id(one))
    return [pair for alike in by_domain.values() for pair in alike if id(pair) not in dropped]


def _joined(pairs: list[_Pair], units: int) -> FailurePairs:
    scenarios = list(dict.fromkeys(pair.scenario for pair in pairs))
    number = {name: i for i, name in enumerate(scenarios)}
    room = {pair.scenario: pair.room for pair in pairs}
    member, share = _places(pairs, units)
    return FailurePairs(
        scenarios=tuple(scenarios),
        scenario_room=np.array([room[name] for name in scenarios], dtype=np.int64),
        names=tuple(f"{pair.domain} after {pair.scenario}" for pair in pairs),
        scenario=np.array([number[pair.scenario] for pair in pairs], dtype=np.int64),
        family=tuple(pair.family for pair in pairs),
        element=np.array([pair.element for pair in pairs], dtype=np.int64),
        capacity=np.array([pair.capacity for pair in pairs]),
        member=member,
        share_permille=share,
    )


def _places(pairs: list[_Pair], units: int) -> tuple[IntArray, IntArray]:
    """``[unit, place]`` pairs that each unit draws on, by rising number, and its shares."""
    drawing = [np.flatnonzero(pair.share) for pair in pairs]
    none = np.zeros(0, dtype=np.int64)
    unit = np.concatenate([none, *(pair.unit[on] for pair, on in zip(pairs, drawing, strict=True))])
    share = np.concatenate([none, *(pair.share[on] for pair, on in zip(pairs, drawing, strict=True))])
    number = np.repeat(np.arange(len(pairs)), [len(on) for on in drawing])
    order = np.argsort(unit, kind="stable")
    unit, share, number = unit[order], share[order], number[order]
    begin = np.searchsorted(unit, np.arange(units))
    place = np.arange(len(unit)) - begin[unit]
    width = int(place.max(initial=-1)) + 1
    members = np.full((units, width), NONE, dtype=np.int64)
    shares = np.zeros((units, width), dtype=np.int64)
    members[unit, place], shares[unit, place] = number, share
    return members, shares
