"""Files that a command names, read one after the other so that one message tells all that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tapas_opt.errors import Fault, InvalidInput

__all__ = ["tried"]

_T = TypeVar("_T")


def tried(faults: list[Fault], option: str | None, read: Callable[[], _T]) -> _T | None:
    """What is read, or None where something is wrong with it, which is added to the faults.

    Parameters
    ----------
    option
        Which option names the file; None where faults say by themselves what they are about.
    """
    try:
        return read()
    except InvalidInput as error:
        about = "" if option is None else f"{option} {error.subject}, "
        faults += [Fault(about + fault.where, fault.what) for fault in error.faults]
        return None
