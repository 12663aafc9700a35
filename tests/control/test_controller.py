"""The controller decides; nothing is so until its events are applied."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.events import OperatingMode, ServerState
from tapas_opt.control.fleet import VmState
from tapas_opt.control.plans import PROPOSALS_KEPT
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Constraint, Mode, Status
from tapas_opt.domain.workload import Endpoint, Group, Slo, SpreadOver, VmKind
from tapas_opt.errors import Conflict, InvalidInput, NotFound
from tapas_opt.reconfiguration import check as reconfiguration_check
from tapas_opt.reconfiguration.problem import Stage

U1_LOST = Failure(FailureKind.UPS, "U1")


def placed(controller, vms, groups=(), now_s=0.0):
    """Ask, settle and apply, as the service does."""
    answer = controller.settled(controller.place(vms, groups, now_s=now_s, deadline_s=1.0), groups, now_s=now_s)
    controller.apply(answer.events)
    return answer


@pytest.fixture
def busy(controller, saas, iaas, run):
    """40 instances in row R1 and 12 opaque VMs in row R2, all running; 25 °C outside and 60,000 tokens/s are asked."""
    run(saas(40))
    run(iaas(12), first=40)
    controller.observe(Readings(0.0, outdoor_c={"room1": 25.0}, endpoint_tokens_per_s={"conv": 60_000.0}))
    return controller


def failed(controller, failure=U1_LOST, now_s=0.0):
    answer = controller.report_failure(failure, now_s=now_s, deadline_s=1.0)
    controller.apply(answer.events)
    return answer


def stale_for(controller, proposal):
    with pytest.raises(Conflict, match="plan again"):
        controller.apply_plan(proposal.plan_id, None, "alice")


# Placement.


def test_a_vm_is_placed_confirmed_and_released_once(controller, iaas):
    """The life of a VM; a second release must not free what somebody else may hold by then."""
    answer = placed(controller, iaas(2), now_s=100.0)
    assert (answer.result.mode, answer.result.plan.unplaced) == (Mode.GREEDY, ())
    assert controller.fleet.vm("i0").expires_at_s == 100.0 + 600.0
    controller.apply(controller.confirm(["i0", "i1"]))
    assert controller.fleet.vm("i0").state is VmState.RUNNING
    assert controller.confirm(["i0"]) == ()
    controller.apply(controller.release(["i0"]))
    with pytest.raises(NotFound, match="'i0'"):
        controller.release(["i0", "i1"])
    assert controller.fleet.vm("i1").server == answer.result.plan.server_of["i1"]


def test_asking_alone_changes_nothing(controller, iaas):
    """An answer becomes so only when its events are durable."""
    before = controller.fleet.etag
    controller.place(iaas(3), (), now_s=0.0, deadline_s=1.0)
    assert (controller.fleet.etag, controller.fleet.vms) == (before, {})


def test_unknown_vms_are_all_named(controller):
    """One call, one answer."""
    for call in (controller.confirm, controller.release):
        with pytest.raises(NotFound, match="a, b"):
            call(["a", "b"])


def test_a_bad_batch_is_refused_with_all_its_faults(controller, iaas, saas):
    """And nothing of it is placed."""
    with pytest.raises(InvalidInput) as refused:
        controller.place([*iaas(1, gpu_models=("H100",)), *saas(1, endpoint="chess")], (), now_s=0.0, deadline_s=1.0)
    assert len(refused.value.faults) == 2


def test_an_empty_batch_is_answered(controller):
    """Nothing asked, nothing done, nothing paid."""
    answer = controller.place([], (), now_s=0.0, deadline_s=1.0)
    assert (answer.events, answer.result.objective, answer.result.status) == ((), 0.0, Status.OPTIMAL)


def test_a_full_site_says_why_not(controller, iaas):
    """80 servers, 81 VMs: one is left, for want of one server; only the placed ones are reserved."""
    answer = placed(controller, iaas(81))
    left = len(answer.result.plan.unplaced)
    assert left >= 1
    assert len(controller.fleet.vms) == 81 - left
    assert {rejection.subject for rejection in answer.result.why_not} == set(answer.result.plan.unplaced)


def test_no_server_is_given_twice_when_the_fleet_changed_while_a_solver_worked(controller, iaas):
    """Two batches were decided on the same empty fleet and want the same servers: the second settles for others."""
    drafts = [controller.place(iaas(20, tenant="acme"), (), now_s=0.0, deadline_s=1.0)]
    drafts.append(
        controller.place([replace(vm, name=f"j{n}") for n, vm in enumerate(iaas(20))], (), now_s=0.0, deadline_s=1.0)
    )
    wanted = [set(draft.result.plan.server_of.values()) for draft in drafts]
    assert wanted[0] & wanted[1]
    for draft in drafts:
        answer = controller.settled(draft, (), now_s=0.0)
        controller.apply(answer.events)
    assert answer.result.fallback == "the fleet changed while the solver worked"
    held = [item.server for item in controller.fleet.vms.values()]
    assert len(held) == len(set(held)) > 20


def test_an_answer_for_the_fleet_as_it_is_stands(controller, iaas):
    """Nothing happened meanwhile: the solver's answer is not thrown away."""
    draft = controller.place(iaas(1), (), now_s=0.0, deadline_s=1.0)
    assert controller.settled(draft, (), now_s=5.0) is draft


