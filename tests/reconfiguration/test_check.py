from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Binding, Constraint, Rejection
from tapas_opt.reconfiguration.check import binding, check, check_waves, wave_shortfalls, why_not
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, Stage

BIG, HALF, SLOW, SMALL, PARKED = range(5)
U1 = (Constraint.UPS_POWER_CAPACITY, "U1")


def broken(problem, plan):
    return [(v.constraint, v.where, v.excess, v.unit) for v in check(problem, plan).violations]


def test_the_present_plan_of_a_healthy_room_breaks_nothing(cold_spare):
    """What runs undisturbed must not be reported."""
    assert check(cold_spare, cold_spare.present()).ok


def test_every_term_is_counted(cold_spare):
    """small@1 gives 1,200 with 100 ‰ lost and reloads, I2 stays parked: 600 short, 1,200 × 100 × 10, 2,000 W, 2,200."""
    assert check(cold_spare, cold_spare.plan([SMALL, PARKED])).terms == {
        "unserved": 6_000_000,
        "quality": 1_200_000,
        "energy": 2_000,
        "changes": 2_200,
    }


def test_an_instance_without_a_choice_is_caught(one_ups_failed):
    """A plan names every instance once, with a choice that exists, and nobody else."""
    plan = one_ups_failed.plan([SLOW] * 4)
    choices = dict(plan.choice_of)
    del choices["I2"]
    choices |= {"I3": "huge@1", "I9": "parked"}
    assert sorted(broken(one_ups_failed, replace(plan, choice_of=choices))) == [
        ("instance_has_one_choice", "I2", 1.0, "choices missing"),
        ("instance_has_one_choice", "I3", 1.0, "choices missing"),
        ("instance_has_one_choice", "I9", 1.0, "unknown instances"),
    ]


def test_a_choice_below_the_quality_floor_is_caught(cold_spare):
    """The endpoint does not accept the small model."""
    strict = replace(cold_spare, allowed=np.array([[True, True, True, False, False]]))
    assert broken(strict, strict.plan([SMALL, PARKED])) == [
        ("instance_has_one_choice", "I1", 1.0, "choices not accepted")
    ]


def test_a_choice_that_the_hardware_cannot_run_is_caught(cold_spare):
    """The big model does not fit into the memory of I2's server."""
    choices = cold_spare.choices
    two = replace(
        choices,
        runs_on=np.array([[True] * 5, [False, False, False, True, True]]),
        **{
            name: np.repeat(getattr(choices, name), 2, axis=0)
            for name in ("goodput_tokens_per_s", "power_w", "airflow_cfm", "gpu_power_w")
        },
    )
    problem = replace(cold_spare, choices=two, instance_hardware=np.array([0, 1]))
    assert broken(problem, problem.plan([BIG, BIG])) == [("instance_has_one_choice", "I2", 1.0, "choices not accepted")]


def test_what_runs_below_the_floor_may_go_on_in_an_emergency_only(cold_spare):
    """Enforcing quality is no relief; settled, the floor holds again."""
    running = replace(
        cold_spare, current=np.array([SMALL, PARKED]), allowed=np.array([[True, True, True, False, False]])
    )
    assert check(replace(running, stage=Stage.NOW), running.present()).ok
    assert not check(running, running.present()).ok


def test_an_overheated_gpu_is_caught(room):
    """400 W under a ceiling of 320 W is 80 W too hot."""
    problem = room(current=[BIG], demand=0, limit_w=9_000, ceiling_w=320)
    assert broken(problem, problem.present()) == [("gpu_temperature_limit", "I1", 80.0, "W")]


def test_late_relief_is_caught(one_ups_failed):
    """Half the load leaves in 4 s where 2.5 s are borne."""
    hasty = replace(one_ups_failed, instance_tolerance_s=np.full(4, 2.5))
    plan = hasty.plan([SLOW, SLOW, SLOW, HALF])
    assert ("relief_in_time", "I4", 1.5, "s") in broken(hasty, plan)


