"""From what a source calls a machine to what the site file calls it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path

from tapas_opt.errors import Fault, InvalidInput

__all__ = ["Names", "read_hosts"]


class Names:
    """The names of one kind of a site's elements, and every way in which a label may say one of them.

    A label is looked up in the operator's mapping first; then as it is, without its port, without its domain, and at
    last without regard to upper and lower case where only one name fits.
    """

    def __init__(self, names: Iterable[str], mapping: Mapping[str, str] | None = None) -> None:
        self.names = tuple(names)
        self._number = {name: i for i, name in enumerate(self.names)}
        self._mapping = dict(mapping or {})
        self._folded: dict[str, int | None] = {}
        for name, i in self._number.items():
            key = name.casefold()
            self._folded[key] = None if key in self._folded else i
        self._known: dict[str, int | None] = {}

    def number(self, label: str) -> int | None:
        """Place of the element in :attr:`names`, or None where the label leads to none."""
        if label not in self._known:
            self._known[label] = self._find(label)
        return self._known[label]

    def _find(self, label: str) -> int | None:
        spellings = list(dict.fromkeys((label, _without_port(label), _short(_without_port(label)))))
        for spelling in spellings:
            if spelling in self._mapping:
                return self._number.get(self._mapping[spelling])
        for spelling in spellings:
            if spelling in self._number:
                return self._number[spelling]
        return next((i for text in spellings if (i := self._folded.get(text.casefold())) is not None), None)


def _without_port(label: str) -> str:
    """``node1:9400`` is node1, ``[::1]:9400`` is ::1, and a bare IPv6 address has no port."""
    if label.startswith("["):
        return label[1:].partition("]")[0]
    host, colon, port = label.rpartition(":")
    return host if colon and port.isdigit() and ":" not in host else label


def _short(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        return host.partition(".")[0]
    return host


def read_hosts(path: Path) -> dict[str, str]:
    """Read a CSV of two columns, ``label`` and ``name``: what a source says, and what the site file says.

    Raises
    ------
    InvalidInput
        Listing every line that is not such a pair, or says two names for one label.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput.one(str(path), "file", f"cannot be read: {error}") from error
    if not rows or [cell.strip() for cell in rows[0]] != ["label", "name"]:
        raise InvalidInput.one(str(path), "line 1", "must be the heading label,name")
    hosts: dict[str, str] = {}
    faults: list[Fault] = []
    for number, row in enumerate(rows[1:], start=2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != 2 or not all(cells):
            faults.append(Fault(f"line {number}", f"{','.join(row)!r}: must be a label and a name"))
        elif hosts.setdefault(cells[0], cells[1]) != cells[1]:
            faults.append(Fault(f"line {number}", f"{cells[0]!r}: has the name {hosts[cells[0]]!r} already"))
    if faults:
        raise InvalidInput(str(path), faults)
    return hosts
