"""``tapas-opt history record`` and ``characterise`` as a person or a script meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pynvml
import pytest
from typer.testing import CliRunner

from tapas_opt.cli import record as module
from tapas_opt.cli.main import app
from tapas_opt.errors import InvalidInput

run = CliRunner()


@pytest.fixture
def no_gpu() -> None:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return
    pynvml.nvmlShutdown()
    pytest.skip("this machine has an NVIDIA driver")


def test_a_simulated_recording_is_characterised(tmp_path):
    """Ten minutes pass at once; τ and °C per W come out as they went in, and everything says that it was computed."""
    out = str(tmp_path / "recording")
    done = run.invoke(app, ["history", "record", "--out", out, "--simulate", "--seconds", "600", "--json"])
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["simulated"] is True
    assert said["samples"] == 1_201
    found = run.invoke(app, ["history", "characterise", out, "--json"])
    data = json.loads(found.stdout)
    assert data["simulated"] is True
    (gpu,) = data["gpus"]
    assert gpu["core"]["one"]["time_constants_s"][0] == pytest.approx(20.0, rel=0.1)
    assert gpu["core"]["one"]["resistances_c_per_w"][0] == pytest.approx(0.10, rel=0.05)
    assert gpu["memory"]["one"]["time_constants_s"][0] == pytest.approx(30.0, rel=0.1)
    assert gpu["core"]["straight"] is True
    shown = run.invoke(app, ["history", "characterise", out])
    assert "computed, not measured" in shown.stdout


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_there_is_one_clear_error_and_no_folder(tmp_path):
    """Also when a command was given: it is not started."""
    out = tmp_path / "recording"
    command = ["--while", "--", sys.executable, "-c", f"open({str(tmp_path / 'started')!r}, 'w')"]
    done = subprocess.run(
        [sys.executable, "-m", "tapas_opt", "history", "record", "--out", str(out), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "it needs an NVIDIA GPU with its driver, or --simulate" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--seconds: is missing"),
        (["--seconds", "0", "--simulate"], "seconds: 0: must be a number above 0"),
        (["--step", "0.01", "--seconds", "5", "--simulate"], "step: 0.01: must be at least 0.1 s"),
        (["--while"], "--while: goes with a command"),
        (["--seconds", "5", "--", "sleep", "1"], "--while: goes with a command"),
        (["--simulate", "--while", "--", "sleep", "1"], "does not feel the load"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, complaint, tmp_path):
    done = run.invoke(app, ["history", "record", "--out", str(tmp_path / "recording"), *arguments])
    assert isinstance(done.exception, InvalidInput)
    assert complaint in str(done.exception)
    assert not (tmp_path / "recording").exists()


class _RealTime:
    """A computed GPU under a real clock, so that a real command can run beside it."""

    def __enter__(self):
        import time  # noqa: PLC0415

        from tapas_opt.telemetry.simulated_gpu import SimulatedGpu  # noqa: PLC0415

        return [SimulatedGpu(time.monotonic)], time.monotonic, module._sleep

    def __exit__(self, *error):
        return None


@pytest.fixture
def real_time(monkeypatch) -> None:
    monkeypatch.setattr(module, "_gpus", lambda simulate: _RealTime())


def recording_while(out: Path, code: str, *options: str):
    command = ["history", "record", "--out", str(out), "--step", "0.1", *options, "--while", "--json", "--"]
    return run.invoke(app, [*command, sys.executable, "-c", code])


@pytest.mark.usefixtures("real_time")
def test_a_recording_stops_with_its_command_and_passes_its_exit_code_on(tmp_path):
    done = recording_while(tmp_path / "a", "import sys, time; time.sleep(0.4); sys.exit(7)")
    assert done.exit_code == 7
    data = json.loads(done.stdout)
    assert data["ended"] == "command ended"
    assert data["exit_code"] == 7
    assert 3 <= data["samples"] <= 20


@pytest.mark.usefixtures("real_time")
def test_a_command_that_outlasts_the_time_is_ended(tmp_path):
    done = recording_while(tmp_path / "a", "import time; time.sleep(60)", "--seconds", "0.3")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["ended"] == "time over"


@pytest.mark.usefixtures("real_time")
def test_ctrl_c_ends_recording_and_command_and_keeps_the_samples(tmp_path):
    """The load sends this process the signal that a terminal would send on Ctrl-C."""
    code = "import os, signal, time; time.sleep(0.4); os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    done = recording_while(tmp_path / "a", code)
    assert done.exit_code == 130
    data = json.loads(done.stdout)
    assert data["ended"] == "interrupted"
    assert data["samples"] >= 3
    assert (tmp_path / "a" / "gpus.parquet").exists()


@pytest.mark.usefixtures("real_time")
def test_a_command_that_does_not_exist_is_one_clear_error(tmp_path):
    done = run.invoke(app, ["history", "record", "--out", str(tmp_path / "a"), "--while", "--", "no-such-command"])
    assert isinstance(done.exception, InvalidInput)
    assert "no-such-command: does not start" in str(done.exception)
