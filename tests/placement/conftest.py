"""Small placement problems: some with a story, others drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.mip import decomposition, highs
from tapas_opt.mip.result import MipResult, MipStatus
from tapas_opt.placement.blocks import on_hosts
from tapas_opt.placement.check import check
from tapas_opt.placement.filling import Filling
from tapas_opt.placement.formulation import decode, formulate
from tapas_opt.placement.problem import (
    PlacementClasses,
    PlacementPlan,
    PlacementPrices,
    PlacementProblem,
    SpreadGroup,
    placement_classes,
)
from tapas_opt.placement.promises.numbers import KeptBack, Promises, Reservation, TogetherIn

NONE = -1

PRICES = PlacementPrices(unplaced_vm=20_000, lost_slack_w=1, spare_ceiling_10w=0, comfort_w=50)
"""What the expected numbers of the stories below are worked out with; ``cool_and_warm`` prices spare ceiling."""


def family(
    constraint: Constraint, names: Sequence[str], member: object, share: object, limit: object, base: object
) -> BudgetFamily:
    unit = "CFM" if constraint is Constraint.AISLE_AIRFLOW_CAPACITY else "W"
    ints = [np.atleast_2d(np.array(numbers, dtype=np.int64)) for numbers in (member, share, limit, base)]
    return BudgetFamily(constraint, unit, tuple(names), *ints)


def plain(vms: Sequence[str], servers: Sequence[str], budgets: BudgetNumbers, **numbers: object) -> PlacementProblem:
    """VMs of one type (6,000 W, 400 W a GPU, 500 CFM) on free servers of one kind whose ceilings are out of reach."""
    slots = len(budgets.slots)
    problem = PlacementProblem(
        vms=tuple(vms),
        servers=tuple(servers),
        vm_type=np.zeros(len(vms), dtype=np.int64),
        vm_priority=np.ones(len(vms), dtype=np.int64),
        vm_group=np.full(len(vms), NONE),
        type_power_w=np.full((1, 1, slots), 6_000),
        type_airflow_cfm=np.full((1, 1, slots), 500),
        type_gpu_power_w=np.array([[400]]),
        type_fits=np.array([[True]]),
        server_hardware=np.zeros(len(servers), dtype=np.int64),
        server_available=np.ones(len(servers), dtype=bool),
        server_ceiling_w=np.full(len(servers), 1_000),
        groups=(),
        budgets=budgets,
        prices=PRICES,
    )
    return replace(problem, **numbers)


@pytest.fixture
def plain_problem() -> Callable[..., PlacementProblem]:
    """:func:`plain`, for stories of a test's own."""
    return plain


@pytest.fixture
def two_hot_vms() -> PlacementProblem:
    """Two VMs of 6 kW; rows R1 (S1, S2) and R2 (S3, S4) feed 10 kW each and carry nothing yet."""
    rows = family(
        Constraint.ROW_POWER_BUDGET,
        ["R1", "R2"],
        [[0], [0], [1], [1]],
        [[1000]] * 4,
        [[10_000], [10_000]],
        [[0], [0]],
    )
    return plain(["V1", "V2"], ["S1", "S2", "S3", "S4"], BudgetNumbers(("now",), (rows,)))


@pytest.fixture
def hot_aisle() -> PlacementProblem:
    """One VM of 400 W a GPU; S1's ceiling is 390 W (too hot), S2's 420 W (30 W into its comfort), S3's 600 W."""
    nothing = BudgetNumbers(("now",), ())
    return plain(["V1"], ["S1", "S2", "S3"], nothing, server_ceiling_w=np.array([390, 420, 600]))


