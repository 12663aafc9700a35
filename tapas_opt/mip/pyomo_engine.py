"""The solvers that Pyomo drives, by its names for them: its newer interface where it has one, the older otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tapas_opt.errors import NotFound, WorkerFailed
from tapas_opt.mip.result import MipStatus

__all__ = ["Ending", "Limits", "installed", "run"]

ALIASES = {"scip": "scip_direct", "gurobi": "gurobi_direct"}
"""What a solver is commonly called, and its name in the newer interface."""

OLDER = ("appsi_highs", "appsi_cbc", "appsi_gurobi", "appsi_cplex", "cbc", "glpk", "cplex", "xpress", "mosek")
"""Names of the older interface that are looked for when all that is installed is listed."""

OPTIONS: Mapping[str, tuple[str, str, str]] = {
    "highs": ("random_seed", "mip_rel_gap", "mip_max_nodes"),
    "appsi_highs": ("random_seed", "mip_rel_gap", "mip_max_nodes"),
    "gurobi_direct": ("Seed", "MIPGap", "NodeLimit"),
    "gurobi_persistent": ("Seed", "MIPGap", "NodeLimit"),
    "appsi_gurobi": ("Seed", "MIPGap", "NodeLimit"),
    "scip_direct": ("randomization/randomseedshift", "limits/gap", "limits/totalnodes"),
    "scip_persistent": ("randomization/randomseedshift", "limits/gap", "limits/totalnodes"),
    "cbc": ("randomSeed", "ratioGap", "maxNodes"),
    "appsi_cbc": ("randomSeed", "ratioGap", "maxNodes"),
    "glpk": ("", "mipgap", ""),
}
"""Each solver's own names for seed, gap and most nodes; one not listed, or without a name, keeps its own default."""

ENDINGS = {
    "convergenceCriteriaSatisfied": MipStatus.OPTIMAL,
    "provenInfeasible": MipStatus.INFEASIBLE,
    "unbounded": MipStatus.UNBOUNDED,
    "infeasibleOrUnbounded": None,
    "maxTimeLimit": MipStatus.NO_SOLUTION,
    "iterationLimit": MipStatus.NO_SOLUTION,
    "objectiveLimit": MipStatus.NO_SOLUTION,
    "interrupted": MipStatus.NO_SOLUTION,
    "unknown": MipStatus.NO_SOLUTION,
}
OLDER_ENDINGS = {
    "optimal": MipStatus.OPTIMAL,
    "infeasible": MipStatus.INFEASIBLE,
    "unbounded": MipStatus.UNBOUNDED,
    "infeasibleOrUnbounded": None,
    "feasible": MipStatus.NO_SOLUTION,
    "maxTimeLimit": MipStatus.NO_SOLUTION,
    "maxIterations": MipStatus.NO_SOLUTION,
    "maxEvaluations": MipStatus.NO_SOLUTION,
    "other": MipStatus.NO_SOLUTION,
    "unknown": MipStatus.NO_SOLUTION,
}
"""What each of Pyomo's endings says before values and bound are read; an ending not listed is a failure."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a solve may stop; ``nodes`` of the search tree, where the solver has a name for that."""

    deadline_s: float | None
    gap_frac: float
    seed: int
    nodes: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a solve ended.

    Attributes
    ----------
    status
        None for "unbounded or infeasible".
    objective
        None when there is no solution.
    bound
        As the solver says; None when it says nothing.
    load
        Puts the solution's values into the model.
    """

    status: MipStatus | None
    objective: float | None
    bound: float | None
    load: Callable[[], object]


def run(model: Any, solver: str, limits: Limits) -> Ending:
    """Have a solver solve a Pyomo model.

    Raises
    ------
    NotFound
        The solver is unknown to Pyomo or not installed; says which are.
    WorkerFailed
        It ended in an error.
    """
    name = ALIASES.get(solver, solver)
    if name in _newer_names():
        engine = _newer(name)
        return _ran_newer(engine, model, name, limits) if _available(engine) else _missing(solver)
    engine = _older(name)
    return _ran_older(engine, model, name, limits) if _available(engine) else _missing(solver)


def installed() -> list[str]:
    """Names of the solvers that Pyomo finds on this machine."""
    return [name for name, make in _known() if _available(make(name))]


def _missing(solver: str) -> Ending:
    raise NotFound("solver", solver, f"of those that Pyomo drives there are {', '.join(installed())}")


def _known() -> Iterator[tuple[str, Callable[[str], Any]]]:
    yield from ((name, _newer) for name in sorted(_newer_names()))
    yield from ((name, _older) for name in OLDER)


def _newer_names() -> set[str]:
    from pyomo.contrib.solver.common.factory import SolverFactory  # noqa: PLC0415

    return set(SolverFactory)


def _newer(name: str) -> Any:
    from pyomo.contrib.solver.common.factory import SolverFactory  # noqa: PLC0415

    return SolverFactory(name)


def _older(name: str) -> Any:
    import pyomo.environ as pyo  # noqa: PLC0415

    return pyo.SolverFactory(name) if name in pyo.SolverFactory._cls else None


def _available(engine: Any) -> bool:
    """Whether a solver can be run; some of the older ones raise instead of saying no."""
    try:
        return engine is not None and bool(engine.available())
    except Exception:
        return False


def _options(name: str, limits: Limits) -> dict[str, float]:
    names = OPTIONS.get(name, ("", "", ""))
    values = (limits.seed, limits.gap_frac, limits.nodes)
    return {option: value for option, value in zip(names, values, strict=True) if option and value is not None}


def _ran_newer(engine: Any, model: Any, name: str, limits: Limits) -> Ending:
    results = engine.solve(
        model,
        time_limit=limits.deadline_s,
        rel_gap=limits.gap_frac,
        solver_options={key: value for key, value in _options(name, limits).items() if key != OPTIONS[name][1]},
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
    )
    status = _status(ENDINGS, results.termination_condition.name, name)
    bound = results.objective_bound
    if results.solution_status.name not in ("feasible", "optimal"):
        return Ending(status, None, bound, _nothing)
    objective = float(results.incumbent_objective)
    if bound is None and results.solution_status.name == "optimal":
        bound = objective  # a linear program solved to optimality comes without a bound of its own
    return Ending(status, objective, bound, results.solution_loader.load_vars)


def _ran_older(engine: Any, model: Any, name: str, limits: Limits) -> Ending:
    for option, value in _options(name, limits).items():
        engine.options[option] = value
    limit = {} if limits.deadline_s is None else {"timelimit": max(1e-3, limits.deadline_s)}
    results = engine.solve(model, load_solutions=False, **limit)
    status = _status(OLDER_ENDINGS, str(results.solver.termination_condition), name)
    if not len(results.solution):
        return Ending(status, None, _finite(results.problem.lower_bound), _nothing)
    objective = _finite(results.problem.upper_bound)

    def load() -> None:
        model.solutions.load_from(results)

    return Ending(status, objective, _finite(results.problem.lower_bound), load)


def _status(endings: Mapping[str, MipStatus | None], ending: str, name: str) -> MipStatus | None:
    if ending not in endings:
        raise WorkerFailed(f"{name} under Pyomo ended with {ending}")
    return endings[ending]


def _finite(number: Any) -> float | None:
    return None if number is None or not math.isfinite(float(number)) else float(number)


def _nothing() -> None:
    """There is nothing to load."""
