"""For every listed failure a verified plan is kept ready, and is the answer as soon as the failure is reported."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tapas_opt.control import events as happened
from tapas_opt.control import reconfiguration_decisions as deciding
from tapas_opt.control.arming import REMADE_AFTER_S, listed_failures
from tapas_opt.control.events import OperatingMode, VmOnServer
from tapas_opt.control.reconfiguring import reconfiguration_problem
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.errors import Conflict, InvalidInput, NotFound
from tapas_opt.reconfiguration import check as reconfiguration_check
from tapas_opt.reconfiguration.problem import Stage

U1_LOST, U2_LOST = (Failure(FailureKind.UPS, name) for name in ("U1", "U2"))


@pytest.fixture
def busy(controller, saas, run):
    """60 instances at 25 °C, so that three UPSs cannot carry what they would draw."""
    run(saas(60))
    return observed(controller, 0.0)


def observed(controller, at_s, factor=1.0):
    """Who has a VM draws 6 kW, who has none a quarter of that."""
    on = zip(controller.fleet.topology.servers, controller.fleet.occupants(), strict=True)
    watts = {server: factor * (6_000.0 if vms else 1_500.0) for server, vms in on}
    tokens = {"conv": 150_000.0}
    controller.observe(Readings(at_s, outdoor_c={"room1": 25.0}, server_power_w=watts, endpoint_tokens_per_s=tokens))
    return controller


def armed(controller, now_s=0.0):
    """Look until nothing is due; how many looks that took."""
    looks = 0
    while controller.arm(now_s):
        looks += 1
    return looks


def failed(controller, failure=U1_LOST, now_s=1.0):
    answer = controller.report_failure(failure, now_s=now_s, deadline_s=1.0)
    return controller.settled_failure(answer, failure, now_s=now_s)


def test_each_ups_each_air_handler_and_what_is_listed_is_armed_for(controller):
    """Pairs too; an element that the site has lost since, or never had, is nobody's failure."""
    topology = controller.fleet.topology
    singles = len(topology.upses) + len(topology.ahus)
    assert len(listed_failures(topology, {}, ())) == singles
    pair = ("ups:U1", "ahu:AHU2")
    found = listed_failures(topology, {}, (pair, ("ups:U9",)))
    assert len(found) == singles + 1
    assert [failure.label for failure in found[-1]] == list(pair)


def test_after_a_failure_plans_are_armed_for_the_next_one_on_top_of_it(controller):
    """A site on three UPSs fears the loss of a second one, not that of the first again."""
    found = listed_failures(controller.fleet.topology, {U1_LOST.label: U1_LOST}, ())
    assert all(failures[0] == U1_LOST and len(failures) == 2 for failures in found)
    assert len(found) == 7


def test_a_wrong_list_is_refused_at_the_start(make):
    """And not when the failure comes."""
    with pytest.raises(InvalidInput, match="KIND:ELEMENT"):
        make(arm_for=(("U1",),))
    with pytest.raises(NotFound, match="'U9'"):
        make(arm_for=(("ups:U9",),))


def test_a_plan_is_kept_for_every_failure_and_holds_on_its_problem(busy):
    """Judged by the checker on the problem of the failure, with the excess that it declares and no more."""
    assert armed(busy) == 8
    assert armed(busy) == 0
    for plan in busy.arming.all:
        problem = busy.reconfiguration_problem(Stage.NOW, plan.failures, now_s=0.0)
        allowed = problem.with_allowed_excess(plan.proposal.result.plan.excess)
        assert reconfiguration_check.check(allowed, plan.proposal.result.plan).ok
    stakes = [plan.at_stake_w for plan in busy.arming.all]
    assert stakes == sorted(stakes, reverse=True)
    assert stakes[0] > 0


def test_the_armed_plan_is_the_answer_and_is_published_under_its_id(busy):
    """What agents were given beforehand is what is asked of them now."""
    armed(busy)
    ready = busy.arming.of([U1_LOST]).proposal
    answer = failed(busy)
    assert (answer.proposal.plan_id, answer.proposal.changes) == (ready.plan_id, ready.changes)
    assert answer.proposal.result.solver == "armed"
    assert answer.published
    busy.apply(answer.events)
    assert busy.fleet.plan_id == ready.plan_id
    assert {name: busy.fleet.vm(name).choice for name in ready.changes} == dict(ready.changes)


def test_noise_of_a_minute_leaves_an_armed_plan_in_force(busy):
    """Everybody draws 1 % more than when it was made."""
    armed(busy)
    ready = busy.arming.of([U1_LOST]).proposal
    answer = failed(observed(busy, 30.0, factor=1.01), now_s=30.0)
    assert answer.proposal.plan_id == ready.plan_id
    problem = busy.reconfiguration_problem(Stage.NOW, [U1_LOST], now_s=30.0)
    allowed = problem.with_allowed_excess(answer.proposal.result.plan.excess)
    assert reconfiguration_check.check(allowed, answer.proposal.result.plan).ok


