"""Agents hear of every change, and beforehand what a failure would ask of them."""

import threading
from pathlib import Path

import pytest

from tapas_opt.client import Acknowledgement
from tapas_opt.control import events as happened
from tapas_opt.control.controller import Controller, Settings
from tapas_opt.control.events import OperatingMode
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.workload import Endpoint, Slo, Vm, VmKind
from tapas_opt.errors import InvalidInput, NotFound
from tapas_opt.learn.models import LearnedModels
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.service.watching import Watch

LARGE = "llama2-70b-fp16-tp8-b64-f1410"
CHAT = Endpoint("chat", Slo(2.0, 0.2), LARGE)
U1_LOST = Failure(FailureKind.UPS, "U1")


@pytest.fixture
def controller(repository: Path, demo_site, profiles):
    """60 busy instances on the demo site, at 25 °C and full load, answered greedily."""
    models = LearnedModels.load(repository / "models" / "demo")
    made = Controller(demo_site, models, profiles, settings=Settings(solver="greedy"))
    made.apply(made.put_endpoint(CHAT))
    servers = made.fleet.topology.servers
    vms = [Vm(f"c{n}", VmKind.SAAS, "acme", "chat") for n in range(60)]
    made.apply(made.adopt([happened.VmOnServer(vm, server) for vm, server in zip(vms, servers, strict=False)]))
    watts = {server: 6_000.0 if s < 60 else 1_500.0 for s, server in enumerate(servers)}
    tokens = {"chat": 150_000.0}
    made.observe(Readings(0.0, outdoor_c={"room1": 25.0}, server_power_w=watts, endpoint_tokens_per_s=tokens))
    return made


def arm(controller):
    while controller.arm(0.0):
        pass


def test_first_everything_is_said_and_then_what_is_new(controller):
    """An acknowledgement is new, telemetry is not."""
    watch = Watch(controller)
    first = watch.new()
    assert {desired.vm for desired in first.configurations} == {f"c{n}" for n in range(60)}
    assert watch.new() is None
    controller.observe(Readings(1.0, outdoor_c={"room1": 26.0}))
    assert watch.new() is None
    controller.apply(controller.acknowledge("c3", 1, None))
    assert [desired.vm for desired in watch.new().configurations] == ["c3"]
    controller.apply(controller.release(["c3"]))
    assert list(watch.new().removed_vms) == ["c3"]


def test_a_change_that_others_wait_for_says_until_when(controller):
    """The last wave holds nobody up, and what is acknowledged waits no longer."""
    watch = Watch(controller)
    watch.new()
    waves, parked = (("c0", "c1"), ("c2",)), dict.fromkeys(("c0", "c1", "c2"), "parked")
    controller.apply([happened.PlanApplied("p", "settled", parked, "", waves, 100.0)])
    until_s = 100.0 + controller.settings.lease_s
    assert {one.vm: one.apply_before_s for one in watch.new().configurations} == dict.fromkeys(waves[0], until_s)
    controller.apply(controller.acknowledge("c0", 2, None))
    assert not watch.new().configurations[0].HasField("apply_before_s")
    controller.apply(controller.acknowledge("c1", 2, None))
    controller.apply(controller.tick(101.0))
    assert [(one.vm, one.HasField("apply_before_s")) for one in watch.new().configurations][-1] == ("c2", False)


def test_agents_know_beforehand_what_a_failure_asks_of_them(controller):
    """What they are told when it comes is what they were given, under the same id and the next generation."""
    watch = Watch(controller)
    watch.new()
    arm(controller)
    before = watch.new()
    assert before.armed_changed
    (ready,) = (plan for plan in before.armed if list(plan.failures) == ["ups:U1"])
    answer = controller.report_failure(U1_LOST, now_s=1.0, deadline_s=1.0)
    controller.apply(answer.events)
    after = watch.new()
    assert after.plan_id == ready.plan_id
    told = {d.vm: (d.configuration, d.load_frac, d.generation) for d in after.configurations}
    assert told == {c.vm: (c.to_configuration, c.load_frac, c.generation + 1) for c in ready.changes}


