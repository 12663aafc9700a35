"""``tapas-opt demo``: the drill. A day in the demo room, with a UPS and an air handler failing, for two policies."""

# ruff: noqa: PLC0415  --help stays fast: what is heavy is imported by the command that needs it

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapas_opt.cli.output import AsJson, console, print_result, write_json
from tapas_opt.cli.paths import demo_data
from tapas_opt.errors import Fault, InvalidInput

if TYPE_CHECKING:
    from tapas_opt.cli.server_process import ServerProcess
    from tapas_opt.simulation.record import Run

__all__ = ["demo"]

ROUTE_EVERY_S = 60.0
"""Simulated seconds: telemetry comes once a minute."""

SHOWN = (
    "ups_trips",
    "breaker_trips",
    "worst_overload_frac_of_tolerance",
    "relief_s",
    "peak_row_power_frac",
    "peak_aisle_airflow_frac",
    "max_gpu_temperature_c",
    "thermal_throttle_events",
    "power_throttle_events",
    "iaas_performance_loss_frac",
    "saas_performance_loss_frac",
    "quality_loss_frac",
    "vms_placed",
    "vms_rejected",
    "configuration_changes",
    "energy_kwh",
)
"""Metrics of the table at the end; the report has all of them."""


def demo(
    trace: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="LLM requests, one CSV per endpoint; the demo's if not given."),
    ] = None,
    site: Annotated[Path | None, typer.Option(metavar="FILE", help="A site file; the demo's if not given.")] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="The run's folder below runs/.")] = "demo",
    seed: Annotated[int, typer.Option(min=0, help="Of weather, workload and sensors.")] = 1,
    hours: Annotated[str, typer.Option(metavar="FROM-TO", help="A part of the day only, such as 14.5-16.")] = "0-24",
    hold: Annotated[bool, typer.Option("--hold", help="Leave the server up afterwards, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Drill: a day of VMs and requests against a real server, with a UPS and an AHU failing at the daily peak.

    A server is started on a free port and asked for every decision over gRPC: it adopts and places VMs, routes the
    trace's requests one by one, and answers both failures. A simulated room shows what becomes of temperatures,
    overloads and breakers; the same day is run under a baseline policy beside it. Ends with a table, and with
    summary.json, series.csv.gz and report.html in the run's folder.
    """
    part, run_name = _hours(hours), _name(name)

    from tapas_opt.cli.drill_run import run_drill
    from tapas_opt.cli.drill_scene import read_scene
    from tapas_opt.cli.server_process import server_process

    scene = read_scene(site or demo_data() / "site.yaml", trace or demo_data() / "trace", part, seed)
    folder = _folder(run_name)
    with server_process(scene.site_path, folder / "server.log", route_every_s=ROUTE_EVERY_S) as server:
        with _progress(2 * (scene.day.end_s - scene.day.start_s)) as advance:
            run = run_drill(run_name, scene, server.address, advance)
        _write(run, folder)
        print_result(run.summary, as_json, lambda _: _show(run, folder))
        if hold:
            _hold(server, as_json)


def _hours(text: str) -> tuple[float, float]:
    """``14.5-16`` as two hours of the day."""
    try:
        first, last = (float(part) for part in text.split("-"))
    except ValueError:
        first = last = math.nan
    if not 0.0 <= first < last <= 24.0:
        raise InvalidInput.one("demo", "--hours", f"{text!r}: must be two hours of the day, such as 14.5-16 or 0-24")
    return first, last


def _name(text: str) -> str:
    from pydantic import TypeAdapter

    from tapas_opt.domain.fields import Name, field_faults

    _, faults = field_faults(TypeAdapter(Name), text)
    if faults:
        raise InvalidInput("demo", [Fault("--name", fault.what) for fault in faults])
    return text


def _folder(name: str) -> Path:
    folder = Path("runs") / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput.one(str(folder), "folder", f"cannot be made: {error.strerror}") from error
    return folder


@contextmanager
def _progress(total_s: float) -> Iterator[Callable[[float], None]]:
    """A bar on standard error if that is a terminal; it is called with simulated seconds."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("simulating"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("day", total=total_s)
        yield lambda seconds: progress.advance(task, seconds)


def _write(run: Run, folder: Path) -> None:
    from tapas_opt.plot.report import write_report
    from tapas_opt.simulation.series import write_series

    write_json(run.summary, folder / "summary.json")
    write_series(run.records, folder / "series.csv.gz")
    write_report(run, folder / "report.html")


def _show(run: Run, folder: Path) -> None:
    from rich.table import Table

    from tapas_opt.plot.headline import headline
    from tapas_opt.plot.tables import METRICS

    table = Table("", *(record.policy for record in run.records))
    for key in SHOWN:
        metric = METRICS[key]
        table.add_row(metric.words, *(metric.told(record.metrics.get(key)) for record in run.records))
    out = console()
    out.print(headline(run))
    out.print(table)
    out.print(_measured(run.records[0].metrics))
    out.print(f"{run.summary['checker_violations']} violations found by the checker")
    out.print(f"report: {folder / 'report.html'}   numbers: {folder / 'summary.json'}, {folder / 'series.csv.gz'}")
    out.file.flush()


def _measured(metrics: Mapping[str, float]) -> str:
    """What a clock showed, in a line."""
    route = f"p50 {metrics['route_p50_ms']:.2f}, p99 {metrics['route_p99_ms']:.2f} ms"
    text = f"measured here, over gRPC: {metrics['requests_routed']:,} requests routed one by one in {route}"
    longest_ms = metrics["emergency_plan_max_ms"]
    return text if math.isnan(longest_ms) else f"{text}; emergency plans published within {longest_ms:.0f} ms"


def _hold(server: ServerProcess, as_json: bool) -> None:
    """Keep the server; with ``--json`` standard output has had its one object, so this goes to standard error."""
    typer.echo(f"the server stays up at {server.address}; Ctrl-C ends it. Try:", err=as_json)
    typer.echo(f"  tapas-opt client status --address {server.address}", err=as_json)
    try:
        server.wait()
    except KeyboardInterrupt:
        return
