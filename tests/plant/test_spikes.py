"""Load that jumps: scenarios of one endpoint, and surges that customers have in common."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.domain.workload import VmKind
from tapas_opt.errors import InvalidInput
from tapas_opt.plant.spikes import RISE_S, Bursts, Spike
from tapas_opt.plant.swings import NO_JOB
from tapas_opt.plant.weather import DAY_S
from tapas_opt.plant.workload import Workload

NOON_S = 12 * 3600.0


def test_an_endpoints_load_triples_within_a_minute_and_others_do_not_notice():
    """Half of the way up at 30 s: twice; three times from 60 s on for half an hour; ten minutes later as before."""
    spike = Spike("conv", at_s=NOON_S)
    calm, struck = Workload(seed=1), Workload(seed=1, spikes=[spike])
    for after_s, factor in ((-1.0, 1.0), (30.0, 2.0), (60.0, 3.0), (1860.0, 3.0), (2160.0, 2.0), (2460.0, 1.0)):
        before, now = calm.endpoint_load_frac(NOON_S + after_s), struck.endpoint_load_frac(NOON_S + after_s)
        assert now["conv"] == pytest.approx(factor * before["conv"])
        assert now["code"] == before["code"]
    assert struck.endpoint_load_frac(NOON_S + 60.0)["conv"] > 1.0, "more than it was ever planned for"


def test_instances_of_a_struck_endpoint_are_full_and_not_fuller():
    """What is beyond an instance's goodput is for routing to see, not for its GPUs."""
    struck = Workload(seed=1, spikes=[Spike("conv", at_s=NOON_S)])
    vms = [vm for vm in struck.initial_vms(40, iaas_frac=0.0) if vm.endpoint == "conv"]
    assert (struck.vm_load_frac(vms, NOON_S + 120.0) == 1.0).all()


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        ({"factor": 0.0}, "factor: 0.0: must be above 0"),
        ({"hold_s": -1.0}, "hold_s: -1.0: must be 0 or more"),
        ({"rise_s": float("nan")}, "rise_s: nan: must be 0 or more"),
    ],
)
def test_a_spike_that_makes_no_sense_is_refused(numbers, fault):
    """Before anything runs."""
    with pytest.raises(InvalidInput, match=fault):
        Spike("conv", 0.0, **numbers)


def test_a_spike_of_an_unknown_endpoint_is_refused():
    """A misspelt scenario must not pass for one that was survived."""
    with pytest.raises(InvalidInput, match=r"spikes\[0\].endpoint: chat: must be one of conv, code"):
        Workload(seed=1, spikes=[Spike("chat", 0.0)])


def test_surges_reach_about_half_of_the_customers_at_the_same_moment():
    """Two a day: each is there for all it reaches within 40 s, by up to 15 %, and gone after an hour."""
    bursts = Bursts(seed=1, customers=200, per_day=2.0)
    added = np.array([bursts.at(t_s) for t_s in np.arange(0.0, 30 * DAY_S, 300.0)])
    reached = (added > 0).mean(axis=1)
    assert np.median(reached[(reached > 0) & (reached < 0.7)]) == pytest.approx(0.5, abs=0.1)
    assert 0.12 < added.max() <= 0.30, "two may overlap"
    assert 35 <= ((reached[1:] > 0) & (reached[:-1] == 0)).sum() <= 80
    first = int(np.argmax(reached > 0)) * 300.0
    seconds = np.array([bursts.at(t_s) for t_s in np.arange(first - 300.0, first, 10.0)])
    assert np.diff(seconds, axis=0).max() > 0.12 / RISE_S * 10.0, "up within 40 s"


def test_a_surge_is_in_the_load_of_those_whom_it_reaches():
    """What templates ask for besides, through a day, is what the surges of each moment add; none is loaded above 1."""
    calm, stormy, bursts = (
        Workload(seed=1, bursts_per_day=0.0),
        Workload(seed=1, bursts_per_day=20.0),
        Bursts(1, 14, 20.0),
    )
    highest = 0.0
    for t_s in np.arange(0.0, DAY_S, 1800.0):
        before, now = (np.array(list(one.template_load_frac(t_s).values())) for one in (calm, stormy))
        assert now == pytest.approx(np.minimum(before + bursts.at(t_s), 1.0))
        highest = max(highest, (now - before).max())
    assert highest > 0.05


def test_surges_are_the_same_in_any_order_and_none_come_if_none_are_asked_for():
    """The drill starts on day 28, and must meet what a history would have met."""
    early_first, late_first = Bursts(3, 5, 4.0), Bursts(3, 5, 4.0)
    times = np.linspace(0.0, 3 * DAY_S, 500)
    assert np.array_equal([early_first.at(t) for t in times], [late_first.at(t) for t in times[::-1]][::-1])
    assert not any(Bursts(3, 5, 0.0).at(t).any() for t in times)


def test_vms_of_a_training_tenant_are_one_job():
    """Synchronised steps: what trains on many servers rises and falls on all of them."""
    workload = Workload(seed=1)
    vms = workload.initial_vms(200)
    jobs = dict(zip((vm.name for vm in vms), workload.jobs(vms), strict=True))
    training = {workload.tenants[i] for i in range(0, 12, 3)}
    for vm in vms:
        together = {jobs[other.name] for other in vms if other.tenant == vm.tenant and other.kind is vm.kind}
        if vm.kind is VmKind.IAAS and vm.tenant in training:
            assert together == {jobs[vm.name]} != {NO_JOB}
        else:
            assert jobs[vm.name] == NO_JOB
