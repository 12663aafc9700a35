"""Power and airflow of each server, measured and as planning expects them, and the domains that add them up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE, effect_of
from tapas_opt.domain.panel import DAY_S, NO_VM, SLOT_S, Panel
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.learn.artefact import Artefact
from tapas_opt.learn.curve import Curve, Surface
from tapas_opt.learn.inlet import InletEntry, InletModel
from tapas_opt.learn.load import LoadEntry, hour_of_week
from tapas_opt.learn.servers import entry_numbers

__all__ = ["ServerSums", "domain_members", "domain_names", "server_sums"]

FloatArray = NDArray[np.float64]

SLOTS_AT_A_TIME = DAY_S // SLOT_S
"""What is computed at once: a month of a large site does not fit in memory several times over."""


@dataclass(frozen=True)
class ServerSums:
    """Power and airflow of each server ``[t, s]``: measured (or the best guess at it), and predicted from templates."""

    power_w: FloatArray
    airflow_cfm: FloatArray
    predicted_power_w: FloatArray
    predicted_airflow_cfm: FloatArray


def server_sums(
    panel: Panel,
    inlet: Artefact[InletEntry],
    gpu_power: Artefact[Curve],
    server_power: Artefact[Surface],
    airflow: Artefact[Surface],
    vm_load: Artefact[LoadEntry],
) -> ServerSums:
    """Follow the chain that planning uses: template's load → GPU power → server power and airflow at the inlet.

    A server's missing reading is replaced by what its GPUs' power says, and without that by its prediction.
    """
    inlet_c = _inlet_c(panel, inlet)
    planned = _planned_gpu_power_w(panel, gpu_power, vm_load)
    measured = _first_known(panel.server_gpu_power_w, planned)
    unknown = np.full(planned.shape, np.nan)
    return ServerSums(
        power_w=_filled(panel, panel.server_power_w, server_power, measured, inlet_c),
        airflow_cfm=_filled(panel, panel.airflow_cfm, airflow, measured, inlet_c),
        predicted_power_w=_filled(panel, unknown, server_power, planned, inlet_c),
        predicted_airflow_cfm=_filled(panel, unknown, airflow, planned, inlet_c),
    )


def domain_names(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Names of the domains of each kind."""
    return {
        "rack": topology.racks,
        "row": topology.rows,
        "aisle": topology.aisles,
        "pdu": topology.pdus,
        "ups": topology.upses,
    }


def domain_members(topology: Topology) -> dict[str, FloatArray]:
    """``[server, domain]`` share of each server's load that each domain carries in normal operation."""
    share = effect_of(topology).feed_permille / PERMILLE
    pdu = np.zeros((len(topology.servers), len(topology.pdus)))
    for feed in range(share.shape[1]):
        fed_by = topology.rack_feeds[topology.server_rack, feed]
        fed = np.flatnonzero(fed_by != NONE)
        pdu[fed, fed_by[fed]] += share[topology.server_rack[fed], feed]
    ups = pdu @ (topology.pdu_ups[:, None] == np.arange(len(topology.upses)))
    inside = {
        "rack": topology.server_rack[:, None] == np.arange(len(topology.racks)),
        "row": topology.server_row[:, None] == np.arange(len(topology.rows)),
        "aisle": topology.server_aisle[:, None] == np.arange(len(topology.aisles)),
    }
    return {kind: of.astype(np.float64) for kind, of in inside.items()} | {"pdu": pdu, "ups": ups}


def _inlet_c(panel: Panel, inlet: Artefact[InletEntry]) -> FloatArray:
    """Measured inlet temperature; where it is missing the model's, and without weather the median of what there is."""
    room = panel.topology.server_room
    number = entry_numbers(panel.topology, inlet.entries, inlet.pooled)
    modelled = InletModel(inlet).central_c(number, panel.outdoor_c[:, room], panel.room_load_frac[:, room])
    known = panel.inlet_c[np.isfinite(panel.inlet_c)]
    typical = np.median(known) if known.size else np.nan
    return _first_known(_first_known(panel.inlet_c, modelled), np.asarray(typical))


def _planned_gpu_power_w(panel: Panel, gpu_power: Artefact[Curve], vm_load: Artefact[LoadEntry]) -> FloatArray:
    """``[t, s]`` mean GPU power that planning would expect: the template's, or an idle server's."""
    entries = [vm_load.entries.get(name, vm_load.pooled["all"]) for name in (*panel.templates, "")]
    central = np.array([entry.central_frac for entry in entries])
    load = central[panel.vm_template, hour_of_week(panel.t_s)[:, None]]
    out = np.full(load.shape, np.nan)
    for name, curve in gpu_power.entries.items():
        servers = panel.of_hardware(name)
        idle = panel.vm_template[:, servers] == NO_VM
        out[:, servers] = np.where(idle, curve.idle_power_w, curve.at(load[:, servers]))
    return out


def _filled(
    panel: Panel, values: FloatArray, model: Artefact[Surface], gpu_power_w: FloatArray, inlet_c: FloatArray
) -> FloatArray:
    """``[t, s]`` the values, and what the model says where there is none; a day's worth of slots at a time."""
    out = np.array(values)
    for name, surface in model.entries.items():
        servers = panel.of_hardware(name)
        for first in range(0, len(out), SLOTS_AT_A_TIME):
            t, s = np.nonzero(~np.isfinite(values[first : first + SLOTS_AT_A_TIME, servers]))
            where = t + first, servers[s]
            out[where] = surface.at(gpu_power_w[where], inlet_c[where])
    return out


def _first_known(first: FloatArray, otherwise: FloatArray) -> FloatArray:
    return np.asarray(np.where(np.isfinite(first), first, otherwise))
