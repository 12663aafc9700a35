"""One class for each service, one short method for each call: validate, call the core, translate the error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml
from google.protobuf.message import Message
from grpc import Server, ServicerContext

from tapas_opt.api.v1 import (
    fleet_service_pb2_grpc,
    placement_service_pb2_grpc,
    reconfiguration_service_pb2_grpc,
    routing_service_pb2_grpc,
    site_service_pb2_grpc,
    telemetry_service_pb2_grpc,
)
from tapas_opt.api.v1.fleet_service_pb2 import (
    AdoptVmsRequest,
    AdoptVmsResponse,
    Endpoint,
    GetVmRequest,
    GetVmResponse,
    ListVmsRequest,
    ListVmsResponse,
    PutEndpointRequest,
    PutEndpointResponse,
    SyncVmsRequest,
    SyncVmsResponse,
)
from tapas_opt.api.v1.placement_service_pb2 import (
    ConfirmVmsRequest,
    ConfirmVmsResponse,
    PlaceVmsRequest,
    PlaceVmsResponse,
    RankServersRequest,
    RankServersResponse,
    ReleaseVmsRequest,
    ReleaseVmsResponse,
)
from tapas_opt.api.v1.reconfiguration_service_pb2 import (
    AcknowledgeConfigurationRequest,
    AcknowledgeConfigurationResponse,
    ApplyPlanRequest,
    ApplyPlanResponse,
    ClearFailureRequest,
    ClearFailureResponse,
    ListConfigurationsRequest,
    ListConfigurationsResponse,
    PlanReconfigurationRequest,
    PlanReconfigurationResponse,
    ReportFailureRequest,
    ReportFailureResponse,
)
from tapas_opt.api.v1.routing_service_pb2 import (
    CompleteRequestsRequest,
    CompleteRequestsResponse,
    GetRoutingTableRequest,
    GetRoutingTableResponse,
    RouteRequest,
    RouteResponse,
)
from tapas_opt.api.v1.site_service_pb2 import (
    ApplySiteRequest,
    ApplySiteResponse,
    GetSiteRequest,
    GetSiteResponse,
    GetSnapshotRequest,
    GetSnapshotResponse,
    SetModeRequest,
    SetModeResponse,
    SetServerStateRequest,
    SetServerStateResponse,
)
from tapas_opt.api.v1.telemetry_service_pb2 import PushTelemetryRequest, PushTelemetryResponse
from tapas_opt.control.controller import Controller
from tapas_opt.control.events import VmOnServer
from tapas_opt.control.fleet import VmState
from tapas_opt.domain.site_file import site_from, site_text
from tapas_opt.errors import InvalidInput, NoInstance, NotFound
from tapas_opt.service import convert, respond
from tapas_opt.service.core import Core
from tapas_opt.service.ledger import Decided
from tapas_opt.service.status import answering

__all__ = ["SERVICES", "add_servicers"]

LARGEST_ROUTE_BYTES = 64 * 2**10
LARGEST_PAGE = 1_000
USUAL_PAGE = 100
REFUSALS_SHOWN = 20
USUAL_PROMPT_TOKENS = 512.0
USUAL_OUTPUT_TOKENS = 128.0
"""What a request counts with whose length is not known."""


class SiteServicer:
    """The site, and how it stands."""

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    def ApplySite(self, request: ApplySiteRequest, context: ServicerContext) -> ApplySiteResponse:
        """Replace the site."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            if not request.etag:
                read.fault("etag", "is missing: give the one that GetSite returned, so that no change is overwritten")
            read.done()
            site = site_from(_yaml(request.site_yaml), "site_yaml")

            def settle() -> Decided:
                events = core.controller.apply_site(site, request.etag)
                servers = sum(1 for _ in site.servers())
                etag = f"{site.name}-{core.controller.fleet.generation + len(events)}"
                return Decided(events, ApplySiteResponse(etag=etag, name=site.name, servers=servers))

            answer = core.ledger.carry_out(request, ApplySiteResponse, lambda: settle)
            core.changed()
            return answer

    def GetSite(self, request: GetSiteRequest, context: ServicerContext) -> GetSiteResponse:
        """The site file in force."""
        with answering(context):
            fleet = self._core().controller.fleet
            with self._core().controller.lock:
                site, etag = fleet.topology.site, fleet.etag
            servers = sum(1 for _ in site.servers())
            return GetSiteResponse(etag=etag, name=site.name, servers=servers, site_yaml=site_text(site))

    def SetServerState(self, request: SetServerStateRequest, context: ServicerContext) -> SetServerStateResponse:
        """Cordon or drain a server, or return it to service."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            server, state = read.name("server"), read.server_state()
            read.done()
            response = SetServerStateResponse(server=server, state=request.state)
            return core.quickly(request, lambda: core.controller.set_server_state(server, state), response)

    def GetSnapshot(self, request: GetSnapshotRequest, context: ServicerContext) -> GetSnapshotResponse:
        """How the site stands now."""
        with answering(context):
            core = self._core()
            with core.controller.lock:
                return GetSnapshotResponse(snapshot=respond.snapshot(core.controller, core.clock.now_s()))

    def SetMode(self, request: SetModeRequest, context: ServicerContext) -> SetModeResponse:
        """How far tapas-opt may go by itself."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            mode = read.mode()
            read.done()
            response = SetModeResponse(mode=request.mode)
            return core.quickly(request, lambda: core.controller.set_mode(mode), response)


