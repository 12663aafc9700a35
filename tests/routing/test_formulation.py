from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.mip import highs, pyomo_solver
from tapas_opt.routing.check import check
from tapas_opt.routing.formulation import decode, encode, formulate
from tapas_opt.routing.greedy import greedy
from tapas_opt.routing.problem import routing_classes
from tapas_opt.routing.reference import reference

pytestmark = pytest.mark.filterwarnings("error")


def optimum(problem):
    """Plan, objective and the LP's own objective."""
    classes = routing_classes(problem)
    arrays = formulate(problem, classes)
    solved = highs.solve(arrays, deadline_s=None, threads=1)
    plan = decode(problem, classes, solved.values)
    return plan, check(problem, plan), solved.objective


def near(value):
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(30))
def test_arrays_and_pyomo_are_the_same_model(random_problem, seed):
    """Two witnesses written apart, compared coefficient by coefficient."""
    problem = random_problem(seed)
    classes = routing_classes(problem)
    assert pyomo_solver.differences(formulate(problem, classes), reference(problem, classes)) == []


@pytest.mark.parametrize("seed", range(4))
def test_pyomo_finds_the_same_optimum(random_problem, seed):
    """The textbook form solves to the same cost as the arrays do."""
    problem = random_problem(seed)
    solved = pyomo_solver.solve(reference(problem, routing_classes(problem)), deadline_s=30.0)
    assert solved.objective == pytest.approx(optimum(problem)[2], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(60))
def test_the_optimum_decodes_to_a_plan_that_the_checker_accepts_at_the_same_cost(random_problem, seed):
    """Aggregation, decoding and objective are right if named instances give the same sum."""
    _, report, objective = optimum(random_problem(seed))
    assert report.violations == ()
    assert report.objective == near(objective)


@pytest.mark.parametrize("seed", range(60))
def test_greedy_encodes_to_a_feasible_solution_at_the_same_cost_above_the_optimum(random_problem, seed):
    """A bound is one only if no plan lies below it; a start is one only if the arrays accept it."""
    problem = random_problem(seed)
    classes = routing_classes(problem)
    arrays, plan = formulate(problem, classes), greedy(problem)
    values = encode(problem, classes, plan)
    assert arrays.worst_violation(values) < 1e-9
    assert arrays.objective(values) == near(check(problem, plan).objective)
    assert optimum(problem)[2] <= arrays.objective(values) + 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_a_plan_that_treats_members_unequally_encodes_at_its_own_cost(random_problem, seed):
    """All of each class on the first instance of its endpoint, as far as that is open: convex costs bite."""
    problem = random_problem(seed)
    classes = routing_classes(problem)
    plan = greedy(problem)
    first = {q: next(iter(given)) for q, given in plan.shares.items() if given}
    lopsided = replace(
        plan,
        shares={q: {first[q]: 0.01} if q in first else {} for q in plan.shares},
        unserved_frac={q: 0.99 if q in first else 1.0 for q in plan.shares},
    )
    values = encode(problem, classes, lopsided)
    assert formulate(problem, classes).objective(values) == near(check(problem, lopsided).objective)


def test_cheap_segments_are_used_first(two_rows):
    """1,500 tokens/s are three first segments of 500: latency 3 · 10, energy 2 · 3 · 0.5 kW, nothing near a limit."""
    plan, report, _ = optimum(two_rows)
    assert plan.shares["conv/short"] == pytest.approx({"A": 1 / 3, "B": 1 / 3, "C": 1 / 3})
    assert report.terms == pytest.approx({"unserved": 0, "latency": 30, "energy": 3, "peak_utilisation": 0})


def test_a_full_row_sends_its_load_to_the_other(two_rows, with_limit):
    """R1 has 500 W left, half of what A and B want: C takes two segments, and A and B share one (10 + 10 + 40)."""
    tight = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 1_500)
    free = replace(tight, prices=replace(tight.prices, peak_permille={}))
    plan, report, _ = optimum(free)
    assert plan.shares["conv/short"] == pytest.approx({"A": 1 / 6, "B": 1 / 6, "C": 2 / 3})
    assert report.terms["latency"] == pytest.approx(60)


def test_load_keeps_away_from_a_row_near_its_limit(two_rows, with_limit):
    """With R1 at 2,000 W the thirds would fill it: 2,000 of 2,000 W are 150 ‰ above 850 ‰, which cost 1,500.

    850 ‰ are 1,700 W: 700 W in R1 are 700 tokens/s, and C takes 800 (10 + 40 · 3/5 = 34 beside 14).
    """
    near_limit = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 2_000)
    plan, report, _ = optimum(near_limit)
    assert plan.shares["conv/short"] == pytest.approx({"A": 0.7 / 3, "B": 0.7 / 3, "C": 1.6 / 3})
    assert report.terms["peak_utilisation"] == pytest.approx(0)
    assert report.terms["latency"] == pytest.approx(14 + 34)


def test_an_instance_near_its_temperature_ceiling_takes_what_its_headroom_allows(two_rows):
    """50 W of headroom are half a segment: 250 of the 1,500 tokens/s."""
    hot = replace(two_rows, gpu_headroom_w=np.array([50, 1_000, 1_000]))
    plan, _, _ = optimum(hot)
    assert plan.shares["conv/short"]["A"] == pytest.approx(250 / 1_500)


