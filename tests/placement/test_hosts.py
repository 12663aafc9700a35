"""Parts of servers: hosts are free blocks of GPUs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tapas_opt.budgets.numbers import BudgetNumbers
from tapas_opt.domain.result import Constraint, Rejection
from tapas_opt.mip import cpsat, highs
from tapas_opt.mip.pyomo_solver import differences, named
from tapas_opt.mip.relaxation import relaxed
from tapas_opt.placement.blocks import free_blocks, on_hosts
from tapas_opt.placement.check import check, why_not
from tapas_opt.placement.check_hosts import free_part
from tapas_opt.placement.formulation import decode, encode, formulate
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import PlacementPlan, placement_classes
from tapas_opt.placement.reference import reference

SOLVERS = {"highs": highs.solve, "cpsat": cpsat.solve}


def free(*servers: str) -> np.ndarray:
    """``"..xxxxxx"``: GPUs 0 and 1 are free."""
    return np.array([[gpu == "." for gpu in server] for server in servers])


@pytest.fixture
def half_used(plain_problem):
    """S1 of 8 GPUs has 0 and 1 taken, S2 is free; V1 asks for 4 GPUs, V2 for 2, V3 for a whole server.

    S1 leaves the blocks 4-7 and 2-3. V1 and V2 fill them and spare no GPU; V3 needs S2. 700 W a GPU of theirs.
    """
    problem = plain_problem(
        ["V1", "V2", "V3"],
        ["S1", "S2"],
        BudgetNumbers(("now",), ()),
        vm_type=np.array([0, 1, 2]),
        type_power_w=np.array([[[2_800]], [[1_400]], [[5_600]]]),
        type_airflow_cfm=np.full((3, 1, 1), 100),
        type_gpu_power_w=np.full((3, 1), 400),
        type_fits=np.full((3, 1), True),
    )
    gpus, ceiling = np.array([8, 8]), np.full((2, 8), 1_000)
    return on_hosts(problem, free("xx......", "........"), gpus, np.array([[4], [2], [8]]), ceiling)


def all_plans(problem):
    """Every VM on every host or on none, in its first free aligned block there (which one makes no difference)."""
    for chosen in product([None, *range(len(problem.servers))], repeat=len(problem.vms)):
        held: dict[int, set[int]] = {}
        server_of, gpus_of = {}, {}
        order = sorted(range(len(problem.vms)), key=lambda v: -problem.type_gpus[problem.vm_type[v]].max())
        for v in order:
            s = chosen[v]
            part = () if s is None else free_part(problem, v, s, held.setdefault(s, set()))
            if part:
                held[s] |= {*part}
                server_of[problem.vms[v]], gpus_of[problem.vms[v]] = problem.servers[s], part
        yield PlacementPlan(server_of, tuple(vm for vm in problem.vms if vm not in server_of), gpus_of)


@pytest.mark.parametrize(
    ("server", "blocks"),
    [
        ("xx......", [(4, 4), (2, 2)]),
        (".xxxxxxx", [(0, 1)]),
        ("x......x", [(2, 2), (4, 2), (1, 1), (6, 1)]),
        ("xxxxxxxx", []),
        ("x.....", [(2, 2), (4, 2), (1, 1)]),
    ],
)
def test_free_blocks_are_aligned_and_as_large_as_they_can_be(server, blocks):
    assert list(free_blocks(free(server)[0])) == blocks


def test_hosts_bear_the_name_of_their_server_and_gpus(half_used):
    assert half_used.servers == ("S1:4-7", "S1:2-3", "S2")
    assert half_used.hosts.server == ("S1", "S1", "S2")


def test_a_block_is_as_cool_as_its_hottest_gpu(plain_problem):
    """Ceilings are per block: GPU 5 of 600 W bounds the block 4-7, not the block 2-3."""
    problem = plain_problem(["V1"], ["S1"], BudgetNumbers(("now",), ()))
    ceiling = np.array([[900, 900, 900, 800, 900, 600, 900, 900]])
    hosts = on_hosts(problem, free("xx......"), np.array([8]), np.array([[1]]), ceiling)
    assert hosts.server_ceiling_w.tolist() == [600, 800]


def test_what_fits_a_part_does_not_break_a_server(half_used):
    """V1 on S1:4-7, V2 on S1:2-3, V3 on S2: nothing is spared."""
    plan = greedy(half_used)
    assert plan.server_of == {"V1": "S1:4-7", "V2": "S1:2-3", "V3": "S2"}
    assert plan.gpus_of == {"V1": (4, 5, 6, 7), "V2": (2, 3), "V3": tuple(range(8))}
    assert check(half_used, plan).ok
    assert check(half_used, plan).terms["spare_gpus"] == 0


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_the_optimum_breaks_no_server_either(half_used, solve, optimum):
    assert optimum(half_used, solve) == 0


def test_capacity_counts_gpus_and_columns_are_only_where_a_vm_fits(half_used):
    """A whole server's VM has no column on a block; S2 holds 8 GPUs of any."""
    model = named(formulate(half_used, placement_classes(half_used)))
    rows = model.rows
    assert "assign[V3,S1:4-7]" not in model.columns
    assert dict(rows["server_gpu_capacity[S2]"].coefficients) == {
        "assign[V1,S2]": 4,
        "assign[V2,S2]": 2,
        "assign[V3,S2]": 8,
        "left_over[S2]": 1,
        "begun[S2]": -8,
    }
    assert rows["server_gpu_capacity[S2]"].lower == rows["server_gpu_capacity[S2]"].upper == 0
    assert model.columns["assign[V2,S2]"].upper == 1
    assert model.columns["left_over[S2]"].cost == 100


