"""``tapas-opt place``, ``route``, ``reconfigure``, ``check`` and ``worth``: problems from files, at a desk."""

# ruff: noqa: PLC0415  --help stays fast: NumPy and solvers are imported by the command that needs them

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result, writing
from tapas_opt.cli.progress import working
from tapas_opt.errors import InvalidInput

__all__ = ["Asked", "check", "place", "reconfigure", "route", "worth"]

_CHECK_FAILED = 1

ProblemFile = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="A problem file (.json or .json.gz); none with --example.")
]
SolverName = Annotated[
    str,
    typer.Option(
        "--solver",
        metavar="NAME",
        help="auto, greedy, decomposition, highs, cpsat, scip, or pyomo-NAME of any solver that Pyomo drives.",
    ),
]
Deadline = Annotated[
    float, typer.Option("--deadline", min=0.01, metavar="SECONDS", help="For all of it; the solver is ended then.")
]
Gap = Annotated[float, typer.Option("--gap", min=0.0, metavar="FRAC", help="Stop when bound and cost are this near.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the solver, and of --example.")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Also why each thing was not done, and what one more unit would be worth.")
]
PlanOut = Annotated[Path | None, typer.Option("--out", metavar="PLAN", help="Write the plan there (.json, .json.gz).")]
Example = Annotated[bool, typer.Option("--example", help="Print an example problem file instead.")]
Servers = Annotated[int, typer.Option("--servers", min=4, max=100_000, help="Size of the site of --example.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a problem shall be answered."""

    solver: str
    deadline_s: float
    gap_frac: float
    seed: int
    explain: bool = False
    out: Path | None = None


def _answering(doc: str, *kinds: str) -> Callable[..., None]:
    """The command that answers problems of these kinds; the first is that of its example."""

    def command(
        file: ProblemFile = None,
        solver: SolverName = "auto",
        deadline: Deadline = 10.0,
        gap: Gap = 1e-3,
        seed: Seed = 0,
        explain: Explain = False,
        out: PlanOut = None,
        example: Example = False,
        servers: Servers = 20,
        as_json: AsJson = False,
    ) -> None:
        if example:
            _print_example(kinds[0], servers, seed)
        else:
            _answer(kinds, file, Asked(solver, deadline, gap, seed, explain, out), as_json)

    command.__doc__ = doc
    return command


place = _answering("Place VMs: answer a placement problem from a file.", "placement")
route = _answering("Share requests out: answer a routing problem from a file.", "routing")
reconfigure = _answering(
    "Change configurations, now or over a horizon: answer a reconfiguration problem from a file.",
    "reconfiguration",
    "horizon",
)


def check(
    problem: Annotated[Path, typer.Argument(metavar="PROBLEM", help="A problem file.")],
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A plan file of the same kind.")],
    explain: Explain = False,
    as_json: AsJson = False,
) -> None:
    """Judge a plan by the independent checker; exit code 1 if it breaks anything."""
    from tapas_opt.cli.problem_answer import judged
    from tapas_opt.cli.problem_view import show_judgement
    from tapas_opt.problem_file.files import kind_of, read_plan, read_problem

    stated = read_problem(problem)
    answer = judged(stated, read_plan(plan, kind_of(stated)), explain)
    data = {"problem": str(problem), "plan": str(plan), "kind": kind_of(stated)} | answer
    print_result(data, as_json, lambda data: show_judgement(data, console()))
    if not answer["ok"]:
        raise typer.Exit(_CHECK_FAILED)


def worth(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A problem file of any kind.")],
    constraint: Annotated[str, typer.Option(metavar="NAME", help="Such as row_power_budget or endpoint_demand.")],
    where: Annotated[str, typer.Option(metavar="NAME", help="The row, UPS, aisle or endpoint.")],
    step: Annotated[int, typer.Option(metavar="UNITS", help="By how many W, CFM or tokens/s; may be negative.")],
    solver: SolverName = "auto",
    deadline: Deadline = 10.0,
    gap: Gap = 1e-4,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Say what a real step of a limit saves: solved before and after, with the interval that bounds prove."""
    from tapas_opt.cli.problem_answer import worth_answer
    from tapas_opt.cli.problem_view import show_worth
    from tapas_opt.problem_file.files import read_problem

    problem = read_problem(file)
    with working("solving before and after", as_json):
        data = {"problem": str(file)} | worth_answer(
            problem, constraint, where, step, Asked(solver, deadline, gap, seed)
        )
    print_result(data, as_json, lambda data: show_worth(data, console()))


def _print_example(kind: str, servers: int, seed: int) -> None:
    from tapas_opt.cli.problem_answer import example_text

    typer.echo(example_text(kind, servers, seed), nl=False)


def _answer(kinds: Sequence[str], file: Path | None, asked: Asked, as_json: bool) -> None:
    from tapas_opt.cli.problem_answer import answered
    from tapas_opt.cli.problem_view import show_answer
    from tapas_opt.problem_file.files import kind_of, read_problem, write_plan

    if file is None:
        raise InvalidInput.one(kinds[0], "FILE", "is missing; --example prints a problem to begin with")
    problem = read_problem(file, *kinds)
    with working("solving", as_json):
        result, data = answered(problem, asked)
    if asked.out is not None:
        with writing(kinds[0], "--out", asked.out):
            write_plan(result.plan, asked.out)
    shown: Mapping[str, Any] = {"problem": str(file), "kind": kind_of(problem)} | data
    print_result(shown, as_json, lambda data: show_answer(data, console()))
