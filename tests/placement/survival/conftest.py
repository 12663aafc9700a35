"""Placement problems that must survive failures: a room with a story, and rooms drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.budgets.failures import FailurePairs
from tapas_opt.budgets.numbers import BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.placement.survival.numbers import Draws, Relief, secured, survival

NONE = -1
TIERS = ("slowed", "evicted")


@pytest.fixture
def random_survival(random_problem) -> Callable[..., PlacementProblem]:
    """A random placement problem with random pairs on top: two rooms, failures of power and of air, two tiers.

    With ``hours`` the first slot becomes so many that rise and fall together, more or less.
    """

    def make(seed: int, *, forget: bool = True, hours: int = 0, **sizes: int) -> PlacementProblem:
        rng = np.random.default_rng(10_000 + seed)
        problem = random_problem(seed, **sizes)
        if hours:
            problem = over_hours(problem, rng.integers(3, 11, hours))
        return surviving(problem, rng, forget=forget)

    return make


def surviving(problem: PlacementProblem, rng: np.random.Generator, *, forget: bool) -> PlacementProblem:
    room_of_server = rng.integers(0, 2, len(problem.servers))
    parts = (
        random_part(problem, rng, "W", room_of_server, 3, forget=forget),
        random_part(problem, rng, "CFM", room_of_server, 2, forget=forget),
    )
    return replace(problem, survival=survival(("north", "south"), parts, ()))


def over_hours(problem: PlacementProblem, tenths: np.ndarray) -> PlacementProblem:
    """Everything drawn is so many tenths of the first slot's, hour by hour."""
    families = tuple(
        replace(f, limit=np.repeat(f.limit[:, :1], len(tenths), axis=1), base=f.base[:, :1] * tenths // 10)
        for f in problem.budgets.families
    )
    return replace(
        problem,
        type_power_w=problem.type_power_w[..., :1] * tenths // 10,
        type_airflow_cfm=problem.type_airflow_cfm[..., :1] * tenths // 10,
        budgets=BudgetNumbers(tuple(f"h{t}" for t in range(len(tenths))), families),
    )


def random_part(problem, rng, unit, room_of_server, failures, *, forget):
    """Failures with one to three pairs each; every server of the room draws on each with 0, ½ or all of its draw."""
    word = "ups" if unit == "W" else "ahu"
    rooms = rng.integers(0, 2, failures)
    scenario = np.repeat(np.arange(failures), rng.integers(1, 4, failures))
    servers, pairs, slots = len(problem.servers), len(scenario), len(problem.budgets.slots)
    share = rng.choice([0, 500, 1000], (servers, pairs), p=[0.3, 0.4, 0.3])
    share[room_of_server[:, None] != rooms[scenario]] = 0
    member = np.where(share > 0, np.arange(pairs), NONE)
    draw = problem.type_power_w if unit == "W" else problem.type_airflow_cfm
    scale = int(draw.max(initial=1))
    found = FailurePairs(
        scenarios=tuple(f"{word}:F{f}" for f in range(failures)),
        scenario_room=rooms,
        names=tuple(f"D{d} after {word}:F{f}" for d, f in enumerate(scenario.tolist())),
        scenario=scenario,
        family=(Constraint.UPS_POWER_CAPACITY,) * pairs,
        element=np.zeros(pairs, dtype=np.int64),
        capacity=np.zeros(pairs),
        member=member,
        share_permille=share,
    )
    running = rng.integers(0, scale, (servers, slots)) * (rng.random((servers, 1)) < 0.5)
    if slots > 2:  # hours that rise and fall together, as the batch does, so that some dominate others
        running = running[:, :1] * draw.max(axis=(0, 1)) // scale
    possible = running // rng.integers(2, 5, (servers, 1))
    relief = np.stack([possible // 2, possible // 3], axis=1)
    of_type = np.stack([draw // rng.integers(3, 6), draw // rng.integers(3, 9)], axis=2)
    limit = rng.integers(scale // 2, scale * max(2, servers), pairs)
    free = problem.server_available[:, None]
    most = draw.max(axis=0, initial=0)[problem.server_hardware] * free
    count = np.bincount(problem.vm_type, minlength=len(draw))
    prices = np.sort(rng.choice([1, 2, 3, 7], 2, replace=False))
    return secured(
        found,
        np.arange(servers),
        limit,
        Draws(unit, running, most, draw, count),
        Relief(TIERS, prices, int(rng.choice([20, 1_000])), relief, of_type),
        forget=forget,
    )
