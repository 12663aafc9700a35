"""Both policies through the drill's day, and what it came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from tapas_opt.cli.drill_audit import Audit
from tapas_opt.cli.drill_scene import DrillScene
from tapas_opt.cli.served_policy import Measured, ServedPolicy
from tapas_opt.client import Client
from tapas_opt.domain.topology import topology_of
from tapas_opt.simulation.loop import run_story
from tapas_opt.simulation.metrics import json_safe
from tapas_opt.simulation.policies.table import policy_of
from tapas_opt.simulation.policy import Policy
from tapas_opt.simulation.record import Record, Run
from tapas_opt.simulation.story import DAY_S

__all__ = ["run_drill"]

DEADLINE_S = 2.0
"""Of each placement and reconfiguration; the solver has most of it."""

START_S = 60.0
VIOLATIONS_TOLD = 20

Advance = Callable[[float], None]


def run_drill(name: str, scene: DrillScene, address: str, advance: Advance) -> Run:
    """Take both policies through the day: the one that is served at ``address``, then the baseline.

    Parameters
    ----------
    advance
        Called with the simulated seconds of each step of either policy.
    """
    with Client(address) as client:
        client.wait_until_serving(START_S)
        served = ServedPolicy(client, scene.day.endpoints, Audit(scene.controller()), deadline_s=DEADLINE_S)
        ours = _record(scene, served, advance)
    ours = replace(ours, answered=served.measured.answered, metrics={**ours.metrics, **_timed(served.measured)})
    baseline = _record(scene, policy_of("baseline", scene.known()), advance)
    records = (ours, baseline)
    outages = tuple(item.outage for item in scene.day.failures)
    summary = _summary(name, scene, records, served)
    return Run(name, scene.site.name, len(scene.room().topology.servers), outages, records, summary)


def _record(scene: DrillScene, policy: Policy, advance: Advance) -> Record:
    began = time.perf_counter()
    record = run_story(scene.day, scene.room(), policy, scene.started, advance)
    return replace(record, metrics={**record.metrics, "wall_s": round(time.perf_counter() - began, 1)})


def _timed(measured: Measured) -> dict[str, float]:
    """What a clock showed on this machine, for calls over gRPC."""
    return {
        "emergency_plan_p50_ms": _quantile(measured.emergency_ms, 0.5),
        "emergency_plan_max_ms": _quantile(measured.emergency_ms, 1.0),
        "route_p50_ms": _quantile(measured.route_ms, 0.5),
        "route_p99_ms": _quantile(measured.route_ms, 0.99),
    }


def _quantile(values: Sequence[float], frac: float) -> float:
    """To a microsecond; NaN of nothing."""
    return round(float(np.quantile(values, frac)), 3) if values else float("nan")


def _summary(name: str, scene: DrillScene, records: Sequence[Record], served: ServedPolicy) -> dict[str, object]:
    """What the drill came to, as one JSON object."""
    policies = {record.policy: json_safe(record.metrics) for record in records}
    ours = policies[served.name]
    return {
        "name": name,
        "site": scene.site.name,
        "servers": len(topology_of(scene.site).servers),
        "seed": scene.seed,
        "hours": [_hour(scene, scene.day.start_s), _hour(scene, scene.day.end_s)],
        **{key: ours[key] for key in ("requests_routed", "requests_refused")},
        **{key: ours[key] for key in ("vms_placed", "vms_adopted", "vms_rejected")},
        "checker_violations": len(served.audit.violations),
        "violations": served.audit.violations[:VIOLATIONS_TOLD],
        "policies": policies,
        "emergency_plan_ms": _named(ours, p50="emergency_plan_p50_ms", max="emergency_plan_max_ms"),
        "relief_s": ours["relief_s"],
        "route_ms": _named(ours, p50="route_p50_ms", p99="route_p99_ms"),
        "modes": served.measured.answered,
        "learned": {model: asdict(errors) for model, errors in scene.models.errors().items()},
    }


def _hour(scene: DrillScene, t_s: float) -> float:
    midnight_s = scene.day.start_s // DAY_S * DAY_S
    return round((t_s - midnight_s) / 3600.0, 6)


def _named(metrics: Mapping[str, float | None], **names: str) -> dict[str, float | None]:
    return {short: metrics[name] for short, name in names.items()}
