"""The parent's end of a worker's process; the other end is `tapas_opt.mip.process_main`."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tapas_opt.errors import DeadlinePassed, TapasError, WorkerFailed

__all__ = ["Process"]

START_LIMIT_S = 60.0
"""A process that is not ready by then never will be."""

LOOK_S = 0.02
"""How often a run that may be cancelled looks whether it was."""

CANCELLED = "the run was cancelled"

MESSAGE_BYTES = 2**28
"""A longer answer is not read: no plan is, and it would fill the memory of the process that asked."""

PROTOCOL = pickle.HIGHEST_PROTOCOL

BOOT = """\
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
import sys
sys.path[:] = {path!r}
from tapas_opt.mip.process_main import main
main({descriptor})
"""


class Process:
    """A process of the operating system that runs functions, and the socket to it.

    It is started by `subprocess`, not `multiprocessing`: that would run the parent's ``__main__`` again in each
    process, which is a whole command line for a console script and an endless loop for a script without a guard.
    """

    def __init__(self, warm_up: Callable[[], object], memory_bytes: int | None) -> None:
        self._socket, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _boot(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the command line's stdout is for its answer alone
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C in the terminal must not reach it
            )
        self._started = time.monotonic()
        self._ready = False
        self._reusable = True
        self._lock = threading.Lock()
        self._ended_by: TapasError | None = None
        self._busy = False
        self.runs = 0
        with suppress(OSError):  # died already: the first wait finds out
            self._socket.send_bytes(pickle.dumps((memory_bytes, warm_up), PROTOCOL))

    @property
    def pid(self) -> int:
        """The operating system's number for it."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def begin(self) -> None:
        """From here on `end` ends the process."""
        self._busy = True

    def finish(self) -> bool:
        """From here on `end` has no effect; whether the process may run another function."""
        with self._lock:
            self._busy = False
            return self._reusable and self._ended_by is None

    def end(self, why: str | TapasError) -> bool:
        """End the process if it is busy; whoever waits for it gets ``why``."""
        with self._lock:
            if self._busy:
                self._ended_by = WorkerFailed(why) if isinstance(why, str) else why
                self._process.kill()
            return self._busy

    def discard(self) -> None:
        """End the process, busy or not, and reap it."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)
        self._socket.close()

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait for the warm-up to end; its error is raised as `WorkerFailed`."""
        if not self._ready and self._socket.poll(max(0.0, timeout_s)):
            self._value()
            self._ready = True
        if not self._ready and time.monotonic() - self._started > START_LIMIT_S:
            self._reusable = False
        return self._ready

    def ask(
        self,
        order: bytes,
        timeout_s: float,
        too_late: DeadlinePassed,
        *,
        on_news: Callable[[Any], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Any:
        """Send a pickled ``(function, args, kwargs, whether it tells news)`` and return the function's value.

        Sending and receiving may both block for good, so a timer ends the process, which ends them.
        """
        timer = threading.Timer(max(0.0, timeout_s), self.end, [too_late])
        timer.daemon = True
        timer.start()
        try:
            self.runs += 1
            self._send(order)
            return self._value(on_news, cancel)
        finally:
            timer.cancel()

    def _send(self, order: bytes) -> None:
        with suppress(ConnectionError):  # the process ended: reading tells why
            self._socket.send_bytes(order)

    def _value(self, on_news: Callable[[Any], None] | None = None, cancel: threading.Event | None = None) -> Any:
        """Read up to an answer; unless it is a value or a `TapasError`, the process is not used again."""
        reusable, self._reusable = self._reusable, False
        while True:
            self._wait(cancel)
            kind, content = self._read()
            if kind != "news":
                break
            if on_news is not None:
                on_news(content)
        if kind == "failed":
            raise WorkerFailed(content)
        self._reusable = reusable
        if kind == "error":
            raise _rebuilt(*content)
        return content

    def _wait(self, cancel: threading.Event | None) -> None:
        """Wait for a message, unless nobody can cancel; a run that is cancelled ends with its process."""
        while cancel is not None and not self._socket.poll(LOOK_S):
            if cancel.is_set():
                self.end(CANCELLED)
                return

    def _read(self) -> tuple[str, Any]:
        try:
            return _opened(self._socket.recv_bytes(MESSAGE_BYTES))
        except (EOFError, OSError):  # it ended, be it in the middle of a message
            raise self._why_it_ended() from None

    def _why_it_ended(self) -> TapasError:
        if not self._socket.readable:
            return WorkerFailed(f"the worker sent a message of more than {MESSAGE_BYTES:,} bytes")
        code = self._process.wait()
        if self._ended_by is not None:
            return self._ended_by
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return WorkerFailed(f"the worker's process ended with {how}")


def _boot(descriptor: int) -> str:
    path = [entry for entry in sys.path if isinstance(entry, str)]
    return BOOT.format(path=path, descriptor=descriptor)


def _opened(answer: bytes) -> tuple[str, Any]:
    try:
        kind, content = pickle.loads(answer)
    except Exception as error:
        return "failed", f"the worker's answer cannot be read: {type(error).__name__}: {error}"
    return kind, content


def _rebuilt(kind: type[TapasError], args: tuple[Any, ...], fields: dict[str, Any]) -> TapasError:
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error
