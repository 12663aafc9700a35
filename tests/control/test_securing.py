"""Placements that survive failures, from a fleet and a forecast; the emergency itself is the judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.actuation import Actuation
from tapas_opt.control.knobs import TIERS
from tapas_opt.control.placing import placement_problem
from tapas_opt.control.securing import EARLY, FAST_FRAC, SLOW_FRAC, Securing
from tapas_opt.domain.failure import Failure, FailureKind, FailureSource
from tapas_opt.domain.result import Constraint, Mode
from tapas_opt.domain.site import BREAKER, UPS_ON_BATTERY
from tapas_opt.errors import InvalidInput, NotFound
from tapas_opt.plant.protection import InverseTime
from tapas_opt.reconfiguration.problem import Stage

PEAK_S = 15 * 3600.0


@pytest.fixture
def secured(controller, forecast_of):
    """State the placement of some VMs on the controller's fleet so that it survives."""
    securing = Securing(Actuation())
    return lambda vms, **how: placement_problem(forecast_of(controller.fleet), vms, (), securing=securing, **how)


def given(part, vm_type, hardware=0):
    """Watts that a VM of a type gives by tier, in the slot in which it gives most."""
    return dict(zip(TIERS, part.type_relief[vm_type, hardware].max(axis=1).tolist(), strict=True))


def power_part(problem):
    return next(part for part in problem.survival.parts if part.family.unit == "W")


def early_part(problem):
    return next(part for part in problem.survival.parts if part.scenarios[0].endswith(EARLY))


def test_who_may_be_relieved_of_what(secured, iaas, saas):
    """SaaS at a lower clock, spot VMs of all that is left, an opaque VM that agreed only if there is time for it."""
    vms = [*iaas(1), *saas(1), *iaas(1, spot=True), *saas(1, spot=True), *iaas(1, capping_agreed=True)]
    problem = secured([*vms, *iaas(70, name="more")])
    part = power_part(problem)
    opaque, instance, spot, both, agreed = (given(part, kind) for kind in problem.vm_type[:5])
    fast = given(early_part(problem), problem.vm_type[1])
    assert instance["drained"] > 0 == fast["drained"]
    assert instance["slowed"] == fast["slowed"]
    assert opaque == agreed == dict.fromkeys(TIERS, 0), (
        "out of band takes 40 s, a UPS bears no 1.5 times its rating as long"
    )
    assert instance["slowed"] > 0 == instance["evicted"]
    assert spot["slowed"] == 0 < spot["evicted"] == problem.type_power_w[problem.vm_type[2], 0].max()
    assert both["slowed"] > 0 < both["evicted"]


@pytest.mark.parametrize("curve", [UPS_ON_BATTERY, BREAKER])
def test_what_is_overloaded_as_far_as_is_allowed_until_relief_acts_stays_closed_with_a_fifth_in_hand(curve):
    """By the room's own accumulation: the highest load until the fast knobs act, the next until the slow ones do."""
    actuation = Actuation()
    fast_s, slow_s = actuation.reaction_s, actuation.slow_reaction_s - actuation.reaction_s
    element = InverseTime([curve])
    for seconds, part in ((fast_s, FAST_FRAC), (slow_s, SLOW_FRAC)):
        for _ in range(int(10 * seconds)):
            assert not element.step(np.array([curve.borne_frac(seconds / part)]), 0.1)
    assert element.used[0] <= 0.8 + 1e-9


def test_the_fast_knobs_alone_bring_loads_to_where_there_is_time_for_the_slow_ones(secured, iaas):
    """Seven sixths of a UPS's rating on battery, and no more; for good it carries its rating."""
    problem = secured(iaas(80))
    early, last = early_part(problem), power_part(problem)
    limit = dict(zip(last.family.domains, last.family.limit[:, 0].tolist(), strict=True))
    first = dict(zip(early.family.domains, early.family.limit[:, 0].tolist(), strict=True))
    assert first
    for pair, watts in first.items():
        assert watts / limit[pair.removesuffix(EARLY)] == pytest.approx(1.159, abs=0.001)


def test_a_tenant_that_agreed_is_slowed_where_overloads_are_borne_long_enough(controller, forecast_of, iaas):
    """With a fast way into its VM it counts, at the highest price."""
    quick = Securing(Actuation(out_of_band_s=1.0))
    vms = [*iaas(1, capping_agreed=True), *iaas(70, name="more")]
    part = power_part(placement_problem(forecast_of(controller.fleet), vms, (), securing=quick))
    assert given(part, 0)["capped"] > 0 == given(part, 1)["capped"]
    assert part.relief_price.argmax() == TIERS.index("capped")


