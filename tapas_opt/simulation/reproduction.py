"""The paper's headline figures beside what policies come to here: which runs they need, and how each is worked out.

Figures of the paper are those of ``docs/reproduction.md``, which says where each was read. What no run can say is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tapas_opt.simulation.record import Outage, Record

__all__ = ["HEADLINES", "MORE", "UNKNOWN", "Headline", "Outcome"]

UNKNOWN = "unknown"
MORE = "oversubscribe"
"""The scenario with more servers than a room was made for."""

SETTLED_S = 60.0
"""Losses in an emergency are counted from then on: a cap out of band takes 41 s."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy came to in a scenario, beside the baseline, and the scenario's failures."""

    record: Record
    baseline: Record
    outages: tuple[Outage, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """A figure of the paper.

    Attributes
    ----------
    paper
        As the paper tells it.
    scenario
        What is run for it here.
    of
        What a policy comes to: a fraction, negative for a reduction where it is relative to the baseline.
    """

    what: str
    paper: str
    scenario: str
    of: Callable[[Outcome], float]


def _relative(name: str) -> Callable[[Outcome], float]:
    """By how much a metric differs from the baseline's, as a fraction of that; NaN where the baseline has none."""

    def told(outcome: Outcome) -> float:
        before, after = outcome.baseline.metrics[name], outcome.record.metrics[name]
        return (after - before) / before if before > 0 else float("nan")

    return told


def _slowed_frac(outcome: Outcome) -> float:
    """Part of the time of servers under thermal throttling, or of VMs under a cap, whichever is more."""
    metrics = outcome.record.metrics
    return max(metrics["thermal_throttle_time_frac"], metrics["power_cap_time_frac"])


def _lost(name: str) -> Callable[[Outcome], float]:
    """Mean loss of a series from a minute after the first failure until its end."""

    def told(outcome: Outcome) -> float:
        first, record = outcome.outages[0], outcome.record
        during = (record.t_s > first.from_s + SETTLED_S) & (record.t_s <= first.until_s)
        kept = getattr(record, name)[during]
        kept = kept[np.isfinite(kept)]
        return float(1.0 - kept.mean()) if kept.size else float("nan")

    return told


def _emergency(scenario: str, words: str, iaas: str, saas: str) -> tuple[Headline, ...]:
    return (
        Headline(f"{words}: IaaS performance lost", iaas, scenario, _lost("iaas_performance_frac")),
        Headline(f"{words}: SaaS demand not served", saas, scenario, _lost("served_frac")),
        Headline(f"{words}: quality lost", UNKNOWN, scenario, _lost("quality_frac")),
    )


_RISE = _relative("max_gpu_rise_over_inlet_k")
_BOTH = (UNKNOWN, UNKNOWN)

HEADLINES: tuple[Headline, ...] = (
    Headline("hottest GPU in °C, against baseline", "−17 %", "week", _relative("max_gpu_temperature_c")),
    Headline("hottest GPU in K over its inlet, against baseline", UNKNOWN, "week", _RISE),
    Headline("peak row power, against baseline", "−23 %", "week", _relative("peak_row_power_frac")),
    Headline("thermal throttling events, against baseline", "−97 %", MORE, _relative("thermal_throttle_events")),
    Headline("power throttling events, against baseline", "−99 %", MORE, _relative("power_throttle_events")),
    Headline("time slowed with 40 % more servers", "below 0.7 %", MORE, _slowed_frac),
    *_emergency("paper_power", "power at 75 % for 5 min", "35 % (baseline)", "28 % (baseline)"),
    *_emergency("paper_cooling", "airflow at 90 % for 5 min", *_BOTH),
    *_emergency("paper_both", "both at once", *_BOTH),
    Headline("99th percentile of latency", "kept", "week", _relative("p99_ttft_s")),
)
"""Every figure, in the order in which it is told."""
