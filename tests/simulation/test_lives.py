"""VMs of many days: they come, live and go, and a site stays about as full."""

from __future__ import annotations

import pytest

from tapas_opt.plant.workload import Workload
from tapas_opt.simulation.lives import population
from tapas_opt.simulation.story import DAY_S

START_S = 28 * DAY_S


def drawn(days=7.0, vms=200, saas_share=0.5, seed=1):
    end_s = START_S + days * DAY_S
    return population(Workload(seed=seed), vms=vms, saas_share=saas_share, start_s=START_S, end_s=end_s, seed=seed)


def test_the_same_seed_draws_the_same_lives():
    assert drawn() == drawn()
    assert drawn() != drawn(seed=2)


def test_as_many_come_as_go_within_a_day():
    """VMs live about two weeks: of 200, some go every day."""
    arrivals = drawn().arrivals
    came, gone = (sum(len(getattr(item, what)) for item in arrivals) for what in ("vms", "leaving"))
    assert gone > 30
    assert abs(came - gone) <= 0.1 * gone


def test_nobody_leaves_twice_or_before_he_came():
    living = drawn(days=14.0)
    there = {vm.name for vm in living.running}
    for batch in living.arrivals:
        assert set(batch.leaving) <= there
        there -= set(batch.leaving)
        assert not there & {vm.name for vm in batch.vms}
        there |= {vm.name for vm in batch.vms}


def test_everything_happens_within_the_story_and_in_order():
    living = drawn(days=0.5)
    times = [item.at_s for item in living.arrivals]
    assert times == sorted(times)
    assert all(START_S < t_s < START_S + 0.5 * DAY_S for t_s in times)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_instances_is_what_was_asked_for(share):
    running = drawn(vms=1_000, saas_share=share).running
    assert sum(vm.endpoint is not None for vm in running) / 1_000 == pytest.approx(share, abs=0.05)
