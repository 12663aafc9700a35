"""Everything that was learned of one site, as the control layer asks for it. Needs numpy and JSON files only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import Fault, InvalidInput, NotFound
from tapas_opt.learn.artefact import Artefact, Kind, ModelErrors, read_artefact
from tapas_opt.learn.curve import Curve, Majorant, Surface, convex_majorant
from tapas_opt.learn.domain import DOMAIN_KINDS, MarginEntry, OverheadEntry, domain_key
from tapas_opt.learn.folder import in_use
from tapas_opt.learn.gpu_temperature import GpuEntry, GpuTemperatureModel
from tapas_opt.learn.inlet import InletEntry, InletModel
from tapas_opt.learn.instance import InstanceEntry, measured_profile
from tapas_opt.learn.load import LoadEntry, OwnLoadEntry
from tapas_opt.learn.servers import unseen_servers

__all__ = ["CEILING_STEP_W", "KINDS", "RISE_MINUTES", "LearnedModels"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_CurveT = TypeVar("_CurveT", Curve, Surface)

RISE_MINUTES = (5, 15)

NO_GPU_W = 1_000_000
"""Ceiling of a GPU that is not there: it limits nothing."""

CEILING_STEP_W = 10
"""Ceilings are floored to this, so that servers fall into few thermal classes."""

KINDS: dict[str, Kind[Any]] = {
    "inlet_temperature": Kind(InletEntry, "°C", features=("outdoor_c", "room_load_frac")),
    "gpu_temperature": Kind(GpuEntry, "°C"),
    "gpu_memory_temperature": Kind(GpuEntry, "°C"),
    "gpu_power": Kind(Curve, "W"),
    "server_power": Kind(Surface, "W"),
    "airflow": Kind(Surface, "CFM"),
    "vm_load": Kind(LoadEntry, "1", pooled=("all",)),
    "own_load": Kind(OwnLoadEntry, "1"),
    "instance_power": Kind(InstanceEntry, "W"),
    "row_overhead": Kind(OverheadEntry, "W", pooled=("all",)),
    "domain_margin": Kind(MarginEntry, "1", pooled=DOMAIN_KINDS),
}
"""Each model's file ``<name>.json`` and what it must hold."""