def test_a_plan_that_no_longer_holds_is_not_the_answer(busy, iaas, run):
    """Twenty opaque VMs came since, and draw what the plan had counted on."""
    armed(busy)
    ready = busy.arming.of([U1_LOST]).proposal
    run(iaas(20), first=60)
    servers = busy.fleet.topology.servers
    busy.observe(Readings(5.0, server_power_w=dict.fromkeys(servers[60:], 6_400.0)))
    answer = failed(busy, now_s=5.0)
    assert answer.proposal.plan_id != ready.plan_id
    assert answer.proposal.result.solver == "greedy"


def test_vms_that_left_since_are_left_out(busy):
    """What they drew is free: the rest of the plan holds, and names nobody who is not there."""
    armed(busy)
    ready = busy.arming.of([U1_LOST]).proposal
    gone = sorted(ready.changes)[:2]
    busy.apply(busy.release(gone))
    answer = failed(observed(busy, 1.0))
    assert answer.proposal.plan_id == ready.plan_id
    assert set(answer.proposal.changes) == set(ready.changes) - set(gone)
    assert answer.proposal.basis == busy.fleet.basis([U1_LOST])


def test_another_vm_of_the_same_name_is_not_told_what_the_first_was_to_do(busy, saas):
    """It runs elsewhere, as it was started; so does one that has been told something else since."""
    armed(busy)
    ready = busy.arming.of([U1_LOST]).proposal
    replaced, told, *gone = sorted(ready.changes)[:22]
    other = busy.fleet.topology.servers[-1]
    busy.apply(busy.release([replaced, *gone]))  # and so the rest still holds
    busy.apply(busy.adopt([VmOnServer(replace(saas(1)[0], name=replaced), other)]))
    busy.apply([happened.PlanApplied("p", "now", {told: "parked"})])
    answer = failed(observed(busy, 1.0))
    assert answer.proposal.plan_id == ready.plan_id
    assert set(answer.proposal.changes) == set(ready.changes) - {replaced, told, *gone}


def test_another_degree_of_the_failure_is_another_failure(busy):
    """Half of U1 is left: nothing was armed for that."""
    armed(busy)
    answer = failed(busy, replace(U1_LOST, remaining_frac=0.5))
    assert answer.proposal.result.solver == "greedy"


@pytest.mark.parametrize("mode", [OperatingMode.SHADOW, OperatingMode.ADVISE])
def test_an_armed_plan_is_published_by_nobody_but_whoever_may(busy, mode):
    """It is proposed; in mode advise it is applied on approval, in mode shadow not even then."""
    armed(busy)
    busy.apply(busy.set_mode(mode))
    answer = failed(busy)
    assert not answer.published
    busy.apply(answer.events)
    plan_id = answer.proposal.plan_id
    assert answer.proposal.result.solver == "armed"
    if mode is OperatingMode.SHADOW:
        with pytest.raises(Conflict, match="mode shadow"):
            busy.apply_plan(plan_id, None, "alice")
    else:
        assert busy.apply_plan(plan_id, None, "alice")[0].plan_id == plan_id


def test_a_changed_fleet_has_its_plans_made_anew_the_most_dangerous_first(busy, saas):
    """An acknowledgement changes nothing that a plan stands on; a VM less does."""
    armed(busy)
    busy.apply(busy.acknowledge("c0", 1, None))
    assert not busy.arm(1.0)
    busy.apply(busy.release(["c0"]))
    worst = busy.arming.all[0]
    assert busy.arm(1.0)
    made = {plan.failures: plan.made_at_s for plan in busy.arming.all}
    assert [failures for failures, at_s in made.items() if at_s == 1.0] == [worst.failures]


def test_plans_that_hold_are_looked_at_and_kept_until_they_are_old(busy):
    """Every half minute a look; every five minutes a new plan."""
    armed(busy)
    first = busy.arming.of([U1_LOST]).proposal.plan_id
    assert not busy.arm(29.0)
    assert armed(observed(busy, 31.0), now_s=31.0) == 8
    assert busy.arming.of([U1_LOST]).proposal.plan_id == first
    assert armed(observed(busy, REMADE_AFTER_S + 1), now_s=REMADE_AFTER_S + 1) == 8
    assert busy.arming.of([U1_LOST]).proposal.plan_id != first


def test_what_happened_needs_no_plan_any_more(busy):
    """U1 is lost: the plans for U2 alone are dropped, and those for both are made."""
    armed(busy)
    busy.apply(failed(busy).events)
    armed(busy, now_s=2.0)
    assert busy.arming.of([U2_LOST]) is None
    assert busy.arming.of([U1_LOST, U2_LOST]) is not None
    assert len(busy.arming.all) == 7


def test_nobody_waits_while_a_plan_is_armed(busy, monkeypatch):
    """Stating and solving a large site takes seconds: a failure that comes meanwhile is answered at once."""
    free = []

    def taken_and_given_back():
        return busy.lock.acquire(timeout=5.0) and not busy.lock.release()

    def stated(*arguments):
        with ThreadPoolExecutor(1) as other:
            free.append(other.submit(taken_and_given_back).result())
        return reconfiguration_problem(*arguments)

    monkeypatch.setattr(deciding, "reconfiguration_problem", stated)
    assert busy.arm(0.0)
    assert free == [True]


def test_nothing_is_armed_where_that_was_not_wanted(make):
    assert not make(arm_every_s=0.0).arm(0.0)
