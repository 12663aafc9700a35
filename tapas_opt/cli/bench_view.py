"""What ``tapas-opt bench`` shows a person; ``--json`` and ``--out`` have all of it."""

# ruff: noqa: PLC0415  --help stays fast

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapas_opt.cli.output import console

__all__ = ["show_solvers", "show_telemetry"]

_MOST_SHOWN = 10
"""Rows of telemetry shown: the worst."""

_TELEMETRY = ("server", "mae", "p95_error", "coverage", "persistence_mae", "readings")
"""Columns shown of telemetry; those that only one suite has are in the files."""

_SOLVERS = (
    ("instance", "instance"),
    ("solver", "solver"),
    ("first_feasible_s", "first, s"),
    ("within_1pct_s", "1 %, s"),
    ("total_s", "total, s"),
    ("objective", "objective"),
    ("gap_frac", "gap"),
    ("gap_to_best_bound_frac", "to bound"),
    ("gap_to_best_known_frac", "to known"),
    ("peak_rss_mb", "MiB"),
    ("checker", "checker"),
)
"""Columns shown of solvers, and their headings."""


_WIDE = 1e9
"""Objectives from here on are shown by their leading figures: the table has to fit a page."""


def show_solvers(data: Mapping[str, Any]) -> None:
    """One line a row: never a time without the gap and the checker's word beside it."""
    from rich.box import SIMPLE
    from rich.table import Table

    rows = data["rows"]
    shown = [(name, title) for name, title in _SOLVERS if any(row[name] is not None for row in rows)]
    table = Table(title="solvers compared; times are of this machine and this run", box=SIMPLE, padding=(0, 1, 0, 0))
    for name, title in shown:
        left = name in ("instance", "solver", "checker")
        table.add_column(title, justify="left" if left else "right", no_wrap=name != "checker")
    for row in rows:
        table.add_row(*(_solver_cell(name, row[name]) for name, _ in shown))
    console().print(table)


def _solver_cell(name: str, value: object) -> str:
    if value is None:
        return "–"
    if name.endswith("_frac") and isinstance(value, float):
        return f"{value:.3%}"
    if name == "objective" and isinstance(value, float):
        return f"{value:,.0f}" if abs(value) < _WIDE else f"{value:.5e}"
    if name == "peak_rss_mb" and isinstance(value, float):
        return f"{value:,.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def show_telemetry(data: Mapping[str, Any]) -> None:
    """The worst servers of a telemetry suite, and the totals."""
    from rich.table import Table

    worst = sorted(data["rows"], key=lambda row: -row["mae"])[:_MOST_SHOWN]
    among = f", the worst {len(worst)} of {len(data['rows'])}" if len(worst) < len(data["rows"]) else ""
    table = Table(title=f"{data['suite']}, errors in {data['unit']}{among}")
    headings = [name for name in _TELEMETRY if not worst or name in worst[0]]
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "server" else "right")
    for row in worst:
        table.add_row(*(_telemetry_cell(heading, row[heading]) for heading in headings))
    out = console()
    out.print(table)
    for name, value in data.items():
        if name not in ("suite", "rows", "unit") and value != "":
            out.print(f"{name}: {_telemetry_cell(name, value)}")


def _telemetry_cell(name: str, value: object) -> str:
    if name.endswith("coverage") and isinstance(value, float):
        return f"{value:.2%}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
