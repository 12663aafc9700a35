"""Routing: the pick for a request, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from grpc import ServicerContext

from tapas_opt.api.v1.routing_service_pb2 import (
    CompleteRequestsRequest,
    CompleteRequestsResponse,
    GetRoutingTableRequest,
    GetRoutingTableResponse,
    RouteRequest,
    RouteResponse,
)
from tapas_opt.errors import NoInstance, NotFound
from tapas_opt.service import convert, respond
from tapas_opt.service.core import Core
from tapas_opt.service.status import answering

__all__ = ["RoutingServicer"]

LARGEST_ROUTE_BYTES = 64 * 2**10
USUAL_PROMPT_TOKENS = 512.0
USUAL_OUTPUT_TOKENS = 128.0
"""What a request counts with whose length is not known."""


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
                controller.router.complete(request.instance, _pending_tokens(request))
                accepted += 1
            return CompleteRequestsResponse(accepted=accepted, unknown=unknown)


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


def _pending_tokens(request: CompleteRequestsRequest) -> float:
    read = convert.Request(request)
    for field in ("pending_tokens", "prompt_tokens", "output_tokens"):
        if not 0 <= getattr(request, field) < math.inf:
            read.fault(field, f"{getattr(request, field)}: must be a finite number of at least 0")
    read.done()
    tokens = float(request.prompt_tokens + request.output_tokens)
    return request.pending_tokens if request.HasField("pending_tokens") else tokens


def _routed(core: Core, request: RouteRequest, prompt: float, output: float) -> Any:
    controller, now_s = core.controller, core.clock.now_s()
    try:
        return controller.router.route(request.endpoint, prompt, output, request.session or None, now_s=now_s)
    except NotFound:
        if request.endpoint in controller.fleet.endpoints:  # the routing plan has not caught up with it yet
            why = "no routing plan has been made since it was created; try again in a second"
            raise NoInstance(f"endpoint {request.endpoint}: {why}") from None
        raise
