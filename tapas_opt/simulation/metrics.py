"""What a record comes to in numbers; each is defined here, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import FailureKind
from tapas_opt.simulation.answering import Answered
from tapas_opt.simulation.record import Record
from tapas_opt.simulation.story import FailureAt
from tapas_opt.simulation.tally import Tally

__all__ = ["json_safe", "metrics_of", "relief_s"]

FloatArray = NDArray[np.float64]

_EXCESS = 1e-9


def metrics_of(
    record: Record, steps_s: Sequence[float], failures: Sequence[FailureAt], tally: Tally
) -> dict[str, float]:
    """Metrics of a record: of :func:`heat_of`, :func:`power_of` and :func:`service_of`.

    "Over time" is there a mean weighted by the length of each step, ``steps_s``.
    """
    time_s = np.asarray(steps_s, dtype=np.float64)
    return (
        power_of(record, time_s, failures, tally) | heat_of(record, time_s, tally) | service_of(record, time_s, tally)
    )


def heat_of(record: Record, time_s: FloatArray, tally: Tally) -> dict[str, float]:
    """What became hot, and who slowed down for it.

    - ``max_gpu_temperature_c``: the hottest GPU of the run.
    - ``p99_gpu_temperature_c``: what the hottest GPU of the moment stayed at or below for 99 % of the time.
    - ``max_gpu_rise_over_inlet_k``: the most that any GPU was above the inlet air of its server.
    - ``thermal_throttle_events``, ``thermal_throttle_time_frac``: how often a server began to slow itself, and the
      part of server time for which any of its GPUs did.
    - ``peak_aisle_airflow_frac``: the highest ratio of the airflow that an aisle's fans want to its capacity in force.
    """
    return {
        "max_gpu_temperature_c": float(record.hottest_gpu_c.max()),
        "p99_gpu_temperature_c": _quantile(record.hottest_gpu_c, time_s, 0.99),
        "max_gpu_rise_over_inlet_k": tally.rise_over_inlet_k,
        "thermal_throttle_events": tally.thermal_throttle_events,
        "thermal_throttle_time_frac": tally.throttled_server_s / tally.server_s,
        "peak_aisle_airflow_frac": _peak(record.aisle_airflow_cfm, record.aisle_capacity_cfm),
    }


def power_of(record: Record, time_s: FloatArray, failures: Sequence[FailureAt], tally: Tally) -> dict[str, float]:
    """What was drawn and overloaded, and who was slowed down for it.

    - ``peak_row_power_frac``: the highest ratio of a row's power to its budget in force.
    - ``peak_row_second_power_frac``: the same of the worst second of a thousand within any step.
    - ``power_throttle_events``, ``power_cap_time_frac``: how often a cap was laid on a VM's clock or a brake on its
      server, and the part of VM time under one. A lower clock that belongs to a chosen instance configuration is no
      cap: what it costs is in ``quality_loss_frac`` and ``saas_performance_loss_frac``.
    - ``ups_trips``, ``breaker_trips``: UPSs, and breakers of PDUs and rows, that opened under overload.
    - ``worst_overload_frac_of_tolerance``: the most of any UPS's or breaker's inverse-time tolerance that was used.
    - ``ups_overload_s``: time with any UPS above its capacity in force.
    - ``relief_s``: the longest of the failures (:func:`relief_s`); 0 if no failure overloaded a UPS.
    - ``energy_kwh``: what the servers drew.
    """
    return {
        "ups_trips": tally.ups_trips,
        "breaker_trips": tally.breaker_trips,
        "worst_overload_frac_of_tolerance": tally.tolerance_used_frac,
        "ups_overload_s": float(time_s[_ups_overloaded(record)].sum()),
        "relief_s": max((relief_s(record, item, failures) for item in failures), default=0.0),
        "power_throttle_events": tally.power_throttle_events,
        "power_cap_time_frac": tally.capped_vm_s / tally.vm_s if tally.vm_s else 0.0,
        "peak_row_power_frac": _peak(record.row_power_w, record.row_budget_w),
        "peak_row_second_power_frac": tally.row_second_frac,
        "energy_kwh": tally.energy_j / 3.6e6,
    }


def service_of(record: Record, time_s: FloatArray, tally: Tally) -> dict[str, float]:
    """What users lived to see; a request is the mean one of :data:`~tapas_opt.simulation.answering.REQUEST_TOKENS`.

    - ``slo_attainment_frac``: of all requests that were answered, lost or refused, those that kept the promise of
      their endpoint: at each moment the share of first tokens, or of gaps between tokens if that is less, within it.
    - ``p50_ttft_s``, ``p99_ttft_s``, ``p99_tbt_s``: quantiles of the time to first token and between tokens over all
      that were answered in the run. These four also for each endpoint, with its name in brackets. NaN if nobody asked.
    - ``saas_performance_loss_frac``: part of the endpoints' demand not served, over time.
    - ``quality_loss_frac``: 1 − quality of the answers, over the time in which anything was served; NaN if never.
    - ``iaas_performance_loss_frac``: 1 − mean speed of IaaS VMs, over time.
    - ``requests_routed``, ``requests_refused``: requests of the trace that got an instance, and that got none.
    - ``vms_placed``, ``vms_adopted``, ``vms_rejected``: VMs that got a server, those of them that were taken over
      where they ran, and VMs that got none.
    - ``configuration_changes``: orders to an instance to run another configuration or load level.
    - ``decision_p99_s``: measured by a real clock, the 99th percentile of what a placement, the answer to a failure or
      a review took; NaN where nothing was decided. How long it takes in the story is a constant of the actuators.
    """
    return {
        **_latencies(tally.answered),
        "saas_performance_loss_frac": _mean_loss(record.served_frac, time_s),
        "quality_loss_frac": _mean_loss(record.quality_frac, time_s),
        "iaas_performance_loss_frac": _mean_loss(record.iaas_performance_frac, time_s),
        "requests_routed": tally.requests_routed,
        "requests_refused": tally.requests_refused,
        "vms_placed": tally.vms_placed,
        "vms_adopted": tally.vms_adopted,
        "vms_rejected": tally.vms_rejected,
        "configuration_changes": tally.configuration_changes,
        "decision_p99_s": float(np.quantile(tally.decisions_s, 0.99)) if tally.decisions_s else float("nan"),
    }


def relief_s(record: Record, failure: FailureAt, failures: Sequence[FailureAt] = ()) -> float:
    """Seconds from a failure until every UPS stayed within its capacity in force; 0 if none ever was above it.

    ``inf`` if that did not come about before the failure was over, or only because a UPS tripped: what is dark is not
    relieved.

    Parameters
    ----------
    failures
        All of the run. One that comes while all is within capacity counts by itself: not with what it meets, such as a
        UPS that is out by plan.
    """
    during = (record.t_s > failure.at_s) & (record.t_s <= _counts_until_s(record, failure, failures))
    dead = _dead(record) & ~_lost(record, (failure, *failures)) & ~_dead_before(record, failure)
    if dead[during].any():
        return float("inf")
    over = _ups_overloaded(record)[during]
    if not over.any():
        return 0.0
    last, times_s = int(np.flatnonzero(over)[-1]), record.t_s[during]
    return float(times_s[last + 1] - failure.at_s) if last + 1 < len(times_s) else float("inf")


def _latencies(answered: Answered) -> dict[str, float]:
    """What users of all endpoints, and of each, lived to see."""
    users = {"": answered} | {f"[{name}]": answered.of(name) for name in answered.endpoints}
    return {
        f"{name}{whose}": value
        for whose, seen in users.items()
        for name, value in (
            ("slo_attainment_frac", seen.attainment_frac),
            ("p50_ttft_s", seen.ttft_s(0.5)),
            ("p99_ttft_s", seen.ttft_s(0.99)),
            ("p99_tbt_s", seen.tbt_s(0.99)),
        )
    }


def json_safe(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """JSON knows neither infinity nor NaN: what never came about, or is not defined, is null."""
    return {name: value if isfinite(value) else None for name, value in metrics.items()}


def _ups_overloaded(record: Record) -> NDArray[np.bool_]:
    """``[moment]`` whether any UPS is above its capacity in force; one that is out of service carries nothing."""
    in_service = record.ups_capacity_w > 0
    above = record.ups_power_w > record.ups_capacity_w * (1 + _EXCESS)
    return np.asarray((above & in_service).any(axis=1))


def _counts_until_s(record: Record, failure: FailureAt, failures: Sequence[FailureAt]) -> float:
    """The end of a failure, or the first one that comes before while no UPS is overloaded."""
    over = _ups_overloaded(record)
    later_s = sorted(item.at_s for item in failures if failure.at_s < item.at_s < failure.until_s)
    return next((at_s for at_s in later_s if not over[record.t_s <= at_s][-1:].any()), failure.until_s)


def _dead(record: Record) -> NDArray[np.bool_]:
    """``[moment, UPS]`` whether it was out of service."""
    return np.asarray(record.ups_capacity_w <= 0)


def _lost(record: Record, failures: Sequence[FailureAt]) -> NDArray[np.bool_]:
    """``[moment, UPS]`` whether one of the failures has taken it out of service."""
    lost = np.zeros(record.ups_capacity_w.shape, dtype=bool)
    for item in failures:
        if item.failure.kind is FailureKind.UPS and item.failure.element in record.upses:
            at = (record.t_s > item.at_s) & (record.t_s <= item.until_s)
            lost[at, record.upses.index(item.failure.element)] = True
    return lost


def _dead_before(record: Record, failure: FailureAt) -> NDArray[np.bool_]:
    """``[UPS]`` whether what came before the failure took the UPS out of service."""
    last = np.flatnonzero(record.t_s <= failure.at_s)[-1:]
    return np.asarray(_dead(record)[last].any(axis=0))


def _mean_loss(kept_frac: FloatArray, time_s: FloatArray) -> float:
    """1 − what was kept, over the time in which that is defined; NaN if it never is."""
    defined = np.isfinite(kept_frac)
    total_s = float(time_s[defined].sum())
    return float(((1.0 - kept_frac[defined]) * time_s[defined]).sum()) / total_s if total_s > 0 else float("nan")


def _quantile(values: FloatArray, time_s: FloatArray, frac: float) -> float:
    """Least value that the series stays at or below for this part of the time."""
    order = np.argsort(values, kind="stable")
    passed = np.cumsum(time_s[order])
    return float(values[order][np.searchsorted(passed, frac * passed[-1] * (1 - _EXCESS))])


def _peak(load: FloatArray, limit: FloatArray) -> float:
    ratio = np.divide(load, limit, out=np.zeros_like(load), where=limit > 0)
    return float(ratio.max(initial=0.0))
