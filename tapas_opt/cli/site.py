"""``tapas-opt site``: make a site file, check it, show it."""

# ruff: noqa: PLC0415  --help stays fast: what needs NumPy is imported by the command that needs it

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, exit_code, print_result
from tapas_opt.errors import InvalidInput

if TYPE_CHECKING:
    from tapas_opt.domain.site import Site

__all__ = ["app", "generate", "show", "validate"]

app = typer.Typer(
    no_args_is_help=True,
    help="Make a site file, check it, show it.",
    epilog="Example: tapas-opt site show data/demo/site.yaml",
)

SiteFile = Annotated[Path, typer.Argument(metavar="FILE", help="A site file (YAML).")]


@app.command(epilog="Example: tapas-opt site generate --servers 80 --rows-per-aisle 1 --name demo --out site.yaml")
def generate(
    servers: Annotated[int, typer.Option(help="Number of servers, 4 to 100,000.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    name: Annotated[str, typer.Option(help="Name of the site.")] = "generated",
    hardware: Annotated[str, typer.Option(help="dgx-a100 or dgx-h100.")] = "dgx-a100",
    servers_per_rack: Annotated[int, typer.Option()] = 4,
    racks_per_row: Annotated[int, typer.Option()] = 10,
    rows_per_aisle: Annotated[int, typer.Option(help="Rows that share their cooling air.")] = 2,
    servers_per_room: Annotated[int, typer.Option(help="At most; servers spread evenly over the rooms.")] = 1_600,
    oversubscription: Annotated[
        float, typer.Option(help="Servers beyond what power and air were sized for: 0.25 is a quarter more.")
    ] = 0.0,
    ups_power_frac: Annotated[float, typer.Option(help="UPS ratings over nameplate.")] = 0.80,
    ups_budget_frac: Annotated[
        float, typer.Option(help="Part of a UPS that may be planned on: 0.75 holds the 4N/3 reserve back.")
    ] = 1.0,
    row_power_frac: Annotated[float, typer.Option(help="Row budget over nameplate.")] = 0.80,
    rack_power_frac: Annotated[float, typer.Option(help="Rack budget over nameplate.")] = 1.0,
    pdu_margin_frac: Annotated[float, typer.Option(help="PDU rating beyond its load after a UPS is lost.")] = 0.05,
    airflow_frac: Annotated[float, typer.Option(help="Airflow of all AHUs over nameplate.")] = 0.95,
    heat_frac: Annotated[float, typer.Option(help="Coil capacity of all AHUs over nameplate.")] = 0.95,
    ahus_per_room: Annotated[int, typer.Option(help="Air handlers in each room.")] = 4,
    ahu_near_frac: Annotated[
        float, typer.Option(help="Part of an AHU's air that stays at its end of the room.")
    ] = 0.25,
    altitude_m: Annotated[float, typer.Option(help="Height above the sea.")] = 0.0,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists and differs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a site of any size: 4N/3 power, racks spread over all UPS pairs, oversubscribed against nameplate."""
    from tapas_opt.cli.site_view import headline
    from tapas_opt.domain.site_generator import SiteShape, generate_site

    shape = SiteShape(
        servers_per_rack=servers_per_rack,
        racks_per_row=racks_per_row,
        rows_per_aisle=rows_per_aisle,
        servers_per_room=servers_per_room,
        oversubscription=oversubscription,
        ups_power_frac=ups_power_frac,
        ups_budget_frac=ups_budget_frac,
        row_power_frac=row_power_frac,
        rack_power_frac=rack_power_frac,
        pdu_margin_frac=pdu_margin_frac,
        airflow_frac=airflow_frac,
        heat_frac=heat_frac,
        ahus_per_room=ahus_per_room,
        ahu_near_frac=ahu_near_frac,
        altitude_m=altitude_m,
    )
    site = generate_site(servers, name=name, hardware=hardware, shape=shape)
    _write(site, out, force)
    print_result({"file": str(out)} | headline(site), as_json, _say_written)


@app.command(epilog="Example: tapas-opt site validate data/demo/site.yaml")
def validate(file: SiteFile, as_json: AsJson = False) -> None:
    """Check a site file; list every fault with its path, or say what is worth knowing about a valid one."""
    from tapas_opt.cli.site_view import headline, notes
    from tapas_opt.domain.site_file import read_site
    from tapas_opt.domain.topology import topology_of

    try:
        site = read_site(file)
    except InvalidInput as error:
        if not as_json:
            raise
        faults = [{"where": fault.where, "what": fault.what} for fault in error.faults]
        print_result({"file": str(file), "valid": False, "faults": faults}, as_json, _say_valid)
        typer.echo(f"tapas-opt: {error}", err=True)
        raise typer.Exit(exit_code(error)) from error
    data = {"file": str(file), "valid": True} | headline(site) | {"notes": notes(topology_of(site))}
    print_result(data, as_json, _say_valid)


@app.command(epilog="Example: tapas-opt site show data/demo/site.yaml")
def show(
    file: SiteFile,
    room: Annotated[str | None, typer.Option(help="The room to draw; the first one if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a site: its one-line diagram, its floor plan, and nameplate against budgets."""
    from tapas_opt.cli.site_view import figures, render_site
    from tapas_opt.domain.site_file import read_site

    data = figures(read_site(file), room)
    print_result(data, as_json, lambda data: render_site(data, console()))


def _write(site: Site, path: Path, force: bool) -> None:
    """Write the file, but do not destroy another one that somebody may have worked on."""
    from tapas_opt.domain.site_file import site_text

    text = site_text(site)
    try:
        if path.is_file() and not force and path.read_bytes() != text.encode():
            raise InvalidInput.one(
                str(path), "--out", "exists and differs; choose another name, or replace it by --force"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput.one(str(path), "--out", f"cannot be written: {error.strerror}") from error


def _say_written(data: Mapping[str, Any]) -> None:
    console().print(f"{data['file']}: {data['summary']}\nSee it with: tapas-opt site show {data['file']}")


def _say_valid(data: Mapping[str, Any]) -> None:
    console().print(f"{data['file']} is valid: {data['summary']}")
    for note in data["notes"]:
        console().print(f"  note: {note}")
