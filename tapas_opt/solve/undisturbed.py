"""Short work that the collector of cycles shall not fall into."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["undisturbed"]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Python look for garbage afterwards.

    It goes through everything that is alive, which takes longer than to plan for a failure (90 ms beside 55 ms where
    the VMs of 10,000 servers are), and stating a problem is just what makes it begin. Nested calls and those of other
    threads are fine: whoever turned it off turns it on again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
