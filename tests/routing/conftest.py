"""Tiny routing problems with a story, and random ones from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.routing.problem import RoutingPlan, RoutingPrices, RoutingProblem, whole_segments

UNLIMITED = 10**6


def family(
    constraint: Constraint, domains: tuple[str, ...], member: list[list[int]], limit: list[int], base: list[int]
) -> BudgetFamily:
    """Servers draw on ``member[server]`` in equal shares."""
    places = len(member[0])
    share = np.full((len(member), places), 1000 // places)
    unit = "CFM" if constraint is Constraint.AISLE_AIRFLOW_CAPACITY else "W"
    columns = (np.array(limit)[:, None], np.array(base)[:, None])
    return BudgetFamily(constraint, unit, domains, np.array(member), share, *columns)


@pytest.fixture
def two_rows() -> RoutingProblem:
    """Three instances of endpoint ``conv``: A and B in row R1, C in row R2; ``conv/short`` asks for 1,500 tokens/s.

    Each carries 1,000 tokens/s in two segments of 500: the first costs 10 and draws 500 W, the second 40 and 500 W. A
    row idles at 1,000 W and feeds 10,000 W; UPS U1 feeds half of everything, and so does U2. Headroom never binds.
    Nothing of that is near a limit: the row at its fullest has 3,000 W.
    """
    rows = family(Constraint.ROW_POWER_BUDGET, ("R1", "R2"), [[0], [0], [1]], [10_000] * 2, [1_000] * 2)
    upses = family(Constraint.UPS_POWER_CAPACITY, ("U1", "U2"), [[0, 1]] * 3, [UNLIMITED] * 2, [1_000] * 2)
    aisle = family(Constraint.AISLE_AIRFLOW_CAPACITY, ("A1",), [[0]] * 3, [UNLIMITED], [600])
    return RoutingProblem(
        instances=("A", "B", "C"),
        servers=("S1", "S2", "S3"),
        instance_server=np.array([0, 1, 2]),
        instance_endpoint=np.array([0, 0, 0]),
        endpoints=("conv",),
        classes=("conv/short",),
        class_endpoint=np.array([0]),
        class_tokens_per_s=np.array([1_500]),
        class_work_permille=np.array([1_000]),
        instance_goodput=np.array([1_000, 1_000, 1_000]),
        breakpoints_permille=np.array([0, 500, 1_000]),
        latency_cost=np.array([[10, 40]] * 3),
        power_w=np.array([[500, 500]] * 3),
        airflow_cfm=np.array([[20, 20]] * 3),
        gpu_power_w=np.array([[100, 100]] * 3),
        gpu_headroom_w=np.array([1_000, 1_000, 1_000]),
        budgets=BudgetNumbers(("now",), (rows, upses, aisle)),
        prices=RoutingPrices(unserved_tokens_per_s=10, energy_kw=2),
    )


@pytest.fixture
def conv_and_code(two_rows: RoutingProblem) -> RoutingProblem:
    """Instance C of ``two_rows`` serves ``code`` instead; ``conv/long`` costs one and a half times the work a token."""
    return replace(
        two_rows,
        instance_endpoint=np.array([0, 0, 1]),
        endpoints=("conv", "code"),
        classes=("conv/short", "conv/long", "code/any"),
        class_endpoint=np.array([0, 0, 1]),
        class_tokens_per_s=np.array([600, 400, 300]),
        class_work_permille=np.array([1_000, 1_500, 1_000]),
    )


@pytest.fixture
def with_limit() -> Callable[[RoutingProblem, Constraint, str, int], RoutingProblem]:
    """The problem with another limit of one domain."""

    def changed(problem: RoutingProblem, constraint: Constraint, domain: str, limit: int) -> RoutingProblem:
        families = []
        for one in problem.budgets.families:
            limits = one.limit.copy()
            if one.constraint is constraint:
                limits[one.domains.index(domain)] = limit
            families.append(replace(one, limit=limits))
        return replace(problem, budgets=replace(problem.budgets, families=tuple(families)))

    return changed


@pytest.fixture
def plan_of() -> Callable[..., RoutingPlan]:
    """A plan from shares that leaves the rest of each class unserved."""

    def plan(shares: dict[str, dict[str, float]]) -> RoutingPlan:
        return RoutingPlan(shares, {name: 1.0 - sum(given.values()) for name, given in shares.items()})

    return plan


@pytest.fixture
def random_problem() -> Callable[[int], RoutingProblem]:
    return make_random


def make_random(seed: int) -> RoutingProblem:
    """Two to four rows with instances of one to three endpoints; every limit binds in some seeds and not in others."""
    rng = np.random.default_rng(seed)
    rows, n = int(rng.integers(2, 5)), int(rng.integers(1, 25))
    endpoints = int(rng.integers(1, 4))
    q = endpoints * int(rng.integers(1, 4))
    kinds = int(rng.integers(1, 4))
    kind = rng.integers(0, kinds, n)
    ends = np.array([0, *sorted(rng.choice(np.arange(1, 20), 3, replace=False) * 50), 1_000])
    goodput = rng.integers(500, 4_000, kinds)[kind] * (rng.random(n) > 0.1)
    row = rng.integers(0, rows, n)
    numbers = {"latency_cost": 300.0, "power_w": 3_000.0, "airflow_cfm": 300.0, "gpu_power_w": 250.0}
    curves = {name: _convex(rng, kinds, ends, most)[kind] for name, most in numbers.items()}
    endpoint = rng.integers(0, endpoints, n)
    return RoutingProblem(
        instances=tuple(f"I{i}" for i in range(n)),
        servers=tuple(f"S{i}" for i in range(n)),
        instance_server=np.arange(n),
        instance_endpoint=endpoint,
        endpoints=tuple(f"E{e}" for e in range(endpoints)),
        classes=tuple(f"E{k % endpoints}/{k}" for k in range(q)),
        class_endpoint=np.arange(q) % endpoints,
        class_tokens_per_s=(
            rng.integers(0, int(rng.choice([0.3, 1, 2]) * (goodput.sum() + 100)) // q + 1, q) * (rng.random(q) > 0.1)
        ),
        class_work_permille=rng.integers(500, 2_000, q),
        instance_goodput=goodput,
        breakpoints_permille=ends,
        gpu_headroom_w=rng.integers(-20, 500, kinds)[kind],
        budgets=_budgets(rng, row, rows, curves),
        prices=RoutingPrices(unserved_tokens_per_s=int(rng.integers(1, 20)), energy_kw=int(rng.integers(0, 200))),
        **curves,
    )


def _convex(rng: np.random.Generator, kinds: int, ends: np.ndarray, most: float) -> np.ndarray:
    slopes = np.sort(rng.random((kinds, len(ends) - 1)), axis=1) * most / 1_000
    rises = np.cumsum(slopes * np.diff(ends), axis=1)
    return whole_segments(np.hstack([np.zeros((kinds, 1)), rises]), ends)


def _budgets(rng: np.random.Generator, row: np.ndarray, rows: int, curves: dict[str, np.ndarray]) -> BudgetNumbers:
    full = np.bincount(row, curves["power_w"].sum(axis=1), minlength=rows)
    air = np.bincount(row, curves["airflow_cfm"].sum(axis=1), minlength=rows)
    base = rng.integers(0, 20_000, rows)
    feeds = [[r % 3, (r + 1) % 3] for r in range(rows)]
    ups_full = np.zeros(3)
    ups_base = np.zeros(3)
    for r, pair in enumerate(feeds):
        ups_full[pair] += full[r] / 2
        ups_base[pair] += base[r] / 2

    def limits(base: np.ndarray, full: np.ndarray) -> list[int]:
        tight = rng.random() < 0.5
        return (base + full * rng.uniform(-0.05 if tight else 1.0, 1.4, len(base))).astype(int).tolist()

    names = tuple(f"R{r}" for r in range(rows))
    place = [[int(r)] for r in row]
    return BudgetNumbers(
        ("now",),
        (
            family(Constraint.ROW_POWER_BUDGET, names, place, limits(base, full), base.tolist()),
            family(
                Constraint.UPS_POWER_CAPACITY,
                ("U0", "U1", "U2"),
                [feeds[r] for r in row],
                limits(ups_base, ups_full),
                np.ceil(ups_base).astype(int).tolist(),
            ),
            family(Constraint.AISLE_AIRFLOW_CAPACITY, names, place, limits(base, air), base.tolist()),
            family(Constraint.AISLE_HEAT_CAPACITY, names, place, limits(base, full), base.tolist()),
        ),
    )
