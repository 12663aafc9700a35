"""Acting before the predicted peak instead of at it."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.mip import pyomo_solver
from tapas_opt.problem_file.files import read_problem, write_problem
from tapas_opt.reconfiguration.horizon.check import check, why_not
from tapas_opt.reconfiguration.horizon.formulation import decode, encode, formulate
from tapas_opt.reconfiguration.horizon.greedy import greedy
from tapas_opt.reconfiguration.horizon.paths import horizon_classes
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.horizon.reference import reference
from tapas_opt.reconfiguration.problem import Aim, Stage
from tapas_opt.solve import solve as solve_any

BIG, HALF, SLOW, SMALL, PARKED = range(5)


def over(now, *, demand, limit_w=None, base_w=None, reload_slots=1):
    """The same room with a demand, a limit and a base for each slot."""
    slots = tuple(f"t{t}" for t in range(np.shape(demand)[-1]))

    def stretched(family):
        limit = np.repeat(family.limit[:, :1], len(slots), axis=1)
        base = np.repeat(family.base[:, :1], len(slots), axis=1)
        return replace(
            family,
            limit=limit if limit_w is None else np.broadcast_to(limit_w, limit.shape).copy(),
            base=base if base_w is None else np.broadcast_to(base_w, base.shape).copy(),
        )

    budgets = replace(now.budgets, slots=slots, families=tuple(map(stretched, now.budgets.families)))
    return HorizonProblem(replace(now, budgets=budgets), np.atleast_2d(demand), reload_slots)


def random_horizon(random_problem, seed, *, instances=3, slots=3, **fields):
    rng = np.random.default_rng(seed)
    now = random_problem(seed, stage=Stage.SETTLED, instances=instances, slots=slots, **fields)
    demand = rng.integers(0, 120 * max(1, instances), (2, slots))
    return HorizonProblem(now, demand, int(rng.integers(1, 3)))


def solved(problem, solve):
    classes = horizon_classes(problem)
    result = solve(formulate(problem, classes), deadline_s=30.0, gap_frac=0.0, threads=1)
    return result.objective, decode(problem, classes, result.values)


def settled(problem, solve):
    _, plan = solved(problem.minimising_excess(), solve)
    capped = problem.with_allowed_excess(plan.excess)
    return capped, *solved(capped, solve)


def all_plans(problem):
    """Every choice at every slot, judged by the checker alone."""
    slots, choices = len(problem.slots), range(len(problem.now.choices.names))
    paths = [
        [(c, t) for c in choices for t in range(slots + 1) if (c == now) == (t == slots)]
        for now in problem.now.current.tolist()
    ]
    plans = (problem.plan(*np.array(path, dtype=np.int64).T) for path in product(*paths))
    return [plan for plan in plans if check(problem, plan).ok]


@pytest.fixture
def peak_to_come(room):
    """One instance serves, another is parked; 1,000 tokens/s are asked now and 2,000 from the third slot on.

    Loading weights takes a slot, in which the other serves nothing: begun at the peak it is too late.
    """
    now = room(current=[BIG, PARKED], demand=0, limit_w=10_000, stage=Stage.SETTLED)
    return over(now, demand=[1000, 1000, 2000, 2000])


def test_weights_are_loaded_before_the_peak_and_not_at_it(peak_to_come, solve):
    """In the second slot: not earlier, since it draws power, not later, since 1,000 tokens/s would go unserved."""
    _, _, plan = settled(peak_to_come, solve)
    assert plan.slot_of == {"I2": 1}
    assert check(peak_to_come, plan).terms["unserved"] == 0


def test_waiting_for_the_peak_leaves_demand_unserved(peak_to_come):
    """What a plan for the present slot alone would do: nothing, until it is too late."""
    waiting = peak_to_come.plan(np.array([BIG, BIG]), np.array([4, 2]))
    assert check(peak_to_come, waiting).terms["unserved"] == 10_000 * 1000


def test_a_budget_that_shrinks_is_met_before_it_does(room, solve):
    """Two instances must load small models one after the other, because 5,000 W cannot carry two big ones.

    From the third slot on the UPS gives no more; whoever waits until then is over.
    """
    now = room(current=[BIG, BIG], demand=0, limit_w=9_000, stage=Stage.SETTLED, reload_limit=1)
    problem = over(now, demand=[1000, 1000, 2400, 2400], limit_w=[9_000, 9_000, 5_000, 5_000])
    _, _, plan = settled(problem, solve)
    assert plan.excess == {}
    assert sorted(plan.slot_of.values()) == [0, 1]
    assert check(problem, plan).terms["unserved"] == 0
    at_the_peak = problem.plan(np.array([SMALL, SMALL]), np.array([2, 3]))
    assert at_the_peak.excess[Constraint.UPS_POWER_CAPACITY, "U1"] == 3_000


def test_what_may_not_stay_changes_at_once(room, solve):
    """A ceiling below what the present choice draws is no matter of an hour's plan."""
    now = room(current=[BIG], demand=0, limit_w=9_000, ceiling_w=320, stage=Stage.SETTLED)
    problem = over(now, demand=[800, 800])
    _, _, plan = settled(problem, solve)
    assert plan.slot_of == {"I1": 0}
    later = problem.plan(np.array([SLOW]), np.array([1]))
    assert [one.constraint for one in check(problem, later).violations] == [Constraint.INSTANCE_HAS_ONE_CHOICE]


