"""The fleet adds events up, and nothing else changes it."""

import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.fleet import Fleet, VmState
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.workload import Endpoint, Group, Slo, Vm, VmKind
from tapas_opt.errors import NotFound


def vm(name, **fields):
    return Vm(**{"name": name, "kind": VmKind.SAAS, "tenant": "acme", "endpoint": "chat", **fields})


def on(name, server, **fields):
    return happened.VmOnServer(vm(name, **fields), server)


@pytest.fixture
def fleet(two_rows):
    """Nothing runs on the six servers yet."""
    return Fleet(two_rows)


@pytest.fixture
def three_run(fleet):
    """``a``, ``b`` and ``c`` run on S1, S2 and S3."""
    fleet.apply([happened.VmsAdopted((on("c", "S3"), on("a", "S1"), on("b", "S2")))])
    return fleet


def test_every_event_changes_the_etag(fleet):
    """Two callers who read the same etag have read the same fleet."""
    assert fleet.etag == "two-rows-0"
    fleet.apply([happened.GroupPut(Group("g1")), happened.ModeSet(happened.OperatingMode.ACT)])
    assert fleet.etag == "two-rows-2"


def test_a_reservation_becomes_a_running_vm_and_then_a_free_server(fleet):
    """Reserved until it expires, confirmed for good, released: the life of a VM."""
    fleet.apply([happened.VmsReserved((on("a", "S2"),), 600.0)])
    assert (fleet.vm("a").state, fleet.vm("a").expires_at_s) == (VmState.RESERVED, 600.0)
    fleet.apply([happened.VmsConfirmed(("a",))])
    assert (fleet.vm("a").state, fleet.vm("a").expires_at_s) == (VmState.RUNNING, float("inf"))
    assert [[placed.vm.name for placed in vms] for vms in fleet.occupants()] == [[], ["a"], *[[]] * 4]
    fleet.apply([happened.VmsReleased(("a",))])
    assert fleet.occupants() == ((),) * 6


def test_unknown_names_are_named(fleet):
    """A typo gets its own name back, not a KeyError."""
    with pytest.raises(NotFound, match="'ghost'"):
        fleet.vm("ghost")
    with pytest.raises(NotFound, match=r"'S9'.*6 servers"):
        fleet.server_number("S9")


def test_events_about_vms_that_are_gone_change_nothing(fleet):
    """A release and an acknowledgement may cross on their way."""
    fleet.apply(
        [
            happened.VmsReleased(("ghost",)),
            happened.ConfigurationAcknowledged("ghost", 1),
            happened.PlanApplied("p", "now", {"ghost": "parked"}),
            happened.FailureCleared("ups:U9"),
        ]
    )
    assert (fleet.vms, fleet.failures, fleet.generation) == ({}, {}, 4)


@pytest.mark.parametrize("event", [happened.VmsConfirmed(("ghost",)), happened.WaveStarted()])
def test_events_that_cannot_have_happened_are_refused(fleet, event):
    """A journal that contradicts itself must not be believed: nobody confirms what nobody reserved."""
    with pytest.raises(KeyError):
        fleet.apply([event])


def test_an_unknown_event_is_refused(fleet):
    """A defect of tapas-opt, and no event."""
    with pytest.raises(TypeError, match="no such event"):
        fleet.apply(["a text"])


def test_endpoints_groups_states_failures_and_the_mode_are_kept(fleet):
    """The newest word counts, for each by its name."""
    chat, group = Endpoint("chat", Slo(2.0, 0.2), "cfg"), Group("g1")
    lost, half = Failure(FailureKind.UPS, "U1"), Failure(FailureKind.UPS, "U1", remaining_frac=0.5)
    fleet.apply([happened.EndpointPut(chat), happened.GroupPut(group)])
    fleet.apply([happened.ServerStateSet("S1", happened.ServerState.CORDONED), happened.ModeSet("advise")])
    fleet.apply([happened.FailureReported(lost), happened.FailureReported(half)])
    assert (fleet.endpoints, fleet.groups, fleet.mode) == ({"chat": chat}, {"g1": group}, "advise")
    assert fleet.server_states == {"S1": "cordoned"}
    assert fleet.failures == {"ups:U1": half}
    fleet.apply([happened.FailureCleared("ups:U1")])
    assert fleet.failures == {}


def test_a_new_site_brings_its_own_servers(fleet, demo_site):
    """Server numbers follow the site in force."""
    fleet.apply([happened.SiteApplied(demo_site)])
    assert fleet.server_number(fleet.topology.servers[79]) == 79


def test_saas_comes_in_order_of_name_and_iaas_does_not_come(three_run):
    """Problems list instances in one order, whatever the order in which they came."""
    three_run.apply([happened.VmsAdopted((on("aa", "S4", kind=VmKind.IAAS, endpoint=None),))])
    assert [placed.vm.name for placed in three_run.saas()] == ["a", "b", "c"]


def test_a_plan_without_waves_changes_all_at_once(three_run):
    """In an emergency nobody waits for anybody."""
    three_run.apply([happened.PlanApplied("p1", "now", {"a": "x@1", "b": "parked"})])
    assert [(three_run.vm(n).choice, three_run.vm(n).generation) for n in "abc"] == [
        ("x@1", 2),
        ("parked", 2),
        (None, 1),
    ]
    assert three_run.plan_id == "p1"
    assert not three_run.wave_done()


