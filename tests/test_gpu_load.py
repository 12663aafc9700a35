"""The load script, without a GPU: its shapes, its shares, and what it says where PyTorch is missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from itertools import islice

import pytest


@pytest.fixture
def script(repository):
    return repository / "benchmarks" / "gpu_load.py"


@pytest.fixture
def load(script):
    spec = importlib.util.spec_from_file_location("gpu_load", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shapes_are_what_their_names_say(load):
    """Steps go up and down by a quarter a minute; bursts last 1 to 15 s, and the same seed draws the same ones."""
    assert [share for _, share, _ in islice(load.phases("stepped", 1), 9)] == [
        0,
        0.25,
        0.5,
        0.75,
        1,
        0.75,
        0.5,
        0.25,
        0,
    ]
    bursts = list(islice(load.phases("bursty", 1), 6))
    assert [kind for kind, *_ in bursts] == ["prefill", "decode", "idle"] * 2
    assert all(1.0 <= seconds <= 15.0 for *_, seconds in bursts)
    assert bursts == list(islice(load.phases("bursty", 1), 6))
    assert bursts != list(islice(load.phases("bursty", 2), 6))
    assert next(load.phases("steady", 1))[:2] == ("prefill", 1.0)
    assert next(load.phases("decode", 1))[:2] == ("decode", 1.0)


def test_work_takes_its_share_of_the_time(load):
    """Half of 0.4 s, in calls of 5 ms."""
    worked: list[float] = []

    def work() -> None:
        started = time.monotonic()
        time.sleep(0.005)
        worked.append(time.monotonic() - started)

    started = time.monotonic()
    load.run(iter([("prefill", 0.5, 60.0)]), {"prefill": work}, seconds=0.4)
    assert time.monotonic() - started == pytest.approx(0.4, abs=0.15)
    assert 0.1 < sum(worked) < 0.3


def test_without_pytorch_it_says_what_it_needs(script):
    if importlib.util.find_spec("torch"):
        pytest.skip("PyTorch is installed here")
    done = subprocess.run([sys.executable, script, "steady"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip() == "gpu_load: needs PyTorch with CUDA (package torch), which the project does not install"
    )
