"""What ``backtest`` says to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tapas_opt.cli.output import console
from tapas_opt.plot.words import day_count

__all__ = ["show"]

_NAMED = 5
_ROUNDING = 1e-12
"""What sums of shares are off by."""


def show(answer: Mapping[str, Any]) -> None:
    """A table: a row for each metric that anybody has, a column for what happened and for each policy."""
    from rich.table import Table  # noqa: PLC0415  not needed for --json

    happened = {f"happened, {name}": metrics for name, metrics in answer["as_it_happened"].items()}
    columns = happened | answer["policies"]
    table = Table("", *columns)
    for name in dict.fromkeys(name for metrics in columns.values() for name in metrics):
        values = [metrics.get(name) for metrics in columns.values()]
        if any(value is not None for value in values):
            table.add_row(name, *map(_told, values))
    out = console()
    vms = answer["vms"]
    out.print(
        f"{answer['servers']:,} servers, {day_count(answer['days'])}, {vms['replayed']} VMs, of which "
        f"{vms['at_the_start']} were there when they begin; power is measured, heat and air are predicted"
    )
    out.print(table)
    for line in _remarks(answer):
        out.print(line)


def _told(value: float | None) -> str:
    if value is None:
        return "–"
    if abs(value) < _ROUNDING:
        return "0"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _turned_away(policy: str, away: Sequence[Mapping[str, Any]]) -> str:
    """The first of them by name."""
    names = ", ".join(one["vm"] for one in away[:_NAMED])
    more = f" and {len(away) - _NAMED:,} more" if len(away) > _NAMED else ""
    return f"{policy} turned away {names}{more}"


def _remarks(answer: Mapping[str, Any]) -> list[str]:
    """What to know before believing the table."""
    said = [
        f"{name}: predictions of what happened are off by {one['mae']:.2f} {one['unit']} in the mean"
        for name, one in (answer["calibration"] or {}).items()
        if one["mae"] is not None
    ]
    said += [_turned_away(policy, away) for policy, away in answer["turned_away"].items() if away]
    if answer["models"]["saw_these_days"]:
        said.append("The models were learned from these very days: they look better than they are.")
    if not answer["vms"]["of_this_site"]:
        said.append("The VMs are of somewhere else: what happened here happened without them.")
    if answer["history"]["filled_frac"] > 0.0:
        said.append(f"{answer['history']['filled_frac']:.2%} of the servers' power was not read, but filled in.")
    return said
