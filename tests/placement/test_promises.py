"""Groups in one place, servers of a tenant, room for failover, and spot VMs that may sit there meanwhile."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from tapas_opt.budgets.classes import Classes
from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Binding, Constraint, Rejection
from tapas_opt.mip import cpsat, decomposition, highs
from tapas_opt.mip.pyomo_solver import differences, named
from tapas_opt.placement.aggregate import shares
from tapas_opt.placement.blocks import on_hosts
from tapas_opt.placement.check import binding, check, why_not
from tapas_opt.placement.check_hosts import free_part
from tapas_opt.placement.formulation import encode, formulate
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.places import Apart
from tapas_opt.placement.problem import PlacementPlan, SpreadGroup, placement_classes
from tapas_opt.placement.promises.numbers import KeptBack, Promises, Reservation, TogetherIn
from tapas_opt.placement.reference import reference

NONE = -1
SOLVERS = {"highs": highs.solve, "cpsat": cpsat.solve, "decomposition": decomposition.solve}


def broken(problem, server_of, gpus_of=None):
    unplaced = tuple(vm for vm in problem.vms if vm not in server_of)
    return [str(v) for v in check(problem, PlacementPlan(server_of, unplaced, gpus_of or {})).violations]


# Groups in one place.


@pytest.fixture
def one_rack(plain_problem):
    """Three VMs of a job that shares one rack: K1 has two servers, K2 three."""
    racks = np.array([0, 0, 1, 1, 1])
    job = SpreadGroup(
        name="job",
        places=("anywhere",),
        place_of=np.zeros(5, dtype=np.int64),
        max_per_place=9,
        present=np.array([0]),
        all_or_nothing=False,
        together=TogetherIn(("K1", "K2"), racks, np.array([0, 0])),
    )
    return plain_problem(
        ["V1", "V2", "V3"],
        ["S1", "S2", "S3", "S4", "S5"],
        BudgetNumbers(("now",), ()),
        vm_group=np.zeros(3, dtype=np.int64),
        groups=(job,),
    )


def with_running(problem, *present):
    (job,) = problem.groups
    return replace(problem, groups=(replace(job, together=replace(job.together, present=np.array(present))),))


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_a_group_shares_one_rack(one_rack, solve, exact):
    """All three fit into K2."""
    assert {*exact(one_rack, solve).server_of.values()} == {"S3", "S4", "S5"}


def test_greedy_begins_where_the_whole_group_has_room(one_rack):
    assert {*greedy(one_rack).server_of.values()} == {"S3", "S4", "S5"}


def test_greedy_begins_where_the_whole_group_is_fed(one_rack):
    """Both racks have servers for two members of 6 kW; K1 has 7 of 7 kW left for them, K2 12.5 of 100."""
    feeds = BudgetFamily(
        Constraint.RACK_POWER_BUDGET,
        "W",
        ("K1", "K2"),
        np.array([[0], [0], [1], [1], [1]]),
        np.full((5, 1), 1000),
        np.array([[7_000], [100_000]]),
        np.array([[0], [87_500]]),
    )
    pair = replace(one_rack, budgets=BudgetNumbers(("now",), (feeds,)), vm_group=np.array([0, 0, NONE]))
    plan = greedy(pair)
    assert {plan.server_of["V1"], plan.server_of["V2"]} < {"S3", "S4", "S5"}


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_new_members_join_those_that_run(one_rack, solve, exact):
    """One runs in K1, where two more have room: the third is left rather than put apart."""
    joined = with_running(one_rack, 1, 0)
    assert {*exact(joined, solve).server_of.values()} == {*greedy(joined).server_of.values()} == {"S1", "S2"}


def test_one_rack_each_row_is_its_equation(one_rack):
    """At most three where the group is, none elsewhere, in one place."""
    rows = named(formulate(one_rack, placement_classes(one_rack))).rows
    there = rows["group_together[job,K2]"]
    assert (dict(there.coefficients), there.upper) == ({"assign[V1,S3]": 1, "group_place[job,K2]": -3}, 0)
    once = rows["group_together[job,one place]"]
    assert (dict(once.coefficients), once.upper) == ({"group_place[job,K1]": 1, "group_place[job,K2]": 1}, 1)


def test_a_member_away_from_the_others_is_named(one_rack):
    assert broken(one_rack, {"V1": "S1", "V2": "S3", "V3": "S4"}) == ["group_together at job: 1 VMs too much"]
    assert broken(with_running(one_rack, 1, 0), {"V2": "S3"}) == ["group_together at job: 1 VMs too much"]
    assert broken(with_running(one_rack, 1, 1), {"V1": "S1", "V2": "S3"}) == []


def test_why_not_names_the_group(one_rack):
    """The two free servers are in another rack than the group."""
    full = replace(with_running(one_rack, 1, 0), server_available=np.array([False, False, True, True, True]))
    assert why_not(full, PlacementPlan({}, ("V1",))) == (Rejection("V1", Constraint.GROUP_TOGETHER, 1.0, "VMs"),)


# Servers that are kept back.


def room_of(plain_problem, vms, servers, *, buffer=0, due=0, tenant=(), spot=(), evictable=0, available=None):
    """One room of one kind of servers; ``due`` of them belong to ``tenant``, the number of whose VMs is given."""
    kept = KeptBack(
        places=("room-1",),
        place_of=np.zeros(servers, dtype=np.int64),
        evictable=np.array([evictable]),
        buffer=np.array([buffer]),
    )
    reserved = (Reservation("acme's", 0, due, 0, (0,)),) if due else ()
    vm_tenant = np.where(np.isin(np.arange(vms), tenant), 0, NONE)
    return plain_problem(
        [f"V{v + 1}" for v in range(vms)],
        [f"S{s + 1}" for s in range(servers)],
        BudgetNumbers(("now",), ()),
        vm_spot=np.isin(np.arange(vms), spot),
        promises=Promises(vm_tenant, (kept,), reserved),
        **({} if available is None else {"server_available": available}),
    )


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize(
    ("numbers", "placed"),
    [
        pytest.param({"buffer": 2}, {"V1"}, id="a buffer stays free"),
        pytest.param({"buffer": 2, "evictable": 1}, {"V1", "V2"}, id="what spot holds counts as free"),
        pytest.param({"buffer": 2, "spot": [1, 2]}, {"V1", "V2", "V3"}, id="spot may sit in the buffer"),
        pytest.param({"due": 2}, {"V1"}, id="what is owed stays free for its tenant"),
        pytest.param({"due": 2, "tenant": [0, 1]}, {"V1", "V2", "V3"}, id="the tenant takes its own"),
        pytest.param({"due": 1, "tenant": [0, 1], "buffer": 1}, {"V1", "V2"}, id="beyond its own it is as others"),
        pytest.param({"due": 2, "buffer": 5, "tenant": [0]}, {"V1"}, id="a short room serves whom it owes"),
    ],
)
def test_what_is_kept_back_stays_free(plain_problem, solve, numbers, placed, exact):
    """Three servers and three VMs; V1 has the highest priority."""
    problem = room_of(plain_problem, 3, 3, **numbers)
    problem = replace(problem, vm_priority=np.array([3, 2, 1]))
    assert {*exact(problem, solve).server_of} == {*greedy(problem).server_of} == placed


def test_spot_costs_less_unplaced(plain_problem, exact):
    """A quarter of 20,000, so that it goes first where one has to."""
    problem = room_of(plain_problem, 2, 1, spot=[0])
    assert check(problem, PlacementPlan({}, problem.vms)).terms["unplaced_vms"] == 25_000
    assert {*exact(problem).server_of} == {*greedy(problem).server_of} == {"V2"}


def test_each_row_is_the_equation_of_its_docstring(plain_problem):
    """Four servers, one kept for failover, two of them owed to acme, who asks for V1: owed = 2 − V1 at least."""
    problem = room_of(plain_problem, 3, 4, due=2, buffer=1, tenant=[0])
    rows = named(formulate(problem, placement_classes(problem))).rows
    owed = rows["tenant_reservation[acme's]"]
    assert (dict(owed.coefficients), owed.lower) == ({"owed[acme's]": 1, "assign[V1,S1]": 1}, 2)
    kept = rows["capacity_buffer[room-1]"]
    assert (dict(kept.coefficients), kept.upper) == ({"assign[V1,S1]": 1, "assign[V2,S1]": 1, "owed[acme's]": 1}, 3)


def test_places_that_the_batch_cannot_bring_short_have_no_row(plain_problem):
    """One VM and four servers of which three are kept: nothing to decide, and no class of its own."""
    problem = room_of(plain_problem, 1, 4, due=2, buffer=1)
    model = named(formulate(problem, placement_classes(problem)))
    assert not [name for name in [*model.rows, *model.columns] if name.startswith(("capacity", "tenant", "owed"))]


def test_the_checker_says_whose_servers_are_missing(plain_problem):
    """Of three servers one is for failover and one is acme's: the second VM takes the buffer, the third acme's."""
    problem = room_of(plain_problem, 3, 3, due=1, buffer=1)
    assert broken(problem, {"V1": "S1"}) == []
    assert broken(problem, {"V1": "S1", "V2": "S2"}) == ["capacity_buffer at room-1: 1 servers too much"]
    assert broken(problem, {"V1": "S1", "V2": "S2", "V3": "S3"}) == [
        "tenant_reservation at room-1: 1 servers too much",
        "capacity_buffer at room-1: 1 servers too much",
    ]


def test_why_not_and_binding_name_the_promise(plain_problem):
    problem = room_of(plain_problem, 2, 2, due=1)
    plan = PlacementPlan({"V1": "S1"}, ("V2",))
    assert why_not(problem, plan) == (Rejection("V2", Constraint.TENANT_RESERVATION, 1.0, "servers"),)
    assert binding(problem, plan) == (Binding(Constraint.TENANT_RESERVATION, "room-1", 0.0, "servers"),)
    buffered = room_of(plain_problem, 2, 2, buffer=1)
    assert why_not(buffered, plan) == (Rejection("V2", Constraint.CAPACITY_BUFFER, 1.0, "servers"),)


def test_why_not_tells_vms_apart_by_what_they_may_use(plain_problem):
    """Both servers are acme's: V1 may not have one; V2 of acme and V3, a spot VM, could have been placed."""
    problem = room_of(plain_problem, 3, 2, due=2, tenant=[1], spot=[2])
    assert why_not(problem, PlacementPlan({}, problem.vms)) == (
        Rejection("V1", Constraint.TENANT_RESERVATION, 1.0, "servers"),
    )


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_parts_break_as_few_servers_as_they_can(plain_problem, solve, exact):
    """Two servers of 8, one kept: four VMs of 2 GPUs that stay share the other, spot VMs of 4 have the kept one."""
    problem = room_of(plain_problem, 6, 2, buffer=1, spot=[4, 5])
    problem = replace(
        problem,
        vm_type=np.array([0, 0, 0, 0, 1, 1]),
        **{name: np.repeat(getattr(problem, name), 2, axis=0) for name in
           ("type_power_w", "type_airflow_cfm", "type_gpu_power_w", "type_fits")},
    )  # fmt: skip
    hosts = on_hosts(problem, np.full((2, 8), True), np.full(2, 8), np.array([[2], [4]]), np.full((2, 8), 1_000))
    for plan in (exact(hosts, solve), greedy(hosts)):
        assert plan.unplaced == ()
        assert len({plan.server_of[vm] for vm in ("V1", "V2", "V3", "V4")}) == 1
    halves = {"V1": "S1", "V2": "S2"}
    assert broken(hosts, halves, {"V1": (0, 1), "V2": (0, 1)}) == ["capacity_buffer at room-1: 1 servers too much"]