def test_a_name_taken_meanwhile_is_refused(controller, iaas):
    """Two callers chose the same name: the later one hears of it."""
    drafts = [controller.place(iaas(1), (), now_s=0.0, deadline_s=1.0) for _ in range(2)]
    controller.apply(controller.settled(drafts[0], (), now_s=0.0).events)
    with pytest.raises(InvalidInput, match="i0: already exists"):
        controller.settled(drafts[1], (), now_s=0.0)


def test_a_server_cordoned_meanwhile_gets_nothing(controller, iaas):
    """The operator's word came while the solver worked."""
    draft = controller.place(iaas(1), (), now_s=0.0, deadline_s=1.0)
    (server,) = draft.result.plan.server_of.values()
    controller.apply(controller.set_server_state(server, ServerState.CORDONED))
    assert controller.settled(draft, (), now_s=0.0).result.plan.server_of["i0"] != server


def test_a_group_comes_with_its_vms_and_is_known_afterwards(controller, iaas):
    """One in each of two rows, and the third nowhere; a later member meets those that are there."""
    rows = Group("pair", SpreadOver.ROW, max_per_place=1)
    answer = placed(controller, iaas(2, group="pair"), [rows])
    assert {server[:2] for server in answer.result.plan.server_of.values()} == {"R1", "R2"}
    later = placed(controller, iaas(1, name="late", group="pair"))
    assert later.result.plan.unplaced == ("late",)
    assert Constraint.GROUP_SPREAD in {rejection.constraint for rejection in later.result.why_not}


def test_expired_reservations_are_released_by_the_clock(controller, iaas):
    """Reserved at 0 s for 600 s; what was confirmed stays."""
    placed(controller, iaas(2))
    controller.apply(controller.confirm(["i1"]))
    assert controller.tick(599.9) == ()
    assert controller.tick(600.0) == (happened.VmsReleased(("i0",), "expired"),)
    controller.apply(controller.tick(600.0))
    assert set(controller.fleet.vms) == {"i1"}
    assert controller.tick(601.0) == ()


def test_servers_are_ranked_by_what_they_cost_and_the_hopeless_come_last(controller, iaas, run):
    """A full server is named with its reason; nothing is decided."""
    run(iaas(1))
    vm = iaas(1, name="new")[0]
    verdicts = controller.rank_servers(vm, ["R1-K1-S1", "R2-K1-S1", "R1-K5-S1"], now_s=0.0)
    assert verdicts[-1].server == "R1-K1-S1"
    assert Constraint.SERVER_GPU_CAPACITY in verdicts[-1].reasons
    costs = [verdict.cost for verdict in verdicts if verdict.eligible]
    assert costs == sorted(costs)
    assert len(controller.rank_servers(vm, (), now_s=0.0)) == 80
    assert "new" not in controller.fleet.vms
    with pytest.raises(NotFound, match="'S9'"):
        controller.rank_servers(vm, ["S9"], now_s=0.0)
    with pytest.raises(InvalidInput, match="already exists"):
        controller.rank_servers(iaas(1)[0], (), now_s=0.0)


