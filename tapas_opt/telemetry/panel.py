"""The tables of a history laid out as a panel, a batch of rows at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tapas_opt.domain.history import TABLES, Refused
from tapas_opt.domain.panel import DAY_S, SLOT_S, Panel
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.grid import NOWHERE, Grid, grid_over
from tapas_opt.telemetry.sheet import Sheet
from tapas_opt.telemetry.tables import Source, numbers, sources_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LaidOut", "lay_out", "panel_of", "room_load_frac"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NAMED_BY = {"rooms": "room", "servers": "server", "gpus": "server", "rows": "row", "vms": "server"}
"""The column that says whose a row is."""

STRANGER = -2
SHOWN_STRANGERS = 5
LEAST_REPORTING_FRAC = 0.5


@dataclass(frozen=True)
class LaidOut:
    """A panel, and what was not taken into it row by row: see :class:`tapas_opt.telemetry.history.GatedHistory`."""

    panel: Panel
    rows: Mapping[str, int]
    gated: Mapping[str, int]
    dropped: Mapping[str, int]
    refused: tuple[Refused, ...]


def panel_of(tables: Mapping[str, pd.DataFrame], topology: Topology) -> Panel:
    """Lay frames out over the slots between the first and the last reading of a server.

    The same code reads files: doubled rows, absurd readings and unknown servers are treated alike.

    Raises
    ------
    InvalidInput
        If a required table or column is missing, or no server of the history is one of the site's.
    """
    return lay_out(sources_of(tables)[0], topology).panel


def lay_out(
    sources: Mapping[str, Source],
    topology: Topology,
    since_s: float = -inf,
    until_s: float = inf,
    progress: Callable[[str], None] = lambda table: None,
) -> LaidOut:
    """Stream every table into dense arrays over the slots of the window that hold a reading of a server."""
    times = (numbers(batch.column(0)) for batch in sources["servers"].batches(("t_s",), since_s, until_s))
    grid, refused = grid_over(times, since_s, until_s)
    layouts = {name: _Layout.of(name, grid, topology) for name in TABLES}
    for name, source in sources.items():
        for batch in source.batches(source.columns, since_s, until_s):
            layouts[name].add(batch)
        progress(name)
    if not layouts["servers"].rows:
        raise InvalidInput.one("history", "servers.server", f"none is of site {topology.site.name!r}; give its --site")
    for layout in layouts.values():
        refused += layout.refused()
    return LaidOut(
        panel=_panel(grid, topology, layouts),
        rows={name: layouts[name].rows for name in sources},
        gated={key: count for layout in layouts.values() for key, count in layout.sheet.gated().items()},
        dropped={name: layouts[name].dropped + layouts[name].sheet.dropped for name in sources},
        refused=tuple(refused),
    )


@dataclass
class _Names:
    """Names in the order in which they come."""

    number: dict[str, int] = field(default_factory=dict)

    def of(self, column: pa.Array) -> IntArray:
        return _numbers(column, lambda name: self.number.setdefault(name, len(self.number)))

    def sorted(self, codes: NDArray[np.int32]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """Names by their alphabet, and codes that follow it."""
        names = sorted(self.number)
        rank = np.full(len(names) + 1, NOWHERE, dtype=np.int32)
        rank[[self.number[name] for name in names]] = np.arange(len(names))
        return tuple(names), rank[codes]


class _Layout:
    """One table: whose its rows are, and where they go."""

    def __init__(self, name: str, grid: Grid, names: tuple[str, ...], gpus: IntArray | None) -> None:
        self.rows = self.dropped = 0
        self.texts = {c.name: _Names() for c in TABLES[name].columns if c.kind == "str" and c.name != NAMED_BY[name]}
        self._name, self._grid, self._gpus = name, grid, gpus
        self._number = {one: i for i, one in enumerate(names)}
        self._strangers: Counter[str] = Counter()
        self._width = 1 if gpus is None else int(gpus.max())
        if gpus is None:
            self.sheet = Sheet(TABLES[name], grid.slots, names)
        else:
            sensors = [f"{one}/{g}" for one in names for g in range(self._width)]
            self.sheet = Sheet(TABLES[name], grid.slots, sensors, np.float32)

    @classmethod
    def of(cls, name: str, grid: Grid, topology: Topology) -> _Layout:
        """The empty layout of a table."""
        names = {"room": topology.rooms, "server": topology.servers, "row": topology.rows}[NAMED_BY[name]]
        return cls(name, grid, names, topology.server_gpus if name == "gpus" else None)

    def add(self, batch: pa.RecordBatch) -> None:
        """Lay some rows out."""
        t_s = np.asarray(numbers(batch.column("t_s")), dtype=np.float64)
        slot, part = self._grid.at(t_s)
        sensor, whole = self._sensors(batch)
        whole &= t_s >= 0
        texts = {name: names.of(batch.column(name)) for name, names in self.texts.items() if name in batch.schema.names}
        if "vm" in texts:
            whole &= texts["vm"] >= 0
        self.dropped += int((~whole).sum())
        rows = np.flatnonzero(whole & (slot >= 0) & (sensor >= 0))
        self.rows += rows.size
        readings = [c.name for c in TABLES[self._name].readings if c.name in batch.schema.names]
        values = {name: numbers(batch.column(name))[rows] for name in readings}
        codes = {name: code[rows] for name, code in texts.items()}
        self.sheet.add(slot[rows], part[rows], sensor[rows], values, codes)

    def _sensors(self, batch: pa.RecordBatch) -> tuple[IntArray, BoolArray]:
        """Which sensor each row is of, and whether its name is there and possible."""
        column = batch.column(NAMED_BY[self._name])
        of = _numbers(column, lambda name: self._number.get(name, STRANGER))
        whole = of != NOWHERE
        strange = np.flatnonzero(of == STRANGER)
        if strange.size:
            self._strangers.update(column.take(pa.array(strange)).to_pylist())
        if self._gpus is None:
            return of, whole
        gpu = batch.column("gpu").fill_null(NOWHERE).to_numpy(zero_copy_only=False).astype(np.int64)
        whole &= (gpu >= 0) & ((gpu < self._gpus[of]) | (of == STRANGER))
        return np.where(of >= 0, of * self._width + gpu, of), whole

    def refused(self) -> Iterator[Refused]:
        """Names that the site does not have, impossible readings and repeated rows."""
        yield from self.sheet.refused()
        if self._strangers:
            few = sorted(self._strangers)[:SHOWN_STRANGERS]
            names = ", ".join(few) + (", …" if len(self._strangers) > len(few) else "")
            reason = f"the site has none of these {len(self._strangers)} names"
            yield Refused(self._name, NAMED_BY[self._name], names, self._strangers.total(), reason)


def _numbers(column: pa.Array, number: Callable[[str], int]) -> IntArray:
    """Number of the name of each row; :data:`NOWHERE` where there is none."""
    coded = column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()
    names = coded.dictionary.to_pylist()
    by_code = np.array([NOWHERE if name is None else number(name) for name in names] + [NOWHERE], dtype=np.int64)
    codes = coded.indices.fill_null(len(names)) if coded.null_count else coded.indices
    return np.asarray(by_code[codes.to_numpy(zero_copy_only=False)])


def _panel(grid: Grid, topology: Topology, layouts: Mapping[str, _Layout]) -> Panel:
    rooms, servers, gpus, rows, vms = (layouts[name].sheet for name in ("rooms", "servers", "gpus", "rows", "vms"))
    texts = {name: names.sorted(vms.codes(name)) for name, names in layouts["vms"].texts.items()}
    t_s = grid.first_s + SLOT_S * np.arange(grid.slots, dtype=np.float64)
    power = servers.values("power_w")
    of_gpus = (grid.slots, len(topology.servers), -1)
    return Panel(
        topology=topology,
        t_s=t_s,
        day=np.asarray((t_s - grid.first_s) // DAY_S, dtype=np.int64),
        outdoor_c=rooms.values("outdoor_c"),
        inlet_c=servers.values("inlet_c"),
        server_power_w=power,
        airflow_cfm=servers.values("airflow_cfm"),
        load_frac=gpus.values("load_frac").reshape(of_gpus),
        gpu_power_w=gpus.values("power_w").reshape(of_gpus),
        gpu_c=gpus.values("temperature_c").reshape(of_gpus),
        gpu_memory_c=gpus.values("memory_temperature_c").reshape(of_gpus),
        meter_w=rows.values("meter_power_w"),
        vms=texts["vm"][0],
        vm=texts["vm"][1],
        templates=texts["template"][0],
        vm_template=texts["template"][1].astype(np.int64),
        vm_load_frac=vms.values("load_frac"),
        configurations=texts["configuration"][0],
        vm_configuration=texts["configuration"][1].astype(np.int64),
        room_load_frac=room_load_frac(power, topology),
    )


def room_load_frac(power_w: FloatArray, topology: Topology) -> FloatArray:
    """``[t, m]`` Σ power / Σ nameplate over a room's servers that reported; NaN when fewer than half of them did."""
    nameplate = np.array([topology.site.hardware[name].max_power_w for name in topology.hardware])
    of_server = nameplate[topology.server_hardware]
    inside = (topology.server_room[:, None] == np.arange(len(topology.rooms))).astype(np.float64)
    present = np.isfinite(power_w)
    watts = np.where(present, power_w, 0.0) @ inside
    reporting = (present * of_server) @ inside
    enough = reporting >= LEAST_REPORTING_FRAC * (of_server @ inside)
    return np.asarray(np.where(enough, watts / np.maximum(reporting, 1.0), np.nan))
