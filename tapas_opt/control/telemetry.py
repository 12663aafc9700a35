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


_Value = float | tuple[float, ...]


class _Seen:
    """The newest readings of one quantity by name; plain numbers, which the collector of garbage need not look at."""

    def __init__(self, value: Mapping[str, _Value] | None = None, at_s: Mapping[str, float] | None = None) -> None:
        self.value = dict(value or {})
        self.at_s = dict(at_s or {})

    def says_nothing_new(self, name: str, at_s: float, value: _Value) -> bool:
        """Whether a reading is of a time before the one that is known, or was sent before."""
        known_s = self.at_s.get(name, -math.inf)
        return known_s > at_s or (known_s == at_s and _same(self.value[name], value))

    def read_at_s(self, names: Sequence[str]) -> FloatArray:
        """``[name]`` NaN for never."""
        return np.array([self.at_s.get(name, math.nan) for name in names])


def aged_frac(age_s: FloatArray) -> FloatArray:
    """What part of the variance of its prediction a reading of this age leaves open: 0 fresh, 1 stale or missing (NaN).

    What a reading says of now gets worse by many small unforeseen changes, whose variance adds up with time; at
    :data:`STALE_S` it says no more than the prediction. This is the one place where telemetry's age becomes a number.
    """
    return np.nan_to_num(np.clip((age_s - FRESH_S) / (STALE_S - FRESH_S), 0.0, 1.0), nan=1.0)


class Latest:
    """The newest reading of everything, each with its time."""

    def __init__(self) -> None:
        self._seen = {quantity: _Seen() for quantity in (*QUANTITIES, *PER_GPU)}
        self.newest_s: float | None = None

    def copied(self) -> Latest:
        """As it is now, for a reader who lets go of the lock."""
        other = Latest()
        other._seen = {quantity: _Seen(seen.value, seen.at_s) for quantity, seen in self._seen.items()}
        other.newest_s = self.newest_s
        return other

    def take(self, readings: Readings) -> list[Late]:
        """Remember a batch; return what of it says nothing new. What is no number was not measured."""
        at_s = readings.observed_at_s
        late: list[Late] = []
        for quantity, read in _finite(readings):
            seen = self._seen[quantity]
            if self.newest_s is not None and at_s <= self.newest_s:
                known = [name for name, value in read.items() if seen.says_nothing_new(name, at_s, value)]
                late += [_late(quantity, name, at_s, seen.at_s[name], read.pop(name)) for name in known]
            seen.value.update(read)
            seen.at_s.update(dict.fromkeys(read, at_s))
        self.newest_s = at_s if self.newest_s is None else max(self.newest_s, at_s)
        return late

    def get(self, quantity: str, name: str, now_s: float, within_s: float = STALE_S) -> float | None:
        """A reading no older than ``within_s``, or None."""
        seen = self._seen[quantity]
        value = seen.value.get(name)
        if value is None or now_s - seen.at_s[name] > within_s or isinstance(value, tuple):
            return None
        return value

    def age_s(self, now_s: float) -> float | None:
        """Age of the newest batch, or None when there never was one."""
        return None if self.newest_s is None else max(0.0, now_s - self.newest_s)

    def values(self, quantity: str, names: Sequence[str], now_s: float, within_s: float = STALE_S) -> FloatArray:
        """``[name]`` readings no older than ``within_s``, NaN where there is none."""
        seen = self._seen[quantity]
        value = np.array([seen.value.get(name, math.nan) for name in names], dtype=np.float64)
        return np.where(now_s - seen.read_at_s(names) <= within_s, value, np.nan)

    def read_at_s(self, quantity: str, names: Sequence[str]) -> FloatArray:
        """``[name]`` when each was last read, NaN for never."""
        return self._seen[quantity].read_at_s(names)

    def aged_frac(self, quantity: str, names: Sequence[str], now_s: float) -> FloatArray:
        """``[name]`` how much of its prediction's variance each reading's age leaves open (:func:`aged_frac`)."""
        return aged_frac(now_s - self.read_at_s(quantity, names))

    def per_gpu(self, quantity: str, topology: Topology, now_s: float, within_s: float = STALE_S) -> FloatArray:
        """``[server, gpu]`` readings no older than ``within_s``, NaN where there is none."""
        width = max(topology.site.hardware[name].gpus for name in topology.hardware)
        seen = self._seen[quantity]
        rows = [_padded(seen.value.get(name, ()), width) for name in topology.servers]
        fresh = now_s - seen.read_at_s(topology.servers) <= within_s
        value = np.array(rows, dtype=np.float64).reshape(len(rows), width)
        return np.where(fresh[:, None], value, np.nan)

    def server_power_w(self, topology: Topology, now_s: float) -> FloatArray:
        """``[server]`` measured power, NaN where there is no reading to be used."""
        return self.values("server_power_w", topology.servers, now_s)

    def outdoor_c(self, topology: Topology, now_s: float) -> float | None:
        """The warmest usable outdoor reading of any room, or None."""
        values = [self.get("outdoor_c", room, now_s) for room in topology.rooms]
        return max((value for value in values if value is not None), default=None)


def _finite(readings: Readings) -> Iterator[tuple[str, dict[str, _Value]]]:
    """By quantity: names and values of everything that was measured."""
    for quantity in QUANTITIES:
        values = getattr(readings, quantity).items()
        yield quantity, {name: float(value) for name, value in values if math.isfinite(value)}
    for quantity in PER_GPU:
        of_gpus = ((name, _believed(values)) for name, values in getattr(readings, quantity).items())
        yield quantity, {name: values for name, values in of_gpus if values}


def _believed(values: Sequence[float]) -> tuple[float, ...]:
    """Of each GPU of a server, NaN where it was not measured; nothing where none was."""
    if math.isfinite(sum(values)):
        return tuple(values)
    finite = tuple(value if math.isfinite(value) else math.nan for value in values)
    return () if all(map(math.isnan, finite)) else finite


def _same(known: _Value, value: _Value) -> bool:
    """Whether nothing differs; one NaN is like the other."""
    return known == value if isinstance(value, float) else str(known) == str(value)


def _late(quantity: str, name: str, at_s: float, known_s: float, value: _Value) -> Late:
    thing = f"{QUANTITIES.get(quantity, 'server')} {name}: {quantity} of {at_s:.0f} s"
    what = "was sent before" if known_s == at_s else f"came after the one of {known_s:.0f} s"
    count = 1 if isinstance(value, float) else sum(math.isfinite(one) for one in value)
    return Late(f"{thing} {what}", count)


def _padded(values: _Value, width: int) -> tuple[float, ...]:
    """As wide as the site's widest server; a reading of a GPU that no hardware has is left out."""
    given = values[:width] if isinstance(values, tuple) else ()
    return given + (math.nan,) * (width - len(given))
