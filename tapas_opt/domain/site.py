"""A site: rooms, aisles, rows, racks and servers, what feeds them and what cools them.

``Site ⊃ Room ⊃ Aisle ⊃ Row ⊃ Rack ⊃ Server ⊃ Gpu``; ``Ups → Pdu → Rack`` (normally two feeds); ``Ahu → Aisle``.
The aisle is the cooling domain, the row the power domain below the PDUs; they differ on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from tapas_opt.domain.fields import STRICT, Count, Fraction, Name, NonNegative, Positive

__all__ = ["Ahu", "Aisle", "Hardware", "Pdu", "Rack", "Room", "Row", "Server", "Site", "ToleranceCurve", "Ups"]


@dataclass(frozen=True, slots=True)
class ToleranceCurve:
    """How long an element bears an overload before it opens: inverse-time, between stated points.

    Attributes
    ----------
    points
        ``(load_frac, tolerance_s)`` with rising load and falling time; interpolated on log-log axes, as such
        curves are drawn. Between 1.0 and the first point the first point holds; beyond the last nothing is borne.
    recovery_s
        Seconds at or below rating after which a fully used tolerance is available again.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    points: Annotated[tuple[tuple[Positive, Positive], ...], Field(min_length=1)]
    recovery_s: Positive = 900.0

    def tolerance_s(self, load_frac: ArrayLike) -> NDArray[np.float64]:
        """Seconds that each ``load_frac`` is borne from a fresh start; infinite at or below 1."""
        load = np.asarray(load_frac, dtype=np.float64)
        loads, times = np.array(self.points).T
        safe = np.clip(load, loads[0], loads[-1])
        borne = np.exp(np.interp(np.log(safe), np.log(loads), np.log(times)))
        return np.where(load <= 1.0, np.inf, np.where(load > loads[-1], 0.0, borne))

    def borne_frac(self, seconds: float) -> float:
        """The highest load, as a fraction of the rating, that a fresh element bears for ``seconds``; 1 or more."""
        loads, times = np.array(self.points).T
        if seconds > times[0]:
            return 1.0
        return float(np.exp(np.interp(np.log(max(seconds, times[-1])), np.log(times[::-1]), np.log(loads[::-1]))))


# Facts: manuals of large UPSs on mains 125 % 10 min, 150 % 1 min; on battery at its end of life about 10 s at 133 %.
UPS_ON_MAINS = ToleranceCurve(points=((1.1, 3600.0), (1.25, 600.0), (1.5, 60.0)), recovery_s=1800.0)
UPS_ON_BATTERY = ToleranceCurve(points=((1.1, 60.0), (1.25, 20.0), (1.333, 10.0), (1.5, 3.0)), recovery_s=1800.0)
BREAKER = ToleranceCurve(points=((1.05, 3600.0), (1.25, 300.0), (1.5, 60.0), (2.0, 10.0)), recovery_s=900.0)


@dataclass(frozen=True, slots=True)
class Hardware:
    """A server model. Power in W, air in CFM of standard air, temperatures in °C."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    gpu_model: Name
    gpus: Count
    gpu_memory_gb: Positive
    idle_power_w: Positive
    max_power_w: Positive
    gpu_idle_power_w: Positive
    gpu_max_power_w: Positive
    gpu_max_frequency_mhz: Positive
    gpu_temperature_limit_c: Positive
    gpu_memory_temperature_limit_c: Positive
    max_airflow_cfm: Positive
    psus: Count
    psus_needed: Count
    cooling: Literal["air", "liquid"] = "air"


@dataclass(frozen=True, slots=True)
class Ups:
    """An uninterruptible supply. ``budget_frac`` of its rating may be planned on: 0.75 holds a 4N/3 reserve back."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    rating_w: Positive
    budget_frac: Annotated[float, Field(gt=0, le=1)] = 1.0
    on_mains: ToleranceCurve = UPS_ON_MAINS
    on_battery: ToleranceCurve = UPS_ON_BATTERY


@dataclass(frozen=True, slots=True)
class Pdu:
    """A distribution unit on one UPS, behind a breaker."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    ups: Name
    rating_w: Positive
    breaker: ToleranceCurve = BREAKER


@dataclass(frozen=True, slots=True)
class Ahu:
    """An air handler: the flow and heat it can carry, and which aisles get which share of both."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    max_airflow_cfm: Positive
    coil_capacity_w: Positive
    aisle_shares: Annotated[dict[Name, Fraction], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Server:
    """One server; ``hardware`` names an entry of the site's hardware table."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    hardware: Name


@dataclass(frozen=True, slots=True)
class Rack:
    """A rack and the PDUs that feed it, which share its load equally while they live."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    feeds: Annotated[tuple[Name, ...], Field(min_length=1, max_length=4)]
    power_budget_w: Positive
    servers: Annotated[tuple[Server, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of racks: the power domain below the PDUs, behind a breaker of its own."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    power_budget_w: Positive
    racks: Annotated[tuple[Rack, ...], Field(min_length=1)]
    breaker: ToleranceCurve = BREAKER


@dataclass(frozen=True, slots=True)
class Aisle:
    """One or more rows that share their cooling air."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Room:
    """A room: budgets, air and failures belong to it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    upses: Annotated[tuple[Ups, ...], Field(min_length=1)]
    pdus: Annotated[tuple[Pdu, ...], Field(min_length=1)]
    ahus: Annotated[tuple[Ahu, ...], Field(min_length=1)]
    aisles: Annotated[tuple[Aisle, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Site:
    """A whole site, as its file says it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    format: Literal["tapas-opt/site/1"]
    name: Name
    hardware: Annotated[dict[Name, Hardware], Field(min_length=1)]
    rooms: Annotated[tuple[Room, ...], Field(min_length=1)]
    altitude_m: NonNegative = field(default=0.0)

    def rows(self) -> Iterator[Row]:
        """All rows, in file order."""
        return (row for room in self.rooms for aisle in room.aisles for row in aisle.rows)

    def racks(self) -> Iterator[Rack]:
        """All racks, in file order."""
        return (rack for row in self.rows() for rack in row.racks)

    def servers(self) -> Iterator[Server]:
        """All servers, in file order."""
        return (server for rack in self.racks() for server in rack.servers)
