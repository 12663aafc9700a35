"""The samples of a run as one table, for those who want to draw their own pictures."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tapas_opt.simulation.record import Moment, Record

__all__ = ["series_table", "write_series"]


def series_table(records: Sequence[Record]) -> pd.DataFrame:
    """One row per policy and moment; a column per quantity, and per domain where a quantity has several.

    Columns are ``policy``, ``t_s`` and the fields of :class:`Moment`, with a domain's name in brackets:
    ``row_power_w[R1]``.
    """
    return pd.concat([_of_record(record) for record in records], ignore_index=True)


def write_series(records: Sequence[Record], path: Path) -> None:
    """Write the table as gzipped CSV; the same samples give the same bytes."""
    text = series_table(records).to_csv(index=False, float_format="%.9g")
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _of_record(record: Record) -> pd.DataFrame:
    domains = {"row": record.rows, "ups": record.upses, "aisle": record.aisles}
    columns: dict[str, NDArray[np.float64]] = {}
    for name in Moment.__slots__:
        values: NDArray[np.float64] = getattr(record, name)
        if values.ndim == 1:
            columns[name] = values
        else:
            columns |= {f"{name}[{domain}]": values[:, d] for d, domain in enumerate(domains[name.split("_")[0]])}
    return pd.DataFrame({"policy": record.policy} | columns)
