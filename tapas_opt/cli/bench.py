"""``tapas-opt bench``: solvers on problems of any size or on public instances, and learned models on real telemetry."""

# ruff: noqa: PLC0415  --help stays fast: what needs pandas or a solver is imported by the command that needs it

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tapas_opt.cli.bench_answer import SolverQuestion, solver_answer, telemetry_answer
from tapas_opt.cli.bench_view import show_solvers, show_telemetry
from tapas_opt.cli.output import AsJson, print_result
from tapas_opt.cli.paths import demo_data, demo_models
from tapas_opt.errors import InvalidInput

__all__ = ["bench"]


def bench(
    problem: Annotated[
        str | None, typer.Option(metavar="NAMES", help="placement, routing, reconfiguration, with commas between.")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="mmkp, gap, vector-packing; gpu-temperature, inlet-temperature, vm-load."),
    ] = None,
    path: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that a suite reads; docs/benchmarking.md says what.")
    ] = None,
    servers: Annotated[str, typer.Option(metavar="NUMBERS", help="Sizes of the generated sites.")] = "1000",
    solver: Annotated[str, typer.Option(metavar="NAMES", help="Solvers, with commas between.")] = "greedy,auto,highs",
    deadline: Annotated[float, typer.Option(metavar="SECONDS", help="For each solve.")] = 5.0,
    gap: Annotated[float, typer.Option(metavar="FRACTION", help="Gap at which a solver may stop.")] = 1e-3,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Instances of each kind, at following seeds.")] = 1,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The first seed.")] = 1,
    instances: Annotated[str, typer.Option(metavar="GLOB", help="Which files of a public suite.")] = "*",
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Learned models of the generated sites; the demo's if not given.")
    ] = None,
    profiles: Annotated[Path | None, typer.Option(metavar="FILE", help="Profiles; the demo's if not given.")] = None,
    train_until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Telemetry: first day to judge; learn from before."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write NAME.json and .csv, and of solvers .html.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the files in --out; the problems' or the suite's if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare solvers on generated problems (--problem) or public instances, or judge models on telemetry (--suite)."""
    from tapas_opt.bench.suites import SUITES

    if (problem is None) == (suite is None):
        raise InvalidInput.one("bench", "problem or suite", "give one of the two; bench --help has examples")
    if suite in SUITES:
        until = train_until.date() if train_until else None
        print_result(telemetry_answer(suite, path, until, out), as_json, show_telemetry)
        return
    question = SolverQuestion(
        problems=_words(problem),
        suite=suite,
        path=path,
        instances=instances,
        servers=_words(servers),
        solvers=_words(solver),
        deadline_s=deadline,
        gap_frac=gap,
        seeds=tuple(range(seed, seed + seeds)),
        models=models or demo_models(),
        profiles=profiles or demo_data() / "profiles.csv",
    )
    print_result(solver_answer(question, out, name, as_json), as_json, show_solvers)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())
