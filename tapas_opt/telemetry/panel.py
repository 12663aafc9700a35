"""The tables of a history laid out as a panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import DAY_S, NO_VM, SLOT_S, Panel
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["panel_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def panel_of(tables: Mapping[str, pd.DataFrame], topology: Topology) -> Panel:
    """Lay the tables of a history out over the slots between its first and its last reading.

    Servers that the site no longer has are left out.

    Raises
    ------
    InvalidInput
        If no server of the history is one of the site's.
    """
    grid = _Grid.of(tables)
    servers, gpus = tables["servers"], tables["gpus"]
    if not set(servers["server"].unique()) & set(topology.servers):
        raise InvalidInput.one("history", "servers.server", f"none is of site {topology.site.name!r}; give its --site")
    at, s = grid.rows(servers, "server", topology.servers)
    at_gpu, s_gpu = grid.rows(gpus, "server", topology.servers)
    width = max(topology.site.hardware[name].gpus for name in topology.hardware)
    per_server, per_gpu = (grid.slots, len(topology.servers)), (grid.slots, len(topology.servers), width)
    g = gpus["gpu"].to_numpy()
    in_server = np.where(g < width, s_gpu, -1)

    def of_servers(column: str) -> FloatArray:
        return _dense(per_server, servers[column], at, s)

    def of_gpus(column: str) -> NDArray[np.float32]:
        return _dense(per_gpu, gpus[column], at_gpu, in_server, g).astype(np.float32)

    t_s = grid.first_s + SLOT_S * np.arange(grid.slots, dtype=np.float64)
    power = of_servers("power_w")
    templates, vm_template, vm_load = _vms(grid, tables["vms"], topology)
    vms, vm = _vm_names(grid, tables["vms"], topology)
    configurations, vm_configuration = _configurations(grid, tables["vms"], topology)
    return Panel(
        topology=topology,
        t_s=t_s,
        day=np.asarray((t_s - grid.first_s) // DAY_S, dtype=np.int64),
        outdoor_c=_by_name(grid, tables["rooms"], "room", topology.rooms, "outdoor_c"),
        inlet_c=of_servers("inlet_c"),
        server_power_w=power,
        airflow_cfm=of_servers("airflow_cfm"),
        load_frac=of_gpus("load_frac"),
        gpu_power_w=of_gpus("power_w"),
        gpu_c=of_gpus("temperature_c"),
        gpu_memory_c=of_gpus("memory_temperature_c"),
        meter_w=_by_name(grid, tables["rows"], "row", topology.rows, "meter_power_w"),
        vms=vms,
        vm=vm,
        templates=templates,
        vm_template=vm_template,
        vm_load_frac=vm_load,
        configurations=configurations,
        vm_configuration=vm_configuration,
        room_load_frac=_room_load(power, topology),
    )


@dataclass(frozen=True)
class _Grid:
    """Slots from the first reading to the last."""

    first_s: int
    slots: int

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame]) -> _Grid:
        t = tables["servers"]["t_s"].to_numpy()
        if not t.size:
            raise InvalidInput.one("history", "servers", "holds no reading")
        first = int(t.min() // SLOT_S)
        return cls(first * SLOT_S, int(t.max() // SLOT_S) - first + 1)

    def rows(self, frame: pd.DataFrame, column: str, names: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Slot and number of the name of each row; −1 where it lies outside the grid or has an unknown name."""
        slot = (frame["t_s"].to_numpy() - self.first_s) // SLOT_S
        slot = np.where((slot >= 0) & (slot < self.slots), slot, -1).astype(np.int64)
        return slot, _numbers(frame[column], names)


def _numbers(column: pd.Series[str], names: Sequence[str]) -> IntArray:
    category = column.astype("category").cat
    place = {name: i for i, name in enumerate(names)}
    by_code = np.array([place.get(name, -1) for name in category.categories] + [-1], dtype=np.int64)
    return np.asarray(by_code[category.codes.to_numpy()])


def _dense(shape: tuple[int, ...], values: pd.Series[float], *index: IntArray) -> FloatArray:
    """Readings at their places; the rest is NaN."""
    out = np.full(shape, np.nan)
    known = np.all([i >= 0 for i in index], axis=0)
    out[tuple(i[known] for i in index)] = values.to_numpy()[known]
    return out


def _by_name(grid: _Grid, frame: pd.DataFrame, key: str, names: Sequence[str], column: str) -> FloatArray:
    return _dense((grid.slots, len(names)), frame[column], *grid.rows(frame, key, names))


def _vms(grid: _Grid, vms: pd.DataFrame, topology: Topology) -> tuple[tuple[str, ...], IntArray, FloatArray]:
    """Templates that occur, and which one each server runs when, at which load."""
    template = vms["template"].astype("category").cat
    templates = tuple(str(name) for name in template.categories)
    shape = (grid.slots, len(topology.servers))
    at, s = grid.rows(vms, "server", topology.servers)
    code = np.full(shape, NO_VM, dtype=np.int64)
    known = (at >= 0) & (s >= 0)
    code[at[known], s[known]] = template.codes.to_numpy()[known]
    return templates, code, _dense(shape, vms["load_frac"], at, s)


def _vm_names(grid: _Grid, vms: pd.DataFrame, topology: Topology) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """VMs that occur, and which one each server runs when."""
    name = vms["vm"].astype("category").cat
    number = np.full((grid.slots, len(topology.servers)), NO_VM, dtype=np.int32)
    at, s = grid.rows(vms, "server", topology.servers)
    known = (at >= 0) & (s >= 0)
    number[at[known], s[known]] = name.codes.to_numpy()[known]
    return tuple(str(vm) for vm in name.categories), number


def _configurations(grid: _Grid, vms: pd.DataFrame, topology: Topology) -> tuple[tuple[str, ...], IntArray]:
    """Configurations that occur, where the history states them, and which one each server's VM runs when."""
    code = np.full((grid.slots, len(topology.servers)), NO_VM, dtype=np.int64)
    if "configuration" not in vms:
        return (), code
    stated = vms["configuration"].astype("category").cat
    at, s = grid.rows(vms, "server", topology.servers)
    known = (at >= 0) & (s >= 0)
    code[at[known], s[known]] = stated.codes.to_numpy()[known]
    return tuple(str(name) for name in stated.categories), code


def _room_load(power_w: FloatArray, topology: Topology) -> FloatArray:
    """Σ power / Σ nameplate over a room's servers that reported; NaN when fewer than half of them did."""
    nameplate = np.array([topology.site.hardware[name].max_power_w for name in topology.hardware])
    of_server = nameplate[topology.server_hardware]
    inside = (topology.server_room[:, None] == np.arange(len(topology.rooms))).astype(np.float64)
    present = np.isfinite(power_w)
    watts = np.where(present, power_w, 0.0) @ inside
    reporting = (present * of_server) @ inside
    return np.asarray(np.where(reporting >= 0.5 * (of_server @ inside), watts / np.maximum(reporting, 1.0), np.nan))
