"""``tapas-opt bench``: how good the learned models are on real telemetry."""

# ruff: noqa: PLC0415  --help stays fast: what needs pandas is imported by the command that needs it

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result

__all__ = ["bench"]


def bench(
    suite: Annotated[str, typer.Option(metavar="NAME", help="gpu-temperature, inlet-temperature or vm-load.")],
    path: Annotated[Path, typer.Option(metavar="DIR", help="Folder of parquet or CSV tables; docs/benchmarking.md.")],
    train_until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="First day to judge; learn from all before."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write NAME.json and NAME.csv (one row a server) there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn from telemetry up to a day, predict what came after it, and say how far off that was."""
    from tapas_opt.bench.suites import run_suite

    result = run_suite(suite, path, train_until.date() if train_until else None)
    data = {"suite": suite} | result.to_json()
    if out is not None:
        _write(out, suite, data)
    print_result(data, as_json, _show)


def _write(out: Path, suite: str, data: Mapping[str, Any]) -> None:
    import pandas as pd

    out.mkdir(parents=True, exist_ok=True)
    (out / f"{suite}.json").write_text(json.dumps(data, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    pd.DataFrame(data["rows"]).to_csv(out / f"{suite}.csv", index=False)


_MOST_SHOWN = 10
"""Rows shown to a person: the worst; ``--json`` and ``--out`` have all."""

_SHOWN = ("server", "mae", "p95_error", "coverage", "persistence_mae", "readings")
"""Columns shown to a person; those that only one suite has are in ``--json`` and ``--out``."""


def _show(data: Mapping[str, Any]) -> None:
    from rich.table import Table

    worst = sorted(data["rows"], key=lambda row: -row["mae"])[:_MOST_SHOWN]
    among = f", the worst {len(worst)} of {len(data['rows'])}" if len(worst) < len(data["rows"]) else ""
    table = Table(title=f"{data['suite']}, errors in {data['unit']}{among}")
    headings = [name for name in _SHOWN if not worst or name in worst[0]]
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "server" else "right")
    for row in worst:
        table.add_row(*(_cell(heading, row[heading]) for heading in headings))
    out = console()
    out.print(table)
    for name, value in data.items():
        if name not in ("suite", "rows", "unit") and value != "":
            out.print(f"{name}: {_cell(name, value)}")


def _cell(name: str, value: object) -> str:
    if name.endswith("coverage") and isinstance(value, float):
        return f"{value:.2%}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
