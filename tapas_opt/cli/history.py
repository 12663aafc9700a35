"""``tapas-opt history``: make history to learn from, or bring it in."""

# ruff: noqa: PLC0415  --help stays fast: what needs NumPy is imported by the command that needs it

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tapas_opt.cli import history_collect, history_import, record
from tapas_opt.cli.output import AsJson, console, print_result
from tapas_opt.cli.paths import demo_data
from tapas_opt.cli.progress import bar

__all__ = ["app", "generate"]

app = typer.Typer(
    no_args_is_help=True,
    help="Make history to learn from, or bring it in.",
    epilog="Example: tapas-opt history generate --out runs/history",
)


@app.callback()
def _history() -> None:
    """Make history to learn from, or bring it in."""


@app.command(epilog="Example: tapas-opt history generate --days 28 --out runs/history")
def generate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="New or empty folder for the parquet tables.")],
    site: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A site file (YAML); the demo site if not given.")
    ] = None,
    days: Annotated[float, typer.Option(help="Simulated days.")] = 28.0,
    step: Annotated[float, typer.Option(help="Seconds between samples.")] = 300.0,
    seed: Annotated[int, typer.Option(min=0, help="Draws weather, VMs, load and sensor noise.")] = 1,
    truth: Annotated[bool, typer.Option("--truth", help="Also write truth_*.parquet, without noise or gaps.")] = False,
    bad_sensors: Annotated[
        float, typer.Option(metavar="FRAC", help="Share of sensors that stick, drift, fall silent or worse.")
    ] = 0.0,
    weather: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Hourly outdoor temperatures (CSV, parquet); the seed's if not given."),
    ] = None,
    place: Annotated[str | None, typer.Option(help="Which place of the weather file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a site full of VMs and record its sensors: rooms, servers, gpus, rows and vms as parquet tables."""
    from tapas_opt.domain.site_file import read_site
    from tapas_opt.plant.history import generate_history
    from tapas_opt.plant.weather_file import read_weather

    real = None if weather is None else read_weather(weather, place)
    file = demo_data() / "site.yaml" if site is None else site
    started = time.perf_counter()
    with bar("simulating", 1.0, as_json) as move:
        summary = generate_history(
            read_site(file),
            out=out,
            days=days,
            step_s=step,
            seed=seed,
            with_truth=truth,
            bad_sensor_frac=bad_sensors,
            weather=real,
            progress=lambda share: move(completed=share),
        )
    asked = {"folder": str(out), "site": str(file), "days": days, "step_s": step, "seed": seed}
    asked |= {"bad_sensor_frac": bad_sensors, "weather": weather and str(weather)}
    wall_s = round(time.perf_counter() - started, 1)
    print_result(asked | asdict(summary) | {"wall_s": wall_s}, as_json, _say_written)


app.command(
    "import",
    epilog="Example: tapas-opt history import --from prometheus --url http://127.0.0.1:9090 "
    "--start 2026-01-05T00:00:00Z --end 2026-02-02T00:00:00Z --site site.yaml --out runs/imported",
)(history_import.import_)
app.command(
    "collect", epilog="Example: tapas-opt history collect https://node1-bmc https://node2-bmc --path runs/redfish"
)(history_collect.collect)
app.command("record", epilog="Example: tapas-opt history record --out runs/gpu --seconds 60")(record.record)
app.command("characterise", epilog="Example: tapas-opt history characterise runs/gpu")(record.characterise)


def _say_written(data: Mapping[str, Any]) -> None:
    rows = ", ".join(f"{count:,} {name}" for name, count in data["rows"].items())
    out = console()
    out.print(f"{data['folder']}: {data['days']:g} days of {data['site']} in {data['wall_s']} s: rows: {rows}")
    out.print(
        f"  hottest GPU {data['max_gpu_temperature_c']:.1f} °C, hottest inlet {data['max_inlet_c']:.1f} °C, "
        f"peak row power {data['peak_row_power_frac']:.0%} of budget, "
        f"rows capped {data['capped_frac']:.1%} of the time, tripped: {', '.join(data['trips']) or 'nothing'}"
    )
    out.print(f"Learn from it with: tapas-opt fit --history {data['folder']} --models DIR")
