"""Which outside metric is which column of the schema: DCGM exporter, IPMI and Redfish exporters, vLLM.

Names and units as the exporters document them: NVIDIA ``dcgm-exporter`` (``etc/default-counters.csv``), Prometheus
``ipmi_exporter`` (``docs/metrics.md``), ``idrac_exporter`` and ``redfish_exporter`` (README), vLLM
(``docs/usage/metrics`` and the changes noted in ``vllm/v1/metrics/loggers.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tapas_opt.domain.history import Column, Table

__all__ = ["HOST_LABELS", "METRICS", "SERVING", "Metric"]

HOST_LABELS = (
    "Hostname",
    "hostname",
    "node",
    "nodename",
    "kubernetes_node",
    "server",
    "host",
    "target",
    "exported_instance",
    "instance",
)
"""Labels that may hold a server's name; of those that a series has the first one counts, known or not.

An exporter on one server may speak for another, whose name then stands in a label before ``instance``.
"""


@dataclass(frozen=True, slots=True)
class Metric:
    """One outside quantity, and where it goes.

    Attributes
    ----------
    column
        ``table.column`` of the schema, or of :data:`SERVING`.
    names
        The same quantity by its names across versions, the present one first; a slot takes the first that has it.
    unit
        A symbol of :data:`tapas_opt.telemetry.units.UNITS` or a speed of fans.
    where
        Regular expression that the value of a label must match in full.
    kind
        ``gauge`` is averaged over a slot, of a ``counter`` the rate is taken, of a ``histogram`` the mean.
    part, combine
        Label that tells several sensors of one server apart, and what becomes of them.
    labels
        Where the name of the server, row, room or instance stands.
    of
        The one element that every series is about, where no label says it.
    query
        A PromQL expression in place of ``names``.
    zero_is_missing
        Hardware without the sensor reports 0.
    note
        What to know about it: a proxy says so here.
    """

    column: str
    names: tuple[str, ...]
    unit: str
    where: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["gauge", "counter", "histogram"] = "gauge"
    part: str = ""
    combine: Literal["mean", "sum"] = "mean"
    labels: tuple[str, ...] = HOST_LABELS
    of: str = ""
    query: str = ""
    zero_is_missing: bool = False
    note: str = ""


SERVING = Table(
    "serving",
    ("t_s", "instance"),
    (
        Column("t_s", "float64", 0.0),
        Column("instance", "str"),
        Column("prompt_tokens_per_s", "float64", 0, 1e8),
        Column("generation_tokens_per_s", "float64", 0, 1e8),
        Column("running_requests", "float64", 0, 1e6),
        Column("waiting_requests", "float64", 0, 1e7),
        Column("kv_cache_frac", "float64", 0, 1),
        Column("ttft_s", "float64", 0, 1e5),
        Column("inter_token_s", "float64", 0, 1e5),
    ),
)
"""What vLLM says of itself: a table beside the schema, from which the load of a VM is made."""

_INLET = "(?i).*(inlet|intake).*"
_AMBIENT = "(?i).*ambient.*"
_WHOLE_SERVER = "(?i)(system power control|pwr consumption|sys(tem)?[ _]?(input[ _]?)?(power|pwr)|total[ _]?power)"
_LOAD = "a proxy of load: the part of the time in which {}, not the work done"

_GPUS = (
    Metric("gpus.temperature_c", ("DCGM_FI_DEV_GPU_TEMP", "dcgm_gpu_temp"), "C"),
    Metric("gpus.memory_temperature_c", ("DCGM_FI_DEV_MEMORY_TEMP", "dcgm_memory_temp"), "C", zero_is_missing=True),
    Metric("gpus.power_w", ("DCGM_FI_DEV_POWER_USAGE", "dcgm_power_usage"), "W"),
    Metric("gpus.power_w", ("DCGM_FI_DEV_POWER_USAGE_INSTANT",), "W"),
    Metric("gpus.load_frac", ("DCGM_FI_PROF_SM_ACTIVE",), "frac", note=_LOAD.format("its processors held work")),
    Metric("gpus.load_frac", ("DCGM_FI_PROF_GR_ENGINE_ACTIVE",), "frac", note=_LOAD.format("its engine was busy")),
    Metric(
        "gpus.load_frac",
        ("DCGM_FI_DEV_GPU_UTIL", "dcgm_gpu_utilization"),
        "%",
        note=_LOAD.format("any kernel ran, however small"),
    ),
)

_SERVERS = (
    Metric("servers.inlet_c", ("ipmi_temperature_celsius",), "C", {"name": _INLET}, part="name"),
    Metric("servers.inlet_c", ("idrac_sensors_temperature",), "C", {"name": _INLET}, part="name"),
    Metric("servers.inlet_c", ("redfish_chassis_temperature_celsius",), "C", {"sensor": _INLET}, part="sensor"),
    Metric("servers.inlet_c", ("ipmi_temperature_celsius",), "C", {"name": _AMBIENT}, part="name"),
    Metric("servers.inlet_c", ("idrac_sensors_temperature",), "C", {"name": _AMBIENT}, part="name"),
    Metric("servers.inlet_c", ("redfish_chassis_temperature_celsius",), "C", {"sensor": _AMBIENT}, part="sensor"),
    Metric("servers.power_w", ("ipmi_dcmi_power_consumption_current_watts", "ipmi_dcmi_power_consumption_watts"), "W"),
    Metric("servers.power_w", ("idrac_power_control_consumed_watts",), "W", {"name": _WHOLE_SERVER}),
    Metric("servers.power_w", ("idrac_power_control_consumed_watts",), "W", {"id": "0"}),
    Metric(
        "servers.power_w",
        ("redfish_chassis_power_average_consumed_watts",),
        "W",
        note="an average over the BMC's own interval",
    ),
    Metric("servers.power_w", ("ipmi_power_watts",), "W", {"name": _WHOLE_SERVER}),
    Metric("servers.airflow_cfm", ("idrac_dell_estimated_system_airflow_cfm",), "cfm", note="the BMC's own estimate"),
    Metric("servers.airflow_cfm", ("ipmi_fan_speed_rpm",), "rpm", part="name"),
    Metric("servers.airflow_cfm", ("ipmi_fan_speed_ratio",), "fan frac", part="name"),
    Metric("servers.airflow_cfm", ("idrac_sensors_fan_speed",), "rpm", {"units": "(?i)rpm"}, part="name"),
    Metric("servers.airflow_cfm", ("idrac_sensors_fan_speed",), "fan %", {"units": "(?i)percent"}, part="name"),
    Metric("servers.airflow_cfm", ("redfish_chassis_fan_rpm",), "rpm", part="fan"),
)

_INSTANCE = ("instance",)


def _vllm(column: str, *names: str, unit: str, **more: str) -> Metric:
    return Metric(f"serving.{column}", names, unit, part="engine", labels=_INSTANCE, **more)  # type: ignore[arg-type]


_VLLM = (
    _vllm("prompt_tokens_per_s", "vllm:prompt_tokens_total", unit="tokens/s", kind="counter", combine="sum"),
    _vllm("prompt_tokens_per_s", "vllm:avg_prompt_throughput_toks_per_s", unit="tokens/s", combine="sum"),
    _vllm("generation_tokens_per_s", "vllm:generation_tokens_total", unit="tokens/s", kind="counter", combine="sum"),
    _vllm("generation_tokens_per_s", "vllm:avg_generation_throughput_toks_per_s", unit="tokens/s", combine="sum"),
    _vllm("running_requests", "vllm:num_requests_running", unit="requests", combine="sum"),
    _vllm("waiting_requests", "vllm:num_requests_waiting", unit="requests", combine="sum"),
    _vllm("kv_cache_frac", "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", unit="frac"),
    _vllm("ttft_s", "vllm:time_to_first_token_seconds", unit="s", kind="histogram"),
    _vllm(
        "inter_token_s",
        "vllm:inter_token_latency_seconds",
        "vllm:time_per_output_token_seconds",
        unit="s",
        kind="histogram",
    ),
)

METRICS: tuple[Metric, ...] = _GPUS + _SERVERS + _VLLM
"""In order of preference: of two metrics of one column the earlier one is taken for a server that has both."""
