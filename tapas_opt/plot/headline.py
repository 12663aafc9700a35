"""What happened to each policy, in a sentence."""

from __future__ import annotations

import re

import numpy as np

from tapas_opt.plot.series import fullest
from tapas_opt.plot.words import clock_time, element, listed, percent
from tapas_opt.simulation.record import Incident, Record, Run

__all__ = ["headline", "verdict"]


def headline(run: Run) -> str:
    """One sentence: which failures there were, and what each policy made of them."""
    if not run.records:
        return "This run holds no policy, so there is nothing to compare."
    failures = list(dict.fromkeys(element(outage.label) for outage in run.outages))
    opening = f"With {listed(failures)} failing, " if failures else "Without any failure, "
    return opening + "; ".join(verdict(record) for record in run.records) + "."


def verdict(record: Record) -> str:
    """What happened to one policy: trips first, then heat, then what users missed."""
    parts = [
        part for part in (*_supply(record), _air(record), _heat(record), _rejected(record), _served(record)) if part
    ]
    return f"{record.policy} {listed(parts)}" if parts else f"{record.policy} left no samples"


def _supply(record: Record) -> tuple[str, ...]:
    opened = tuple(text for text in (_tripped(record), _breakers(record)) if text)
    return opened or (_kept(record) or _load(record),)


def _tripped(record: Record) -> str:
    """The UPSs that tripped, by name where an incident names them."""
    told = [incident for incident in record.incidents if "trip" in incident.text.lower()]
    first = {name: next((i.t_s for i in told if _names(i, name)), None) for name in record.upses}
    named = {name: t_s for name, t_s in first.items() if t_s is not None}
    if named:
        return f"tripped UPS {listed(list(named))} at {clock_time(min(named.values()))}"
    trips = int(record.metrics.get("ups_trips", 0))
    return f"tripped {trips} UPS{'s' if trips > 1 else ''}" if trips else ""


def _breakers(record: Record) -> str:
    trips = int(record.metrics.get("breaker_trips", 0))
    return f"tripped {trips} breaker{'s' if trips > 1 else ''}" if trips else ""


def _kept(record: Record) -> str:
    """Nothing is claimed of trips that nobody counted."""
    if "ups_trips" not in record.metrics:
        return ""
    used = record.metrics.get("worst_overload_frac_of_tolerance")
    if used == 0:
        return "never overloaded a UPS"
    return "kept every UPS within its tolerance" + (f" (the worst overload used {percent(used)} of it)" if used else "")


def _names(incident: Incident, name: str) -> bool:
    return re.search(rf"(?<![\w.:-]){re.escape(name)}(?![\w.:-]*\w)", incident.text) is not None


def _load(record: Record) -> str:
    frac, _ = fullest(record.ups_power_w, record.ups_capacity_w)
    seen = frac[np.isfinite(frac)]
    return f"loaded its fullest UPS to {percent(seen.max())} of its capacity" if len(seen) else ""


def _air(record: Record) -> str:
    used = record.metrics.get("peak_aisle_airflow_frac", 0.0)
    return f"needed {percent(used)} of the air that an aisle had" if used > 1.0 else ""


def _rejected(record: Record) -> str:
    count = int(record.metrics.get("vms_rejected", 0))
    return f"turned away {count} VM{'s' if count > 1 else ''}" if count else ""


def _heat(record: Record) -> str:
    seen = record.hottest_gpu_c[np.isfinite(record.hottest_gpu_c)]
    if not len(seen) or seen.max() <= record.gpu_limit_c:
        return ""
    return f"let a GPU reach {seen.max():.0f} °C (limit {record.gpu_limit_c:.0f} °C)"


def _served(record: Record) -> str:
    seen = record.served_frac[np.isfinite(record.served_frac)]
    if not len(seen):
        return ""
    least = float(seen.min())
    return (
        "served all demand throughout" if least >= 0.9995 else f"served {percent(least)} of demand at its worst moment"
    )
