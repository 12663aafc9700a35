"""The suites by name, what each hands back, and how a prediction is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import Fault, InvalidInput

__all__ = ["SUITES", "SuiteResult", "SuiteRow", "judged_row", "mean_over_rows", "run_suite"]

FloatArray = NDArray[np.float64]
Number = float | int | str | None


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """How one server (or client) was predicted on the judging days.

    Attributes
    ----------
    mae, p95_error
        Mean and 95th percentile of |reading − central prediction|.
    coverage
        Share of the readings at or below the upper bound.
    persistence_mae
        Mean of |reading − the reading before it|, on the same readings.
    extras
        What only this suite says of it.
    """

    server: str
    mae: float
    p95_error: float
    coverage: float
    persistence_mae: float
    extras: Mapping[str, Number] = field(default_factory=dict)

    def to_json(self) -> dict[str, Number]:
        """One flat object."""
        names = ("server", "mae", "p95_error", "coverage", "persistence_mae")
        return {name: getattr(self, name) for name in names} | dict(self.extras)


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What a suite reached; ``mae``, ``persistence_mae`` and ``coverage`` are over all rows, as the suite defines it.

    Attributes
    ----------
    unit
        Of all errors.
    extras
        What only this suite says.
    """

    rows: tuple[SuiteRow, ...]
    mae: float
    persistence_mae: float
    coverage: float
    unit: str
    extras: Mapping[str, Number] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """``{"rows": [...], "mae", "persistence_mae", "coverage", "unit", …}``."""
        numbers = {"mae": self.mae, "persistence_mae": self.persistence_mae, "coverage": self.coverage}
        return {"rows": [row.to_json() for row in self.rows]} | numbers | {"unit": self.unit} | dict(self.extras)


def judged_row(
    server: str,
    reading: FloatArray,
    central: FloatArray,
    upper: FloatArray,
    before: FloatArray,
    extras: Mapping[str, Number] | None = None,
) -> SuiteRow:
    """Judge the predictions of one server where reading, prediction and the reading before it are all known.

    Parameters
    ----------
    reading, central, upper, before
        ``[n]`` what was read, its central prediction, its upper bound, and what naive persistence says.
    """
    known = np.isfinite(reading) & np.isfinite(central) & np.isfinite(upper) & np.isfinite(before)
    off = np.abs(reading - central)[known]
    return SuiteRow(
        server,
        mae=float(off.mean()),
        p95_error=float(np.quantile(off, 0.95)),
        coverage=float((reading <= upper)[known].mean()),
        persistence_mae=float(np.abs(reading - before)[known].mean()),
        extras={"readings": int(known.sum())} | dict(extras or {}),
    )


def mean_over_rows(rows: Sequence[SuiteRow], unit: str, extras: Mapping[str, Number] | None = None) -> SuiteResult:
    """Total of a suite in which every server counts the same, however many readings it has."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in rows]))

    totals = (mean("mae"), mean("persistence_mae"), mean("coverage"))
    return SuiteResult(tuple(rows), *totals, unit=unit, extras=dict(extras or {}))


# Each suite imports what it needs only when it runs.


def _gpu_temperature(path: Path, train_until: date | None) -> SuiteResult:
    """GPU temperature one hour ahead, given the power."""
    from tapas_opt.bench.gpu_temperature import run  # noqa: PLC0415

    return run(path, train_until)


def _inlet_temperature(path: Path, train_until: date | None) -> SuiteResult:
    """Inlet temperature of a node one day ahead, and that of a node without its sensor from the room's."""
    from tapas_opt.bench.inlet_temperature import run  # noqa: PLC0415

    return run(path, train_until)


def _vm_load(path: Path, train_until: date | None) -> SuiteResult:
    """Peak load of later windows against the 99 % template of earlier ones, by client."""
    from tapas_opt.bench.vm_load import run  # noqa: PLC0415

    return run(path, train_until)


SUITES: dict[str, Callable[[Path, date | None], SuiteResult]] = {
    "gpu-temperature": _gpu_temperature,
    "inlet-temperature": _inlet_temperature,
    "vm-load": _vm_load,
}
"""Every suite: the folder to read and the first day to judge (None: the suite's own split) → what was reached."""


def run_suite(name: str, path: Path, train_until: date | None) -> SuiteResult:
    """Run the suite called ``name`` on the tables of a folder.

    Parameters
    ----------
    train_until
        First day that is judged; the suite learns from all before it. None: the suite's own split.

    Raises
    ------
    InvalidInput
        Listing every fault: no such suite, no such folder; or, once those are right, all that is wrong with the tables.
    """
    faults = []
    if name not in SUITES:
        faults.append(Fault("suite", f"{name!r} does not exist; there are {', '.join(SUITES)}"))
    if not path.exists():
        faults.append(Fault("path", f"{path} does not exist; docs/benchmarking.md says what a suite reads"))
    if faults:
        raise InvalidInput("bench", faults)
    return SUITES[name](path, train_until)
