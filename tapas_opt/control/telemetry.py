"""What the sensors said last, and how old it is. Missing is never zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology

__all__ = ["FRESH_S", "PER_GPU", "QUANTITIES", "STALE_S", "Latest", "Late", "Readings", "aged_frac"]

FloatArray = NDArray[np.float64]

FRESH_S = 120.0
"""Up to this age a reading counts in full: collectors push every minute, and may miss one."""

STALE_S = 900.0
"""Telemetry older than this is not used; predictions with their margins take its place."""

QUANTITIES: Mapping[str, str] = {
    "outdoor_c": "room",
    "server_power_w": "server",
    "inlet_c": "server",
    "airflow_cfm": "server",
    "hottest_gpu_c": "server",
    "row_power_w": "row",
    "pdu_power_w": "PDU",
    "ups_power_w": "UPS",
    "endpoint_tokens_per_s": "endpoint",
}
"""What is measured with one number, and of what kind of thing."""

PER_GPU = ("gpu_power_w", "gpu_temperature_c", "gpu_memory_temperature_c", "gpu_load_frac")
"""What is measured of each GPU of a server."""


@dataclass(frozen=True, slots=True)
class Readings:
    """One batch of readings. What is absent was not measured.

    Attributes
    ----------
    outdoor_c
        By room.
    server_power_w, inlet_c, airflow_cfm, hottest_gpu_c
        By server.
    gpu_power_w, gpu_temperature_c, gpu_memory_temperature_c, gpu_load_frac
        By server: one number for each of its GPUs, NaN where one was not measured.
    row_power_w, pdu_power_w, ups_power_w
        Meters, by row, PDU and UPS; a row's shows its servers, switches and losses.
    endpoint_tokens_per_s
        Prompt and output tokens per second that an endpoint's users asked for.
    """

    observed_at_s: float
    outdoor_c: Mapping[str, float] = field(default_factory=dict)
    server_power_w: Mapping[str, float] = field(default_factory=dict)
    inlet_c: Mapping[str, float] = field(default_factory=dict)
    airflow_cfm: Mapping[str, float] = field(default_factory=dict)
    hottest_gpu_c: Mapping[str, float] = field(default_factory=dict)
    gpu_power_w: Mapping[str, Sequence[float]] = field(default_factory=dict)
    gpu_temperature_c: Mapping[str, Sequence[float]] = field(default_factory=dict)
    gpu_memory_temperature_c: Mapping[str, Sequence[float]] = field(default_factory=dict)
    gpu_load_frac: Mapping[str, Sequence[float]] = field(default_factory=dict)
    row_power_w: Mapping[str, float] = field(default_factory=dict)
    pdu_power_w: Mapping[str, float] = field(default_factory=dict)
    ups_power_w: Mapping[str, float] = field(default_factory=dict)
    endpoint_tokens_per_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Late:
    """Readings of one thing that say nothing new: of a time before the newest known, or sent before.

    Attributes
    ----------
    readings
        How many: a server's GPUs come together.
    """

    what: str
    readings: int = 1


@dataclass(frozen=True, slots=True)
class _Seen:
    at_s: float
    value: float | tuple[float, ...]


def aged_frac(age_s: FloatArray) -> FloatArray:
    """What part of the variance of its prediction a reading of this age leaves open: 0 fresh, 1 stale or missing (NaN).

    What a reading says of now gets worse by many small unforeseen changes, whose variance adds up with time; at
    :data:`STALE_S` it says no more than the prediction. This is the one place where telemetry's age becomes a number.
    """
    return np.nan_to_num(np.clip((age_s - FRESH_S) / (STALE_S - FRESH_S), 0.0, 1.0), nan=1.0)


class Latest:
    """The newest reading of everything, each with its time."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, _Seen]] = {quantity: {} for quantity in (*QUANTITIES, *PER_GPU)}
        self.newest_s: float | None = None

    def copied(self) -> Latest:
        """As it is now, for a reader who lets go of the lock."""
        other = Latest()
        other._seen = {quantity: dict(seen) for quantity, seen in self._seen.items()}
        other.newest_s = self.newest_s
        return other

    def take(self, readings: Readings) -> list[Late]:
        """Remember a batch; return what of it says nothing new. What is no number was not measured."""
        at_s = readings.observed_at_s
        late: list[Late] = []
        for quantity, name, value in _finite(readings):
            seen = self._seen[quantity]
            known = seen.get(name)
            if known is not None and (known.at_s > at_s or (known.at_s == at_s and _same(known.value, value))):
                late.append(_late(quantity, name, at_s, known, value))
            else:
                seen[name] = _Seen(at_s, value)
        self.newest_s = at_s if self.newest_s is None else max(self.newest_s, at_s)
        return late

    def get(self, quantity: str, name: str, now_s: float, within_s: float = STALE_S) -> float | None:
        """A reading no older than ``within_s``, or None."""
        seen = self._seen[quantity].get(name)
        if seen is None or now_s - seen.at_s > within_s or isinstance(seen.value, tuple):
            return None
        return seen.value

    def age_s(self, now_s: float) -> float | None:
        """Age of the newest batch, or None when there never was one."""
        return None if self.newest_s is None else max(0.0, now_s - self.newest_s)

    def values(self, quantity: str, names: Sequence[str], now_s: float, within_s: float = STALE_S) -> FloatArray:
        """``[name]`` readings no older than ``within_s``, NaN where there is none."""
        found = (self.get(quantity, name, now_s, within_s) for name in names)
        return np.array([np.nan if value is None else value for value in found])

    def read_at_s(self, quantity: str, names: Sequence[str]) -> FloatArray:
        """``[name]`` when each was last read, NaN for never."""
        seen = self._seen[quantity]
        return np.array([seen[name].at_s if name in seen else np.nan for name in names])

    def aged_frac(self, quantity: str, names: Sequence[str], now_s: float) -> FloatArray:
        """``[name]`` how much of its prediction's variance each reading's age leaves open (:func:`aged_frac`)."""
        return aged_frac(now_s - self.read_at_s(quantity, names))

    def per_gpu(self, quantity: str, topology: Topology, now_s: float, within_s: float = STALE_S) -> FloatArray:
        """``[server, gpu]`` readings no older than ``within_s``, NaN where there is none."""
        width = max(topology.site.hardware[name].gpus for name in topology.hardware)
        missing = (np.nan,) * width
        seen = self._seen[quantity]
        found = (seen.get(name) for name in topology.servers)
        rows = [missing if one is None or now_s - one.at_s > within_s else _padded(one.value, width) for one in found]
        return np.array(rows, dtype=np.float64).reshape(len(topology.servers), width)

    def server_power_w(self, topology: Topology, now_s: float) -> FloatArray:
        """``[server]`` measured power, NaN where there is no reading to be used."""
        return self.values("server_power_w", topology.servers, now_s)

    def outdoor_c(self, topology: Topology, now_s: float) -> float | None:
        """The warmest usable outdoor reading of any room, or None."""
        values = [self.get("outdoor_c", room, now_s) for room in topology.rooms]
        return max((value for value in values if value is not None), default=None)


