"""``tapas-opt backtest``: an operator's own days through policies, beside what happened."""

# ruff: noqa: PLC0415  --help stays fast: what is heavy is imported by the command that needs it

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tapas_opt.cli.output import AsJson, print_result
from tapas_opt.cli.paths import demo_data

__all__ = ["backtest"]


def backtest(
    site: Annotated[Path, typer.Option(metavar="FILE", help="The site file (YAML): limits come from it.")],
    history: Annotated[Path, typer.Option(metavar="DIR", help="Folder of parquet or CSV tables.")],
    vms: Annotated[
        Path, typer.Option(metavar="FILE", help="Who ran where, from when until when (CSV); or Alibaba's pods of 2023.")
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="baseline, polca, place, route, config, pairs of these, tapas, tapas-opt; again."
        ),
    ] = None,
    days: Annotated[float, typer.Option(metavar="N", help="The last so many days of the history are replayed.")] = 7.0,
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Learned models of the site; learned from the days before if not given."),
    ] = None,
    profiles: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Profiles (CSV, or a folder of measurements); the demo's if not given."),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Policies also place the VMs that ran when the days begin.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write report.html, summary.json and series.csv.gz there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay an operator's own arrivals and measured power through policies, and say what each would have made of them.

    Power is measured, wherever a VM is put; heat and air are predicted by models learned from the same site. What
    happened is told twice, as measured and as predicted, so that the models can be judged before the policies are.
    """
    from tapas_opt.cli.backtest_answer import backtested
    from tapas_opt.cli.backtest_given import Asked
    from tapas_opt.cli.backtest_view import show

    asked = Asked(
        site=site,
        history=history,
        vms=vms,
        policies=tuple(policy or ("baseline", "tapas", "tapas-opt")),
        days=days,
        models=models,
        profiles=profiles or demo_data() / "profiles.csv",
        anew=anew,
        out=out,
    )
    print_result(backtested(asked, as_json), as_json, show)
