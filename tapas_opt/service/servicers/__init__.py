"""One module for each service, one short method for each call: validate, call the core, translate the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grpc import Server

from tapas_opt.api.v1 import (
    fleet_service_pb2_grpc,
    placement_service_pb2_grpc,
    reconfiguration_service_pb2_grpc,
    routing_service_pb2_grpc,
    site_service_pb2_grpc,
    telemetry_service_pb2_grpc,
)
from tapas_opt.service.core import Core
from tapas_opt.service.servicers.fleet import FleetServicer
from tapas_opt.service.servicers.placement import PlacementServicer
from tapas_opt.service.servicers.reconfiguration import ReconfigurationServicer
from tapas_opt.service.servicers.routing import RoutingServicer
from tapas_opt.service.servicers.site import SiteServicer
from tapas_opt.service.servicers.telemetry import TelemetryServicer

__all__ = ["SERVICES", "add_servicers"]

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
