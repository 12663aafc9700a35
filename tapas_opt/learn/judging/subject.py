"""Each model beside what was seen, a day at a time, through the same functions that control asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import NO_VM, Panel
from tapas_opt.domain.topology import Topology
from tapas_opt.learn.artefact import Artefact
from tapas_opt.learn.curve import Surface
from tapas_opt.learn.domain import domain_key
from tapas_opt.learn.gpu_temperature import GpuEntry, GpuTemperatureModel
from tapas_opt.learn.inlet import InletModel
from tapas_opt.learn.instance import InstanceEntry
from tapas_opt.learn.load import HOURS_PER_WEEK, hour_of_week
from tapas_opt.learn.models import LearnedModels
from tapas_opt.learn.servers import entry_numbers
from tapas_opt.learn.sums import ServerSums, domain_members, domain_names, server_sums

__all__ = ["NO_ROW", "Compared", "Subject", "highest", "subjects"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NO_ROW = -1
"""Row of a place that belongs to none, such as a UPS."""


@dataclass(frozen=True)
class Compared:
    """What was seen at each place ``[t, place]``, what the model expected, and what it promised not to exceed.

    Attributes
    ----------
    due
        How many readings there should have been.
    inputs
        What the model was asked with, by the name of its feature.
    day_is_one_reading
        Errors are those of the day's maximum, not of each slot: what a domain's margin is about.
    shown
        Predicted and observed, where a picture of them says more than the columns above.
    """

    observed: FloatArray
    central: FloatArray
    upper: FloatArray
    due: int
    inputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    day_is_one_reading: bool = False
    shown: tuple[FloatArray, FloatArray] | None = None


@dataclass(frozen=True)
class Subject:
    """A model to be judged.

    Attributes
    ----------
    places
        Server or domain of each place; a server with eight GPUs is there eight times.
    row
        ``[place]`` number of its row, or :data:`NO_ROW`.
    compare
        From the panel of a day and the panel of what was seen that day.
    """

    artefact: Artefact[Any]
    places: tuple[str, ...]
    row: IntArray
    compare: Callable[[Panel, Panel], Compared]


def subjects(models: LearnedModels, topology: Topology, templates: tuple[str, ...]) -> Iterator[Subject]:
    """Every model, in the order of their files."""
    servers, row = topology.servers, np.asarray(topology.server_row, dtype=np.int64)
    width = max(topology.site.hardware[name].gpus for name in topology.hardware)
    gpus, gpu_row = tuple(name for name in servers for _ in range(width)), np.repeat(row, width)
    yield Subject(models.inlet_temperature, servers, row, _inlet(models))
    yield Subject(models.gpu_temperature, gpus, gpu_row, _gpu(models.gpu_temperature, "gpu_c"))
    yield Subject(models.gpu_memory_temperature, gpus, gpu_row, _gpu(models.gpu_memory_temperature, "gpu_memory_c"))
    yield Subject(models.gpu_power, gpus, gpu_row, _gpu_power(models))
    yield Subject(models.server_power, servers, row, _surface(models.server_power, "server_power_w"))
    yield Subject(models.airflow, servers, row, _surface(models.airflow, "airflow_cfm"))
    yield Subject(models.vm_load, servers, row, _vm_load(models, templates))
    yield Subject(models.own_load, servers, row, _own_load(models))
    yield Subject(models.instance_power, servers, row, _instance_power(models))
    sums, rows = _Sums(models), np.arange(len(topology.rows))
    yield Subject(models.row_overhead, topology.rows, rows, _row_overhead(models, topology, sums))
    domains = [(kind, i, name) for kind, names in domain_names(topology).items() for i, name in enumerate(names)]
    of_row = np.array([i if kind == "row" else NO_ROW for kind, i, _ in domains], dtype=np.int64)
    names = tuple(domain_key(kind, name) for kind, _, name in domains)
    yield Subject(models.domain_margin, names, of_row, _domain_margin(models, topology, sums))


_Compare = Callable[[Panel, Panel], Compared]


def _inlet(models: LearnedModels) -> _Compare:
    model = InletModel(models.inlet_temperature)

    def compare(panel: Panel, seen: Panel) -> Compared:
        room = panel.topology.server_room
        number = entry_numbers(panel.topology, model.artefact.entries, model.artefact.pooled)
        central = model.central_c(number, panel.outdoor_c[:, room], panel.room_load_frac[:, room])
        upper = model.upper_c(panel.topology, panel.outdoor_c, panel.room_load_frac, 0.0)
        inputs = {"outdoor_c": panel.outdoor_c, "room_load_frac": panel.room_load_frac}
        return Compared(seen.inlet_c, central, upper, central.size, inputs)

    return compare


def _gpu(artefact: Artefact[GpuEntry], sensor: str) -> _Compare:
    model = GpuTemperatureModel(artefact)

    def compare(panel: Panel, seen: Panel) -> Compared:
        power = panel.gpu_power_w.astype(np.float64)
        central = model.central_c(panel.topology, panel.inlet_c, power)
        upper = model.upper_c(panel.topology, panel.inlet_c, power)
        inputs: dict[str, NDArray[Any]] = {"inlet_c": panel.inlet_c, "gpu_power_w": panel.gpu_power_w}
        return Compared(_flat(getattr(seen, sensor)), _flat(central), _flat(upper), _gpu_slots(panel), inputs)

    return compare


def _gpu_power(models: LearnedModels) -> _Compare:
    def compare(panel: Panel, seen: Panel) -> Compared:
        load = np.where((panel.vm_template != NO_VM)[..., None], panel.load_frac, np.nan).astype(np.float64)
        central, margin = np.full(load.shape, np.nan), np.full(load.shape[1:], np.nan)
        for hardware, curve in _known(models.gpu_power, panel):
            servers = panel.of_hardware(hardware)
            central[:, servers], margin[servers] = curve.at(load[:, servers]), curve.margin_w
        busy = int((panel.vm_template != NO_VM).sum()) * load.shape[2]
        return Compared(_flat(seen.gpu_power_w), _flat(central), _flat(central + margin), busy, {"load_frac": load})

    return compare


def _surface(artefact: Artefact[Surface], sensor: str) -> _Compare:
    def compare(panel: Panel, seen: Panel) -> Compared:
        power = panel.server_gpu_power_w
        central, margin = np.full(power.shape, np.nan), np.full(power.shape[1], np.nan)
        for hardware, surface in _known(artefact, panel):
            servers = panel.of_hardware(hardware)
            central[:, servers] = surface.at(power[:, servers], panel.inlet_c[:, servers])
            margin[servers] = surface.margin
        inputs = {"gpu_power_w": power, "inlet_c": panel.inlet_c}
        return Compared(getattr(seen, sensor), central, central + margin, central.size, inputs)

    return compare


def _vm_load(models: LearnedModels, templates: tuple[str, ...]) -> _Compare:
    known = (*templates, "")  # NO_VM is −1: the last one, and never looked at
    central = np.array([models.load_central_frac(name) for name in known])
    upper = np.array([models.load_upper_frac(name) for name in known])

    def compare(panel: Panel, seen: Panel) -> Compared:
        runs, hour = panel.vm_template != NO_VM, hour_of_week(panel.t_s)[:, None]
        load = np.where(runs, seen.vm_load_frac, np.nan)
        return Compared(load, central[panel.vm_template, hour], upper[panel.vm_template, hour], int(runs.sum()))

    return compare


def _own_load(models: LearnedModels) -> _Compare:
    """Loads of VMs that have an entry of their own; the last row stands for all others."""
    entries = models.own_load.entries
    place = {vm: i for i, vm in enumerate(entries)}
    asked = [(entry.template, vm) for vm, entry in entries.items()]
    unknown = np.full((1, HOURS_PER_WEEK), np.nan)
    central = np.vstack([*(models.load_central_frac(*each) for each in asked), unknown])
    upper = np.vstack([*(models.load_upper_frac(*each) for each in asked), unknown])

    def compare(panel: Panel, seen: Panel) -> Compared:
        number = np.array([place.get(vm, -1) for vm in panel.vms] + [-1], dtype=np.int64)[panel.vm]
        hour = hour_of_week(panel.t_s)[:, None]
        load = np.where(number >= 0, seen.vm_load_frac, np.nan)
        return Compared(load, central[number, hour], upper[number, hour], int((number >= 0).sum()))

    return compare


def _instance_power(models: LearnedModels) -> _Compare:
    """Power of the hottest GPU of servers that run a configuration which was learned."""

    def compare(panel: Panel, seen: Panel) -> Compared:
        load = np.where(panel.vm_configuration != NO_VM, panel.vm_load_frac, np.nan)
        central, margin = np.full(load.shape, np.nan), np.full(load.shape, np.nan)
        for entry in models.instance_power.entries.values():
            runs = _runs(panel, entry)
            central[runs], margin[runs] = entry.hottest_gpu_at(load[runs]), entry.hottest_margin_w
        hottest = np.where(np.isfinite(margin), _hottest_gpu_w(seen), np.nan)
        return Compared(hottest, central, central + margin, int(np.isfinite(margin).sum()), {"load_frac": load})

    return compare


def _runs(panel: Panel, entry: InstanceEntry) -> NDArray[np.bool_]:
    """``[t, s]`` where this configuration runs on this hardware."""
    if entry.configuration not in panel.configurations or entry.hardware not in panel.topology.hardware:
        return np.zeros(panel.vm_configuration.shape, dtype=bool)
    on = panel.topology.server_hardware == panel.topology.hardware.index(entry.hardware)
    return np.asarray((panel.vm_configuration == panel.configurations.index(entry.configuration)) & on)


def _hottest_gpu_w(panel: Panel) -> FloatArray:
    """``[t, s]`` highest reading of a server's GPUs; NaN where none was read."""
    known = np.isfinite(panel.gpu_power_w)
    top = np.where(known, panel.gpu_power_w, -np.inf).max(axis=-1)
    return np.asarray(np.where(known.any(axis=-1), top, np.nan), dtype=np.float64)


