"""From a fleet and a batch to a placement problem."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.placing import placement_problem
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.domain.workload import Group, SpreadOver
from tapas_opt.learn.load import OwnLoadEntry

PAIR = [Failure(FailureKind.UPS, name) for name in ("U1", "U2")]


@pytest.fixture
def problem_of(controller, forecast_of):
    """State the placement of some VMs on the controller's fleet."""
    return lambda vms, *failures, groups=(): placement_problem(forecast_of(controller.fleet, *failures), vms, groups)


def test_only_hardware_that_was_asked_for_and_profiled_fits(problem_of, iaas, saas):
    """An H100 is not there; an A100 is; a configuration nobody profiled here cannot be started."""
    vms = [
        *iaas(1, gpu_models=("H100",)),
        *iaas(1, gpu_models=("H100", "A100")),
        *saas(1),
        *saas(1, configuration="never-profiled"),
    ]
    problem = problem_of(vms)
    assert problem.type_fits[problem.vm_type].ravel().tolist() == [False, True, True, False]
    assert not problem.eligible()[problem.vm_type[0]].any()


def test_vms_that_are_predicted_alike_are_one_type(problem_of, iaas, saas):
    """Twenty of a tenant are one; a tenant named like the endpoint is not its instance."""
    problem = problem_of([*iaas(20), *saas(3), *iaas(1, name="same", tenant="conv")])
    assert problem.vm_type.tolist() == [0] * 20 + [1] * 3 + [2]
    assert problem.type_gpu_power_w[1, 0] != problem.type_gpu_power_w[2, 0]


def test_a_vm_with_a_load_of_its_own_stands_for_nobody_else(controller, forecast_of, iaas, models):
    """``i1`` ran here before and idled most of the time; i0 and i2 are what their tenant usually is."""
    own = OwnLoadEntry("tenant01", (-0.3,) * 24, (0.05,) * 24, (0.1,) * 24)
    known = replace(models, own_load=replace(models.own_load, entries={"i1": own}))
    problem = placement_problem(forecast_of(controller.fleet, models=known), iaas(3), ())
    assert problem.vm_type.tolist() == [0, 1, 0]
    assert (problem.type_power_w[1, 0] < problem.type_power_w[0, 0]).all()


def test_servers_that_are_taken_cordoned_or_draining_are_not_available(controller, problem_of, iaas, run):
    """Three of 80; the one that came back is."""
    run(iaas(1))
    for server, state in (("R1-K1-S2", "cordoned"), ("R1-K1-S3", "draining"), ("R1-K1-S4", "cordoned")):
        controller.apply(controller.set_server_state(server, happened.ServerState(state)))
    controller.apply(controller.set_server_state("R1-K1-S4", happened.ServerState.IN_SERVICE))
    available = problem_of(iaas(1, name="new")).server_available
    assert np.flatnonzero(~available).tolist() == [0, 1, 2]


def test_dark_servers_are_not_available(controller, problem_of, iaas):
    """With both UPSs of a pair lost, the racks that hang on that pair alone have no power."""
    topology = controller.fleet.topology
    pair_of, pairs = topology.server_ups_pair()
    dark = np.array([pairs[p] for p in pair_of]) == next(name for name in pairs if "U1" in name and "U2" in name)
    assert dark.any()
    assert (problem_of(iaas(1), *PAIR).server_available == ~dark).all()


def test_what_runs_is_in_the_base_and_its_excess_is_tolerated(controller, problem_of, iaas, saas, run):
    """The same servers draw more once VMs are on them; a limit is never below what is drawn already."""
    before = problem_of(iaas(1, name="new"))
    run([*saas(60)])
    after = problem_of(iaas(1, name="new"))
    for less, more in zip(before.budgets.families, after.budgets.families, strict=True):
        assert (more.base >= less.base).all()
        assert (more.limit >= more.base).all()
    rows = next(f for f in after.budgets.families if f.constraint is Constraint.ROW_POWER_BUDGET)
    assert rows.base.shape == (2, 24)


