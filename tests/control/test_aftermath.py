"""What follows a failure comes by itself, and what nobody attends to is said."""

import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.controller import Controller, Settings
from tapas_opt.control.events import OperatingMode
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.reconfiguration.problem import Stage

U1_LOST = Failure(FailureKind.UPS, "U1", expected_duration_s=600.0)


@pytest.fixture
def busy(controller, saas, run):
    """60 instances at 25 °C and full load."""
    run(saas(60))
    servers = controller.fleet.topology.servers
    watts = {server: 6_000.0 if s < 60 else 1_500.0 for s, server in enumerate(servers)}
    tokens = {"conv": 150_000.0}
    controller.observe(Readings(0.0, outdoor_c={"room1": 25.0}, server_power_w=watts, endpoint_tokens_per_s=tokens))
    return controller


def fail(controller, now_s=0.0):
    controller.apply(controller.report_failure(U1_LOST, now_s=now_s, deadline_s=1.0).events)


def followed(controller, now_s):
    """Look as the service does; the stage that was planned, and the events."""
    proposal = controller.follow_up(now_s)
    if proposal is None:
        return None, ()
    with controller.lock:
        events = controller.settled_follow_up(proposal, now_s)
    controller.apply(events)
    return proposal.stage, events


def two_waves(controller, at_s=0.0):
    choices = dict.fromkeys(("c0", "c1", "c2"), "parked")
    controller.apply([happened.PlanApplied("p", "settled", choices, "", (("c0", "c1"), ("c2",)), at_s)])


def test_where_to_settle_is_planned_half_a_minute_after_a_failure_and_after_its_end(busy):
    """Once each; before, nothing is stable enough to settle in."""
    assert followed(busy, 0.0) == (None, ())
    fail(busy)
    assert followed(busy, 0.0) == (None, ())
    assert followed(busy, 29.0) == (None, ())
    assert followed(busy, 30.0)[0] is Stage.SETTLED
    assert followed(busy, 31.0) == (None, ())
    busy.apply(busy.clear_failure(U1_LOST.label))
    followed(busy, 100.0)
    assert followed(busy, 130.0)[0] is Stage.SETTLED


def test_an_armed_answer_is_improved_at_once(busy):
    """It was made with headroom and for an hour ago's minute: a solve finds something better, or lets it be."""
    while busy.arm(0.0):
        pass
    fail(busy)
    assert followed(busy, 0.0)[0] is Stage.NOW
    assert followed(busy, 0.0) == (None, ())


def test_an_answer_that_leaves_excess_is_looked_at_once_more(controller, iaas, run):
    """Once the fast knobs have acted there may be time for slower ones."""
    run(iaas(70))
    watts = dict.fromkeys(controller.fleet.topology.servers[:70], 6_000.0)
    controller.observe(Readings(0.0, outdoor_c={"room1": 25.0}, server_power_w=watts))
    answer = controller.report_failure(U1_LOST, now_s=0.0, deadline_s=1.0)
    assert answer.proposal.result.plan.excess
    controller.apply(answer.events)
    assert followed(controller, 0.0)[0] is Stage.NOW
    assert followed(controller, 0.0) == (None, ())


@pytest.mark.parametrize("mode", list(OperatingMode))
def test_only_in_mode_act_is_it_published(busy, mode):
    """In the others it waits, by name, for whoever may apply it."""
    busy.apply(busy.set_mode(mode))
    fail(busy)
    followed(busy, 0.0)
    stage, events = followed(busy, 30.0)
    assert stage is Stage.SETTLED
    advised = [said for said in busy.warnings(30.0) if said.startswith("ADVISED")]
    assert bool(events) is (mode is OperatingMode.ACT)
    assert bool(advised) is (mode is not OperatingMode.ACT)


def test_what_changed_while_it_was_planned_outdates_it(busy):
    """A VM left between the solve and the journal."""
    fail(busy)
    followed(busy, 0.0)
    proposal = busy.follow_up(30.0)
    busy.apply(busy.release(["c0"]))
    assert busy.settled_follow_up(proposal, 30.0) == ()


def test_a_service_that_died_before_it_settled_settles_after_its_restart(busy, demo_site, models, profiles, chat):
    """Another controller with the same history: the failure is known from the journal, the due time is not."""
    events = [happened.EndpointPut(chat), happened.FailureReported(U1_LOST)]
    again = Controller(demo_site, models, profiles, settings=Settings(solver="greedy"))
    again.apply(events)
    assert followed(again, 1_000.0) == (None, ())
    assert followed(again, 1_030.0)[0] is Stage.SETTLED


def test_who_asks_for_himself_is_left_alone(make):
    controller = make(settle_after_s=0.0)
    controller.apply([happened.FailureReported(U1_LOST)])
    assert controller.follow_up(1e6) is None


def test_a_failure_that_outlasts_its_time_is_called_overdue_and_stays(busy):
    """Clearing it in silence would plan on a UPS that is still lost."""
    fail(busy)
    assert not any(said.startswith("OVERDUE") for said in busy.warnings(600.0))
    assert any(said.startswith("OVERDUE: ups:U1 was to be over 100 s ago") for said in busy.warnings(700.0))
    assert list(busy.fleet.failures) == ["ups:U1"]


def test_a_wave_is_not_waited_for_for_ever(busy):
    """c1 says nothing: it is named, then given up with all that was to follow, and stays as it runs."""
    two_waves(busy)
    busy.apply(busy.acknowledge("c0", 2, None))
    assert busy.tick(899.0) == ()
    assert any(said.startswith("WAITING: c1 of plan p") for said in busy.warnings(899.0))
    assert busy.tick(900.0) == (happened.WaveGivenUp(("c1",)),)
    busy.apply(busy.tick(900.0))
    assert [busy.fleet.vm(name).choice for name in ("c0", "c1", "c2")] == ["parked", None, None]
    assert busy.fleet.vm("c1").generation == 3
    assert busy.tick(2_000.0) == ()
    assert any(said.startswith("SILENT: c1") for said in busy.warnings(2_000.0))


def test_an_agent_that_speaks_again_is_not_silent(busy):
    two_waves(busy)
    busy.apply(busy.tick(900.0))
    assert busy.fleet.silent == {"c0", "c1"}
    busy.apply(busy.acknowledge("c1", 3, None))
    busy.apply(busy.release(["c0"]))
    assert busy.fleet.silent == set()


def test_a_wave_whose_time_nobody_wrote_down_is_waited_for(busy):
    """Journals of earlier versions do not say when it started."""
    two_waves(busy, at_s=None)
    assert busy.tick(1e9) == ()


def test_the_last_wave_holds_nothing_up(busy):
    """Nothing waits for its agents: what they do not do is seen in telemetry, and planned on."""
    busy.apply([happened.PlanApplied("p", "now", {"c0": "parked"}, "", (), 0.0)])
    assert busy.tick(1e9) == ()
