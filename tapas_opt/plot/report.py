"""The report of a run: what happened to each policy, on one page for whoever answers for the room."""

from __future__ import annotations

import html
import json
from pathlib import Path

from tapas_opt.plot import figures
from tapas_opt.plot.days import from_day_one
from tapas_opt.plot.emergency import close_up
from tapas_opt.plot.headline import headline
from tapas_opt.plot.outages import Emergency, emergencies, relief_told
from tapas_opt.plot.page import Section, folded, page, unbroken
from tapas_opt.plot.panels import span_s
from tapas_opt.plot.room import room_figure
from tapas_opt.plot.tables import failures_table, incidents_table, summary_table
from tapas_opt.plot.words import clock_time, several_days
from tapas_opt.simulation.record import Run

__all__ = ["close_ups", "room", "write_report"]

_CLOSE_UPS_AT_MOST = 8

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
    told = from_day_one(run)
    text = page(f"{run.name}: {run.site}", _opening(told), _sections(told))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _opening(run: Run) -> str:
    table = summary_table(run)
    return (
        f"<h1>{html.escape(run.name)} · site {html.escape(run.site)} · {run.servers:,} servers</h1>\n"
        f"<p class='headline'>{unbroken(html.escape(headline(run)))}</p>\n"
        f"{failures_table(run)}\n<div class='wide'>{table}</div>\n"
        + _HOW_TO_READ.format(_MEASURED if "class='tag'" in table else "")
    )


def _sections(run: Run) -> list[Section]:
    timeline = Section("What happened when", below=f"<div class='wide'>{incidents_table(run)}</div>")
    summary = Section("The numbers behind this page", below=_summary(run))
    return [*_pictures(run), timeline, summary] if _sampled(run) else [timeline, summary]


def _sampled(run: Run) -> bool:
    return any(len(record.t_s) for record in run.records)


def _pictures(run: Run) -> list[Section]:
    return [
        Section("Heat and power, policy by policy", "", figures.glance_figure(run)),
        Section("What users felt", "", figures.service_figure(run)),
        *close_ups(run),
        *room(run),
        *_domains(run),
        *_answers(run),
    ]


def _domains(run: Run) -> list[Section]:
    rows = figures.row_figure(run)
    return [
        Section(
            "Power of each UPS against its capacity",
            "<p>When a UPS fails, its load moves to the others within the same second; above the dashed line a UPS "
            "lives on its tolerance, and trips when that is used up.</p>",
            figures.ups_figure(run),
        ),
        *([] if rows is None else [Section("Power of each row against its budget", "", rows)]),
        Section(
            "Airflow of each aisle against its capacity",
            "<p>Servers that ask for more air than the air handlers give breathe their own exhaust.</p>",
            figures.airflow_figure(run),
        ),
    ]


def close_ups(run: Run) -> list[Section]:
    """A section for each emergency of a run, as far as a page may go."""
    return [
        Section(
            f"{emergency.title}: second by second",
            f"<p>{_zero(run, emergency)} 100 % is the limit in force. "
            f"{html.escape(relief_told(run.records, emergency))}</p>",
            close_up(run, emergency),
        )
        for emergency in emergencies(run.outages)[:_CLOSE_UPS_AT_MOST]
    ]


def _zero(run: Run, emergency: Emergency) -> str:
    return f"Zero is {clock_time(emergency.from_s, several_days(span_s(run)))}, when it came."


def room(run: Run) -> list[Section]:
    """The room at each policy's hottest moment, where records know their servers."""
    figure = room_figure(run)
    words = (
        "<p>Each policy's room at the moment of its hottest GPU, which has a ring: a cell is a server, coloured by the "
        "hottest of its GPUs; a line is a row of racks.</p>"
    )
    return [] if figure is None else [Section("The room at its hottest", words, figure)]


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
    return folded("summary.json", f"<pre>{html.escape(text)}</pre>")