def test_ceilings_beyond_what_any_gpu_can_draw_are_alike(problem_of, iaas):
    """400 W and the comfort of 40 W: a cool server is no cooler than that to anybody."""
    assert problem_of(iaas(1)).server_ceiling_w.max() <= 440


def test_an_opaque_vm_may_draw_all_that_its_gpus_can_and_an_instance_what_its_profile_says(
    problem_of, profiles, chat, iaas, saas
):
    """Whatever it was seen to draw: 400 W in some minute of the weeks that it stays."""
    problem = problem_of([*iaas(1, tenant="tenant09"), *saas(1)])
    opaque, instance = problem.vm_type
    assert problem.most_gpu_power_w[opaque, 0] == 400 > problem.type_gpu_power_w[opaque, 0]
    full_w = profiles.get(chat.configuration, "dgx-a100").hottest_gpu_power_w[-1]
    assert problem.most_gpu_power_w[instance, 0] == problem.type_gpu_power_w[instance, 0] == np.ceil(full_w)


def test_a_group_counts_its_members_that_run(controller, problem_of, iaas, run):
    """Two of ``g1`` run on rack R1-K1; a third comes and knows of them without the group being sent again."""
    group = Group("g1", SpreadOver.RACK, max_per_place=2)
    controller.apply([happened.GroupPut(group)])
    run(iaas(2, group="g1"))
    problem = problem_of([*iaas(1, name="new", group="g1"), *iaas(1, name="alone")])
    assert problem.vm_group.tolist() == [0, NONE]
    (spread,) = problem.groups
    assert (spread.name, spread.max_per_place, spread.present[0], spread.present.sum()) == ("g1", 2, 2, 2)


@pytest.mark.parametrize(
    ("over", "places"),
    [(SpreadOver.RACK, 20), (SpreadOver.ROW, 2), (SpreadOver.AISLE, 2), (SpreadOver.UPS_PAIR, 6), (None, 1)],
)
def test_a_group_spreads_over_the_places_it_names(problem_of, iaas, over, places):
    """20 racks of four, two rows, two aisles, six pairs of four UPSs; without a word, one place that holds all."""
    group = Group("g1", over, max_per_place=3, all_or_nothing=True)
    (spread,) = problem_of(iaas(1, group="g1"), groups=[group]).groups
    assert (len(spread.places), spread.all_or_nothing) == (places, True)
    assert np.bincount(spread.place_of).sum() == 80
    assert spread.max_per_place == (3 if over else 80)


def test_a_group_that_comes_along_takes_the_place_of_the_one_known(controller, problem_of, iaas):
    """Whoever sends a group anew means it."""
    controller.apply([happened.GroupPut(Group("g1", SpreadOver.RACK))])
    (spread,) = problem_of(iaas(1, group="g1"), groups=[Group("g1", SpreadOver.ROW)]).groups
    assert spread.places == ("R1", "R2")


def test_priorities_and_names_are_taken_over(problem_of, iaas):
    """What the caller said, in the caller's order."""
    problem = problem_of([*iaas(1, name="b", priority=9), *iaas(1, name="a", priority=1)])
    assert (problem.vms, problem.vm_priority.tolist()) == (("b", "a"), [9, 1])


def test_a_week_has_its_own_slot_for_each_hour_and_its_worst_weekdays_are_the_day(
    controller, forecast_of, iaas, saas, run
):
    """168 hours; the highest of an hour's seven days is what the 24 slots of a day have, for bases and for VMs."""
    run([*iaas(30), *saas(8)])
    forecast = forecast_of(controller.fleet)
    vms = iaas(2, name="new")
    day, week = placement_problem(forecast, vms), placement_problem(forecast, vms, week=True)
    assert len(set(week.budgets.slots)) == 168
    assert [name[-3:] for name in week.budgets.slots[:24]] == list(day.budgets.slots)
    for one, many in zip(day.budgets.families, week.budgets.families, strict=True):
        assert (many.base.reshape(-1, 7, 24).max(axis=1) <= one.base).all()
        assert (many.base.reshape(-1, 7, 24).max(axis=1) >= 0.9 * one.base).all()
    assert (week.type_power_w.reshape(1, 1, 7, 24).max(axis=2) == day.type_power_w).all()
