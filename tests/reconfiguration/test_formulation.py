from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.errors import InvalidInput
from tapas_opt.mip import pyomo_solver
from tapas_opt.reconfiguration.check import check
from tapas_opt.reconfiguration.classes import reconfiguration_classes
from tapas_opt.reconfiguration.formulation import decode, encode, formulate
from tapas_opt.reconfiguration.greedy import greedy
from tapas_opt.reconfiguration.problem import Aim, Stage
from tapas_opt.reconfiguration.reference import reference

STAGES = list(Stage)


def solved(problem, solve):
    classes = reconfiguration_classes(problem)
    result = solve(formulate(problem, classes), deadline_s=20.0, gap_frac=0.0, threads=1)
    return result, decode(problem, classes, result.values)


def settled(problem, solve):
    """Both solves: least excess, then least cost within it."""
    first, plan = solved(problem.minimising_excess(), solve)
    second, best = solved(problem.with_allowed_excess(plan.excess), solve)
    return first.objective, second.objective, best


@pytest.mark.parametrize("aim", list(Aim))
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("seed", range(20))
def test_arrays_and_pyomo_are_the_same_model_by_name(random_problem, seed, stage, aim):
    """Two witnesses of one formulation: a slip in one is not repeated in the other."""
    problem = random_problem(seed, stage=stage, instances=9, configurations=4)
    problem = problem.minimising_excess() if aim is Aim.EXCESS else problem.with_allowed_excess(greedy(problem).excess)
    classes = reconfiguration_classes(problem)
    assert pyomo_solver.differences(formulate(problem, classes), reference(problem, classes)) == []


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("seed", range(30))
def test_solvers_find_what_brute_force_finds(random_problem, all_plans, solve, seed, stage):
    """Enumeration judged by the checker alone knows nothing of classes, dominance or rows."""
    problem = random_problem(seed, stage=stage, instances=3 + seed % 2, configurations=2)
    plans = all_plans(problem, seed)
    least = min(sum(plan.excess.values()) for plan in plans)
    first, plan = solved(problem.minimising_excess(), solve)
    assert first.objective == pytest.approx(least)
    capped = problem.with_allowed_excess(plan.excess)
    cheapest = min(check(capped, other).objective for other in plans if capped.allows(other))
    second, best = solved(capped, solve)
    assert second.objective == pytest.approx(cheapest)
    assert check(capped, best).ok
    assert capped.allows(best)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("seed", range(10))
def test_a_decoded_plan_costs_what_the_solver_says(random_problem, solve, seed, stage):
    """The checker's objective on named instances equals the arrays' over classes, so that bounds are of the plan."""
    problem = random_problem(100 + seed, stage=stage, instances=12, configurations=4)
    first, plan = solved(problem.minimising_excess(), solve)
    report = check(problem.minimising_excess(), plan)
    assert report.ok
    assert report.objective == pytest.approx(first.objective)
    capped = problem.with_allowed_excess(plan.excess)
    second, best = solved(capped, solve)
    report = check(capped, best)
    assert report.ok
    assert report.objective == pytest.approx(second.objective)


@pytest.mark.parametrize("seed", range(30))
def test_an_encoded_plan_is_feasible_and_costs_the_same(random_problem, seed):
    """Starts are handed to solvers this way; a start that breaks a row is thrown away in silence."""
    problem = random_problem(seed, stage=STAGES[seed % 2], instances=15, configurations=4)
    plan = greedy(problem)
    problem = problem.with_allowed_excess(plan.excess)
    classes = reconfiguration_classes(problem)
    arrays, values = formulate(problem, classes), encode(problem, classes, plan)
    assert arrays.worst_violation(values) <= 1e-9
    assert arrays.objective(values) == pytest.approx(check(problem, plan).objective)
    again = decode(problem, classes, values)
    assert check(problem, again).terms == check(problem, plan).terms


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("seed", range(6))
def test_leaving_out_dominated_choices_does_not_change_the_optimum(random_problem, solve, seed, stage):
    """Fewer columns for the same answer: without the filter every eligible choice is a column."""
    problem = random_problem(200 + seed, stage=stage, instances=8, configurations=12)
    _, plan = solved(problem.minimising_excess(), solve)
    problem = problem.with_allowed_excess(plan.excess)
    classes = reconfiguration_classes(problem)
    everything = replace(classes.options, kept=problem.eligible()[classes.options.kinds.first])
    assert everything.kept.sum() >= classes.options.kept.sum()
    each = np.arange(len(problem.instances))
    plain = replace(
        classes,
        instances=replace(classes.instances, of=each, first=each, size=np.ones_like(each)),
        kind=classes.options.kinds.of,
        options=everything,
        budgets=problem.budgets,
    )
    result = solve(formulate(problem, plain), deadline_s=20.0, gap_frac=0.0, threads=1)
    assert solved(problem, solve)[0].objective == pytest.approx(result.objective)


