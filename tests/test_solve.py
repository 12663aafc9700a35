"""One door to every solver: greedy first, a solver's answer when it is better, and always the checker's word.

Three tiny problems, one of each kind, every one solved by every solver that can answer it.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt import solve as door
from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Constraint, Mode, Status
from tapas_opt.errors import InvalidInput, NotFound, PlanRefused, WorkerFailed
from tapas_opt.mip import highs, process
from tapas_opt.mip.result import MipResult, MipStatus
from tapas_opt.mip.worker import Worker, Workers
from tapas_opt.placement.problem import PlacementPlan, PlacementPrices, PlacementProblem, SpreadGroup
from tapas_opt.reconfiguration.problem import Choices, ReconfigurationPrices, ReconfigurationProblem, Stage
from tapas_opt.routing.problem import RoutingPrices, RoutingProblem
from tapas_opt.solve import KINDS, SOLVERS, WORKER_OF, Found, solve
from tapas_opt.solve.exact import News
from tapas_opt.solve.verdict import with_bound

EXACT = {
    "placement": ("decomposition", "highs", "cpsat", "scip", "pyomo-highs"),
    "routing": ("highs", "scip", "pyomo-highs"),
}
EXACT["reconfiguration"] = EXACT["placement"]

GENEROUS_S = 30.0
"""A deadline that no tiny problem comes near, however slow the machine."""


def budgets(constraint: Constraint, limits: dict[str, tuple[int, int]], member: list[int]) -> BudgetNumbers:
    """One family in one slot: ``{domain: (limit, base)}`` and the domain of each server."""
    limit, base = np.array(list(limits.values())).T
    places = np.array(member)[:, None]
    family = BudgetFamily(
        constraint, "W", tuple(limits), places, np.full_like(places, 1000), limit[:, None], base[:, None]
    )
    return BudgetNumbers(("now",), (family,))


def two_rows_that_feed_unequally() -> PlacementProblem:
    """V1 to V3 draw 6, 4 and 4 kW; row R1 (S1, S2) feeds 8 kW and R2 (S3, S4) 6 kW. A VM is worth 20,000.

    Best is 4 + 4 in R1 and 6 in R2: no VM is left. Whoever puts the 6 kW into R1 first leaves one of 4 kW.
    """
    ones = np.ones(3, dtype=np.int64)
    return PlacementProblem(
        vms=("V1", "V2", "V3"),
        servers=("S1", "S2", "S3", "S4"),
        vm_type=np.array([0, 1, 1]),
        vm_priority=ones,
        vm_group=-ones,
        type_power_w=np.array([[[6_000]], [[4_000]]]),
        type_airflow_cfm=np.zeros((2, 1, 1), dtype=np.int64),
        type_gpu_power_w=np.full((2, 1), 400),
        type_fits=np.ones((2, 1), dtype=bool),
        server_hardware=np.zeros(4, dtype=np.int64),
        server_available=np.ones(4, dtype=bool),
        server_ceiling_w=np.array([450, 450, 440, 440]),
        groups=(),
        budgets=budgets(Constraint.ROW_POWER_BUDGET, {"R1": (8_000, 0), "R2": (6_000, 0)}, [0, 0, 1, 1]),
        prices=PlacementPrices(unplaced_vm=20_000, peak_permille={}, lost_slack_w=5, spare_ceiling_10w=0, comfort_w=50),
    )


def two_instances() -> RoutingProblem:
    """A and B carry 1,000 tokens/s each, 1,500 are asked; the upper half of A costs 40, of B 60; R1 feeds both.

    Cheapest is both lower halves (10 + 10) and the upper half of A (40): 60, and nothing is left.
    """
    return RoutingProblem(
        instances=("A", "B"),
        servers=("S1", "S2"),
        instance_server=np.array([0, 1]),
        instance_endpoint=np.array([0, 0]),
        endpoints=("conv",),
        classes=("conv/short",),
        class_endpoint=np.array([0]),
        class_tokens_per_s=np.array([1_500]),
        class_work_permille=np.array([1_000]),
        instance_goodput=np.array([1_000, 1_000]),
        breakpoints_permille=np.array([0, 500, 1_000]),
        latency_cost=np.array([[10, 40], [10, 60]]),
        power_w=np.array([[500, 500]] * 2),
        airflow_cfm=np.zeros((2, 2), dtype=np.int64),
        gpu_power_w=np.zeros((2, 2), dtype=np.int64),
        gpu_headroom_w=np.array([100, 100]),
        budgets=budgets(Constraint.ROW_POWER_BUDGET, {"R1": (10_000, 0)}, [0, 0]),
        prices=RoutingPrices(unserved_tokens_per_s=10, energy_kw=0, peak_permille={}),
    )


def one_ups_left(base_w: int = 0) -> ReconfigurationProblem:
    """Four instances at 4,000 W on a UPS of 12,000 W; a locked clock gives 800 of 1,000 tokens/s for 3,000 W.

    3,200 tokens/s are asked: four locked clocks are 12,000 W and cost that and 4 × 200 for the changes.
    """
    choices = Choices(
        names=("fast@1", "slow@1", "parked"),
        configuration=("fast", "slow", None),
        level=np.array([1.0, 1.0, 0.0]),
        runs_on=np.ones((1, 3), dtype=bool),
        goodput_tokens_per_s=np.array([[1_000, 800, 0]]),
        power_w=np.array([[4_000, 3_000, 0]]),
        airflow_cfm=np.zeros((1, 3), dtype=np.int64),
        gpu_power_w=np.array([[400, 300, 60]]),
        quality_loss_permille=np.zeros(3, dtype=np.int64),
    )
    reload = np.array([[False, False, False], [False, False, False], [True, True, False]])
    return ReconfigurationProblem(
        stage=Stage.NOW,
        instances=("I1", "I2", "I3", "I4"),
        servers=("S1", "S2", "S3", "S4"),
        endpoints=("chat",),
        instance_server=np.arange(4),
        instance_endpoint=np.zeros(4, dtype=np.int64),
        instance_hardware=np.zeros(4, dtype=np.int64),
        current=np.zeros(4, dtype=np.int64),
        choices=choices,
        allowed=np.ones((1, 3), dtype=bool),
        delay_s=np.where(reload, 120.0, 1.0),
        reload=reload,
        instance_tolerance_s=np.full(4, 10.0),
        server_ceiling_w=np.full(4, 500),
        demand_tokens_per_s=np.array([3_200]),
        budgets=budgets(Constraint.UPS_POWER_CAPACITY, {"U1": (12_000, base_w)}, [0] * 4),
        prices=ReconfigurationPrices(change=200, reload=2_000),
    )


PROBLEMS = {"placement": two_rows_that_feed_unequally, "routing": two_instances, "reconfiguration": one_ups_left}
OPTIMUM = {"placement": 10.0, "routing": 60.0, "reconfiguration": 12_800.0}
"""Of placement: V1 in R2, where it loses 10 W of its comfort of 50 W below 440 W: a fifth of 5 each."""

EVERY = [(kind, solver) for kind in PROBLEMS for solver in EXACT[kind]]


@pytest.fixture(params=EVERY, ids=[f"{kind}-{solver}" for kind, solver in EVERY])
def case(request):
    """Each kind of problem with each solver that answers it exactly, and the optimum."""
    kind, solver = request.param
    return PROBLEMS[kind](), solver, OPTIMUM[kind]


@pytest.fixture(params=PROBLEMS)
def kind(request):
    return request.param


def judged(problem, result):
    """The report of the checker alone on a result's plan."""
    return KINDS[type(problem)].check.check(problem, result.plan)


