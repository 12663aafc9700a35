"""Tracked biases of the running service: every fresh reading is compared with its model, sensor by sensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter

from tapas_opt.control.drift import DriftWatch
from tapas_opt.control.fleet import FleetVm, VmState
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.repeating import Repeating
from tapas_opt.control.residuals import Compared, compare
from tapas_opt.control.rises import Counted, Rises
from tapas_opt.control.telemetry import STALE_S
from tapas_opt.control.tracked import Tracked, untracked
from tapas_opt.domain.fields import STRICT, field_faults
from tapas_opt.domain.panel import DAY_S, SLOT_S
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import VmKind
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.artefact import Artefact
from tapas_opt.learn.bias import BiasSettings, BiasTracker
from tapas_opt.learn.models import LearnedModels

__all__ = ["LARGEST", "LOOK_EVERY_S", "LOWERS_FRAC", "Tracking"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FORMAT = "tapas-opt/tracking/1"

LOOK_EVERY_S = 30.0
"""Readings are compared at most so often, however many pushes they come in."""

LOST_FOR_S = 3600.0
"""So long after a state was lost, sensors not read yet count as widened even where none of their kind was ever read."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Of one model: what a bias may move, and how far what it predicts must move for a constant sensor to be stuck."""

    largest: float
    moved: float
    unit: str


LARGEST: Mapping[str, _Bounds] = {
    "inlet_temperature": _Bounds(5.0, 3.0, "°C"),
    "gpu_temperature": _Bounds(8.0, 10.0, "°C"),
    "gpu_memory_temperature": _Bounds(8.0, 10.0, "°C"),
    "server_power": _Bounds(0.05, 0.1, "of nameplate"),
    "airflow": _Bounds(0.1, 0.15, "of the most"),
}
"""A bias raises a bound by at most ``largest``, and a widening by as much again; power and airflow as parts of the most
that the server may draw or move."""

LOWERS_FRAC = 0.3
"""A bias lowers a bound by at most this part of ``largest``: a sensor that reads low costs a GPU, one that reads high
costs only room."""

SHOWN = 3
"""Sensors named in one warning; the others are counted."""