class FleetServicer:
    """Endpoints and VMs."""

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    def PutEndpoint(self, request: PutEndpointRequest, context: ServicerContext) -> PutEndpointResponse:
        """Create or replace an endpoint."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            endpoint = read.endpoint(request.endpoint)
            read.done()
            response = PutEndpointResponse(endpoint=convert.fill(Endpoint(), endpoint))
            return core.quickly(request, lambda: core.controller.put_endpoint(endpoint), response)

    def AdoptVms(self, request: AdoptVmsRequest, context: ServicerContext) -> AdoptVmsResponse:
        """Take over VMs that run already."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            vms, groups = convert.placed_vms(read, request.vms), read.groups(request.groups)
            read.done()
            response = AdoptVmsResponse(adopted=len(vms))
            return core.quickly(request, lambda: core.controller.adopt(vms, groups), response)

    def SyncVms(self, request: SyncVmsRequest, context: ServicerContext) -> SyncVmsResponse:
        """Believe a full list, and say how it differs from what was known."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            vms = convert.placed_vms(read, request.vms)
            read.done()
            answer = core.ledger.carry_out(request, SyncVmsResponse, lambda: lambda: _synced(core.controller, vms))
            core.changed()
            return answer

    def GetVm(self, request: GetVmRequest, context: ServicerContext) -> GetVmResponse:
        """One VM."""
        with answering(context):
            read = convert.Request(request)
            name = read.name("name")
            read.done()
            controller = self._core().controller
            with controller.lock:
                return GetVmResponse(vm=respond.vm_record(controller.fleet, controller.fleet.vm(name)))

    def ListVms(self, request: ListVmsRequest, context: ServicerContext) -> ListVmsResponse:
        """VMs by name, a page at a time; the token is the last name of the page before."""
        with answering(context):
            controller, read = self._core().controller, convert.Request(request)
            if not 0 <= request.page_size <= LARGEST_PAGE:
                read.fault("page_size", f"{request.page_size}: must be 0 (for {USUAL_PAGE}) to {LARGEST_PAGE}")
            read.done()
            size = request.page_size or USUAL_PAGE
            with controller.lock:
                fleet = controller.fleet
                names = sorted(name for name in fleet.vms if name > request.page_token)
                chosen = (fleet.vms[name] for name in names)
                page = [
                    respond.vm_record(fleet, item)
                    for item in chosen
                    if (not request.endpoint or item.vm.endpoint == request.endpoint)
                    and (not request.state or item.state is _VM_STATES.get(request.state))
                ][: size + 1]
            more = page[size - 1].vm.name if len(page) > size else ""
            return ListVmsResponse(vms=page[:size], next_page_token=more)


class PlacementServicer:
    """Which server each new VM gets."""

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    def PlaceVms(self, request: PlaceVmsRequest, context: ServicerContext) -> PlaceVmsResponse:
        """Place a batch; reserved and durable before the answer."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            vms, groups = read.vms(request.vms), read.groups(request.groups)
            read.done()

            def decide() -> Callable[[], Decided]:
                now_s, budget_s = core.clock.now_s(), core.budget_s(context)
                draft = core.controller.place(vms, groups, now_s=now_s, deadline_s=budget_s)

                def settle() -> Decided:
                    answer = core.controller.settled(draft, groups, now_s=core.clock.now_s())
                    return Decided(answer.events, respond.placed(answer))

                return settle

            answer = core.ledger.carry_out(request, PlaceVmsResponse, decide, context.is_active)
            core.changed()
            return answer

    def ConfirmVms(self, request: ConfirmVmsRequest, context: ServicerContext) -> ConfirmVmsResponse:
        """Reserved VMs run now."""
        with answering(context):
            core, names = self._core(), _named(request)
            response = ConfirmVmsResponse(names=names)
            return core.quickly(request, lambda: core.controller.confirm(names), response)

    def ReleaseVms(self, request: ReleaseVmsRequest, context: ServicerContext) -> ReleaseVmsResponse:
        """Free the servers of VMs."""
        with answering(context):
            core, names = self._core(), _named(request)
            response = ReleaseVmsResponse(names=names)
            return core.quickly(request, lambda: core.controller.release(names), response)

    def RankServers(self, request: RankServersRequest, context: ServicerContext) -> RankServersResponse:
        """Judge candidates that another allocator brings."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            vm, candidates = read.vm(request.vm, "vm"), read.names("candidates", may_be_empty=True)
            read.done()
            assert vm is not None
            now_s = core.clock.now_s()
            verdicts = core.controller.rank_servers(vm, candidates, now_s=now_s)
            return RankServersResponse(
                servers=[respond.ranked(verdict) for verdict in verdicts],
                snapshot_fingerprint=core.controller.fleet.etag,
                model_fingerprint=core.controller.models.fingerprint,
                telemetry_age_s=core.controller.latest.age_s(now_s),
            )


class RoutingServicer:
    """Which instance each request goes to."""

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    def Route(self, request: RouteRequest, context: ServicerContext) -> RouteResponse:
        """Pick an instance."""
        with answering(context):
            core = self._core()
            prompt, output = _lengths(request)
            picked = _routed(core, request, prompt, output)
            return RouteResponse(
                instance=picked.instance,
                server=picked.server,
                mode=f"DECISION_MODE_{picked.mode.name}",
                request_class=picked.request_class,
                pending_tokens=picked.pending_tokens,
                snapshot_fingerprint=picked.snapshot,
                plan_age_s=picked.table_age_s,
            )

    def GetRoutingTable(self, request: GetRoutingTableRequest, context: ServicerContext) -> GetRoutingTableResponse:
        """Hand out the plan in force."""
        with answering(context):
            table = self._core().controller.router.table
            return GetRoutingTableResponse(table=None if table is None else respond.routing_table(table))

    def CompleteRequests(
        self, request_iterator: Iterator[CompleteRequestsRequest], context: ServicerContext
    ) -> CompleteRequestsResponse:
        """How requests ended."""
        with answering(context):
            controller, accepted, unknown = self._core().controller, 0, 0
            for request in request_iterator:
                if request.instance not in controller.fleet.vms:
                    unknown += 1
                    continue
                tokens = float(request.prompt_tokens + request.output_tokens)
                pending = request.pending_tokens if request.HasField("pending_tokens") else tokens
                controller.router.complete(request.instance, max(0.0, pending))
                accepted += 1
            return CompleteRequestsResponse(accepted=accepted, unknown=unknown)


class ReconfigurationServicer:
    """Which configuration each SaaS instance runs."""

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    def ReportFailure(self, request: ReportFailureRequest, context: ServicerContext) -> ReportFailureResponse:
        """Take note of a failure, and do at once what stage Now calls for."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            failure = read.failure(request.failure, core.clock.now_s())
            read.done()

            def decide() -> Callable[[], Decided]:
                now_s, budget_s = core.clock.now_s(), core.budget_s(context)
                answer = core.controller.report_failure(failure, now_s=now_s, deadline_s=budget_s)

                def settle() -> Decided:
                    response = ReportFailureResponse(failure=failure.label)
                    if answer.proposal is not None:
                        plan = respond.plan(core.controller, answer.proposal, published=answer.published)
                        response.plan.CopyFrom(plan)
                    return Decided(answer.events, response)

                return settle

            kind = ReportFailureResponse
            answer = core.ledger.carry_out(
                request, kind, decide
            )  # a failure is a fact, whether its reporter waits or not
            core.changed()
            return answer

    def ClearFailure(self, request: ClearFailureRequest, context: ServicerContext) -> ClearFailureResponse:
        """An element works again."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            label = read.name("failure")
            read.done()
            response = ClearFailureResponse(failure=label)
            return core.quickly(request, lambda: core.controller.clear_failure(label), response)

    def PlanReconfiguration(
        self, request: PlanReconfigurationRequest, context: ServicerContext
    ) -> PlanReconfigurationResponse:
        """Plan, without publishing."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            stage = read.stage()
            read.done()
            now_s, budget_s = core.clock.now_s(), core.budget_s(context)
            proposal = core.controller.plan_reconfiguration(stage, now_s=now_s, deadline_s=budget_s)
            with core.controller.lock:
                plan = respond.plan(core.controller, proposal, published=False)
            return PlanReconfigurationResponse(plan=plan)

    def ApplyPlan(self, request: ApplyPlanRequest, context: ServicerContext) -> ApplyPlanResponse:
        """Publish a plan."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            for field in ("plan_id", "etag", "approver"):
                if not getattr(request, field):
                    read.fault(field, "is missing")
            read.done()

            def settle() -> Decided:
                events = core.controller.apply_plan(request.plan_id, request.etag, request.approver)
                changes = sum(len(getattr(event, "choice_of", ())) for event in events)
                return Decided(events, ApplyPlanResponse(plan_id=request.plan_id, changes=changes))

            answer = core.ledger.carry_out(request, ApplyPlanResponse, lambda: settle)
            core.changed()
            return answer

    def ListConfigurations(
        self, request: ListConfigurationsRequest, context: ServicerContext
    ) -> ListConfigurationsResponse:
        """What every SaaS VM shall run."""
        with answering(context):
            controller = self._core().controller
            with controller.lock:
                fleet = controller.fleet
                if request.endpoint and request.endpoint not in fleet.endpoints:
                    raise NotFound("endpoint", request.endpoint, "create it with PutEndpoint")
                items = [item for item in fleet.saas() if request.endpoint in ("", item.vm.endpoint)]
                found = [respond.desired(fleet, item) for item in items]
            return ListConfigurationsResponse(configurations=found)

    def AcknowledgeConfiguration(
        self, request: AcknowledgeConfigurationRequest, context: ServicerContext
    ) -> AcknowledgeConfigurationResponse:
        """An agent has carried a change out."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            vm = read.name("vm")
            read.done()
            freed_w = request.freed_w if request.HasField("freed_w") else None
            response = AcknowledgeConfigurationResponse(generation=request.generation)
            return core.quickly(request, lambda: core.controller.acknowledge(vm, request.generation, freed_w), response)