@pytest.mark.parametrize(("count", "spared"), [(1, 6), (3, 2), (4, 0), (5, 6)])
def test_the_linear_program_knows_that_hosts_are_begun_as_a_whole(count, spared, plain_problem, optimum):
    """VMs of 2 GPUs on servers of 8: what they lack to whole servers is left over, whoever shares with whom."""
    names, ceiling = [f"V{v}" for v in range(count)], np.full((3, 8), 1_000)
    problem = plain_problem(names, ["S1", "S2", "S3"], BudgetNumbers(("now",), ()))
    parts = on_hosts(problem, free("........", "........", "........"), np.full(3, 8), np.array([[2]]), ceiling)
    linear = relaxed(formulate(parts, placement_classes(parts)))
    assert highs.solve(linear, deadline_s=20.0).objective == pytest.approx(100 * spared)
    assert optimum(parts) == 100 * spared


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_counts_allow_finds_its_blocks(seed, plain_problem):
    """Sizes divide one another: Σ gpus ≤ free is enough, however many of each there are (docs/adr/0019)."""
    rng = np.random.default_rng(seed)
    problem = plain_problem(
        [f"V{v}" for v in range(40)],
        ["S1", "S2", "S3"],
        BudgetNumbers(("now",), ()),
        vm_type=rng.integers(0, 4, 40),
        type_power_w=np.ones((4, 1, 1), dtype=np.int64),
        type_airflow_cfm=np.ones((4, 1, 1), dtype=np.int64),
        type_gpu_power_w=np.full((4, 1), 400),
        type_fits=np.full((4, 1), True),
    )
    sizes = np.array([[1], [2], [4], [8]])
    hosts = on_hosts(problem, np.full((3, 8), True), np.full(3, 8), sizes, np.full((3, 8), 1_000))
    classes = placement_classes(hosts)
    values = highs.solve(formulate(hosts, classes), deadline_s=20.0, gap_frac=0.0, threads=1).values
    plan = decode(hosts, classes, values)
    assert check(hosts, plan).ok
    assert sum(map(len, plan.gpus_of.values())) == 24


def doctored(problem, server_of, gpus_of):
    unplaced = tuple(vm for vm in problem.vms if vm not in server_of)
    return [str(v) for v in check(problem, PlacementPlan(server_of, unplaced, gpus_of)).violations]