def test_tables_of_solvers_agree():
    """A solver that is in one table and not in the other would fail on its first day."""
    assert {solver for kind in KINDS.values() for solver in kind.exact_solvers} == set(WORKER_OF)
    assert set(SOLVERS) == {"auto", "greedy", *WORKER_OF}
    solvers_of = {kind.__name__.removesuffix("Problem").lower(): row.exact_solvers for kind, row in KINDS.items()}
    assert solvers_of == EXACT | {"horizon": EXACT["reconfiguration"]}


def test_every_solver_finds_the_optimum_and_proves_it(case):
    """Worked out by hand beside each problem."""
    problem, solver, optimum = case
    result = solve(problem, solver=solver, deadline_s=GENEROUS_S)
    assert result.objective == pytest.approx(optimum)
    assert (result.status, result.mode, result.solver, result.fallback) == (Status.OPTIMAL, Mode.SOLVER, solver, "")
    assert result.bound == pytest.approx(optimum, rel=2e-3)
    assert result.gap_frac <= 1e-3
    assert min(result.build_s, result.solve_s, result.check_s) > 0


def test_greedy_answers_every_kind_and_claims_no_more_than_it_knows(kind):
    """A lawful plan at once, and 0 as a bound that costs nothing where it has no better one."""
    problem = PROBLEMS[kind]()
    result = solve(problem, solver="greedy")
    assert judged(problem, result).ok
    assert (result.mode, result.solver, result.fallback) == (Mode.GREEDY, "greedy", "")
    assert result.bound <= OPTIMUM[kind] * (1 + 1e-9)
    assert (result.status is Status.OPTIMAL) == (result.gap_frac <= 1e-3)
    assert result.objective >= OPTIMUM[kind]


def test_a_free_greedy_plan_is_optimal():
    """Every term is ≥ 0, so nothing is cheaper than nothing."""
    problem = replace(two_instances(), class_tokens_per_s=np.array([0]))
    result = solve(problem, solver="greedy")
    assert (result.objective, result.status, result.gap_frac) == (0.0, Status.OPTIMAL, 0.0)


def test_auto_is_greedy_and_then_the_first_exact_solver_of_its_kind():
    """Greedy leaves a VM, and knows no bound."""
    assert solve(two_rows_that_feed_unequally(), deadline_s=GENEROUS_S).solver == EXACT["placement"][0]


