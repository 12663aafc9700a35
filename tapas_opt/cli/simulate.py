"""``tapas-opt simulate``: the closed loop over days, for one or several policies, with failures."""

# ruff: noqa: PLC0415  --help stays fast: what is heavy is imported by the command that needs it

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tapas_opt.cli.output import AsJson, print_result
from tapas_opt.cli.paths import demo_data

__all__ = ["simulate"]


def simulate(
    scenario: Annotated[
        str, typer.Option(metavar="NAME", help="week, oversubscribe, ups_failure, …: docs/simulation.md lists them.")
    ] = "week",
    servers: Annotated[
        int | None, typer.Option(metavar="N", help="Of the generated site; 1,000 if not given.", show_default=False)
    ] = None,
    days: Annotated[float, typer.Option(metavar="N", help="From a Monday at midnight.")] = 1.0,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="baseline, packed, polca, place, route, config, their pairs, tapas, tapas-opt; again.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of weather, workload and sensors.")] = 1,
    oversubscribe: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Servers added under the same budgets: 0.4 for 40 % more.")
    ] = None,
    saas_share: Annotated[float, typer.Option(metavar="FRACTION", help="Share of VMs that are instances.")] = 0.5,
    occupancy: Annotated[float, typer.Option(metavar="FRACTION", help="VMs that live there, per server.")] = 0.9,
    fail: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT@WHEN+FOR", help="A failure besides the scenario's: ups:U2@3d14h+5m; again."),
    ] = None,
    site: Annotated[Path | None, typer.Option(metavar="FILE", help="A site file in place of a generated site.")] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Requests, one CSV an endpoint: their rate shapes each hour.")
    ] = None,
    weather: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Hourly outdoor temperatures (CSV, parquet); the seed's if not given."),
    ] = None,
    place: Annotated[str | None, typer.Option(metavar="NAME", help="Which place of the weather file.")] = None,
    weather_day: Annotated[
        int | None,
        typer.Option(metavar="N", help="Its day, from 0, to begin with; its hottest stretch if not given."),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Learned models; learned from four weeks of the site if not given."),
    ] = None,
    profiles: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Measured profiles, then taken as true: a table, or a public set's folder."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write summary.json, series.csv.gz and report.html there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take policies through the same days on the same simulated site, and say what became of each.

    Where a policy goes by learned models and none are given, they are first learned from four weeks of the same site's
    sensors, at 1,000 servers in two minutes; --out DIR keeps them as DIR/models, for --models.

    Heat, air, power and service are modelled, not measured. The same seed gives the same numbers, but for wall_s and
    decision_p99_s, which a clock shows.
    """
    from tapas_opt.cli.simulate_answer import Asked, simulated
    from tapas_opt.cli.simulate_view import show

    asked = Asked(
        scenario=scenario,
        servers=servers,
        days=days,
        policies=tuple(policy or ("baseline", "tapas", "tapas-opt")),
        seed=seed,
        oversubscription=oversubscribe,
        saas_share=saas_share,
        occupancy=occupancy,
        failures=tuple(fail or ()),
        site=site,
        trace=trace,
        weather=weather,
        place=place,
        weather_day=weather_day,
        models=models,
        profiles=profiles or demo_data() / "profiles.csv",
        measured=profiles is not None,
        out=out,
    )
    print_result(simulated(asked, as_json), as_json, show)
