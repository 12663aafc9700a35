"""Endpoints and VMs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from grpc import ServicerContext

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
from tapas_opt.control.controller import Controller
from tapas_opt.control.events import VmOnServer
from tapas_opt.control.fleet import VmState
from tapas_opt.errors import InvalidInput
from tapas_opt.service import convert, respond
from tapas_opt.service.core import Core
from tapas_opt.service.ledger import Decided
from tapas_opt.service.status import answering

__all__ = ["FleetServicer"]

LARGEST_PAGE = 1_000
USUAL_PAGE = 100

_VM_STATES = {1: VmState.RESERVED, 2: VmState.RUNNING}


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
            if not request.vms:
                read.fault("vms", "is empty: give at least one VM")
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
            if request.state and request.state not in _VM_STATES:
                read.fault("state", f"{request.state}: no such state; leave it out for all")
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


def _synced(controller: Controller, vms: Sequence[VmOnServer]) -> Decided:
    known = {name: item.server for name, item in controller.fleet.vms.items()}
    if known and not vms:
        what = f"is empty, which would release all {len(known)} VMs; release them by name if they are gone"
        raise InvalidInput.one("SyncVmsRequest", "vms", what)
    actual = {item.vm.name: item.server for item in vms}
    answer = controller.sync(vms)
    kinds = (("UNKNOWN_HERE", answer.added), ("MOVED", answer.moved), ("GONE", answer.removed))
    differences = [
        respond.difference(name, kind, known.get(name, ""), actual.get(name, ""))
        for kind, names in kinds
        for name in names
    ]
    return Decided(answer.events, SyncVmsResponse(differences=differences))
