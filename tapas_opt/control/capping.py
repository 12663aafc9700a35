"""Opaque VMs whose owners agreed to be slowed in an emergency: their clocks as choices of a reconfiguration.

What a VM draws is measured or predicted; how much less it draws at a lower clock is taken as little as physics allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.actuation import Actuation
from tapas_opt.control.fleet import FleetVm, VmState, clock_frac
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.profiles import choice_name
from tapas_opt.domain.workload import VmKind
from tapas_opt.reconfiguration.problem import Choices

__all__ = ["CLOCK", "CLOCKS", "Capped", "cappable", "capped"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CLOCK = "clock"
"""What stands for the configuration in a choice such as ``clock@0.7``."""

CLOCKS = (1.0, 0.85, 0.7, 0.55)
"""Relative to the highest clock. At about half of it voltage is at its least, and less clock frees little more."""

WATT_STEP, CFM_STEP = 100, 10
"""Draws are rounded up to these, so that VMs that draw about as much are interchangeable."""

POINTS = 64


def cappable(forecast: Forecast) -> list[FleetVm]:
    """Opaque VMs that may be slowed now: they agreed, they run on a server with power, and something has failed.

    Without a failure only those that are slowed still, so that they can be let go.
    """
    fleet, dark = forecast.fleet, forecast.effect.server_dark
    return [
        placed
        for placed in fleet.changeable()
        if placed.vm.kind is VmKind.IAAS
        and placed.state is VmState.RUNNING
        and not dark[fleet.server_number(placed.server)]
        and (forecast.failures or clock_frac(placed.choice) < 1.0)
    ]


@dataclass(frozen=True, slots=True)
class Capped:
    """The clocks of opaque VMs beside the choices of instances.

    Attributes
    ----------
    choices, delay_s, reload
        Those of the instances, with rows and columns more.
    row, current
        ``[vm]`` row of its tables, and present choice.
    """

    choices: Choices
    delay_s: FloatArray
    reload: NDArray[np.bool_]
    row: IntArray
    current: IntArray


def capped(
    forecast: Forecast,
    vms: Sequence[FleetVm],
    draw: tuple[FloatArray, FloatArray],
    actuation: Actuation,
    others: tuple[Choices, FloatArray, NDArray[np.bool_]],
) -> Capped:
    """Add the clocks of opaque VMs to the choices of instances.

    Parameters
    ----------
    draw
        ``[vm]`` watts and CFM that each draws beyond what its server draws idle, as in the base without it.
    others
        Choices, delays and reloads of the instances.
    """
    choices, delay, reload = others
    kinds, row = _kinds(forecast, vms, *draw)
    count = len(choices.names)
    current = np.array([count + CLOCKS.index(clock_frac(placed.choice)) for placed in vms], dtype=np.int64)
    curves = np.array([_curve(forecast, hardware, watts, cfm) for hardware, watts, cfm in kinds])
    return Capped(
        choices=_extended(choices, curves.reshape(len(kinds), 2, len(CLOCKS))),
        delay_s=_delays(delay, actuation),
        reload=np.pad(reload, (0, len(CLOCKS))),
        row=len(choices.power_w) + row,
        current=current,
    )


def _kinds(
    forecast: Forecast, vms: Sequence[FleetVm], power_w: FloatArray, airflow_cfm: FloatArray
) -> tuple[list[tuple[str, int, int]], IntArray]:
    """Hardware, watts and CFM at full clock of each kind, and ``[vm]`` the kind of each."""
    topology = forecast.fleet.topology
    known: dict[tuple[str, int, int], int] = {}
    row = np.empty(len(vms), dtype=np.int64)
    for i, placed in enumerate(vms):
        hardware = topology.hardware[topology.server_hardware[forecast.fleet.server_number(placed.server)]]
        at_once = clock_frac(placed.serving)
        watts, cfm = (max(0.0, float(value[i])) / at_once for value in (power_w, airflow_cfm))
        key = (hardware, WATT_STEP * int(np.ceil(watts / WATT_STEP)), CFM_STEP * int(np.ceil(cfm / CFM_STEP)))
        row[i] = known.setdefault(key, len(known))
    return list(known), row


def _curve(forecast: Forecast, hardware: str, watts: int, cfm: int) -> IntArray:
    """``[2, clock]`` watts and CFM: power above idle falls as the clock does, air as the learned curve says of that."""
    site = forecast.fleet.topology
    idle_w, most_w = forecast.idle_gpu_power_w(hardware), site.site.hardware[hardware].gpu_max_power_w
    grid = np.linspace(idle_w, most_w, POINTS)
    power, airflow = forecast.further_draw(hardware, grid, forecast.mean_inlet_c(hardware))
    full_w = float(np.interp(watts, power, grid))
    at_clock = np.interp(idle_w + np.array(CLOCKS) * (full_w - idle_w), grid, airflow)
    air_frac = at_clock / max(1.0, float(at_clock[0]))
    return np.stack([np.ceil(watts * np.array(CLOCKS)), np.ceil(cfm * np.minimum(1.0, air_frac))]).astype(np.int64)


def _extended(choices: Choices, curves: IntArray) -> Choices:
    """Tables ``[hardware, choice]`` with a row for each kind of VM and a column for each clock."""
    rows, (hardware, count) = len(curves), choices.power_w.shape

    def widened(table: IntArray, more: IntArray | None = None) -> IntArray:
        wide = np.pad(table, ((0, rows), (0, len(CLOCKS))))
        if more is not None:
            wide[hardware:, count:] = more
        return wide

    runs_on = np.pad(choices.runs_on, ((0, rows), (0, len(CLOCKS))))
    runs_on[hardware:, count:] = True
    loss = np.zeros(count + len(CLOCKS), dtype=np.int64)
    loss[count:] = np.ceil(1000 * (1.0 - np.array(CLOCKS)) - 1e-6)
    return replace(
        choices,
        names=(*choices.names, *(choice_name(CLOCK, clock) for clock in CLOCKS)),
        configuration=(*choices.configuration, *([CLOCK] * len(CLOCKS))),
        level=np.append(choices.level, CLOCKS),
        runs_on=runs_on,
        goodput_tokens_per_s=widened(choices.goodput_tokens_per_s),
        power_w=widened(choices.power_w, curves[:, 0]),
        airflow_cfm=widened(choices.airflow_cfm, curves[:, 1]),
        gpu_power_w=widened(choices.gpu_power_w),
        quality_loss_permille=np.pad(choices.quality_loss_permille, (0, len(CLOCKS))),
        performance_loss_permille=loss,
    )


def _delays(delay_s: FloatArray, actuation: Actuation) -> FloatArray:
    """Whatever changes, it goes out of band: the operator sees nothing inside."""
    count = len(delay_s)
    wide = np.full((count + len(CLOCKS),) * 2, actuation.publish_s + actuation.out_of_band_s)
    wide[:count, :count] = delay_s
    np.fill_diagonal(wide, 0.0)
    return wide