@pytest.fixture
def cool_and_warm() -> PlacementProblem:
    """A cool VM of 300 W a GPU and a hot one of 400 W; S1 bears 480 W, S2 only 360 W. Spare ceiling costs 1 a 10 W.

    Cool on S2: 360 − 300 − 50 = 10 W to spare cost 1; on S1: 130 W cost 13. Hot on S1: 30 W cost 3; on S2: too hot.
    """
    return plain(
        ["V1", "V2"],
        ["S1", "S2"],
        BudgetNumbers(("now",), ()),
        vm_type=np.array([0, 1]),
        type_power_w=np.full((2, 1, 1), 6_000),
        type_airflow_cfm=np.full((2, 1, 1), 500),
        type_gpu_power_w=np.array([[300], [400]]),
        type_fits=np.array([[True], [True]]),
        server_ceiling_w=np.array([480, 360]),
        prices=replace(PRICES, spare_ceiling_10w=1),
    )


@pytest.fixture
def three_replicas() -> PlacementProblem:
    """Three replicas, all or nothing, at most one a rack, on racks K1 (S1, S2), K2 (S3), K3 (S4), where one runs."""
    racks = SpreadGroup(
        name="chat",
        places=("K1", "K2", "K3"),
        place_of=np.array([0, 0, 1, 2]),
        max_per_place=1,
        present=np.array([0, 0, 1]),
        all_or_nothing=True,
    )
    return plain(
        ["V1", "V2", "V3"],
        ["S1", "S2", "S3", "S4"],
        BudgetNumbers(("now",), ()),
        vm_group=np.zeros(3, dtype=np.int64),
        groups=(racks,),
    )


@pytest.fixture
def row_over_budget() -> PlacementProblem:
    """Row R1 (S1) already draws 11 kW of 10 kW; R2 (S2) has 8 of 20 kW left. Two VMs of 6 kW wait."""
    rows = family(
        Constraint.ROW_POWER_BUDGET, ["R1", "R2"], [[0], [1]], [[1000]] * 2, [[10_000], [20_000]], [[11_000], [12_000]]
    )
    return plain(["V1", "V2"], ["S1", "S2"], BudgetNumbers(("now",), (rows,)))


@pytest.fixture
def random_problem() -> Callable[..., PlacementProblem]:
    """A problem from a seed: two kinds of hardware, shares of halves and thirds, two slots, groups, tight budgets."""
    return make_random


