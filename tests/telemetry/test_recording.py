"""A recording keeps every sample, also when it is killed, and becomes a table of history."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tapas_opt.domain.history import TABLES
from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.recording import Recorder, judge_recording, read_recording, record
from tapas_opt.telemetry.simulated_gpu import SimulatedGpu

META = {"simulated": True, "server": "S1", "started_at_s": 1_000_000.0, "step_s": 1.0}


class Clock:
    """Time that passes when somebody waits; it can be late, and can end a recording."""

    def __init__(self, late_s: float = 0.0, ends_s: float = np.inf) -> None:
        self.now_s, self.late_s, self.ends_s = 50.0, late_s, ends_s

    def now(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds + self.late_s
        return self.now_s >= self.ends_s


def recorded(out: Path, clock: Clock, gpus: int = 2, step_s: float = 1.0, seconds: float | None = 60.0):
    recorder = Recorder(out, META)
    devices = [SimulatedGpu(clock.now, number) for number in range(gpus)]
    by_command = record(devices, recorder, step_s=step_s, seconds=seconds, now=clock.now, wait=clock.wait)
    return recorder.finish("time over"), by_command


def test_every_gpu_is_sampled_at_every_step(tmp_path):
    """60 s in steps of 1 s are 61 samples, the ends included."""
    recording, by_command = recorded(tmp_path, Clock())
    assert not by_command
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpus.parquet", "recording.json", "samples.parquet"]
    for _, rows in recording.samples.groupby("gpu"):
        assert rows.t_s.to_numpy() == pytest.approx(np.arange(61.0))
    assert recording.meta["samples"] == 122
    assert json.loads((tmp_path / "recording.json").read_text())["ended"] == "time over"


def test_a_late_sample_does_not_delay_the_next(tmp_path):
    """Each wait is 0.4 s too long; steps keep to the clock, and a step that was missed is left out."""
    late, _ = recorded(tmp_path / "a", Clock(late_s=0.4), gpus=1, seconds=10.0)
    assert late.samples.t_s.to_numpy()[1:] == pytest.approx(np.arange(1.4, 11.0), abs=0.01)
    slow, _ = recorded(tmp_path / "b", Clock(late_s=1.5), gpus=1, seconds=10.0)
    assert np.diff(slow.samples.t_s)[1:] == pytest.approx(2.0)


def test_the_end_of_a_load_ends_the_recording(tmp_path):
    recording, by_command = recorded(tmp_path, Clock(ends_s=50.0 + 7.0), gpus=1, seconds=None)
    assert by_command
    assert recording.samples.t_s.max() == pytest.approx(6.0)


def test_slot_means_are_a_table_of_the_history_schema(tmp_path):
    """The slots of five minutes are those of the clock: 1,000,000 s lies 100 s into one."""
    recording, _ = recorded(tmp_path, Clock(), gpus=2, seconds=400.0)
    gpus = pd.read_parquet(tmp_path / "gpus.parquet")
    assert list(gpus.columns) == [column.name for column in TABLES["gpus"].columns]
    assert sorted(set(gpus.t_s)) == [999_900.0, 1_000_200.0]
    assert set(gpus.server) == {"S1"}
    first = recording.samples[(recording.samples.gpu == 0) & (recording.samples.t_s < 200.0)]
    row = gpus[(gpus.gpu == 0) & (gpus.t_s == 999_900.0)].iloc[0]
    assert row.power_w == pytest.approx(first.power_w.mean())
    assert row.load_frac == pytest.approx(first.util_frac.mean())
    assert row.temperature_c == pytest.approx(first.temperature_c.mean())


def test_what_a_killed_process_had_sampled_is_read(tmp_path):
    """A process that ends at once in the middle of it, and the last line cut off."""
    code = f"""
import os, pathlib
from tapas_opt.telemetry.recording import Recorder, record
from tapas_opt.telemetry.simulated_gpu import SimulatedGpu
now = [0.0]
def wait(seconds):
    now[0] += seconds
    if now[0] > 20.0:
        os._exit(9)
recorder = Recorder(pathlib.Path({str(tmp_path)!r}), {META!r})
record([SimulatedGpu(lambda: now[0])], recorder, step_s=1.0, seconds=None, now=lambda: now[0], wait=wait)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    raw = tmp_path / "samples.csv"
    raw.write_text(raw.read_text()[:-9])
    killed = read_recording(tmp_path)
    assert killed.meta["ended"] is None
    assert killed.samples.t_s.to_numpy() == pytest.approx(np.arange(20.0))
    assert killed.samples.memory_clock_mhz.isna().all()
    assert set(killed.samples.throttle_reasons) == {"gpu_idle"}


def test_a_recording_reads_back_as_it_was_written(tmp_path):
    recording, _ = recorded(tmp_path, Clock())
    again = read_recording(tmp_path)
    pd.testing.assert_frame_equal(again.samples, recording.samples)
    assert again.meta == recording.meta


def test_a_simulated_gpu_warms_with_a_lag_and_says_that_it_is_none():
    """After the step to 25 % at 60 s its power is 145 W at once; of the 8.5 °C more, 63 % come in 20 s."""
    clock = Clock()
    gpu = SimulatedGpu(clock.now)
    clock.wait(59.0)
    assert gpu.read().temperature_c == 31.0
    clock.wait(1.0 + 20.0)
    sample = gpu.read()
    assert sample.power_w == pytest.approx(145.0, rel=0.05)
    assert sample.temperature_c == pytest.approx(31.0 + 8.5 * 0.63, abs=0.6)
    assert gpu.about["name"] == "simulated"


def test_a_folder_without_a_recording_and_one_that_lacks_columns_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="holds no recording"):
        read_recording(tmp_path)
    recording, _ = recorded(tmp_path, Clock())
    recording.samples.drop(columns="power_w").to_parquet(tmp_path / "samples.parquet")
    with pytest.raises(InvalidInput, match="power_w: is missing"):
        read_recording(tmp_path)


def test_all_faults_are_named_before_anything_is_written(tmp_path):
    (tmp_path / "precious.txt").write_text("keep")
    with pytest.raises(InvalidInput) as refused:
        judge_recording(tmp_path, step_s=0.01, seconds=-1.0)
    assert [fault.where for fault in refused.value.faults] == ["step", "seconds", "out"]
