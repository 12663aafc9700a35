"""The tables of the page: policies side by side, and what happened when."""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tapas_opt.plot.html_table import policy_heads
from tapas_opt.plot.page import folded
from tapas_opt.plot.style import policy_colours
from tapas_opt.plot.words import clock_time, duration, listed, several_days
from tapas_opt.simulation.record import Run

__all__ = ["METRICS", "Metric", "failures_table", "incidents_table", "summary_table", "told_names"]

_INCIDENTS_AT_MOST = 400


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric of a record is told.

    Attributes
    ----------
    scale, digits, unit
        ``0.971`` with 100, 1 and ``%`` is told as 97.1 %.
    better
        ``lower``, ``higher``, or nothing where neither is.
    measured
        Taken on the machine that ran tapas-opt, not from the simulated room.
    """

    words: str
    unit: str = ""
    scale: float = 1.0
    digits: int = 0
    better: str = "lower"
    measured: bool = False

    def told(self, value: float | None) -> str:
        """The value with its unit; a dash where there is none, ``never`` for what did not come about."""
        if value is None or math.isnan(value):
            return "–"
        if math.isinf(value):
            return "never"
        return f"{value * self.scale:,.{self.digits}f} {self.unit}".strip()


def _percent(words: str, better: str = "lower", digits: int = 1) -> Metric:
    return Metric(words, "%", 100.0, digits, better)


METRICS: Mapping[str, Metric] = {
    "ups_trips": Metric("UPSs that tripped"),
    "breaker_trips": Metric("Breakers that tripped"),
    "worst_overload_frac_of_tolerance": _percent("Worst overload, of what the UPS or breaker tolerates"),
    "ups_overload_s": Metric("Time with a UPS above its capacity", "s"),
    "relief_s": Metric("From a failure until every UPS was within its capacity", "s", digits=1),
    "max_gpu_temperature_c": Metric("Hottest GPU", "°C", digits=1),
    "p99_gpu_temperature_c": Metric("Hottest GPU, 99 % of the time below", "°C", digits=1),
    "max_gpu_rise_over_inlet_k": Metric("Most that a GPU was above its inlet air", "K", digits=1),
    "thermal_throttle_events": Metric("Times a server slowed itself for heat"),
    "thermal_throttle_time_frac": _percent("Server time slowed for heat", digits=2),
    "power_throttle_events": Metric("Times a VM's clock was capped"),
    "power_cap_time_frac": _percent("VM time under a power cap", digits=2),
    "peak_row_power_frac": _percent("Highest row power, of its budget"),
    "peak_row_second_power_frac": _percent("Highest row power in the worst second of a thousand, of its budget"),
    "peak_aisle_airflow_frac": _percent("Highest aisle airflow, of its capacity"),
    "slo_attainment_frac": _percent("Requests answered within the promised latency", "higher", 2),
    "p50_ttft_s": Metric("Time to first token, median", "s", digits=2),
    "p99_ttft_s": Metric("Time to first token, 99 % below", "s", digits=2),
    "p99_tbt_s": Metric("Time between tokens, 99 % below", "s", digits=3),
    "served_frac": _percent("Demand served", "higher", 2),
    "quality_loss_frac": _percent("Quality of answers lost", digits=2),
    "saas_performance_loss_frac": _percent("Demand of LLM endpoints not served", digits=2),
    "iaas_performance_loss_frac": _percent("Speed lost by IaaS VMs", digits=2),
    "requests_routed": Metric("Requests that got an instance", better="higher"),
    "requests_refused": Metric("Requests that got none"),
    "vms_placed": Metric("VMs placed", better="higher"),
    "vms_adopted": Metric("VMs taken over where they were", better=""),
    "vms_rejected": Metric("VMs turned away"),
    "configuration_changes": Metric("Changes of instance configuration", better=""),
    "energy_kwh": Metric("Energy", "kWh"),
    "decision_p99_s": Metric("Time to a decision, 99 % below", "s", digits=3, measured=True),
    "wall_s": Metric("Time this run took", "s", digits=1, better="", measured=True),
}
"""Metrics in the order in which they matter; names as in the summary's JSON."""

_ONE_BY_ONE = ("requests_routed", "requests_refused")
"""Metrics of a trace whose requests are routed one by one."""


_UNITS: Mapping[str, tuple[str, float, int]] = {
    "_frac": ("%", 100.0, 1),
    "_ms": ("ms", 1.0, 2),
    "_s": ("s", 1.0, 2),
    "_c": ("°C", 1.0, 1),
    "_kwh": ("kWh", 1.0, 0),
    "_w": ("W", 1.0, 0),
}


def _metric(name: str) -> Metric:
    """How a metric is told; ``p99_ttft_s[conv]`` is that of an endpoint."""
    base, _, endpoint = name.partition("[")
    metric = METRICS.get(base) or _of_suffix(base)
    return replace(metric, words=f"{endpoint.rstrip(']')}: {metric.words}") if endpoint else metric


def _of_suffix(name: str) -> Metric:
    """A metric that the table does not know, by the unit in its name; milliseconds are what a clock showed."""
    suffix = next((known for known in _UNITS if name.endswith(known)), "")
    unit, scale, digits = _UNITS.get(suffix, ("", 1.0, 0))
    return Metric(name.removesuffix(suffix).replace("_", " "), unit, scale, digits, "", measured=suffix == "_ms")


def told_names(policies: Sequence[Mapping[str, float | None]]) -> list[str]:
    """Names of metrics that any policy has, but those of requests where none was routed by itself.

    Beside promises that are kept, noughts there would say that nobody was answered.
    """
    names = list(dict.fromkeys(name for metrics in policies for name in metrics))
    routed = any(metrics.get(name) for metrics in policies for name in _ONE_BY_ONE)
    return names if routed else [name for name in names if name not in _ONE_BY_ONE]


