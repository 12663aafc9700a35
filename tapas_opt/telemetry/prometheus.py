"""History out of Prometheus: DCGM, IPMI and Redfish exporters and vLLM, slot by slot, in the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import TABLES
from tapas_opt.domain.topology import Topology
from tapas_opt.telemetry.dense import Block
from tapas_opt.telemetry.hosts import Names
from tapas_opt.telemetry.importing import Part, Span
from tapas_opt.telemetry.names import HOST_LABELS, SERVING, Metric
from tapas_opt.telemetry.prometheus_api import PrometheusApi, Series
from tapas_opt.telemetry.prometheus_series import Keyed, blank, combined
from tapas_opt.telemetry.promql import Selection, stored_name
from tapas_opt.telemetry.sources import Sources
from tapas_opt.telemetry.tally import Tally
from tapas_opt.telemetry.units import FAN_UNITS, UNITS
from tapas_opt.telemetry.vms import vm_block

__all__ = ["PrometheusHistory"]

FloatArray = NDArray[np.float64]

POINTS_AT_ONCE = 500_000
"""Points of one answer: about 80 MB of memory while it is read."""


@dataclass
class PrometheusHistory:
    """Reads one span after another; see :func:`tapas_opt.telemetry.importing.import_history`.

    Attributes
    ----------
    mapping
        From labels to names of the site, where they differ.
    """

    api: PrometheusApi
    topology: Topology
    sources: Sources
    mapping: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        t = self.topology
        self._names: dict[str, Names | _Anything] = {
            "servers": Names(t.servers, self.mapping),
            "gpus": Names(t.servers, self.mapping),
            "rows": Names(t.rows, self.mapping),
            "rooms": Names(t.rooms, self.mapping),
            "serving": _Anything(),
        }
        self._gpus = t.server_gpus

    def read(self, span: Span) -> Part:
        """Every column of one span: the first metric that a server has, and of one metric the first of its names."""
        tally = Tally()
        there = self.api.metric_names(span.start_s, span.end_s)
        blocks: dict[str, Block] = {}
        for table in self._names:
            asked = [
                (metric, name, self._keyed(metric, name, span, tally)) for metric, name in self._to_ask(table, there)
            ]
            if asked:
                blocks[table] = self._block(table, asked, span, tally)
        vms = vm_block(span, self.topology, self.sources, blocks.get("gpus"), blocks.get(SERVING.name), tally)
        if vms is not None:
            blocks["vms"] = vms
        return Part({name: block.to_table() for name, block in blocks.items()}, tally)

    def _to_ask(self, table: str, there: frozenset[str]) -> Iterator[tuple[Metric, str]]:
        """Metrics of a table with those of their names that the source knows, in order of preference."""
        for metric in self.sources.in_order():
            speeds = metric.unit in FAN_UNITS
            if not metric.column.startswith(f"{table}."):
                continue
            if speeds and not np.isfinite(self._fan_factors(metric.unit)).any():
                continue
            if metric.query:
                yield metric, ""
            yield from ((metric, name) for name in metric.names if stored_name(metric, name) in there)

    def _keyed(self, metric: Metric, name: str, span: Span, tally: Tally) -> list[Keyed]:
        """Ask for one metric, and say of each series whose it is."""
        select = Selection(metric, name, span.step_s)
        at_once = POINTS_AT_ONCE // max(1, self.api.count(select.count(span.end_s - span.start_s), span.end_s))
        ask = span.start_s, span.slots, span.step_s, max(1, at_once)
        answer = self.api.in_slots(select.mean(), *ask)
        wrong: list[Series] = []
        if metric.kind == "gauge" and answer:
            wrong = self.api.in_slots(select.wrong(), *ask)
        blank(answer, wrong, metric, tally)
        names = self._names[metric.column.partition(".")[0]]
        keyed = [self._owner(series, metric, names, tally) for series in answer]
        return [item for item in keyed if item is not None]

    def _owner(self, series: Series, metric: Metric, names: Names | _Anything, tally: Tally) -> Keyed | None:
        labels = series.labels
        said = metric.of or next((labels[label] for label in self._labels(metric) if labels.get(label)), "")
        number = names.number(said)
        if number is None:
            tally.miss("hosts", said or "(no label)", int(series.given.sum()))
            return None
        gpu = 0
        if metric.column.startswith("gpus."):
            text = labels.get("gpu", "")
            if not text.isdigit() or int(text) >= self._gpus[number]:
                tally.miss("gpus", f"{names.names[number]}/{text or '(no label)'}", int(series.given.sum()))
                return None
            gpu = int(text)
        return Keyed(number, gpu, labels.get(metric.part, "") if metric.part else "", series)

    def _labels(self, metric: Metric) -> Sequence[str]:
        """Where the name stands: for the usual labels the operator may know better."""
        return self.sources.labels if self.sources.labels and metric.labels == HOST_LABELS else metric.labels

    def _block(self, table: str, answers: Sequence[tuple[Metric, str, list[Keyed]]], span: Span, tally: Tally) -> Block:
        names = self._names[table].names
        width = int(self._gpus.max()) if table == "gpus" else 1
        schema = SERVING if table == SERVING.name else TABLES[table]
        block = Block(schema, span.start_s, span.step_s, span.slots, names, width)
        previous: Metric | None = None
        for metric, name, keyed in answers:
            values = combined(metric, keyed, block.shape, tally)
            values = self._inside(metric, values)
            column = next(c for c in schema.columns if f"{table}.{c.name}" == metric.column)
            block.fill(column, values, tally, name or metric.query, whole=metric is not previous)
            previous = metric
        return block

    def _inside(self, metric: Metric, values: FloatArray) -> FloatArray:
        """Readings in the schema's unit; speeds of fans become air by the factor of the server's hardware."""
        if metric.unit in FAN_UNITS:
            return values * self._fan_factors(metric.unit)[None, :, None]
        unit = UNITS[metric.unit]
        return np.asarray(values * unit.scale + unit.offset)

    def _fan_factors(self, unit: str) -> FloatArray:
        """``[server]`` CFM for one of a unit of speed, NaN where nobody said it."""
        by_hardware = [self.sources.airflow.get(name) for name in self.topology.hardware]
        factors = [(known.factor(unit) if known else None) for known in by_hardware]
        return np.array([np.nan if f is None else f for f in factors])[self.topology.server_hardware]


class _Anything:
    """Names that are not the site's: every label is one, in the order of their first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._numbers)

    def number(self, label: str) -> int | None:
        return self._numbers.setdefault(label, len(self._numbers))
