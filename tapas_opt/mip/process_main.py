"""What runs inside a worker's process: wait for a function, run it, send back its news, and its value or its error."""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any

from tapas_opt.errors import TapasError

__all__ = ["main"]


def main(descriptor: int) -> None:
    """Serve the parent at the other end of the socket until it hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process of the terminal; the parent decides
    Thread(target=_end_with_parent, args=(descriptor,), daemon=True).start()
    parent: Connection[bytes, bytes] = Connection(descriptor)
    try:
        memory_bytes, warm_up = pickle.loads(parent.recv_bytes())
        _cap(memory_bytes)
        parent.send_bytes(_answer(warm_up, (), {}))
        news = _News(parent)
        while True:
            parent.send_bytes(_obey(parent.recv_bytes(), news))
    except (EOFError, OSError):
        return


def _end_with_parent(descriptor: int) -> None:
    """Poll for no event but hang-up, which is always reported.

    The kernel's parent-death signal would not do: it comes when the *thread* that started this process ends.
    """
    poller = select.poll()
    poller.register(descriptor, 0)
    poller.poll()
    os._exit(0)


def _cap(memory_bytes: int | None) -> None:
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not everywhere

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory_bytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


class _News:
    """Sends what a function tells on its way; solvers tell from several threads, and after their end nothing more."""

    def __init__(self, parent: Connection[bytes, bytes]) -> None:
        self._parent = parent
        self._turn = Lock()
        self._run = 0

    def begin(self) -> Callable[[object], None]:
        """What the run that begins now may call."""
        run = self._run = self._run + 1

        def tell(content: object) -> None:
            message = pickle.dumps(("news", content), pickle.HIGHEST_PROTOCOL)
            with self._turn:
                if run == self._run:
                    self._parent.send_bytes(message)

        return tell

    def end(self) -> None:
        """The run is over: its answer follows, and after that the next run's."""
        with self._turn:
            self._run += 1


def _obey(order: bytes, news: _News) -> bytes:
    try:
        function, args, kwargs, tells = pickle.loads(order)
    except Exception as error:
        return _failed(error)
    answer = _answer(function, args, kwargs | ({"tell": news.begin()} if tells else {}))
    news.end()
    return answer


def _answer(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    try:
        return pickle.dumps(("value", function(*args, **kwargs)), pickle.HIGHEST_PROTOCOL)
    except TapasError as error:
        return _refused(error)
    except BaseException as error:  # SystemExit too: whatever happens in here is told, not printed
        return _failed(error)


def _refused(error: TapasError) -> bytes:
    """The error taken apart: its own pickle would call its ``__init__`` with the text alone."""
    try:
        return pickle.dumps(("error", (type(error), error.args, vars(error))), pickle.HIGHEST_PROTOCOL)
    except Exception:
        return _failed(error)


def _failed(error: BaseException) -> bytes:
    return pickle.dumps(("failed", f"{type(error).__name__}: {error}".removesuffix(": ")))