@dataclass(frozen=True)
class LearnedModels:
    """The models of one site, one artefact each.

    Upper values promise the margin's level: what a server-day's or GPU-day's maximum stays below on 99 % of days.
    """

    inlet_temperature: Artefact[InletEntry]
    gpu_temperature: Artefact[GpuEntry]
    gpu_memory_temperature: Artefact[GpuEntry]
    gpu_power: Artefact[Curve]
    server_power: Artefact[Surface]
    airflow: Artefact[Surface]
    vm_load: Artefact[LoadEntry]
    own_load: Artefact[OwnLoadEntry]
    instance_power: Artefact[InstanceEntry]
    row_overhead: Artefact[OverheadEntry]
    domain_margin: Artefact[MarginEntry]

    @classmethod
    def load(cls, folder: Path) -> LearnedModels:
        """Read the models of a folder.

        Raises
        ------
        InvalidInput
            Listing every fault of every file.
        """
        artefacts: dict[str, Artefact[Any]] = {}
        faults: list[Fault] = []
        files = in_use(folder)
        if not files.is_dir():
            raise InvalidInput.one(str(folder), "folder", "does not exist; run `tapas-opt fit`")
        if not any((files / f"{name}.json").exists() for name in KINDS):
            raise InvalidInput.one(str(folder), "folder", "holds no learned models; run `tapas-opt fit`")
        for name, kind in KINDS.items():
            try:
                artefacts[name] = read_artefact(files / f"{name}.json", name, kind)
            except InvalidInput as error:
                faults += [Fault(f"{name}.json: {fault.where}", fault.what) for fault in error.faults]
        faults = faults or _mixed(artefacts) + _uneven_days(artefacts["vm_load"])
        if faults:
            raise InvalidInput(str(folder), faults)
        return cls(**artefacts)

    def save(self, folder: Path) -> None:
        """Write one JSON file for each model; :meth:`load` gives an equal value back."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files().items():
            (folder / name).write_text(text, encoding="utf-8")

    def files(self) -> dict[str, str]:
        """Text of each file by its name."""
        return {f"{artefact.name}.json": artefact.text for artefact in self.artefacts()}

    def artefacts(self) -> Iterator[Artefact[Any]]:
        """All models, in the order of :data:`KINDS`."""
        return (getattr(self, item.name) for item in fields(self))

    @cached_property
    def fingerprint(self) -> str:
        """A hash over all artefacts; it names these models in every answer."""
        return hashlib.sha256("".join(a.fingerprint for a in self.artefacts()).encode()).hexdigest()[:16]

    def errors(self) -> dict[str, ModelErrors]:
        """How each model did on held-out days."""
        return {artefact.name: artefact.errors for artefact in self.artefacts()}

    # Which servers and hardware the models know.

    def check_covers(self, topology: Topology) -> tuple[str, ...]:
        """Servers that take their hardware's pooled model, with its wide margins, for want of one of their own.

        Raises
        ------
        InvalidInput
            Listing the hardware of which no server at all has been learned.
        """
        faults = [
            Fault(f"hardware.{name}", f"no {model} was learned of it; fit with history that has such a server")
            for name in sorted({topology.hardware[h] for h in topology.server_hardware})
            for model, learned in self._per_hardware()
            if name not in learned
        ]
        if faults:
            raise InvalidInput("learned models", faults)
        models = (self.inlet_temperature, self.gpu_temperature, self.gpu_memory_temperature)
        unseen = {name for artefact in models for name in unseen_servers(topology, artefact.entries)}
        return tuple(name for name in topology.servers if name in unseen)

    def extrapolated(self, outdoor_c: float, room_load_frac: ArrayLike) -> tuple[str, ...]:
        """Say which inputs lie outside the fitting days, one sentence each; margins are widened there."""
        inputs = {"outdoor_c": outdoor_c, "room_load_frac": room_load_frac}
        return tuple(
            f"EXTRAPOLATED: {name} {value:.4g} is outside {item.lowest:.4g}..{item.highest:.4g} of the fitting days"
            for name, values in inputs.items()
            for item in (self.inlet_temperature.feature(name),)
            for value in np.atleast_1d(np.asarray(values, dtype=np.float64))
            if not item.lowest <= value <= item.highest
        )

    # Temperature.

    def inlet_upper_c(
        self, topology: Topology, outdoor_c: float, room_load_frac: ArrayLike, supply_rise_c: ArrayLike
    ) -> FloatArray:
        """``[server]`` upper inlet temperature.

        Parameters
        ----------
        room_load_frac
            ``[room]`` IT power over the sum of the nameplates of the room's servers.
        supply_rise_c
            ``[room]`` how much warmer than learned the supply air is.
        """
        return self._inlet.upper_c(topology, outdoor_c, room_load_frac, supply_rise_c)

    def inlet_hotter_c(self, outdoor_c: float) -> float:
        """How much of :meth:`inlet_upper_c` is there because it is hotter outside than in any of the fitting days."""
        return float(self._inlet.hotter_c(outdoor_c))

    def inlet_margin_c(self, topology: Topology) -> FloatArray:
        """``[server]`` how much of :meth:`inlet_upper_c` is there for what a single server may be off by."""
        return self._inlet.margin_c(topology)

    def inlet_central_c(
        self, topology: Topology, outdoor_c: ArrayLike, room_load_frac: ArrayLike, supply_rise_c: ArrayLike
    ) -> FloatArray:
        """``[server]`` central inlet temperature for inputs ``[room]``, as :meth:`inlet_upper_c` without any margin."""
        number = self._inlet.numbers.on(topology)
        inputs = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (outdoor_c, room_load_frac)))
        outdoor, load = (values[topology.server_room] for values in inputs)
        rise = np.asarray(supply_rise_c, dtype=np.float64)[topology.server_room]
        return np.asarray(self._inlet.central_c(number, outdoor, load) + rise)

    def gpu_power_ceilings_w(
        self,
        topology: Topology,
        outdoor_c: float,
        room_load_frac: ArrayLike,
        supply_rise_c: ArrayLike,
        *,
        inlet_more_c: ArrayLike = 0.0,
        gpu_more_c: ArrayLike = 0.0,
        gpu_memory_more_c: ArrayLike = 0.0,
    ) -> IntArray:
        """``[server, gpu]`` power that the GPU may not exceed, in whole steps of :data:`CEILING_STEP_W`, at least 0.

        ``min over sensors of φ⁻¹((T_limit − more − margin − a·T_in − c) / b)`` at the upper inlet temperature;
        :data:`NO_GPU_W` beyond a server's last GPU.

        Parameters
        ----------
        inlet_more_c
            ``[server]`` by how much the inlet temperature is warmer than its upper value: tracked bias and widening.
        gpu_more_c, gpu_memory_more_c
            ``[server, gpu]`` the same of the sensors: they are taken off the limit.
        """
        inlet = self.inlet_upper_c(topology, outdoor_c, room_load_frac, supply_rise_c) + np.asarray(inlet_more_c)
        hardware = [topology.site.hardware[name] for name in topology.hardware]
        core = np.array([item.gpu_temperature_limit_c for item in hardware])[topology.server_hardware, None]
        memory = np.array([item.gpu_memory_temperature_limit_c for item in hardware])[topology.server_hardware, None]
        ceiling = np.minimum(
            self._gpu.ceilings_w(topology, inlet, core - np.asarray(gpu_more_c)),
            self._gpu_memory.ceilings_w(topology, inlet, memory - np.asarray(gpu_memory_more_c)),
        )
        stepped = np.floor(np.maximum(ceiling, 0.0) / CEILING_STEP_W) * CEILING_STEP_W
        return np.where(np.isnan(stepped), NO_GPU_W, stepped).astype(np.int64)

    def gpu_temperature_upper_c(self, topology: Topology, inlet_c: ArrayLike, gpu_power_w: ArrayLike) -> FloatArray:
        """``[server, gpu]`` upper core temperature at inlet ``[server]`` and power ``[server, gpu]`` or one for all."""
        return self._gpu.upper_c(topology, inlet_c, gpu_power_w)

    def gpu_temperature_central_c(self, topology: Topology, inlet_c: ArrayLike, gpu_power_w: ArrayLike) -> FloatArray:
        """``[server, gpu]`` central core temperature; NaN where a server has fewer GPUs."""
        return self._gpu.central_c(topology, inlet_c, gpu_power_w)

    def gpu_memory_temperature_central_c(
        self, topology: Topology, inlet_c: ArrayLike, gpu_power_w: ArrayLike
    ) -> FloatArray:
        """``[server, gpu]`` central memory temperature; NaN where a server has fewer GPUs."""
        return self._gpu_memory.central_c(topology, inlet_c, gpu_power_w)

    def gpu_memory_temperature_upper_c(
        self, topology: Topology, inlet_c: ArrayLike, gpu_power_w: ArrayLike
    ) -> FloatArray:
        """``[server, gpu]`` upper memory temperature, as :meth:`gpu_temperature_upper_c`."""
        return self._gpu_memory.upper_c(topology, inlet_c, gpu_power_w)

    # Power and air of a server.

    def gpu_power_w(self, hardware: str, load_frac: ArrayLike) -> FloatArray:
        """Central power of a GPU at each load."""
        return _known(self.gpu_power, hardware).at(load_frac)

    def server_power_w(self, hardware: str, gpu_power_w: ArrayLike, inlet_c: ArrayLike) -> FloatArray:
        """Central power of a server, fans included, at each mean GPU power and inlet temperature."""
        return _known(self.server_power, hardware).at(gpu_power_w, inlet_c)

    def airflow_cfm(self, hardware: str, gpu_power_w: ArrayLike, inlet_c: ArrayLike) -> FloatArray:
        """Central airflow of a server at each mean GPU power and inlet temperature."""
        return _known(self.airflow, hardware).at(gpu_power_w, inlet_c)

    def servers_power_w(
        self, hardware: str, gpu_power_w: FloatArray, kind: NDArray[np.int64], inlet_c: FloatArray
    ) -> FloatArray:
        """``[server, slot]`` as :meth:`server_power_w`, of ``[kind, slot]`` GPU power, and kind and inlet by server."""
        return _known(self.server_power, hardware).at_inlets(gpu_power_w, kind, inlet_c)

    def servers_airflow_cfm(
        self, hardware: str, gpu_power_w: FloatArray, kind: NDArray[np.int64], inlet_c: FloatArray
    ) -> FloatArray:
        """``[server, slot]`` as :meth:`airflow_cfm`, for many servers at once like :meth:`servers_power_w`."""
        return _known(self.airflow, hardware).at_inlets(gpu_power_w, kind, inlet_c)

    def idle_server_power_w(self, hardware: str, inlet_c: ArrayLike) -> FloatArray:
        """Power of a server that is on and runs no VM."""
        return self.server_power_w(hardware, _known(self.gpu_power, hardware).idle_power_w, inlet_c)

    def idle_airflow_cfm(self, hardware: str, inlet_c: ArrayLike) -> FloatArray:
        """Airflow of a server that is on and runs no VM."""
        return self.airflow_cfm(hardware, _known(self.gpu_power, hardware).idle_power_w, inlet_c)

    def server_power_majorant_w(self, hardware: str, gpu_power_points_w: ArrayLike, inlet_c: float) -> FloatArray:
        """Server power at each point of the convex majorant with corners there; see :func:`convex_majorant`."""
        return self.server_power_majorant(hardware, gpu_power_points_w, inlet_c).values

    def airflow_majorant_cfm(self, hardware: str, gpu_power_points_w: ArrayLike, inlet_c: float) -> FloatArray:
        """Airflow at each point of the convex majorant with corners there; see :func:`convex_majorant`."""
        return self.airflow_majorant(hardware, gpu_power_points_w, inlet_c).values

    def server_power_majorant(self, hardware: str, gpu_power_points_w: ArrayLike, inlet_c: float) -> Majorant:
        """As :meth:`server_power_majorant_w`, with its largest excess over the learned curve in W."""
        return _majorant(_known(self.server_power, hardware), gpu_power_points_w, inlet_c)

    def airflow_majorant(self, hardware: str, gpu_power_points_w: ArrayLike, inlet_c: float) -> Majorant:
        """As :meth:`airflow_majorant_cfm`, with its largest excess over the learned curve in CFM."""
        return _majorant(_known(self.airflow, hardware), gpu_power_points_w, inlet_c)

    # Load, and what sums of predictions leave out.

    def load_central_frac(self, template: str, vm: str | None = None) -> FloatArray:
        """``[168]`` central load by hour of the week: the VM's own, or else its template's, or else that of all."""
        own = self._own_load(template, vm)
        return self._load(template).central() if own is None else own.central(self._load(template))

    def load_upper_frac(self, template: str, vm: str | None = None, level: float = 0.95) -> FloatArray:
        """``[168]`` load that a share ``level`` (0.95 or 0.99) of readings stays below, of whom as the central one."""
        own = self._own_load(template, vm)
        return self._load(template).upper(level) if own is None else own.upper(self._load(template), level)

    def load_scenarios(self, template: str, vm: str | None = None) -> FloatArray:
        """``[day, 24]`` mean load of a template's VMs in each hour of recent days; the same days for all templates.

        An unknown template has those of all, and a VM with a load of its own lies as far from its template's as on
        average. Sums over templates on one day keep what loads have in common.
        """
        days, own = np.array(self._load(template).day_frac), self._own_load(template, vm)
        return days if own is None else np.clip(days + np.array(own.offset_frac), 0.0, 1.0)

    def has_own_load(self, template: str, vm: str) -> bool:
        """Whether the VM has a load of its own beside its template's."""
        return self._own_load(template, vm) is not None

    def measured_profile(self, profile: Profile) -> Profile:
        """The profile with measured powers where history has enough of them; see :func:`.instance.measured_profile`."""
        return measured_profile(profile, self.instance_power.entries)

    def row_overhead_w(self, row: str) -> float:
        """Upper power of a row beside its servers; an unknown row has the largest of all."""
        return self.row_overhead.entries.get(row, self.row_overhead.pooled["all"]).overhead_w

    def domain_margin_frac(self, kind: str, name: str) -> float:
        """Relative margin on the sum of central predictions of a rack, row, aisle, PDU or UPS.

        An unknown domain has the largest of its kind. An aisle's covers its power (heat) and its airflow.
        """
        if kind not in DOMAIN_KINDS:
            raise NotFound("kind of domain", kind, f"it is one of {', '.join(DOMAIN_KINDS)}")
        model = self.domain_margin
        return model.entries.get(domain_key(kind, name), model.pooled[kind]).margin_frac

    def domain_rise_frac(self, kind: str, name: str, minutes: int = 5) -> float:
        """How much a domain's draw may rise within 5 or 15 minutes without a decision of ours, as a part of it.

        An unknown domain has the largest of its kind. Where no rise was learned, the margin of
        :meth:`domain_margin_frac` stands in.
        """
        if minutes not in RISE_MINUTES:
            raise NotFound("rise within minutes", str(minutes), f"learned are {', '.join(map(str, RISE_MINUTES))}")
        margin = self.domain_margin_frac(kind, name)
        entry = self.domain_margin.entries.get(domain_key(kind, name), self.domain_margin.pooled[kind])
        rise = entry.rise_5min_frac if minutes == RISE_MINUTES[0] else entry.rise_15min_frac
        return margin if rise is None else rise

    @cached_property
    def _inlet(self) -> InletModel:
        return InletModel(self.inlet_temperature)

    @cached_property
    def _gpu(self) -> GpuTemperatureModel:
        return GpuTemperatureModel(self.gpu_temperature)

    @cached_property
    def _gpu_memory(self) -> GpuTemperatureModel:
        return GpuTemperatureModel(self.gpu_memory_temperature)

    def _load(self, template: str) -> LoadEntry:
        return self.vm_load.entries.get(template, self.vm_load.pooled["all"])

    def _own_load(self, template: str, vm: str | None) -> OwnLoadEntry | None:
        own = None if vm is None else self.own_load.entries.get(vm)
        return own if own is not None and own.template == template else None

    def _per_hardware(self) -> Iterator[tuple[str, Iterable[str]]]:
        """Each model that must know a server's hardware, and the hardware that it knows."""
        for temperature in (self.inlet_temperature, self.gpu_temperature, self.gpu_memory_temperature):
            yield temperature.name, temperature.pooled
        for curve in (self.gpu_power, self.server_power, self.airflow):
            yield curve.name, curve.entries


