"""A server of the drill's own: a process on a free port, which ends whatever happens to the drill."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tapas_opt.errors import ServerUnreachable

__all__ = ["ServerProcess", "server_process"]

START_S, END_S = 180.0, 20.0
_TERMINATED = 128 + signal.SIGTERM


class ServerProcess:
    """A running ``tapas-opt serve``; ``address`` is where it answers."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self.address = self._address()

    def wait(self) -> NoReturn:
        """Wait until it ends, which it does not do by itself."""
        self._process.wait()
        raise ServerUnreachable(f"the server ended: {self._last_words()}")

    def _address(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_S)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise ServerUnreachable(f"the server did not start: {self._last_words()}")
        return str(json.loads(line)["address"])

    def _last_words(self) -> str:
        said = self._log.read_text(encoding="utf-8").strip().splitlines()
        return said[-1].removeprefix("tapas-opt: ") if said else "it said nothing"


@contextmanager
def server_process(site: Path, log: Path, *, route_every_s: float) -> Iterator[ServerProcess]:
    """Start a server with a journal of its own; it has ended when this is left, also by Ctrl-C or SIGTERM.

    Parameters
    ----------
    log
        Where its standard error goes.

    Raises
    ------
    ServerUnreachable
        It did not start; with the last line that it wrote.
    """
    with _sigterm_unwinds(), tempfile.TemporaryDirectory(prefix="tapas-opt-") as state, log.open("w") as errors:
        command = [sys.executable, "-m", "tapas_opt", "serve", "--port", "0", "--clock", "telemetry", "--json"]
        command += ["--route-every", f"{route_every_s:g}"]
        # The drill asks by itself, at times of its day; what comes unasked comes by the wall's clock.
        command += ["--arm-every", "0", "--settle-after", "0"]
        command += ["--site", str(site), "--state", str(Path(state) / "state.sqlite")]
        # A session of its own: Ctrl-C in a terminal reaches the drill, which ends its server after its last call.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            yield ServerProcess(process, log)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Ask it to end; a server that does not, or a second Ctrl-C, is no reason to leave it behind."""
    try:
        process.terminate()
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """SIGTERM leaves through every ``finally``, as Ctrl-C does, instead of ending this process on the spot."""

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
