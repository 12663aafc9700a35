"""Failures as a page tells them: those at the same time are one emergency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tapas_opt.plot.words import element, listed
from tapas_opt.simulation.record import Outage, Record

__all__ = ["Emergency", "emergencies", "relief_told"]

_NAMED_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class Emergency:
    """Failures that begin and end together, as in every room at once; ``numbers`` are their places in the run."""

    outages: tuple[Outage, ...]
    numbers: tuple[int, ...]

    @property
    def from_s(self) -> float:
        """When it begins."""
        return self.outages[0].from_s

    @property
    def until_s(self) -> float:
        """When it ends."""
        return self.outages[0].until_s

    @property
    def label(self) -> str:
        """Its first failure, and how many there are besides: ``ups:U2 +1``."""
        more = len(self.outages) - 1
        return self.outages[0].label + (f" +{more}" if more else "")

    @property
    def title(self) -> str:
        """What fails, as a sentence without its end."""
        named = [element(outage.label) for outage in self.outages]
        hidden = len(named) - _NAMED_AT_MOST
        shown = named if hidden <= 0 else [*named[:_NAMED_AT_MOST], f"{hidden} more"]
        text = f"{listed(shown)} {'fails' if len(named) == 1 else 'fail'}"
        return text[:1].upper() + text[1:]

    def relief_s(self, record: Record) -> float:
        """Seconds until every UPS was within its capacity; ``inf`` for never, NaN where nobody looked."""
        known = [record.relief_s[i] for i in self.numbers if i < len(record.relief_s)]
        return max(known, default=float("nan"))


def emergencies(outages: Sequence[Outage]) -> list[Emergency]:
    """The failures of a run in order of time, those at the same time taken together."""
    together: dict[tuple[float, float], list[int]] = {}
    for number, outage in enumerate(outages):
        together.setdefault((outage.from_s, outage.until_s), []).append(number)
    return [Emergency(tuple(outages[i] for i in found), tuple(found)) for _, found in sorted(together.items())]


def relief_told(records: Sequence[Record], emergency: Emergency) -> str:
    """When each policy had every UPS within its capacity; nothing where nobody looked."""
    told = [(record.policy, emergency.relief_s(record)) for record in records]
    parts = [f"{policy} {_relief_words(relief_s)}" for policy, relief_s in told if not math.isnan(relief_s)]
    return f"UPSs: {'; '.join(parts)}." if parts else ""


def _relief_words(relief_s: float) -> str:
    if relief_s == 0.0:
        return "never overloaded one"
    if math.isinf(relief_s):
        return "did not relieve them before the failure was over, or one tripped"
    return f"had every one within its capacity after {relief_s:.0f} s"
