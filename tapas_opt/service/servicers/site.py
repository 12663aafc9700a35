"""Sites: the one in force, how it stands, and how far tapas-opt may go."""

from __future__ import annotations

from collections.abc import Callable

import yaml
from grpc import ServicerContext

from tapas_opt.api.v1.site_service_pb2 import (
    ApplySiteRequest,
    ApplySiteResponse,
    CancelOutageRequest,
    CancelOutageResponse,
    GetSiteRequest,
    GetSiteResponse,
    GetSnapshotRequest,
    GetSnapshotResponse,
    ListReservationsRequest,
    ListReservationsResponse,
    PutReservationRequest,
    PutReservationResponse,
    RemoveReservationRequest,
    RemoveReservationResponse,
    Reservation,
    ReservationUse,
    ScheduleOutageRequest,
    ScheduleOutageResponse,
    SetModeRequest,
    SetModeResponse,
    SetServerStateRequest,
    SetServerStateResponse,
)
from tapas_opt.control.promising import used
from tapas_opt.domain.site_file import site_from, site_text
from tapas_opt.errors import InvalidInput
from tapas_opt.service import convert, respond
from tapas_opt.service.core import Core
from tapas_opt.service.ledger import Decided
from tapas_opt.service.status import answering

__all__ = ["SiteServicer"]


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

    def PutReservation(self, request: PutReservationRequest, context: ServicerContext) -> PutReservationResponse:
        """Keep servers back, for a tenant or for failover."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            reservation = read.reservation(request.reservation)
            read.done()
            response = PutReservationResponse(reservation=convert.fill(Reservation(), reservation))
            return core.quickly(request, lambda: core.controller.put_reservation(reservation), response)

    def RemoveReservation(
        self, request: RemoveReservationRequest, context: ServicerContext
    ) -> RemoveReservationResponse:
        """Keep these servers back no longer."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            name = read.name("name")
            read.done()
            response = RemoveReservationResponse(name=name)
            return core.quickly(request, lambda: core.controller.remove_reservation(name), response)

    def ListReservations(self, request: ListReservationsRequest, context: ServicerContext) -> ListReservationsResponse:
        """What is kept back, and how much of it its tenant uses."""
        with answering(context):
            controller = self._core().controller
            with controller.lock:
                fleet = controller.fleet
                found = [
                    ReservationUse(reservation=convert.fill(Reservation(), one), used=used(fleet, one))
                    for _, one in sorted(fleet.reservations.items())
                ]
            return ListReservationsResponse(reservations=found)

    def ScheduleOutage(self, request: ScheduleOutageRequest, context: ServicerContext) -> ScheduleOutageResponse:
        """Plan placements for an element being out of service for a time."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            now_s = core.clock.now_s()
            outage = read.failure(request.outage, now_s, "outage")
            read.done()
            response = ScheduleOutageResponse(outage=outage.label)
            return core.quickly(request, lambda: core.controller.schedule_outage(outage, now_s=now_s), response)

    def CancelOutage(self, request: CancelOutageRequest, context: ServicerContext) -> CancelOutageResponse:
        """Plan for an outage no longer."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            label = read.name("outage")
            read.done()
            response = CancelOutageResponse(outage=label)
            return core.quickly(request, lambda: core.controller.cancel_outage(label), response)

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


def _yaml(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2020-13-01 looks like a date
        raise InvalidInput.one("site_yaml", "site_yaml", f"is not YAML: {' '.join(str(error).split())}") from error