def _finite(readings: Readings) -> Iterator[tuple[str, str, float | tuple[float, ...]]]:
    """Quantity, name and value of everything that was measured."""
    for quantity in QUANTITIES:
        for name, value in getattr(readings, quantity).items():
            if math.isfinite(value):
                yield quantity, name, float(value)
    for quantity in PER_GPU:
        for name, values in getattr(readings, quantity).items():
            believed = tuple(values)
            if not math.isfinite(sum(believed)):
                believed = tuple(value if math.isfinite(value) else math.nan for value in believed)
            if not all(map(math.isnan, believed)):
                yield quantity, name, believed


def _same(known: float | tuple[float, ...], value: float | tuple[float, ...]) -> bool:
    """Whether nothing differs; one NaN is like the other."""
    return known == value if isinstance(value, float) else str(known) == str(value)


def _late(quantity: str, name: str, at_s: float, known: _Seen, value: float | tuple[float, ...]) -> Late:
    thing = f"{QUANTITIES.get(quantity, 'server')} {name}: {quantity} of {at_s:.0f} s"
    what = "was sent before" if known.at_s == at_s else f"came after the one of {known.at_s:.0f} s"
    count = 1 if isinstance(value, float) else sum(math.isfinite(one) for one in value)
    return Late(f"{thing} {what}", count)


def _padded(values: float | tuple[float, ...], width: int) -> tuple[float, ...]:
    """As wide as the site's widest server; a reading of a GPU that no hardware has is left out."""
    given = values[:width] if isinstance(values, tuple) else ()
    return given + (math.nan,) * (width - len(given))
