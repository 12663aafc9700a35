"""Answers of the controller as messages."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from tapas_opt.api.v1 import (
    common_pb2,
    fleet_service_pb2,
    placement_service_pb2,
    reconfiguration_service_pb2,
    routing_service_pb2,
    site_service_pb2,
)
from tapas_opt.control.answers import Context, PlacementAnswer, Proposal, ServerVerdict
from tapas_opt.control.arming import Armed
from tapas_opt.control.capping import CLOCK
from tapas_opt.control.controller import Controller
from tapas_opt.control.events import VmsReserved
from tapas_opt.control.fleet import Fleet, FleetVm, VmState
from tapas_opt.domain.result import Constraint, Result
from tapas_opt.domain.workload import VmKind
from tapas_opt.routing.table import RoutingTable
from tapas_opt.service.convert import fill

__all__ = [
    "armed",
    "decision",
    "desired",
    "difference",
    "placed",
    "plan",
    "ranked",
    "routing_table",
    "snapshot",
    "vm_record",
]


FAILURES_SHOWN = 20
"""Of what failures would cost, the dearest so many."""


def decision(result: Result[Any], context: Context) -> common_pb2.Decision:
    """What every decision carries."""
    message = common_pb2.Decision(
        decision_id=str(uuid.uuid4()),
        mode=f"DECISION_MODE_{result.mode.name}",
        status=f"DECISION_STATUS_{result.status.name}",
        solver=result.solver,
        objective=result.objective,
        bound=None if result.bound == float("-inf") else result.bound,
        gap_frac=result.gap_frac,
        terms=dict(result.checked.terms),
        fallback=result.fallback,
        snapshot_fingerprint=context.etag,
        model_fingerprint=context.models,
        telemetry_age_s=context.telemetry_age_s,
        build_s=result.build_s,
        solve_s=result.solve_s,
        check_s=result.check_s,
        warnings=context.warnings,
    )
    for one in result.binding:
        reason = f"REASON_{one.constraint.name}"
        message.binding.add(reason=reason, where=one.where, headroom=one.headroom, unit=one.unit)
    for price in result.shadow_prices or ():
        reason = f"REASON_{price.constraint.name}"
        message.shadow_prices.add(reason=reason, where=price.where, price=price.price, unit=price.unit)
    for why in result.why_not:
        reason = f"REASON_{why.constraint.name}"
        message.rejections.add(subject=why.subject, reason=reason, shortfall=why.shortfall, unit=why.unit)
    return message


def placed(answer: PlacementAnswer) -> placement_service_pb2.PlaceVmsResponse:
    """Where a batch went, and until when its servers are held."""
    until = [event.expires_at_s for event in answer.events if isinstance(event, VmsReserved)]
    return placement_service_pb2.PlaceVmsResponse(
        decision=decision(answer.result, answer.context),
        placements=[
            placement_service_pb2.Placement(vm=item.vm.name, server=item.server, gpus=item.gpus)
            for item in answer.placed
        ],
        unplaced=answer.result.plan.unplaced,
        reserved_until_s=until[0] if until else None,
        failure_costs=[placement_service_pb2.FailureCost(**asdict(cost)) for cost in answer.failures[:FAILURES_SHOWN]],
    )


def ranked(verdict: ServerVerdict) -> placement_service_pb2.RankedServer:
    """What a candidate is worth."""
    return placement_service_pb2.RankedServer(
        server=verdict.server,
        eligible=verdict.eligible,
        cost=verdict.cost if verdict.eligible else None,
        reasons=[f"REASON_{constraint.name}" for constraint in verdict.reasons],
    )


def vm_record(fleet: Fleet, item: FleetVm) -> fleet_service_pb2.VmRecord:
    """Return a VM as it is known."""
    message = fleet_service_pb2.VmRecord(
        vm=fill(common_pb2.Vm(), item.vm), state=f"VM_STATE_{item.state.name}", server=item.server, gpus=item.gpus
    )
    if item.state is VmState.RESERVED:
        message.reserved_until_s = item.expires_at_s
    if item.vm.kind is VmKind.SAAS:
        message.desired_configuration, message.load_frac = _choice(fleet, item)
    return message


def desired(controller: Controller, items: Iterable[FleetVm]) -> list[reconfiguration_service_pb2.DesiredConfiguration]:
    """What VMs that may be changed shall run."""
    fleet, began_s = controller.fleet, controller.fleet.wave_started_at_s
    waiting = frozenset(() if began_s is None else fleet.waiting())
    before_s = (began_s or 0.0) + controller.settings.lease_s
    return [_desired(fleet, item, before_s if item.vm.name in waiting else None) for item in items]


def _desired(
    fleet: Fleet, item: FleetVm, apply_before_s: float | None
) -> reconfiguration_service_pb2.DesiredConfiguration:
    configuration, load_frac = _choice(fleet, item)
    return reconfiguration_service_pb2.DesiredConfiguration(
        vm=item.vm.name,
        server=item.server,
        configuration=configuration,
        load_frac=load_frac,
        generation=item.generation,
        acknowledged_generation=item.acknowledged,
        apply_before_s=apply_before_s,
    )


def plan(
    controller: Controller, proposal: Proposal, *, published: bool
) -> reconfiguration_service_pb2.ReconfigurationPlan:
    """Return a plan with its changes; call it with the lock held."""
    fleet = controller.fleet
    wave_of = {name: number for number, names in enumerate(proposal.result.plan.waves) for name in names}
    message = reconfiguration_service_pb2.ReconfigurationPlan(
        plan_id=proposal.plan_id,
        etag=proposal.context.etag,
        stage=f"STAGE_{proposal.stage.name}",
        published=published,
        needed=proposal.needed,
        decision=decision(proposal.result, proposal.context),
    )
    for name, choice in sorted(proposal.changes.items()):
        if name in fleet.vms:
            message.changes.append(_change(controller, fleet.vms[name], choice, wave=wave_of.get(name, 0)))
    for name, (choice, slot) in sorted(proposal.later.items()):
        if name in fleet.vms:
            message.later.append(_change(controller, fleet.vms[name], choice, slot=slot))
    for number, ahead in enumerate(proposal.waves):
        message.waves.add(wave=number, duration_s=ahead.duration_s, shortfall_tokens_per_s=ahead.shortfall_tokens_per_s)
    message.excess.extend(_excess(proposal))
    return message


def _change(
    controller: Controller, item: FleetVm, choice: str, **fields: int
) -> reconfiguration_service_pb2.ConfigurationChange:
    before, _ = _choice(controller.fleet, item)
    after, load_frac = _split(choice)
    return reconfiguration_service_pb2.ConfigurationChange(
        vm=item.vm.name,
        from_configuration=before,
        to_configuration=after,
        load_frac=load_frac,
        reload=_reloads(controller, before, after),
        **fields,
    )


def armed(
    controller: Controller, one: Armed, wanted: Callable[[FleetVm], bool] = lambda _: True
) -> reconfiguration_service_pb2.ArmedPlan:
    """Return an armed plan with its changes of wanted VMs that are as it knows them; call it with the lock held."""
    fleet, known = controller.fleet, one.proposal.basis.vms
    message = reconfiguration_service_pb2.ArmedPlan(
        plan_id=one.proposal.plan_id,
        failures=[failure.label for failure in one.failures],
        made_at_s=one.made_at_s,
        looked_at_s=one.looked_at_s,
        at_stake_w=one.at_stake_w,
        excess=_excess(one.proposal),
    )
    for name, choice in sorted(one.proposal.changes.items()):
        item = fleet.vms.get(name)
        if item is not None and wanted(item) and known.get(name) == (item.server, item.choice):
            message.changes.append(_change(controller, item, choice, generation=item.generation))
    return message


def _excess(proposal: Proposal) -> list[reconfiguration_service_pb2.Excess]:
    found = []
    for (constraint, where), amount in proposal.result.plan.excess.items():
        unit = "CFM" if constraint is Constraint.AISLE_AIRFLOW_CAPACITY else "W"
        reason = f"REASON_{constraint.name}"
        found.append(reconfiguration_service_pb2.Excess(constraint=reason, name=where, amount=amount, unit=unit))
    return found


def difference(vm: str, kind: str, known_server: str, actual_server: str) -> fleet_service_pb2.VmDifference:
    """How one VM of a full list differs from what was known."""
    return fleet_service_pb2.VmDifference(
        vm=vm, kind=f"VM_DIFFERENCE_KIND_{kind}", known_server=known_server, actual_server=actual_server
    )


def snapshot(controller: Controller, now_s: float) -> site_service_pb2.Snapshot:
    """How the site stands; call it with the lock held."""
    fleet = controller.fleet
    states = [item.state for item in fleet.vms.values()]
    return site_service_pb2.Snapshot(
        fingerprint=fleet.etag,
        model_fingerprint=controller.models.fingerprint,
        site_name=fleet.topology.site.name,
        site_etag=fleet.etag,
        taken_at_s=now_s,
        telemetry_age_s=controller.latest.age_s(now_s),
        servers=len(fleet.topology.servers),
        servers_free=sum(not vms for vms in fleet.occupants()),
        vms_reserved=states.count(VmState.RESERVED),
        vms_running=states.count(VmState.RUNNING),
        failures=[fill(common_pb2.Failure(), failure) for failure in fleet.failures.values()],
        outages=[fill(common_pb2.Failure(), outage) for outage in fleet.outages_after(now_s)],
        mode=f"OPERATING_MODE_{fleet.mode.name}",
        plan_id=fleet.plan_id,
        domains=[
            site_service_pb2.DomainLoad(
                constraint=f"REASON_{one.constraint.name}",
                name=one.name,
                load=one.load,
                limit=one.limit,
                unit=one.unit,
            )
            for one in controller.domain_loads(now_s)
        ],
        endpoints=sorted(fleet.endpoints),
        warnings=controller.warnings(now_s),
    )


def _choice(fleet: Fleet, item: FleetVm) -> tuple[str, float]:
    """Configuration (empty: parked) and load level that a SaaS VM shall run; ``clock`` and its fraction for IaaS."""
    if item.choice is not None:
        return _split(item.choice)
    if item.vm.kind is VmKind.IAAS:
        return CLOCK, 1.0
    endpoint = fleet.endpoints.get(item.vm.endpoint or "")
    return item.vm.configuration or (endpoint.configuration if endpoint else ""), 1.0


def _split(choice: str) -> tuple[str, float]:
    """``<configuration>@<level>``, or ``parked``."""
    configuration, _, level = choice.partition("@")
    return (configuration, float(level)) if level else ("", 0.0)


def _reloads(controller: Controller, before: str, after: str) -> bool:
    known = {profile.configuration.name: profile.configuration for profile in controller.profiles.all}
    if after not in known:
        return False
    return before not in known or known[before].reload_needed(known[after])


def routing_table(table: RoutingTable) -> routing_service_pb2.RoutingTable:
    """The routing plan in force, by request class."""
    message = routing_service_pb2.RoutingTable(
        snapshot_fingerprint=table.snapshot,
        created_at_s=table.created_at_s,
        stale_at_s=table.created_at_s + table.stale_after_s,
        mode=f"DECISION_MODE_{table.mode.name}",
    )
    for name, request_class in table.classes.items():
        message.classes.add(
            request_class=name,
            endpoint=request_class.endpoint,
            shares=table.shares.get(name, {}),
            unserved_frac=table.unserved_frac.get(name, 0.0),
        )
    return message