def test_no_answer_hides_that_it_goes_beyond_what_was_learned(controller, iaas):
    """55 °C were never in the history: the context says so, in words."""
    answer = controller.place(iaas(1), (), now_s=0.0, deadline_s=1.0)
    assert not any("outdoor_c" in warning for warning in answer.context.warnings)
    controller.observe(Readings(0.0, outdoor_c={"room1": 55.0}))
    answer = controller.place(iaas(1), (), now_s=30.0, deadline_s=1.0)
    assert any(warning.startswith("EXTRAPOLATED: outdoor_c 55") for warning in answer.context.warnings)
    assert answer.context.telemetry_age_s == 30.0
    assert answer.context.models == controller.models.fingerprint


# Adopting and syncing.


def test_a_full_list_is_believed(controller, iaas, run):
    """i0 stays, i1 has moved, i2 is gone and i9 is new."""
    run(iaas(3))
    servers = controller.fleet.topology.servers
    vms = {vm.name: vm for vm in iaas(10)}
    listed = [happened.VmOnServer(vms[name], servers[s]) for name, s in (("i0", 0), ("i1", 7), ("i9", 2))]
    answer = controller.sync(listed)
    assert (answer.added, answer.moved, answer.removed) == (("i9",), ("i1",), ("i2",))
    controller.apply(answer.events)
    assert {name: item.server for name, item in controller.fleet.vms.items()} == {
        "i0": servers[0],
        "i1": servers[7],
        "i9": servers[2],
    }
    assert controller.sync(listed).events == ()


def test_two_vms_may_swap_servers_in_a_full_list(controller, iaas, run):
    """Each makes room for the other."""
    run(iaas(2))
    servers = controller.fleet.topology.servers
    swapped = [happened.VmOnServer(vm, server) for vm, server in zip(iaas(2), servers[1::-1], strict=True)]
    controller.apply(controller.sync(swapped).events)
    assert controller.fleet.vm("i0").server == servers[1]


def test_a_reservation_that_a_full_list_names_is_confirmed(controller, iaas):
    """The list says what runs: it must not expire under a running VM."""
    answer = placed(controller, iaas(1))
    (server,) = answer.result.plan.server_of.values()
    controller.apply(controller.sync([happened.VmOnServer(iaas(1)[0], server)]).events)
    assert controller.fleet.vm("i0").state is VmState.RUNNING
    assert controller.tick(1e9) == ()


def test_bad_lists_are_refused_whole(controller, iaas):
    """Half a list believed is a fleet that never was."""
    bad = [happened.VmOnServer(vm, "R1-K1-S1") for vm in iaas(2)]
    for call in (controller.sync, controller.adopt):
        with pytest.raises(InvalidInput, match="already holds"):
            call(bad)


# Site, endpoints, servers.


def test_a_site_is_changed_by_who_has_read_it_and_keeps_what_is_needed(controller, demo_site, two_rows, iaas, run):
    """Not by an old etag, not under running VMs, not under a failure of an element that it lacks."""
    with pytest.raises(Conflict, match="read it again"):
        controller.apply_site(demo_site, "demo-99")
    assert controller.apply_site(demo_site, controller.fleet.etag) == (happened.SiteApplied(demo_site),)
    fewer = _without_last_rack(demo_site)
    assert controller.apply_site(fewer, None)
    last = len(controller.fleet.topology.servers) - 1
    run(iaas(1), first=last)
    with pytest.raises(Conflict, match="hold VMs but are not in the new site"):
        controller.apply_site(fewer, None)


def test_a_failed_element_stays_in_the_site_until_it_is_cleared(controller, demo_site):
    """Every later plan would ask what is left of a UPS that nobody knows."""
    controller.apply(controller.report_failure(Failure(FailureKind.AHU, "AHU4"), now_s=0.0, deadline_s=1.0).events)
    room = demo_site.rooms[0]
    others = tuple(replace(ahu, aisle_shares={"A1": 0.5, "A2": 0.5}, max_airflow_cfm=40_000.0) for ahu in room.ahus[:3])
    without = replace(demo_site, rooms=(replace(room, ahus=others),))
    with pytest.raises(Conflict, match="ahu:AHU4"):
        controller.apply_site(without, None)
    controller.apply(controller.clear_failure("ahu:AHU4"))
    assert controller.apply_site(without, None)


