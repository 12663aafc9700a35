from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.reconfiguration.check import check, check_waves, transition_cost, wave_seconds, wave_shortfalls
from tapas_opt.reconfiguration.greedy import greedy
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.reconfiguration.waves import waves

BIG, HALF, SLOW, SMALL, PARKED = range(5)


@pytest.mark.parametrize("seed", range(100))
def test_every_wave_passes_its_check(random_problem, seed):
    """Whatever the plan, no wave loads too many weights or brings a domain over what is declared."""
    problem = random_problem(seed, stage=Stage.SETTLED, instances=seed % 30, configurations=4)
    plan = waves(problem, greedy(problem))
    assert check(problem, plan).violations == ()
    assert check_waves(problem, plan) == ()


def test_the_reload_limit_makes_the_waves(room):
    """Five reloads at two at a time take three waves."""
    problem = room(current=[PARKED] * 5, demand=0, limit_w=20_000, stage=Stage.SETTLED, reload_limit=2)
    plan = waves(problem, problem.plan([SLOW] * 5))
    assert [len(wave) for wave in plan.waves] == [2, 2, 1]


def test_relief_goes_before_what_it_makes_room_for(room):
    """I1 must shed 2,000 W before I2 may draw 3,000 W of the 6,000 W."""
    problem = room(current=[BIG, PARKED], demand=0, limit_w=6_000, stage=Stage.SETTLED)
    assert waves(problem, problem.plan([SMALL, SLOW])).waves == (("I1",), ("I2",))


def test_reloads_leave_demand_served(room):
    """1,000 tokens/s asked of two at 1,000: one may be away at a time."""
    problem = room(current=[BIG, BIG], demand=1_000, limit_w=20_000, stage=Stage.SETTLED)
    plan = waves(problem, problem.plan([SMALL, SMALL]))
    assert [len(wave) for wave in plan.waves] == [1, 1]
    assert wave_shortfalls(problem, plan) == (0, 0)


def test_a_spare_arrives_before_others_leave(room):
    """The parked one loads first, which costs nobody anything; then the other may park."""
    problem = room(current=[BIG, PARKED], demand=1_000, limit_w=20_000, stage=Stage.SETTLED)
    plan = waves(problem, problem.plan([PARKED, BIG]))
    assert plan.waves == (("I2",), ("I1",))
    assert wave_shortfalls(problem, plan) == (0, 0)


def test_no_more_goes_at_once_than_relieves(room):
    """12,000 W at a limit of 10,600: I1 at half load draws 1,500 W less, which is enough; I2 serves a little longer."""
    problem = room(current=[BIG, BIG, BIG], demand=2_900, limit_w=10_600, stage=Stage.SETTLED, reload_limit=1)
    plan = waves(problem, problem.plan([HALF, PARKED, SMALL]))
    assert plan.waves[0] == ("I1",)
    assert plan.choice_of == {"I1": "big@0.5", "I2": "parked", "I3": "small@1"}


def test_with_no_slack_left_waiting_saves_nothing(room):
    """3,000 tokens/s are asked and 2,000 served: each reload loses its 1,000 whenever it comes, so all go at once."""
    problem = room(current=[BIG, BIG], demand=3_000, limit_w=20_000, stage=Stage.SETTLED)
    assert waves(problem, problem.plan([SMALL, SMALL])).waves == (("I1", "I2"),)


def test_a_deadlock_gives_up_one_change(room):
    """Neither may draw more before the other draws less in air: one stays, and the other then cannot go either."""
    problem = room(current=[BIG, SMALL], demand=0, limit_w=6_000, stage=Stage.SETTLED)
    power, air = problem.choices.power_w.copy(), problem.choices.airflow_cfm.copy()
    air[0, BIG], air[0, SMALL] = 200, 400
    ups = problem.budgets.families[0]
    aisle = replace(
        ups,
        constraint=type(ups.constraint).AISLE_AIRFLOW_CAPACITY,
        unit="CFM",
        domains=("A1",),
        limit=np.array([[600]]),
    )
    problem = replace(
        problem,
        choices=replace(problem.choices, power_w=power, airflow_cfm=air),
        budgets=replace(problem.budgets, families=(ups, aisle)),
    )
    plan = waves(problem, problem.plan([SMALL, BIG]))
    assert plan.waves == ()
    assert plan.choice_of == problem.present().choice_of
    assert check(problem, plan).ok


def test_what_may_neither_go_nor_stay_is_parked(room):
    """Its GPU is too hot, its target needs a reload and none is allowed: parking needs none."""
    problem = room(current=[BIG], demand=500, limit_w=9_000, ceiling_w=390, stage=Stage.SETTLED, reload_limit=0)
    plan = waves(problem, problem.plan([SMALL]))
    assert plan.choice_of == {"I1": "parked"}
    assert plan.waves == (("I1",),)
    assert check(problem, plan).ok


def test_nothing_to_change_needs_no_wave(cold_spare):
    """The present plan is already there."""
    assert waves(cold_spare, cold_spare.present()).waves == ()


def test_what_goes_unserved_while_waves_run_has_a_price(cold_spare, room):
    """A spare that loads for 120 s while nobody else stops costs nothing; where the only one reloads, its demand does.

    1,000 tokens/s × 120 s / 3,600 s × 10,000.
    """
    spare = cold_spare.plan([BIG, BIG])
    assert transition_cost(cold_spare, waves(cold_spare, spare)) == 0.0
    alone = room(current=[BIG], demand=1000, limit_w=10_000, stage=Stage.SETTLED)
    plan = waves(alone, alone.plan([SMALL]))
    assert wave_seconds(alone, plan) == (120.0,)
    assert transition_cost(alone, plan) == pytest.approx(1000 * 120 / 3600 * 10_000)