def _mixed(artefacts: Mapping[str, Artefact[Any]]) -> list[Fault]:
    """Models of different fits do not belong together: a set is exchanged as a whole."""
    fits = {(artefact.training.from_s, artefact.training.until_s) for artefact in artefacts.values()}
    what = f"come from {len(fits)} different fits; if models are being exchanged right now, try again, else fit again"
    return [Fault("training", what)] if len(fits) > 1 else []


def _uneven_days(vm_load: Artefact[LoadEntry]) -> list[Fault]:
    """Scenario days are the same for all templates, or nothing could be added up over them."""
    days = len(vm_load.pooled["all"].day_frac)
    return [
        Fault(f"vm_load.json: entries.{name}.day_frac", f"has {len(entry.day_frac)} days, that of all {days}")
        for name, entry in vm_load.entries.items()
        if len(entry.day_frac) != days
    ]


def _known(artefact: Artefact[_CurveT], hardware: str) -> _CurveT:
    if hardware not in artefact.entries:
        raise NotFound(f"{artefact.name} model of hardware", hardware, f"learned are {', '.join(artefact.entries)}")
    return artefact.entries[hardware]


def _majorant(surface: Surface, points_w: ArrayLike, inlet_c: float) -> Majorant:
    knots = np.unique(np.concatenate([surface.gpu_power_w, np.ravel(points_w)]))
    return convex_majorant(points_w, knots, surface.at(knots, inlet_c))