@pytest.mark.parametrize("kind", ["routing", "reconfiguration"])
def test_auto_asks_no_solver_where_greedy_has_proven_its_own_answer(kind):
    """Prices that greedy goes by are a bound too; whoever names a solver gets it all the same."""
    result = solve(PROBLEMS[kind](), deadline_s=GENEROUS_S)
    assert (result.solver, result.status, result.fallback) == ("greedy", Status.OPTIMAL, "")
    assert result.objective == pytest.approx(OPTIMUM[kind], rel=1e-3)


def test_a_solver_replaces_a_greedy_answer_that_is_worse():
    """Greedy starts with the 6 kW and leaves a VM; the solver places all three."""
    problem = two_rows_that_feed_unequally()
    first, best = (solve(problem, solver=solver, deadline_s=GENEROUS_S) for solver in ("greedy", "highs"))
    assert first.objective >= best.objective
    assert best.plan.unplaced == ()


def test_why_not_and_binding_come_with_every_answer():
    """U1 is full to the watt, and 3,200 of 3,300 tokens/s are all it can carry."""
    problem = replace(one_ups_left(), demand_tokens_per_s=np.array([3_300]))
    for solver in ("greedy", "highs"):
        result = solve(problem, solver=solver, deadline_s=GENEROUS_S)
        assert Constraint.UPS_POWER_CAPACITY in {item.constraint for item in result.binding}
        assert Constraint.UPS_POWER_CAPACITY in {item.constraint for item in result.why_not}


def test_an_unknown_solver_is_refused_with_those_that_can_answer(kind):
    """CP-SAT counts in whole numbers and routing does not."""
    for solver in ("gurobi", "pyomo-", *({"cpsat"} - set(EXACT[kind]))):
        with pytest.raises(InvalidInput, match=f"must be one of auto, greedy, {', '.join(EXACT[kind])}"):
            solve(PROBLEMS[kind](), solver=solver)


def test_an_unknown_problem_is_refused_by_its_type():
    """A plan handed in by mistake."""
    with pytest.raises(InvalidInput, match="PlacementPlan is none of the three kinds"):
        solve(PlacementPlan({}, ()))


def test_a_broken_greedy_path_is_a_defect_and_said_so(monkeypatch):
    """12 kW on a row of 8 kW must never reach a caller."""
    unlawful = PlacementPlan({"V1": "S1", "V2": "S2"}, ("V3",))
    monkeypatch.setitem(
        KINDS, PlacementProblem, replace(KINDS[PlacementProblem], bounded=lambda problem: (unlawful, 0.0))
    )
    with pytest.raises(PlanRefused, match=r"row_power_budget at R1: 2,000 W too much"):
        solve(two_rows_that_feed_unequally(), solver="highs")


# What was known when.


def test_the_trace_runs_from_the_first_verified_plan_to_the_last(case):
    """What solvers tell on their way lies between, plans fall and bounds rise; a free plan needs no second moment."""
    problem, solver, _ = case
    result = solve(problem, solver=solver, deadline_s=GENEROUS_S)
    moments = [(m.at_s, round(m.objective, 6), round(m.bound, 6)) for m in result.trace]
    times, objectives, bounds = zip(*moments, strict=True)
    assert list(times) == sorted(times)
    assert list(objectives) == sorted(objectives, reverse=True)
    assert list(bounds) == sorted(bounds)
    assert (objectives[-1], bounds[-1]) == (round(result.objective, 6), round(result.bound, 6))
    assert result.first_feasible_s == times[0] > 0
    assert times[0] <= result.within_s(1e-3) <= times[-1]
    assert result.within_s(-1.0) == np.inf


def test_claims_count_no_more_than_what_became_of_them():
    """A solver that told of a plan of 1 and a bound of 9 leaves a verified plan of 10 that nothing is proven of."""
    problem = two_rows_that_feed_unequally()
    best = solve(problem, solver="highs", deadline_s=GENEROUS_S).plan
    first = solve(problem, solver="greedy")
    news = [News(1.0, 9.0, pickle.dumps(best)), News(1.0, 1e9, None)]
    result = solve(problem, solver="highs", workers={"highs": Handing(WorkerFailed("it ended"), *news)})
    assert [(m.objective, m.bound) for m in result.trace] == [(first.objective, 0.0), (10.0, 0.0), (10.0, 0.0)]
    assert (result.objective, result.bound, result.status) == (10.0, 0.0, Status.FEASIBLE)


# What a solver may do to us.


FOUND = "tapas_opt.solve.exact"


class Diverted:
    """Takes the place of a solver's worker: a real process that does something else instead."""

    def __init__(self, worker, *instead):
        self.worker = worker
        self.instead = instead

    def run(self, function, *args, deadline_s, grace_s, on_news, cancel):
        tells = on_news if isinstance(self.instead[0], Over) else None
        return self.worker.run(*self.instead, deadline_s=deadline_s, grace_s=grace_s, on_news=tells, cancel=cancel)


class Over:
    """A lambda by its source, which a process over there can read; its ``tell`` sends news."""

    def __init__(self, source):
        given = f"sleep=__import__('time').sleep, found=__import__({FOUND!r}, fromlist=['_'])"
        self.source = f"lambda tell, {given}: {source}"

    def __reduce__(self):
        return eval, (self.source,)


