"""History from a folder of parquet or CSV files: checked against the schema, laid out, and gated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path

from tapas_opt.domain.history import Refused
from tapas_opt.domain.panel import SLOT_S, Panel
from tapas_opt.domain.topology import Topology
from tapas_opt.telemetry.gates import gate
from tapas_opt.telemetry.grid import grid_over
from tapas_opt.telemetry.panel import lay_out
from tapas_opt.telemetry.tables import numbers, sources_in

__all__ = ["GatedHistory", "read_panel", "span_of"]


@dataclass(frozen=True)
class GatedHistory:
    """A history laid out, and everything in it that was not believed.

    Attributes
    ----------
    rows
        Rows that have a place in the panel, by table.
    gated
        Readings outside their physical range, now NaN, counted by ``table.column``.
    dropped
        Rows whose key was missing, impossible or already there, counted by table.
    refused
        What is not believed although it lies in range: sensors that are stuck, off their peers or denied by others,
        clocks that are wrong, names that the site does not have. Impossible readings and repeated rows are named here
        too where they are many.
    missing
        Optional tables (``rows``) and columns (``gpus.memory_temperature_c``) that the folder does not have.
    """

    panel: Panel
    rows: Mapping[str, int]
    gated: Mapping[str, int]
    dropped: Mapping[str, int]
    refused: tuple[Refused, ...]
    missing: tuple[str, ...]


def read_panel(
    folder: Path,
    topology: Topology,
    *,
    since_s: float | None = None,
    until_s: float | None = None,
    truth: bool = False,
    progress: Callable[[str], None] = lambda table: None,
) -> GatedHistory:
    """Read the history in ``folder`` into a panel of the site, a piece of a table at a time.

    Parameters
    ----------
    since_s, until_s
        Only readings with ``since_s <= t_s < until_s``; days are counted from the first of them.
    truth
        Read ``truth_<table>`` instead, and believe it: only impossible readings are refused. VMs are as they are.
    progress
        Called with the name of each table when it has been read.

    Raises
    ------
    InvalidInput
        Listing every required table and column that is missing or of the wrong type; or if the window holds no
        reading of a server of the site.
    """
    sources, missing = sources_in(folder, "truth_" if truth else "")
    window = (-inf if since_s is None else since_s, inf if until_s is None else until_s)
    laid = lay_out(sources, topology, *window, progress)
    denied = () if truth else gate(laid.panel)
    return GatedHistory(laid.panel, laid.rows, laid.gated, laid.dropped, laid.refused + denied, missing)


def span_of(folder: Path) -> tuple[float, float]:
    """When the slots of the history in ``folder`` begin and end (s), wrong clocks left out.

    Raises
    ------
    InvalidInput
        As :func:`read_panel`.
    """
    sources, _ = sources_in(folder)
    times = (numbers(batch.column(0)) for batch in sources["servers"].batches(("t_s",), -inf, inf))
    grid, _ = grid_over(times, -inf, inf)
    return grid.first_s, grid.first_s + grid.slots * SLOT_S
