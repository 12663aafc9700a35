"""The linear program of the greedy path: the optimum, bounds of any prices, and loops that do what plain ones do."""

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.mip import highs
from tapas_opt.routing import kernels, skyline_kernels
from tapas_opt.routing.check import check
from tapas_opt.routing.formulation import formulate
from tapas_opt.routing.greedy import bounded, warm_up
from tapas_opt.routing.interior import inwards
from tapas_opt.routing.problem import routing_classes
from tapas_opt.routing.program import program_of
from tapas_opt.routing.segments import segments_of


def optimum(problem):
    return highs.solve(formulate(problem, routing_classes(problem)), deadline_s=20.0, threads=1).objective


def program(problem):
    return program_of(problem, segments_of(problem, routing_classes(problem)))


def plain(stated):
    """``[row, column]`` the program's coefficients, one by one."""
    of = np.zeros((len(stated.right), len(stated.cost)))
    classes, segments = stated.work.shape
    for c in range(classes):
        for b in range(segments):
            n = c * segments + b
            of[stated.demanded[c], n] = -stated.work[c, b]
            for j, row in enumerate(stated.row[c]):
                if row >= 0:
                    of[row, n] += (
                        stated.per_watt[c, j] * stated.power[c, b] + stated.per_cfm[c, j] * stated.airflow[c, b]
                    )
    for q, row in enumerate(stated.class_row):
        of[row, classes * segments + q] = -stated.class_work[q]
    peaks = classes * segments + len(stated.class_row)
    of[stated.peak_row, peaks + stated.peak_family] = -stated.peak_step
    return of


@pytest.mark.parametrize("seed", range(60))
def test_bound_and_plan_are_within_a_thousandth_of_the_optimum(random_problem, seed):
    """The bound never above the optimum of the linear program, and the plan never below it."""
    problem = random_problem(seed)
    plan, bound = bounded(problem)
    best, cost = optimum(problem), check(problem, plan).objective
    assert best * (1 - 1e-3) <= bound <= best * (1 + 1e-9) + 1e-6
    assert best * (1 - 1e-6) - 1e-6 <= cost <= best * (1 + 1e-3) + 1e-6


def test_any_prices_give_a_bound(random_problem):
    """Lagrangian duality, for random prices of at least 0."""
    for seed in range(20):
        problem, rng = random_problem(seed), np.random.default_rng(seed)
        stated, best = program(problem), optimum(problem)
        typical = stated.split(stated.cost)[0].sum() / max(1.0, stated.work.sum())
        for spread in (0.1, 1.0, 5.0):
            price = rng.exponential(spread * typical, len(stated.right))
            assert stated.bound(price) <= best * (1 + 1e-9) + 1e-6


def test_what_can_be_drawn_only_at_no_room_at_all_is_not_drawn(two_rows, with_limit):
    """A limit that present load takes up leaves the program without an inside."""
    full = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 0)
    plan, bound = bounded(full)
    assert set(plan.shares["conv/short"]) == {"C"}
    assert check(full, plan).objective == pytest.approx(optimum(full), rel=1e-3)
    assert bound == pytest.approx(optimum(full), rel=1e-3)


def test_sums_and_prices_are_those_of_plain_loops(random_problem):
    for seed in range(10):
        stated, rng = program(random_problem(seed)), np.random.default_rng(seed)
        of = plain(stated)
        columns, price = rng.random(len(stated.cost)), rng.random(len(stated.right))
        assert stated.sums(columns) == pytest.approx(of @ columns)
        assert stated.priced(price) == pytest.approx(price @ of)


def test_the_matrix_and_its_factors_are_those_of_the_whole(random_problem):
    """Skyline by skyline against numpy, on Σ weight · a · aᵀ + 1 over segments."""
    for seed in range(10):
        stated, rng = program(random_problem(seed)), np.random.default_rng(seed)
        rows, weight = len(stated.right), rng.random(stated.work.shape)
        first = np.arange(rows)
        kernels.reached(stated.demanded, stated.row, first)
        ends = np.cumsum(np.arange(rows) - first + 1)
        begin, entries, diagonal = np.concatenate([[0], ends[:-1]]), np.zeros(ends[-1]), np.zeros(rows)
        kernels.matrix(weight, *stated.numbers, first, begin, entries)
        entries[ends - 1] += 1.0
        a = plain(stated)[:, : weight.size]
        whole = (a * weight.ravel()) @ a.T + np.eye(rows)
        for i in range(rows):
            assert entries[begin[i] : ends[i]] == pytest.approx(whole[i, first[i] : i + 1])
            assert not whole[i, : first[i]].any()
        right = rng.random(rows)
        solution = right.copy()
        assert skyline_kernels.factored(first, begin, entries, diagonal)
        skyline_kernels.solved(first, begin, entries, diagonal, solution)
        assert whole @ solution == pytest.approx(right, rel=1e-6, abs=1e-6)


def test_a_matrix_with_a_pivot_of_nothing_has_no_factors():
    first, begin = np.zeros(2, dtype=np.int64), np.array([0, 1])
    assert not skyline_kernels.factored(first, begin, np.ones(3), np.zeros(2))


def test_points_come_ever_nearer(random_problem):
    """The last bound and the last cost are the optimum's."""
    for seed in range(10):
        problem = random_problem(seed)
        *_, last = inwards(program(problem))
        best = optimum(problem)
        assert last.bound == pytest.approx(best, rel=1e-5, abs=1e-3)
        assert last.cost == pytest.approx(best, rel=1e-5, abs=1e-3)


def test_warming_up_compiles_all_that_a_plan_needs(random_problem):
    """The first plan after a failure waits for no compiler."""
    warm_up()
    compiled = [
        kernel for kernel in (*vars(kernels).values(), *vars(skyline_kernels).values()) if hasattr(kernel, "signatures")
    ]
    before = [len(kernel.signatures) for kernel in compiled]
    for seed in range(5):
        bounded(random_problem(seed))
    assert [len(kernel.signatures) for kernel in compiled] == before