def test_late_watts_are_not_counted_as_relief(one_ups_failed):
    """I4 counts with its present 4,000 W: 3 × 3,000 + 4,000 = 13,000 W of 12,000 W."""
    hasty = replace(one_ups_failed, instance_tolerance_s=np.full(4, 2.5))
    plan = replace(hasty.plan([SLOW, SLOW, SLOW, HALF]), excess={})
    assert ("ups_power_capacity", "U1", 1_000.0, "W") in broken(hasty, plan)


def test_a_reload_in_an_emergency_is_caught(one_ups_failed):
    """Weights are never loaded in stage Now."""
    relaxed = replace(one_ups_failed, instance_tolerance_s=np.full(4, np.inf))
    assert broken(relaxed, relaxed.plan([SMALL, SLOW, SLOW, SLOW])) == [("reload_limit", "I1", 1.0, "reloads")]


def test_a_change_too_many_is_caught(one_ups_failed):
    """Four changes of three."""
    problem = replace(one_ups_failed, change_budget=3)
    assert broken(problem, problem.plan([SLOW] * 4)) == [("change_budget", "site", 1.0, "changes")]


def test_undeclared_excess_is_caught(one_ups_failed):
    """4 × 4,000 = 16,000 W of 12,000 W; 4,000 W are accepted once declared, 3,999 W are not."""
    present = one_ups_failed.present()
    assert present.excess == {U1: 4_000.0}
    assert check(one_ups_failed, present).ok
    assert broken(one_ups_failed, replace(present, excess={})) == [("ups_power_capacity", "U1", 4_000.0, "W")]
    assert broken(one_ups_failed, replace(present, excess={U1: 3_999.0})) == [("ups_power_capacity", "U1", 1.0, "W")]


@pytest.mark.parametrize("amount", [-1.0, np.inf, np.nan])
def test_an_absurd_declaration_is_caught(one_ups_failed, amount):
    """Declaring infinity would switch the budget off."""
    plan = replace(one_ups_failed.plan([SLOW] * 4), excess={U1: amount})
    assert any("declared" in v.unit for v in check(one_ups_failed, plan).violations)


def test_excess_alone_is_the_objective_of_the_first_solve(one_ups_failed):
    """What it costs besides is for the second."""
    assert check(one_ups_failed.minimising_excess(), one_ups_failed.present()).terms == {"excess": 4_000.0}


def test_a_plan_is_allowed_only_as_much_excess_as_was_found(one_ups_failed):
    """The second solve may not trade watts over the limit for tokens."""
    present = one_ups_failed.present()
    assert not one_ups_failed.allows(present)
    assert one_ups_failed.minimising_excess().allows(present)
    assert one_ups_failed.with_allowed_excess({U1: 4_000.0}).allows(present)


def test_waves_must_cover_the_changes_once(cold_spare):
    """I2 changes: in no wave, in two, or I1 beside it, are all wrong."""
    plan = cold_spare.plan([BIG, SLOW])
    for waves in ((("I1",),), (("I2",), ("I2",)), (("I1", "I2"),), (("I2", "I7"),)):
        found = {v.constraint for v in check(cold_spare, replace(plan, waves=waves)).violations}
        assert found == {Constraint.INSTANCE_HAS_ONE_CHOICE}
    assert check(cold_spare, replace(plan, waves=(("I2",),))).ok


def test_too_many_reloads_in_a_wave_are_caught(room):
    """Two at once where one may load."""
    problem = room(current=[PARKED] * 2, demand=0, limit_w=9_000, stage=Stage.SETTLED, reload_limit=1)
    plan = replace(problem.plan([SLOW, SLOW]), waves=(("I1", "I2"),))
    assert [(v.constraint, v.where, v.excess) for v in check_waves(problem, plan)] == [("reload_limit", "wave 1", 1.0)]


