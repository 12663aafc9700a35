from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.reconfiguration.judge import Judge
from tapas_opt.reconfiguration.problem import Stage

BIG, HALF, SLOW, SMALL, PARKED = range(5)


@pytest.mark.parametrize("seed", range(40))
def test_the_judge_reads_eligibility_the_same_way(random_problem, seed):
    """Written twice, in arrays for the models and in loops for the checker."""
    problem = random_problem(seed, stage=list(Stage)[seed % 2], instances=12, configurations=4)
    judge = Judge(problem)
    for i, row in enumerate(problem.eligible()):
        assert tuple(np.flatnonzero(row)) == judge.eligible(i)
        assert row.any()


def test_only_quick_knobs_are_eligible_now(one_ups_failed):
    """10 s are enough to lock a clock (1 s), to shed or drain load (4 s), not to load weights."""
    assert one_ups_failed.eligible()[0].tolist() == [True, True, True, False, True]
    hasty = replace(one_ups_failed, instance_tolerance_s=np.full(4, 2.0))
    assert hasty.eligible()[0].tolist() == [True, False, True, False, False]


def test_all_that_is_cool_enough_is_eligible_late_where_nothing_is_quick(room):
    """Overheated under a UPS that trips in 0.5 s: the sooner it slows the better, and a reload is no answer."""
    problem = room(current=[BIG], demand=0, limit_w=9_000, ceiling_w=320, tolerance_s=0.5)
    assert problem.eligible()[0].tolist() == [False, True, True, False, True]
    assert problem.late()[0, [HALF, SLOW, PARKED]].all()


def test_nothing_is_too_slow_where_nothing_is_overloaded(room):
    """An infinite tolerance admits every knob but a reload in stage Now, and everything in stage Settled."""
    now = room(current=[BIG], demand=0, limit_w=9_000)
    assert now.eligible()[0].tolist() == [True, True, True, False, True]
    assert replace(now, stage=Stage.SETTLED).eligible().all()


def test_a_reload_limit_of_nought_forbids_reloads(cold_spare):
    """The running one may not become small, and the parked one may not wake."""
    still = replace(cold_spare, reload_limit=0)
    assert still.eligible().tolist() == [[True, True, True, False, True], [False, False, False, False, True]]


def test_excess_is_declared_in_whole_units(room):
    """Two shares of 333 ‰ of 4,000 W are 2,664 W; 2,663 W are allowed and 1 W is declared."""
    problem = room(current=[BIG, BIG], demand=0, limit_w=2_663)
    ups = replace(problem.budgets.families[0], share_permille=np.full((2, 1), 333))
    problem = replace(problem, budgets=replace(problem.budgets, families=(ups,)))
    assert list(problem.present().excess.values()) == [1.0]


def test_plans_and_choice_indices_are_the_same_thing(one_ups_failed):
    """A plan speaks in names, the numbers in indices."""
    assert one_ups_failed.chosen(one_ups_failed.plan([SLOW, BIG, PARKED, HALF])).tolist() == [SLOW, BIG, PARKED, HALF]
