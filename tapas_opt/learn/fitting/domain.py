"""What a row draws beside its servers, and margins on the sums of racks, rows, aisles, PDUs and UPSs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import Panel
from tapas_opt.learn.artefact import Artefact, Margin
from tapas_opt.learn.domain import MarginEntry, OverheadEntry, domain_key
from tapas_opt.learn.fitting.fitted import Fitted
from tapas_opt.learn.fitting.margin import DAY_LEVEL, READING_LEVEL, conformal_upper, day_maxima
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.sums import ServerSums, domain_members, domain_names

__all__ = ["fit_domain_margin", "fit_row_overhead"]

FloatArray = NDArray[np.float64]

LEAST_OWN_DAYS = 5
"""With fewer calibrating days than this a domain borrows those of all domains of its kind."""


def fit_row_overhead(panel: Panel, split: Split, sums: ServerSums) -> Fitted:
    """Row meter less the sum of its servers: an upper value that most readings of the fitting days stay below."""
    rest = panel.meter_w - sums.power_w @ domain_members(panel.topology)["row"]
    known = [r for r in range(rest.shape[1]) if np.isfinite(rest[split.fit, r]).any()]
    upper, usual = np.zeros(rest.shape[1]), np.zeros(rest.shape[1])
    for r in known:
        upper[r] = max(0.0, conformal_upper(rest[split.fit, r], READING_LEVEL))
        usual[r] = np.nanmedian(rest[split.fit, r])
    return Fitted(
        name="row_overhead",
        features=(),
        entries={panel.topology.rows[r]: OverheadEntry(float(upper[r]), float(usual[r])) for r in known},
        pooled={"all": OverheadEntry(float(upper.max()), float(np.median(usual)))},
        margin=Margin(READING_LEVEL, "readings"),
        unit="W",
        rows_train=int(np.isfinite(rest[split.fit]).sum()),
    )


def fit_domain_margin(panel: Panel, split: Split, sums: ServerSums, overhead: Artefact[OverheadEntry]) -> Fitted:
    """Relative margin of each domain, from the day maxima of its own sums.

    ``score = max_t measured / max_t Σ predicted − 1``. A row's measured power is its meter's less the learned overhead;
    an aisle's score is the worse of heat (power) and airflow.
    """
    scores = _scores(panel, sums, overhead)
    days = np.unique(panel.day)
    calibrate = np.isin(days, panel.day[split.calibrate])
    entries: dict[str, MarginEntry] = {}
    pooled: dict[str, MarginEntry] = {}
    for kind, names in domain_names(panel.topology).items():
        margins = _margins(scores[kind][calibrate])
        entries |= {domain_key(kind, name): MarginEntry(m) for name, m in zip(names, margins, strict=True)}
        pooled[kind] = MarginEntry(max(margins))
    trained = int(sum(np.isfinite(values[calibrate]).sum() for values in scores.values()))
    return Fitted(
        name="domain_margin",
        features=(),
        entries=entries,
        pooled=pooled,
        margin=Margin(DAY_LEVEL, "domain-day maxima"),
        unit="1",
        rows_train=trained,
    )


def _margins(scores: FloatArray) -> list[float]:
    """Margin of each domain from its scores ``[day, domain]``, or from all of its kind with few days of its own."""
    few = np.isfinite(scores).sum(axis=0) < LEAST_OWN_DAYS
    of_kind = conformal_upper(scores.ravel(), DAY_LEVEL) if few.any() else 0.0
    own = [of_kind if few[i] else conformal_upper(scores[:, i], DAY_LEVEL) for i in range(scores.shape[1])]
    return [max(0.0, margin) for margin in own]


def _scores(panel: Panel, sums: ServerSums, overhead: Artefact[OverheadEntry]) -> dict[str, FloatArray]:
    """``[day, domain]`` of each kind."""
    members = domain_members(panel.topology)
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


def _first_known(first: FloatArray, otherwise: FloatArray) -> FloatArray:
    return np.asarray(np.where(np.isfinite(first), first, otherwise))
