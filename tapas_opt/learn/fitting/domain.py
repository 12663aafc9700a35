"""What a row draws beside its servers, and margins on the sums of racks, rows, aisles, PDUs and UPSs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import NO_VM, SLOT_S, Panel, mean_of_present
from tapas_opt.learn.artefact import Artefact, Margin
from tapas_opt.learn.domain import MarginEntry, OverheadEntry, domain_key
from tapas_opt.learn.fitting.fitted import Fitted
from tapas_opt.learn.fitting.margin import DAY_LEVEL, READING_LEVEL, conformal_upper, day_maxima, upper_of_days
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.models import RISE_MINUTES
from tapas_opt.learn.sums import ServerSums, domain_members, domain_names

__all__ = ["fit_domain_margin", "fit_row_overhead", "margins_of_kind"]

FloatArray = NDArray[np.float64]


LEAST_DAYS = 5
"""Fewer days than this say nothing of how much days differ."""

MANY_DOMAINS = 20
"""With fewer domains than this a single day's scores have no upper quantile to speak of."""


def fit_row_overhead(panel: Panel, split: Split, sums: ServerSums) -> Fitted:
    """Row meter less the sum of its servers: an upper value that most readings of the fitting days stay below.

    Losses grow with load and so does the meter's noise, so that the upper value comes from the half of the readings in
    which the row's servers draw most: there its budget is near.
    """
    drawn = sums.power_w @ domain_members(panel.topology)["row"]
    rest = panel.meter_w - drawn
    busy = split.fit[:, None] & (drawn >= np.median(drawn[split.fit], axis=0))
    known = [r for r in range(rest.shape[1]) if np.isfinite(rest[busy[:, r], r]).any()]
    upper, usual = np.zeros(rest.shape[1]), np.zeros(rest.shape[1])
    for r in known:
        upper[r] = max(0.0, conformal_upper(rest[busy[:, r], r], READING_LEVEL))
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
    """Relative margin of each domain, from the day maxima of its own sums, and how much it rises within minutes.

    ``score = max_t measured / max_t Σ predicted − 1``. A row's measured power is its meter's less the learned overhead;
    an aisle's score is the worse of heat (power) and airflow.
    """
    scores = _scores(panel, sums, overhead)
    days = np.unique(panel.day)
    calibrate = np.isin(days, panel.day[split.calibrate])
    known = np.isin(days, panel.day[split.fit | split.calibrate])
    rises = [_rises(panel, split, sums, minutes) for minutes in RISE_MINUTES]
    entries: dict[str, MarginEntry] = {}
    pooled: dict[str, MarginEntry] = {}
    for kind, names in domain_names(panel.topology).items():
        own = margins_of_kind(scores[kind][calibrate])
        rise = [max(0.0, conformal_upper(of[kind][known].ravel(), DAY_LEVEL)) for of in rises]
        entries |= {domain_key(kind, name): MarginEntry(m, *rise) for name, m in zip(names, own, strict=True)}
        pooled[kind] = MarginEntry(max(own), *rise)
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


def margins_of_kind(scores: FloatArray) -> list[float]:
    """Upper value of each domain of a kind from its scores ``[day, domain]``, at least 0.

    What makes a day high, such as the VMs that a domain happens to have, changes from week to week: what the domains of
    a kind have seen together foretells a domain's next week better than its own last one. Scores of many domains, or of
    many days, are not as many events, though: what domains have in common lasts for a day, and VMs stay for days. So
    where a day has many domains, every day keeps the promise by itself; where it has few, the mean of a new day does.
    No domain's margin lies below its own highest day.
    """
    if scores.shape[1] >= MANY_DOMAINS:
        of_kind = upper_of_days(scores, DAY_LEVEL)
    else:
        of_kind, mean = conformal_upper(scores.ravel(), DAY_LEVEL), mean_of_present(scores)
        if np.isfinite(mean).sum() >= LEAST_DAYS:
            of_kind = max(of_kind, conformal_upper(mean, DAY_LEVEL))
    own = np.where(np.isfinite(scores), scores, -np.inf).max(axis=0)
    return [float(value) for value in np.maximum(own, max(0.0, of_kind))]


def _rises(panel: Panel, split: Split, sums: ServerSums, minutes: int) -> dict[str, FloatArray]:
    """``[day, domain]`` of each kind: the day's largest rise within so many minutes, as a part of what is drawn.

    Counted are servers read at both ends, whose VM (or none) is the same and has no configuration of ours: the rest
    rises by decisions of ours. Of a rise from a quiet hour counts what goes beyond the domain's median draw B, as a
    part of B: below B no budget is near.
    """
    slots = minutes * 60 // SLOT_S
    power = panel.server_power_w
    same = (panel.vm[slots:] == panel.vm[:-slots]) & (panel.vm_configuration[slots:] == NO_VM)
    rise = np.where(same, power[slots:] - power[:-slots], np.nan)
    rise = np.where(np.isfinite(rise), rise, 0.0)
    out: dict[str, FloatArray] = {}
    for kind, inside in domain_members(panel.topology).items():
        drawn = sums.power_w @ inside
        base = np.maximum(drawn, np.median(drawn[split.fit], axis=0))[:-slots]
        beyond = (drawn[:-slots] + rise @ inside - base) / base
        out[kind] = day_maxima(np.concatenate([beyond, np.full((slots, beyond.shape[1]), np.nan)]), panel.day)
    return out


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