class _Sensors:
    """The sensors of one model."""

    def __init__(self, topology: Topology, artefact: Artefact[Any], bounds: _Bounds, *, lost: bool) -> None:
        self.name = artefact.name
        self.level = artefact.margin.level
        self.bounds = bounds
        self.lost = lost
        self.scale = _scale(artefact.name, topology)
        self.p95_error = artefact.errors.p95_error / float(self.scale.mean())
        self.there = topology.has_gpu if artefact.name.startswith("gpu") else np.ones(len(self.scale), dtype=bool)
        self.tracker = BiasTracker(_names(topology, self.there), _settings(self.p95_error, bounds))
        self.stuck: BoolArray = np.zeros(self.there.shape, dtype=bool)
        self.absurd: BoolArray = np.zeros(self.there.shape, dtype=bool)
        self._repeating = Repeating(self.there.shape, bounds.moved)
        self._taken_at_s = np.full(len(self.scale), -np.inf)

    def look(self, t_s: float, compared: Compared) -> None:
        """Take in what was read since the last look; what a stuck sensor says is not taken."""
        new = compared.read_at_s > self._taken_at_s
        self._taken_at_s = np.fmax(self._taken_at_s, compared.read_at_s)
        new, scale = self._each(new), self._each(self.scale)
        reading, central = compared.reading / scale, compared.central / scale
        self.stuck = self._repeating.note(t_s, np.where(new, reading, np.nan), central)
        self.absurd = np.where(new, compared.absurd, self.absurd)
        residual = np.where(new & ~self.stuck, compared.residual / scale, np.nan)
        self.tracker.update(t_s, residual[self.there])
        self.lost = self.lost and not np.isfinite(residual).any()

    def bias(self, t_s: float) -> FloatArray:
        """``[server]`` or ``[server, gpu]`` in the unit of the model, bounded on both sides."""
        least = -LOWERS_FRAC * self.bounds.largest
        return self._laid_out(np.clip(self.tracker.bias(t_s), least, self.bounds.largest))

    def widening(self, t_s: float) -> FloatArray:
        """``[server]`` or ``[server, gpu]`` in the unit of the model; 0 while no sensor of the model was ever read.

        A site need not have every sensor, and margins are calibrated on days of which nothing was read.
        """
        if not self.in_play:
            return self._laid_out(np.zeros(len(self.tracker.names)))
        return self._laid_out(self.tracker.widening(t_s, self.level))

    @property
    def in_play(self) -> bool:
        """Whether readings are to be expected."""
        return self.lost or bool(np.isfinite(self.tracker.read_at_s).any())

    def warnings(self, t_s: float) -> Iterator[str]:
        """Which sensors are stuck, and which margins are wider than learned."""
        names = self.tracker.names
        stuck, absurd = ([names[i] for i in np.flatnonzero(which[self.there])] for which in (self.stuck, self.absurd))
        if stuck:
            yield f"STUCK: {self.name} reads the same although it should have moved on {_some(stuck)}; not believed"
        if absurd:
            yield f"ABSURD: {self.name} is contradicted by other sensors on {_some(absurd)}; not believed"
        widened = int(self.tracker.is_widened(t_s).sum()) if self.in_play else 0
        if widened:
            (one,) = self.tracker.widened(t_s, most=1)
            yield f"WIDENED: {self.name} on {widened} of {len(names)} sensors, such as {one}"

    @property
    def disbelieved(self) -> BoolArray:
        """Whose readings are of no use now."""
        return np.asarray(self.stuck | self.absurd)

    def believed(self, t_s: float) -> BoolArray:
        """Whose readings are recent, and enough of them believed that its bias is known."""
        read = (t_s - self.tracker.read_at_s <= STALE_S) & ~self.tracker.is_widened(t_s)
        laid_out = np.zeros(self.there.shape, dtype=bool)
        laid_out[self.there] = read
        return laid_out & ~self.disbelieved

    def _each(self, of_server: NDArray[Any]) -> NDArray[Any]:
        return of_server if self.there.ndim == 1 else of_server[:, None]

    def _laid_out(self, of_sensor: FloatArray) -> FloatArray:
        out = np.zeros(self.there.shape)
        out[self.there] = of_sensor
        return np.asarray(out * self._each(self.scale))