def make_random(seed: int, vms: int = 5, servers: int = 5, types: int = 2, groups: int = 2) -> PlacementProblem:
    rng = np.random.default_rng(seed)
    # streams of their own: the other draws stay as they were
    spare_ceiling_10w = int(rng.spawn(1)[0].choice([0, 1, 3]))
    reach_w = np.random.default_rng([seed, 2]).choice([0, 0, 30, 90], (types, 2))
    slots = int(rng.integers(1, 3))
    rows, upses, aisles = 2, 3, 2
    row_of = rng.integers(0, rows, servers)
    fed = np.array([rng.choice(upses, 3, replace=False) for _ in range(servers)]).reshape(servers, 3)
    feeds = rng.choice([1, 2, 3], servers, p=[0.2, 0.6, 0.2])
    permille = np.array([0, 1000, 500, 334])[feeds]
    live = np.arange(3) < feeds[:, None]
    scale = int(rng.integers(2, 2 * servers)) * 5_000  # from scarce to plenty

    def base(n: int) -> np.ndarray:
        return rng.integers(0, 9_000, (n, slots))

    def limit(n: int, of: int) -> np.ndarray:
        return np.broadcast_to(rng.integers(of // 2, of + 9_000, (n, 1)), (n, slots)).copy()

    families = (
        family(
            Constraint.ROW_POWER_BUDGET, ["R1", "R2"], row_of[:, None], np.full((servers, 1), 1000),
            limit(rows, scale), base(rows),
        ),
        family(
            Constraint.UPS_POWER_CAPACITY, ["U1", "U2", "U3"], np.where(live, fed, NONE),
            np.where(live, permille[:, None], 0), limit(upses, scale), base(upses),
        ),
        family(
            Constraint.AISLE_AIRFLOW_CAPACITY, ["A1", "A2"], row_of[:, None], np.full((servers, 1), 1000),
            limit(aisles, scale) // 10, base(aisles) // 10,
        ),
        family(
            Constraint.RACK_POWER_BUDGET, [f"K{s}" for s in range(servers)], np.arange(servers)[:, None],
            np.full((servers, 1), 1000), np.full((servers, slots), 7_000), np.zeros((servers, slots)),
        ),
    )  # fmt: skip
    problem = PlacementProblem(
        vms=tuple(f"V{v}" for v in range(vms)),
        servers=tuple(f"S{s}" for s in range(servers)),
        vm_type=rng.integers(0, types, vms),
        vm_priority=rng.integers(1, 4, vms),
        vm_group=rng.integers(NONE, groups, vms),
        type_power_w=rng.integers(1_000, 8_000, (types, 2, slots)),
        type_airflow_cfm=rng.integers(100, 1_000, (types, 2, slots)),
        type_gpu_power_w=rng.integers(200, 450, (types, 2)),
        type_fits=rng.random((types, 2)) < 0.8,
        server_hardware=rng.integers(0, 2, servers),
        server_available=rng.random(servers) < 0.9,
        server_ceiling_w=rng.integers(30, 60, servers) * 10,
        groups=tuple(
            SpreadGroup(
                name=f"G{g}",
                places=("R1", "R2"),
                place_of=row_of,
                max_per_place=int(rng.integers(1, 4)),
                present=rng.integers(0, 2, 2),
                all_or_nothing=bool(rng.random() < 0.5),
            )
            for g in range(groups)
        ),
        budgets=BudgetNumbers(tuple(f"t{t}" for t in range(slots)), families),
        prices=PlacementPrices(
            unplaced_vm=int(rng.choice([20_000, 20_000, 4_000])), spare_ceiling_10w=spare_ceiling_10w
        ),
    )
    return replace(problem, type_most_gpu_power_w=problem.type_gpu_power_w + reach_w) if reach_w.any() else problem


@pytest.fixture
def random_promises(random_problem: Callable[..., PlacementProblem]) -> Callable[..., PlacementProblem]:
    """A random problem with groups in one place, two rooms of two rows, buffers, reservations and spot VMs."""

    def make(seed: int, vms: int = 4, servers: int = 4, gpus: int = 0) -> PlacementProblem:
        problem = promising(random_problem(seed, vms=vms, servers=servers), seed)
        return in_parts(problem, np.random.default_rng([seed, 12]), [0.7, 1.0], gpus) if gpus else problem

    return make


def promising(problem: PlacementProblem, seed: int) -> PlacementProblem:
    rng = np.random.default_rng([seed, 11])
    vms, servers = len(problem.vms), len(problem.servers)
    row = rng.integers(0, 4, servers)
    counts = rng.random(servers) < 0.8
    levels = tuple(
        KeptBack(
            places=tuple(f"{name}{p}" for p in range(size)),
            place_of=np.where(counts, row // per, NONE),
            evictable=rng.integers(0, 2, size) * (name == "row"),
            buffer=rng.integers(0, 2, size),
        )
        for name, size, per in (("row", 4, 1), ("room", 2, 2), ("site", 1, 4))
    )
    spare = levels[0].evictable
    levels = (
        levels[0],
        replace(levels[1], evictable=spare.reshape(2, 2).sum(axis=1)),
        replace(levels[2], evictable=spare.sum(keepdims=True)),
    )
    reservations = []
    for r in range(int(rng.integers(0, 3))):
        level, place = int(rng.integers(0, 3)), int(rng.integers(0, 4))
        within = tuple(place // per if at >= level else NONE for at, per in enumerate((1, 2, 4)))
        reservations.append(Reservation(f"R{r}", r, int(rng.integers(0, 3)), level, within))
    together = [
        TogetherIn(("A", "B"), row // 2, rng.integers(0, 2, 2) * int(rng.random() < 0.3))
        if rng.random() < 0.5
        else None
        for _ in problem.groups
    ]
    groups = tuple(replace(g, together=t) for g, t in zip(problem.groups, together, strict=True))
    promises = Promises(rng.integers(NONE, 2, vms), levels, tuple(reservations))
    return replace(problem, groups=groups, promises=promises, vm_spot=rng.random(vms) < 0.3)


@pytest.fixture
def random_parts(random_problem: Callable[..., PlacementProblem]) -> Callable[..., PlacementProblem]:
    """A random problem whose two types take 1 GPU to all of a server, on servers that are partly taken."""

    def make(seed: int, vms: int = 5, servers: int = 3, gpus: int = 4) -> PlacementProblem:
        problem = random_problem(seed, vms=vms, servers=servers)
        return in_parts(problem, np.random.default_rng([seed, 7]), [0.5, 0.9, 1.0], gpus)

    return make


def in_parts(
    problem: PlacementProblem, rng: np.random.Generator, free_frac: Sequence[float], gpus: int
) -> PlacementProblem:
    servers = len(problem.servers)
    sizes = [size for size in (1, 2, 4, 8) if size <= gpus]
    ceiling = np.repeat(problem.server_ceiling_w[:, None], gpus, axis=1) + rng.integers(0, 3, (servers, gpus)) * 20
    unused = rng.random((servers, gpus)) < rng.choice(free_frac, (servers, 1))
    return on_hosts(problem, unused, np.full(servers, gpus), rng.choice(sizes, (2, 2)), ceiling)


@pytest.fixture
def fill_twice() -> Callable[..., None]:
    """Put VMs, in any order, on two sites, of which one keeps what it found: the best class must cost the same.

    Both take the same classes, and every fifth VM is taken back.
    """

    def fill(problem: PlacementProblem, seed: int) -> None:
        classes = placement_classes(problem)
        kept, anew = (Filling.of(problem, classes) for _ in range(2))
        for v in np.random.default_rng(seed).permutation(len(problem.vms)).tolist():
            anew.far = len(anew.taken)
            k, cost = kept.best_class(v)
            other, same_cost = anew.best_class(v)
            assert (k < 0, cost) == (other < 0, same_cost)
            if k >= 0:
                for site in (kept, anew):
                    site.take(v, k)
                    if v % 5 == 4:
                        site.give_back(v)

    return fill


@pytest.fixture(scope="session")
def exact() -> Callable[..., PlacementPlan]:
    """``exact(problem)``: an optimal plan, which the checker must accept at the cost that the solver says."""

    def found(
        problem: PlacementProblem,
        solve: Callable[..., MipResult] = highs.solve,
        classes: PlacementClasses | None = None,
    ) -> PlacementPlan:
        classes = classes or placement_classes(problem)
        threads = {} if solve is decomposition.solve else {"threads": 1}
        result = solve(formulate(problem, classes), deadline_s=20.0, gap_frac=0.0, **threads)
        assert result.status is MipStatus.OPTIMAL
        plan = decode(problem, classes, result.values)
        report = check(problem, plan)
        assert report.ok, report.violations
        assert report.objective == pytest.approx(result.objective, abs=1e-5)
        return plan

    return found


@pytest.fixture(scope="session")
def optimum(exact: Callable[..., PlacementPlan]) -> Callable[..., float]:
    """``optimum(problem)``: what an optimal plan costs."""
    return lambda problem, *args, **kwargs: check(problem, exact(problem, *args, **kwargs)).objective


@pytest.fixture(scope="session")
def all_plans() -> Callable[[PlacementProblem], Iterator[PlacementPlan]]:
    """``all_plans(problem)``: each VM on a server of its own or on none; for 4 VMs and 4 servers 209 plans."""

    def plans(problem: PlacementProblem) -> Iterator[PlacementPlan]:
        places = [*problem.servers, *[None] * len(problem.vms)]
        for chosen in set(permutations(places, len(problem.vms))):
            pairs = list(zip(problem.vms, chosen, strict=True))
            yield PlacementPlan({v: s for v, s in pairs if s}, tuple(v for v, s in pairs if not s))

    return plans