def _without_last_rack(site):
    room = site.rooms[0]
    aisle = room.aisles[-1]
    row = aisle.rows[-1]
    aisle = replace(aisle, rows=(*aisle.rows[:-1], replace(row, racks=row.racks[:-1])))
    return replace(site, rooms=(replace(room, aisles=(*room.aisles[:-1], aisle)),))


def test_an_endpoint_needs_a_profile(controller):
    """Nobody knows what an unprofiled configuration carries or draws."""
    with pytest.raises(InvalidInput, match="gpt-9"):
        controller.put_endpoint(Endpoint("e", Slo(1.0, 0.1), "gpt-9"))


def test_only_servers_that_exist_are_cordoned(controller):
    """A typo would leave the real one in service."""
    with pytest.raises(NotFound, match="'S9'"):
        controller.set_server_state("S9", ServerState.CORDONED)


# Failures and reconfiguration.


@pytest.mark.parametrize("mode", list(OperatingMode))
def test_a_failure_is_noted_in_every_mode_and_answered_by_itself_in_one(busy, mode):
    """Act publishes, advise proposes, shadow watches."""
    busy.apply(busy.set_mode(mode))
    answer = failed(busy)
    assert list(busy.fleet.failures) == ["ups:U1"]
    assert answer.proposal.needed
    assert answer.published is (mode is OperatingMode.ACT)
    changed = {name for name, item in busy.fleet.vms.items() if item.generation > 1}
    assert changed == (set(answer.proposal.changes) if mode is OperatingMode.ACT else set())


def test_an_advised_answer_to_a_failure_is_applied_on_approval(busy):
    """Noting the failure, acknowledgements and telemetry must not outdate the very plan that answers it."""
    busy.apply(busy.set_mode(OperatingMode.ADVISE))
    proposal = failed(busy).proposal
    busy.apply(busy.acknowledge("c0", 1, None))
    busy.observe(Readings(1.0, endpoint_tokens_per_s={"conv": 61_000.0}))
    events = busy.apply_plan(proposal.plan_id, proposal.context.etag, "alice")
    busy.apply(events)
    assert events[0].approver == "alice"
    assert {n: busy.fleet.vm(n).choice for n in proposal.changes} == dict(proposal.changes)


def test_nothing_is_applied_in_shadow_mode(busy):
    """Watching is watching: not even on approval; back in advise the plan still stands."""
    busy.apply(busy.set_mode(OperatingMode.SHADOW))
    proposal = failed(busy).proposal
    with pytest.raises(Conflict, match="mode shadow"):
        busy.apply_plan(proposal.plan_id, None, "alice")
    busy.apply(busy.set_mode(OperatingMode.ADVISE))
    assert busy.apply_plan(proposal.plan_id, None, "alice")


def test_no_wave_starts_in_shadow_mode(busy):
    """A plan that was under way waits; reservations expire all the same."""
    busy.apply([happened.PlanApplied("p", "settled", dict.fromkeys(("c0", "c1"), "parked"), "", (("c0",), ("c1",)))])
    busy.apply(busy.acknowledge("c0", 2, None))
    busy.apply(busy.set_mode(OperatingMode.SHADOW))
    assert busy.tick(0.0) == ()
    busy.apply(busy.set_mode(OperatingMode.ADVISE))
    assert busy.tick(0.0) == (happened.WaveStarted(at_s=0.0),)


def test_a_failure_that_needs_nothing_publishes_nothing(controller, saas):
    """One instance on 80 servers, busy on a server cool enough for it: any three UPSs carry it."""
    placed(controller, saas(1))
    controller.observe(Readings(0.0, outdoor_c={"room1": 15.0}, endpoint_tokens_per_s={"conv": 1e5}))
    answer = failed(controller)
    assert (answer.published, controller.fleet.plan_id) == (False, "")
    assert list(controller.fleet.failures) == ["ups:U1"]


def test_an_element_that_does_not_exist_does_not_fail(controller):
    """With the names of those that do; nothing is noted."""
    with pytest.raises(NotFound, match=r"'U9'.*U1"):
        controller.report_failure(Failure(FailureKind.UPS, "U9"), now_s=0.0, deadline_s=1.0)
    assert controller.fleet.failures == {}


