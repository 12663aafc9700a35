"""Request rates of a service's clients by window, as dense arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tapas_opt.bench.tables import TRAINED_FRAC, ColumnKind, read_table
from tapas_opt.errors import InvalidInput

__all__ = ["DAY_S", "ModelRates", "read_rates"]

FloatArray = NDArray[np.float64]

DAY_S = 86_400.0
COLUMNS: Mapping[str, ColumnKind] = {"model": "text", "client": "text", "t_s": "number", "rate_rps": "number"}
LEAST_WINDOWS = 24
"""Windows on either side of the split below which a model is left out."""


@dataclass(frozen=True)
class ModelRates:
    """Clients of one model (the group that a client leans on).

    Attributes
    ----------
    t_s
        ``[t]`` beginning of each window, second 0 being a midnight.
    rate_rps
        ``[t, client]`` mean rate; 0 where the table has no row, since windows without traffic are not written.
    split
        Number of windows to learn from.
    """

    name: str
    clients: tuple[str, ...]
    t_s: FloatArray
    rate_rps: FloatArray
    split: int

    @property
    def step_s(self) -> float:
        """Length of a window."""
        return float(self.t_s[1] - self.t_s[0])

    def highest_before(self, end: int) -> FloatArray:
        """``[client]`` highest rate of the first ``end`` windows."""
        return np.asarray(self.rate_rps[:end].max(axis=0))

    def history(self, end: int) -> FloatArray:
        """``[t, client]`` the first ``end`` windows; NaN before a client's first traffic, when it was not known yet."""
        return np.where(np.maximum.accumulate(self.rate_rps[:end] > 0, axis=0), self.rate_rps[:end], np.nan)


def read_rates(path: Path, train_until: date | None) -> tuple[list[ModelRates], tuple[str, ...]]:
    """Models with enough windows before and after the split, and the names of the others.

    Parameters
    ----------
    train_until
        First day to judge, counting ``t_s`` from 1970; None: each model's windows after two thirds of its time.

    Raises
    ------
    InvalidInput
        Listing all that is wrong with the table; or if no model has windows on both sides of the split.
    """
    table = read_table(path, COLUMNS, "rates.*")
    table = table[np.isfinite(table["t_s"]) & (table["rate_rps"] >= 0) & np.isfinite(table["rate_rps"])]
    table = table.drop_duplicates(["model", "client", "t_s"])
    split_s = None if train_until is None else (train_until - date(1970, 1, 1)).total_seconds()
    models = [_dense(str(name), rows, split_s) for name, rows in table.groupby("model", sort=True)]
    enough = [LEAST_WINDOWS <= model.split <= len(model.t_s) - LEAST_WINDOWS for model in models]
    if not any(enough):
        what = f"no model has {LEAST_WINDOWS} windows before and after the split; give more windows or another day"
        raise InvalidInput.one(str(path), "train_until", what)
    kept = [model for model, use in zip(models, enough, strict=True) if use]
    return kept, tuple(model.name for model, use in zip(models, enough, strict=True) if not use)


def _dense(name: str, rows: pd.DataFrame, split_s: float | None) -> ModelRates:
    times = np.unique(rows["t_s"].to_numpy())
    step_s = float(np.median(np.diff(times))) if times.size > 1 else 1.0
    at = np.rint((rows["t_s"].to_numpy() - times[0]) / step_s).astype(np.int64)
    clients, client = np.unique(rows["client"].to_numpy(dtype=str), return_inverse=True)
    t_s = times[0] + step_s * np.arange(at.max() + 1)
    rate = np.zeros((t_s.size, clients.size))
    rate[at, client] = rows["rate_rps"].to_numpy()
    split = round(TRAINED_FRAC * t_s.size) if split_s is None else int(np.searchsorted(t_s, split_s))
    return ModelRates(name, tuple(clients.tolist()), t_s, rate, split)
