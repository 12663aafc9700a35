"""What happened to one policy in a simulated run: series against limits, incidents, and how decisions were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology

__all__ = ["Incident", "Moment", "Outage", "Record", "Run", "Traffic", "stacked", "thinned"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MINUTE_S = 60.0
PICTURED_EVERY_S = 60.0
"""Of one day's run; of a longer one, as many samples in all."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A failure of the run, from start to end (simulated seconds)."""

    label: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Incident:
    """Something worth a line in the timeline: a trip, a plan, a recovery."""

    t_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample of a run. Limits are those in force then: a failure lowers them.

    Attributes
    ----------
    quality_frac
        Quality of answers, weighted by served tokens; NaN while nothing is served.
    served_frac
        Part of the endpoints' demand that is served.
    iaas_performance_frac
        Mean speed of IaaS VMs relative to what they asked for.
    slo_attainment_frac, p99_ttft_s
        Share of the step's requests that kept their promise, and the 99th percentile of the time to first token of
        those that were answered; NaN while there are none.
    """

    t_s: float
    row_power_w: FloatArray
    row_budget_w: FloatArray
    ups_power_w: FloatArray
    ups_capacity_w: FloatArray
    aisle_airflow_cfm: FloatArray
    aisle_capacity_cfm: FloatArray
    hottest_gpu_c: float
    throttled_servers: int
    quality_frac: float
    served_frac: float
    iaas_performance_frac: float
    slo_attainment_frac: float = float("nan")
    p99_ttft_s: float = float("nan")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked of a run, whatever its policy, and what of it was served; NaN where nobody counted.

    Attributes
    ----------
    asked_tokens, served_tokens
        Prompt and output tokens that users asked of the endpoints, and that they got:
        ``Σ_steps demand(start of step) × served_frac × length``.
    saas_vm_h, iaas_vm_h
        Hours for which instances and tenants' VMs were wanted, placed or not.
    """

    asked_tokens: float = float("nan")
    served_tokens: float = float("nan")
    saas_vm_h: float = float("nan")
    iaas_vm_h: float = float("nan")


@dataclass(frozen=True)
class Record:
    """All samples of one policy, stacked.

    Attributes
    ----------
    t_s
        ``[moment]`` simulated seconds; steps are a minute, and a second inside emergencies.
    row_power_w, ups_power_w, aisle_airflow_cfm, …
        ``[moment, domain]`` beside the limits in force.
    answered
        How often each mode (``SOLVER``, ``GREEDY``, …) answered each kind of decision.
    metrics
        By the names of :mod:`tapas_opt.simulation.metrics`; ``inf`` for what never came about, NaN for what is not
        defined.
    relief_s
        By failure, in the run's order: :func:`tapas_opt.simulation.metrics.relief_s`.
    servers, server_row
        In the order of the site file, and which of ``rows`` each is in.
    hottest_gpus_c
        ``[server]`` the hottest GPU of each at ``hottest_s``, the moment of the hottest of the run; empty if unknown.
    turned_away
        By name, the VMs that asked for a server and got none, where anybody kept that.
    """

    policy: str
    rows: tuple[str, ...]
    upses: tuple[str, ...]
    aisles: tuple[str, ...]
    gpu_limit_c: float
    t_s: FloatArray
    row_power_w: FloatArray
    row_budget_w: FloatArray
    ups_power_w: FloatArray
    ups_capacity_w: FloatArray
    aisle_airflow_cfm: FloatArray
    aisle_capacity_cfm: FloatArray
    hottest_gpu_c: FloatArray
    throttled_servers: FloatArray
    quality_frac: FloatArray
    served_frac: FloatArray
    iaas_performance_frac: FloatArray
    slo_attainment_frac: FloatArray
    p99_ttft_s: FloatArray
    incidents: tuple[Incident, ...] = ()
    answered: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    relief_s: tuple[float, ...] = ()
    traffic: Traffic = Traffic()
    servers: tuple[str, ...] = ()
    server_row: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    hottest_s: float = float("nan")
    hottest_gpus_c: FloatArray = field(default_factory=lambda: np.empty(0))
    turned_away: tuple[Incident, ...] = ()

    @property
    def vms_rejected_frac(self) -> float:
        """Of the VMs that were asked for, those that got no server; 0 where none was."""
        rejected = self.metrics["vms_rejected"]
        return rejected / (self.metrics["vms_placed"] + rejected) if rejected else 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """Several policies through the same day, with the same failures."""

    name: str
    site: str
    servers: int
    outages: tuple[Outage, ...]
    records: tuple[Record, ...]
    summary: Mapping[str, object]


def thinned(record: Record, days: float) -> Record:
    """A record of so many days with the samples that pictures need: all where steps are short, few in calm times.

    The last one before steps become short is among them (it is how things were when a failure came), and so are those
    of the hottest GPU and of the fullest row. Metrics stay those of all samples; other peaks between two samples are
    not in the pictures.
    """
    calm_step_s = PICTURED_EVERY_S * max(1.0, days)
    step_s = np.diff(record.t_s, prepend=record.t_s[:1])
    kept = (np.floor(record.t_s / calm_step_s) != np.floor((record.t_s - step_s) / calm_step_s)) | (step_s < MINUTE_S)
    kept[:-1] |= step_s[1:] < MINUTE_S
    kept |= _is_highest(record.hottest_gpu_c) | _is_highest(_fullest_row_frac(record))
    series = {name: getattr(record, name)[kept] for name in Moment.__slots__}
    return replace(record, **series)


def _is_highest(values: FloatArray) -> NDArray[np.bool_]:
    return np.asarray(values == np.nanmax(values, initial=-np.inf))


def _fullest_row_frac(record: Record) -> FloatArray:
    budget_w = record.row_budget_w
    frac = np.divide(record.row_power_w, budget_w, out=np.zeros_like(record.row_power_w), where=budget_w > 0)
    return np.asarray(frac.max(axis=1, initial=0.0))


def stacked(policy: str, topology: Topology, moments: Sequence[Moment], incidents: Sequence[Incident]) -> Record:
    """Make a record of samples, in order of time."""
    columns: dict[str, FloatArray] = {
        name: np.array([getattr(moment, name) for moment in moments], dtype=np.float64) for name in Moment.__slots__
    }
    return Record(
        policy=policy,
        rows=topology.rows,
        upses=topology.upses,
        aisles=topology.aisles,
        gpu_limit_c=min(item.gpu_temperature_limit_c for item in topology.site.hardware.values()),
        incidents=tuple(incidents),
        answered={},
        metrics={},
        relief_s=(),
        traffic=Traffic(),
        servers=topology.servers,
        server_row=topology.server_row,
        hottest_s=float("nan"),
        turned_away=(),
        **columns,
    )