def test_relief_never_exceeds_what_is_drawn(secured, iaas, saas):
    """Else a failure would make power."""
    problem = secured([*iaas(30), *saas(30, spot=True)])
    for part in problem.survival.parts:
        draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
        assert (part.type_relief.sum(axis=2) <= draw).all()
        assert (part.type_relief >= 0).all()


def test_running_vms_are_relieved_in_the_groups_that_they_are_in(secured, controller, run, iaas, saas):
    """Four instances on the first rack and nothing else: only groups of its kind have anything to give."""
    run(saas(4))
    problem = secured(iaas(70, name="more"))
    part = power_part(problem)
    inside = np.unique(part.group_of_kind[part.kind[:4]])
    some = part.available.any(axis=(1, 2))
    assert some[inside[inside >= 0]].all()
    assert some.sum() == (inside >= 0).sum()


def test_what_a_site_cannot_survive_is_refused_with_the_failure_as_the_reason(make, chat, iaas):
    """Eighty opaque VMs on a site whose reserve is sold: many fit, fewer survive the loss of a UPS."""
    placed = {}
    for secure in (False, True):
        controller = make(secure=secure)
        answer = controller.place(iaas(80), (), now_s=PEAK_S, deadline_s=1.0)
        placed[secure] = len(answer.result.plan.server_of)
        reasons = {why.constraint for why in answer.result.why_not}
        assert (Constraint.FAILURE_SECURE in reasons) is secure
    assert placed[True] < placed[False]


@pytest.mark.parametrize("ups", ["U1", "U2", "U3", "U4"])
def test_what_fast_knobs_leave_is_borne_until_slow_ones_leave_nothing(make, chat, iaas, saas, ups):
    """The point of it all: with what was placed secured, each emergency can be met; with what was not, it cannot."""
    actuation, failure = Actuation(), Failure(FailureKind.UPS, ups)
    borne_frac = UPS_ON_BATTERY.borne_frac((actuation.slow_reaction_s - actuation.reaction_s) / SLOW_FRAC)
    met = {}
    for secure in (False, True):
        controller = make(secure=secure)
        controller.apply(controller.put_endpoint(chat))
        for vms in (iaas(50), saas(40)):
            controller.apply(controller.place(vms, (), now_s=PEAK_S, deadline_s=1.0).events)
        answer = controller.report_failure(failure, now_s=PEAK_S, deadline_s=1.0)
        assert (answer.proposal.result.mode is Mode.BEST_EFFORT) is bool(answer.proposal.result.plan.excess)
        controller.apply(answer.events)
        left = [left_over_frac(controller, failure)]
        proposal = controller.follow_up(PEAK_S)
        if proposal is not None:
            controller.apply(controller.settled_follow_up(proposal, PEAK_S))
        met[secure] = [*left, left_over_frac(controller, failure)]
    assert met[True][0] <= borne_frac - 1.0 < met[False][0]
    assert met[True][1] == 0.0


def left_over_frac(controller, failure):
    """By what part the worst survivor is over its limit, once all that was asked for has been done."""
    controller.apply(
        [happened.ConfigurationAcknowledged(name, vm.generation) for name, vm in controller.fleet.vms.items()]
    )
    problem = controller.reconfiguration_problem(Stage.NOW, (failure,), now_s=PEAK_S)
    limits = {
        name: watts
        for part in problem.budgets.families
        for name, watts in zip(part.domains, part.limit[:, 0], strict=True)
    }
    return max((over / limits[name] for (_, name), over in problem.present().excess.items()), default=0.0)


def test_the_answer_says_what_each_failure_would_cost(make, chat, saas):
    controller = make()
    controller.apply(controller.put_endpoint(chat))
    answer = controller.place(saas(70), (), now_s=PEAK_S, deadline_s=1.0)
    named = {cost.failure.split()[0] for cost in answer.failures}
    known = controller.fleet.topology
    assert named <= {f"ups:{name}" for name in known.upses} | {f"ahu:{name}" for name in known.ahus}
    assert answer.failures[0].cost > 0
    assert [cost.shortfall for cost in answer.failures] == sorted((c.shortfall for c in answer.failures), reverse=True)


def test_what_follows_from_the_site_is_worked_out_once(controller, demo_site):
    """Until the site is another one."""
    securing = Securing(Actuation())
    before = securing.failures(controller.fleet.topology)
    assert securing.failures(controller.fleet.topology) is before
    controller.apply([happened.SiteApplied(replace(demo_site, name="other"))])
    assert securing.failures(controller.fleet.topology) is not before


def test_elements_lost_together_are_borne_where_they_are_listed(demo_topology):
    """Beside every single one; half the room is dark then, and the other half carries more."""
    one, two = demo_topology.upses[:2]
    listed = Securing(Actuation(), [(f"ups:{one}", f"ups:{two}")]).failures(demo_topology)
    assert f"ups:{one}+ups:{two}" in {*listed.power.scenarios, *dict(listed.no_worse).values()}