@dataclass(frozen=True, slots=True)
class _State:
    """The file."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    format: Literal["tapas-opt/tracking/1"]
    models: str
    looked_at_s: Annotated[float, Field(allow_inf_nan=False)] | None
    drifting_since_s: Mapping[str, Annotated[float, Field(allow_inf_nan=False)]]
    trackers: Mapping[str, Mapping[str, Any]]
    rises: Mapping[str, Counted]


class Tracking:
    """Biases of all sensors of a site. Not thread-safe by itself: the controller holds a lock.

    Parameters
    ----------
    lost
        Why what was known is gone, if it is; then nothing counts as well known until it has been read again.
    """

    def __init__(self, topology: Topology, models: LearnedModels, lost: str = "") -> None:
        self._models = models
        self._lost = lost
        self._began_at_s: float | None = None
        self.looked_at_s: float | None = None
        self._drift = DriftWatch()
        self._told: tuple[tuple[float, float | None], tuple[str, ...]] | None = None
        self._use(topology)

    def _use(self, topology: Topology) -> None:
        self._topology = topology
        self._rises = Rises(topology)
        self._of = {
            name: _Sensors(topology, getattr(self._models, name), bounds, lost=bool(self._lost))
            for name, bounds in LARGEST.items()
        }

    def follow(self, topology: Topology) -> None:
        """The site has changed: sensors that are still there keep what is known of them."""
        if topology.site == self._topology.site:
            return
        before = {name: sensors.tracker for name, sensors in self._of.items()}
        self._use(topology)
        self._restore(before)

    def due(self, newest_s: float) -> bool:
        """Whether it is time to look: also when time has gone back, as it does when a day is replayed."""
        passed_s = LOOK_EVERY_S if self.looked_at_s is None else newest_s - self.looked_at_s
        return passed_s >= LOOK_EVERY_S or passed_s < -STALE_S

    def look(self, forecast: Forecast) -> None:
        """Compare what was read since the last look with what it should have been, at the forecast's time."""
        t_s = forecast.now_s
        if self.looked_at_s is not None and t_s < self.looked_at_s:
            self._use(self._topology)
        compared = compare(forecast, self._of["inlet_temperature"].bias(t_s))
        for name, sensors in self._of.items():
            sensors.look(t_s, compared[name])
            lately = t_s - sensors.tracker.read_at_s <= DAY_S
            self._drift.note(name, t_s, sensors.tracker.bias(t_s)[lately], sensors.p95_error)
        runs = [_runs(vms) for vms in forecast.fleet.occupants()]
        self._rises.note(t_s, compared["server_power"].reading, compared["airflow"].reading, runs)
        self.looked_at_s = t_s
        self._began_at_s = t_s if self._began_at_s is None else self._began_at_s
        if t_s - self._began_at_s > LOST_FOR_S:
            self._lost = ""
            for sensors in self._of.values():
                sensors.lost = False

    def now(self, t_s: float, *, lasting: bool) -> Tracked:
        """What to add to predictions at ``t_s``.

        ``lasting`` is for what stays for weeks: then a bias only raises bounds, since what reads low today may be back
        to what was learned tomorrow.
        """
        if not any(sensors.in_play for sensors in self._of.values()):
            return untracked(self._topology)

        def more(name: str) -> FloatArray:
            bias = self._of[name].bias(t_s)
            return (np.maximum(0.0, bias) if lasting else bias) + self._of[name].widening(t_s)

        return Tracked(
            inlet_c=more("inlet_temperature"),
            gpu_c=more("gpu_temperature"),
            gpu_memory_c=more("gpu_memory_temperature"),
            server_power_w=more("server_power"),
            airflow_cfm=more("airflow"),
            power_disbelieved=self._of["server_power"].disbelieved,
            airflow_disbelieved=self._of["airflow"].disbelieved,
            inlet_read=self._of["inlet_temperature"].believed(t_s),
            rise_frac=self._rises.margins(),
        )

    def warnings(self, t_s: float) -> tuple[str, ...]:
        """What a decision at ``t_s`` should tell of its margins; told anew at each look, and as telemetry ages."""
        moment = (t_s // LOOK_EVERY_S, self.looked_at_s)
        if self._told is None or self._told[0] != moment:
            lost = (f"TRACKING: {self._lost}; margins are wider until sensors have been read",) if self._lost else ()
            each = (text for sensors in self._of.values() for text in sensors.warnings(t_s))
            self._told = (moment, (*lost, *each))
        return self._told[1]

    def drifts(self, t_s: float) -> tuple[str, ...]:
        """Which models are off, by how much, where and since when; one sentence each."""
        return self._drift.alarms(t_s, {name: sensors.bounds.unit for name, sensors in self._of.items()})

    # Across restarts.

    def copy(self) -> Tracking:
        """A copy that may be written down while this one goes on."""
        other = Tracking(self._topology, self._models, self._lost)
        other.looked_at_s = self.looked_at_s
        other._drift = self._drift.copy()
        for name, sensors in self._of.items():
            other._of[name].tracker = sensors.tracker.of(sensors.tracker.names)
        other._rises.restore(self._rises.to_json())
        return other

    def to_json(self) -> dict[str, Any]:
        """What :meth:`restored` needs, as plain mappings; which sensors are stuck is found out anew."""
        return {
            "format": FORMAT,
            "models": self._models.fingerprint,
            "looked_at_s": self.looked_at_s,
            "drifting_since_s": dict(self._drift.since_s),
            "trackers": {name: sensors.tracker.to_json() for name, sensors in self._of.items()},
            "rises": self._rises.to_json(),
        }

    @classmethod
    def restored(cls, raw: object, topology: Topology, models: LearnedModels) -> Tracking:
        """Go on from what :meth:`to_json` gave; biases of other models are nothing to these, which begin anew.

        Raises
        ------
        InvalidInput
            Listing every fault.
        """
        state, faults = field_faults(TypeAdapter(_State), raw)
        if state is None or faults:
            raise InvalidInput("tracked biases", faults)
        tracking = cls(topology, models)
        if state.models != models.fingerprint:
            return tracking
        before = {name: BiasTracker.from_json(tracker) for name, tracker in state.trackers.items() if name in LARGEST}
        _check_times(before, state.looked_at_s)
        tracking._restore(before)
        tracking._rises.restore(state.rises)
        tracking.looked_at_s = state.looked_at_s
        tracking._drift = DriftWatch(dict(state.drifting_since_s))
        return tracking

    def _restore(self, before: Mapping[str, BiasTracker]) -> None:
        for name, tracker in before.items():
            mine = self._of[name].tracker
            if tracker.settings == mine.settings:
                self._of[name].tracker = tracker.of(mine.names)


def _check_times(trackers: Mapping[str, BiasTracker], looked_at_s: float | None) -> None:
    """Nothing was read after the last look: until that time had come, every new reading would count as old."""
    last = -np.inf if looked_at_s is None else looked_at_s
    faults = [
        Fault(f"trackers.{name}", f"has readings later than looked_at_s, {looked_at_s}")
        for name, tracker in trackers.items()
        if (tracker.read_at_s > last).any()
    ]
    if faults:
        raise InvalidInput("tracked biases", faults)


def _some(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _runs(vms: tuple[FleetVm, ...]) -> str:
    """What a server does that no decision of ours changes: opaque VMs by name, or nothing; else ``""``."""
    if not vms:
        return "(nothing)"
    opaque = all(placed.vm.kind is VmKind.IAAS and placed.state is VmState.RUNNING for placed in vms)
    return " ".join(sorted(placed.vm.name for placed in vms)) if opaque else ""


def _settings(p95_error: float, bounds: _Bounds) -> BiasSettings:
    """As much of a model's held-out error is taken to be bias, lasting for about a day, as noise around it.

    With two standard deviations at the 95th percentile both have (p95/2)²; then about thirty readings a minute apart
    make a bias known.
    """
    variance = max(p95_error / 2.0, 1e-6 * bounds.largest) ** 2
    return BiasSettings(
        process_var_per_s=2.0 * variance / DAY_S,
        measurement_var=variance,
        time_constant_s=float(DAY_S),
        step_s=float(SLOT_S),
        largest_bias=bounds.largest,
        largest_widening=bounds.largest,
        unit=bounds.unit,
    )


def _scale(model: str, topology: Topology) -> FloatArray:
    """``[server]`` what one unit of the tracker is in the unit of the model."""
    hardware = [topology.site.hardware[name] for name in topology.hardware]
    most = {"server_power": "max_power_w", "airflow": "max_airflow_cfm"}.get(model)
    each = [1.0 if most is None else float(getattr(item, most)) for item in hardware]
    return np.array(each)[topology.server_hardware]


def _names(topology: Topology, there: BoolArray) -> tuple[str, ...]:
    """Sensors by server, or by server and GPU: ``S1/0``."""
    if there.ndim == 1:
        return topology.servers
    return tuple(f"{topology.servers[s]}/{g}" for s, g in np.argwhere(there).tolist())
