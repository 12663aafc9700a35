"""What the commands on problem files answer, as plain values that are printed as they are or shown to a person."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from tapas_opt.bench.instances import Making, instance
from tapas_opt.cli.paths import demo_data, demo_models
from tapas_opt.cli.problem import Asked
from tapas_opt.domain.result import Binding, CheckReport, Constraint, Rejection, Result, ShadowPrice
from tapas_opt.errors import InvalidInput
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.problem_file.codec import plain
from tapas_opt.problem_file.files import problem_text
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import ReconfigurationProblem
from tapas_opt.solve import solve, solver_workers
from tapas_opt.solve.kinds import engine_of, kind_of, worker_of
from tapas_opt.solve.warm import warm_up_loops
from tapas_opt.worth import worth_of

__all__ = ["answered", "example_text", "judged", "worth_answer"]

EXAMPLES = {"placement": "placement-batch", "routing": "routing-calm", "reconfiguration": "reconfiguration-now"}
"""The instance of the benchmark that is each kind's example."""

WARM_S = 60.0
"""A solver's process may take so long to start; its deadline counts from then."""


def example_text(kind: str, servers: int, seed: int) -> str:
    """A problem file of a generated site with the demo's models, as large as asked for."""
    making = Making(servers, seed, demo_models(), demo_data() / "profiles.csv")
    return problem_text(instance(EXAMPLES[kind], making))


def answered(problem: Any, asked: Asked) -> tuple[Result[Any], dict[str, Any]]:
    """The answer of a solver in a process of its own, which ends with the deadline."""
    engine = engine_of(kind_of(problem), asked.solver)
    warm_up_loops()
    with solver_workers() as workers:
        if engine is not None:
            workers[worker_of(engine)].wait_until_ready(WARM_S)
        began = time.perf_counter()
        result = solve(
            problem,
            solver=asked.solver,
            deadline_s=asked.deadline_s,
            gap_frac=asked.gap_frac,
            seed=asked.seed,
            workers=workers,
            explain=asked.explain,
        )
        total_s = time.perf_counter() - began
    data = _told(result) | {"total_s": total_s, "decided": decided(problem, result.plan)}
    return result, data | ({"plan": plain(result.plan, type(result.plan))})


def judged(problem: Any, plan: Any, explain: bool) -> dict[str, Any]:
    """The checker's word on a plan."""
    check = kind_of(problem).check
    report: CheckReport = check.check(problem, plan)
    violations = [
        {"constraint": each.constraint, "where": each.where, "excess": each.excess, "unit": each.unit}
        for each in report.violations
    ]
    answer: dict[str, Any] = {"ok": report.ok, "violations": violations, "terms": dict(report.terms)}
    answer |= {"objective": report.objective, "excess": _excess(plan)}
    if explain and report.ok:
        answer |= _reasons(check.why_not(problem, plan), check.binding(problem, plan))
    return answer


def worth_answer(problem: Any, constraint: str, where: str, step: int, asked: Asked) -> dict[str, Any]:
    """What a real step of a limit saves."""
    if constraint not in set(Constraint):
        raise InvalidInput.one("worth", "--constraint", f"{constraint!r}: must be one of {', '.join(Constraint)}")
    with solver_workers() as workers:
        found = worth_of(
            problem,
            Constraint(constraint),
            where,
            step,
            solver=asked.solver,
            deadline_s=asked.deadline_s,
            gap_frac=asked.gap_frac,
            seed=asked.seed,
            workers=workers,
        )
    sides = {
        name: {"objective": result.objective, "bound": _finite(result.bound), "status": result.status}
        for name, result in (("before", found.before), ("after", found.after))
    }
    saved = {"found": found.found, "least": _finite(found.least), "most": _finite(found.most)}
    return {"constraint": constraint, "where": where, "step": step, "saved": saved, **sides}


def decided(problem: Any, plan: Any) -> list[dict[str, Any]]:
    """What a plan does, in the words of its kind: a line a VM, a request class, or an instance that changes."""
    if isinstance(problem, PlacementProblem):
        return [{"vm": name, "server": plan.server_of.get(name)} for name in problem.vms]
    if isinstance(problem, ReconfigurationProblem):
        return _changes(problem, plan, {name: n for n, names in enumerate(plan.waves) for name in names})
    if isinstance(problem, HorizonProblem):
        return _changes(problem.now, plan, plan.slot_of)
    demand = zip(problem.classes, problem.class_tokens_per_s.tolist(), strict=True)
    return [
        {
            "class": name,
            "tokens_per_s": tokens,
            "served_frac": 1.0 - plan.unserved_frac.get(name, 0.0),
            "instances": sum(1 for share in plan.shares.get(name, {}).values() if share > 0),
        }
        for name, tokens in demand
    ]


def _changes(problem: ReconfigurationProblem, plan: Any, turn_of: Mapping[str, int]) -> list[dict[str, Any]]:
    """Who changes to what; ``turn_of`` says in which wave, or in which slot of a horizon."""
    present = [problem.choices.names[c] for c in problem.current.tolist()]
    return [
        {"instance": name, "from": now, "to": plan.choice_of[name], "turn": turn_of.get(name)}
        for name, now in zip(problem.instances, present, strict=True)
        if plan.choice_of[name] != now
    ]


def _told(result: Result[Any]) -> dict[str, Any]:
    """Everything known about a plan."""
    told: dict[str, Any] = {
        "status": result.status,
        "mode": result.mode,
        "solver": result.solver,
        "fallback": result.fallback,
        "objective": result.objective,
        "bound": _finite(result.bound),
        "gap_frac": result.gap_frac,
        "terms": dict(result.checked.terms),
        "excess": _excess(result.plan),
        "seed": result.seed,
        "build_s": result.build_s,
        "solve_s": result.solve_s,
        "check_s": result.check_s,
    }
    told |= _reasons(result.why_not, result.binding)
    return told | {"shadow_prices": None if result.shadow_prices is None else [_price(p) for p in result.shadow_prices]}


def _reasons(why_not: tuple[Rejection, ...], binding: tuple[Binding, ...]) -> dict[str, Any]:
    return {
        "why_not": [
            {"subject": each.subject, "constraint": each.constraint, "shortfall": each.shortfall, "unit": each.unit}
            for each in why_not
        ],
        "binding": [
            {"constraint": each.constraint, "where": each.where, "headroom": each.headroom, "unit": each.unit}
            for each in binding
        ],
    }


def _price(price: ShadowPrice) -> dict[str, Any]:
    return {"constraint": price.constraint, "where": price.where, "price": price.price, "unit": price.unit}


def _excess(plan: Any) -> list[dict[str, Any]]:
    declared: Mapping[tuple[Constraint, str], float] = getattr(plan, "excess", {})
    return [{"constraint": constraint, "where": where, "excess": by} for (constraint, where), by in declared.items()]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
