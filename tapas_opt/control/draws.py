"""What servers draw: as predicted for any hour, now as far as it is measured, and in the coming hour."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.fleet import FleetVm
from tapas_opt.control.heat import Heat
from tapas_opt.control.loads import Loads
from tapas_opt.control.telemetry import FRESH_S

__all__ = ["NOBODY", "Draws"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

OFF_FRAC = 0.2
"""A server that draws less than this part of its idle power is off, or dark: no model speaks of it."""

NOBODY: frozenset[str] = frozenset()

MOST_UNMETERED_FRAC = 0.05
"""A row's meter may show so much of its budget above its servers and what was learned to be unmetered; beyond, one of
the meters is wrong."""


class Draws(Heat, Loads):
    """Power and airflow of servers in a forecast, with all their VMs or with some of them idle."""

    # As predicted.

    def server_draw(self, hours: IntArray, idle: frozenset[str] = NOBODY) -> tuple[FloatArray, FloatArray]:
        """``[server, slot]`` central power and airflow, each row's unmetered load spread over its servers.

        VMs named in ``idle`` are left out: their servers count as idle.
        """
        loads, kind = self._loads(idle) if idle else self._present_loads
        rows = [self._mean_gpu_power_w(hardware, vms, hours) for hardware, vms in loads]
        gpu_power = np.array(rows).reshape(len(rows), len(hours))
        return self._server_power_w(gpu_power, kind) + self._overhead_w, self._airflow_cfm(gpu_power, kind)

    def _mean_gpu_power_w(self, hardware: str, vms: tuple[FleetVm, ...], hours: IntArray) -> FloatArray:
        """``[slot]`` over all GPUs of a server with these VMs; those that nobody has are idle."""
        idle_w = self.idle_gpu_power_w(hardware)
        mean = np.full(len(hours), idle_w)
        for placed in vms:
            mean += self.gpus_frac(placed.vm, hardware) * (self.gpu_power_w(placed, hardware, hours) - idle_w)
        return mean

    @cached_property
    def _present_loads(self) -> tuple[list[tuple[str, tuple[FleetVm, ...]]], IntArray]:
        return self._loads(NOBODY)

    def _loads(self, idle: frozenset[str]) -> tuple[list[tuple[str, tuple[FleetVm, ...]]], IntArray]:
        """Each kind of load, as a hardware and VMs that stand for it, and ``[server]`` which kind each carries."""
        topology = self.fleet.topology
        hardware_of = [topology.hardware[h] for h in topology.server_hardware]
        loads: dict[tuple[object, ...], tuple[int, tuple[str, tuple[FleetVm, ...]]]] = {}
        kind = np.empty(len(topology.servers), dtype=np.int64)
        for s, vms in enumerate(self.fleet.occupants()):
            on = tuple(placed for placed in vms if placed.vm.name not in idle)
            key = (hardware_of[s], *(self._load_key(placed) for placed in on))
            kind[s] = loads.setdefault(key, (len(loads), (hardware_of[s], on)))[0]
        return [load for _, load in loads.values()], kind

    def _load_key(self, placed: FleetVm) -> tuple[object, ...]:
        """VMs of which this is the same are predicted to load servers of one hardware alike."""
        vm = placed.vm
        own = vm.name if self.models.has_own_load(vm.template, vm.name) else None
        runs = placed.serving if vm.endpoint is None else placed.choice
        return vm.kind, vm.template, own, runs or vm.configuration, vm.gpus

    def _server_power_w(self, gpu_power_w: FloatArray, kind: IntArray) -> FloatArray:
        power = np.empty((len(kind), gpu_power_w.shape[1]))
        for hardware, on in self.servers_by_hardware():
            power[on] = self.models.servers_power_w(hardware, gpu_power_w, kind[on], self.draw_inlet_c[on])
        return np.asarray(np.maximum(0.0, power + self.tracked.server_power_w[:, None]))

    def _airflow_cfm(self, gpu_power_w: FloatArray, kind: IntArray) -> FloatArray:
        airflow = np.empty((len(kind), gpu_power_w.shape[1]))
        for hardware, on in self.servers_by_hardware():
            airflow[on] = self.models.servers_airflow_cfm(hardware, gpu_power_w, kind[on], self.draw_inlet_c[on])
        return np.asarray(np.maximum(0.0, airflow + self.tracked.airflow_cfm[:, None]))

    @cached_property
    def _overhead_w(self) -> FloatArray:
        """``[server, 1]`` each server's part of what its row's meter shows above the sum of its servers."""
        topology = self.fleet.topology
        overhead = np.array([self.models.row_overhead_w(name) for name in topology.rows])
        servers = np.bincount(topology.server_row, minlength=len(topology.rows))
        return np.asarray((overhead / servers)[topology.server_row][:, None])

    # Now, and in the coming hour.

    def present_draw(self, idle: frozenset[str]) -> tuple[FloatArray, FloatArray]:
        """``[server, 1]`` what servers draw now: as measured where that is fresh, else as predicted for this hour.

        Servers of the VMs named in ``idle`` count as idle, measured or not. One that was off when it was read, with
        VMs on it, counts as predicted: once it has power again they draw within seconds.
        """
        power, airflow = (drawn[:, :1] for drawn in self._predicted(idle))
        watts, cfm = self._measured
        held = np.zeros(len(watts), dtype=bool)
        held[[self.fleet.server_number(self.fleet.vms[name].server) for name in idle]] = True
        held |= self._was_off
        no_watts = held | self.tracked.power_disbelieved
        no_cfm = held | self.tracked.airflow_disbelieved
        return (
            np.where(np.isnan(watts) | no_watts[:, None], power, watts),
            np.where(np.isnan(cfm) | no_cfm[:, None], airflow, cfm),
        )

    @cached_property
    def drawn_now(self) -> tuple[FloatArray, FloatArray]:
        """``[server, 1]`` what servers draw now with all their VMs."""
        return self.present_draw(NOBODY)

    def coming_draw(self, idle: frozenset[str]) -> tuple[FloatArray, FloatArray]:
        """``[server, 1]`` :meth:`present_draw`, and what is predicted of this hour and the next beyond this one.

        The higher of what is measured and what is predicted, server by server, adds up to more than either does: in a
        room of 80 servers to 5 to 7 % more.
        """
        more = (np.maximum(0.0, drawn[:, 1:] - drawn[:, :1]) for drawn in self._predicted(idle))
        power, airflow = (present + rise for present, rise in zip(self.present_draw(idle), more, strict=True))
        return power, airflow

    def _predicted(self, idle: frozenset[str]) -> tuple[FloatArray, FloatArray]:
        """``[server, 2]`` :meth:`server_draw` in this hour, and in the higher of this and the next."""
        if idle not in self._predictions:
            hours = np.array([[self.hour, self.hour], *self.next_hour()])
            self._predictions[idle] = self.server_draw(hours, idle)
        return self._predictions[idle]

    @cached_property
    def _predictions(self) -> dict[frozenset[str], tuple[FloatArray, FloatArray]]:
        return {}

    @cached_property
    def _measured(self) -> tuple[FloatArray, FloatArray]:
        """``[server, 1]`` power, its part of the row's unmetered load included, and airflow; NaN where not read."""
        servers = self.fleet.topology.servers
        watts = self._read_w[:, None] + self._present_overhead_w
        return watts, self.latest.values("airflow_cfm", servers, self.now_s)[:, None]

    @cached_property
    def _read_w(self) -> FloatArray:
        """``[server]`` power as last read, NaN where that is too long ago."""
        return self.latest.server_power_w(self.fleet.topology, self.now_s)

    def is_off(self, power_w: FloatArray) -> BoolArray:
        """``[server]`` whether a reading is far below what the server draws when idle; not where there is none."""
        topology = self.fleet.topology
        idle_w = np.array([topology.site.hardware[name].idle_power_w for name in topology.hardware])
        return np.asarray(power_w < OFF_FRAC * idle_w[topology.server_hardware])

    @cached_property
    def _was_off(self) -> BoolArray:
        """``[server]`` read as off, with VMs on it."""
        off = self.is_off(self._read_w)
        for s in np.flatnonzero(off).tolist():
            off[s] = bool(self.fleet.occupants()[s])
        return off

    @cached_property
    def _present_overhead_w(self) -> FloatArray:
        """``[server, 1]`` as :attr:`_overhead_w`; more where the row's meter shows more now, up to a bound."""
        topology = self.fleet.topology
        learned = np.array([self.models.row_overhead_w(name) for name in topology.rows])
        watts = self.latest.values("server_power_w", topology.servers, self.now_s, within_s=FRESH_S)
        servers = np.bincount(topology.server_row, minlength=len(topology.rows))
        summed = np.bincount(topology.server_row, weights=watts, minlength=len(topology.rows))
        shown = self.latest.values("row_power_w", topology.rows, self.now_s, within_s=FRESH_S) - summed
        most = learned + MOST_UNMETERED_FRAC * topology.row_budget_w
        overhead = np.where(np.isnan(shown), learned, np.clip(shown, learned, most))
        return np.asarray((overhead / servers)[topology.server_row][:, None])

    # What more a server draws.

    def further_draw(self, hardware: str, gpu_power_w: FloatArray, inlet_c: float) -> tuple[IntArray, IntArray]:
        """Watts and CFM beyond idle of a server whose GPUs draw ``gpu_power_w`` on average, rounded up."""
        points = np.concatenate([[self.idle_gpu_power_w(hardware)], gpu_power_w])
        power = self.models.server_power_w(hardware, points, inlet_c)
        airflow = self.models.airflow_cfm(hardware, points, inlet_c)
        watts, cfm = (np.ceil(np.maximum(0.0, values[1:] - values[0])) for values in (power, airflow))
        return watts.astype(np.int64), cfm.astype(np.int64)

    def further_draw_of_part(
        self, hardware: str, gpu_power_w: FloatArray, inlet_c: float, gpus_frac: float
    ) -> tuple[IntArray, IntArray]:
        """Watts and CFM that a server draws more if a part of its GPUs draws ``gpu_power_w``, whatever the others do.

        The mean rises by ``gpus_frac`` of what these rise by; the server at most as steeply as anywhere between idle
        and the highest power of its GPUs. Several parts, added up, are never short of the learned curve.
        """
        idle_w, most_w = self.idle_gpu_power_w(hardware), self.fleet.topology.site.hardware[hardware].gpu_max_power_w
        learned = (self.models.server_power, self.models.airflow)
        knots = [knot for model in learned for knot in model.entries[hardware].gpu_power_w if idle_w < knot < most_w]
        points = np.unique([idle_w, *knots, most_w])
        rise = np.maximum(0.0, gpu_power_w - idle_w) * gpus_frac
        power = self.models.server_power_w(hardware, points, inlet_c)
        airflow = self.models.airflow_cfm(hardware, points, inlet_c)
        watts, cfm = (
            np.ceil(rise * max(0.0, float((np.diff(values) / np.diff(points)).max()))) for values in (power, airflow)
        )
        return watts.astype(np.int64), cfm.astype(np.int64)
