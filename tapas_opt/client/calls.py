"""One method for each call: domain objects in, plain typed answers out, the server's errors as the errors they are."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tapas_opt.api.v1 import (
    common_pb2,
    fleet_service_pb2,
    fleet_service_pb2_grpc,
    placement_service_pb2,
    placement_service_pb2_grpc,
    reconfiguration_service_pb2,
    reconfiguration_service_pb2_grpc,
    routing_service_pb2,
    routing_service_pb2_grpc,
    site_service_pb2,
    site_service_pb2_grpc,
    telemetry_service_pb2_grpc,
)
from tapas_opt.client import messages
from tapas_opt.client.answers import (
    Acknowledgement,
    ArmedPlan,
    Completion,
    Decision,
    Desired,
    FailureCost,
    Placed,
    Plan,
    Pushed,
    Ranked,
    ReservationUse,
    Routed,
    RoutingTable,
    Snapshot,
    VmRecord,
    Watched,
)
from tapas_opt.control.events import OperatingMode, ServerState
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Endpoint, Group, Reservation, Vm
from tapas_opt.errors import DeadlinePassed, InvalidInput, ServerUnreachable
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.service import convert
from tapas_opt.service.status import error_of

__all__ = ["DEFAULT_ADDRESS", "Client"]

DEFAULT_ADDRESS = "127.0.0.1:50051"

_LONGEST_MESSAGE_BYTES = 16 * 2**20
_LONGEST_HEADER_BYTES = 64 * 2**10
_PAGE = 1_000


class Client:
    """Calls one server; use it as a context manager.

    Parameters
    ----------
    timeout_s
        Deadline of every call, which is also the solver's budget.

    Notes
    -----
    Every method raises the error that the server raised (:mod:`tapas_opt.errors`), ServerUnreachable when none
    answers, DeadlinePassed when it answers too late. ``request_id`` may be given to repeat a request safely.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, timeout_s: float = 30.0) -> None:
        self.address = address
        self.timeout_s = timeout_s
        options = [
            ("grpc.max_receive_message_length", _LONGEST_MESSAGE_BYTES),
            ("grpc.max_metadata_size", _LONGEST_HEADER_BYTES),
        ]
        self._channel = grpc.insecure_channel(address, options)
        self._site: Any = site_service_pb2_grpc.SiteServiceStub(self._channel)
        self._fleet: Any = fleet_service_pb2_grpc.FleetServiceStub(self._channel)
        self._placement: Any = placement_service_pb2_grpc.PlacementServiceStub(self._channel)
        self._routing: Any = routing_service_pb2_grpc.RoutingServiceStub(self._channel)
        self._reconfiguration: Any = reconfiguration_service_pb2_grpc.ReconfigurationServiceStub(self._channel)
        self._telemetry: Any = telemetry_service_pb2_grpc.TelemetryServiceStub(self._channel)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def serving(self) -> bool:
        """Whether the server says that it serves."""
        answer = self._call(self._health.Check, health_pb2.HealthCheckRequest())
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def wait_until_serving(self, timeout_s: float = 30.0) -> None:
        """Return once the server serves; ServerUnreachable or DeadlinePassed if it does not in time."""
        until = time.monotonic() + timeout_s
        while True:
            try:
                if self.serving():
                    return
                late = DeadlinePassed(f"the server at {self.address} is up, but not serving after {timeout_s:g} s")
            except (ServerUnreachable, DeadlinePassed) as error:
                if time.monotonic() > until:
                    raise
                late = DeadlinePassed(str(error))
            if time.monotonic() > until:
                raise late
            time.sleep(0.05)

    # --- the site -------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """How the site stands."""
        answer = self._call(self._site.GetSnapshot, site_service_pb2.GetSnapshotRequest())
        return messages.read(Snapshot, answer.snapshot)

    def site(self) -> tuple[str, str]:
        """Return the text of the site file in force, and its etag."""
        answer = self._call(self._site.GetSite, site_service_pb2.GetSiteRequest())
        return answer.site_yaml, answer.etag

    def apply_site(
        self, site_yaml: str, etag: str, *, validate_only: bool = False, request_id: str | None = None
    ) -> str:
        """Replace the site whose etag is given; returns the new etag."""
        request = site_service_pb2.ApplySiteRequest(
            request_id=_id(request_id), validate_only=validate_only, etag=etag, site_yaml=site_yaml
        )
        return str(self._call(self._site.ApplySite, request).etag)

    def set_server_state(self, server: str, state: ServerState, *, request_id: str | None = None) -> None:
        """Cordon or drain a server, or return it to service."""
        request = site_service_pb2.SetServerStateRequest(
            request_id=_id(request_id), server=server, state=f"SERVER_STATE_{state.name}"
        )
        self._call(self._site.SetServerState, request)

    def set_mode(self, mode: OperatingMode, *, request_id: str | None = None) -> None:
        """How far tapas-opt may go by itself from now on."""
        request = site_service_pb2.SetModeRequest(request_id=_id(request_id), mode=f"OPERATING_MODE_{mode.name}")
        self._call(self._site.SetMode, request)

    # --- the fleet ------------------------------------------------------------------------------------------------

    def put_endpoint(self, endpoint: Endpoint, *, request_id: str | None = None) -> None:
        """Create or replace an endpoint."""
        message = convert.fill(fleet_service_pb2.Endpoint(), endpoint)
        request = fleet_service_pb2.PutEndpointRequest(request_id=_id(request_id), endpoint=message)
        self._call(self._fleet.PutEndpoint, request)

    def adopt(
        self, vms: Iterable[messages.OnServer], groups: Iterable[Group] = (), *, request_id: str | None = None
    ) -> int:
        """Take over VMs that run already, each with its server and, for a part of one, its GPUs; returns how many."""
        request = fleet_service_pb2.AdoptVmsRequest(
            request_id=_id(request_id),
            vms=messages.placed_vms(vms),
            groups=[convert.fill(common_pb2.Group(), group) for group in groups],
        )
        return int(self._call(self._fleet.AdoptVms, request).adopted)

    def sync(self, vms: Iterable[messages.OnServer], *, request_id: str | None = None) -> tuple[Mapping[str, str], ...]:
        """Say what really runs; returns the differences to what the server believed."""
        request = fleet_service_pb2.SyncVmsRequest(request_id=_id(request_id), vms=messages.placed_vms(vms))
        answer = self._call(self._fleet.SyncVms, request)
        return tuple(convert.plain(difference) for difference in answer.differences)

    def vm(self, name: str) -> VmRecord:
        """One VM."""
        return messages.read(VmRecord, self._call(self._fleet.GetVm, fleet_service_pb2.GetVmRequest(name=name)).vm)

    def vms(self, endpoint: str = "") -> Iterator[VmRecord]:
        """All VMs by name, or those of an endpoint."""
        token = ""
        while True:
            request = fleet_service_pb2.ListVmsRequest(page_size=_PAGE, page_token=token, endpoint=endpoint)
            answer = self._call(self._fleet.ListVms, request)
            yield from (messages.read(VmRecord, record) for record in answer.vms)
            token = answer.next_page_token
            if not token:
                return

    def put_reservation(self, reservation: Reservation, *, request_id: str | None = None) -> None:
        """Keep servers back, for a tenant or for failover."""
        message = convert.fill(site_service_pb2.Reservation(), reservation)
        request = site_service_pb2.PutReservationRequest(request_id=_id(request_id), reservation=message)
        self._call(self._site.PutReservation, request)

    def remove_reservation(self, name: str, *, request_id: str | None = None) -> None:
        """Keep these servers back no longer."""
        request = site_service_pb2.RemoveReservationRequest(request_id=_id(request_id), name=name)
        self._call(self._site.RemoveReservation, request)

    def schedule_outage(self, outage: Failure, *, request_id: str | None = None) -> None:
        """Plan placements for an element being out of service, from ``started_at_s`` for ``expected_duration_s``."""
        message = convert.fill(common_pb2.Failure(), outage)
        request = site_service_pb2.ScheduleOutageRequest(request_id=_id(request_id), outage=message)
        self._call(self._site.ScheduleOutage, request)

    def cancel_outage(self, label: str, *, request_id: str | None = None) -> None:
        """Plan for an outage no longer; ``label`` is such as ``ups:U2``."""
        request = site_service_pb2.CancelOutageRequest(request_id=_id(request_id), outage=label)
        self._call(self._site.CancelOutage, request)

    def reservations(self) -> tuple[ReservationUse, ...]:
        """What is kept back, and how much of it its tenant uses."""
        answer = self._call(self._site.ListReservations, site_service_pb2.ListReservationsRequest())
        return tuple(messages.read(ReservationUse, one) for one in answer.reservations)

    # --- placement ------------------------------------------------------------------------------------------------

    def place(
        self,
        vms: Iterable[Vm],
        groups: Iterable[Group] = (),
        *,
        validate_only: bool = False,
        request_id: str | None = None,
        timeout_s: float | None = None,
        explain: bool = False,
    ) -> Placed:
        """Place a batch: servers are reserved, and durably so, when this returns.

        ``explain`` asks for shadow prices with the decision.
        """
        request = placement_service_pb2.PlaceVmsRequest(
            request_id=_id(request_id),
            validate_only=validate_only,
            vms=[convert.fill(common_pb2.Vm(), vm) for vm in vms],
            groups=[convert.fill(common_pb2.Group(), group) for group in groups],
            explain=explain,
        )
        answer = self._call(self._placement.PlaceVms, request, timeout_s)
        return Placed(
            request_id=request.request_id,
            decision=messages.read(Decision, answer.decision),
            server_of={placement.vm: placement.server for placement in answer.placements},
            gpus_of={placement.vm: tuple(placement.gpus) for placement in answer.placements if placement.gpus},
            unplaced=tuple(answer.unplaced),
            reserved_until_s=answer.reserved_until_s if answer.HasField("reserved_until_s") else None,
            failure_costs=tuple(messages.read(FailureCost, cost) for cost in answer.failure_costs),
        )

    def confirm(self, names: Sequence[str], *, request_id: str | None = None) -> None:
        """Say that reserved VMs run."""
        request = placement_service_pb2.ConfirmVmsRequest(request_id=_id(request_id), names=names)
        self._call(self._placement.ConfirmVms, request)

    def release(self, names: Sequence[str], *, request_id: str | None = None) -> None:
        """Free the servers of VMs."""
        request = placement_service_pb2.ReleaseVmsRequest(request_id=_id(request_id), names=names)
        self._call(self._placement.ReleaseVms, request)

    def rank_servers(self, vm: Vm, candidates: Sequence[str] = ()) -> tuple[Ranked, ...]:
        """Judge candidates for a VM, or all servers; eligible ones first, cheapest first."""
        request = placement_service_pb2.RankServersRequest(vm=convert.fill(common_pb2.Vm(), vm), candidates=candidates)
        answer = self._call(self._placement.RankServers, request)
        return tuple(messages.read(Ranked, ranked) for ranked in answer.servers)

    # --- routing --------------------------------------------------------------------------------------------------

    def route(
        self, endpoint: str, prompt_tokens: int | None = None, output_tokens: int | None = None, session: str = ""
    ) -> Routed:
        """Pick the instance for one request."""
        try:
            request = routing_service_pb2.RouteRequest(
                endpoint=endpoint, prompt_tokens=prompt_tokens, output_tokens=output_tokens, session=session
            )
        except ValueError as error:  # beyond 32 bits
            raise InvalidInput.one("route", "tokens", str(error).lower()) from None
        return messages.read(Routed, self._call(self._routing.Route, request))

    def routing_table(self) -> RoutingTable:
        """The routing plan in force, for those who pick by themselves."""
        answer = self._call(self._routing.GetRoutingTable, routing_service_pb2.GetRoutingTableRequest())
        return messages.read(RoutingTable, answer.table)

    def complete(self, completions: Iterable[Completion]) -> tuple[int, int]:
        """Tell how requests ended; returns how many were accepted, and how many named an unknown instance."""
        answer = self._call(self._routing.CompleteRequests, (messages.completion(one) for one in completions))
        return answer.accepted, answer.unknown

    # --- reconfiguration ------------------------------------------------------------------------------------------

    def report_failure(
        self, failure: Failure, *, request_id: str | None = None, timeout_s: float | None = None
    ) -> Plan | None:
        """Report a failure; returns the plan that was published, or proposed, if anything needs to change."""
        request = reconfiguration_service_pb2.ReportFailureRequest(
            request_id=_id(request_id), failure=convert.fill(common_pb2.Failure(), failure)
        )
        answer = self._call(self._reconfiguration.ReportFailure, request, timeout_s)
        return messages.read(Plan, answer.plan) if answer.HasField("plan") else None

    def clear_failure(self, label: str, *, request_id: str | None = None) -> None:
        """Say that an element works again; ``label`` is such as ``ups:U2``."""
        request = reconfiguration_service_pb2.ClearFailureRequest(request_id=_id(request_id), failure=label)
        self._call(self._reconfiguration.ClearFailure, request)

    def plan_reconfiguration(
        self, stage: Stage, *, timeout_s: float | None = None, explain: bool = False, horizon_slots: int = 0
    ) -> Plan:
        """Plan, without publishing; ``explain`` asks for shadow prices, ``horizon_slots`` for a plan slot by slot."""
        request = reconfiguration_service_pb2.PlanReconfigurationRequest(
            stage=f"STAGE_{stage.name}", explain=explain, horizon_slots=horizon_slots
        )
        return messages.read(Plan, self._call(self._reconfiguration.PlanReconfiguration, request, timeout_s).plan)

    def apply_plan(self, plan_id: str, etag: str, approver: str, *, request_id: str | None = None) -> int:
        """Publish a plan; returns how many VMs are told to change."""
        request = reconfiguration_service_pb2.ApplyPlanRequest(
            request_id=_id(request_id), plan_id=plan_id, etag=etag, approver=approver
        )
        return int(self._call(self._reconfiguration.ApplyPlan, request).changes)

    def configurations(self, endpoint: str = "") -> tuple[Desired, ...]:
        """What every SaaS VM should run, or those of an endpoint."""
        request = reconfiguration_service_pb2.ListConfigurationsRequest(endpoint=endpoint)
        answer = self._call(self._reconfiguration.ListConfigurations, request)
        return tuple(messages.read(Desired, desired) for desired in answer.configurations)

    def watch_configurations(self, endpoint: str = "", vms: Iterable[str] = ()) -> Iterator[Watched]:
        """What VMs should run and what is armed for them, and every change of it, until the server stops."""
        request = reconfiguration_service_pb2.WatchConfigurationsRequest(endpoint=endpoint, vms=vms)
        stream = self._reconfiguration.WatchConfigurations(request)
        try:
            for message in stream:
                yield messages.read(Watched, message)
        except grpc.RpcError as error:
            raise error_of(cast("grpc.Call", error), self.address) from None
        finally:
            stream.cancel()

    def armed_plans(self) -> tuple[ArmedPlan, ...]:
        """What is kept ready for failures that may come, the most dangerous first."""
        answer = self._call(self._reconfiguration.ListArmedPlans, reconfiguration_service_pb2.ListArmedPlansRequest())
        return tuple(messages.read(ArmedPlan, plan) for plan in answer.plans)

    def acknowledge(self, acknowledgement: Acknowledgement, *, request_id: str | None = None) -> None:
        """Say that a VM runs what was desired."""
        request = convert.fill(reconfiguration_service_pb2.AcknowledgeConfigurationRequest(), acknowledgement)
        request.request_id = _id(request_id)
        self._call(self._reconfiguration.AcknowledgeConfiguration, request)

    # --- telemetry ------------------------------------------------------------------------------------------------

    def push_telemetry(self, batches: Iterable[Readings]) -> Pushed:
        """Push readings, oldest first."""
        return messages.read(
            Pushed, self._call(self._telemetry.PushTelemetry, (messages.readings(batch) for batch in batches))
        )

    def _call(self, method: Any, request: object, timeout_s: float | None = None) -> Any:
        try:
            return method(request, timeout=self.timeout_s if timeout_s is None else timeout_s)
        except grpc.RpcError as error:
            raise error_of(cast("grpc.Call", error), self.address) from None


def _id(given: str | None) -> str:
    return given or str(uuid.uuid4())