# Everything at once.


def all_plans(problem):
    """Every VM on every server or on none; parts in the first free block, those that stay first."""
    if problem.hosts is None:
        places = [*problem.servers, *[None] * len(problem.vms)]
        for chosen in set(permutations(places, len(problem.vms))):
            pairs = list(zip(problem.vms, chosen, strict=True))
            yield PlacementPlan({v: s for v, s in pairs if s}, tuple(v for v, s in pairs if not s))
        return
    order = sorted(
        range(len(problem.vms)), key=lambda v: (problem.is_spot[v], -problem.type_gpus[problem.vm_type[v]].max())
    )
    for chosen in product([None, *range(len(problem.servers))], repeat=len(problem.vms)):
        held, server_of, gpus_of = {}, {}, {}
        for v in order:
            s = chosen[v]
            part = () if s is None else free_part(problem, v, s, held.setdefault(s, set()))
            if part:
                held[s] |= {*part}
                server_of[problem.vms[v]], gpus_of[problem.vms[v]] = problem.servers[s], part
        yield PlacementPlan(server_of, tuple(vm for vm in problem.vms if vm not in server_of), gpus_of)


@pytest.mark.parametrize("seed", range(40))
def test_the_greedy_path_finds_what_it_kept_where_servers_are_kept_back(seed, random_promises, fill_twice):
    """What is scarce in a room or on the site reaches beyond the servers that share a budget."""
    fill_twice(random_promises(seed, servers=12, vms=14, gpus=4 * (seed % 2)), seed)


