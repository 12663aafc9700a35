"""What was asked of a run, whatever its policy: tokens and hours of VMs."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tapas_opt.domain.workload import Vm
from tapas_opt.simulation.record import Record
from tapas_opt.simulation.story import Story

__all__ = ["Traffic", "traffic_of"]

HOUR_S = 3600.0
SAME_MOMENT_S = 1e-6


@dataclass(frozen=True, slots=True)
class Traffic:
    """Sums over a run.

    Attributes
    ----------
    asked_tokens, served_tokens
        Prompt and output tokens that users asked of the endpoints, and that they got.
    saas_vm_h, iaas_vm_h
        Hours for which instances and tenants' VMs were wanted, placed or not.
    """

    asked_tokens: float
    served_tokens: float
    saas_vm_h: float
    iaas_vm_h: float


def traffic_of(story: Story, record: Record) -> Traffic:
    """What a story asked for, and what of it the record says was served.

    ``served = Σ_steps demand(start of step) × served_frac × length``, as the loop has it.
    """
    asked = served = saas_s = iaas_s = 0.0
    served_frac = np.nan_to_num(record.served_frac, nan=1.0)
    for (now_s, length_s), frac, wanted in zip(story.steps(), served_frac.tolist(), _wanted(story), strict=True):
        tokens = sum(story.demand_tokens_per_s(now_s, wanted.tokens_per_s).values()) * length_s
        asked += tokens
        served += tokens * frac
        saas_s += wanted.instances * length_s
        iaas_s += wanted.tenants * length_s
    return Traffic(asked, served, saas_s / HOUR_S, iaas_s / HOUR_S)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """VMs that are wanted at a moment, and what their endpoints are planned for."""

    instances: int
    tenants: int
    tokens_per_s: Mapping[str, float]


def _wanted(story: Story) -> Iterator[_Wanted]:
    """For each step."""
    vms = {vm.name: vm for vm in (*(vm for vm, _ in story.adopted), *story.running)}
    coming = deque(sorted(story.arrivals, key=lambda arrival: arrival.at_s))
    now = _counted(story, vms.values())
    for now_s, _ in story.steps():
        while coming and coming[0].at_s <= now_s + SAME_MOMENT_S:
            arrival = coming.popleft()
            for name in arrival.leaving:
                vms.pop(name, None)
            vms |= {vm.name: vm for vm in arrival.vms}
            now = _counted(story, vms.values())
        yield now


def _counted(story: Story, vms: Collection[Vm]) -> _Wanted:
    instances = sum(1 for vm in vms if vm.endpoint is not None)
    return _Wanted(instances, len(vms) - instances, story.planned_tokens_per_s(vms))
