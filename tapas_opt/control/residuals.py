"""Readings less what the models predict under the conditions measured at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.fleet import FleetVm
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.telemetry import FRESH_S
from tapas_opt.domain.plausible import colder_than_its_air, weaker_than_its_parts
from tapas_opt.domain.topology import Topology
from tapas_opt.learn.models import LearnedModels

__all__ = ["Compared", "compare"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ENOUGH_FRAC = 0.9
"""So many of a room's servers must have been read for the room's load to be known."""

HALVINGS = 24
"""Of a GPU's power range, until the power that a server's meter implies is found to less than a milliwatt."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Readings of one model's sensors beside its central predictions; NaN where one of both is missing.

    Attributes
    ----------
    reading, central
        ``[server]`` or ``[server, gpu]``, in the unit of the model.
    read_at_s
        ``[server]`` when; NaN for never.
    absurd
        Shape of ``reading``: readings that others contradict. A chip is no colder than its air, and a server draws no
        less than its GPUs.
    """

    reading: FloatArray
    central: FloatArray
    read_at_s: FloatArray
    absurd: BoolArray

    @property
    def residual(self) -> FloatArray:
        """Reading less central prediction; NaN where one is missing or the reading is absurd."""
        return np.asarray(np.where(self.absurd, np.nan, self.reading - self.central))


def compare(forecast: Forecast, biased_inlet_c: FloatArray) -> Mapping[str, Compared]:
    """By model: what was read, and what was to be expected.

    Parameters
    ----------
    forecast
        At the time of the readings.
    biased_inlet_c
        ``[server]`` tracked bias of the inlet temperature, for servers whose inlet sensor says nothing.

    Notes
    -----
    The inlet is expected from weather and room load; what a server draws, and its air, from its GPUs' power, which is
    known where it is measured and where the server runs nothing; GPUs from inlet and their power. Where that was not
    measured it is what the server's meter implies, and then only the hottest GPU is spoken of.
    """
    return _Moment(forecast, biased_inlet_c).compared()


@dataclass(frozen=True)
class _Moment:
    """What was measured at one moment, and what follows from it."""

    forecast: Forecast
    biased_inlet_c: FloatArray

    def compared(self) -> Mapping[str, Compared]:
        models, topology = self._models, self._topology
        memory = models.gpu_memory_temperature_central_c(topology, self._inlet_c, self._gpu_power_w)
        expected = {
            "inlet_temperature": ("inlet_c", self._of_servers("inlet_c"), self._expected_inlet_c),
            "gpu_temperature": ("gpu_temperature_c", *self._gpus()),
            "gpu_memory_temperature": (
                "gpu_memory_temperature_c",
                self._of_gpus("gpu_memory_temperature_c"),
                np.where(self._off[:, None], np.nan, memory),
            ),
            "server_power": ("server_power_w", self._server_power_w, self._from_gpus(models.server_power_w)),
            "airflow": ("airflow_cfm", self._of_servers("airflow_cfm"), self._from_gpus(models.airflow_cfm)),
        }
        return {
            model: Compared(reading, central, self._read_at_s(quantity), self._absurd(model, reading))
            for model, (quantity, reading, central) in expected.items()
        }

    def _absurd(self, model: str, reading: FloatArray) -> BoolArray:
        """Of the shape of the readings: which of them others contradict."""
        if model in ("gpu_temperature", "gpu_memory_temperature"):
            return colder_than_its_air(reading, self._of_servers("inlet_c")[:, None])
        if model == "server_power":
            return weaker_than_its_parts(reading, np.nansum(self._gpu_power_w, axis=1))
        return np.zeros(reading.shape, dtype=bool)

    def _read_at_s(self, quantity: str) -> FloatArray:
        """``[server]`` when the quantity was read; of GPUs, the hottest one's reading counts too."""
        latest, servers = self.forecast.latest, self._topology.servers
        read_at_s = latest.read_at_s(quantity, servers)
        if quantity != "gpu_temperature_c":
            return read_at_s
        return np.asarray(np.fmax(read_at_s, latest.read_at_s("hottest_gpu_c", servers)))

    def _gpus(self) -> tuple[FloatArray, FloatArray]:
        """Reading and central prediction of each GPU.

        Where none of a server's GPUs can be judged by itself, its hottest one is, and speaks for all of them.
        """
        models, topology = self._models, self._topology
        reading, power = self._of_gpus("gpu_temperature_c"), self._gpu_power_w
        central = models.gpu_temperature_central_c(topology, self._inlet_c, power)
        hottest = np.fmax(self._of_servers("hottest_gpu_c"), largest_present(reading))
        expected, unread = largest_present(central), np.asarray(np.isnan(power).all(axis=1))
        if unread.any():
            implied = self._implied_gpu_power_w(unread)[:, None]
            hottest_of = largest_present(models.gpu_temperature_central_c(topology, self._inlet_c, implied))
            expected = np.fmax(expected, hottest_of)
        judged = np.isfinite(reading) & np.isfinite(central)
        by_hottest = ~judged.any(axis=1, keepdims=True) & topology.has_gpu
        reading = np.where(by_hottest, hottest[:, None], reading)
        central = np.where(by_hottest, expected[:, None], central)
        return reading, np.where(self._off[:, None], np.nan, central)

    def _from_gpus(self, model: Callable[[str, FloatArray, FloatArray], FloatArray]) -> FloatArray:
        """``[server]`` by a model of mean GPU power and inlet; NaN where one of them is not known."""
        expected = np.full(len(self._topology.servers), np.nan)
        for hardware, on in self.forecast.servers_by_hardware():
            expected[on] = model(hardware, self._mean_gpu_power_w[on], self._inlet_c[on])
        return np.where(self._off, np.nan, expected)

    # Conditions.

    @cached_property
    def _expected_inlet_c(self) -> FloatArray:
        """``[server]`` NaN in a room without a reading of its load; the weather is the same for all rooms."""
        forecast, topology = self.forecast, self._topology
        outdoor = forecast.latest.values("outdoor_c", topology.rooms, forecast.now_s)
        outdoor = np.where(np.isnan(outdoor), largest_present(outdoor), outdoor)
        power, room = self._server_power_w, topology.server_room
        known, rooms = np.isfinite(power), len(topology.rooms)
        drawn = np.bincount(room[known], weights=power[known], minlength=rooms)
        built = np.bincount(room[known], weights=forecast.nameplate_w[known], minlength=rooms)
        enough = np.bincount(room[known], minlength=rooms) >= ENOUGH_FRAC * np.bincount(room, minlength=rooms)
        load = np.divide(drawn, built, out=np.full(rooms, np.nan), where=enough & (built > 0))
        return self._models.inlet_central_c(topology, outdoor, load, forecast.effect.supply_rise_c)

    @cached_property
    def _inlet_c(self) -> FloatArray:
        """``[server]`` measured; where it is not, expected and biased."""
        measured = self._of_servers("inlet_c")
        return np.where(np.isnan(measured), self._expected_inlet_c + self.biased_inlet_c, measured)

    @cached_property
    def _server_power_w(self) -> FloatArray:
        return self._of_servers("server_power_w")

    @cached_property
    def _gpu_power_w(self) -> FloatArray:
        return self._of_gpus("gpu_power_w")

    @cached_property
    def _mean_gpu_power_w(self) -> FloatArray:
        """``[server]`` of all its GPUs where each was measured, idle power where it runs nothing; else NaN."""
        topology = self._topology
        idle = np.full(len(topology.servers), np.nan)
        for hardware, on in self.forecast.servers_by_hardware():
            idle[on] = self.forecast.idle_gpu_power_w(hardware)
        empty = np.array([not vms for vms in self.forecast.fleet.occupants()])
        power = self._gpu_power_w
        gpus = topology.server_gpus
        complete = np.isfinite(power).sum(axis=1) == gpus
        return np.where(complete, np.nansum(power, axis=1) / gpus, np.where(empty, idle, np.nan))

    def _implied_gpu_power_w(self, unread: BoolArray) -> FloatArray:
        """``[server]`` of the hottest GPU, where no GPU was read, as the server's meter implies it.

        That is the learned curve, read backwards.

        An instance may use some GPUs more than others: its profile says how mean and hottest go together. Of a server
        of which VMs have parts, the meter does not tell.
        """
        implied = np.full(len(self._topology.servers), np.nan)
        for hardware, servers in self.forecast.servers_by_hardware():
            on = servers[unread[servers]]
            most_w = self._topology.site.hardware[hardware].gpu_max_power_w
            low, high = np.zeros(len(on)), np.full(len(on), most_w)
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                below = self._models.server_power_w(hardware, middle, self._inlet_c[on]) < self._server_power_w[on]
                low, high = np.where(below, middle, low), np.where(below, high, middle)
            implied[on] = high
        implied[np.isnan(self._server_power_w + self._inlet_c)] = np.nan
        for s, vms in enumerate(self.forecast.fleet.occupants()):
            if any(placed.gpus for placed in vms):
                implied[s] = np.nan
            elif vms and np.isfinite(implied[s]):
                implied[s] = self._hottest_w(vms[0], self._topology.server_hardware[s], implied[s])
        return implied

    def _hottest_w(self, placed: FleetVm, hardware: int, mean_w: float) -> float:
        profile, _ = self.forecast.serving(placed, self._topology.hardware[hardware])
        if profile is None:
            return mean_w
        return max(mean_w, float(np.interp(mean_w, profile.gpu_power_w, profile.hottest_gpu_power_w)))

    @cached_property
    def _off(self) -> BoolArray:
        """``[server]`` dark, or measured far below what it draws when idle."""
        return self.forecast.effect.server_dark | self.forecast.is_off(self._server_power_w)

    def _of_servers(self, quantity: str) -> FloatArray:
        return self.forecast.latest.values(quantity, self._topology.servers, self.forecast.now_s, within_s=FRESH_S)

    def _of_gpus(self, quantity: str) -> FloatArray:
        return self.forecast.latest.per_gpu(quantity, self._topology, self.forecast.now_s, within_s=FRESH_S)

    @property
    def _models(self) -> LearnedModels:
        return self.forecast.models

    @property
    def _topology(self) -> Topology:
        return self.forecast.fleet.topology


def largest_present(values: FloatArray) -> FloatArray:
    """Largest of the last axis that is not NaN; NaN where nothing is."""
    largest = np.where(np.isnan(values), -np.inf, values).max(axis=-1)
    return np.asarray(np.where(np.isinf(largest), np.nan, largest))
