"""Small rooms with a story, and random ones by seed."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.mip import cpsat, highs
from tapas_opt.reconfiguration.check import check
from tapas_opt.reconfiguration.problem import Choices, ReconfigurationPrices, ReconfigurationProblem, Stage

BIG, HALF, SLOW, SMALL, PARKED = range(5)

PRICES = ReconfigurationPrices(
    unserved_token_per_s=10_000, quality_permille_token_per_s=10, energy_w=1, change=200, reload=2_000
)
"""What the expected numbers of the rooms below are worked out with."""


@pytest.fixture(params=[highs.solve, cpsat.solve], ids=["highs", "cpsat"])
def solve(request):
    return request.param


@pytest.fixture(scope="session")
def five_choices():
    """One hardware: big@1 at full and at a locked clock, big@0.5, a small model that is worse by a tenth, parked."""
    return Choices(
        names=("big@1", "big@0.5", "big-slow@1", "small@1", "parked"),
        configuration=("big", "big", "big-slow", "small", None),
        level=np.array([1.0, 0.5, 1.0, 1.0, 0.0]),
        runs_on=np.ones((1, 5), dtype=bool),
        goodput_tokens_per_s=np.array([[1000, 500, 800, 1200, 0]]),
        power_w=np.array([[4000, 2500, 3000, 2000, 0]]),
        airflow_cfm=np.array([[400, 250, 300, 250, 0]]),
        gpu_power_w=np.array([[400, 300, 300, 350, 60]]),
        quality_loss_permille=np.array([0, 0, 0, 100, 0]),
    )


@pytest.fixture(scope="session")
def room(five_choices):
    """Make a room of one UPS: ``room(current=…, demand=…, limit_w=…)``, one instance a server, one endpoint.

    A clock is locked in 1 s, decodes run for 4 s, and loading weights takes 120 s.
    """

    def made(*, current, demand, limit_w, base_w=0, tolerance_s=np.inf, ceiling_w=500, stage=Stage.NOW, **more):
        count = len(current)
        reload = np.zeros((5, 5), dtype=bool)
        reload[SMALL, :PARKED] = reload[PARKED, :PARKED] = reload[:, SMALL] = True
        reload[SMALL, SMALL] = False
        delay = np.where(reload, 120.0, 4.0)
        delay[BIG, SLOW] = delay[SLOW, BIG] = 1.0
        ups = BudgetFamily(
            constraint=Constraint.UPS_POWER_CAPACITY,
            unit="W",
            domains=("U1",),
            member=np.zeros((count, 1), dtype=np.int64),
            share_permille=np.full((count, 1), 1000),
            limit=np.array([[limit_w]]),
            base=np.array([[base_w]]),
        )
        return ReconfigurationProblem(
            stage=stage,
            instances=tuple(f"I{i}" for i in range(1, count + 1)),
            servers=tuple(f"S{i}" for i in range(1, count + 1)),
            endpoints=("chat",),
            instance_server=np.arange(count),
            instance_endpoint=np.zeros(count, dtype=np.int64),
            instance_hardware=np.zeros(count, dtype=np.int64),
            current=np.array(current, dtype=np.int64),
            choices=five_choices,
            allowed=np.ones((1, 5), dtype=bool),
            delay_s=delay,
            reload=reload,
            instance_tolerance_s=np.full(count, tolerance_s),
            server_ceiling_w=np.full(count, ceiling_w),
            demand_tokens_per_s=np.array([demand]),
            budgets=BudgetNumbers(("now",), (ups,)),
            **({"prices": PRICES} | more),
        )

    return made


@pytest.fixture(scope="session")
def one_ups_failed(room):
    """Four instances at 4,000 W now hang on the one UPS left, which gives 12,000 W and bears 16,000 W for 10 s."""
    return room(current=[BIG] * 4, demand=3200, limit_w=12_000, tolerance_s=10.0)


@pytest.fixture(scope="session")
def hopeless_room(room):
    """The UPS left gives 12,000 W, and 13,000 W are drawn by others: 1,000 W too many, whatever is parked."""
    return room(current=[BIG] * 2, demand=1000, limit_w=12_000, base_w=13_000, tolerance_s=10.0)


@pytest.fixture(scope="session")
def cold_spare(room):
    """One instance serves 1,000 tokens/s, another is parked, and 1,800 are asked; there is power for both."""
    return room(current=[BIG, PARKED], demand=1800, limit_w=10_000, stage=Stage.SETTLED)


@pytest.fixture(scope="session")
def random_problem():
    """Make a random room: two hardwares, racks, rows, PDUs, UPSs and aisles, often overloaded, at times hopelessly."""
    return make_random


def make_random(seed, *, stage=Stage.NOW, instances=4, configurations=2, levels=(0.5, 1.0), slots=2):
    rng = np.random.default_rng(seed)
    choices = _choices(rng, configurations, levels)
    count, kinds = len(choices.names), choices.configuration
    configuration = np.array([-1 if kind is None else int(kind[1:]) for kind in kinds])
    reload = (configuration[:, None] // 2 != configuration // 2) & (configuration >= 0)
    servers = max(2, instances)
    problem = ReconfigurationProblem(
        stage=stage,
        instances=tuple(f"I{i}" for i in range(instances)),
        servers=tuple(f"S{s}" for s in range(servers)),
        endpoints=("chat", "code"),
        instance_server=rng.integers(0, servers, instances),
        instance_endpoint=rng.integers(0, 2, instances),
        instance_hardware=rng.integers(0, 2, instances),
        current=rng.integers(0, count, instances),
        choices=choices,
        allowed=(rng.random((2, count)) < 0.9) | (configuration < 0),
        delay_s=np.where(reload, 120.0, rng.integers(1, 9, (count, count))).astype(float),
        reload=reload & ~np.eye(count, dtype=bool),
        instance_tolerance_s=rng.choice([0.5, 3.0, 5.0, np.inf], instances),
        server_ceiling_w=10 * rng.integers(15, 50, servers),
        demand_tokens_per_s=rng.integers(0, 120 * max(1, instances), 2),
        budgets=_budgets(rng, servers, instances, slots),
        preferred_loss_permille=rng.spawn(1)[0].choice([0, 40], 2),
        change_budget=None if rng.random() < 0.5 else int(rng.integers(0, instances + 1)),
        reload_limit=[None, 0, 1, 2][rng.integers(0, 4)],
    )
    return replace(problem, current=_that_run(problem, rng))


def _choices(rng, configurations, levels):
    named = [(f"c{c}", level) for c, level in product(range(configurations), levels)]
    names = tuple(f"{c}@{level:g}" for c, level in named)
    level = np.array([level for _, level in named] + [0.0])
    of = np.array([int(c[1:]) for c, _ in named])

    def table(low, high, grows):
        full = rng.integers(low, high, (2, configurations))[:, of]
        return np.hstack([np.ceil(full * (grows + (1 - grows) * level[:-1])).astype(np.int64), [[0], [0]]])

    gpu_power = table(150, 450, 0.5)
    gpu_power[:, -1] = 60
    return Choices(
        names=(*names, "parked"),
        configuration=(*(c for c, _ in named), None),
        level=level,
        runs_on=np.hstack([(rng.random((2, configurations)) < 0.9)[:, of], [[True], [True]]]),
        goodput_tokens_per_s=table(50, 200, 0.0),
        power_w=table(100, 700, 0.4),
        airflow_cfm=table(20, 90, 0.6),
        gpu_power_w=gpu_power,
        quality_loss_permille=np.append(rng.choice([0, 40, 150], configurations)[of], 0),
    )


def _that_run(problem, rng):
    """Nothing runs what its hardware cannot run."""
    runs_on = problem.choices.runs_on[problem.instance_hardware]
    return np.array([rng.choice(np.flatnonzero(row)) for row in runs_on], dtype=np.int64)


def _budgets(rng, servers, instances, slots):
    row = rng.integers(0, 2, servers)
    feeds = rng.integers(0, 3, (servers, 2))
    whole, halves = np.full((servers, 1), 1000), np.full((servers, 2), 500)
    mean = max(1, instances) * 350
    stated = [
        (Constraint.RACK_POWER_BUDGET, "W", "K", servers, np.arange(servers)[:, None], whole, 900),
        (Constraint.ROW_POWER_BUDGET, "W", "R", 2, row[:, None], whole, 0.6 * mean),
        (Constraint.PDU_POWER_BUDGET, "W", "P", 3, feeds, halves, 0.5 * mean),
        (Constraint.UPS_POWER_CAPACITY, "W", "U", 2, feeds % 2, halves, 0.7 * mean),
        (Constraint.AISLE_AIRFLOW_CAPACITY, "CFM", "A", 2, row[:, None], whole, 0.1 * mean),
        (Constraint.AISLE_HEAT_CAPACITY, "W", "A", 2, row[:, None], whole, 0.7 * mean),
    ]
    families = []
    for constraint, unit, letter, count, member, share, limit in stated:
        scale = rng.uniform(0.4, 1.6, (count, 1))
        base = rng.integers(0, max(2, int(0.4 * limit)), (count, slots))
        limits = np.repeat(np.floor(limit * scale).astype(np.int64), slots, axis=1)
        names = tuple(f"{letter}{d}" for d in range(count))
        families.append(BudgetFamily(constraint, unit, names, member, share, limits, base))
    return BudgetNumbers(tuple(f"t{t}" for t in range(slots)), tuple(families))


@pytest.fixture(scope="session")
def all_plans():
    """Every plan that the checker accepts once its excess is declared; those of a seed are listed once."""
    known = {}

    def found(problem, seed=None):
        key = (seed, problem.stage)
        if seed is None or key not in known:
            every = product(range(len(problem.choices.names)), repeat=len(problem.instances))
            plans = (problem.plan(choice) for choice in every)
            known[key] = [plan for plan in plans if check(problem, plan).ok]
        return known[key]

    return found