class Handing:
    """Takes the place of a solver's worker: tells what it was given, and hands over or raises what it was given."""

    def __init__(self, found, *news):
        self.found = found
        self.news = news

    def run(self, function, *args, deadline_s, grace_s, on_news, cancel):
        for news in self.news:
            on_news(news)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture(scope="module")
def worker():
    with Worker(memory_bytes=2 * 2**30) as shared:
        assert shared.wait_until_ready(60.0)
        yield shared


def assert_greedy_stands(problem, result, why):
    first = solve(problem, solver="greedy")
    assert (result.plan, result.objective) == (first.plan, first.objective)
    assert (result.mode, result.solver) == (first.mode, "greedy")
    assert why in result.fallback
    assert result.bound <= result.objective


def test_greedy_stands_when_the_solver_hangs(kind, worker):
    """Its process is ended at the deadline, and the caller waits no longer."""
    assert worker.wait_until_ready(60.0)
    problem, began = PROBLEMS[kind](), time.perf_counter()
    result = solve(problem, solver="highs", deadline_s=0.5, workers={"highs": Diverted(worker, time.sleep, 60.0)})
    assert time.perf_counter() - began < 20.0
    assert_greedy_stands(problem, result, "highs: no answer within")


def test_greedy_stands_when_the_solver_crashes(kind, worker):
    """A segmentation fault in a library must not be ours."""
    problem = PROBLEMS[kind]()
    workers = {"highs": Diverted(worker, os._exit, 3)}
    result = solve(problem, solver="highs", deadline_s=GENEROUS_S, workers=workers)
    assert_greedy_stands(problem, result, "highs: ")


@pytest.mark.parametrize(
    ("function", "argument", "said"),
    [
        (sum, range(10**12), "no answer within"),
        (signal.raise_signal, signal.SIGSEGV, "SIGSEGV"),
        (signal.raise_signal, signal.SIGABRT, "SIGABRT"),
        (exec, "held = []\nwhile True: held.append(bytearray(10**8))", "MemoryError"),
        (bytes, 10**7, "more than 1,000,000 bytes"),
        (str, "the best plan there is", "answered nonsense"),
    ],
    ids=["hangs in C", "segfaults", "aborts", "leaks", "says too much", "talks nonsense"],
)
def test_greedy_stands_whatever_the_process_does(worker, monkeypatch, function, argument, said):
    """And the next caller is served: the worker has another process."""
    monkeypatch.setattr(process, "MESSAGE_BYTES", 10**6)
    problem = two_rows_that_feed_unequally()
    assert worker.wait_until_ready(60.0)
    deadline_s = 0.5 if function is sum else GENEROUS_S
    workers = {"highs": Diverted(worker, function, argument)}
    assert_greedy_stands(problem, solve(problem, solver="highs", deadline_s=deadline_s, workers=workers), said)
    assert solve(problem, solver="highs", deadline_s=GENEROUS_S, workers={"highs": worker}).solver == "highs"


@pytest.mark.parametrize("ending", ["sleep(60)", "__import__('os').abort()"], ids=["hangs", "crashes"])
def test_what_a_solver_told_before_it_was_ended_stands(worker, ending):
    """It overruns its deadline, or falls over, after it has found the best plan and proven half of it."""
    problem = two_rows_that_feed_unequally()
    best = solve(problem, solver="highs", deadline_s=GENEROUS_S)
    assert worker.wait_until_ready(60.0)
    told = f"tell(found.News(10.0, 5.0, {pickle.dumps(best.plan)!r}))"
    workers = {"highs": Diverted(worker, Over(f"({told}, {ending})"))}
    deadline_s = 5.0 if "sleep" in ending else GENEROUS_S
    result = solve(problem, solver="highs", deadline_s=deadline_s, workers=workers)
    assert (result.plan, result.solver, result.mode, result.fallback) == (best.plan, "highs", Mode.SOLVER, "")
    assert (result.bound, result.status) == (5.0, Status.FEASIBLE)
    assert judged(problem, result).ok


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (pickle.dumps(PlacementPlan({"V1": "S1", "V2": "S2"}, ("V3",))), "row_power_budget"),
        (pickle.dumps("a plan"), "it is a str"),
        (b"spoilt", "ended"),
    ],
    ids=["unlawful", "of another kind", "unreadable"],
)
def test_what_a_solver_told_is_judged_as_well(plan, said):
    """Being cut off makes nobody honest."""
    problem = two_rows_that_feed_unequally()
    workers = {"highs": Handing(WorkerFailed("it ended"), News(10.0, 5.0, plan))}
    result = solve(problem, solver="highs", deadline_s=GENEROUS_S, workers=workers)
    assert_greedy_stands(problem, result, said)
    assert "it ended" in result.fallback