@pytest.mark.parametrize("gpus", [0, 4])
@pytest.mark.parametrize("seed", range(8))
def test_no_plan_is_better_than_the_optimum_of_any_solver(seed, gpus, random_promises, optimum):
    problem = random_promises(seed, servers=3 if gpus else 4, vms=3 if gpus else 4, gpus=gpus)
    reports = (check(problem, plan) for plan in all_plans(problem))
    best = min(report.objective for report in reports if report.ok)
    assert {name: optimum(problem, solve) for name, solve in SOLVERS.items()} == dict.fromkeys(SOLVERS, best)


@pytest.mark.parametrize("gpus", [0, 4])
@pytest.mark.parametrize("seed", range(20))
def test_the_bound_of_the_site_as_a_few_places_knows_of_promises_and_lies_below(seed, gpus, random_promises, optimum):
    problem = random_promises(seed, servers=3 if gpus else 5, vms=3 if gpus else 5, gpus=gpus)
    for apart in Apart:
        assert shares(problem, deadline_s=20.0, apart=apart).bound <= optimum(problem, highs.solve) + 1e-6


@pytest.mark.parametrize("gpus", [0, 8])
@pytest.mark.parametrize("seed", range(8))
def test_arrays_and_pyomo_are_the_same_model(seed, gpus, random_promises):
    problem = random_promises(seed, vms=7, servers=9, gpus=gpus)
    classes = placement_classes(problem)
    assert differences(formulate(problem, classes), reference(problem, classes)) == []


