"""How long work shows that it goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

__all__ = ["bar", "working"]


@contextmanager
def bar(what: str, total: float, as_json: bool) -> Iterator[Callable[..., None]]:
    """A bar on a terminal, silence elsewhere; call it with ``completed`` or ``advance``, and a new ``description``."""
    if as_json or not sys.stdout.isatty():
        yield lambda **changes: None
        return
    from rich.progress import Progress  # noqa: PLC0415  only a terminal needs it

    with Progress(transient=True) as shown:
        yield partial(shown.update, shown.add_task(what, total=total))


@contextmanager
def working(what: str, as_json: bool) -> Iterator[None]:
    """Say on a terminal that work goes on whose end is not known."""
    if as_json or not sys.stdout.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it

    with Console().status(what):
        yield