def test_the_higher_of_two_draws_counts_during_a_wave(room):
    """I1 goes from 4,000 to 2,000 W while I2 starts 3,000 W: at once 7,000 W of 6,000 W, one after the other not."""
    problem = room(current=[BIG, PARKED], demand=0, limit_w=6_000, stage=Stage.SETTLED)
    plan = problem.plan([SMALL, SLOW])
    together = check_waves(problem, replace(plan, waves=(("I1", "I2"),)))
    assert [(v.constraint, v.where, v.excess) for v in together] == [
        ("ups_power_capacity", "U1 during wave 1", 1_000.0)
    ]
    assert check_waves(problem, replace(plan, waves=(("I1",), ("I2",)))) == ()


def test_who_reloads_serves_nothing(room):
    """1,200 asked of 2 × 1,000: I1 away leaves 1,000, then 1,200 + 0 with I2 away."""
    problem = room(current=[BIG, BIG], demand=1_200, limit_w=20_000, stage=Stage.SETTLED)
    plan = replace(problem.plan([SMALL, SMALL]), waves=(("I1",), ("I2",)))
    assert wave_shortfalls(problem, plan) == (200, 0)
    assert wave_shortfalls(problem, replace(plan, waves=(("I1", "I2"),))) == (1_200,)


def test_why_not_names_what_is_missing(room):
    """400 of 2,000 tokens/s are short: big@1 draws 1,000 W more, of which 6,500 − 6,000 = 500 W are there."""
    problem = room(current=[SLOW, SLOW], demand=2_000, limit_w=6_500, change_budget=0)
    problem = replace(problem, allowed=np.array([[True, True, True, False, True]]))
    assert why_not(problem, problem.present()) == tuple(
        Rejection(name, constraint, amount, unit)
        for name in ("I1", "I2")
        for constraint, amount, unit in (
            (Constraint.CHANGE_BUDGET, 1.0, "changes"),
            (Constraint.UPS_POWER_CAPACITY, 500.0, "W"),
        )
    )


def test_why_not_names_heat_reload_and_time(room):
    """small@1 gives most: 1 W too hot, too late by 110 s, and a reload besides."""
    problem = room(current=[SLOW], demand=2_000, limit_w=20_000, ceiling_w=349, tolerance_s=10.0)
    rejected = why_not(problem, problem.present())
    assert [(r.constraint, r.shortfall, r.unit) for r in rejected] == [
        (Constraint.GPU_TEMPERATURE_LIMIT, 1.0, "W"),
        (Constraint.RELIEF_IN_TIME, 110.0, "s"),
        (Constraint.RELOAD_LIMIT, 1.0, "reloads"),
    ]


def test_nobody_asks_why_not_when_all_is_served(cold_spare):
    """The spare stays parked because nobody needs it."""
    idle = replace(cold_spare, demand_tokens_per_s=np.array([900]))
    assert why_not(idle, idle.present()) == ()


def test_binding_names_the_tight_budgets(one_ups_failed):
    """12,000 W of 12,000 W, and four changes of four."""
    problem = replace(one_ups_failed, change_budget=4)
    assert binding(problem, problem.plan([SLOW] * 4)) == (
        Binding(Constraint.UPS_POWER_CAPACITY, "U1", 0.0, "W"),
        Binding(Constraint.CHANGE_BUDGET, "site", 0.0, "changes"),
    )


def test_an_empty_plan_of_an_empty_room_is_accepted(room):
    """No instances, nothing to judge."""
    assert check(room(current=[], demand=0, limit_w=0), ReconfigurationPlan({})).ok


def test_what_parks_pays_for_the_loading_that_brings_it_back(one_ups_failed):
    """One of four: a change, and weights that will have to be loaded."""
    plan, prices = one_ups_failed.plan([PARKED, SLOW, SLOW, SLOW]), one_ups_failed.prices
    slow = one_ups_failed.plan([SLOW] * 4)
    assert check(one_ups_failed, plan).terms["changes"] == check(one_ups_failed, slow).terms["changes"] + prices.reload
