"""History out of a folder of Redfish documents, kept by machine and time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import TABLES
from tapas_opt.domain.plausible import in_range
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.telemetry.dense import Block, mean_in_slots
from tapas_opt.telemetry.hosts import Names
from tapas_opt.telemetry.importing import DAY_S, Part, Span
from tapas_opt.telemetry.redfish import Reading, best, readings_of
from tapas_opt.telemetry.sources import Airflow
from tapas_opt.telemetry.tally import Tally
from tapas_opt.telemetry.units import CFM_PER_M3_S, column_of

__all__ = ["RedfishHistory"]

FloatArray = NDArray[np.float64]

_SHOWN = 10
_SERVER_COLUMNS = ("inlet_c", "power_w", "airflow_cfm")


@dataclass
class RedfishHistory:
    """Documents at ``<folder>/<machine>/<time>…``; see :func:`tapas_opt.telemetry.importing.import_history`.

    The time is that of a folder of documents, or the name of a file with one document or a list of them: Unix seconds
    or ISO 8601, such as ``20260105T120000Z``. A machine is a server, or what meters a row.

    Attributes
    ----------
    airflow
        By hardware: without it a speed of fans is no airflow, and airflow is missing.
    """

    folder: Path
    step_s: int
    topology: Topology
    airflow: Mapping[str, Airflow] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)
    _days: dict[int, list[tuple[str, float, list[Path]]]] = field(default_factory=dict, init=False)

    def find(self) -> list[Span]:
        """Days that have documents.

        Raises
        ------
        InvalidInput
            If there is none, or listing those whose place says no time.
        """
        snapshots: dict[tuple[str, str], list[Path]] = {}
        for file in sorted(self.folder.glob("*/**/*.json")):
            machine, moment = file.relative_to(self.folder).parts[:2]
            snapshots.setdefault((machine, moment.removesuffix(".json")), []).append(file)
        if not snapshots:
            what = "holds no document; expected <machine>/<time>.json or <machine>/<time>/….json"
            raise InvalidInput.one(str(self.folder), "folder", what)
        faults: list[Fault] = []
        for (machine, moment), files in snapshots.items():
            t_s = _time(moment)
            if t_s is None:
                what = f"{moment!r}: must be a time: Unix seconds, or like 20260105T120000Z"
                faults.append(Fault(f"{machine}/{moment}", what))
                continue
            self._days.setdefault(int(t_s // DAY_S) * DAY_S, []).append((machine, t_s, files))
        if faults:
            more = [Fault("folder", f"{len(faults) - _SHOWN} more")] if len(faults) > _SHOWN else []
            raise InvalidInput(str(self.folder), faults[:_SHOWN] + more)
        return [Span(day, day + DAY_S, self.step_s) for day in sorted(self._days)]

    def read(self, span: Span) -> Part:
        """Servers and rows of one day."""
        tally = Tally()
        servers, rows = Names(self.topology.servers, self.mapping), Names(self.topology.rows, self.mapping)
        samples: dict[str, list[tuple[int, int, float]]] = {}
        meters: dict[tuple[int, str], list[tuple[int, float]]] = {}
        for machine, t_s, files in self._days[span.start_s]:
            readings = _readings(files, tally)
            slot = int((t_s - span.start_s) // span.step_s)
            server, row = servers.number(machine), rows.number(machine)
            if server is None and row is None:
                tally.miss("hosts", machine, len(readings))
            elif server is not None:
                for column, value in self._server(server, readings):
                    samples.setdefault(column, []).append((slot, server, value))
            elif row is not None and (meter := best(readings, "rows.meter_power_w")) is not None:
                meters.setdefault((row, machine), []).append((slot, meter))
        tables = {"servers": self._servers(samples, span, tally), "rows": self._rows(meters, span, tally)}
        return Part({name: block.to_table() for name, block in tables.items()}, tally)

    def _server(self, server: int, readings: list[Reading]) -> Iterable[tuple[str, float]]:
        for column in ("inlet_c", "power_w"):
            value = best(readings, f"servers.{column}")
            if value is not None:
                yield column, value
        air = self._air(server, readings)
        if air is not None:
            yield "airflow_cfm", air

    def _air(self, server: int, readings: list[Reading]) -> float | None:
        """Airflow as the machine says it, or from the mean speed of its fans where the factor is known."""
        for unit, scale in (("cfm", 1.0), ("m3/min", CFM_PER_M3_S / 60.0)):
            said = best(readings, "servers.airflow_cfm", unit)
            if said is not None:
                return said * scale
        known = self.airflow.get(self.topology.hardware[self.topology.server_hardware[server]])
        for unit in ("rpm", "fan %"):
            speed = best(readings, "servers.airflow_cfm", unit)
            factor = None if known is None else known.factor(unit)
            if speed is not None and factor is not None:
                return speed * factor
        return None

    def _servers(self, samples: Mapping[str, list[tuple[int, int, float]]], span: Span, tally: Tally) -> Block:
        block = Block(TABLES["servers"], span.start_s, span.step_s, span.slots, self.topology.servers, 1)
        for name in _SERVER_COLUMNS:
            if name in samples:
                slot, server, value = (np.array(part) for part in zip(*samples[name], strict=True))
                column = column_of(f"servers.{name}")
                believed = in_range(value, column)
                tally.drop(f"servers.{name}", "outside the physical range", int((~believed).sum()))
                slot, server, value = slot[believed], server[believed], value[believed]
                values = mean_in_slots(block.shape, slot, server, np.zeros_like(slot), value)
                block.fill(column, values, tally, "Redfish")
        return block

    def _rows(self, meters: Mapping[tuple[int, str], list[tuple[int, float]]], span: Span, tally: Tally) -> Block:
        """What a row's meters read together; missing where one of them is."""
        block = Block(TABLES["rows"], span.start_s, span.step_s, span.slots, self.topology.rows, 1)
        total = np.full(block.shape, np.nan)
        for row in {row for row, _ in meters}:
            each = [_slot_means(points, span.slots) for (its, _), points in meters.items() if its == row]
            total[:, row, 0] = np.sum(each, axis=0)
        block.fill(column_of("rows.meter_power_w"), total, tally, "Redfish")
        return block


def _slot_means(points: list[tuple[int, float]], slots: int) -> FloatArray:
    slot, value = (np.array(part) for part in zip(*points, strict=True))
    none = np.zeros_like(slot)
    return mean_in_slots((slots, 1, 1), slot, none, none, value)[:, 0, 0]


def _readings(files: list[Path], tally: Tally) -> list[Reading]:
    """Readings of one machine at one time; a file that is no JSON is counted."""
    readings: list[Reading] = []
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            tally.drop("documents", "not JSON", 1)
            continue
        for document in content if isinstance(content, list) else [content]:
            readings += readings_of(document) if isinstance(document, dict) else []
    return readings


def _time(text: str) -> float | None:
    """Unix time of a name, or None where it is none."""
    try:
        if text.isdigit() and len(text) <= 11:
            return float(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