def test_demand_beyond_all_goodput_is_unserved_and_priced(two_rows):
    """Three instances carry 3,000 of 4,000 tokens/s; the rest costs 10 · 1,000."""
    plan, report, _ = optimum(replace(two_rows, class_tokens_per_s=np.array([4_000])))
    assert plan.unserved_frac["conv/short"] == pytest.approx(0.25)
    assert report.terms["unserved"] == pytest.approx(10_000)


def test_each_class_is_spread_alike_over_the_instances_of_its_endpoint(conv_and_code):
    """A vertex of the LP would give each class few instances; a wrong forecast of the mix would then overload them."""
    plan, _, _ = optimum(conv_and_code)
    assert plan.shares["conv/short"] == pytest.approx(plan.shares["conv/long"])
    assert set(plan.shares["conv/short"]) == {"A", "B"}
    assert plan.shares["code/any"] == pytest.approx({"C": 1.0})


EDGES = {
    "no demand": lambda p: replace(p, class_tokens_per_s=p.class_tokens_per_s * 0),
    "all draining": lambda p: replace(p, instance_goodput=p.instance_goodput * 0),
    "all too hot": lambda p: replace(p, gpu_headroom_w=p.gpu_headroom_w * 0 - 1),
    "no classes": lambda p: replace(
        p, classes=(), class_endpoint=p.class_endpoint[:0], class_tokens_per_s=p.class_tokens_per_s[:0],
        class_work_permille=p.class_work_permille[:0],
    ),
    "no instances": lambda p: replace(
        p, instances=(), **{name: getattr(p, name)[:0] for name in PER_INSTANCE},
    ),
    "no budgets": lambda p: replace(
        p, budgets=replace(p.budgets, families=tuple(
            replace(f, limit=f.limit * 0, base=f.base * 0) for f in p.budgets.families
        ))
    ),
    "no budget families": lambda p: replace(p, budgets=replace(p.budgets, families=())),
}  # fmt: skip
PER_INSTANCE = (
    "instance_server", "instance_endpoint", "instance_goodput", "latency_cost", "power_w", "airflow_cfm",
    "gpu_power_w", "gpu_headroom_w",
)  # fmt: skip
SERVES_NOTHING = {"all draining", "all too hot", "no instances", "no budgets"}


@pytest.mark.parametrize("edge", EDGES)
def test_problems_at_the_edge_have_plans(conv_and_code, edge):
    """Routing outlives everything: with nothing to do or nobody to do it there still is a plan that says so."""
    problem = EDGES[edge](conv_and_code)
    classes = routing_classes(problem)
    plan, report, objective = optimum(problem)
    assert report.ok
    assert report.objective == near(objective)
    assert check(problem, greedy(problem)).ok
    assert pyomo_solver.differences(formulate(problem, classes), reference(problem, classes)) == []
    if edge in SERVES_NOTHING:
        assert set(plan.unserved_frac.values()) == {1.0}
        assert set(greedy(problem).unserved_frac.values()) == {1.0}
    else:
        assert set(plan.unserved_frac.values()) <= {0.0}


@pytest.mark.parametrize("seed", range(20))
def test_raising_a_budget_never_worsens_the_optimum(random_problem, seed):
    """Every plan of the tighter problem is one of the looser; priced families are left alone, as they see the limit."""
    problem = replace(random_problem(seed), prices=replace(random_problem(seed).prices, peak_permille={}))
    rng = np.random.default_rng(seed)
    looser = tuple(replace(f, limit=f.limit + rng.integers(0, 5_000, f.limit.shape)) for f in problem.budgets.families)
    assert optimum(replace(problem, budgets=replace(problem.budgets, families=looser)))[2] <= optimum(problem)[2] + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_more_headroom_never_worsens_the_optimum(random_problem, seed):
    """A cooler day widens every ceiling."""
    problem = random_problem(seed)
    cooler = replace(problem, gpu_headroom_w=problem.gpu_headroom_w + 50)
    assert optimum(cooler)[2] <= optimum(problem)[2] + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_more_goodput_at_the_same_cost_never_worsens_the_optimum(random_problem, seed):
    """A segment that carries more for the same watts does the old work with fewer; nobody opens or closes."""
    problem = random_problem(seed)
    faster = replace(problem, instance_goodput=problem.instance_goodput * 5 // 4)
    assert optimum(faster)[2] <= optimum(problem)[2] + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_more_demand_is_never_cheaper(random_problem, seed):
    """Every plan for more demand, with its loads scaled down, is one for less."""
    problem = random_problem(seed)
    more = replace(problem, class_tokens_per_s=problem.class_tokens_per_s * 3 // 2 + 10)
    assert optimum(more)[2] >= optimum(problem)[2] - 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_renaming_and_reordering_change_nothing(random_problem, seed):
    """The order of a file must not decide what a plan costs."""
    problem = random_problem(seed)
    order = np.random.default_rng(seed).permutation(len(problem.instances))
    turned = replace(
        problem,
        instances=tuple(f"renamed{i}" for i in order),
        **{name: getattr(problem, name)[order] for name in PER_INSTANCE},
    )
    assert optimum(turned)[2] == pytest.approx(optimum(problem)[2], rel=1e-9, abs=1e-6)


def test_every_constraint_of_the_model_is_a_name_of_the_language(two_rows):
    """The same string in formulation, reference, checker, docs and API."""
    arrays = formulate(two_rows, routing_classes(two_rows))
    assert {block.name for block in arrays.row_blocks} <= {constraint.value for constraint in Constraint}
