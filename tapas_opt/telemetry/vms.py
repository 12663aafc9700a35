"""Which VM ran where at which load, from what the operator says and what instances and GPUs report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import TABLES
from tapas_opt.domain.topology import Topology
from tapas_opt.telemetry.dense import Block
from tapas_opt.telemetry.importing import Span
from tapas_opt.telemetry.sources import Sources
from tapas_opt.telemetry.tally import Tally
from tapas_opt.telemetry.units import column_of

__all__ = ["vm_block"]

FloatArray = NDArray[np.float64]

OF_TOKENS = "tokens/s of vLLM over goodput"
OF_POWER = "used part of the GPUs' power range"


@dataclass(frozen=True, slots=True)
class _Run:
    """A VM on a server; ``load`` is ``[slot]``, NaN where it did not run or nothing was read."""

    vm: str
    server: str
    template: str
    configuration: str | None
    load: FloatArray
    source: str


def vm_block(
    span: Span, topology: Topology, sources: Sources, gpus: Block | None, serving: Block | None, tally: Tally
) -> Block | None:
    """Table of the VMs that the operator named, or None where none of them was seen.

    The load of an instance of vLLM is its tokens/s over its goodput, at most 1. That of any other VM is the used part
    of its GPUs' power range: (power − idle) / (limit − idle) of the hardware, in the mean over the GPUs.
    """
    runs: list[_Run] = [] if serving is None else list(_instances(sources, serving))
    runs += [] if gpus is None else _rented(span, topology, sources, gpus)
    if not runs:
        return None
    names = list(dict.fromkeys(run.vm for run in runs))
    block = Block(TABLES["vms"], span.start_s, span.step_s, span.slots, names, 1)
    texts = {name: np.full(block.shape[:2], None, dtype=object) for name in ("server", "template", "configuration")}
    for run in runs:
        place, running = names.index(run.vm), np.isfinite(run.load)
        values = np.full(block.shape, np.nan)
        values[:, place, 0] = run.load
        block.fill(column_of("vms.load_frac"), values, tally, run.source)
        for name, said in texts.items():
            said[running, place] = getattr(run, name)
    for name, said in texts.items():
        block.label(name, said)
    return block


def _instances(sources: Sources, serving: Block) -> Iterator[_Run]:
    tokens = serving.values("prompt_tokens_per_s") + serving.values("generation_tokens_per_s")
    for i in sources.instances:
        if i.label in serving.names:
            load = np.minimum(1.0, tokens[:, serving.names.index(i.label), 0] / i.goodput_tokens_per_s)
            yield _Run(i.vm, i.server, i.template, i.configuration, load, OF_TOKENS)


def _rented(span: Span, topology: Topology, sources: Sources, gpus: Block) -> Iterable[_Run]:
    """VMs that the operator does not see into, and servers that count as one."""
    load = _power_load(topology, gpus)
    number = {name: i for i, name in enumerate(topology.servers)}
    t_s = span.start_s + span.step_s * np.arange(span.slots)
    for vm in sources.vms:
        running = (t_s >= vm.start_s) & (t_s < vm.end_s)
        its = np.where(running, load[:, number[vm.server]], np.nan)
        yield _Run(vm.vm, vm.server, vm.template, None, its, OF_POWER)
    named = {i.server for i in sources.instances} | {vm.server for vm in sources.vms}
    for server in topology.servers if sources.rest_as is not None else ():
        its = load[:, number[server]]
        if server not in named and np.isfinite(its).any():
            yield _Run(server, server, str(sources.rest_as), None, its, OF_POWER)


def _power_load(topology: Topology, gpus: Block) -> FloatArray:
    """``[slot, server]`` used part of the power range, NaN where no GPU was read."""
    hardware = [topology.site.hardware[name] for name in topology.hardware]
    idle_w = np.array([each.gpu_idle_power_w for each in hardware])[topology.server_hardware]
    range_w = np.array([each.gpu_max_power_w for each in hardware])[topology.server_hardware] - idle_w
    power_w = gpus.values("power_w")
    present = np.isfinite(power_w)
    mean_w = np.where(present, power_w, 0.0).sum(axis=2) / np.maximum(present.sum(axis=2), 1)
    used = np.clip((mean_w - idle_w) / np.maximum(range_w, 1.0), 0.0, 1.0)
    return np.where(present.any(axis=2), used, np.nan)
