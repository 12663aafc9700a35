"""``tapas-opt whatif``: many simulated cases from one file, and what a capacity engineer reads from them."""

# ruff: noqa: PLC0415  --help stays fast: what is heavy is imported by the command that needs it

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tapas_opt.cli.output import AsJson, print_result
from tapas_opt.cli.paths import demo_data, demo_models

__all__ = ["whatif"]


def whatif(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A study file: docs/studies.md says what is in it.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Finished cells are kept there, and tables and report.html written.")
    ],
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes on this machine; one a core if not given.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on this Dask scheduler: tcp://10.0.0.5:8786.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a study: how many servers fit at which risk, what stands in the way of more, and what it costs.

    Everything is judged before anything runs. Where the study names no models, those of each site are learned first, as
    far as policies go by any: half a minute of one core and more. A study that was killed goes on where it was when it
    is run again.
    """
    from tapas_opt.cli.whatif_answer import Asked, studied
    from tapas_opt.cli.whatif_view import show

    asked = Asked(study, out, jobs, cluster, models=demo_models(), profiles=demo_data() / "profiles.csv")
    print_result(studied(asked, as_json), as_json, partial(show, folder=out))