@pytest.mark.parametrize(
    ("plan", "bound", "said"),
    [
        (PlacementPlan({"V1": "S1", "V9": "S2"}, ("V2", "V3")), 0.0, "refused"),
        (PlacementPlan({"V1": 3, "V2": None}, ()), 0.0, "refused"),
        (PlacementPlan(None, ()), 0.0, "cannot be read"),
        ({"V1": "S1"}, 0.0, "it is a dict"),
        (None, float("nan"), "answered nonsense"),
        (None, "high", "answered nonsense"),
        (None, None, "answered nonsense"),
    ],
    ids=["of others", "of numbers", "of nothing", "a dict", "bound nan", "bound a word", "bound none"],
)
def test_greedy_stands_against_every_lie(plan, bound, said):
    """Nothing that a process sends is taken on trust, not even that it is a number."""
    problem = two_rows_that_feed_unequally()
    workers = {"highs": Handing(Found(plan, bound, MipStatus.OPTIMAL, 0.1, 0.1))}
    result = solve(problem, solver="highs", deadline_s=GENEROUS_S, workers=workers)
    assert_greedy_stands(problem, result, said)
    assert (result.bound, result.status) == (0.0, Status.FEASIBLE)


@pytest.mark.parametrize("excess", [float("nan"), float("inf"), -1_000.0])
def test_excess_that_is_no_amount_is_refused(excess):
    """NaN is neither above nor below any limit, and an infinite excess would excuse everything."""
    problem = one_ups_left()
    plan = replace(problem.present(), excess={(Constraint.UPS_POWER_CAPACITY, "U1"): excess})
    workers = {"highs": Handing(Found(plan, 0.0, MipStatus.OPTIMAL, 0.1, 0.1))}
    result = solve(problem, solver="highs", deadline_s=GENEROUS_S, workers=workers)
    assert_greedy_stands(problem, result, "its excess is no amount")


@pytest.mark.parametrize("values", [np.full(99, np.nan), np.ones(3), np.ones((2, 2))], ids=["nan", "short", "square"])
def test_values_that_are_no_solution_are_told_as_a_failure(monkeypatch, kind, values):
    """Decoded, they would be anything."""
    lie = MipResult(MipStatus.OPTIMAL, values, 0.0, 0.0, None, 0.1)
    monkeypatch.setattr(highs, "solve", lambda arrays, **limits: lie)
    problem = PROBLEMS[kind]()
    result = solve(problem, solver="highs", deadline_s=GENEROUS_S)
    assert_greedy_stands(problem, result, "did not answer with a number for each")


def test_greedy_stands_when_the_solver_finds_nothing(kind):
    """Its bound counts all the same where it is the better one: greedy is known to be at most so far from the best."""
    problem = PROBLEMS[kind]()
    found = Found(None, 0.9 * OPTIMUM[kind], MipStatus.NO_SOLUTION, 0.1, 0.2)
    result = solve(problem, solver="highs", deadline_s=GENEROUS_S, workers={"highs": Handing(found)})
    assert_greedy_stands(problem, result, "highs found no plan")
    assert result.bound == max(0.9 * OPTIMUM[kind], solve(problem, solver="greedy").bound)
    assert result.gap_frac == pytest.approx(1 - result.bound / result.objective)


def test_greedy_stands_when_the_solver_lies():
    """A plan that claims to be optimal and puts 12 kW on a row of 8 kW: the checker has the last word."""
    problem = two_rows_that_feed_unequally()
    lie = PlacementPlan({"V1": "S1", "V2": "S2", "V3": "S3"}, ())
    result = solve(problem, workers={"highs": Handing(Found(lie, 0.0, MipStatus.OPTIMAL, 0.1, 0.1))})
    assert_greedy_stands(problem, result, "decomposition's plan was refused: row_power_budget at R1: 2,000 W too much")


def test_greedy_stands_when_the_solver_is_worse():
    """Nothing placed is lawful, and dearer."""
    problem = two_rows_that_feed_unequally()
    empty = PlacementPlan({}, problem.vms)
    result = solve(problem, workers={"highs": Handing(Found(empty, 0.0, MipStatus.FEASIBLE, 0.1, 0.1))})
    assert_greedy_stands(problem, result, "decomposition found nothing better in time")


@pytest.mark.parametrize("bound", [1e9, np.inf])
def test_a_bound_above_a_verified_plan_proves_nothing(bound):
    """Whoever calls a problem infeasible, or dearer than a plan in hand, has not made that plan the best there is."""
    problem = two_rows_that_feed_unequally()
    result = solve(problem, workers={"highs": Handing(Found(None, bound, MipStatus.INFEASIBLE, 0.1, 0.1))})
    assert_greedy_stands(problem, result, "decomposition found no plan (INFEASIBLE)")
    assert (result.bound, result.gap_frac, result.status) == (0.0, 1.0, Status.FEASIBLE)


def test_a_bound_a_breath_above_the_objective_is_the_objective():
    """60.00001 for a plan of 60 is how solvers round, and no contradiction."""
    problem = two_instances()
    best = solve(problem, solver="highs", deadline_s=GENEROUS_S).plan
    result = solve(problem, workers={"highs": Handing(Found(best, 60.00001, MipStatus.OPTIMAL, 0.1, 0.1))})
    assert (result.bound, result.status) == (result.objective, Status.OPTIMAL)


