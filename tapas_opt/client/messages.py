"""Between what a client hands in or gets back, and messages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, cast

from google.protobuf.message import Message
from pydantic import TypeAdapter

from tapas_opt.api.v1 import common_pb2, routing_service_pb2, telemetry_service_pb2
from tapas_opt.client.answers import Completion
from tapas_opt.control.telemetry import PER_GPU, Readings
from tapas_opt.domain.workload import Vm
from tapas_opt.service import convert

__all__ = ["OnServer", "completion", "placed_vms", "read", "readings"]

T = TypeVar("T")


OnServer = tuple[Vm, str] | tuple[Vm, str, tuple[int, ...]]
"""A VM, its server and, where it has a part of that, the numbers of its GPUs."""


def placed_vms(vms: Iterable[OnServer]) -> list[common_pb2.PlacedVm]:
    """VMs with the servers that they are on."""
    return [
        common_pb2.PlacedVm(
            vm=convert.fill(common_pb2.Vm(), item[0]), server=item[1], gpus=item[2] if len(item) > 2 else ()
        )
        for item in vms
    ]


def completion(one: Completion) -> routing_service_pb2.CompleteRequestsRequest:
    """How a request ended."""
    return routing_service_pb2.CompleteRequestsRequest(
        endpoint=one.endpoint,
        instance=one.instance,
        outcome=f"OUTCOME_{one.outcome.upper()}",
        prompt_tokens=one.prompt_tokens,
        output_tokens=one.output_tokens,
        ttft_s=one.ttft_s,
        tbt_s=one.tbt_s,
        pending_tokens=one.pending_tokens,
    )


def readings(batch: Readings) -> telemetry_service_pb2.PushTelemetryRequest:
    """State readings of one time; what was not measured is not set."""
    request = telemetry_service_pb2.PushTelemetryRequest(observed_at_s=batch.observed_at_s)
    for room, value in batch.outdoor_c.items():
        request.rooms.add(room=room, outdoor_c=value)
    of_gpus = {quantity.removeprefix("gpu_"): getattr(batch, quantity) for quantity in PER_GPU}
    measured = (batch.server_power_w, batch.inlet_c, batch.airflow_cfm, batch.hottest_gpu_c, *of_gpus.values())
    for server in sorted({name for values in measured for name in values}):
        message = request.servers.add(
            server=server,
            power_w=batch.server_power_w.get(server),
            inlet_c=batch.inlet_c.get(server),
            airflow_cfm=batch.airflow_cfm.get(server),
            hottest_gpu_c=batch.hottest_gpu_c.get(server),
        )
        message.gpus.extend(_gpus({field: values[server] for field, values in of_gpus.items() if server in values}))
    for row, value in batch.row_power_w.items():
        request.rows.add(row=row, meter_power_w=value)
    for pdu, value in batch.pdu_power_w.items():
        request.pdus.add(pdu=pdu, power_w=value)
    for ups, value in batch.ups_power_w.items():
        request.upses.add(ups=ups, power_w=value)
    for endpoint, value in batch.endpoint_tokens_per_s.items():
        request.endpoints.add(endpoint=endpoint, tokens_per_s=value)
    return request


def _gpus(of_server: Mapping[str, Sequence[float]]) -> Iterator[telemetry_service_pb2.GpuReading]:
    """One message for each GPU of which anything was measured."""
    for number in range(max((len(values) for values in of_server.values()), default=0)):
        known = {field: values[number] for field, values in of_server.items() if number < len(values)}
        known = {field: value for field, value in known.items() if math.isfinite(value)}
        if known:
            yield telemetry_service_pb2.GpuReading(gpu=number, **known)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read(kind: type[T], message: Message) -> T:
    """Read a message as the dataclass whose fields have the names of its own."""
    value: T = _adapter(cast("Any", kind)).validate_python(convert.plain(message))
    return value
