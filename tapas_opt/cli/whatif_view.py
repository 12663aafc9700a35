"""What ``whatif`` says to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapas_opt.cli.output import console
from tapas_opt.planning.tables import kept_out_words, levels_words, raised_words

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["show"]


def show(answer: Mapping[str, Any], folder: Path) -> None:
    """How many servers fit, what binds, what steps are worth and what it costs: a table each; and where all is."""
    out = console()
    what = "cells and placements" if answer["worths"] else "cells"
    learned = f"{answer['learned']:,} sites learned, " if answer["learned"] else ""
    counted = f"{learned}{answer['run']:,} {what} run, {answer['kept']:,} kept from before"
    out.print(f"{answer['study']}: {counted}; all of it modelled")
    out.print(_fits(answer["fits"]))
    if answer["worths"]:
        out.print(_worths(answer["worths"]))
        for line in dict.fromkeys(map(_kept_out, answer["worths"])):
            out.print(line)
    if answer["costs"]:
        currency = answer["costs"][0]["currency"]
        out.print(f"In {currency}, at the study's base prices (its low to its high ones); the report states them all:")
        out.print(_costs(answer["costs"]))
    out.print(f"report: {folder / 'report.html'}")


def _fits(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("site", "SaaS", "policy", "risk", "servers that fit", "VMs on them", "what binds beyond")
    for row in rows:
        at = "none" if row["servers"] is None else f"{row['servers']:,} (+{row['oversubscription']:.0%})"
        vms = "–" if row["vms"] is None else f"{row['vms']:,}"
        table.add_row(row["site"], f"{row['saas_share']:.0%}", row["policy"], row["risk"], at, vms, _binding(row))
    return table


def _worths(rows: Sequence[Mapping[str, Any]]) -> Table:
    priced = "revenue_per_h" in rows[0]
    heads = ("site", "filled", "SaaS", "raised", "VMs more, proven", "by the two plans")
    table = _table(*heads, *(["revenue / hour"] if priced else []))
    for row in rows:
        found = f"{row['placed_before']:.0f} → {row['placed_after']:.0f}"
        where = (row["site"], f"+{row['oversubscription']:.0%}", f"{row['saas_share']:.0%}")
        revenue = [levels_words(row["revenue_per_h"], ".2f")] if priced else []
        table.add_row(*where, raised_words(row), _interval(row), found, *revenue)
    return table


def _costs(rows: Sequence[Mapping[str, Any]]) -> Table:
    figures = ("cost_per_server_h", "cost_per_million_tokens", "margin_per_h")
    heads = ("cost / server-hour", "cost / million tokens", "margin / hour")
    table = _table("site", "filled", "SaaS", "failure", "policy", *heads)
    for row in rows:
        where = (row["site"], f"+{row['oversubscription']:.0%}", f"{row['saas_share']:.0%}")
        table.add_row(*where, row["failure"], row["policy"], *(levels_words(row[name]) for name in figures))
    return table


def _table(*heads: str) -> Table:
    from rich.table import Table  # noqa: PLC0415  not needed for --json

    return Table(*heads)


def _binding(row: Mapping[str, Any]) -> str:
    if row["next_oversubscription"] is None:
        return "nothing that was tried"
    worst = row["binding"][0]
    value = "undefined" if worst["worst"] is None else f"{worst['worst']:.4g}"
    cause = f"+{row['next_oversubscription']:.0%}, {worst['which'] or worst['scenario']}"
    return f"{cause}: {worst['metric']} {value} > {worst['limit']:g}"


def _kept_out(row: Mapping[str, Any]) -> str:
    where = f"{row['site']} +{row['oversubscription']:.0%}, {row['saas_share']:.0%} SaaS"
    told = "; ".join(map(kept_out_words, row["kept_out"])) or "nothing"
    return f"{where}: {row['placed_before']:.0f} of {row['wanted']:.0f} VMs placed; what keeps others out: {told}"


def _interval(row: Mapping[str, Any]) -> str:
    """A worth between nothing and much is told as it is."""
    least, most = ("?" if row[name] is None else f"{round(row[name], 2) + 0.0:.2f}" for name in ("least", "most"))
    return f"{least} to {most}"
