"""What happened to one policy in a simulated run: series against limits, incidents, and how decisions were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology

__all__ = ["Incident", "Moment", "Outage", "Record", "Run", "stacked", "thinned"]

FloatArray = NDArray[np.float64]

MINUTE_S = 60.0


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


@dataclass(frozen=True, slots=True)
class Run:
    """Several policies through the same day, with the same failures."""

    name: str
    site: str
    servers: int
    outages: tuple[Outage, ...]
    records: tuple[Record, ...]
    summary: Mapping[str, object]


def thinned(record: Record, calm_step_s: float) -> Record:
    """A record with the samples that pictures need: in calm times one in so many seconds, all where steps are short.

    Metrics stay those of all samples; a peak between two samples is not in the pictures.
    """
    step_s = np.diff(record.t_s, prepend=record.t_s[:1])
    kept = (np.floor(record.t_s / calm_step_s) != np.floor((record.t_s - step_s) / calm_step_s)) | (step_s < MINUTE_S)
    series = {name: getattr(record, name)[kept] for name in Moment.__slots__}
    return replace(record, **series)


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
        **columns,
    )
