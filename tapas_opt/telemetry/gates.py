"""Sensors that are not believed although they read what is physically possible: stuck, late, or denied by others.

Each sensor is held against what its peers usually read at the same state of what drives it (:mod:`relation`): a GPU's
temperature over its row's air against its server's GPU power, a row's meter against the sum of its servers. Of one
broken sensor all others know nothing, so that it is refused, named and does not mislead the fits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import Refused
from tapas_opt.domain.panel import Panel
from tapas_opt.domain.plausible import colder_than_its_air, median_of_present, weaker_than_its_parts
from tapas_opt.telemetry.panel import room_load_frac
from tapas_opt.telemetry.relation import LEAST_PEERS, Relation, Tolerance, late_sensors, refuse

__all__ = ["gate"]

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

INLET = Tolerance(off=1.5, still_span_frac=0.25, still_span=3.0)
GPU_POWER = Tolerance(off=0.08, relative=True, still_span_frac=0.25, still_span=50.0)
SERVER_POWER = Tolerance(off=0.06, relative=True, still_span_frac=0.25, still_span=50.0)
AIRFLOW = Tolerance(off=0.2, relative=True)
"""Fans may rest at their lowest speed while power moves: nothing is still because of that."""

GPU_TEMPERATURE = Tolerance(off=3.5, still_span_frac=0.25, still_span=50.0)
METER = Tolerance(off=0.05, relative=True, still_span_frac=0.1, still_span=5_000.0)
METER_MOST = 1.5
"""A row's switches and losses never draw half as much as its servers."""

LEAST_REPORTING_FRAC = 0.9
"""A meter is held against its servers while no more of them than this are silent."""

ALIKE_LOAD_FRAC, ALIKE_POWER_FRAC = 0.1, 0.3
"""GPUs of a server work alike within these: of others none says what one of them should read."""

SLOTS_AT_A_TIME = 288


def gate(panel: Panel) -> tuple[Refused, ...]:
    """Turn readings that nothing supports into NaN, in the panel's own arrays, and say whose and why.

    Quantities are judged in the order in which they are needed to judge others: clocks, inlets, GPU power, server
    power, airflow, GPU temperatures, row meters.
    """
    refused: list[Refused] = []
    refused += _clocks(panel)
    refused += _inlets(panel)
    row_inlet = _row_inlet_c(panel)
    refused += _gpu_power(panel)
    power = _middle(panel.gpu_power_w)
    refused += _server_power(panel, power)
    refused += refuse(_of_servers(panel, "airflow_cfm", panel.airflow_cfm, power, AIRFLOW))
    for column, values in (("temperature_c", panel.gpu_c), ("memory_temperature_c", panel.gpu_memory_c)):
        refused += _gpu_temperatures(panel, column, values, power, row_inlet)
    refused += _meters(panel)
    panel.room_load_frac[:] = room_load_frac(panel.server_power_w, panel.topology)
    return tuple(refused)


def _clocks(panel: Panel) -> Iterator[Refused]:
    """Servers whose power follows their VMs' load late: load is told by another clock. Without VMs nobody can tell."""
    power = _middle(panel.gpu_power_w)
    for s, slots, minutes in late_sensors(power, panel.vm_load_frac.astype(np.float32)):
        lost = int(np.isfinite(panel.server_power_w[slots, s]).sum())
        for values in (panel.inlet_c, panel.server_power_w, panel.airflow_cfm):
            values[slots, s] = np.nan
        for of_gpus in (panel.load_frac, panel.gpu_power_w, panel.gpu_c, panel.gpu_memory_c):
            of_gpus[slots, s] = np.nan
        reason = f"the clock of all its sensors is {minutes:.0f} min behind its VMs' load"
        yield Refused("servers", "t_s", panel.topology.servers[s], lost, reason)


def _inlets(panel: Panel) -> Iterator[Refused]:
    """Each against the middle of its row."""
    others = _row_inlet_c(panel)
    yield from refuse(_of_servers(panel, "inlet_c", panel.inlet_c, others, INLET))


def _gpu_power(panel: Panel) -> Iterator[Refused]:
    """Each against the middle of its server's, while all of them say that they work alike."""
    middle, load = _middle(panel.gpu_power_w), _middle(panel.load_frac)
    for g in range(panel.gpu_power_w.shape[2]):
        driver = np.where(np.abs(panel.load_frac[:, :, g] - load) <= ALIKE_LOAD_FRAC * load, middle, np.float32(np.nan))
        yield from refuse(_of_gpus(panel, "power_w", panel.gpu_power_w, g, driver, GPU_POWER))


