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
    parts = [part for part in (_supply(record), _heat(record), _served(record)) if part]
    return f"{record.policy} {listed(parts)}" if parts else f"{record.policy} left no samples"


def _supply(record: Record) -> str:
    trips = record.metrics.get("ups_trips")
    if trips:
        return _tripped(record, int(trips))
    kept = "kept every UPS within its tolerance" if trips is not None else ""
    used = record.metrics.get("worst_overload_frac_of_tolerance")
    if kept and used is not None and used > 0:
        kept += f" (the worst overload used {percent(used)} of it)"
    return kept or _load(record)


def _tripped(record: Record, trips: int) -> str:
    told = [incident for incident in record.incidents if "trip" in incident.text.lower()]
    names = [name for name in record.upses if any(_names(incident, name) for incident in told)]
    subject = f"UPS {listed(names)}" if names else f"{trips} UPS" + ("s" if trips > 1 else "")
    return f"tripped {subject}" + (f" at {clock_time(told[0].t_s)}" if told else "")


def _names(incident: Incident, name: str) -> bool:
    return re.search(rf"(?<![\w.:-]){re.escape(name)}(?![\w.:-]*\w)", incident.text) is not None


def _load(record: Record) -> str:
    frac, _ = fullest(record.ups_power_w, record.ups_capacity_w)
    seen = frac[np.isfinite(frac)]
    return f"loaded its fullest UPS to {percent(seen.max())} of its capacity" if len(seen) else ""


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
    return "served all demand throughout" if least >= 0.9995 else f"served {percent(least)} of demand at its worst"