def test_a_failure_reported_again_takes_the_place_of_the_first(busy):
    """Lost, then found to be half lost: one failure, not two."""
    failed(busy)
    failed(busy, Failure(FailureKind.UPS, "U1", remaining_frac=0.5))
    assert [failure.remaining_frac for failure in busy.fleet.failures.values()] == [0.5]


def test_only_a_reported_failure_is_cleared(busy):
    """The answer names those that are."""
    with pytest.raises(NotFound, match="none is reported"):
        busy.clear_failure("ups:U1")
    failed(busy)
    with pytest.raises(NotFound, match=r"'ups:U2'.*ups:U1"):
        busy.clear_failure("ups:U2")
    busy.apply(busy.clear_failure("ups:U1"))
    assert busy.fleet.failures == {}


def test_opaque_vms_are_never_changed(busy):
    """Whoever rents a server keeps it as it is; only endpoints of the operator's own are reconfigured."""
    for failure in (U1_LOST, Failure(FailureKind.AHU, "AHU1"), Failure(FailureKind.ROOM_POWER, "room1", 0.7)):
        failed(busy, failure)
    plans = [busy.plan_reconfiguration(stage, now_s=0.0, deadline_s=1.0) for stage in Stage]
    touched = {name for name, item in busy.fleet.vms.items() if item.generation > 1 or item.choice is not None}
    touched |= {name for plan in plans for name in plan.changes}
    assert touched
    assert {busy.fleet.vm(name).vm.kind for name in touched} == {VmKind.SAAS}


def test_planning_applies_nothing(busy):
    """It is a question."""
    before = busy.fleet.etag
    busy.plan_reconfiguration(Stage.SETTLED, now_s=0.0, deadline_s=1.0)
    assert busy.fleet.etag == before


def test_a_plan_must_be_known_and_the_etag_the_plans_or_the_present_one(busy):
    """Nobody approves what he has not read."""
    with pytest.raises(NotFound, match="plan again"):
        busy.apply_plan("now-demo-1-1", None, "alice")
    proposal = busy.plan_reconfiguration(Stage.SETTLED, now_s=0.0, deadline_s=1.0)
    with pytest.raises(Conflict, match="read it again"):
        busy.apply_plan(proposal.plan_id, "demo-0", "alice")
    busy.apply(busy.set_mode(OperatingMode.ADVISE))
    for etag in (proposal.context.etag, busy.fleet.etag, None, ""):
        assert busy.apply_plan(proposal.plan_id, etag, "alice")


def test_a_plan_is_outdated_by_what_it_stands_on(busy, iaas):
    """A VM more or less, another failure, an endpoint that asks for more, the plan itself."""
    changes = (
        lambda: busy.release(["c0"]),
        lambda: busy.adopt([happened.VmOnServer(iaas(1, name="new")[0], "R2-K9-S1")]),
        lambda: (happened.FailureReported(U1_LOST),),
        lambda: busy.clear_failure("ups:U1"),
        lambda: busy.put_endpoint(replace(busy.fleet.endpoints["conv"], quality_floor=0.9)),
    )
    for change in changes:
        proposal = busy.plan_reconfiguration(Stage.SETTLED, now_s=0.0, deadline_s=1.0)
        busy.apply(change())
        stale_for(busy, proposal)
    busy.observe(Readings(60.0, outdoor_c={"room1": 25.0}, endpoint_tokens_per_s={"conv": 90_000.0}))
    proposal = busy.plan_reconfiguration(Stage.SETTLED, now_s=60.0, deadline_s=1.0)
    assert proposal.changes
    busy.apply(busy.apply_plan(proposal.plan_id, None, "alice"))
    stale_for(busy, proposal)


def test_plans_bear_names_of_their_own_however_many_there_are(controller, saas, run):
    """An old name must never stand for another plan: the first hundred are forgotten, not renamed."""
    run(saas(1))
    plans = [
        controller.plan_reconfiguration(Stage.SETTLED, now_s=0.0, deadline_s=1.0).plan_id
        for _ in range(PROPOSALS_KEPT + 5)
    ]
    assert len(set(plans)) == len(plans)
    assert controller.apply_plan(plans[-1], None, "alice")
    with pytest.raises(NotFound):
        controller.apply_plan(plans[4], None, "alice")


