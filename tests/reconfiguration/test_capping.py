"""Opaque VMs that agreed to be slowed: the same witnesses, another kind of instance."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.mip import pyomo_solver
from tapas_opt.reconfiguration.check import check
from tapas_opt.reconfiguration.classes import reconfiguration_classes
from tapas_opt.reconfiguration.formulation import decode, formulate
from tapas_opt.reconfiguration.greedy import greedy
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, Stage
from tapas_opt.reconfiguration.reference import reference

BIG = 0


def with_opaque(problem, watts, *, delay_s=41.0):
    """The same problem with an opaque VM on each of the first servers, at full clock or half."""
    count, choices = len(watts), problem.choices
    rows, columns = choices.power_w.shape
    pad = ((0, count), (0, 2))
    at_half = [(watt + 1) // 2 for watt in watts]
    power, air = np.pad(choices.power_w, pad), np.pad(choices.airflow_cfm, pad)
    power[rows:, columns:] = np.stack([watts, at_half], axis=1)
    air[rows:, columns:] = power[rows:, columns:] // 10
    runs_on = np.pad(choices.runs_on, pad)
    runs_on[rows:, columns:] = True
    allowed = np.pad(problem.allowed, ((0, 1), (0, 2)))
    allowed[-1, columns:] = True
    delay = np.full((columns + 2,) * 2, delay_s)
    delay[:columns, :columns] = problem.delay_s
    preferred = problem.preferred_loss_permille
    return replace(
        problem,
        instances=(*problem.instances, *(f"V{i}" for i in range(count))),
        endpoints=(*problem.endpoints, "slowed"),
        instance_server=np.append(problem.instance_server, np.arange(count)),
        instance_endpoint=np.append(problem.instance_endpoint, np.full(count, len(problem.endpoints))),
        instance_hardware=np.append(problem.instance_hardware, rows + np.arange(count)),
        current=np.append(problem.current, np.full(count, columns)),
        instance_tolerance_s=np.append(problem.instance_tolerance_s, np.full(count, np.inf)),
        allowed=allowed,
        delay_s=delay,
        reload=np.pad(problem.reload, (0, 2)),
        demand_tokens_per_s=np.append(problem.demand_tokens_per_s, 0),
        preferred_loss_permille=None if preferred is None else np.append(preferred, 0),
        choices=replace(
            choices,
            names=(*choices.names, "clock@1", "clock@0.5"),
            configuration=(*choices.configuration, "clock", "clock"),
            level=np.append(choices.level, [1.0, 0.5]),
            runs_on=runs_on,
            goodput_tokens_per_s=np.pad(choices.goodput_tokens_per_s, pad),
            power_w=power,
            airflow_cfm=air,
            gpu_power_w=np.pad(choices.gpu_power_w, pad),
            quality_loss_permille=np.pad(choices.quality_loss_permille, (0, 2)),
            performance_loss_permille=np.append(np.zeros(columns, dtype=np.int64), [0, 500]),
        ),
        opaque=frozenset({"V9"}),
    )


def solved(problem, solve):
    classes = reconfiguration_classes(problem)
    result = solve(formulate(problem, classes), deadline_s=20.0, gap_frac=0.0, threads=1)
    return result.objective, decode(problem, classes, result.values)


def settled(problem, solve):
    """Least excess first, then least cost within it."""
    _, plan = solved(problem.minimising_excess(), solve)
    return solved(problem.with_allowed_excess(plan.excess), solve)


@pytest.fixture
def shared_room(room):
    """Two instances at 4,000 W beside an opaque VM at 4,000 W; ``shared_room(limit)`` makes the room."""
    return lambda limit_w: with_opaque(room(current=[BIG] * 2, demand=1000, limit_w=limit_w), [4000])


@pytest.mark.parametrize(("limit_w", "slowed"), [(12_000, False), (9_000, False), (8_000, False), (3_000, True)])
def test_an_opaque_vm_is_slowed_when_nothing_else_is_left(shared_room, solve, limit_w, slowed):
    """At 8,000 W one instance is parked, at 3,000 W both are, and 1,000 W are still missing."""
    _, plan = settled(shared_room(limit_w), solve)
    assert plan.choice_of["V0"] == ("clock@0.5" if slowed else "clock@1")


def test_demand_of_a_large_model_goes_unserved_before_an_opaque_vm_is_slowed(shared_room, solve):
    """At 6,000 W half of the 1,000 tokens/s fit beside it, or all of them with it at half clock: 5e6 against 5e7."""
    objective, plan = settled(shared_room(6_000), solve)
    assert plan.choice_of["V0"] == "clock@1"
    assert objective < 50_000_000


@pytest.mark.parametrize("seed", range(6))
def test_arrays_pyomo_and_brute_force_agree_with_opaque_vms(random_problem, all_plans, solve, seed):
    """One or two of them in a random room, in both stages; greedy's plan is one that the checker accepts."""
    problem = random_problem(seed, stage=list(Stage)[seed % 2], instances=1 + seed % 2, configurations=2)
    problem = with_opaque(problem, [300, 700][seed % 2 :], delay_s=2.0)
    classes = reconfiguration_classes(problem)
    assert pyomo_solver.differences(formulate(problem, classes), reference(problem, classes)) == []
    plans = all_plans(problem)
    least = min(sum(plan.excess.values()) for plan in plans)
    objective, plan = settled(problem, solve)
    capped = problem.with_allowed_excess(plan.excess)
    assert sum(plan.excess.values()) == pytest.approx(least)
    assert objective == pytest.approx(min(check(capped, p).objective for p in plans if capped.allows(p)))
    quick = greedy(problem)
    assert check(problem.with_allowed_excess(quick.excess), quick).ok


def test_whoever_has_not_agreed_is_no_instance(shared_room):
    """A plan may not even repeat what it runs."""
    problem = shared_room(12_000)
    plan = ReconfigurationPlan(dict(problem.present().choice_of) | {"V9": "clock@1"})
    assert [one.constraint for one in check(problem, plan).violations] == [Constraint.CAPPING_AGREED]


def test_an_opaque_vm_cannot_be_parked(shared_room):
    """Nor run what is not its own."""
    problem = shared_room(12_000)
    for choice in ("parked", "big@1"):
        plan = ReconfigurationPlan(dict(problem.present().choice_of) | {"V0": choice})
        assert [one.constraint for one in check(problem, plan).violations] == [Constraint.INSTANCE_HAS_ONE_CHOICE]