def _row_overhead(models: LearnedModels, topology: Topology, sums: _Sums) -> _Compare:
    inside = domain_members(topology)["row"]
    entries = [models.row_overhead.entries.get(name, models.row_overhead.pooled["all"]) for name in topology.rows]
    upper = np.array([entry.overhead_w for entry in entries])
    central = np.array([entry.overhead_w if entry.usual_w is None else entry.usual_w for entry in entries])

    def compare(panel: Panel, seen: Panel) -> Compared:
        rest = seen.meter_w - sums.of(seen).power_w @ inside
        return Compared(rest, np.broadcast_to(central, rest.shape), np.broadcast_to(upper, rest.shape), rest.size)

    return compare


def _domain_margin(models: LearnedModels, topology: Topology, sums: _Sums) -> _Compare:
    """Sums over what planning expects at the day's highest, less 1: what a domain's margin is compared with."""
    members = domain_members(topology)
    margin = np.array(
        [models.domain_margin_frac(kind, name) for kind, names in domain_names(topology).items() for name in names]
    )
    overhead = np.array([models.row_overhead_w(row) for row in topology.rows])

    def compare(panel: Panel, seen: Panel) -> Compared:
        measured, planned = sums.of(seen), sums.of(panel)
        score, shown = _domain_scores(members, planned, measured, seen.meter_w - overhead)
        nothing, upper = np.zeros_like(score), np.broadcast_to(margin, score.shape)
        return Compared(score, nothing, upper, score.shape[1], day_is_one_reading=True, shown=shown)

    return compare