def test_parts_of_servers_are_secured_as_whole_ones_are(controller, run, iaas):
    """Two halves draw on the same pairs as the whole, and may be on the same server."""
    run(iaas(1))
    halves = iaas(80, name="half", gpus=4, spot=True)
    batch = [replace(vm, name=f"half{n}") for n, vm in enumerate(halves)]
    whole = [replace(vm, name=f"whole{n}", gpus=None) for n, vm in enumerate(halves[:40])]
    of_halves, of_whole = (controller.placement_problem(vms, (), now_s=PEAK_S) for vms in (batch, whole))
    kinds = dict(zip(of_whole.servers, power_part(of_whole).kind.tolist(), strict=True))
    assert power_part(of_halves).kind.tolist() == [kinds[server] for server in of_halves.hosts.server]
    half, one = (given(power_part(problem), 0)["evicted"] for problem in (of_halves, of_whole))
    assert one / 3 < half <= one / 2, "the first half of a server draws less than the second"
    answer = controller.place(batch, (), now_s=PEAK_S, deadline_s=1.0)
    assert answer.result.checked.ok
    assert answer.result.plan.server_of


TOMORROW_S = 24 * 3600.0
WORKS = Failure(FailureKind.UPS, "U1", started_at_s=TOMORROW_S + 10 * 3600.0, expected_duration_s=2 * 3600.0)


def test_in_the_slots_of_an_outage_the_site_has_to_hold_without_the_element(make, iaas):
    """From ten to twelve, without relief, and with a further failure on top; nowhere else."""
    controller = make()
    before = controller.placement_problem(iaas(80), (), now_s=0.0)
    controller.apply(controller.schedule_outage(WORKS, now_s=0.0))
    problem = controller.placement_problem(iaas(80), (), now_s=0.0)
    parts = problem.survival.parts[len(before.survival.parts) :]
    named = {name for part in parts for name in part.scenarios}
    assert "planned ups:U1" in named
    further = {name.removesuffix(EARLY) for name in named} - {"planned ups:U1"}
    assert all(name.endswith(" during planned ups:U1") for name in further)
    slots = {problem.budgets.slots[t] for part in parts for t in np.flatnonzero(part.stated.any(axis=0))}
    assert slots <= {"h10", "h11"}
    for part in parts:
        if part.scenarios[0] == "planned ups:U1":
            assert not part.available.any()
            assert not part.type_relief.any()


def test_an_outage_leaves_less_to_place_until_it_is_over_or_cancelled(make, iaas):
    """Three UPSs carry what four did, and have to bear the loss of one more."""

    def placed(now_s):
        answer = controller.place(iaas(80), (), now_s=now_s, deadline_s=1.0)
        assert answer.result.checked.ok
        return len(answer.result.plan.server_of)

    controller = make()
    as_ever = placed(0.0)
    controller.apply(controller.schedule_outage(WORKS, now_s=0.0))
    assert placed(0.0) < as_ever
    assert placed(TOMORROW_S + 12 * 3600.0) == as_ever
    controller.apply(controller.cancel_outage("ups:U1"))
    assert placed(0.0) == as_ever


def test_a_week_is_planned_with_the_outage_on_its_day(make, iaas):
    """By hours of the week the other mornings stay as they are."""
    controller = make(week=True)
    controller.apply(controller.schedule_outage(WORKS, now_s=0.0))
    problem = controller.placement_problem(iaas(80), (), now_s=0.0)
    planned = [part for part in problem.survival.parts if "planned ups:U1" in part.scenarios]
    slots = {problem.budgets.slots[t] for part in planned for t in np.flatnonzero(part.stated.any(axis=0))}
    assert slots <= {"d1h10", "d1h11"}


def test_outages_that_mean_nothing_are_refused(make):
    """Of what is not there, of the past, and the cancelling of none."""
    controller = make()
    with pytest.raises(NotFound, match="U9"):
        controller.schedule_outage(replace(WORKS, element="U9"), now_s=0.0)
    with pytest.raises(InvalidInput, match="over already"):
        controller.schedule_outage(WORKS, now_s=TOMORROW_S * 2)
    with pytest.raises(NotFound, match="none is planned"):
        controller.cancel_outage("ups:U1")


def test_outages_are_remembered(make):
    """As everything that happened."""
    controller = make()
    noted = controller.schedule_outage(WORKS, now_s=0.0)
    assert happened.events_from_json(happened.events_to_json(noted)) == noted
    controller.apply(noted)
    assert controller.fleet.outages_after(0.0) == (replace(WORKS, source=FailureSource.PLANNED),)
    assert controller.fleet.outages_after(TOMORROW_S * 2) == ()