@pytest.mark.parametrize(
    ("gap_frac", "status"), [(0.3, Status.OPTIMAL), (0.25, Status.OPTIMAL), (0.2, Status.FEASIBLE)]
)
def test_an_answer_is_optimal_within_the_gap_asked_for(gap_frac, status):
    """60 with a bound of 45 is a quarter away from it; greedy alone would prove 60."""
    problem = two_instances()
    best = solve(problem, solver="highs", deadline_s=GENEROUS_S)
    result = with_bound(replace(best, bound=0.0), 45.0, gap_frac, excess_proven=True)
    assert result.gap_frac == pytest.approx(0.25)
    assert result.status is status


def test_real_workers_answer_as_this_process_does(kind):
    """What is solved is the same, only somewhere else."""
    with Workers() as workers:
        result = solve(PROBLEMS[kind](), solver="highs", deadline_s=GENEROUS_S, workers=workers)
    assert result.objective == pytest.approx(OPTIMUM[kind])
    assert result.fallback == ""


def test_a_deadline_of_nothing_is_answered_all_the_same(case):
    """An answer that exists beats one that is better and late."""
    problem, solver, _ = case
    began = time.perf_counter()
    result = solve(problem, solver=solver, deadline_s=0.0)
    assert judged(problem, result).ok
    assert time.perf_counter() - began < 20.0


class Untouched:
    """A worker that must not be asked."""

    def run(self, *args, **limits):
        raise AssertionError("asked")


@pytest.mark.parametrize("deadline_s", [0.0, 0.01])
def test_a_tight_deadline_pays_for_no_round_trip(case, deadline_s):
    """A solver that cannot be back in time is not even asked: its caller would only wait longer."""
    problem, solver, _ = case
    workers = dict.fromkeys(WORKER_OF.values(), Untouched())
    result = solve(problem, solver=solver, deadline_s=deadline_s, workers=workers)
    assert_greedy_stands(problem, result, f"{solver} was not asked")


def test_a_call_that_was_cancelled_before_it_came_asks_nobody(case):
    problem, solver, _ = case
    cancel = threading.Event()
    cancel.set()
    workers = dict.fromkeys(WORKER_OF.values(), Untouched())
    result = solve(problem, solver=solver, deadline_s=GENEROUS_S, workers=workers, cancel=cancel)
    assert_greedy_stands(problem, result, "was cancelled")


class StoppedOnceTold(Diverted):
    """Somebody presses stop as soon as there is news."""

    def run(self, function, *args, deadline_s, grace_s, on_news, cancel):
        def heard(news):
            on_news(news)
            cancel.set()

        return super().run(function, *args, deadline_s=deadline_s, grace_s=grace_s, on_news=heard, cancel=cancel)


def test_what_was_found_until_the_cancel_stands(worker):
    """The best plan was told of; then somebody pressed stop."""
    problem = two_rows_that_feed_unequally()
    best = solve(problem, solver="highs", deadline_s=GENEROUS_S)
    told = f"tell(found.News(10.0, 10.0, {pickle.dumps(best.plan)!r}))"
    workers = {"highs": StoppedOnceTold(worker, Over(f"({told}, sleep(60))"))}
    result = solve(problem, solver="highs", deadline_s=GENEROUS_S, workers=workers, cancel=threading.Event())
    assert (result.plan, result.solver, result.status) == (best.plan, "highs", Status.OPTIMAL)
    assert worker.run(pow, 2, 10, deadline_s=GENEROUS_S) == 1024


# Hopeless emergencies.

HOPELESS_BASE_W = 13_000
"""Others alone draw more than the UPS gives: 1,000 W too much, whatever is parked."""


@pytest.mark.parametrize("solver", ["greedy", *EXACT["reconfiguration"]])
def test_a_hopeless_emergency_is_answered_with_the_least_excess(solver):
    """Everything is parked for 1,000 W too much; it is declared, and nothing more is allowed."""
    problem = one_ups_left(HOPELESS_BASE_W)
    result = solve(problem, solver=solver, deadline_s=GENEROUS_S)
    assert (result.mode, result.solver) == (Mode.BEST_EFFORT, solver)
    assert result.plan.excess == {(Constraint.UPS_POWER_CAPACITY, "U1"): 1_000.0}
    assert set(result.plan.choice_of.values()) == {"parked"}
    assert judged(problem.with_allowed_excess(result.plan.excess), result).ok


@pytest.mark.parametrize("solver", EXACT["reconfiguration"])
def test_the_second_solve_buys_tokens_within_the_excess_of_the_first(solver):
    """11,500 W are drawn by others and I1 to I3 cannot change in time: 12,000 W more of them, whatever comes.

    11,500 + 3 × 4,000 − 12,000 = 11,500 W is the least excess; only with I4 parked is it kept.
    """
    tolerance = np.array([0.5, 0.5, 0.5, 10.0])
    problem = replace(one_ups_left(11_500), instance_tolerance_s=tolerance)
    result = solve(problem, solver=solver, deadline_s=GENEROUS_S)
    assert result.plan.excess == {(Constraint.UPS_POWER_CAPACITY, "U1"): 11_500.0}
    assert result.plan.choice_of == {"I1": "fast@1", "I2": "fast@1", "I3": "fast@1", "I4": "parked"}
    assert result.checked.terms["unserved"] == 200 * 10_000


