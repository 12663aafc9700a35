"""Suite ``vm-load``: the load templates, fitted to the first windows of a service's clients, judged on later ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapas_opt.bench.client_templates import ClientTemplates, fit_clients
from tapas_opt.bench.client_tracking import LEAD_S, Tracked, track
from tapas_opt.bench.rates import DAY_S, ModelRates, read_rates
from tapas_opt.bench.suites import SuiteResult, SuiteRow, judged_row
from tapas_opt.learn.fitting.margin import conformal_upper

__all__ = ["run"]

FloatArray = NDArray[np.float64]

LEVEL = 0.99
"""Promised share of later windows below the upper rate."""

CALIBRATED_LEVEL = (1 + LEVEL) / 2
"""Half of the misses are left for what changes after the calibration: clients come, grow and go."""

CALIBRATED_FRAC = 0.5
"""Of the windows to learn from, the later ones calibrate: as long a time as the fit's, since drift grows with time."""


def run(path: Path, train_until: date | None) -> SuiteResult:
    """Judge the 99 % template of each client on windows after the split, beside the highest rate seen before it.

    Rows are clients that were seen before the split. Totals count every window of every client alike. Over-forecast is
    the mean of max(0, upper − rate). Persistence is the same window a day before, which the template does not know, or
    without such the last window before the split. What begins with ``tracked_`` follows a bias up to an hour ago.

    Raises
    ------
    InvalidInput
        As :func:`~tapas_opt.bench.rates.read_rates`.
    """
    models, left_out = read_rates(path, train_until)
    halves = [int(model.split * CALIBRATED_FRAC) for model in models]
    early, final = fit_clients(models, halves), fit_clients(models, [model.split for model in models])
    multiple = _multiple(models, halves, early)
    follows = track(models, halves, early, final, CALIBRATED_LEVEL)
    judged = [_Judged.of(model, k, final, multiple, follows[k]) for k, model in enumerate(models)]
    unseen = sum(int((model.highest_before(model.split) == 0).sum()) for model in models)
    return _result(judged, {"unseen_clients": unseen, "models_left_out": ", ".join(left_out)})


def _multiple(models: Sequence[ModelRates], halves: Sequence[int], early: ClientTemplates) -> float:
    """Multiple of the spread that covers windows between the halves and the splits, of clients seen before.

    A load above 1 is above anything that is ever forecast, so that no multiple covers it, and it does not count.
    """
    scores = []
    for k, (model, half) in enumerate(zip(models, halves, strict=True)):
        later, clients = slice(half, model.split), len(model.clients)
        central, spread = early.load(k, clients, model.t_s[later])
        load = model.rate_rps[later] / early.scale_of(k, clients)
        scores.append(((load - central) / spread)[load <= 1.0])
    return max(conformal_upper(np.concatenate(scores), CALIBRATED_LEVEL), 0.0)


@dataclass(frozen=True)
class _Judged:
    """Later windows ``[t, client]`` of one model's clients that were seen before, in requests/s."""

    names: tuple[str, ...]
    rate: FloatArray
    central: FloatArray
    upper: FloatArray
    flat: FloatArray
    day_before: FloatArray
    last_day: FloatArray
    hour_before: FloatArray
    tracked_central: FloatArray
    tracked_upper: FloatArray

    @classmethod
    def of(cls, model: ModelRates, k: int, fitted: ClientTemplates, multiple: float, follows: Tracked) -> _Judged:
        """Predict the windows after the split."""
        scale, later = fitted.scale_of(k, len(model.clients)), slice(model.split, None)
        central, spread = fitted.load(k, len(model.clients), model.t_s[later])
        upper = np.clip(central + multiple * spread, 0.0, 1.0)
        seen = np.isfinite(scale)
        columns = (
            model.rate_rps[later],
            central * scale,
            upper * scale,
            np.broadcast_to(model.highest_before(model.split), central.shape),
            *(_earlier(model, back_s) for back_s in (DAY_S, None, LEAD_S)),
            follows.central * scale,
            follows.upper * scale,
        )
        names = tuple(f"{model.name}/{client}" for client, use in zip(model.clients, seen, strict=True) if use)
        return cls(names, *(column[:, seen] for column in columns))

    def rows(self) -> Iterator[SuiteRow]:
        """One for each client."""
        for c, name in enumerate(self.names):
            rate, upper, flat = self.rate[:, c], self.upper[:, c], self.flat[:, c]
            extras = {
                "flat_coverage": _share_below(rate, flat),
                "over_forecast": _over(rate, upper),
                "flat_over_forecast": _over(rate, flat),
                "tracked_mae": _mean_error(rate, self.tracked_central[:, c]),
                "tracked_coverage": _share_below(rate, self.tracked_upper[:, c]),
            }
            yield judged_row(name, rate, self.central[:, c], upper, self.day_before[:, c], extras)


def _earlier(model: ModelRates, back_s: float | None) -> FloatArray:
    """``[t, client]`` rates of the windows after the split, so much earlier; None: of the last day before the split.

    Where the record does not go back so far, the last window before the split stands for all.
    """
    at = np.arange(model.split, len(model.t_s))
    windows = round((DAY_S if back_s is None else back_s) / model.step_s)
    before = at - windows if back_s is not None else model.split - windows + (at - model.split) % windows
    return model.rate_rps[np.where(model.split >= windows, before, model.split - 1)]


def _result(judged: Sequence[_Judged], extras: Mapping[str, int | str]) -> SuiteResult:
    def all_of(name: str) -> FloatArray:
        return np.concatenate([getattr(part, name).ravel() for part in judged])

    rate, flat, upper, tracked_upper = (all_of(name) for name in ("rate", "flat", "upper", "tracked_upper"))
    over, flat_over, tracked_over = (_over(rate, bound) for bound in (upper, flat, tracked_upper))
    by_client = [_over(rate / flat, bound / flat) for bound in (upper, flat)]
    numbers: dict[str, float | int | str | None] = {
        "windows": rate.size,
        "flat_coverage": _share_below(rate, flat),
        "over_forecast": over,
        "flat_over_forecast": flat_over,
        "over_forecast_of_flat": over / flat_over,
        "over_forecast_of_flat_each_client_alike": by_client[0] / by_client[1],
        "last_day_repeated_mae": _mean_error(rate, all_of("last_day")),
        "tracked_mae": _mean_error(rate, all_of("tracked_central")),
        "hour_before_mae": _mean_error(rate, all_of("hour_before")),
        "tracked_coverage": _share_below(rate, tracked_upper),
        "tracked_over_forecast_of_flat": tracked_over / flat_over,
    }
    rows = tuple(row for part in judged for row in part.rows())
    totals = _mean_error(rate, all_of("central")), _mean_error(rate, all_of("day_before")), _share_below(rate, upper)
    return SuiteResult(rows, *totals, unit="requests/s", extras=numbers | dict(extras))


def _over(rate: FloatArray, upper: FloatArray) -> float:
    return float(np.maximum(upper - rate, 0.0).mean())


def _share_below(rate: FloatArray, upper: FloatArray) -> float:
    return float((rate <= upper).mean())


def _mean_error(rate: FloatArray, central: FloatArray) -> float:
    return float(np.abs(rate - central).mean())