def _domain_scores(
    members: dict[str, FloatArray], planned: ServerSums, measured: ServerSums, metered_w: FloatArray
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """``[t, domain]`` measured over the day's highest planned sum, less 1; and both sums' day maxima in W.

    A row's power is its meter's where that reads; an aisle's score is the worse of heat (power) and airflow.
    """
    scores, tops = [], []
    for kind, inside in members.items():
        power, plan = measured.power_w @ inside, planned.predicted_power_w @ inside
        if kind == "row":
            power = np.where(np.isfinite(metered_w), metered_w, power)
        score = power / highest(plan) - 1.0
        if kind == "aisle":
            air, plan_air = measured.airflow_cfm @ inside, planned.predicted_airflow_cfm @ inside
            score = np.fmax(score, air / highest(plan_air) - 1.0)
        scores.append(score)
        tops.append((highest(plan), highest(power)))
    predicted, observed = (np.concatenate(parts)[None] for parts in zip(*tops, strict=True))
    return np.concatenate(scores, axis=1), (predicted, observed)


def highest(values: FloatArray) -> FloatArray:
    """``[place]`` maximum of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    top = np.where(known, values, -np.inf).max(axis=0)
    return np.asarray(np.where(known.any(axis=0), top, np.nan))


class _Sums:
    """Sums of the panel that was asked for last: two models need the same of each day."""

    def __init__(self, models: LearnedModels) -> None:
        m = models
        self._with = (m.inlet_temperature, m.gpu_power, m.server_power, m.airflow, m.vm_load)
        self._last: tuple[Panel, ServerSums] | None = None

    def of(self, panel: Panel) -> ServerSums:
        if self._last is None or self._last[0] is not panel:
            self._last = (panel, server_sums(panel, *self._with))
        return self._last[1]


def _known(artefact: Artefact[Any], panel: Panel) -> Iterator[tuple[str, Any]]:
    """Hardware of the site that the model knows."""
    return ((name, entry) for name, entry in artefact.entries.items() if name in panel.topology.hardware)


def _gpu_slots(panel: Panel) -> int:
    topology = panel.topology
    gpus = [topology.site.hardware[name].gpus for name in topology.hardware]
    return len(panel.t_s) * int(np.array(gpus)[topology.server_hardware].sum())


def _flat(values: NDArray[Any]) -> FloatArray:
    """``[t, s·g]``: a GPU is a place."""
    return np.asarray(values.reshape(len(values), -1), dtype=np.float64)
