"""What sensors and gateways say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from grpc import ServicerContext

from tapas_opt.api.v1.telemetry_service_pb2 import PushTelemetryRequest, PushTelemetryResponse
from tapas_opt.service.core import Core
from tapas_opt.service.readings import believed
from tapas_opt.service.status import answering

__all__ = ["TelemetryServicer"]

REFUSALS_SHOWN = 20


class TelemetryServicer:
    """What sensors and gateways say."""

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    def PushTelemetry(
        self, request_iterator: Iterator[PushTelemetryRequest], context: ServicerContext
    ) -> PushTelemetryResponse:
        """Take readings in; what cannot be believed is refused, and the rest is taken."""
        with answering(context):
            core, accepted, refused = self._core(), 0, 0
            shown: list[str] = []
            for request in request_iterator:
                at_s = request.observed_at_s
                if not (math.isfinite(at_s) and at_s > 0 and core.clock.observed(at_s)):
                    refused += 1
                    shown = [*shown, f"observed_at_s {at_s:g} is missing or in the future"][:REFUSALS_SHOWN]
                    continue
                fleet = core.controller.fleet
                readings, taken, refusals = believed(request, fleet.topology, fleet.endpoints)
                late = core.controller.observe(readings)
                nothing_new = sum(one.readings for one in late)
                accepted += taken - nothing_new
                refused += len(refusals) + nothing_new
                shown = [*shown, *refusals, *(one.what for one in late)][:REFUSALS_SHOWN]
            core.changed()
            return PushTelemetryResponse(accepted=accepted, refused=refused, refusals=shown)
