"""What belongs to each kind of problem, and which solver runs where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import tapas_opt.placement.check as placement_check
import tapas_opt.placement.formulation as placement_formulation
import tapas_opt.placement.greedy as placement_greedy
import tapas_opt.placement.reference as placement_reference
import tapas_opt.reconfiguration.check as reconfiguration_check
import tapas_opt.reconfiguration.formulation as reconfiguration_formulation
import tapas_opt.reconfiguration.greedy as reconfiguration_greedy
import tapas_opt.reconfiguration.horizon.check as horizon_check
import tapas_opt.reconfiguration.horizon.formulation as horizon_formulation
import tapas_opt.reconfiguration.horizon.greedy as horizon_greedy
import tapas_opt.reconfiguration.horizon.reference as horizon_reference
import tapas_opt.reconfiguration.reference as reconfiguration_reference
import tapas_opt.routing.check as routing_check
import tapas_opt.routing.formulation as routing_formulation
import tapas_opt.routing.greedy as routing_greedy
import tapas_opt.routing.reference as routing_reference
from tapas_opt.errors import InvalidInput
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem, placement_classes
from tapas_opt.reconfiguration.classes import reconfiguration_classes
from tapas_opt.reconfiguration.horizon.paths import horizon_classes
from tapas_opt.reconfiguration.horizon.problem import HorizonPlan, HorizonProblem
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, ReconfigurationProblem
from tapas_opt.routing.problem import RoutingPlan, RoutingProblem, routing_classes

__all__ = ["KINDS", "PYOMO", "SOLVERS", "WORKER_OF", "Kind", "engine_of", "kind_of", "worker_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What belongs to one kind of problem: its plan, the modules of its package, and who solves it (default first).

    ``bounded`` is a greedy path that knows a bound as well, where there is one.
    """

    plan: type
    classes: Callable[[Any], Any]
    formulation: ModuleType
    reference: ModuleType
    greedy: ModuleType
    check: ModuleType
    exact_solvers: tuple[str, ...]
    bounded: Callable[[Any], tuple[Any, float]] | None = None


KINDS: Mapping[type, Kind] = {
    PlacementProblem: Kind(
        PlacementPlan,
        placement_classes,
        placement_formulation,
        placement_reference,
        placement_greedy,
        placement_check,
        ("decomposition", "highs", "cpsat", "scip", "pyomo-highs"),
        placement_greedy.bounded,
    ),
    RoutingProblem: Kind(
        RoutingPlan,
        routing_classes,
        routing_formulation,
        routing_reference,
        routing_greedy,
        routing_check,
        ("highs", "scip", "pyomo-highs"),
        routing_greedy.bounded,
    ),
    ReconfigurationProblem: Kind(
        ReconfigurationPlan,
        reconfiguration_classes,
        reconfiguration_formulation,
        reconfiguration_reference,
        reconfiguration_greedy,
        reconfiguration_check,
        ("decomposition", "highs", "cpsat", "scip", "pyomo-highs"),
        reconfiguration_greedy.bounded,
    ),
    HorizonProblem: Kind(
        HorizonPlan,
        horizon_classes,
        horizon_formulation,
        horizon_reference,
        horizon_greedy,
        horizon_check,
        ("decomposition", "highs", "cpsat", "scip", "pyomo-highs"),
    ),
}

WORKER_OF: Mapping[str, str] = {
    "decomposition": "highs",
    "highs": "highs",
    "cpsat": "cpsat",
    "scip": "scip",
    "pyomo-highs": "pyomo",
}
"""Which process runs which exact solver."""

PYOMO = "pyomo-"
"""What a solver's name begins with that Pyomo drives: the rest is Pyomo's own name for it."""

SOLVERS = ("auto", "greedy", *WORKER_OF)
"""Names that `solve` takes; ``auto`` is greedy, then the kind's first exact solver until the deadline. Beside these,
``pyomo-<name>`` is any solver that Pyomo drives and that is installed."""


def kind_of(problem: Any) -> Kind:
    """The kind of a problem.

    Raises
    ------
    InvalidInput
        It is none of the three kinds.
    """
    if type(problem) not in KINDS:
        raise InvalidInput.one("solve", "problem", f"{type(problem).__name__} is none of the three kinds of problem")
    return KINDS[type(problem)]


def engine_of(kind: Kind, solver: str) -> str | None:
    """The exact solver that a name stands for, None for ``greedy`` alone.

    Raises
    ------
    InvalidInput
        The solver is unknown, or cannot answer this kind of problem.
    """
    if solver == "greedy":
        return None
    if solver == "auto":
        return kind.exact_solvers[0]
    if solver in kind.exact_solvers or (solver.startswith(PYOMO) and solver != PYOMO):
        return solver
    allowed = ", ".join(("auto", "greedy", *kind.exact_solvers))
    raise InvalidInput.one(
        "solve", "solver", f"{solver!r}: must be one of {allowed}, or {PYOMO}<name> of another solver that Pyomo drives"
    )


def worker_of(engine: str) -> str:
    """The name of the worker whose processes run an exact solver."""
    return WORKER_OF.get(engine, "pyomo")
