"""``tapas-opt reproduce``: the paper's headline figures beside ours."""

# ruff: noqa: PLC0415  --help stays fast: what is heavy is imported by the command that needs it

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result

__all__ = ["reproduce"]


def reproduce(
    servers: Annotated[int, typer.Option(metavar="N", help="Of the generated site.")] = 200,
    days: Annotated[float, typer.Option(metavar="N", help="Of each scenario.")] = 1.0,
    policy: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Beside the baseline; tapas and tapas-opt if not given.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(metavar="N", help="Again for each; 1, 2, 3 if not given.")] = None,
    saas_share: Annotated[float, typer.Option(metavar="FRACTION", help="Share of VMs that are instances.")] = 0.5,
    oversubscribe: Annotated[
        list[float] | None,
        typer.Option(metavar="FRACTION", help="Also with so many servers added, for the picture of throttling; again."),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Learned models; learned from four weeks of each site if not given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write reproduction.json and reproduction.html there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print each headline figure of the paper beside what policies come to here, mean and range over seeds.

    Runs each scenario once for each policy and seed: at 200 servers about ten minutes of one core for each seed. A
    figure that nothing here can say is "unknown".
    """
    from tapas_opt.cli.reproduce_answer import Asked, reproduced

    asked = Asked(
        policies=tuple(policy or ("tapas", "tapas-opt")),
        seeds=tuple(seed or (1, 2, 3)),
        servers=servers,
        days=days,
        saas_share=saas_share,
        oversubscriptions=tuple(oversubscribe or ()),
        models=models,
        out=out,
    )
    print_result(reproduced(asked, as_json), as_json, _show)


def _show(answer: Mapping[str, Any]) -> None:
    from rich.table import Table

    from tapas_opt.plot.words import over_seeds, reproduced_on

    policies = list(answer["figures"][0]["policies"])
    table = Table("", "the paper", *policies)
    for row in answer["figures"]:
        table.add_row(row["figure"], row["paper"], *(over_seeds(row["policies"][name]) for name in policies))
    out = console()
    out.print(f"{reproduced_on(answer)}; all of it modelled")
    out.print(table)
