"""A recording of GPUs: every sample as it comes, and the same as a table of the history schema."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from math import floor, isnan
from pathlib import Path
from typing import Any

import pandas as pd

from tapas_opt import __version__
from tapas_opt.domain.history import TABLES
from tapas_opt.domain.panel import SLOT_S
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.telemetry.nvml import Gpu, GpuSample

__all__ = ["Recorder", "Recording", "judge_recording", "read_recording", "record"]

FORMAT = 1
SHORTEST_STEP_S = 0.1
_META, _SAMPLES, _RAW = "recording.json", "samples.parquet", "samples.csv"
_COLUMNS = ("t_s", "gpu", *(item.name for item in fields(GpuSample)))


@dataclass(frozen=True)
class Recording:
    """What was recorded.

    Attributes
    ----------
    samples
        ``t_s`` (since the start), ``gpu`` and the fields of :class:`GpuSample`.
    meta
        GPUs, their limits, when it was, how it ended, and whether it was simulated.
    """

    samples: pd.DataFrame
    meta: Mapping[str, Any]


class Recorder:
    """Writes samples to a folder as they come; a kill loses none that was written.

    Parameters
    ----------
    out
        Made if it does not exist.
    meta
        What is known of the recording at its start; kept in ``recording.json``.
    """

    def __init__(self, out: Path, meta: Mapping[str, Any]) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._out = out
        self.meta = {"format": FORMAT, "code_version": __version__, **meta, "ended": None}
        self._write_meta()
        self._file = (out / _RAW).open("w", newline="", encoding="utf-8")
        self._lines = csv.writer(self._file)
        self._lines.writerow(_COLUMNS)

    def add(self, t_s: float, gpu: int, sample: GpuSample) -> None:
        """Keep one sample, safe from the end of this process."""
        self._lines.writerow([f"{t_s:.4f}", gpu, *(_cell(value) for value in astuple(sample))])
        self._file.flush()

    def finish(self, ended: str, exit_code: int | None = None) -> Recording:
        """Turn the lines into ``samples.parquet`` and ``gpus.parquet``, and say how it ended."""
        self._file.close()
        samples = _samples_of(self._out / _RAW)
        samples.to_parquet(self._out / _SAMPLES, index=False)
        _slot_means(samples, self.meta).to_parquet(self._out / "gpus.parquet", index=False)
        self.meta |= {"ended": ended, "exit_code": exit_code, "samples": len(samples)}
        self._write_meta()
        (self._out / _RAW).unlink()
        return Recording(samples, self.meta)

    def _write_meta(self) -> None:
        (self._out / _META).write_text(json.dumps(self.meta, indent=1) + "\n", encoding="utf-8")


def judge_recording(out: Path, step_s: float, seconds: float | None) -> None:
    """Refuse what cannot be recorded, before anything is written or started.

    Raises
    ------
    InvalidInput
        Listing every fault: a step below :data:`SHORTEST_STEP_S`, a time that is not positive, a folder in use.
    """
    faults = []
    if not SHORTEST_STEP_S <= step_s < float("inf"):
        faults.append(Fault("step", f"{step_s:g}: must be at least {SHORTEST_STEP_S:g} s"))
    if seconds is not None and not 0 < seconds < float("inf"):
        faults.append(Fault("seconds", f"{seconds:g}: must be a number above 0"))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        faults.append(Fault("out", f"{out}: already holds files; name a new or empty folder"))
    if faults:
        raise InvalidInput("recording", faults)


def record(
    gpus: Sequence[Gpu],
    recorder: Recorder,
    *,
    step_s: float,
    seconds: float | None,
    now: Callable[[], float],
    wait: Callable[[float], bool],
) -> bool:
    """Sample every GPU at every step until the time is over, or ``wait`` says so.

    Steps keep to the clock: a late sample does not delay the next, and steps that were missed are left out.

    Parameters
    ----------
    now, wait
        A clock in s, and how to let some of its seconds pass; ``wait`` answers True when there is no more to record.

    Returns
    -------
    bool
        True when ``wait`` ended it, False when the time was over.
    """
    start_s = now()
    while True:
        for number, gpu in enumerate(gpus):
            sample = gpu.read()
            recorder.add(now() - start_s, number, sample)
        due_s = step_s * (floor((now() - start_s) / step_s + 1e-9) + 1)
        over = seconds is not None and due_s > seconds
        end_s = seconds if over and seconds is not None else due_s
        if wait(max(0.0, end_s - (now() - start_s))):
            return True
        if over:
            return False


def read_recording(folder: Path) -> Recording:
    """Read a recording, also one whose process was killed: then a line that was cut off is left out.

    Raises
    ------
    InvalidInput
        If the folder holds no recording, or one without the columns of a sample.
    """
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        whole = (folder / _SAMPLES).exists()
        samples = pd.read_parquet(folder / _SAMPLES) if whole else _samples_of(folder / _RAW)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        what = f"holds no recording: {why}; make one with: tapas-opt history record"
        raise InvalidInput.one(str(folder), _META, what) from error
    missing = [Fault(name, "is missing") for name in _COLUMNS if name not in samples.columns]
    if missing or not isinstance(meta, dict):
        raise InvalidInput(str(folder), missing or [Fault(_META, "must hold one JSON object")])
    return Recording(samples, meta)


def _cell(value: float | str | None) -> float | str | None:
    """As a cell: what is missing stays empty."""
    if isinstance(value, float):
        return None if isnan(value) else round(value, 4)
    return value


def _samples_of(path: Path) -> pd.DataFrame:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [row for row in csv.reader(line for line in lines if line.endswith("\n")) if len(row) == len(_COLUMNS)]
    frame = pd.DataFrame(rows[1:], columns=list(_COLUMNS)).replace("", None)
    reasons = frame.pop("throttle_reasons")
    numbers = pd.DataFrame({name: pd.to_numeric(frame[name]).astype("float64") for name in frame})
    return numbers.astype({"gpu": "int64"}).assign(throttle_reasons=reasons)


def _slot_means(samples: pd.DataFrame, meta: Mapping[str, Any]) -> pd.DataFrame:
    """The table ``gpus`` of the history schema: utilisation stands for load."""
    slot = (meta["started_at_s"] + samples["t_s"]) // SLOT_S * SLOT_S
    named = samples.rename(columns={"util_frac": "load_frac"}).drop(columns="throttle_reasons")
    means = named.assign(t_s=slot).groupby(["t_s", "gpu"], as_index=False).mean().assign(server=meta["server"])
    return means[[column.name for column in TABLES["gpus"].columns]]
