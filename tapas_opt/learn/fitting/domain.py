"""What a row draws beside its servers, and margins on the sums of racks, rows, aisles, PDUs and UPSs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE, effect_of
from tapas_opt.domain.panel import NO_VM, Panel
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.learn.artefact import Artefact, Margin
from tapas_opt.learn.curve import Curve, Surface
from tapas_opt.learn.domain import MarginEntry, OverheadEntry, domain_key
from tapas_opt.learn.fitting.fitted import Fitted, errors_of
from tapas_opt.learn.fitting.margin import DAY_LEVEL, READING_LEVEL, conformal_upper, coverage, day_maxima
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.inlet import InletEntry, InletModel
from tapas_opt.learn.load import LoadEntry, hour_of_week
from tapas_opt.learn.servers import entry_numbers

__all__ = ["ServerSums", "fit_domain_margin", "fit_row_overhead", "server_sums"]

FloatArray = NDArray[np.float64]

LEAST_OWN_DAYS = 5
"""With fewer calibrating days than this a domain borrows those of all domains of its kind."""


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
    power, air = _through(panel, server_power, planned, inlet_c), _through(panel, airflow, planned, inlet_c)
    return ServerSums(
        power_w=_first_known(panel.server_power_w, _through(panel, server_power, measured, inlet_c)),
        airflow_cfm=_first_known(panel.airflow_cfm, _through(panel, airflow, measured, inlet_c)),
        predicted_power_w=power,
        predicted_airflow_cfm=air,
    )


def fit_row_overhead(panel: Panel, split: Split, sums: ServerSums) -> Fitted:
    """Row meter less the sum of its servers: an upper value that most readings of the fitting days stay below."""
    rest = panel.meter_w - sums.power_w @ _members(panel.topology)["row"]
    known = [r for r in range(rest.shape[1]) if np.isfinite(rest[split.fit, r]).any()]
    upper, central = np.zeros(rest.shape[1]), np.full(rest.shape[1], np.nan)
    for r in known:
        upper[r] = max(0.0, conformal_upper(rest[split.fit, r], READING_LEVEL))
        central[r] = np.nanmedian(rest[split.fit, r])
    return Fitted(
        name="row_overhead",
        features=(),
        entries={panel.topology.rows[r]: OverheadEntry(float(upper[r])) for r in known},
        pooled={"all": OverheadEntry(float(upper.max()))},
        margin=Margin(READING_LEVEL, "readings"),
        errors=errors_of(
            (rest - central)[split.judge],
            coverage(rest[split.judge][:, known], upper[known]),
            "W",
            int(np.isfinite(rest[split.fit]).sum()),
        ),
    )


def fit_domain_margin(panel: Panel, split: Split, sums: ServerSums, overhead: Artefact[OverheadEntry]) -> Fitted:
    """Relative margin of each domain, from the day maxima of its own sums.

    ``score = max_t measured / max_t Σ predicted − 1``. A row's measured power is its meter's less the learned overhead;
    an aisle's score is the worse of heat (power) and airflow.
    """
    scores = _scores(panel, sums, overhead)
    days = np.unique(panel.day)
    calibrate, judge = np.isin(days, panel.day[split.calibrate]), np.isin(days, panel.day[split.judge])
    entries: dict[str, MarginEntry] = {}
    pooled: dict[str, MarginEntry] = {}
    judged, uppers = [], []
    for kind, names in _names(panel.topology).items():
        margins = _margins(scores[kind][calibrate])
        entries |= {domain_key(kind, name): MarginEntry(m) for name, m in zip(names, margins, strict=True)}
        pooled[kind] = MarginEntry(max(margins))
        judged.append(scores[kind][judge])
        uppers.append(np.array(margins))
    seen = np.concatenate(judged, axis=1)
    trained = int(sum(np.isfinite(values[calibrate]).sum() for values in scores.values()))
    return Fitted(
        name="domain_margin",
        features=(),
        entries=entries,
        pooled=pooled,
        margin=Margin(DAY_LEVEL, "domain-day maxima"),
        errors=errors_of(seen, coverage(seen, np.concatenate(uppers)), "1", trained),
    )


def _margins(scores: FloatArray) -> list[float]:
    """Margin of each domain from its scores ``[day, domain]``, or from all of its kind with few days of its own."""
    few = np.isfinite(scores).sum(axis=0) < LEAST_OWN_DAYS
    of_kind = conformal_upper(scores.ravel(), DAY_LEVEL) if few.any() else 0.0
    own = [of_kind if few[i] else conformal_upper(scores[:, i], DAY_LEVEL) for i in range(scores.shape[1])]
    return [max(0.0, margin) for margin in own]


def _scores(panel: Panel, sums: ServerSums, overhead: Artefact[OverheadEntry]) -> dict[str, FloatArray]:
    """``[day, domain]`` of each kind."""
    members = _members(panel.topology)
    own = {row: overhead.entries.get(row, overhead.pooled["all"]).overhead_w for row in panel.topology.rows}
    metered = panel.meter_w - np.array([own[row] for row in panel.topology.rows])
    scores = {
        kind: _relative(sums.power_w @ inside, sums.predicted_power_w @ inside, panel)
        for kind, inside in members.items()
    }
    by_meter = _relative(metered, sums.predicted_power_w @ members["row"], panel)
    scores["row"] = _first_known(by_meter, scores["row"])
    air = _relative(sums.airflow_cfm @ members["aisle"], sums.predicted_airflow_cfm @ members["aisle"], panel)
    scores["aisle"] = np.fmax(scores["aisle"], air)
    return scores


def _relative(measured: FloatArray, predicted: FloatArray, panel: Panel) -> FloatArray:
    """``[day, domain]`` day maximum measured over day maximum predicted, less 1."""
    return np.asarray(day_maxima(measured, panel.day) / day_maxima(predicted, panel.day) - 1.0)


def _names(topology: Topology) -> dict[str, tuple[str, ...]]:
    return {
        "rack": topology.racks,
        "row": topology.rows,
        "aisle": topology.aisles,
        "pdu": topology.pdus,
        "ups": topology.upses,
    }


def _members(topology: Topology) -> dict[str, FloatArray]:
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
    """Measured inlet temperature; where it is missing the model's, and without weather the site's median."""
    room = panel.topology.server_room
    number = entry_numbers(panel.topology, inlet.entries, inlet.pooled)
    modelled = InletModel(inlet).central_c(number, panel.outdoor_c[:, room], panel.room_load_frac[:, room])
    return _first_known(_first_known(panel.inlet_c, modelled), np.asarray(np.nanmedian(panel.inlet_c)))


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


def _through(panel: Panel, model: Artefact[Surface], gpu_power_w: FloatArray, inlet_c: FloatArray) -> FloatArray:
    out = np.full(gpu_power_w.shape, np.nan)
    for name, surface in model.entries.items():
        servers = panel.of_hardware(name)
        out[:, servers] = surface.at(gpu_power_w[:, servers], inlet_c[:, servers])
    return out


def _first_known(first: FloatArray, otherwise: FloatArray) -> FloatArray:
    return np.asarray(np.where(np.isfinite(first), first, otherwise))