def _server_power(panel: Panel, power: Float32Array) -> Iterator[Refused]:
    """Never less than its GPUs, and as much as other servers at their power."""
    parts = panel.gpu_power_w.sum(axis=2, dtype=np.float64)
    weak = weaker_than_its_parts(panel.server_power_w, parts)
    reason = "less than the server's GPUs draw"
    yield from _taken_out("servers", "power_w", panel.server_power_w, weak, panel.topology.servers, reason)
    yield from refuse(_of_servers(panel, "power_w", panel.server_power_w, power, SERVER_POWER))


def _gpu_temperatures(
    panel: Panel, column: str, values: Float32Array, power: Float32Array, row_inlet: Float32Array
) -> Iterator[Refused]:
    """Never below the air, and as far above it as other GPUs in the same place, while its server's work alike."""
    for g in range(values.shape[2]):
        cold = colder_than_its_air(values[:, :, g], row_inlet)
        names = [f"{server}/{g}" for server in panel.topology.servers]
        yield from _taken_out("gpus", column, values[:, :, g], cold, names, "colder than the air at its inlet")
        unlike = np.abs(panel.gpu_power_w[:, :, g] - power) > ALIKE_POWER_FRAC * power
        driver = np.where(unlike, np.float32(np.nan), power)
        yield from refuse(_of_gpus(panel, column, values, g, driver, GPU_TEMPERATURE, row_inlet))


def _meters(panel: Panel) -> Iterator[Refused]:
    """Never below the sum of its servers, never far above, and always about as much above as usual."""
    inside = (panel.topology.server_row[:, None] == np.arange(len(panel.topology.rows))).astype(np.float64)
    known = np.isfinite(panel.server_power_w)
    reporting = known @ inside / np.maximum(inside.sum(axis=0), 1.0)
    total = np.where(known, panel.server_power_w, 0.0) @ inside
    whole = np.where(reporting >= LEAST_REPORTING_FRAC, total / np.maximum(reporting, LEAST_REPORTING_FRAC), np.nan)
    rows = panel.topology.rows
    below = weaker_than_its_parts(panel.meter_w, total)
    yield from _taken_out("rows", "meter_power_w", panel.meter_w, below, rows, "less than the row's servers draw")
    above = panel.meter_w > METER_MOST * whole
    reason = f"more than {METER_MOST:g} times what the row's servers draw"
    yield from _taken_out("rows", "meter_power_w", panel.meter_w, above, rows, reason)
    group = np.zeros(len(rows), dtype=np.int64)
    driver = whole.astype(np.float32)
    yield from refuse(Relation("rows", "meter_power_w", rows, panel.meter_w, driver, None, group, panel.day, METER))


def _taken_out(
    table: str,
    column: str,
    values: NDArray[np.floating],
    wrong: BoolArray,
    names: tuple[str, ...] | list[str],
    reason: str,
) -> Iterator[Refused]:
    values[wrong] = np.nan
    count = wrong.sum(axis=0)
    for k in np.flatnonzero(count).tolist():
        yield Refused(table, column, names[k], int(count[k]), reason)


def _of_servers(panel: Panel, column: str, values: FloatArray, driver: Float32Array, tolerance: Tolerance) -> Relation:
    hardware = panel.topology.server_hardware
    return Relation("servers", column, panel.topology.servers, values, driver, None, hardware, panel.day, tolerance)


def _of_gpus(
    panel: Panel,
    column: str,
    values: Float32Array,
    g: int,
    driver: Float32Array,
    tolerance: Tolerance,
    base: Float32Array | None = None,
) -> Relation:
    """Those at place ``g`` of every server: the air reaches them in the same order."""
    names = [f"{server}/{g}" for server in panel.topology.servers]
    hardware = panel.topology.server_hardware
    return Relation("gpus", column, names, values[:, :, g], driver, base, hardware, panel.day, tolerance)


def _row_inlet_c(panel: Panel) -> Float32Array:
    """``[t, s]`` middle inlet temperature of each server's row.

    Of all servers where the row has too few to say which one is wrong; 0 where nobody has one.
    """
    anyone = np.nan_to_num(median_of_present(panel.inlet_c, 1))
    middle = np.repeat(anyone[:, None], len(panel.topology.servers), axis=1).astype(np.float32)
    for r in range(len(panel.topology.rows)):
        of = np.flatnonzero(panel.topology.server_row == r)
        if of.size >= LEAST_PEERS:
            own = median_of_present(panel.inlet_c[:, of], 1)
            middle[:, of] = np.where(np.isfinite(own), own, anyone)[:, None]
    return middle


def _middle(values: Float32Array) -> Float32Array:
    """``[t, s]`` median over each server's GPUs, that one bad sensor does not move."""
    middle = np.empty(values.shape[:2], dtype=np.float32)
    for first in range(0, len(middle), SLOTS_AT_A_TIME):
        part = slice(first, first + SLOTS_AT_A_TIME)
        middle[part] = median_of_present(values[part], 2)
    return middle