class TelemetryServicer:
    """What sensors and gateways say."""

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    def PushTelemetry(
        self, request_iterator: Iterator[PushTelemetryRequest], context: ServicerContext
    ) -> PushTelemetryResponse:
        """Take readings in; what cannot be believed is refused, and the rest is taken."""
        with answering(context):
            core, accepted, refusals = self._core(), 0, list[str]()
            for request in request_iterator:
                at_s = request.observed_at_s
                if not (math.isfinite(at_s) and at_s > 0 and core.clock.observed(at_s)):
                    refusals.append(f"observed_at_s {at_s:g} is missing or in the future")
                    continue
                fleet = core.controller.fleet
                readings, taken, refused = convert.readings(request, fleet.topology, fleet.endpoints)
                core.controller.observe(readings)
                accepted += taken
                refusals += refused
            core.changed()
            return PushTelemetryResponse(accepted=accepted, refused=len(refusals), refusals=refusals[:REFUSALS_SHOWN])


SERVICES: dict[str, tuple[type, Callable[[Any, Server], None]]] = {
    "tapas_opt.api.v1.SiteService": (SiteServicer, site_service_pb2_grpc.add_SiteServiceServicer_to_server),
    "tapas_opt.api.v1.FleetService": (FleetServicer, fleet_service_pb2_grpc.add_FleetServiceServicer_to_server),
    "tapas_opt.api.v1.PlacementService": (
        PlacementServicer,
        placement_service_pb2_grpc.add_PlacementServiceServicer_to_server,
    ),
    "tapas_opt.api.v1.RoutingService": (RoutingServicer, routing_service_pb2_grpc.add_RoutingServiceServicer_to_server),
    "tapas_opt.api.v1.ReconfigurationService": (
        ReconfigurationServicer,
        reconfiguration_service_pb2_grpc.add_ReconfigurationServiceServicer_to_server,
    ),
    "tapas_opt.api.v1.TelemetryService": (
        TelemetryServicer,
        telemetry_service_pb2_grpc.add_TelemetryServiceServicer_to_server,
    ),
}