@pytest.mark.parametrize("gpus", [0, 8])
@pytest.mark.parametrize("seed", range(25))
def test_a_greedy_plan_is_lawful_and_costs_what_the_arrays_say(seed, gpus, random_promises):
    problem = random_promises(seed, vms=8, servers=9, gpus=gpus)
    classes = placement_classes(problem)
    plan = greedy(problem)
    report = check(problem, plan)
    assert report.ok, report.violations
    arrays, values = formulate(problem, classes), encode(problem, classes, plan)
    assert arrays.worst_violation(values) == 0.0
    assert arrays.objective(values) == report.objective


@pytest.mark.parametrize("gpus", [0, 4])
@pytest.mark.parametrize("seed", range(8))
def test_forgotten_places_change_nothing(seed, gpus, random_promises, optimum):
    """Every place stated, every server and VM a class of its own: the same best objective."""
    problem = random_promises(seed, vms=5, servers=5, gpus=gpus)
    classes = placement_classes(problem)
    stated = replace(classes, promises=problem.promises)
    mixed = replace(stated, servers=_singly(len(problem.servers)), server_names=problem.servers)
    mixed = replace(mixed, vms=_singly(len(problem.vms)), vm_names=problem.vms)
    result = highs.solve(formulate(problem, mixed), deadline_s=20.0, gap_frac=0.0, threads=1)
    assert result.objective == pytest.approx(optimum(problem), abs=1e-5)


def _singly(count):
    return Classes(np.arange(count), np.arange(count), np.ones(count, dtype=np.int64))