def test_a_wave_is_done_when_all_of_it_have_acknowledged(three_run):
    """The next one may rely on their watts; ``c`` waits until both have said so."""
    three_run.apply([happened.PlanApplied("p1", "settled", dict.fromkeys("abc", "x@1"), "alice", (("a", "b"), ("c",)))])
    assert [three_run.vm(n).choice for n in "abc"] == ["x@1", "x@1", None]
    three_run.apply([happened.ConfigurationAcknowledged("a", 2)])
    assert not three_run.wave_done()
    three_run.apply([happened.ConfigurationAcknowledged("b", 2)])
    assert three_run.wave_done()
    three_run.apply([happened.WaveStarted()])
    assert three_run.vm("c").choice == "x@1"
    three_run.apply([happened.ConfigurationAcknowledged("c", 2)])
    assert not three_run.wave_done()  # none is left


def test_a_vm_that_is_gone_holds_no_wave_up(three_run):
    """Nobody will ever acknowledge for it."""
    three_run.apply([happened.PlanApplied("p1", "settled", {"a": "x@1", "c": "x@1"}, "", (("a",), ("c",)))])
    three_run.apply([happened.VmsReleased(("a",))])
    assert three_run.wave_done()


def test_a_newer_plan_takes_the_place_of_waves_that_have_not_started(three_run):
    """``c`` was to change in a wave of the first plan, which the second knows nothing of."""
    three_run.apply([happened.PlanApplied("p1", "settled", {"a": "x@1", "c": "x@1"}, "", (("a",), ("c",)))])
    three_run.apply([happened.PlanApplied("p2", "now", {"b": "y@1"}), happened.ConfigurationAcknowledged("a", 2)])
    three_run.apply([happened.ConfigurationAcknowledged("b", 2)])
    assert not three_run.wave_done()
    assert [three_run.vm(n).choice for n in "abc"] == ["x@1", "y@1", None]


def test_wanting_what_is_wanted_already_is_no_new_generation(three_run):
    """An agent that runs it need not be asked again."""
    three_run.apply([happened.PlanApplied("p1", "now", {"a": "x@1"}), happened.PlanApplied("p2", "now", {"a": "x@1"})])
    assert three_run.vm("a").generation == 2


def test_a_vm_serves_what_its_agent_last_said(three_run):
    """Desired is not yet running: until the acknowledgement of the newest, it serves what it did before."""
    three_run.apply([happened.PlanApplied("p1", "now", {"a": "x@1"})])
    assert (three_run.vm("a").choice, three_run.vm("a").serving) == ("x@1", None)
    three_run.apply([happened.ConfigurationAcknowledged("a", 1)])
    assert three_run.vm("a").serving is None
    three_run.apply([happened.ConfigurationAcknowledged("a", 2)])
    assert three_run.vm("a").serving == "x@1"


def test_a_delayed_acknowledgement_takes_nothing_back(three_run):
    """Generation 2 was acknowledged; a message of generation 1 that comes after it must not hold the next wave up."""
    three_run.apply([happened.PlanApplied("p1", "settled", {"a": "x@1", "b": "x@1"}, "", (("a",), ("b",)))])
    three_run.apply([happened.ConfigurationAcknowledged("a", 2), happened.ConfigurationAcknowledged("a", 1)])
    assert three_run.vm("a").acknowledged == 2
    assert three_run.wave_done()


def test_a_plan_stands_on_site_endpoints_failures_and_vms_alone(three_run):
    """Acknowledgements, the mode and a cordon outdate no plan; a VM more, or another failure, does."""
    before = three_run.basis(())
    three_run.apply([happened.ModeSet("act"), happened.ConfigurationAcknowledged("a", 1)])
    three_run.apply([happened.ServerStateSet("S6", happened.ServerState.CORDONED)])
    assert three_run.basis(()) == before
    assert three_run.basis([Failure(FailureKind.UPS, "U1")]) != before
    three_run.apply([happened.VmsAdopted((on("d", "S4"),))])
    assert three_run.basis(()) != before


@pytest.fixture
def two_waves(three_run):
    """``a`` shall change first, then ``b``."""
    three_run.apply([happened.PlanApplied("p", "settled", {"a": "x@1", "b": "y@1"}, "", (("a",), ("b",)))])
    three_run.apply([happened.ConfigurationAcknowledged("a", 2)])
    assert three_run.wave_done()
    return three_run


@pytest.mark.parametrize(
    "event",
    [
        happened.FailureReported(Failure(FailureKind.UPS, "U1")),
        happened.FailureCleared("ups:U1"),
        happened.EndpointPut(Endpoint("chat", Slo(1.0, 0.1), "z")),
    ],
)
def test_waves_that_have_not_begun_are_dropped_when_what_they_were_planned_on_changes(two_waves, event):
    """A wave planned for four UPSs would overload the three that are left."""
    two_waves.apply([event])
    assert not two_waves.wave_done()


def test_a_wave_is_not_for_another_vm_that_bears_a_released_name(two_waves):
    """``b`` left, and somebody else's ``b`` came."""
    stranger = happened.VmOnServer(Vm("b", VmKind.IAAS, "other"), "S2")
    two_waves.apply([happened.VmsReleased(("b",)), happened.VmsAdopted((stranger,)), happened.WaveStarted()])
    assert two_waves.vm("b").choice is None


def test_what_runs_does_not_follow_its_endpoint(fleet):
    """A VM starts with its endpoint's configuration of that day; only a plan changes it, with a generation."""
    fleet.apply([happened.EndpointPut(Endpoint("chat", Slo(1.0, 0.1), "old")), happened.VmsAdopted((on("a", "S1"),))])
    fleet.apply([happened.EndpointPut(Endpoint("chat", Slo(1.0, 0.1), "new"))])
    assert fleet.vm("a").vm.configuration == "old"