def add_servicers(server: Server, core: Callable[[], Core]) -> None:
    """Register every service; ``core`` is asked for at each call, since it is loaded after the server starts."""
    for servicer, add in SERVICES.values():
        add(servicer(core), server)


_VM_STATES = {1: VmState.RESERVED, 2: VmState.RUNNING}


def _yaml(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput.one("site_yaml", "site_yaml", f"is not YAML: {' '.join(str(error).split())}") from error


def _named(request: Message) -> tuple[str, ...]:
    read = convert.Request(request)
    read.mutation()
    names = read.names()
    read.done()
    return names


def _synced(controller: Controller, vms: Sequence[VmOnServer]) -> Decided:
    known = {name: item.server for name, item in controller.fleet.vms.items()}
    actual = {item.vm.name: item.server for item in vms}
    answer = controller.sync(vms)
    kinds = (("UNKNOWN_HERE", answer.added), ("MOVED", answer.moved), ("GONE", answer.removed))
    differences = [
        respond.difference(name, kind, known.get(name, ""), actual.get(name, ""))
        for kind, names in kinds
        for name in names
    ]
    return Decided(answer.events, SyncVmsResponse(differences=differences))


def _lengths(request: RouteRequest) -> tuple[float, float]:
    read = convert.Request(request)
    if request.ByteSize() > LARGEST_ROUTE_BYTES:
        read.fault("session", f"the request has {request.ByteSize():,} bytes: at most {LARGEST_ROUTE_BYTES:,}")
    for field in ("prompt_tokens", "output_tokens"):
        if getattr(request, field) < 0:
            read.fault(field, f"{getattr(request, field)}: must not be negative")
    if not request.endpoint:
        read.fault("endpoint", "is missing")
    read.done()
    prompt = float(request.prompt_tokens) if request.HasField("prompt_tokens") else USUAL_PROMPT_TOKENS
    output = float(request.output_tokens) if request.HasField("output_tokens") else USUAL_OUTPUT_TOKENS
    return prompt, output


def _routed(core: Core, request: RouteRequest, prompt: float, output: float) -> Any:
    controller, now_s = core.controller, core.clock.now_s()
    try:
        return controller.router.route(request.endpoint, prompt, output, request.session or None, now_s=now_s)
    except NotFound:
        if request.endpoint in controller.fleet.endpoints:  # the routing plan has not caught up with it yet
            why = "no routing plan has been made since it was created; try again in a second"
            raise NoInstance(f"endpoint {request.endpoint}: {why}") from None
        raise
