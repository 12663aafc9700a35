"""What an import read, left out and did not know: counted, so that nothing disappears in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

__all__ = ["Tally"]


class Tally:
    """Counts of one part of an import, or of all of them.

    Attributes
    ----------
    read
        Readings in the tables, by ``table.column``.
    dropped
        Readings that were left out, by ``table.column`` and reason.
    unknown
        Readings of elements that the site does not have, by kind and the name that the source gives.
    used
        Where each column comes from: metrics or files, with the readings that each gave.
    """

    def __init__(self) -> None:
        self.read: Counter[str] = Counter()
        self.dropped: dict[str, Counter[str]] = {}
        self.unknown: dict[str, Counter[str]] = {}
        self.used: dict[str, Counter[str]] = {}

    def drop(self, column: str, reason: str, count: int) -> None:
        """Count readings of a column that were left out."""
        if count:
            self.dropped.setdefault(column, Counter())[reason] += int(count)

    def miss(self, kind: str, name: str, count: int = 1) -> None:
        """Count readings of an element that is not the site's."""
        self.unknown.setdefault(kind, Counter())[name] += int(count)

    def use(self, column: str, source: str, count: int) -> None:
        """Count readings that a source gave to a column."""
        if count:
            self.read[column] += int(count)
            self.used.setdefault(column, Counter())[source] += int(count)

    def add(self, other: Tally) -> None:
        """Take another part's counts in."""
        self.read.update(other.read)
        for mine, its in ((self.dropped, other.dropped), (self.unknown, other.unknown), (self.used, other.used)):
            for name, counts in its.items():
                mine.setdefault(name, Counter()).update(counts)

    def to_json(self) -> dict[str, Any]:
        """Plain mappings, sorted by name."""

        def plain(groups: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
            return {name: dict(sorted(groups[name].items())) for name in sorted(groups)}

        return {
            "read": dict(sorted(self.read.items())),
            "dropped": plain(self.dropped),
            "unknown": plain(self.unknown),
            "used": plain(self.used),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Tally:
        """What :meth:`to_json` gave."""
        tally = cls()
        tally.read.update(raw["read"])
        for mine, its in ((tally.dropped, raw["dropped"]), (tally.unknown, raw["unknown"]), (tally.used, raw["used"])):
            mine.update({name: Counter(counts) for name, counts in its.items()})
        return tally
