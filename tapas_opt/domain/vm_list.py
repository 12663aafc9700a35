"""The list of VMs that an operator's allocator has kept: who was asked for, where each ran, from when until when."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter

from tapas_opt.domain.fields import STRICT, Name, NonNegative, field_faults
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import Fault, InvalidInput

__all__ = ["COLUMNS", "Lived", "read_vm_list", "write_vm_list"]

_OF_VM = {"vm": "name"} | {
    name: name
    for name in ("kind", "tenant", "endpoint", "configuration", "priority", "spot", "capping_agreed", "lifetime_s")
}
"""Columns that say what a VM is, and the field of :class:`Vm` that each becomes."""

REQUIRED = ("vm", "kind", "server", "created_s", "deleted_s")
COLUMNS = (*REQUIRED, *(name for name in _OF_VM if name not in REQUIRED))


_SURPLUS = "surplus"
"""Under which a row has its cells beyond the last column."""


@dataclass(frozen=True, slots=True)
class Lived:
    """A VM, and where and when it ran, on the clock of the history beside it.

    Attributes
    ----------
    server
        None for a VM of somewhere else, which this site has never seen.
    deleted_s
        ``inf`` if it was still there when the list was written.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    vm: Vm
    server: Name | None
    created_s: NonNegative
    deleted_s: Annotated[float, Field(ge=0, allow_inf_nan=True)] = inf


_READER: TypeAdapter[Lived] = TypeAdapter(Lived)


def read_vm_list(
    path: Path, servers: Iterable[str] | None, from_s: float = 0.0, until_s: float = inf
) -> tuple[Lived, ...]:
    """Read a list (CSV, one row a VM) that belongs to a history from ``from_s`` until ``until_s``.

    An empty cell is a field that is not stated; an empty ``deleted_s`` a VM that is still there.

    Parameters
    ----------
    servers
        Names of the site's; None where it is not known, and any is believed.

    Raises
    ------
    InvalidInput
        Listing every fault by its line: cells that cannot be, servers that the site does not have, VMs that were
        deleted before they were created, that were listed twice, that shared a server, or whose life lies outside the
        history. What is wrong of every VM alike, since the list belongs to another site or history, is one fault.
    """
    rows = _rows(path)
    lives: dict[int, Lived] = {}
    faults: list[Fault] = []
    for line, row in enumerate(rows, start=2):
        if row.pop(_SURPLUS, None):
            faults.append(Fault(f"line {line}", "has more cells than there are columns"))
        lived, wrong = field_faults(_READER, _nested(row))
        faults += [Fault(f"line {line}, {_column(fault.where)}", fault.what) for fault in wrong]
        if lived is not None:
            lives[line] = lived
    known = None if servers is None else frozenset(servers)
    if known is not None and len(lives) > 1 and not any(lived.server in known for lived in lives.values()):
        faults.append(Fault("column server", "none of the servers is of this site; give the list of its own VMs"))
        known = None
    if len(lives) > 1 and all(_outside(lived, from_s, until_s) for lived in lives.values()):
        faults.append(Fault("column created_s", f"every VM {_outside_words(from_s, until_s)}"))
        from_s, until_s = -inf, inf
    for line, lived in lives.items():
        faults += [Fault(f"line {line}, {name}", what) for name, what in _faults(lived, known, from_s, until_s)]
    faults += [*_twice(lives), *_shared(lives)]
    if faults:
        raise InvalidInput(str(path), faults)
    return tuple(lives.values())


def write_vm_list(path: Path, lives: Sequence[Lived]) -> None:
    """Write the table that :func:`read_vm_list` reads."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for lived in lives:
            cells = {name: getattr(lived.vm, field) for name, field in _OF_VM.items()}
            cells |= {name: getattr(lived, name) for name in ("server", "created_s", "deleted_s")}
            writer.writerow([_cell(cells[name]) for name in COLUMNS])


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restkey=_SURPLUS, restval="")
            rows, there = list(reader), reader.fieldnames or ()
    except OSError as error:
        raise InvalidInput.one(str(path), "file", f"cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput.one(str(path), "file", f"is not a CSV table in UTF-8: {error}") from error
    faults = [Fault(f"column {name}", "is missing") for name in REQUIRED if name not in there]
    faults += [
        Fault(f"column {name}", f"is not known; there are {', '.join(COLUMNS)}")
        for name in there
        if name not in COLUMNS
    ]
    faults += [Fault("file", "holds no VM")] * (not rows and not faults)
    if faults:
        raise InvalidInput(str(path), faults)
    return rows


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are stated; the operator is the tenant of an instance where nobody else is named."""
    stated = {name: cell for name, cell in row.items() if cell != ""}
    vm = {_OF_VM[name]: cell for name, cell in stated.items() if name in _OF_VM}
    if vm.get("kind") == VmKind.SAAS:
        vm.setdefault("tenant", "operator")
    return {"vm": vm} | {name: cell for name, cell in stated.items() if name not in _OF_VM}


def _column(where: str) -> str:
    """The column behind a field's path; that of a VM's name is ``vm``."""
    field = where.removeprefix("vm.")
    return "vm" if field == "name" else field


def _cell(value: object) -> str:
    if value is None or value == inf:
        return ""
    return (
        str(value).lower() if isinstance(value, bool) else f"{value:.12g}" if isinstance(value, float) else str(value)
    )


def _faults(lived: Lived, known: frozenset[str] | None, from_s: float, until_s: float) -> Iterator[tuple[str, str]]:
    """Column and fault of one VM by itself."""
    vm = lived.vm
    if known is not None and lived.server not in known:
        yield "server", f"{lived.server!r}: the site has no such server"
    if not lived.deleted_s > lived.created_s:
        yield "deleted_s", f"{lived.deleted_s:.12g}: must be after created_s, {lived.created_s:.12g}"
    elif _outside(lived, from_s, until_s):
        yield "created_s", _outside_words(from_s, until_s)
    for name in ("endpoint", "configuration"):
        if vm.kind is VmKind.SAAS and getattr(vm, name) is None:
            yield name, "is missing: an instance (saas) serves an endpoint and runs a configuration"
        if vm.kind is VmKind.IAAS and getattr(vm, name) is not None:
            yield name, f"{getattr(vm, name)!r}: an opaque VM (iaas) has none"


def _outside(lived: Lived, from_s: float, until_s: float) -> bool:
    return lived.created_s >= until_s or lived.deleted_s <= from_s


def _outside_words(from_s: float, until_s: float) -> str:
    return f"lives outside the history, which is from {from_s:.12g} until {until_s:.12g} s"


def _twice(lives: Mapping[int, Lived]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for line, lived in lives.items():
        before = first.setdefault(lived.vm.name, line)
        if before != line:
            what = f"{lived.vm.name!r} is on line {before} already; one that has moved needs another name"
            yield Fault(f"line {line}, vm", what)


def _shared(lives: Mapping[int, Lived]) -> Iterator[Fault]:
    """VMs that are on a server while another still is: a server's power cannot be told apart."""
    until: dict[str | None, tuple[float, int]] = {}
    for line, lived in sorted(lives.items(), key=lambda item: item[1].created_s):
        end_s, before = until.get(lived.server, (-inf, 0))
        if lived.created_s < end_s:
            yield Fault(
                f"line {line}, server",
                f"{lived.server!r} ran {lives[before].vm.name!r} (line {before}) until "
                f"{'the end' if end_s == inf else f'{end_s:.12g} s'}; a server runs one VM at a time",
            )
        if lived.deleted_s > end_s:
            until[lived.server] = lived.deleted_s, line
