"""What can fail, and what a failure does to feeds, shares and capacities.

A failure changes the topology; loads follow. :func:`effect_of` is the one place where that is worked out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from tapas_opt.domain.fields import STRICT, Name, NonNegative, Positive
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.errors import NotFound

__all__ = ["Effect", "Failure", "FailureKind", "FailureSource", "air_density_frac", "effect_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PERMILLE = 1000
"""Shares are whole thousandths, rounded up, so that loads stay on an integer grid."""

CHILLED_WATER_SUPPLY_RISE_C = 12.0
"""Planning value for supply air once the water's thermal mass is used up; the plant models the course."""


class FailureKind(StrEnum):
    """What fails. The two ``room_*`` kinds are the paper's emergencies: a derating of a whole room."""

    UPS = "ups"
    PDU = "pdu"
    AHU = "ahu"
    CHILLED_WATER = "chilled_water"
    ROOM_POWER = "room_power"
    ROOM_AIRFLOW = "room_airflow"


class FailureSource(StrEnum):
    """Who says so."""

    REPORTED = "reported"
    INFERRED = "inferred"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Failure:
    """An element that has lost some or all of its capacity.

    Attributes
    ----------
    element
        Name of the UPS, PDU, AHU or room.
    remaining_frac
        What is left of its capacity; 0 means lost. A lost UPS or PDU also stops feeding.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: FailureKind
    element: Name
    remaining_frac: Annotated[float, Field(ge=0, lt=1)] = 0.0
    source: FailureSource = FailureSource.REPORTED
    started_at_s: NonNegative = 0.0
    expected_duration_s: Positive = 3600.0

    @property
    def label(self) -> str:
        """``ups:U2``: how commands and answers name it."""
        return f"{self.kind}:{self.element}"


@dataclass(frozen=True, slots=True)
class Effect:
    """Feeds, shares and capacities under a set of failures (none of them: normal operation).

    Attributes
    ----------
    feed_permille
        ``[rack, feed]`` share of the rack's load that each feed carries, in thousandths.
    server_dark
        Servers without enough live supplies.
    supply_rise_c
        ``[room]`` how much warmer the supply air becomes.
    """

    feed_permille: IntArray
    server_dark: BoolArray
    rack_budget_w: FloatArray
    row_budget_w: FloatArray
    pdu_capacity_w: FloatArray
    ups_capacity_w: FloatArray
    aisle_airflow_capacity_cfm: FloatArray
    aisle_heat_capacity_w: FloatArray
    supply_rise_c: FloatArray


def effect_of(topology: Topology, failures: Sequence[Failure] = ()) -> Effect:
    """Work out what a set of failures leaves of a site.

    What a lost feed carried moves to the rack's remaining feeds in equal parts; with all lost the rack is dark, and a
    server whose live supplies are fewer than ``psus_needed`` is dark as well. In normal operation a UPS may be planned
    on up to its budget; once any UPS or PDU of its room has failed, up to its rating: that is what a reserve is for.

    Raises
    ------
    NotFound
        If a failure names an element that the site does not have.
    """
    left = _Remaining.of(topology, failures)
    alive = (topology.rack_feeds != NONE) & (left.pdu > 0)[topology.rack_feeds]
    alive &= (left.ups > 0)[topology.pdu_ups[topology.rack_feeds]]
    feeds_alive = alive.sum(axis=1)
    permille = np.where(alive, -(-PERMILLE // np.maximum(1, feeds_alive))[:, None], 0)
    reserve_released = left.power_failed[topology.ups_room]
    airflow = (
        topology.ahu_airflow_cfm
        * left.ahu
        * left.airflow[topology.ahu_room]
        * air_density_frac(topology.site.altitude_m)
    )
    heat = topology.ahu_heat_w * left.ahu * left.water[topology.ahu_room]
    return Effect(
        feed_permille=permille.astype(np.int64),
        server_dark=_dark_servers(topology, feeds_alive),
        rack_budget_w=topology.rack_budget_w,
        row_budget_w=topology.row_budget_w * left.power[topology.aisle_room[topology.row_aisle]],
        pdu_capacity_w=topology.pdu_rating_w * left.pdu,
        ups_capacity_w=np.where(reserve_released, topology.ups_rating_w, topology.ups_budget_w)
        * left.ups
        * left.power[topology.ups_room],
        aisle_airflow_capacity_cfm=airflow @ topology.ahu_share,
        aisle_heat_capacity_w=heat @ topology.ahu_share,
        supply_rise_c=(1.0 - left.water) * CHILLED_WATER_SUPPLY_RISE_C,
    )


@dataclass(frozen=True, slots=True)
class _Remaining:
    """Fraction left of each element, and of each room's power, airflow and chilled water."""

    ups: FloatArray
    pdu: FloatArray
    ahu: FloatArray
    power: FloatArray
    airflow: FloatArray
    water: FloatArray
    power_failed: BoolArray

    @classmethod
    def of(cls, topology: Topology, failures: Sequence[Failure]) -> _Remaining:
        rooms = len(topology.rooms)
        left = cls(
            ups=np.ones(len(topology.upses)),
            pdu=np.ones(len(topology.pdus)),
            ahu=np.ones(len(topology.ahus)),
            power=np.ones(rooms),
            airflow=np.ones(rooms),
            water=np.ones(rooms),
            power_failed=np.zeros(rooms, dtype=bool),
        )
        for failure in failures:
            left.take(topology, failure)
        return left

    def take(self, topology: Topology, failure: Failure) -> None:
        fraction, names, room_of = {
            FailureKind.UPS: (self.ups, topology.upses, topology.ups_room),
            FailureKind.PDU: (self.pdu, topology.pdus, topology.pdu_room),
            FailureKind.AHU: (self.ahu, topology.ahus, topology.ahu_room),
            FailureKind.CHILLED_WATER: (self.water, topology.rooms, None),
            FailureKind.ROOM_POWER: (self.power, topology.rooms, None),
            FailureKind.ROOM_AIRFLOW: (self.airflow, topology.rooms, None),
        }[failure.kind]
        if failure.element not in names:
            raise NotFound(failure.kind.value, failure.element, f"the site has {', '.join(names[:12])}")
        number = names.index(failure.element)
        fraction[number] = min(fraction[number], failure.remaining_frac)
        if failure.kind in (FailureKind.UPS, FailureKind.PDU) and room_of is not None:
            self.power_failed[room_of[number]] = True


def air_density_frac(altitude_m: float) -> float:
    """Density of air at an altitude over that at sea level (ISA: (1 − 2.25577e-5·h)^4.2559)."""
    return float((1.0 - 2.25577e-5 * altitude_m) ** 4.2559)


def _dark_servers(topology: Topology, feeds_alive: IntArray) -> BoolArray:
    """Supplies are spread evenly over a rack's feeds; a lost feed takes its part of them."""
    hardware = [topology.site.hardware[name] for name in topology.hardware]
    psus = np.array([item.psus for item in hardware])[topology.server_hardware]
    needed = np.array([item.psus_needed for item in hardware])[topology.server_hardware]
    feeds = (topology.rack_feeds != NONE).sum(axis=1)[topology.server_rack]
    live = psus * feeds_alive[topology.server_rack] // feeds
    return np.asarray((live < needed) | (feeds_alive[topology.server_rack] == 0))
