"""What ``tapas-opt bench`` does: judge the question, run the cases, write the files."""

# ruff: noqa: PLC0415  --help stays fast: what needs pandas or a solver is imported by the command that needs it

from __future__ import annotations

import csv
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapas_opt.cli.output import write_json, writing
from tapas_opt.cli.progress import bar
from tapas_opt.errors import Fault, InvalidInput

if TYPE_CHECKING:
    from tapas_opt.bench.rows import SolverRow

__all__ = ["SolverQuestion", "solver_answer", "telemetry_answer"]

PACKAGES = ("tapas-opt", "highspy", "ortools", "pyomo", "pyscipopt", "numpy", "scipy", "numba")


@dataclass(frozen=True, slots=True)
class SolverQuestion:
    """Which solvers on which instances: either generated (``problems``) or of a public ``suite``."""

    problems: tuple[str, ...]
    suite: str | None
    path: Path | None
    instances: str
    servers: tuple[str, ...]
    solvers: tuple[str, ...]
    deadline_s: float
    gap_frac: float
    seeds: tuple[int, ...]
    models: Path
    profiles: Path


def telemetry_answer(suite: str, path: Path | None, train_until: date | None, out: Path | None) -> dict[str, Any]:
    """Judge learned models on the telemetry of a folder; raises InvalidInput listing every fault."""
    from tapas_opt.bench.suites import run_suite

    data = {"suite": suite} | run_suite(suite, _folder(path), train_until).to_json()
    if out is not None:
        _write(out, suite, data)
    return data


def solver_answer(question: SolverQuestion, out: Path | None, name: str | None, as_json: bool) -> dict[str, Any]:
    """Run every solver on every instance; raises InvalidInput listing every fault of the question.

    ``name`` is that of the files in ``out``.
    """
    from tapas_opt.bench.rows import beside_best

    _require(question)
    rows = [row.to_json() for row in beside_best(list(_rows(question, as_json)))]
    data = {"rows": rows, "machine": machine()}
    if out is not None:
        from tapas_opt.plot.solver_report import write_solver_report

        called = name or question.suite or "-".join(question.problems)
        _write(out, called, data)
        write_solver_report(data, out / f"{called}.html")
    return data


def machine() -> dict[str, Any]:
    """What the figures were made on: cores that may be used, processor, versions."""
    from tapas_opt.mip.machine import cores

    return {"cores": cores(), "processor": _processor(), "python": platform.python_version()} | _versions()


def _processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _rows(question: SolverQuestion, as_json: bool) -> Iterator[SolverRow]:
    if question.suite is not None:
        yield from _public_rows(question, as_json)
        return
    from tapas_opt.bench.cases import cases_of, run_cases
    from tapas_opt.bench.instances import Making, instances_of

    makings = [
        Making(int(servers), seed, question.models, question.profiles)
        for servers in question.servers
        for seed in question.seeds
    ]
    names = instances_of(list(question.problems))
    cases = cases_of(names, makings, question.solvers, question.deadline_s, question.gap_frac)
    with bar("bench", len(cases), as_json) as shown:
        for row in run_cases(cases, lambda words: shown(description=words)):
            shown(advance=1)
            yield row


def _public_rows(question: SolverQuestion, as_json: bool) -> Iterator[SolverRow]:
    from tapas_opt.bench.public.runs import read, run

    suite, path = str(question.suite), _folder(question.path)
    count = len(read(suite, path, question.instances)) * len(question.solvers) * len(question.seeds)
    with bar("bench", count, as_json) as shown:
        for row in run(
            suite,
            path,
            question.solvers,
            question.deadline_s,
            question.seeds,
            question.instances,
            lambda words: shown(description=words),
        ):
            shown(advance=1)
            yield row


def _require(question: SolverQuestion) -> None:
    faults = list(_number_faults(question))
    if question.suite is None:
        faults += [
            *_solver_faults(question.solvers),
            *_size_faults(question.servers),
            *_problem_faults(question.problems),
        ]
    else:
        faults += _suite_faults(question.suite, question.path)
    if faults:
        raise InvalidInput("bench", faults)


def _number_faults(question: SolverQuestion) -> Iterator[Fault]:
    if not (question.deadline_s > 0 and math.isfinite(question.deadline_s)):
        yield Fault("deadline", f"{question.deadline_s}: must be a number of seconds above 0")
    if not 0 <= question.gap_frac < 1:
        yield Fault("gap", f"{question.gap_frac}: must be at least 0 and below 1")


def _suite_faults(suite: str, path: Path | None) -> Iterator[Fault]:
    from tapas_opt.bench.public.runs import SUITES as PUBLIC
    from tapas_opt.bench.suites import SUITES as TELEMETRY

    if suite not in PUBLIC:
        yield Fault("suite", f"{suite!r} does not exist; there are {', '.join([*PUBLIC, *TELEMETRY])}")
    if path is None or not path.exists():
        yield Fault("path", f"{path or 'none'} does not exist; docs/benchmarking.md says what a suite reads")


def _solver_faults(solvers: Sequence[str]) -> Iterator[Fault]:
    from tapas_opt.bench.plain import PLAIN
    from tapas_opt.solve import SOLVERS

    known = (*SOLVERS, *PLAIN)
    if not solvers:
        yield Fault("solver", f"none is named; there are {', '.join(known)}")
    for name in solvers:
        if name not in known:
            yield Fault("solver", f"{name!r} does not exist; there are {', '.join(known)}")


def _size_faults(servers: Sequence[str]) -> Iterator[Fault]:
    from tapas_opt.domain.site_generator import MAX_SERVERS, MIN_SERVERS

    for text in servers:
        if not (text.isdecimal() and MIN_SERVERS <= int(text) <= MAX_SERVERS):
            yield Fault("servers", f"{text!r}: must be a whole number from {MIN_SERVERS} to {MAX_SERVERS}")


def _problem_faults(problems: Sequence[str]) -> Iterator[Fault]:
    from tapas_opt.bench.instances import instances_of

    try:
        instances_of(list(problems))
    except InvalidInput as error:
        yield from error.faults


def _folder(path: Path | None) -> Path:
    if path is None:
        raise InvalidInput.one("bench", "path", "a suite reads a folder; docs/benchmarking.md says of which files")
    return path


def _write(out: Path, name: str, data: Mapping[str, Any]) -> None:
    """``NAME.json`` with all that is printed, ``NAME.csv`` with its rows."""
    with writing("bench", "--out", out):
        out.mkdir(parents=True, exist_ok=True)
        write_json(data, out / f"{name}.json")
        with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            columns = list(dict.fromkeys(column for row in data["rows"] for column in row))
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(data["rows"])
