"""What a record comes to in numbers; each is defined here, once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.simulation.day import FailureAt
from tapas_opt.simulation.record import Record

__all__ = ["metrics_of", "relief_s"]

FloatArray = NDArray[np.float64]


def metrics_of(record: Record, steps_s: Sequence[float], failures: Sequence[FailureAt]) -> dict[str, float]:
    """Metrics of a record.

    - ``max_gpu_temperature_c``: the hottest GPU of the run.
    - ``peak_row_power_frac``, ``peak_aisle_airflow_frac``: the highest ratio of load to the limit in force.
    - ``ups_overload_s``: time with any UPS above its capacity in force.
    - ``relief_s``: the longest time from a failure until every UPS was back within its capacity (:func:`relief_s`).
    - ``saas_performance_loss_frac``: demand not served, over time.
    - ``quality_loss_frac``: 1 − quality of the answers, over time.
    - ``iaas_performance_loss_frac``: 1 − mean speed of IaaS VMs, over time.
    """
    weight = np.asarray(steps_s) / np.sum(steps_s)
    served = ~np.isnan(record.quality_frac)
    over = (record.ups_power_w > record.ups_capacity_w * (1 + 1e-9)).any(axis=1)
    return {
        "max_gpu_temperature_c": float(record.hottest_gpu_c.max()),
        "peak_row_power_frac": _peak(record.row_power_w, record.row_budget_w),
        "peak_aisle_airflow_frac": _peak(record.aisle_airflow_cfm, record.aisle_capacity_cfm),
        "ups_overload_s": float(np.asarray(steps_s)[over].sum()),
        "relief_s": max((relief_s(record, item) for item in failures), default=0.0),
        "saas_performance_loss_frac": float(((1.0 - record.served_frac) * weight).sum()),
        "quality_loss_frac": float(((1.0 - record.quality_frac[served]) * weight[served]).sum() / weight[served].sum()),
        "iaas_performance_loss_frac": float(((1.0 - record.iaas_performance_frac) * weight).sum()),
    }


def relief_s(record: Record, failure: FailureAt) -> float:
    """Seconds from a failure until no UPS was above its capacity in force; 0 if none ever was.

    ``inf`` if that did not come about before the failure was over.
    """
    during = (record.t_s > failure.at_s) & (record.t_s <= failure.until_s)
    alive = record.ups_capacity_w[during] > 0
    over = ((record.ups_power_w[during] > record.ups_capacity_w[during] * (1 + 1e-9)) & alive).any(axis=1)
    if not over.any():
        return 0.0
    last = int(np.flatnonzero(over)[-1])
    times = record.t_s[during]
    return float(times[last + 1] - failure.at_s) if last + 1 < len(times) else float("inf")


def _peak(load: FloatArray, limit: FloatArray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(limit > 0, load / limit, 0.0)
    return float(ratio.max(initial=0.0))
