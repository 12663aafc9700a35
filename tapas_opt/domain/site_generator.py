"""Made-up sites of any size: 4N/3 power, racks spread over all six UPS pairs, air handlers with a plenum in common.

Budgets follow the nameplates of the servers, so that a generated room is oversubscribed as TAPAS means it: not every
server can run at nameplate at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter

from tapas_opt.domain.fields import STRICT, Count, Fraction, Name, NonNegative, field_faults
from tapas_opt.domain.site import Ahu, Aisle, Hardware, Pdu, Rack, Room, Row, Server, Site, Ups
from tapas_opt.errors import Fault, InvalidInput, NotFound

__all__ = ["HARDWARE", "MAX_SERVERS", "MIN_SERVERS", "SiteShape", "generate_site"]

MIN_SERVERS = 4
MAX_SERVERS = 100_000

HARDWARE: dict[str, Hardware] = {
    "dgx-a100": Hardware(
        gpu_model="A100",
        gpus=8,
        gpu_memory_gb=80.0,
        idle_power_w=1_500.0,  # 8 idle GPUs at 63 W and about 1 kW of processors, switches and slow fans: an estimate
        max_power_w=6_500.0,
        gpu_idle_power_w=63.0,
        gpu_max_power_w=400.0,
        gpu_max_frequency_mhz=1_410.0,
        gpu_temperature_limit_c=85.0,
        gpu_memory_temperature_limit_c=95.0,
        max_airflow_cfm=1_050.0,  # 840 CFM at 80 % fan speed; flow follows speed
        psus=6,
        psus_needed=3,
    ),
    "dgx-h100": Hardware(
        gpu_model="H100",
        gpus=8,
        gpu_memory_gb=80.0,
        idle_power_w=2_000.0,  # 8 idle GPUs at 75 W and about 1.4 kW beside them: an estimate
        max_power_w=10_200.0,
        gpu_idle_power_w=75.0,
        gpu_max_power_w=700.0,
        gpu_max_frequency_mhz=1_980.0,
        gpu_temperature_limit_c=87.0,
        gpu_memory_temperature_limit_c=95.0,
        max_airflow_cfm=1_381.0,  # 1,105 CFM at 80 % fan speed
        # Four of six: with two feeds, losing one leaves three, and the server goes dark. That is how the machine is.
        psus=6,
        psus_needed=4,
    ),
}
"""Server models by name, from their data sheets."""

_UPSES = 4
_FEEDS = 2
# Any two neighbours in this order use all four UPSs once: an even number of racks loads the four alike.
_UPS_PAIRS = ((0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2))
_LOAD_AFTER_ONE_LOST = _UPSES / (_UPSES - 1)
_PDU_TYPE_W = 500_000.0

_Factor = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class SiteShape:
    """What a generated site looks like, and how scarce its power and air are.

    Attributes
    ----------
    servers_per_rack, racks_per_row, rows_per_aisle, servers_per_room
        How servers are arranged; servers spread evenly over as few rooms as hold them.
    oversubscription
        Servers added beyond those that power and air were sized for: with 0.25, a hundred servers share what was
        built for eighty. Rack budgets are not affected.
    ups_power_frac
        Rating of a UPS over the nameplate that hangs on it; 0.8 gives Σ rating = 0.8 × nameplate over all four.
    ups_budget_frac
        Part of the rating that may be planned on: 1 sells the 4N/3 reserve, 0.75 holds it back.
    row_power_frac, rack_power_frac
        Budget over nameplate.
    pdu_margin_frac
        How much more a PDU carries than reaches it when a UPS beside its own is lost (4/3 of its part of the UPS).
    airflow_frac, heat_frac
        Flow and coil capacity of all air handlers over what the servers need at nameplate.
    ahus_per_room, ahu_near_frac
        How many handlers, and which part of each one's air goes to its own end of the room; the rest goes to all.
    altitude_m
        Height above the sea; thinner air carries less.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    servers_per_rack: Annotated[int, Field(ge=1, le=64)] = 4
    racks_per_row: Annotated[int, Field(ge=1, le=1_000)] = 10
    rows_per_aisle: Annotated[int, Field(ge=1, le=100)] = 2
    servers_per_room: Count = 1_600
    oversubscription: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.0
    ups_power_frac: _Factor = 0.80
    ups_budget_frac: Annotated[float, Field(gt=0, le=1)] = 1.0
    row_power_frac: _Factor = 0.80
    rack_power_frac: _Factor = 1.0
    pdu_margin_frac: NonNegative = 0.05
    airflow_frac: _Factor = 0.95
    heat_frac: _Factor = 0.95
    ahus_per_room: Annotated[int, Field(ge=1, le=1_000)] = 4
    ahu_near_frac: Fraction = 0.25
    altitude_m: Annotated[float, Field(ge=0, le=9_000, allow_inf_nan=False)] = 0.0

    def built_for(self, nameplate: float) -> float:
        """The part of a nameplate that power and air were sized for."""
        return nameplate / (1.0 + self.oversubscription)


