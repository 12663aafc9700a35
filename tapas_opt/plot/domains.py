"""Places of one kind with a load and a limit each: UPSs, rows, aisles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.plot.panels import Panels
from tapas_opt.plot.series import fullest
from tapas_opt.plot.style import plain
from tapas_opt.simulation.record import Record

__all__ = ["AISLES", "ROWS", "UPSES", "Domains"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Domains:
    """Places of one kind: how a record names them, what they carry, and what they may."""

    noun: str
    names: Callable[[Record], Sequence[str]]
    load: Callable[[Record], FloatArray]
    limit: Callable[[Record], FloatArray]
    unit: str
    scale: float
    limit_word: str

    def fullest_line(self, panels: Panels, panel: int, record: Record) -> None:
        """Draw how full the fullest one is; the pointer tells which it is."""
        frac, which = fullest(self.load(record), self.limit(record))
        names = [plain(name) for name in self.names(record)]
        panels.line(panel, record, frac, [names[i] for i in which] if names else ())


UPSES = Domains(
    "UPS", lambda r: r.upses, lambda r: r.ups_power_w, lambda r: r.ups_capacity_w, "kW", 1e-3, "capacity"
)  # fmt: skip
ROWS = Domains(
    "row", lambda r: r.rows, lambda r: r.row_power_w, lambda r: r.row_budget_w, "kW", 1e-3, "power budget"
)  # fmt: skip
AISLES = Domains(
    "aisle", lambda r: r.aisles, lambda r: r.aisle_airflow_cfm, lambda r: r.aisle_capacity_cfm, "CFM", 1.0, "airflow"
)  # fmt: skip