def test_dominated_choices_have_no_column(cold_spare):
    """big@0.5 at 2,500 W for 500 tokens/s loses to small@1 at 2,000 W for 1,200 once quality is free of charge."""
    free = replace(cold_spare, prices=replace(cold_spare.prices, quality_permille_token_per_s=0, reload=0))
    kept = reconfiguration_classes(replace(free, reload=np.zeros_like(free.reload))).options.kept
    assert kept.tolist() == [[True, False, False, True, True], [False, False, False, True, True]]


def test_clock_locks_carry_a_lost_ups(one_ups_failed, solve):
    """4 × 3,000 = 12,000 W and 4 × 800 = 3,200 tokens/s: 12,000 for energy above parked, 4 × 200 for the changes."""
    excess, cost, plan = settled(one_ups_failed, solve)
    assert (excess, cost) == (0.0, 12_800.0)
    assert set(plan.choice_of.values()) == {"big-slow@1"}
    assert check(one_ups_failed, plan).terms == {"unserved": 0, "quality": 0, "energy": 12_000, "changes": 800}


def test_slow_knobs_give_no_relief_now(one_ups_failed, solve):
    """A UPS that bears 16,000 W for 0.5 s outruns a clock lock of 1 s: 4,000 W too many, declared."""
    overtaken = replace(one_ups_failed, instance_tolerance_s=np.full(4, 0.5))
    excess, _, plan = settled(overtaken, solve)
    assert excess == 4_000.0
    assert plan.excess == {(Constraint.UPS_POWER_CAPACITY, "U1"): 4_000.0}
    assert set(plan.choice_of.values()) == {"big@1"}


def test_a_hopeless_emergency_declares_the_least_excess(hopeless_room, solve):
    """13,000 − 12,000 = 1,000 W remain with both instances parked, and 1,000 tokens/s at 10,000 go unserved."""
    excess, cost, plan = settled(hopeless_room, solve)
    assert excess == 1_000.0
    assert cost == 1_000 * 10_000 + 2 * (200 + 2_000)
    assert plan.excess == {(Constraint.UPS_POWER_CAPACITY, "U1"): 1_000.0}
    assert set(plan.choice_of.values()) == {"parked"}


def test_a_cold_spare_is_loaded_when_there_is_time(cold_spare, solve):
    """Settled: 1,000 + 800 tokens/s for 4,000 + 3,000 W and one reload at 200 + 2,000."""
    excess, cost, plan = settled(cold_spare, solve)
    assert (excess, cost) == (0.0, 7_000 + 2_200)
    assert plan.choice_of["I2"] == "big-slow@1"


def test_a_cold_spare_is_of_no_use_now(cold_spare, solve):
    """Loading takes minutes: 800 tokens/s at 10,000 go unserved; 4,000 W of energy."""
    excess, cost, plan = settled(replace(cold_spare, stage=Stage.NOW), solve)
    assert (excess, cost) == (0.0, 8_000_000 + 4_000)
    assert plan.choice_of == {"I1": "big@1", "I2": "parked"}


def test_an_overheated_instance_changes_without_counting(room, solve):
    """Its GPU draws 400 W under a ceiling of 320 W: a budget of no changes must not keep it there."""
    problem = room(current=[0, 0], demand=1600, limit_w=20_000, ceiling_w=320, change_budget=0)
    excess, cost, plan = settled(problem, solve)
    assert (excess, cost) == (0.0, 6_000.0)
    assert set(plan.choice_of.values()) == {"big-slow@1"}


def test_an_overheated_instance_slows_late_rather_than_never(room, solve):
    """No knob is quick enough, so the lock counts with the 4,000 W of before: 2 × 4,000 − 6,000 = 2,000 W over."""
    problem = room(current=[0, 0], demand=1600, limit_w=6_000, ceiling_w=320, tolerance_s=0.5)
    excess, _, plan = settled(problem, solve)
    assert excess == 2_000.0
    assert set(plan.choice_of.values()) == {"big-slow@1"}


def test_present_choices_are_handed_out_first(one_ups_failed, solve):
    """3 × 800 + 1,000 = 3,400 tokens/s for 13,000 W: three change, and the first of the class stays as it is."""
    budgets = one_ups_failed.budgets
    roomier = replace(budgets, families=(replace(budgets.families[0], limit=np.array([[13_500]])),))
    _, _, plan = settled(replace(one_ups_failed, budgets=roomier, demand_tokens_per_s=np.array([3_400])), solve)
    assert list(plan.choice_of.values()) == ["big@1", "big-slow@1", "big-slow@1", "big-slow@1"]


