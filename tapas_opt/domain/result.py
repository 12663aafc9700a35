"""What every answer carries: status, mode, bound, who answered, what binds, and why not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

__all__ = [
    "Binding",
    "CheckReport",
    "Constraint",
    "Mode",
    "Progress",
    "Rejection",
    "Result",
    "ShadowPrice",
    "Status",
    "Violation",
    "first_feasible_s",
    "within_s",
]

PlanT = TypeVar("PlanT")


class Constraint(StrEnum):
    """Every constraint, by the one name it has in formulation, reference, checker, docs and (in capitals) the API."""

    RACK_POWER_BUDGET = "rack_power_budget"
    ROW_POWER_BUDGET = "row_power_budget"
    PDU_POWER_BUDGET = "pdu_power_budget"
    UPS_POWER_CAPACITY = "ups_power_capacity"
    AISLE_AIRFLOW_CAPACITY = "aisle_airflow_capacity"
    AISLE_HEAT_CAPACITY = "aisle_heat_capacity"
    CVAR_BUDGET = "cvar_budget"
    VM_PLACED_ONCE = "vm_placed_once"
    SERVER_GPU_CAPACITY = "server_gpu_capacity"
    GPU_TEMPERATURE_LIMIT = "gpu_temperature_limit"
    GROUP_SPREAD = "group_spread"
    GROUP_ALL_OR_NOTHING = "group_all_or_nothing"
    GROUP_TOGETHER = "group_together"
    TENANT_RESERVATION = "tenant_reservation"
    CAPACITY_BUFFER = "capacity_buffer"
    PEAK_UTILISATION = "peak_utilisation"
    ENDPOINT_DEMAND = "endpoint_demand"
    INSTANCE_GOODPUT = "instance_goodput"
    INSTANCE_HAS_ONE_CHOICE = "instance_has_one_choice"
    RELIEF_IN_TIME = "relief_in_time"
    CHANGE_BUDGET = "change_budget"
    RELOAD_LIMIT = "reload_limit"
    CAPPING_AGREED = "capping_agreed"
    UPS_TRANSIENT_LIMIT = "ups_transient_limit"
    FAILURE_SECURE = "failure_secure"
    RELIEF_AVAILABLE = "relief_available"
    WORST_FAILURE = "worst_failure"


class Status(StrEnum):
    """How good the plan is known to be."""

    OPTIMAL = "OPTIMAL"
    FEASIBLE = "FEASIBLE"
    INFEASIBLE = "INFEASIBLE"
    NO_SOLUTION = "NO_SOLUTION"


class Mode(StrEnum):
    """Which path answered."""

    SOLVER = "SOLVER"
    GREEDY = "GREEDY"
    STALE_SAFE = "STALE_SAFE"
    BEST_EFFORT = "BEST_EFFORT"


@dataclass(frozen=True, slots=True)
class Violation:
    """A constraint that a plan breaks: where, and by how much in ``unit``."""

    constraint: Constraint
    where: str
    excess: float
    unit: str

    def __str__(self) -> str:
        return f"{self.constraint} at {self.where}: {self.excess:,.6g} {self.unit} too much"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The independent checker's judgement: what is broken, and what the plan costs, term by term."""

    violations: tuple[Violation, ...]
    terms: Mapping[str, float]

    @property
    def ok(self) -> bool:
        """Whether nothing is broken."""
        return not self.violations

    @property
    def objective(self) -> float:
        """Cost units per hour, the sum of the terms."""
        return float(sum(self.terms.values()))


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why something was not done: the constraint that excludes it and how much is missing, in ``unit``."""

    subject: str
    constraint: Constraint
    shortfall: float
    unit: str


@dataclass(frozen=True, slots=True)
class Binding:
    """A constraint with little room left: ``headroom`` in ``unit`` at ``where``."""

    constraint: Constraint
    where: str
    headroom: float
    unit: str


@dataclass(frozen=True, slots=True)
class ShadowPrice:
    """By how much the cost of the linear relaxation changes for each ``unit`` more on a constraint's side at ``where``.

    At most 0 where the side is a limit: more room costs less. At least 0 where it is a demand.
    """

    constraint: Constraint
    where: str
    price: float
    unit: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What was known at a moment of a solve.

    Attributes
    ----------
    at_s
        Seconds since the solve began.
    objective
        Cost of the best plan by then, in cost units per hour; ``inf`` before there is one.
    bound
        Best lower bound by then; ``-inf`` before there is one.
    """

    at_s: float
    objective: float
    bound: float

    def is_within(self, gap_frac: float, negligible: float = 0.0) -> bool:
        """Whether objective and bound are this near, relative to the objective, or not further apart than nothing."""
        apart = self.objective - self.bound
        return self.objective < math.inf and (apart <= gap_frac * abs(self.objective) or 0 < apart <= negligible)


def first_feasible_s(trace: Iterable[Progress]) -> float:
    """Seconds until a trace has its first plan; ``inf`` for never."""
    return min((moment.at_s for moment in trace if moment.objective < math.inf), default=math.inf)


def within_s(trace: Iterable[Progress], gap_frac: float, negligible: float = 0.0) -> float:
    """Seconds until plan and bound of a trace are this near (:meth:`Progress.is_within`); ``inf`` for never."""
    near = (moment.at_s for moment in trace if moment.is_within(gap_frac, negligible))
    return min(near, default=math.inf)


@dataclass(frozen=True, slots=True)
class Result(Generic[PlanT]):
    """A plan and everything known about it.

    Attributes
    ----------
    bound
        Lower bound on the objective of the same problem; ``-inf`` when none was proven.
    fallback
        Why the solver's answer is not the one given, in a sentence; empty when it is.
    build_s, solve_s, check_s
        Seconds spent building the model, in the solver, and in the checker.
    trace
        How plan and bound got better, in order of time, from the first verified plan to the last. Between these two
        stands what the solver reported when it reported it; no objective is below that of ``plan``.
    shadow_prices
        Prices of the linear relaxation; None where they were not asked for, or not found in time.
    """

    plan: PlanT
    status: Status
    mode: Mode
    solver: str
    checked: CheckReport
    bound: float
    seed: int = 0
    fallback: str = ""
    build_s: float = 0.0
    solve_s: float = 0.0
    check_s: float = 0.0
    why_not: tuple[Rejection, ...] = ()
    binding: tuple[Binding, ...] = ()
    trace: tuple[Progress, ...] = ()
    shadow_prices: tuple[ShadowPrice, ...] | None = None

    @property
    def objective(self) -> float:
        """Cost units per hour."""
        return self.checked.objective

    @property
    def gap_frac(self) -> float:
        """``(objective − bound) / objective``; 0 for a free plan, 1 when nothing is proven."""
        if self.objective <= 0:
            return 0.0
        return min(1.0, max(0.0, (self.objective - self.bound) / self.objective))

    @property
    def first_feasible_s(self) -> float:
        """Seconds until the first verified plan; ``inf`` without a trace."""
        return first_feasible_s(self.trace)

    def within_s(self, gap_frac: float, negligible: float = 0.0) -> float:
        """Seconds until plan and bound known by then were within a gap; ``inf`` if they never were.

        ``negligible`` is a difference in cost units that counts as none, however small the objective.
        """
        return within_s(self.trace, gap_frac, negligible)