def test_less_excess_outweighs_any_cost(monkeypatch):
    """Greedy gives up too early; the solver's plan is dearer in tokens and 12,000 W less over the limit."""
    problem = one_ups_left()
    monkeypatch.setattr(KINDS[type(problem)].greedy, "greedy", lambda problem: problem.present())
    result = solve(problem, solver="highs", deadline_s=GENEROUS_S)
    assert (result.plan.excess, result.mode) == ({}, Mode.SOLVER)
    assert result.objective == pytest.approx(OPTIMUM["reconfiguration"])
    assert door.solve is solve


# What one more unit would be worth.


@pytest.mark.parametrize("kind", PROBLEMS)
def test_shadow_prices_come_where_they_are_asked_for_and_only_there(kind):
    """They cost a solve of their own; the prices of a worker are those of this process."""
    with Workers() as workers:
        told = solve(PROBLEMS[kind](), deadline_s=GENEROUS_S, workers=workers, explain=True)
    assert told.shadow_prices == solve(PROBLEMS[kind](), solver="greedy", explain=True).shadow_prices
    assert told.shadow_prices
    assert solve(PROBLEMS[kind](), solver="greedy").shadow_prices is None


def test_prices_that_do_not_come_in_time_are_none():
    """None is not the same as nothing that binds."""
    assert solve(PROBLEMS["placement"](), solver="greedy", deadline_s=0.0, explain=True).shadow_prices is None


# Problems at the edge, of every kind and for every solver.


def without_anything(kind):
    """Nobody waits, nothing runs, nothing is asked for; and there is no site either."""
    if kind == "placement":
        problem = two_rows_that_feed_unequally()
        none = np.zeros(0, dtype=np.int64)
        nobody = {"vms": (), "vm_type": none, "vm_priority": none, "vm_group": none}
        nowhere = {
            "servers": (),
            "server_hardware": none,
            "server_available": none.astype(bool),
            "server_ceiling_w": none,
        }
        return replace(problem, **nobody, **nowhere, budgets=BudgetNumbers(("now",), ()))
    if kind == "routing":
        problem = two_instances()
        none, flat = np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.int64)
        gone = {"instances": (), "instance_server": none, "instance_endpoint": none, "instance_goodput": none}
        flows = dict.fromkeys(("latency_cost", "power_w", "airflow_cfm", "gpu_power_w"), flat)
        return replace(problem, **gone, **flows, gpu_headroom_w=none, class_tokens_per_s=np.array([0]))
    problem = one_ups_left()
    none = np.zeros(0, dtype=np.int64)
    gone = {"instances": (), "instance_server": none, "instance_endpoint": none, "instance_hardware": none}
    return replace(problem, **gone, current=none, instance_tolerance_s=np.zeros(0), demand_tokens_per_s=np.array([0]))


def with_limit(problem, limit_w, base_w=0):
    """Every budget at one limit."""
    families = tuple(
        replace(family, limit=np.full_like(family.limit, limit_w), base=np.full_like(family.base, base_w))
        for family in problem.budgets.families
    )
    return replace(problem, budgets=replace(problem.budgets, families=families))


@pytest.mark.parametrize(("kind", "solver"), EVERY)
def test_nothing_to_do_costs_nothing(kind, solver):
    """An empty batch, an empty site, no instance: answered, and proven."""
    result = solve(without_anything(kind), solver=solver, deadline_s=GENEROUS_S)
    assert (result.objective, result.status, result.gap_frac, result.checked.ok) == (0.0, Status.OPTIMAL, 0.0, True)


LEFT_OUT = {"placement": 60_000.0, "routing": 15_000.0, "reconfiguration": 32_000_000.0 + 4 * 2_200}
"""Cost of placing nothing, serving nothing, parking all: 3 VMs, 1,500 tokens/s, 3,200 tokens/s and 4 loads."""


@pytest.mark.parametrize(("kind", "solver"), EVERY)
def test_a_budget_of_nothing_buys_nothing(kind, solver):
    """One row, 0 W: all is left out, at its price, and no solver calls it infeasible."""
    result = solve(with_limit(PROBLEMS[kind](), 0), solver=solver, deadline_s=GENEROUS_S)
    assert result.objective == pytest.approx(LEFT_OUT[kind])
    assert (result.status, result.checked.ok) == (Status.OPTIMAL, True)


@pytest.mark.parametrize(("kind", "solver"), EVERY)
def test_a_row_that_is_over_its_limit_already_is_answered_all_the_same(kind, solver):
    """Contradictory: others draw 9 kW where 5 kW are allowed. Nothing is added; what cannot be kept is declared."""
    problem = with_limit(PROBLEMS[kind](), 5_000, 9_000)
    result = solve(problem, solver=solver, deadline_s=GENEROUS_S)
    assert result.objective == pytest.approx(LEFT_OUT[kind])
    assert (result.mode is Mode.BEST_EFFORT) == (kind == "reconfiguration")
    assert result.solver == solver
    assert KINDS[type(problem)].check.check(problem_that_allows(problem, result.plan), result.plan).ok


