"""How long work shows that it goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

__all__ = ["bar"]


@contextmanager
def bar(what: str, total: float, as_json: bool) -> Iterator[Callable[..., None]]:
    """A bar on a terminal, silence elsewhere; call it with ``completed`` or ``advance``, and a new ``description``."""
    if as_json or not sys.stdout.isatty():
        yield lambda **changes: None
        return
    from rich.progress import Progress  # noqa: PLC0415  only a terminal needs it

    with Progress(transient=True) as shown:
        yield partial(shown.update, shown.add_task(what, total=total))
