"""Files that a command names, read one after the other so that one message tells all that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tapas_opt.errors import Fault, InvalidInput

__all__ = ["tried"]

_T = TypeVar("_T")


def tried(faults: list[Fault], named_by: str | None, read: Callable[[], _T]) -> _T | None:
    """What is read, or None where something is wrong with it, which is added to the faults.

    Parameters
    ----------
    named_by
        Which option, or field of another file, names the file; None where faults say by themselves what they are about.
    """
    try:
        return read()
    except InvalidInput as error:
        about = _about(named_by, error.subject)
        faults += error.faults if about is None else [_within(about, fault) for fault in error.faults]
        return None


def _about(named_by: str | None, subject: str) -> str | None:
    """What names the file, and the file; ``--history history`` would say nothing that ``--history`` does not."""
    return named_by if named_by is None or named_by == f"--{subject}" else f"{named_by} {subject}"


def _within(about: str, fault: Fault) -> Fault:
    """A fault of a file, or of what is in it."""
    return Fault(about if fault.where == "file" else f"{about}, {fault.where}", fault.what)
