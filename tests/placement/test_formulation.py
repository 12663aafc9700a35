"""Placement as arrays and as Pyomo algebra, and plans as column values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.mip.pyomo_solver import differences, named
from tapas_opt.placement.check import check
from tapas_opt.placement.formulation import decode, encode, formulate
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import PlacementPlan, placement_classes
from tapas_opt.placement.reference import reference


def arrays_of(problem):
    return formulate(problem, placement_classes(problem))


def test_alike_vms_and_servers_are_counted_not_named(two_hot_vms):
    """V1 and V2 are one class, S1 and S2 another, S3 and S4 a third: two integer counts instead of eight binaries."""
    columns = named(arrays_of(two_hot_vms)).columns
    assert set(columns) == {"assign[V1,S1]", "assign[V1,S3]", "unplaced[V1]", "peak_increase[row_power_budget]"}
    assert columns["assign[V1,S1]"].upper == 2


def test_each_row_is_the_equation_of_its_docstring(two_hot_vms):
    """10 kW feed one VM of 6 kW; a step is 10 W, nothing is drawn yet, so peak_increase counts from 0."""
    rows = named(arrays_of(two_hot_vms)).rows
    once = rows["vm_placed_once[V1]"]
    assert (once.lower, once.upper) == (2, 2)
    assert dict(once.coefficients) == {"assign[V1,S1]": 1, "assign[V1,S3]": 1, "unplaced[V1]": 1}
    capacity = rows["server_gpu_capacity[S3]"]
    assert (dict(capacity.coefficients), capacity.upper) == ({"assign[V1,S3]": 1}, 2)
    budget = rows["row_power_budget[R1,now]"]
    assert (dict(budget.coefficients), budget.upper) == ({"assign[V1,S1]": 6_000}, 10_000)
    peak = rows["peak_utilisation[row_power_budget,R2,now]"]
    expected = {"assign[V1,S3]": 6_000, "peak_increase[row_power_budget]": -10}
    assert (dict(peak.coefficients), peak.upper) == (expected, 0)


def test_a_hot_server_has_no_column_and_a_warm_one_a_price(hot_aisle):
    """gpu_temperature_limit is eligibility: 400 W on a ceiling of 390 W is none; on 420 W it is 30 W into 50 W."""
    columns = named(arrays_of(hot_aisle)).columns
    assert "assign[V1,S1]" not in columns
    assert columns["assign[V1,S2]"].cost == 18
    assert columns["assign[V1,S3]"].cost == 0


def test_spare_ceiling_is_priced_on_the_column_and_tells_servers_apart(cool_and_warm):
    """V1: 130 W to spare on S1 cost 13, 10 W on S2 cost 1; V2: 30 W on S1 cost 3, and S2 is too hot for a column."""
    columns = named(arrays_of(cool_and_warm)).columns
    costs = {name: column.cost for name, column in columns.items() if name.startswith("assign")}
    assert costs == {"assign[V1,S1]": 13, "assign[V1,S2]": 1, "assign[V2,S1]": 3}
    classes = placement_classes(cool_and_warm)
    assert differences(formulate(cool_and_warm, classes), reference(cool_and_warm, classes)) == []


def test_random_problems_price_spare_ceiling_or_do_not(random_problem):
    """The witnesses below agree on the new term only where it is there to disagree on."""
    assert {random_problem(seed).prices.spare_ceiling_10w for seed in range(30)} == {0, 1, 3}


def test_groups_spread_and_stay_whole(three_replicas):
    """One each rack, K3 has its one already; all three or none: unplaced + 3 · placed = 3."""
    rows = named(arrays_of(three_replicas)).rows
    assert {name: row.upper for name, row in rows.items() if name.startswith("group_spread")} == {
        "group_spread[chat,K1]": 1,
        "group_spread[chat,K2]": 1,
        "group_spread[chat,K3]": 0,
    }
    whole = rows["group_all_or_nothing[chat]"]
    assert (dict(whole.coefficients), whole.lower) == ({"unplaced[V1]": 1, "group_placed[chat]": 3}, 3)


def test_unavailable_servers_are_one_class_whatever_they_are(two_hot_vms):
    """A full site of thousands must not make thousands of classes that no VM may use."""
    problem = replace(two_hot_vms, server_available=np.array([True, False, False, False]))
    assert placement_classes(problem).servers.of.tolist() == [0, 1, 1, 1]


def test_ceilings_above_every_comfort_are_alike(hot_aisle):
    """450 W is the hottest VM's 400 W and its comfort of 50 W: beyond, a watt more is worth nothing if it is free."""
    problem = replace(hot_aisle, server_ceiling_w=np.array([449, 450, 900]))
    assert placement_classes(problem).servers.of.tolist() == [0, 1, 1]


def test_every_row_bears_the_name_of_a_constraint(random_problem):
    """One word each in arrays, algebra, checker and docs."""
    names = {block.name for seed in range(5) for block in arrays_of(random_problem(seed)).row_blocks}
    assert names <= set(Constraint)


@pytest.mark.parametrize("seed", range(30))
def test_arrays_and_pyomo_are_the_same_model(seed, random_problem):
    """Two witnesses, coefficient by coefficient and by name, over groups, two kinds of hardware, halves and thirds."""
    problem = random_problem(seed, vms=7, servers=8, types=3)
    classes = placement_classes(problem)
    assert differences(formulate(problem, classes), reference(problem, classes)) == []


@pytest.mark.parametrize("seed", range(100))
def test_a_plan_keeps_its_cost_as_column_values(seed, random_problem):
    """What the checker adds up on named servers is what the arrays charge over classes, to the last unit."""
    problem = random_problem(seed, vms=8, servers=9)
    classes = placement_classes(problem)
    plan = greedy(problem)
    arrays, values = formulate(problem, classes), encode(problem, classes, plan)
    assert arrays.worst_violation(values) == 0.0
    assert arrays.objective(values) == check(problem, plan).objective


@pytest.mark.parametrize("seed", range(40))
def test_decoding_undoes_encoding_up_to_symmetry(seed, random_problem):
    """A warm start that meant another plan would be a wrong warm start."""
    problem = random_problem(seed, vms=8, servers=9)
    classes = placement_classes(problem)
    values = encode(problem, classes, greedy(problem))
    again = decode(problem, classes, values)
    assert (encode(problem, classes, again) == values).all()
    assert check(problem, again).ok


def test_the_coolest_server_of_a_class_comes_first(hot_aisle):
    """S2 (700 W) and S3 (800 W) are alike to a VM of 400 W; the one with more to spare takes it."""
    problem = replace(hot_aisle, server_ceiling_w=np.array([390, 700, 800]))
    classes = placement_classes(problem)
    values = encode(problem, classes, PlacementPlan({"V1": "S2"}, ()))
    assert decode(problem, classes, values) == PlacementPlan({"V1": "S3"}, ())


def test_an_empty_batch_is_an_empty_model(two_hot_vms):
    """Nothing waits: nothing to decide, nothing to pay."""
    problem = replace(two_hot_vms, vms=(), **dict.fromkeys(("vm_type", "vm_priority", "vm_group"), np.zeros(0, int)))
    classes = placement_classes(problem)
    arrays = formulate(problem, classes)
    assert arrays.rows_count == 0
    values = encode(problem, classes, PlacementPlan({}, ()))
    assert decode(problem, classes, values) == greedy(problem) == PlacementPlan({}, ())
    assert differences(arrays, reference(problem, classes)) == []
