"""The page of a backtest: an operator's own days as they happened, and what each policy would have made of them."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.plot import backtest_tables as tables
from tapas_opt.plot.backtest_figures import room_days_figure
from tapas_opt.plot.days import from_day_one
from tapas_opt.plot.figures import row_figure, service_figure
from tapas_opt.plot.fit_figures import density_figure, titled
from tapas_opt.plot.page import Section, folded, page, unbroken
from tapas_opt.plot.report import room
from tapas_opt.plot.tables import METRICS, incidents_table, summary_table
from tapas_opt.plot.words import day_count, listed
from tapas_opt.simulation.record import Record, Run

__all__ = ["write_backtest"]

Sample = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

_SENSORS, _MODELS = "happened, measured", "happened, predicted"
"""Columns of the days as they happened; policies are compared with the second."""

_HOW_TO_READ = (
    "<p class='note'><b>How to read this page.</b> Power is measured, wherever a VM was put; inlets, GPU temperatures "
    "and airflow are predicted by models of this site, and what a lower clock, another configuration or another share "
    "of the traffic changes is modelled from profiles. {}A server counts as slowed for heat while any of its GPUs is "
    "at its limit. What five minutes cannot tell is left out: trips, and latencies of single requests. Rows marked "
    "<span class='tag'>measured</span> were taken with a clock, on the machine that ran this.</p>"
    "<p class='note'>Every policy has one colour throughout; dashed lines are limits. Day 1 is the first that is "
    "replayed. Drag in a picture to zoom, double-click to come back, click a name in a legend to hide it.</p>"
)
_TWICE = (
    "What happened is told twice, by the sensors and by the models with everybody where they were: <b>compare policies "
    "with <i>happened, predicted</i></b>. "
)


def write_backtest(
    answer: Mapping[str, Any],
    site: str,
    as_it_happened: Sequence[Record],
    policies: Sequence[Record],
    sample: Sample,
    path: Path,
) -> None:
    """Write a backtest as one HTML file that opens without a network.

    Parameters
    ----------
    answer
        What ``tapas-opt backtest --json`` prints.
    as_it_happened
        ``measured`` and ``predicted``; empty for VMs of elsewhere, which have not happened here.
    sample
        By model: predicted and measured of a draw of the readings.
    """
    happened = [replace(record, policy=f"happened, {record.policy}") for record in as_it_happened]
    shown = _with_what_anybody_has([*happened, *policies])
    run = Run("backtest", site, answer["servers"], (), shown, answer)
    text = page(f"backtest: {site}", _opening(answer, run), list(_sections(answer, from_day_one(run), sample)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _with_what_anybody_has(records: list[Record]) -> tuple[Record, ...]:
    """Metrics that five minutes do not define are those of nobody."""
    had = {name for record in records for name, value in record.metrics.items() if isfinite(value)}
    return tuple(
        replace(record, metrics={name: value for name, value in record.metrics.items() if name in had})
        for record in records
    )


def _headline(run: Run) -> str:
    """The fullest row and the hottest GPU, as they happened by the same models, and whom policies turned away."""
    row = _by_column(run, "peak_row_power_frac", " of its budget", "as it happened")
    gpu = _by_column(run, "max_gpu_temperature_c", "", "as predicted of what happened")
    away = [f"{len(record.turned_away):,} under {record.policy}" for record in run.records if record.turned_away]
    turned = f"VMs turned away: {listed(away)}" if away else "No VM was turned away"
    return f"Fullest row: {row}. Hottest GPU: {gpu}. {turned}."


def _by_column(run: Run, name: str, of: str, happened: str) -> str:
    shown = [record for record in run.records if record.policy != _SENSORS]
    told = [METRICS[name].told(record.metrics.get(name)) for record in shown]
    told[:1] = [text + of for text in told[:1]]
    whose = [happened if record.policy == _MODELS else f"under {record.policy}" for record in shown]
    return listed([f"{value} {who}" for value, who in zip(told, whose, strict=True)])


def _opening(answer: Mapping[str, Any], run: Run) -> str:
    whose = f"site {html.escape(run.site)} · {run.servers:,} servers · {day_count(answer['days'])}"
    head = unbroken(html.escape(_headline(run)))
    return (
        f"<h1>backtest · {whose}</h1>\n<p class='headline'>{head}</p>\n"
        f"<div class='wide'>{summary_table(run, beside=(_SENSORS,))}</div>\n"
        + _HOW_TO_READ.format(_TWICE if answer["as_it_happened"] else "")
    )


def _sections(answer: Mapping[str, Any], run: Run, sample: Sample) -> Iterator[Section]:
    yield Section("What this is from", below=tables.facts_table(answer))
    yield Section("Power, heat and air", "", room_days_figure(run))
    yield Section("What users and tenants got", "", service_figure(run, endpoints=answer["vms"]["saas"] > 0))
    yield from room(run)
    rows = row_figure(run)
    if rows is not None:
        yield Section("Power of each row against its budget", "", rows)
    if answer["calibration"]:
        yield _calibration(answer["calibration"], sample)
    yield Section("VMs turned away", below=tables.turned_away_table(run))
    yield Section("What policies ordered", below=folded("Lines", f"<div class='wide'>{incidents_table(run)}</div>"))
    numbers = json.dumps(answer, indent=1, ensure_ascii=False)
    yield Section("The numbers behind this page", below=folded("summary.json", f"<pre>{html.escape(numbers)}</pre>"))


def _calibration(misses: Mapping[str, Any], sample: Sample) -> Section:
    words = (
        "<p>Predictions of the days as they happened, against what the sensors read then. On the dashed line they "
        "agree; darker is more often, on a logarithmic scale. Bias is predicted − measured.</p>"
    )
    figure = density_figure({titled(name, misses[name]["unit"]): both for name, both in sample.items()})
    return Section("How far the models are off", words + tables.calibration_table(misses), figure)