def test_a_watcher_hears_of_his_own_vms_only(controller):
    """The agent of a server needs nobody else's orders."""
    watch = Watch(controller, vms=("c0", "c1"))
    arm(controller)
    told = watch.new()
    assert {desired.vm for desired in told.configurations} == {"c0", "c1"}
    assert {change.vm for plan in told.armed for change in plan.changes} <= {"c0", "c1"}
    with pytest.raises(NotFound, match="'chess'"):
        Watch(controller, "chess")


@pytest.mark.parametrize("mode", [OperatingMode.SHADOW, OperatingMode.ADVISE])
def test_nobody_is_given_plans_that_are_not_published_unasked(controller, mode):
    """And what was given before is taken back."""
    arm(controller)
    watch = Watch(controller)
    assert watch.new().armed
    controller.apply(controller.set_mode(mode))
    told = watch.new()
    assert told.armed_changed
    assert not told.armed


def test_a_vm_that_changed_since_is_not_told_what_was_armed_for_it(controller):
    """Until the plan is made anew."""
    arm(controller)
    ready = controller.arming.of([U1_LOST]).proposal
    name = sorted(ready.changes)[0]
    controller.apply([happened.PlanApplied("p", "now", {name: "parked"})])
    told = Watch(controller, vms=(name,)).new()
    assert [change for plan in told.armed for change in plan.changes] == []


def test_plans_of_before_a_restart_are_never_published(controller, demo_site, profiles):
    """An agent that still holds one hears of no such id again; the fleet is the same."""
    arm(controller)
    again = Controller(demo_site, controller.models, profiles, settings=Settings(solver="greedy"))
    again.apply(controller.put_endpoint(CHAT))
    again.apply(
        [happened.VmsAdopted(tuple(happened.VmOnServer(p.vm, p.server) for p in controller.fleet.vms.values()))]
    )
    again.observe(Readings(0.0, outdoor_c={"room1": 25.0}, endpoint_tokens_per_s={"chat": 150_000.0}))
    arm(again)
    old = {one.proposal.plan_id for one in controller.arming.all}
    assert old.isdisjoint(one.proposal.plan_id for one in again.arming.all)


def test_over_the_wire_plans_are_armed_and_a_watch_ends_with_the_server(start):
    """Four UPSs, four air handlers and the pair asked for; a SIGTERM does not wait for those who watch."""
    server = start("--arm-for", "ups:U1+ups:U2")
    heard, ended = [], threading.Event()

    def until(said):
        for _ in range(100):
            if said():
                return True
            ended.wait(0.1)
        return False

    with server.client() as client:
        client.put_endpoint(CHAT)
        client.adopt([(Vm("one", VmKind.SAAS, "acme", "chat"), "R1-K1-S1")])

        def watch():
            try:
                for news in client.watch_configurations("chat"):
                    heard.append(news)
                    if len(heard) == 1:
                        client.acknowledge(Acknowledgement("one", 1))
            finally:
                ended.set()

        watching = threading.Thread(target=watch)
        watching.start()
        assert until(lambda: any(d.acknowledged_generation == 1 for news in heard for d in news.configurations))
        assert until(lambda: len(client.armed_plans()) == 9)
        assert ("ups:U1", "ups:U2") in {plan.failures for plan in client.armed_plans()}
        ahead = client.plan_reconfiguration(Stage.SETTLED, horizon_slots=4)
        assert {change.slot for change in ahead.later} <= {1, 2, 3}
        with pytest.raises(InvalidInput, match="no later slots"):
            client.plan_reconfiguration(Stage.NOW, horizon_slots=4)
        assert server.terminate() == 0
        watching.join(10)
        assert ended.is_set()