@pytest.mark.parametrize("aim", list(Aim))
@pytest.mark.parametrize("seed", range(8))
def test_arrays_and_pyomo_are_the_same_horizon_by_name(random_problem, seed, aim):
    """Two witnesses of one formulation."""
    problem = random_horizon(random_problem, seed, instances=6, slots=4, configurations=4)
    problem = problem.minimising_excess() if aim is Aim.EXCESS else problem.with_allowed_excess(greedy(problem).excess)
    classes = horizon_classes(problem)
    assert pyomo_solver.differences(formulate(problem, classes), reference(problem, classes)) == []


@pytest.mark.parametrize("seed", range(12))
def test_solvers_find_what_brute_force_finds_over_a_horizon(random_problem, solve, seed):
    """Enumeration judged by the checker alone knows nothing of classes, dominance, paths or rows."""
    problem = random_horizon(random_problem, seed, instances=2 + (seed % 4 == 0), slots=2, levels=(1.0,))
    plans = all_plans(problem)
    capped, objective, best = settled(problem, solve)
    assert sum(best.excess.values()) == min(sum(plan.excess.values()) for plan in plans)
    cheapest = min(check(capped, plan).objective for plan in plans if capped.allows(plan))
    assert objective == pytest.approx(cheapest)
    assert check(capped, best).ok
    assert check(capped, best).objective == pytest.approx(objective)


@pytest.mark.parametrize("seed", range(12))
def test_the_greedy_horizon_is_accepted_and_is_a_start(random_problem, seed):
    """With the excess that it declares; and it is never worse than changing nothing, where that is allowed."""
    problem = random_horizon(random_problem, 50 + seed, instances=8, slots=4, configurations=4)
    plan = greedy(problem)
    allowed = problem.with_allowed_excess(plan.excess)
    report = check(allowed, plan)
    assert report.ok, report.violations
    classes = horizon_classes(allowed)
    arrays = formulate(allowed, classes)
    values = encode(allowed, classes, plan)
    assert arrays.worst_violation(values) <= 1e-9
    assert arrays.objective(values) == pytest.approx(report.objective)
    assert decode(allowed, classes, values).excess == plan.excess


@pytest.mark.parametrize("solver", ["auto", "greedy", "highs"])
def test_a_horizon_is_solved_through_the_same_door(random_problem, solver):
    """Verified like every other answer, with a bound below it."""
    problem = random_horizon(random_problem, 3, instances=8, slots=4, configurations=4)
    result = solve_any(problem, solver=solver, deadline_s=5.0)
    assert result.checked.ok
    assert result.bound <= result.objective


def test_a_plan_that_names_no_slot_or_a_wrong_one_is_refused(peak_to_come):
    """A change without a slot, a slot without a change, and one beyond the horizon."""
    plan = peak_to_come.plan(np.array([BIG, BIG]), np.array([4, 1]))
    for wrong in ({}, {"I1": 0, "I2": 1}, {"I2": 4}, {"I9": 1, "I2": 1}):
        assert not check(peak_to_come, replace(plan, slot_of=wrong)).ok


def test_budgets_of_changes_and_reloads_hold_in_every_slot(room):
    """Three parked instances, one reload and one change a slot."""
    now = room(current=[PARKED] * 3, demand=0, limit_w=20_000, stage=Stage.SETTLED, reload_limit=1, change_budget=1)
    problem = over(now, demand=[3000, 3000, 3000, 3000])
    together = problem.plan(np.array([BIG] * 3), np.array([0, 0, 1]))
    assert [(one.constraint, one.where) for one in check(problem, together).violations] == [
        (Constraint.CHANGE_BUDGET, "t0"),
        (Constraint.RELOAD_LIMIT, "t0"),
    ]
    assert sorted(greedy(problem).slot_of.values()) == [0, 1, 2]


def test_a_horizon_is_kept_as_a_file(random_problem, tmp_path):
    """What was met in production can be replayed at a desk."""
    problem = random_horizon(random_problem, 3, instances=4, slots=4)
    write_problem(problem, tmp_path / "horizon.json")
    again = read_problem(tmp_path / "horizon.json")
    assert (again.demand_tokens_per_s == problem.demand_tokens_per_s).all()
    assert greedy(again) == greedy(problem)


def test_why_an_instance_does_not_serve_more_is_said(peak_to_come):
    """Nobody has anything to say of what serves all; where the limit leaves one instance, the other names it."""
    idle = peak_to_come.present()
    assert why_not(peak_to_come, idle) == (), "only prices keep it from serving"
    tight = over(peak_to_come.now, demand=[1000, 1000, 2000, 2000], limit_w=1_500)
    named = why_not(tight, tight.present())
    assert {(said.subject, said.unit) for said in named} == {("I2", "W")}


@pytest.mark.parametrize("seed", range(40))
def test_what_is_said_to_exclude_a_choice_is_what_the_checker_says_of_it(random_problem, seed):
    """Each instance by itself, at its best choice in the slot of its change or the first."""
    problem = random_horizon(random_problem, seed)
    plan = greedy(problem)
    if not check(problem, plan).ok:
        return
    for i, subject in enumerate(problem.now.instances):
        named = worst((said.constraint, said.shortfall) for said in why_not(problem, plan) if said.subject == subject)
        choice, slot = problem.chosen(plan)
        slot[i] = plan.slot_of.get(subject, 0)
        judged = []
        for choice[i] in range(len(problem.now.choices.names)):
            other = replace(problem.plan(choice, slot), excess=plan.excess)
            judged.append(worst((found.constraint, found.excess) for found in check(problem, other).violations))
        assert not named or named in judged


def worst(found):
    """By constraint, the most that is missing; who may load what at all is said under another name."""
    most = {}
    for constraint, amount in found:
        if constraint is not Constraint.INSTANCE_HAS_ONE_CHOICE:
            most[constraint] = max(amount, most.get(constraint, 0.0))
    return most
