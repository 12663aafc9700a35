"""ML.ENERGY's leaderboard (v2 and v3) as profiles: watts, tokens/s and time between tokens of vLLM in steady state.

Measured are power and time between tokens by batch, at the highest clock. Prompts were not timed: their time is that of
the data sheet at half its peak. Chat requests are what is taken; docs/instances.md says what else is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tapas_opt.domain.configuration import Profile
from tapas_opt.telemetry.profiles.measured import (
    ACCELERATORS,
    Group,
    engines_of,
    kv_bytes_per_token,
    replicas_fit,
    size_quality,
)
from tapas_opt.telemetry.profiles.sheet import Columns, Number, Words, read_sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["V2", "V3", "read_v2", "read_v3"]

V2, V3 = "v2_a100_h100.csv.gz", "v3_h100_b200.csv.gz"

_PROMPT_TOKENS = 200.0
"""Of a chat request in the benchmark, about; not in the tables."""

_V2_GPUS = {"NVIDIA A100-SXM4-40GB": ("A100", 40.0), "NVIDIA H100 80GB HBM3": ("H100", 80.0)}
_V3_MEMORY_GB = {"H100": 80.0, "B200": 180.0}
_BYTES = {"bfloat16": 2.0, "fp8": 1.0, "mxfp4": 0.53}
_CHAT = {"v2": "chat", "v3": "lm-arena-chat"}

_V2_COLUMNS: Columns = {
    "task": Words(),
    "model_id": Words(),
    "gpu_model": Words(tuple(_V2_GPUS)),
    "tensor_parallel": Number(most=64),
    "pipeline_parallel": Number(most=64),
    "avg_tpot_s": Number(most=60),
    "avg_output_tokens": Number(most=1e6),
    "avg_batch_size": Number(most=1e5),
    "max_batch_size": Number(most=1e5),
    "avg_power_watts_derived": Number(most=1e5),
}
_V3_COLUMNS: Columns = {
    "task": Words(),
    "nickname": Words(),
    "gpu_model": Words(tuple(_V3_MEMORY_GB)),
    "weight_precision": Words(tuple(_BYTES)),
    "num_gpus": Number(most=64),
    "total_params_billions": Number(most=1e5),
    "activated_params_billions": Number(most=1e5),
    "avg_batch_size": Number(most=1e5),
    "max_num_seqs": Number(most=1e5),
    "avg_output_len": Number(most=1e6),
    "avg_power_watts": Number(most=1e5),
    "median_itl_ms": Number(most=6e4),
}

_SIZES = {"mini": 3.8, "small": 7.4, "medium": 14.0, "large": 123.0, "nemo": 12.2}
_ACTIVE = {"8x7b": (46.7, 12.9), "8x22b": (141.0, 39.0)}
"""Billions of parameters, in all and active, of models whose names do not say them."""


def read_v3(path: Path) -> tuple[Profile, ...]:
    """Profiles of every chat configuration of the third version that fits into a server.

    Raises
    ------
    InvalidInput
        Listing every fault by line and column.
    """
    table = read_sheet(path, _V3_COLUMNS)
    chat = table[table.task == _CHAT["v3"]]
    groups = chat.groupby(["nickname", "weight_precision", "gpu_model", "num_gpus"])
    return tuple(profile for _, rows in groups for profile in _v3_group(rows))


def _v3_group(rows: pd.DataFrame) -> Iterator[Profile]:
    nickname, precision, gpu, gpus = (
        rows[name].iloc[0] for name in ("nickname", "weight_precision", "gpu_model", "num_gpus")
    )
    parameters = float(rows.total_params_billions.iloc[0]) * 1e9
    power_w = rows.avg_power_watts / gpus
    measured = zip(rows.max_num_seqs, rows.avg_batch_size, rows.median_itl_ms / 1e3, power_w, strict=True)
    yield from _profiles(
        re.sub(r"[^a-z0-9.]+", "-", nickname.lower()).strip("-"),
        precision,
        gpu,
        int(gpus),
        _V3_MEMORY_GB[gpu],
        list(measured),
        (parameters, float(rows.activated_params_billions.iloc[0]) * 1e9),
        float(rows.avg_output_len.mean()),
    )


def read_v2(path: Path) -> tuple[Profile, ...]:
    """Profiles of every chat configuration of the second version that fits into a server.

    Raises
    ------
    InvalidInput
        Listing every fault by line and column.
    """
    table = read_sheet(path, _V2_COLUMNS)
    chat = table[(table.task == _CHAT["v2"]) & (table.pipeline_parallel == 1)]
    groups = chat.groupby(["model_id", "gpu_model", "tensor_parallel"])
    return tuple(profile for _, rows in groups for profile in _v2_group(rows))


def _v2_group(rows: pd.DataFrame) -> Iterator[Profile]:
    model, product, gpus = (rows[name].iloc[0] for name in ("model_id", "gpu_model", "tensor_parallel"))
    gpu, memory_gb = _V2_GPUS[product]
    power_w = rows.avg_power_watts_derived / gpus
    measured = zip(rows.max_batch_size, rows.avg_batch_size, rows.avg_tpot_s, power_w, strict=True)
    name = model.rsplit("/", maxsplit=1)[-1].lower()
    output = float(rows.avg_output_tokens.mean())
    yield from _profiles(name, "bfloat16", gpu, int(gpus), memory_gb, list(measured), _parameters(name), output)


def _parameters(name: str) -> tuple[float, float]:
    """Parameters, in all and active, as the model's name has them."""
    for word, (total, active) in _ACTIVE.items():
        if word in name:
            return total * 1e9, active * 1e9
    said = re.search(r"(\d+(?:\.\d+)?)b(?![a-z])", name)
    known = [size for word, size in _SIZES.items() if word in name]
    size = float(said.group(1)) if said else (known or [7.0])[0]
    return size * 1e9, size * 1e9


def _profiles(
    model: str,
    precision: str,
    gpu: str,
    gpus: int,
    memory_gb: float,
    measured: list[tuple[float, float, float, float]],
    parameters: tuple[float, float],
    output_tokens: float,
) -> Iterator[Profile]:
    if not replicas_fit(gpus):
        return
    total, active = parameters
    group = Group(
        model=model[:40],
        precision=precision,
        gpu=gpu,
        gpus=gpus,
        gpu_memory_gb=memory_gb,
        engines=engines_of([(int(batch), mean, tbt_s, power_w) for batch, mean, tbt_s, power_w in measured]),
        active_parameters=active,
        weights_bytes=total * _BYTES[precision],
        kv_bytes_per_token=kv_bytes_per_token(total),
        context_tokens=_PROMPT_TOKENS + output_tokens / 2.0,
        quality=size_quality(total, precision),
        prefill_s_per_token=None,
        read_power_w=ACCELERATORS[gpu].max_power_w,
    )
    yield from group.profiles()
