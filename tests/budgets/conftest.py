"""Budgets of the small site that all tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers, budget_numbers
from tapas_opt.domain.failure import Effect, effect_of
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import topology_of

NONE = -1


@pytest.fixture
def at_3_kw() -> Callable[..., BudgetNumbers]:
    """Budgets of a site of six servers that draw 3,000 W and 400 CFM each, in one slot."""

    def numbers(site: Site, effect: Effect | None = None, power_w: float = 3_000.0, **margins: float) -> BudgetNumbers:
        topology = topology_of(site)
        power, airflow = np.full((6, 1), power_w), np.full((6, 1), 400.0)
        by_family = {Constraint(name): np.array([margin]) for name, margin in margins.items()}
        return budget_numbers(topology, effect or effect_of(topology), ("now",), power, airflow, by_family)

    return numbers


@pytest.fixture
def family_of() -> Callable[[BudgetNumbers, Constraint], BudgetFamily]:
    """One family by its constraint."""

    def family(numbers: BudgetNumbers, constraint: Constraint) -> BudgetFamily:
        return next(f for f in numbers.families if f.constraint is constraint)

    return family


@pytest.fixture
def thirds() -> BudgetFamily:
    """One server on three UPSs of 1,000 W, 334 thousandths each; nothing drawn yet, two slots."""
    return BudgetFamily(
        Constraint.UPS_POWER_CAPACITY,
        "W",
        ("U1", "U2", "U3"),
        member=np.array([[0, 1, 2]]),
        share_permille=np.array([[334, 334, 334]]),
        limit=np.full((3, 2), 1_000),
        base=np.zeros((3, 2), dtype=np.int64),
    )


@pytest.fixture
def random_numbers() -> Callable[[int], BudgetNumbers]:
    """Two families over six servers and two slots from a seed; servers draw on one to three domains."""
    return make_random


def make_random(seed: int) -> BudgetNumbers:
    rng = np.random.default_rng(seed)
    feeds = rng.choice([1, 2, 3], 6)
    live = np.arange(3) < feeds[:, None]
    share = np.where(live, np.array([0, 1000, 500, 334])[feeds][:, None], 0)
    member = np.where(live, [rng.choice(4, 3, replace=False) for _ in range(6)], NONE)
    ups = BudgetFamily(
        Constraint.UPS_POWER_CAPACITY, "W", ("U1", "U2", "U3", "U4"), member, share,
        limit=rng.integers(0, 9_000, (4, 2)), base=rng.integers(0, 9_000, (4, 2)),
    )  # fmt: skip
    aisle = BudgetFamily(
        Constraint.AISLE_AIRFLOW_CAPACITY, "CFM", ("A1", "A2"), rng.integers(0, 2, (6, 1)), np.full((6, 1), 1000),
        limit=rng.integers(0, 2_000, (2, 2)), base=rng.integers(0, 1_000, (2, 2)),
    )  # fmt: skip
    return BudgetNumbers(("t0", "t1"), (ups, aisle))