def generate_site(
    servers: int, *, name: str = "generated", hardware: str = "dgx-a100", shape: SiteShape | None = None
) -> Site:
    """Make a site; the same arguments give the same site.

    Parameters
    ----------
    servers
        From :data:`MIN_SERVERS` to :data:`MAX_SERVERS`.
    hardware
        A name of :data:`HARDWARE`.

    Raises
    ------
    InvalidInput
        Listing every argument that is out of range.
    NotFound
        If the hardware is not known.
    """
    shape = shape or SiteShape()
    _judge(servers, name, shape)
    if hardware not in HARDWARE:
        raise NotFound("hardware", hardware, f"known are {', '.join(HARDWARE)}")
    sizes = _even_parts(servers, -(-servers // shape.servers_per_room))
    prefixes = [""] if len(sizes) == 1 else [f"room{i}-" for i in range(1, len(sizes) + 1)]
    return Site(
        format="tapas-opt/site/1",
        name=name,
        hardware={hardware: HARDWARE[hardware]},
        rooms=tuple(
            _RoomPlan(f"room{i}", prefix, size, hardware, shape).room()
            for i, (prefix, size) in enumerate(zip(prefixes, sizes, strict=True), start=1)
        ),
        altitude_m=shape.altitude_m,
    )


_NAME: TypeAdapter[str] = TypeAdapter(Name)
_SHAPE: TypeAdapter[SiteShape] = TypeAdapter(SiteShape)


def _judge(servers: int, name: str, shape: SiteShape) -> None:
    faults = field_faults(_SHAPE, asdict(shape))[1]
    faults += [Fault("name", fault.what) for fault in field_faults(_NAME, name)[1]]
    if not MIN_SERVERS <= servers <= MAX_SERVERS:
        faults.append(Fault("servers", f"{servers}: must be from {MIN_SERVERS} to {MAX_SERVERS:,}"))
    if faults:
        raise InvalidInput("site generator", faults)


@dataclass(frozen=True, slots=True)
class _RoomPlan:
    """One room while it is being laid out."""

    name: str
    prefix: str
    servers: int
    hardware: str
    shape: SiteShape

    def room(self) -> Room:
        layout = self._layout()
        rows = self._rows(layout)
        per_aisle = self.shape.rows_per_aisle
        aisles = tuple(
            Aisle(f"{self.prefix}A{i // per_aisle + 1}", tuple(rows[i : i + per_aisle]))
            for i in range(0, len(rows), per_aisle)
        )
        upses, pdus = self._supplies(layout)
        return Room(self.name, upses, pdus, self._handlers(aisles), aisles)

    def _layout(self) -> list[list[int]]:
        """Servers of each rack of each row."""
        full, rest = divmod(self.servers, self.shape.servers_per_rack)
        racks = iter([self.shape.servers_per_rack] * full + [rest] * (rest > 0))
        rows: list[list[int]] = []
        while row := list(islice(racks, self.shape.racks_per_row)):
            rows.append(row)
        return rows

    def _nameplate_w(self, servers: int) -> float:
        return servers * HARDWARE[self.hardware].max_power_w

    def _rows(self, layout: list[list[int]]) -> list[Row]:
        feeds = self._feeds(layout)
        return [
            Row(
                name=f"{self.prefix}R{r}",
                power_budget_w=_whole(self.shape.built_for(self.shape.row_power_frac * self._nameplate_w(sum(sizes)))),
                racks=tuple(
                    self._rack(f"{self.prefix}R{r}-K{k}", size, next(feeds)) for k, size in enumerate(sizes, 1)
                ),
            )
            for r, sizes in enumerate(layout, start=1)
        ]

    def _rack(self, name: str, size: int, feeds: tuple[str, ...]) -> Rack:
        return Rack(
            name=name,
            feeds=feeds,
            power_budget_w=_whole(self.shape.rack_power_frac * self._nameplate_w(size)),
            servers=tuple(Server(f"{name}-S{s}", self.hardware) for s in range(1, size + 1)),
        )

    def _pdus_per_ups(self) -> int:
        """As many as keep each near a common size, neighbouring rows on the same one."""
        rows = -(-self.servers // (self.shape.servers_per_rack * self.shape.racks_per_row))
        per_ups_w = self.shape.built_for(self.shape.ups_power_frac * self._nameplate_w(self.servers)) / _UPSES
        return max(1, min(rows, round(per_ups_w / _PDU_TYPE_W)))

    def _pdu_name(self, ups: int, group: int) -> str:
        return f"{self.prefix}U{ups + 1}-P{group + 1}"

    def _feeds(self, layout: list[list[int]]) -> Iterator[tuple[str, ...]]:
        """Two feeds for each rack, pair after pair along the rows."""
        groups = self._pdus_per_ups()
        rack = 0
        for r, row in enumerate(layout):
            group = r * groups // len(layout)
            for _ in row:
                yield tuple(self._pdu_name(u, group) for u in _UPS_PAIRS[rack % len(_UPS_PAIRS)])
                rack += 1

    def _supplies(self, layout: list[list[int]]) -> tuple[tuple[Ups, ...], tuple[Pdu, ...]]:
        """UPSs and PDUs, each kind of one size, that of the one which carries most."""
        sizes = [size for row in layout for size in row]
        on_pdu: dict[str, float] = {
            self._pdu_name(u, g): 0.0 for u in range(_UPSES) for g in range(self._pdus_per_ups())
        }
        for size, feeds in zip(sizes, self._feeds(layout), strict=True):
            for feed in feeds:
                on_pdu[feed] += self._nameplate_w(size) / _FEEDS
        on_ups = [sum(on_pdu[self._pdu_name(u, g)] for g in range(self._pdus_per_ups())) for u in range(_UPSES)]
        frac = self.shape.built_for(self.shape.ups_power_frac)
        pdu_w = max(on_pdu.values()) * frac * _LOAD_AFTER_ONE_LOST * (1.0 + self.shape.pdu_margin_frac)
        names = [f"{self.prefix}U{u + 1}" for u in range(_UPSES)]
        upses = tuple(Ups(name, _whole(max(on_ups) * frac), self.shape.ups_budget_frac) for name in names)
        return upses, tuple(Pdu(pdu, pdu.rsplit("-", 1)[0], _whole(pdu_w)) for pdu in on_pdu)

    def _handlers(self, aisles: Sequence[Aisle]) -> tuple[Ahu, ...]:
        """Air handlers of one size whose shares give each aisle its part of the room's air."""
        count = self.shape.ahus_per_room
        airflow = self.shape.built_for(self.shape.airflow_frac * self.servers * HARDWARE[self.hardware].max_airflow_cfm)
        heat = self.shape.built_for(self.shape.heat_frac * self._nameplate_w(self.servers))
        servers = [sum(len(rack.servers) for row in aisle.rows for rack in row.racks) for aisle in aisles]
        shares = _shares(servers, count, self.shape.ahu_near_frac)
        return tuple(
            Ahu(
                name=f"{self.prefix}AHU{h + 1}",
                max_airflow_cfm=_whole(airflow / count),
                coil_capacity_w=_whole(heat / count),
                aisle_shares={aisle.name: share for aisle, share in zip(aisles, of_ahu, strict=True) if share > 0},
            )
            for h, of_ahu in enumerate(shares)
        )


def _shares(servers: Sequence[int], handlers: int, near_frac: float) -> list[list[float]]:
    """``[handler][aisle]`` shares: ``near_frac`` to the handler's end of the room, the rest to all its aisles.

    Two handlers stand at each end. Aisles lie along 0..1 with lengths as their servers, ends cut the line into equal
    parts, and an end's air goes to aisles as the parts overlap: every aisle gets exactly its part of the room's air.
    """
    ends = handlers // 2 if handlers % 2 == 0 else 1
    edges = np.concatenate([[0.0], np.cumsum(servers) / sum(servers)])
    cuts = np.arange(ends + 1) / ends
    overlap = np.minimum(edges[1:], cuts[1:, None]) - np.maximum(edges[:-1], cuts[:-1, None])
    shares = near_frac * ends * np.maximum(overlap, 0.0) + (1.0 - near_frac) * np.diff(edges)
    return [[round(float(share), 9) for share in shares[h * ends // handlers]] for h in range(handlers)]


def _even_parts(total: int, parts: int) -> list[int]:
    return [total // parts + (i < total % parts) for i in range(parts)]


def _whole(value: float) -> float:
    """A whole number, at least 1: files stay readable."""
    return float(max(1, round(value)))