def test_the_checker_counts_gpus_itself(half_used):
    def found(**given):
        server_of = {vm: host for vm, (host, _) in given.items()}
        return doctored(half_used, server_of, {vm: gpus for vm, (_, gpus) in given.items()})

    assert found(V1=("S2", (0, 1, 2, 3)), V2=("S2", (4, 5))) == []
    assert found(V1=("S2", (0, 1, 2, 3)), V2=("S2", (2, 3))) == [
        "server_gpu_capacity at S2 GPU 2: 1 VMs too much",
        "server_gpu_capacity at S2 GPU 3: 1 VMs too much",
    ]
    assert found(V2=("S2", (1, 2))) == [
        "server_gpu_capacity at V2 on S2, GPUs 1, 2 are no aligned block: 2 GPUs too much"
    ]
    assert found(V2=("S2", (0, 2))) == [
        "server_gpu_capacity at V2 on S2, GPUs 0, 2 are no aligned block: 2 GPUs too much"
    ]
    assert found(V2=("S2", (0, 1, 2))) == ["server_gpu_capacity at V2 on S2: 1 GPUs too much"]
    assert found(V2=("S2", ())) == ["server_gpu_capacity at V2 on S2: 2 GPUs too much"]
    assert found(V2=("S1:4-7", (2, 3))) == ["server_gpu_capacity at V2 on S1:4-7: 2 GPUs too much"]
    assert found(V2=("S9", (2, 3))) == ["server_gpu_capacity at S9: 1 VMs too much"]


def test_the_checker_knows_what_is_taken_and_what_fits(half_used):
    cordoned = replace(half_used, server_available=np.array([True, True, False]))
    wrong = replace(half_used, type_fits=np.array([[True], [False], [True]]))
    for problem in (cordoned, wrong):
        assert doctored(problem, {"V2": "S2"}, {"V2": (0, 1)}) == ["server_gpu_capacity at S2: 1 VMs too much"]


def test_why_not_says_that_no_block_is_large_enough(half_used):
    """With S2 broken by V2, V3 finds no server; V1 still finds its block."""
    plan = PlacementPlan({"V2": "S2"}, ("V1", "V3"), {"V2": (0, 1)})
    assert why_not(half_used, plan) == (Rejection("V3", Constraint.SERVER_GPU_CAPACITY, 1.0, "servers"),)


@pytest.mark.parametrize("seed", range(20))
def test_arrays_and_pyomo_are_the_same_model(seed, random_parts):
    problem = random_parts(seed, vms=7, servers=5, gpus=8)
    classes = placement_classes(problem)
    assert differences(formulate(problem, classes), reference(problem, classes)) == []


@pytest.mark.parametrize("seed", range(40))
def test_a_greedy_plan_is_lawful_and_costs_what_the_arrays_say(seed, random_parts, optimum):
    problem = random_parts(seed, vms=8, servers=6, gpus=8)
    classes = placement_classes(problem)
    plan = greedy(problem)
    report = check(problem, plan)
    assert report.ok, report.violations
    arrays, values = formulate(problem, classes), encode(problem, classes, plan)
    assert arrays.worst_violation(values) == 0.0
    assert arrays.objective(values) == report.objective
    assert report.objective >= optimum(problem)


@pytest.mark.parametrize("seed", range(12))
def test_no_plan_is_better_than_the_optimum_of_either_solver(seed, random_parts, optimum):
    problem = random_parts(seed, vms=4, servers=2)
    reports = (check(problem, plan) for plan in all_plans(problem))
    best = min(report.objective for report in reports if report.ok)
    assert {name: optimum(problem, solve) for name, solve in SOLVERS.items()} == dict.fromkeys(SOLVERS, best)


@pytest.mark.parametrize("seed", range(10))
def test_whole_servers_as_hosts_are_the_same_problem(seed, random_problem, optimum):
    """Where every VM takes all of a server, counting GPUs changes nothing."""
    problem = random_problem(seed, vms=5, servers=5)
    ceiling = np.repeat(problem.server_ceiling_w[:, None], 8, axis=1)
    hosts = on_hosts(problem, np.full((5, 8), True), np.full(5, 8), np.full((2, 2), 8), ceiling)
    assert hosts.servers == problem.servers
    assert optimum(hosts) == optimum(problem)
