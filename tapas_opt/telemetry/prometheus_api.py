"""The part of Prometheus' HTTP API that reading history needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.http import JsonClient

__all__ = ["PrometheusApi", "Series"]

FloatArray = NDArray[np.float64]

MOST_POINTS = 11_000
"""Points of one series that a server gives in one answer."""

PATIENCE_S = 60
"""How long an answer may take; the server gives up a little before, and says so, and the query is cut in halves."""

_TOO_MUCH = ("too many samples", "exceeded maximum resolution", "timed out", "timeout", "too large", "limit")
_END_OF_SLOT_S = 0.001
"""A slot is asked for one millisecond before its end: its first instant belongs to it, that of the next does not."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: its labels, and a value for each slot, NaN where there is none.

    ``given`` says where the source gave a value at all: a NaN of its own is not the same as none.
    """

    labels: Mapping[str, str]
    values: FloatArray
    given: NDArray[np.bool_]


class PrometheusApi:
    """Range queries in slots, however long and wide they are."""

    def __init__(self, client: JsonClient) -> None:
        self._client = client
        self.warnings: set[str] = set()

    def metric_names(self, start_s: float, end_s: float) -> frozenset[str]:
        """Names of all metrics that have a sample between two times."""
        times = {"start": _text(start_s), "end": _text(end_s)}
        return frozenset(str(name) for name in self._data("/api/v1/label/__name__/values", times))

    def count(self, expression: str, at_s: float) -> int:
        """How many series an instant query gives."""
        data = self._data("/api/v1/query", {"query": f"count({expression})", "time": _text(at_s)})
        result = data["result"] if isinstance(data, dict) else []
        return int(float(result[0]["value"][1])) if result else 0

    def in_slots(self, query: str, start_s: int, slots: int, step_s: int, at_once: int) -> list[Series]:
        """Values of a query whose windows reach back one slot, each at the end of its slot.

        Parameters
        ----------
        at_once
            Slots to ask for in one request; fewer where the server says that it was too much.

        Raises
        ------
        InvalidInput
            If the server refuses the query.
        ServerUnreachable
            If it does not answer.
        """
        merged: dict[tuple[tuple[str, str], ...], Series] = {}
        waiting = [
            (first, min(at_once, MOST_POINTS, slots - first))
            for first in range(0, slots, max(1, min(at_once, MOST_POINTS)))
        ]
        while waiting:
            first, count = waiting.pop()
            answer = self._range(query, start_s + first * step_s, count, step_s)
            if answer is None:
                waiting += [(first, count // 2), (first + count // 2, count - count // 2)]
                continue
            for item in answer:
                labels = dict(item["metric"])
                empty = Series(labels, np.full(slots, np.nan), np.zeros(slots, dtype=bool))
                series = merged.setdefault(tuple(sorted(labels.items())), empty)
                _place(series, item["values"], start_s, step_s)
        return [merged[key] for key in sorted(merged)]

    def _range(self, query: str, start_s: int, slots: int, step_s: int) -> list[Any] | None:
        """Series of one request, or None where the server finds it too much and it can be cut."""
        first = start_s + step_s - _END_OF_SLOT_S
        parameters = {
            "query": query,
            "start": _text(first),
            "end": _text(first + (slots - 1) * step_s),
            "step": str(step_s),
            "timeout": f"{PATIENCE_S - 5}s",
        }
        status, answer = self._client.get("/api/v1/query_range", parameters)
        if status != 200 and slots > 1 and any(word in _error(answer).lower() for word in _TOO_MUCH):
            return None
        data = self._judged("/api/v1/query_range", status, answer, query)
        return list(data["result"])

    def _data(self, path: str, parameters: Mapping[str, str]) -> Any:
        status, answer = self._client.get(path, parameters)
        return self._judged(path, status, answer, parameters.get("query", ""))

    def _judged(self, path: str, status: int, answer: Any, query: str) -> Any:
        if status != 200 or not isinstance(answer, dict) or answer.get("status") != "success":
            said = _error(answer) or "no answer of Prometheus' API; is this its address?"
            what = f"status {status}: {said}" + (f"; the query was {query}" if query else "")
            raise InvalidInput.one(self._client.url, path, what)
        self.warnings.update(str(text) for text in answer.get("warnings", ()))
        return answer["data"]


def _place(series: Series, points: list[Any], start_s: int, step_s: int) -> None:
    """Write points, each at the end of a slot, into the slots of a series."""
    times = np.array([point[0] for point in points], dtype=np.float64)
    slot = np.rint((times + _END_OF_SLOT_S - start_s) / step_s).astype(np.int64) - 1
    inside = (slot >= 0) & (slot < len(series.values))
    values = np.array([point[1] for point in points]).astype(np.float64)
    series.values[slot[inside]] = values[inside]
    series.given[slot[inside]] = True


def _error(answer: Any) -> str:
    return str(answer.get("error", "")) if isinstance(answer, dict) else ""


def _text(t_s: float) -> str:
    return f"{t_s:.3f}"