@pytest.mark.parametrize("seed", range(12))
def test_raising_budgets_never_worsens_the_optimum(random_problem, solve, seed):
    """More watts and more air can only be left unused."""
    problem = random_problem(seed, stage=STAGES[seed % 2], instances=8, configurations=3)
    families = tuple(replace(family, limit=family.limit + 150) for family in problem.budgets.families)
    richer = replace(problem, budgets=replace(problem.budgets, families=families))
    first, plan = solved(problem.minimising_excess(), solve)
    assert solved(richer.minimising_excess(), solve)[0].objective <= first.objective + 1e-6
    capped = problem.with_allowed_excess(plan.excess)
    assert solved(richer.with_allowed_excess(plan.excess), solve)[0].objective <= (
        solved(capped, solve)[0].objective + 1e-6
    )


@pytest.mark.parametrize("seed", range(12))
def test_more_demand_is_never_cheaper(random_problem, solve, seed):
    """What serves more also serves less, at the same cost."""
    problem = random_problem(seed, stage=STAGES[seed % 2], instances=8, configurations=3)
    _, plan = solved(problem.minimising_excess(), solve)
    problem = problem.with_allowed_excess(plan.excess)
    busier = replace(problem, demand_tokens_per_s=problem.demand_tokens_per_s + 50)
    assert solved(busier, solve)[0].objective >= solved(problem, solve)[0].objective - 1e-6


@pytest.mark.parametrize("seed", range(12))
def test_names_and_order_change_nothing(random_problem, solve, seed):
    """The instances turned round and renamed give the same optimum."""
    problem = random_problem(seed, stage=STAGES[seed % 2], instances=8, configurations=3)
    turned = replace(
        problem,
        instances=tuple(f"X{i}" for i in range(8)),
        instance_server=problem.instance_server[::-1],
        instance_endpoint=problem.instance_endpoint[::-1],
        instance_hardware=problem.instance_hardware[::-1],
        current=problem.current[::-1],
        instance_tolerance_s=problem.instance_tolerance_s[::-1],
    )
    first, plan = solved(problem.minimising_excess(), solve)
    assert solved(turned.minimising_excess(), solve)[0].objective == pytest.approx(first.objective)
    costs = [solved(one.with_allowed_excess(plan.excess), solve)[0].objective for one in (problem, turned)]
    assert costs[0] == pytest.approx(costs[1])


def test_interchangeable_instances_share_columns(one_ups_failed):
    """Four alike instances are one class with counts, not four with binaries."""
    classes = reconfiguration_classes(one_ups_failed)
    assert classes.instances.size.tolist() == [4]
    assert [name for name in formulate(one_ups_failed, classes).column_names() if name.startswith("choose")] == [
        "choose[I1,big@1]",
        "choose[I1,big@0.5]",
        "choose[I1,big-slow@1]",
        "choose[I1,parked]",
    ]


def test_a_plan_with_a_choice_that_has_no_column_is_refused_by_name(one_ups_failed):
    """A reload is not eligible now; a start that uses one cannot be written down."""
    classes = reconfiguration_classes(one_ups_failed)
    with pytest.raises(InvalidInput, match="I1: 'small@1' is not among the choices kept for it"):
        encode(one_ups_failed, classes, one_ups_failed.plan([3, 0, 0, 0]))


@pytest.mark.parametrize("aim", list(Aim))
def test_no_instances_is_a_problem_too(room, solve, aim):
    """An idle room under a failure: 500 tokens/s go unserved at 10,000, and there is nothing to decide."""
    problem = replace(room(current=[], demand=500, limit_w=1000), aim=aim)
    result, plan = solved(problem, solve)
    assert plan.choice_of == {}
    assert result.objective == (5_000_000 if aim is Aim.COST else 0)
    assert check(problem, plan).ok


def test_without_demand_everything_rests(room, solve):
    """Settled and nothing asked: parking saves 4,000 W an instance for a change at 200 and weights at 2,000."""
    excess, cost, plan = settled(room(current=[0, 1], demand=0, limit_w=9_000, stage=Stage.SETTLED), solve)
    assert (excess, cost) == (0.0, 4_400.0)
    assert set(plan.choice_of.values()) == {"parked"}


def test_without_any_budget_nothing_but_parking_is_possible(room, solve):
    """0 W: two instances parked, 1,000 tokens/s unserved, no excess."""
    excess, cost, _ = settled(room(current=[0, 0], demand=1000, limit_w=0), solve)
    assert (excess, cost) == (0.0, 10_000_000 + 4_400)


def test_what_is_parked_stays_parked_without_demand(room, solve):
    """The cheapest plan is the present one, and free."""
    problem = room(current=[4, 4, 4], demand=0, limit_w=9_000, stage=Stage.SETTLED)
    assert settled(problem, solve)[:2] == (0.0, 0.0)


def test_enumeration_is_complete(one_ups_failed, all_plans):
    """4 eligible choices for each of 4 instances, the reload being refused: 4⁴ = 256."""
    assert len(all_plans(one_ups_failed)) == 4**4
