"""The report of a run: what happened to each policy, on one page for whoever answers for the room."""

from __future__ import annotations

import html
import json
from pathlib import Path

from tapas_opt.plot import figures
from tapas_opt.plot.headline import headline
from tapas_opt.plot.page import Section, page
from tapas_opt.plot.tables import failures_table, incidents_table, summary_table
from tapas_opt.plot.words import clock_time, element
from tapas_opt.simulation.record import Run

__all__ = ["write_report"]

_HOW_TO_READ = (
    "<p class='note'><b>How to read this page.</b> Every policy has one colour throughout; dashed lines are the limits "
    "in force at that moment, which failures lower; shaded bands are failures. Drag in a picture to zoom, double-click "
    "to come back, click a name in a legend to hide it.</p>"
    "<p class='note'><b>Modelled, not measured.</b> No real room was touched: power, air, temperatures, trips and what "
    "users felt come from the plant, a simulation whose physics tapas-opt does not know and has to learn.{}</p>"
)
_MEASURED = " Only rows marked <span class='tag'>measured</span> were taken with a clock, on the machine that ran this."


def write_report(run: Run, path: Path) -> None:
    """Write a run as one HTML file that opens without a network.

    Long series are thinned in a way that keeps every stretch's lowest and highest value.
    """
    text = page(f"{run.name}: {run.site}", _opening(run), _sections(run))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _opening(run: Run) -> str:
    table = summary_table(run)
    return (
        f"<h1>{html.escape(run.name)} · site {html.escape(run.site)} · {run.servers:,} servers</h1>\n"
        f"<p class='headline'>{_unbroken(html.escape(headline(run)))}</p>\n"
        f"{failures_table(run)}\n<div class='wide'>{table}</div>\n"
        + _HOW_TO_READ.format(_MEASURED if "class='tag'" in table else "")
    )


def _unbroken(text: str) -> str:
    """A number and its unit stay on one line."""
    return text.replace(" %", "&nbsp;%").replace(" °C", "&nbsp;°C")


def _sections(run: Run) -> list[Section]:
    timeline = Section("What happened when", below=f"<div class='wide'>{incidents_table(run)}</div>")
    summary = Section("The numbers behind this page", below=_summary(run))
    return [*_pictures(run), timeline, summary] if _sampled(run) else [timeline, summary]


def _sampled(run: Run) -> bool:
    return any(len(record.t_s) for record in run.records)


def _pictures(run: Run) -> list[Section]:
    day = [
        Section(
            "Power of each UPS against its capacity",
            "<p>When a UPS fails, its load moves to the others within the same second; above the dashed line a UPS "
            "lives on its tolerance, and trips when that is used up.</p>",
            figures.ups_figure(run),
        ),
        Section("Power of each row against its budget", "", figures.row_figure(run)),
        Section(
            "Airflow of each aisle against its capacity",
            "<p>Servers that ask for more air than the air handlers give breathe their own exhaust.</p>",
            figures.airflow_figure(run),
        ),
        Section("Temperature", "", figures.gpu_figure(run)),
        Section("What users felt", "", figures.service_figure(run)),
    ]
    return [*day, *_close_ups(run), *_answers(run)]


def _close_ups(run: Run) -> list[Section]:
    return [
        Section(
            f"{_capital(element(outage.label))} fails: second by second",
            f"<p>Zero is {clock_time(outage.from_s)}, when it failed ({html.escape(outage.label)}). "
            "100 % is the limit in force.</p>",
            figures.close_up(run, outage),
        )
        for outage in run.outages
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _answers(run: Run) -> list[Section]:
    if not any(record.answered for record in run.records):
        return []
    words = (
        "<p>SOLVER: an exact solver's plan was verified and was the better one. GREEDY: the fast path's plan stood. "
        "STALE_SAFE: the routing plan was not renewed in time, so instances are filled less. BEST_EFFORT: no plan "
        "found keeps every limit, and this one states by how much it exceeds them. NO_INSTANCE: a request found nobody "
        "who could take it.</p>"
    )
    return [Section("Who answered", words, figures.modes_figure(run))]


def _summary(run: Run) -> str:
    text = json.dumps(run.summary, indent=1, ensure_ascii=False, default=str)
    return f"<details><summary>summary.json</summary><pre>{html.escape(text)}</pre></details>"
