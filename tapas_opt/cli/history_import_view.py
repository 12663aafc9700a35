"""What ``tapas-opt history import`` says when it is done: to a person, to a script, and beside the tables."""

# ruff: noqa: PLC0415  --help stays fast: what needs NumPy is imported by the command that needs it

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapas_opt.cli.output import console, write_json

if TYPE_CHECKING:
    from tapas_opt.telemetry.importing import Imported

__all__ = ["keep", "say_imported", "summary"]

_SHOWN = 10
"""Unknown names that a person is shown; --json gives all."""


def summary(source: str, out: Path, step: int, done: Imported) -> dict[str, Any]:
    """What every import says; ``missing`` are the columns that `fit` will miss."""
    from tapas_opt.domain.history import TABLES

    counts = done.tally.to_json()
    wanted = [f"{table.name}.{column.name}" for table in TABLES.values() for column in table.readings]
    return {
        "folder": str(out),
        "from": source,
        "clock": "t_s is Unix time: seconds since 1970-01-01T00:00:00Z",
        "step_s": step,
        "rows": dict(done.rows),
        "read": counts["read"],
        "used": counts["used"],
        "dropped": counts["dropped"],
        "unknown": counts["unknown"],
        "missing": [name for name in wanted if not done.tally.read[name]],
        "parts_kept_from_before": done.resumed,
    }


def keep(out: Path, data: Mapping[str, Any]) -> None:
    """The summary stays with the tables."""
    from tapas_opt.telemetry.importing import SUMMARY

    write_json(data, out / SUMMARY)


def say_imported(data: Mapping[str, Any]) -> None:
    """Tell a person what came, what was left out and why, and what to do next."""
    out = console()
    rows = ", ".join(f"{count:,} {name}" for name, count in data["rows"].items() if count)
    out.print(f"{data['folder']}: rows: {rows or 'none'} ({data['wall_s']} s)")
    for column, used in data["used"].items():
        out.print(f"  {column}: " + ", ".join(f"{count:,} from {name}" for name, count in used.items()))
    for column, reasons in data["dropped"].items():
        out.print(f"  {column}: left out " + ", ".join(f"{count:,} {reason}" for reason, count in reasons.items()))
    for kind, names in data["unknown"].items():
        shown = ", ".join(list(names)[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        out.print(f"  {kind} that the site does not have: {shown}; name them with --hosts, or leave them out")
    for name, note in data.get("proxies", {}).items():
        out.print(f"  {name} is {note}")
    for warning in data.get("server_warnings", ()):
        out.print(f"  the server warns: {warning}")
    if data["missing"]:
        out.print(f"  no reading of {', '.join(data['missing'])}")
    out.print(f"Learn from it with: tapas-opt fit --history {data['folder']} --models DIR")