def problem_that_allows(problem, plan):
    return problem.with_allowed_excess(plan.excess) if getattr(plan, "excess", None) else problem


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("limit", np.nan, "must be a whole number"),
        ("limit", np.inf, "must be a whole number"),
        ("base", -np.inf, "must be a whole number"),
        ("limit", 0.5, "must be a whole number"),
        ("limit", 2**62, "must be at most 1,000,000,000,000"),
    ],
)
@pytest.mark.parametrize("solver", ["greedy", "auto", "highs"])
def test_limits_that_are_no_numbers_are_refused_by_name(kind, solver, field, value, said):
    """NaN is above and below nothing: a checker that compares would accept any plan."""
    problem = PROBLEMS[kind]()
    first, *others = problem.budgets.families
    spoilt = replace(first, **{field: np.full(first.limit.shape, value)})
    problem = replace(problem, budgets=replace(problem.budgets, families=(spoilt, *others)))
    with pytest.raises(InvalidInput, match=rf"budgets\.families\[0\]\.{field}: .*{said}"):
        solve(problem, solver=solver)


SPOILT = {
    "placement": ("type_power_w", "server_ceiling_w", "vm_priority"),
    "routing": (),  # refused when it is made: see its own tests
    "reconfiguration": ("demand_tokens_per_s", "server_ceiling_w", "delay_s", "instance_tolerance_s"),
}


def test_every_fault_is_listed(kind):
    """Whoever mends one thing at a time asks as often as there are faults."""
    problem = PROBLEMS[kind]()
    spoilt = {name: np.full(getattr(problem, name).shape, np.nan) for name in SPOILT[kind]}
    if spoilt:
        with pytest.raises(InvalidInput) as refused:
            solve(replace(problem, **spoilt))
        assert {fault.where for fault in refused.value.faults} == set(spoilt)


def test_objects_and_words_are_no_numbers():
    with pytest.raises(InvalidInput, match=r"vm_priority: is an array of object"):
        solve(replace(two_rows_that_feed_unequally(), vm_priority=np.array([1, None, 3])))


def test_a_delay_without_end_is_a_number():
    """An instance that cannot be changed in any time, and one that tolerates anything."""
    problem = one_ups_left()
    forever = replace(problem, delay_s=np.full((3, 3), np.inf), instance_tolerance_s=np.full(4, np.inf))
    assert judged(forever, solve(forever, deadline_s=GENEROUS_S)).ok


@pytest.mark.parametrize("option", ["deadline_s", "gap_frac", "work", "seed"])
@pytest.mark.parametrize("value", [float("nan"), -1])
def test_options_that_are_no_amount_are_refused(option, value):
    with pytest.raises(InvalidInput, match=f"{option}: .*must be a number, 0 or more"):
        solve(two_instances(), **{option: value})


def test_a_contradiction_between_groups_and_servers_leaves_the_group_out():
    """Three members that belong together, of whom two at most may be in the only place with room: none is placed."""
    group = SpreadGroup("g", ("P",), np.zeros(4, dtype=np.int64), 2, np.zeros(1, dtype=np.int64), all_or_nothing=True)
    problem = replace(two_rows_that_feed_unequally(), vm_group=np.zeros(3, dtype=np.int64), groups=(group,))
    for solver in ("greedy", *EXACT["placement"]):
        result = solve(problem, solver=solver, deadline_s=GENEROUS_S)
        assert (result.plan.unplaced, result.checked.ok) == (("V1", "V2", "V3"), True)


@pytest.mark.parametrize("solver", ["greedy", *EXACT["reconfiguration"]])
def test_a_contradiction_between_budgets_and_changes_is_declared(solver):
    """16 kW run on 12 kW, and nothing may be changed: 4 kW too much is all that can be said."""
    result = solve(replace(one_ups_left(), change_budget=0), solver=solver, deadline_s=GENEROUS_S)
    assert result.mode is Mode.BEST_EFFORT
    assert result.plan.excess == {(Constraint.UPS_POWER_CAPACITY, "U1"): 4_000.0}
    assert set(result.plan.choice_of.values()) == {"fast@1"}


def test_a_solver_that_is_not_installed_is_told_with_those_that_are():
    with pytest.raises(NotFound, match=r"'cplex' does not exist; of those that Pyomo drives there are .*highs"):
        solve(two_instances(), solver="pyomo-cplex", deadline_s=GENEROUS_S)


@pytest.mark.parametrize("kind", ["placement", "routing", "reconfiguration"])
def test_any_solver_that_pyomo_drives_answers_by_its_name(kind):
    result = solve(PROBLEMS[kind](), solver="pyomo-appsi_highs", deadline_s=GENEROUS_S)
    assert (result.solver, result.status) == ("pyomo-appsi_highs", Status.OPTIMAL)
    assert result.objective == pytest.approx(OPTIMUM[kind])