def summary_table(run: Run, beside: Collection[str] = ()) -> str:
    """Policies side by side, the best of each row in bold; those ``beside`` them are shown, and never the best."""
    given = told_names([record.metrics for record in run.records])
    if not given:
        return "<p class='none'>No metrics were recorded.</p>"
    order = [name for name in METRICS if name in given] + [name for name in given if name not in METRICS]
    all_users = [name for name in order if "[" not in name]
    of_endpoints = [name for name in order if "[" in name]
    told = _side_by_side(run, "The whole run", all_users, beside)
    if of_endpoints:
        by_endpoint = _side_by_side(run, "The whole run, by endpoint", of_endpoints, beside)
        told += folded("By endpoint", by_endpoint)
    return told


def _side_by_side(run: Run, title: str, names: Sequence[str], beside: Collection[str]) -> str:
    policies = [record.policy for record in run.records]
    heads, judged = policy_heads(policies), [policy not in beside for policy in policies]
    rows = "".join(_metric_row(name, [record.metrics.get(name) for record in run.records], judged) for name in names)
    return (
        f"<table class='summary'><thead><tr><th scope='col'>{title}</th>"
        f"{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _metric_row(name: str, values: Sequence[float | None], judged: Sequence[bool]) -> str:
    metric = _metric(name)
    told = [metric.told(value) for value in values]
    best = _best(metric, [value if one else None for value, one in zip(values, judged, strict=True)])
    cells = "".join(
        f"<td class='best'>{text}</td>" if one and value is not None and best is not None and told[best] == text
        else f"<td>{text}</td>"
        for value, text, one in zip(values, told, judged, strict=True)
    )  # fmt: skip
    mark = " <span class='tag'>measured</span>" if metric.measured else ""
    return f"<tr><th scope='row' title='{html.escape(name)}'>{html.escape(metric.words)}{mark}</th>{cells}</tr>"


def _best(metric: Metric, values: Sequence[float | None]) -> int | None:
    """Index of the best value; None where nothing tells them apart."""
    known = {i: value for i, value in enumerate(values) if value is not None and not math.isnan(value)}
    if not metric.better or len({metric.told(value) for value in known.values()}) < 2:
        return None
    choose = min if metric.better == "lower" else max
    return choose(known, key=lambda i: known[i])


def failures_table(run: Run) -> str:
    """Which failures there were, and when."""
    if not run.outages:
        return "<p class='none'>No failure happened in this run.</p>"
    days = several_days(outage.from_s for outage in run.outages)
    parts = [
        f"<b>{html.escape(outage.label)}</b> from {clock_time(outage.from_s, days)} "
        f"for {duration(outage.until_s - outage.from_s)}"
        for outage in run.outages
    ]
    return f"<p>Failures: {listed(parts)}.</p>"


def incidents_table(run: Run) -> str:
    """The timeline: what happened, to whom, when."""
    told = _timeline(run)
    if not told:
        return "<p class='none'>Nothing worth a line happened.</p>"
    near = [line for line in told if _near_failure(line, run)]
    rest = [line for line in told if not _near_failure(line, run)]
    if not near or not rest:
        return _lines(told, run)
    return _lines(near, run) + folded(f"The rest ({len(rest):,} lines)", _lines(rest, run))


def _near_failure(line: tuple[float, str, str], run: Run) -> bool:
    """Trips always; else from a minute before a failure until five after its end. Routine stays out of the way."""
    around = any(outage.from_s - 60.0 <= line[0] <= outage.until_s + 300.0 for outage in run.outages)
    return around or "trip" in line[2].lower()


def _lines(told: Sequence[tuple[float, str, str]], run: Run) -> str:
    days = several_days(t_s for t_s, _, _ in told)
    colours = policy_colours(record.policy for record in run.records)
    rows = "".join(
        _incident_row(clock_time(t_s, days), policy, text, colours) for t_s, policy, text in told[:_INCIDENTS_AT_MOST]
    )
    hidden = len(told) - _INCIDENTS_AT_MOST
    more = f"<p class='none'>{hidden:,} later lines are not shown.</p>" if hidden > 0 else ""
    return (
        "<table class='timeline'><thead><tr><th scope='col'>When</th><th scope='col'>Policy</th>"
        f"<th scope='col'>What happened</th></tr></thead><tbody>{rows}</tbody></table>{more}"
    )


def _timeline(run: Run) -> list[tuple[float, str, str]]:
    """Time, policy and text in order; what came upon all policies alike has no policy."""
    ends = [(outage.until_s, f"{outage.label} works again") for outage in run.outages if math.isfinite(outage.until_s)]
    common = {(outage.from_s, f"{outage.label} fails") for outage in run.outages} | set(ends)
    own = [(incident.t_s, record.policy, incident.text) for record in run.records for incident in record.incidents]
    return sorted(
        [(t_s, "", text) for t_s, text in common] + [line for line in own if (line[0], line[2]) not in common],
        key=lambda line: line[:2],
    )


def _incident_row(when: str, policy: str, text: str, colours: Mapping[str, str]) -> str:
    if not policy:
        return f"<tr class='failure'><td>{when}</td><td>all</td><td>{html.escape(text)}</td></tr>"
    dot = f"<span class='dot' style='background:{colours[policy]}'></span>"
    return f"<tr><td>{when}</td><td>{dot}{html.escape(policy)}</td><td>{html.escape(text)}</td></tr>"
