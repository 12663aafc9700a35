"""What ``whatif`` says to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapas_opt.cli.output import console

__all__ = ["show"]


def show(answer: Mapping[str, Any]) -> None:
    """How many servers fit, what binds, what steps are worth and what it costs: a table each."""
    from rich.table import Table  # noqa: PLC0415  not needed for --json

    out = console()
    out.print(
        f"{answer['study']}: {answer['run']:,} cells run, {answer['kept']:,} kept from before; all of it modelled"
    )
    fits = Table("site", "SaaS", "policy", "risk", "servers that fit", "VMs on them", "what binds beyond")
    for row in answer["fits"]:
        at = "none" if row["servers"] is None else f"{row['servers']:,} (+{row['oversubscription']:.0%})"
        vms = "–" if row["vms"] is None else f"{row['vms']:,}"
        fits.add_row(row["site"], f"{row['saas_share']:.0%}", row["policy"], row["risk"], at, vms, _binding(row))
    out.print(fits)
    if answer["worths"]:
        worths = Table("site", "filled", "one limit raised", "VMs more, proven", "by the two plans", "revenue / hour")
        for row in answer["worths"]:
            step = f"{row['element']} +{row['step']:,} {row['unit']}"
            found = f"{row['placed_before']:.0f} → {row['placed_after']:.0f}"
            worths.add_row(
                row["site"],
                f"+{row['oversubscription']:.0%}",
                step,
                _interval(row),
                found,
                _levels(row.get("revenue_per_h", {})),
            )
        out.print(worths)
    if answer["costs"]:
        money = Table(
            "site", "filled", "failure", "policy", "cost / server-hour", "cost / million tokens", "margin / hour"
        )
        for row in answer["costs"]:
            figures = (row["cost_per_server_h"], row["cost_per_million_tokens"], row["margin_per_h"])
            filling = f"+{row['oversubscription']:.0%}"
            money.add_row(row["site"], filling, row["failure"], row["policy"], *map(_levels, figures))
        out.print(money)


def _binding(row: Mapping[str, Any]) -> str:
    if row["next_oversubscription"] is None:
        return "nothing that was tried"
    worst = row["binding"][0]
    value = "undefined" if worst["worst"] is None else f"{worst['worst']:.4g}"
    cause = f"+{row['next_oversubscription']:.0%}, {worst['which'] or worst['scenario']}"
    return f"{cause}: {worst['metric']} {value} > {worst['limit']:g}"


def _interval(row: Mapping[str, Any]) -> str:
    """A worth between nothing and much is told as it is."""
    least, most = ("?" if row[name] is None else f"{round(row[name], 2) + 0.0:.2f}" for name in ("least", "most"))
    return f"{least} to {most}"


def _levels(levels: Mapping[str, float | None]) -> str:
    if not levels:
        return "–"
    told = ["?" if levels[name] is None else f"{levels[name]:,.4g}" for name in ("base", "low", "high")]
    return f"{told[0]} ({told[1]} to {told[2]})"