def test_reloads_come_wave_by_wave(busy):
    """Each starts when every VM of the one before has said so, and at most a tenth of the instances load at once.

    Twice what is asked normally takes more than four of them.
    """
    busy.observe(Readings(0.0, outdoor_c={"room1": 25.0}, endpoint_tokens_per_s={"conv": 120_000.0}))
    busy.apply([happened.PlanApplied("p", "now", {f"c{n}": "parked" for n in range(40)})])
    busy.apply([happened.ConfigurationAcknowledged(f"c{n}", 2) for n in range(40)])
    proposal = busy.plan_reconfiguration(Stage.SETTLED, now_s=0.0, deadline_s=1.0)
    busy.apply(busy.apply_plan(proposal.plan_id, None, "alice"))
    waves = proposal.result.plan.waves
    assert len(waves) > 1
    assert max(len(wave) for wave in waves) <= 4
    for number, wave in enumerate(waves, start=1):
        changed = {name for name, item in busy.fleet.vms.items() if item.generation > 2}
        assert changed == {name for done in waves[:number] for name in done}
        assert busy.tick(0.0) == ()
        for name in wave:
            busy.apply(busy.acknowledge(name, 3, None))
        expected = (happened.WaveStarted(at_s=0.0),) if number < len(waves) else ()
        assert busy.tick(0.0) == expected
        busy.apply(expected)


@pytest.mark.parametrize("generation", [0, 2, -1])
def test_only_a_generation_that_was_asked_for_is_acknowledged(busy, generation):
    """A VM at generation 1 has nothing else to say."""
    with pytest.raises(InvalidInput, match="must be 1 to 1"):
        busy.acknowledge("c0", generation, None)
    with pytest.raises(NotFound, match="'ghost'"):
        busy.acknowledge("ghost", 1, None)


def test_a_hopeless_emergency_is_answered_with_the_least_excess(busy):
    """U1 to U3 are lost to a room measured at 6.4 kW a server: whatever can be shed is, and the rest is declared."""
    servers = busy.fleet.topology.servers
    busy.observe(Readings(0.0, server_power_w=dict.fromkeys(servers, 6_400.0)))
    for n in range(3):
        answer = failed(busy, Failure(FailureKind.UPS, f"U{n + 1}"))
    assert answer.proposal.result.mode is Mode.BEST_EFFORT
    assert sum(answer.proposal.result.plan.excess.values()) > 0


@pytest.mark.parametrize("seed", range(8))
def test_no_plan_exceeds_a_budget_by_more_than_it_declares(make, chat, iaas, saas, seed):
    """Fleets, loads, weather and failures at random, both stages: the independent checker has the last word."""
    rng = np.random.default_rng(seed)
    controller = make(seed=seed)
    controller.apply(controller.put_endpoint(chat))
    servers = rng.permutation(controller.fleet.topology.servers)
    vms = [*saas(int(rng.integers(5, 50))), *iaas(int(rng.integers(0, 30)))]
    on = [happened.VmOnServer(vm, str(server)) for vm, server in zip(vms, servers, strict=False)]
    controller.apply(controller.adopt(on))
    controller.observe(
        Readings(
            0.0,
            outdoor_c={"room1": float(rng.uniform(10, 35))},
            endpoint_tokens_per_s={"conv": float(rng.uniform(0, 200_000))},
            server_power_w={item.server: float(rng.uniform(2_000, 6_500)) for item in on if rng.random() < 0.95},
        )
    )
    upses, ahus = rng.permutation([1, 2, 3, 4]), rng.permutation([1, 2, 3, 4])
    failures = (
        Failure(FailureKind.UPS, f"U{upses[0]}", float(rng.choice([0.0, 0.5]))),
        Failure(FailureKind.AHU, f"AHU{ahus[0]}"),
        Failure(FailureKind.ROOM_POWER, "room1", 0.9),
    )
    for failure in failures[: 1 + seed % 3]:
        known = tuple(controller.fleet.failures.values())
        problem = controller.reconfiguration_problem(Stage.NOW, (*known, failure), now_s=0.0)
        result = failed(controller, failure).proposal.result
        plan = result.plan
        judged = problem.allowing_late_relief() if result.mode is Mode.BEST_EFFORT else problem
        assert reconfiguration_check.check(judged.with_allowed_excess(plan.excess), plan).ok
        assert problem.excess_of(problem.chosen(plan)) == plan.excess  # until late relief acts, all of it is declared
        assert sum(plan.excess.values()) <= sum(problem.present().excess.values())
    problem = controller.reconfiguration_problem(Stage.SETTLED, tuple(controller.fleet.failures.values()), now_s=0.0)
    plan = controller.plan_reconfiguration(Stage.SETTLED, now_s=0.0, deadline_s=1.0).result.plan
    assert reconfiguration_check.check(problem.with_allowed_excess(plan.excess), plan).ok
    assert reconfiguration_check.check_waves(problem, plan) == ()


