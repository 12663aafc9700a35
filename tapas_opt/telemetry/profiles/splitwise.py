"""Splitwise's performance model as profiles: prefill and decode times of Llama 2 70B and BLOOM 176B in fp16.

Measured are prompt and token times by batch and, on A100, power as a fraction of the limit. On H100 the table has no
power: that of its simulator is taken (700 W while prompts are read, 380 W between tokens). Capped GPUs are left out,
since nothing says at how many watts they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tapas_opt.domain.configuration import Profile
from tapas_opt.telemetry.profiles.measured import ACCELERATORS, Engine, Group, engines_of, replicas_fit
from tapas_opt.telemetry.profiles.sheet import Columns, Number, Words, read_sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILE", "read_splitwise"]

FILE = "perf_model.csv.gz"

_GPUS = {"a100-80gb": "A100", "h100-80gb": "H100"}
_CAPPED = "h100-80gb-pcap"
_MODELS = {"llama2-70b": (69e9, 328e3, 1.0), "bloom-176b": (176e9, 4.01e6, 0.85)}
"""Parameters, bytes of keys and values of a token, and the quality assumed of answers (not measured)."""

_H100_READ_W, _H100_DECODE_W = 700.0, 380.0
_PROMPT, _OUTPUT = 512, 128
"""The run that every batch was measured with."""

_LONGEST_PROMPT = 4_096
"""Up to here the time of a prompt is nearly linear; 99 % of the Azure traces' conversations are shorter."""

_LEAST_BATCH = 8
"""Smaller ones are there to be measured, not to be run."""

_COLUMNS: Columns = {
    "model": Words(tuple(_MODELS)),
    "hardware": Words((*_GPUS, _CAPPED)),
    "tensor_parallel": Number(most=64),
    "prompt_size": Number(most=1e6),
    "batch_size": Number(most=1e5),
    "token_size": Number(most=1e6),
    "prompt_time": Number(most=1e7),
    "token_time": Number(most=1e6),
    "peak_power": Number(most=1.5, zero_is_missing=True),
    "average_power": Number(most=1.5, zero_is_missing=True),
}


def read_splitwise(path: Path) -> tuple[Profile, ...]:
    """Profiles of every model, GPU and tensor parallelism that was measured with several batches.

    Raises
    ------
    InvalidInput
        Listing every fault by line and column.
    """
    table = read_sheet(path, _COLUMNS)
    table = table[table.hardware != _CAPPED]
    groups = table.groupby(["model", "hardware", "tensor_parallel"])
    return tuple(profile for _, rows in groups for profile in _profiles(rows))


def _profiles(rows: pd.DataFrame) -> Iterator[Profile]:
    model, hardware, gpus = rows.model.iloc[0], rows.hardware.iloc[0], rows.tensor_parallel.iloc[0]
    parameters, kv_bytes, quality = _MODELS[model]
    short = rows[(rows.batch_size == 1) & (rows.prompt_size <= _LONGEST_PROMPT)]
    alone = short.groupby("prompt_size").prompt_time.mean()
    if len(alone) < 2 or not replicas_fit(int(gpus)):
        return
    run = rows[(rows.prompt_size == _PROMPT) & (rows.token_size == _OUTPUT)]
    engines = _engines(run, _GPUS[hardware])
    group = Group(
        model=model,
        precision="fp16",
        gpu=_GPUS[hardware],
        gpus=int(gpus),
        gpu_memory_gb=80.0,
        engines=engines,
        active_parameters=parameters,
        weights_bytes=2.0 * parameters,
        kv_bytes_per_token=kv_bytes,
        context_tokens=_PROMPT + _OUTPUT / 2.0,
        quality=quality,
        prefill_s_per_token=float(np.polyfit(alone.index, alone.to_numpy(), 1)[0]) / 1e3,
        read_power_w=_read_power_w(run, _GPUS[hardware]),
    )
    yield from (profile for profile in group.profiles() if profile.configuration.batch >= _LEAST_BATCH)


def _engines(run: pd.DataFrame, gpu: str) -> tuple[Engine, ...]:
    """Time and power of a token by batch; power that is missing at a batch is that of the nearest smaller one."""
    by_batch = run.groupby("batch_size")[["token_time", "average_power"]].mean()
    power = by_batch.average_power.ffill().bfill() * ACCELERATORS[gpu].max_power_w
    power = power.fillna(_H100_DECODE_W)
    rows = zip(by_batch.index, by_batch.token_time / 1e3, power, strict=True)
    return engines_of([(int(batch), float(batch), float(tbt_s), float(watts)) for batch, tbt_s, watts in rows])


def _read_power_w(run: pd.DataFrame, gpu: str) -> float:
    peak = float(run.peak_power.max())
    return min(peak, 1.0) * ACCELERATORS[gpu].max_power_w if np.isfinite(peak) else _H100_READ_W
