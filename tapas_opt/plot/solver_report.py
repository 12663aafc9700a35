"""The report of a solver comparison: performance profiles (Dolan and Moré 2002), and every row in a table."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tapas_opt.plot.page import Section, page
from tapas_opt.plot.style import dressed, plain
from tapas_opt.plot.words import listed

__all__ = ["solver_headline", "write_solver_report"]

Row = Mapping[str, Any]

_COLOURS = {
    "auto": "#0072B2",
    "decomposition": "#56B4E9",
    "highs": "#D55E00",
    "cpsat": "#009E73",
    "scip": "#CC79A7",
    "pyomo-highs": "#E69F00",
    "greedy": "#999999",
}
_OTHER = "#000000"

_COLUMNS = (
    ("instance", "instance"),
    ("solver", "solver"),
    ("status", "status"),
    ("first_feasible_s", "first plan, s"),
    ("within_1pct_s", "within 1 %, s"),
    ("total_s", "total, s"),
    ("objective", "objective"),
    ("bound", "bound"),
    ("gap_frac", "gap"),
    ("gap_to_best_bound_frac", "to best bound"),
    ("gap_to_best_known_frac", "to best known"),
    ("peak_rss_mb", "MiB"),
    ("checker", "checker"),
)
_FRACTIONS = {"gap_frac", "gap_to_best_bound_frac", "gap_to_best_known_frac"}


def write_solver_report(data: Mapping[str, Any], path: Path) -> None:
    """Write a comparison as one HTML file that opens without a network.

    Parameters
    ----------
    data
        What ``tapas-opt bench --json`` prints: ``rows`` and ``machine``.
    """
    rows: Sequence[Row] = data["rows"]
    sections = [
        Section(
            "How soon within 1 %",
            "<p>Share of the instances that a solver has within 1 % of its own bound, against how many times longer it "
            "took than whoever was soonest on that instance. Higher and further left is better; what never came within "
            "1 % keeps a line from reaching 100 %.</p>",
            profile_figure(rows),
        ),
        Section(
            "How far off at the end",
            "<p>Share of the instances on which the plan a solver ended with is at most so far above the best bound "
            "that anybody proved, greedy's beside the solvers' so that one sees what they buy.</p>",
            gap_figure(rows),
        ),
        Section("Every row", below=_table(rows)),
        Section("Machine", below=f"<pre>{html.escape(json.dumps(data['machine'], indent=1))}</pre>"),
    ]
    opening = f"<h1>tapas-opt bench</h1>\n<p class='headline'>{html.escape(solver_headline(rows))}</p>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page("Solvers compared", opening, sections), encoding="utf-8")


def solver_headline(rows: Sequence[Row]) -> str:
    """One sentence: on how many instances each solver came within 1 %, and whether the checker accepted every plan."""
    near = [
        f"{solver} on {sum(row['within_1pct_s'] is not None for row in own)} of {len(own)}"
        for solver, own in _by_solver(rows).items()
    ]
    refused = sum(row["objective"] is not None and row["checker"] != "ok" for row in rows)
    plans = "1 plan" if refused == 1 else f"{refused} plans"
    checked = f"the checker refused {plans}" if refused else "the checker accepted every plan"
    return f"Within 1 % of its bound: {listed(near)}; {checked}."


def profile_figure(rows: Sequence[Row]) -> Any:
    """Performance profile of the times to within 1 %."""
    soonest: dict[str, float] = {}
    for row in rows:
        took = _seconds(row)
        soonest[row["instance"]] = min(took, soonest.get(row["instance"], math.inf))
    curves = {
        solver: [_seconds(row) / soonest[row["instance"]] if math.isfinite(_seconds(row)) else math.inf for row in own]
        for solver, own in _by_solver(rows).items()
    }
    figure = _steps(curves, least=1.0)
    figure.update_xaxes(type="log", title_text="times as long as the soonest")
    return dressed(figure, 380)


def gap_figure(rows: Sequence[Row]) -> Any:
    """Share of the instances by gap to the best bound, in per cent."""
    curves = {
        solver: [
            math.inf if row["gap_to_best_bound_frac"] is None else max(1e-3, 100 * row["gap_to_best_bound_frac"])
            for row in own
        ]
        for solver, own in _by_solver(rows).items()
    }
    figure = _steps(curves, least=1e-3)
    figure.update_xaxes(type="log", title_text="above the best bound, %")
    return dressed(figure, 380)


def _steps(curves: Mapping[str, Sequence[float]], least: float) -> Any:
    """A rising staircase a solver, from ``least`` to a little beyond the largest finite value."""
    import plotly.graph_objects as go  # noqa: PLC0415  slow to import

    figure = go.Figure()
    finite = [value for values in curves.values() for value in values if math.isfinite(value)]
    most = 1.5 * max([least, *finite])
    for solver, values in curves.items():
        reached = sorted(value for value in values if math.isfinite(value))
        x = [least, *reached, most]
        y = [0.0, *((i + 1) / len(values) for i in range(len(reached))), len(reached) / len(values)]
        line = {"shape": "hv", "color": _COLOURS.get(solver.removeprefix("plain-"), _OTHER), "width": 2}
        figure.add_scatter(x=x, y=y, mode="lines", name=plain(solver), line=line, hovertemplate="%{y:.0%}")
    figure.update_yaxes(range=[0, 1.03], tickformat=".0%", title_text="share of instances")
    return figure


def _seconds(row: Row) -> float:
    return math.inf if row["within_1pct_s"] is None else max(1e-3, float(row["within_1pct_s"]))


def _by_solver(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["solver"], []).append(row)
    return found


def _table(rows: Sequence[Row]) -> str:
    shown = [(name, title) for name, title in _COLUMNS if any(row[name] is not None for row in rows)]
    head = "".join(f"<th>{html.escape(title)}</th>" for _, title in shown)
    lines = ("<tr>" + "".join(_cell(name, row[name]) for name, _ in shown) + "</tr>" for row in rows)
    body = "\n".join(lines)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "<td class='number'>–</td>"
    if name in _FRACTIONS:
        return f"<td class='number'>{100 * value:.3f} %</td>"
    if isinstance(value, float):
        return f"<td class='number'>{value:,.3f}</td>" if abs(value) < 1e4 else f"<td class='number'>{value:,.0f}</td>"
    return f"<td>{html.escape(str(value))}</td>"
