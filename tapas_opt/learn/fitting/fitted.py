"""What every fit hands back, and how it becomes an artefact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt import __version__
from tapas_opt.learn.artefact import FORMAT, Artefact, Feature, Margin, ModelErrors, Training, artefact_from, rounded
from tapas_opt.learn.fitting.margin import DAY_LEVEL
from tapas_opt.learn.models import KINDS

__all__ = ["SERVER_DAY", "Fitted", "errors_of", "settled"]

FloatArray = NDArray[np.float64]

SERVER_DAY = Margin(DAY_LEVEL, "server-day maxima")


@dataclass(frozen=True)
class Fitted:
    """Entries of one model, not yet rounded."""

    name: str
    features: tuple[Feature, ...]
    entries: Mapping[str, Any]
    pooled: Mapping[str, Any]
    margin: Margin
    errors: ModelErrors


def errors_of(residual: FloatArray, coverage: float, unit: str, rows_train: int) -> ModelErrors:
    """Mean and 95th percentile of the absolute residuals of the judging days, with what else is reported."""
    off = np.abs(residual[np.isfinite(residual)])
    mae, p95 = (float(off.mean()), float(np.quantile(off, 0.95))) if off.size else (0.0, 0.0)
    return ModelErrors(mae, p95, coverage, unit, rows_train, int(off.size))


def settled(fitted: Fitted, training: Training) -> Artefact[Any]:
    """The artefact exactly as its file will hold it, so that what was fitted is what is loaded later."""
    raw = asdict(fitted)
    numbers = {key: rounded(raw[key]) for key in ("features", "entries", "pooled", "errors")}
    head = {"format": FORMAT, "name": fitted.name, "unit": fitted.errors.unit}
    tail = {"margin": raw["margin"], "training": asdict(training), "code_version": __version__}
    return artefact_from(head | numbers | tail, fitted.name, KINDS[fitted.name], f"fitted {fitted.name}")
