"""The queries for one metric: what a slot's reading is, and which slots hold a sample that cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from tapas_opt.domain.history import TABLES
from tapas_opt.telemetry.names import SERVING, Metric
from tapas_opt.telemetry.units import FAN_UNITS, UNITS

__all__ = ["Selection", "stored_name"]

_FAN_HIGHEST = {"rpm": 60_000.0, "fan %": 120.0, "fan frac": 1.2}
"""Small fans of dense servers reach 40,000 turns a minute; above 100 % is a fan that makes up for another."""

SAMPLES_OF_A_QUERY = 5
"""How often an expression is evaluated in a slot; a metric's own samples need none of this."""


@dataclass(frozen=True, slots=True)
class Selection:
    """One name of a metric (none for an expression) over windows of one slot."""

    metric: Metric
    name: str
    step_s: int

    def mean(self) -> str:
        """Reading of a slot, from its own samples: the last one does not live on, so that a gap stays a gap."""
        if self.metric.kind == "counter":
            return f"rate({self._series(self.name)}[{self.step_s}s])"
        if self.metric.kind == "histogram":
            total, count = (f"rate({self._series(self.name + end)}[{self.step_s}s])" for end in ("_sum", "_count"))
            return f"{total} / ({count} > 0)"
        return f"avg_over_time({self._window()})"

    def wrong(self) -> str:
        """Slots in which any sample is beyond physics: their mean would be a lie that looks right."""
        low, high = self._range()
        below = "<=" if self.metric.zero_is_missing else "<"
        tests = []
        if isfinite(low):
            tests.append(f"(min_over_time({self._window()}) {below} {low!r})")
        if isfinite(high):
            tests.append(f"(max_over_time({self._window()}) > {high!r})")
        return " or ".join(tests)

    def count(self, span_s: int) -> str:
        """The series that a span of time has."""
        if self.metric.query:
            return f"({self.metric.query})"
        return f"last_over_time({self._series(stored_name(self.metric, self.name))}[{span_s}s])"

    def _range(self) -> tuple[float, float]:
        """What a sensor can say, in the metric's own unit."""
        if self.metric.unit in FAN_UNITS:
            return 0.0, _FAN_HIGHEST[self.metric.unit]
        table, _, name = self.metric.column.partition(".")
        columns = SERVING.columns if table == SERVING.name else TABLES[table].columns
        column = next(column for column in columns if column.name == name)
        unit = UNITS[self.metric.unit]
        return unit.outside(column.lowest), unit.outside(column.highest)

    def _window(self) -> str:
        if self.metric.query:
            every_s = max(1, self.step_s // SAMPLES_OF_A_QUERY)
            return f"({self.metric.query})[{self.step_s}s:{every_s}s]"
        return f"{self._series(self.name)}[{self.step_s}s]"

    def _series(self, name: str) -> str:
        matchers = [
            f"__name__={_quoted(name)}",
            *(f"{key}=~{_quoted(value)}" for key, value in self.metric.where.items()),
        ]
        return "{" + ",".join(matchers) + "}"


def stored_name(metric: Metric, name: str) -> str:
    """Name under which a metric's samples are kept."""
    return f"{name}_count" if metric.kind == "histogram" else name


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