def test_relief_that_comes_late_is_better_than_none(make, chat, iaas, saas):
    """A room at half its power is far beyond every tolerance: no knob is quick enough, and yet they are turned."""
    controller = make()
    controller.apply(controller.put_endpoint(chat))
    servers = controller.fleet.topology.servers
    on = [happened.VmOnServer(vm, server) for vm, server in zip([*saas(40), *iaas(40)], servers, strict=True)]
    controller.apply(controller.adopt(on))
    controller.observe(Readings(0.0, outdoor_c={"room1": 20.0}, server_power_w=dict.fromkeys(servers, 5_000.0)))
    failure = Failure(FailureKind.ROOM_POWER, "room1", 0.5)
    problem = controller.reconfiguration_problem(Stage.NOW, (failure,), now_s=0.0)
    assert problem.instance_tolerance_s.max() < 1.0
    answer = failed(controller, failure)
    assert answer.published
    assert answer.proposal.changes
    assert answer.proposal.result.mode is Mode.BEST_EFFORT
    assert "no knob in time" in answer.proposal.result.fallback


def test_a_reservation_need_not_be_on_the_list_of_what_runs(controller, iaas, run):
    """Its VM has not booted; it still holds its server, until it expires."""
    run(iaas(1), first=40)
    reserved = placed(controller, iaas(1, name="waiting"), now_s=0.0)
    there = controller.fleet.vm("i0")
    answer = controller.sync([happened.VmOnServer(there.vm, there.server)])
    assert answer.removed == ()
    instead = happened.VmOnServer(iaas(1, name="other")[0], reserved.result.plan.server_of["waiting"])
    assert controller.sync([happened.VmOnServer(there.vm, there.server), instead]).removed == ("waiting",)


def test_a_vm_that_is_another_one_is_believed_to_be(controller, saas, iaas, run):
    """An opaque VM under the name of an instance must not be reconfigured as one."""
    run(saas(1))
    server = controller.fleet.vm("c0").server
    answer = controller.sync([happened.VmOnServer(iaas(1, name="c0")[0], server)])
    controller.apply(answer.events)
    assert answer.moved == ("c0",)
    assert controller.fleet.vm("c0").vm.kind is VmKind.IAAS


@pytest.mark.parametrize("failure", [U1_LOST, Failure(FailureKind.PDU, "U1-P1", 0.5), Failure(FailureKind.AHU, "AHU1")])
def test_a_placement_under_a_failure_also_holds_when_it_is_over(busy, iaas, failure):
    """A VM stays for weeks, a failure for an hour: no domain has more room because something else has failed."""
    vms = iaas(1, name="new")
    busy.apply(busy.set_mode(OperatingMode.ADVISE))  # nothing that runs is changed
    before = busy.placement_problem(vms, (), now_s=0.0).budgets
    failed(busy, failure)
    during = busy.placement_problem(vms, (), now_s=0.0).budgets
    for whole, broken in zip(before.families, during.families, strict=True):
        assert (broken.room <= whole.room).all()


def test_a_vm_released_while_routes_are_planned_gets_no_request(busy, monkeypatch):
    """The plan was made for it, and comes into force after it has gone: the release stands, and so does the plan."""
    plan = busy.router.plan

    def slowly(*args, **kwargs):
        result = plan(*args, **kwargs)
        busy.apply(busy.release(["c0"]))
        return result

    busy.refresh_routes(now_s=0.0)
    monkeypatch.setattr(busy.router, "plan", slowly)
    busy.router.note_change(busy.fleet)
    busy.refresh_routes(now_s=1.0)
    picked = {busy.router.route("conv", 500, 100, None, now_s=1.0).instance for _ in range(200)}
    assert picked
    assert "c0" not in picked
