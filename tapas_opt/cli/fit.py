"""``tapas-opt fit``: learn the models of a site from its history."""

# ruff: noqa: PLC0415  --help stays fast: what needs scikit-learn is imported by the command that needs it

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result
from tapas_opt.cli.paths import demo_data

__all__ = ["fit"]


def fit(
    history: Annotated[Path, typer.Option(metavar="DIR", help="Folder of parquet tables.")],
    models: Annotated[Path, typer.Option(metavar="DIR", help="Where to write one JSON file for each model.")],
    site: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A site file (YAML); the demo site if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn temperature, power, airflow and load from history, and say how well they did on held-out days."""
    from tapas_opt.domain.site_file import read_site
    from tapas_opt.domain.topology import topology_of
    from tapas_opt.learn.fit import fit as learn
    from tapas_opt.telemetry.history import read_panel

    topology = topology_of(read_site(demo_data() / "site.yaml" if site is None else site))
    with _progress(as_json) as tell:
        tell("reading history")
        readings = read_panel(history, topology)
        learned = learn(readings.panel, tell)
    learned.save(models)
    pooled = learned.check_covers(topology)
    data = {
        "models": {name: asdict(errors) for name, errors in learned.errors().items()},
        "fingerprint": learned.fingerprint,
        "folder": str(models),
        "gated": dict(readings.gated),
        "dropped": dict(readings.dropped),
        "pooled_servers": list(pooled),
    }
    print_result(data, as_json, _show)


@contextmanager
def _progress(as_json: bool) -> Iterator[Callable[[str], None]]:
    """A bar over the steps on a terminal; silence elsewhere."""
    if as_json or not sys.stdout.isatty():
        yield lambda step: None
        return
    from rich.progress import Progress

    from tapas_opt.learn.models import KINDS

    with Progress(transient=True) as bar:
        task = bar.add_task("learning", total=len(KINDS) + 1)
        yield lambda step: bar.update(task, advance=1, description=step)


def _show(data: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(title="Errors on held-out days, against the sensors")
    for heading in ("model", "unit", "mean error", "p95 error", "coverage", "rows fitted", "rows judged"):
        table.add_column(heading, justify="left" if heading in ("model", "unit") else "right")
    for name, row in data["models"].items():
        numbers = (f"{row['mae']:.3g}", f"{row['p95_error']:.3g}", f"{row['coverage']:.2%}")
        table.add_row(name, row["unit"], *numbers, f"{row['rows_train']:,}", f"{row['rows_test']:,}")
    out = console()
    out.print(table)
    for name, count in data["gated"].items():
        out.print(f"{count:,} readings of {name} outside the physical range count as missing")
    for name, count in data["dropped"].items():
        if count:
            out.print(f"{count:,} rows of {name} dropped: no key, or the key was there before")
    if data["pooled_servers"]:
        out.print(f"without readings, on the pooled model: {', '.join(data['pooled_servers'])}")
    out.print(f"{data['folder']}: models {data['fingerprint']}")
