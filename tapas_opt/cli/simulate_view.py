"""What ``simulate`` says to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapas_opt.cli.output import console

__all__ = ["show"]


def show(answer: Mapping[str, Any]) -> None:
    """A table: a row for each metric, a column for each policy."""
    from rich.table import Table  # noqa: PLC0415  not needed for --json

    from tapas_opt.plot.tables import told_names  # noqa: PLC0415  likewise

    policies = answer["policies"]
    table = Table("", *policies)
    for name in told_names(list(policies.values())):
        table.add_row(name, *(_told(name, metrics.get(name)) for metrics in policies.values()))
    out = console()
    days = f"{answer['days']:g} day{'s' if answer['days'] != 1 else ''}"
    out.print(f"{answer['scenario']}: {answer['servers']:,} servers, {days}, seed {answer['seed']}; all of it modelled")
    out.print(table)


def _told(name: str, value: float | None) -> str:
    """None is relief that never came, or what no moment of the run defines."""
    if value is None:
        return "never" if name == "relief_s" else "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
