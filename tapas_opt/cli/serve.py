"""``tapas-opt serve``: the gRPC service."""

# ruff: noqa: PLC0415  --help stays fast: gRPC and NumPy are imported by the command that needs them

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result
from tapas_opt.cli.paths import demo_data, demo_models

if TYPE_CHECKING:
    from tapas_opt.service.core import Core

__all__ = ["ClockKind", "Risk", "serve"]


class Risk(StrEnum):
    """How placement judges budgets over time."""

    QUANTILE = "quantile"
    CVAR = "cvar"


class ClockKind(StrEnum):
    """What time it is for the server."""

    SYSTEM = "system"
    TELEMETRY = "telemetry"


def serve(
    site: Annotated[Path | None, typer.Option(metavar="FILE", help="A site file; the demo's if not given.")] = None,
    models: Annotated[Path | None, typer.Option(metavar="DIR", help="Learned models; the demo's if not given.")] = None,
    profiles: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Profiles (CSV), or a folder of public measurements; the demo's if not given."
        ),
    ] = None,
    state: Annotated[
        str, typer.Option(metavar="FILE", help="The journal: a SQLite file or a database URL.")
    ] = "runs/serve/state.sqlite",
    address: Annotated[str, typer.Option(metavar="IP", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one and prints it.")] = 50_051,
    insecure_any_address: Annotated[
        bool,
        typer.Option(
            "--insecure-any-address",
            help="Listen, without encryption or authentication, on an address that other machines reach.",
        ),
    ] = False,
    clock: Annotated[
        ClockKind, typer.Option(help="telemetry: time is that of the newest telemetry, for replays and drills.")
    ] = ClockKind.SYSTEM,
    deadline: Annotated[
        float, typer.Option(min=0.1, max=600.0, metavar="SECONDS", help="Of a call that brings none of its own.")
    ] = 10.0,
    route_every: Annotated[
        float, typer.Option(min=0.1, max=3600.0, metavar="SECONDS", help="Age at which the routing plan is made anew.")
    ] = 5.0,
    risk: Annotated[
        Risk,
        typer.Option(
            help="How placements keep their budgets: quantile, in every hour by itself; cvar, on average over the "
            "worst tenth of recent days, which sees that peaks do not coincide."
        ),
    ] = Risk.QUANTILE,
    arm_every: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=3600.0,
            metavar="SECONDS",
            help="How often each plan armed for a failure that may come is looked at; 0 arms none.",
        ),
    ] = 30.0,
    arm_for: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:ELEMENT[+…]",
            help="Elements that may be lost together, such as ups:U1+ups:U2; each UPS and air handler is armed for "
            "anyway. May be repeated.",
        ),
    ] = None,
    settle_after: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=86_400.0,
            metavar="SECONDS",
            help="How long after a failure, or its end, the settled plan is made unasked; 0 leaves it to others.",
        ),
    ] = 30.0,
    lease: Annotated[
        float,
        typer.Option(min=1.0, max=86_400.0, metavar="SECONDS", help="How long a wave waits for silent agents."),
    ] = 900.0,
    record_problems: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the newest problems and their plans there, to be replayed at a desk."),
    ] = None,
    record_most: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="COUNT", help="So many problems of each kind are kept.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Serve placement, routing and reconfiguration over gRPC until told to stop (SIGTERM, Ctrl-C)."""
    from tapas_opt.control.settings import Settings
    from tapas_opt.service.options import Options
    from tapas_opt.service.running import run

    logging.basicConfig(level=logging.WARNING, format="tapas-opt: %(levelname)s: %(message)s")
    options = Options(
        site=site or demo_data() / "site.yaml",
        models=models or demo_models(),
        profiles=profiles or demo_data() / "profiles.csv",
        state=state,
        host=address,
        port=port,
        any_address=insecure_any_address,
        site_given=site is not None,
        telemetry_clock=clock is ClockKind.TELEMETRY,
        deadline_s=deadline,
        settings=Settings(
            route_every_s=route_every,
            risk=risk.value,
            arm_every_s=arm_every,
            arm_for=tuple(tuple(labels.split("+")) for labels in arm_for or ()),
            settle_after_s=settle_after,
            lease_s=lease,
        ),
        record_problems=record_problems,
        record_most=record_most,
    )

    def ready(bound: str, core: Core) -> None:
        fleet = core.controller.fleet
        data = {"address": bound, "site": fleet.topology.site.name, "state": state}
        print_result(data | {"servers": len(fleet.topology.servers), "vms": len(fleet.vms)}, as_json, _say)

    run(options, ready)


def _say(data: Mapping[str, Any]) -> None:
    out = console()
    out.print(f"serving site {data['site']} ({data['servers']} servers, {data['vms']} VMs) at {data['address']}")
    out.print(f"journal: {data['state']}")
    out.print(f"try: tapas-opt client status --address {data['address']}")
    out.file.flush()
