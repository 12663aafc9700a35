"""A real Prometheus on a free port of this machine, for tests; where it is not installed they are skipped by name."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

READY_S = 30.0

Backfill = Callable[[Path, Sequence[str]], None]
Serve = Callable[..., contextlib.AbstractContextManager[str]]


@pytest.fixture(scope="session")
def real_prometheus() -> tuple[Backfill, Serve]:
    """Two functions: one fills a folder with samples of the past, one serves a folder."""
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed; Debian's package prometheus has both")
    return backfill, prometheus


def backfill(folder: Path, lines: Sequence[str]) -> None:
    """Make blocks of samples in OpenMetrics, ``name{labels} value seconds``, as if they had been scraped then."""
    text = folder / "samples.om"
    text.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def prometheus(folder: Path, config: str = "global: {}\n") -> Iterator[str]:
    """Run it on the data of a folder; its address."""
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_until_ready(f"http://{address}", process, folder / "log")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(URLError, OSError), urlopen(f"{url}/-/ready", timeout=1) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"prometheus did not become ready: {log.read_text()[-2000:]}")
