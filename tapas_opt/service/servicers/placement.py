"""Placement: reserve, confirm, release, and judge candidates."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message
from grpc import ServicerContext

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
from tapas_opt.service import convert, respond
from tapas_opt.service.core import Core
from tapas_opt.service.ledger import Decided
from tapas_opt.service.status import answering

__all__ = ["PlacementServicer"]


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
                gone = core.hung_up(context)
                draft = core.controller.place(
                    vms, groups, now_s=now_s, deadline_s=budget_s, cancel=gone, explain=request.explain
                )

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


def _named(request: Message) -> tuple[str, ...]:
    read = convert.Request(request)
    read.mutation()
    names = read.names()
    read.done()
    return names
