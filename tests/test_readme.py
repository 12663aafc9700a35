"""What README shows is what happens: its examples are run as they stand."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
EXAMPLE = re.compile(
    r"<!-- run -->\n```(?P<language>\w+)\n(?P<code>.*?)^```\n(?:\n<!-- prints -->\n```text\n(?P<prints>.*?)^```\n)?",
    flags=re.MULTILINE | re.DOTALL,
)
PORT = "50051"
RUNNERS = {"bash": ["bash", "-eu", "-o", "pipefail", "-c"], "python": [sys.executable, "-W", "error", "-c"]}
SLOWEST_S = 120


def examples() -> list[re.Match[str]]:
    return list(EXAMPLE.finditer((REPOSITORY / "README.md").read_text(encoding="utf-8")))


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like a checkout, so that an example leaves nothing behind in this one."""
    for name in ("data", "models"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    return tmp_path


def run(language: str, code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it in a session of its own: what it starts and does not stop must not outlive the test."""
    process = subprocess.Popen(
        [*RUNNERS[language], code.replace(PORT, free_port())],
        cwd=folder,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=SLOWEST_S)  # returns once everything that it started has let go of them
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.parametrize("example", examples(), ids=lambda match: match["code"].split("\n", 1)[0][:40])
def test_an_example_does_what_it_says(example, checkout):
    """The first thing that anybody tries."""
    done = run(example["language"], example["code"], checkout)
    assert done.returncode == 0, done.stderr
    rest = done.stdout
    for line in (example["prints"] or "").splitlines():
        assert line in rest, f"not printed (in this order): {line}\n{done.stdout}"
        rest = rest[rest.index(line) + len(line) :]


def test_every_marked_example_is_run():
    """A mark that the pattern does not match would be an example that nobody runs."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(examples()) == text.count("<!-- run -->") >= 3
    assert sum(match["prints"] is not None for match in examples()) == text.count("<!-- prints -->")
    assert len(examples()) == len(re.findall(r"^```(?:bash|python)$", text, flags=re.MULTILINE))


def test_an_example_that_fails_is_noticed(checkout):
    """The test can fail."""
    assert run("bash", "false\ntrue\n", checkout).returncode != 0
    assert run("python", "raise SystemExit(3)", checkout).returncode == 3
