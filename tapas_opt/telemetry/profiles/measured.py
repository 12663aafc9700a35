"""From measured times and watts of a serving engine to a profile, with what was not measured filled in and said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.configuration import LOAD_LEVELS, Configuration, Profile
from tapas_opt.domain.workload import Slo
from tapas_opt.serving.clock import clock_power_frac, decode_power_frac, prefill_speed_frac, step_time_frac
from tapas_opt.serving.latency import LatencyTable
from tapas_opt.serving.mix import CONVERSATION
from tapas_opt.serving.pace import Pace, chunk_within

__all__ = ["ACCELERATORS", "CLOCK_FRACS", "Accelerator", "Engine", "Group", "kv_bytes_per_token", "size_quality"]

FloatArray = NDArray[np.float64]

SERVER_GPUS = 8
CLOCK_FRACS = (1.0, 0.85, 0.70)
"""Public sets are measured at the highest clock; the others follow from how Perseus/Zeus saw time and power change."""

_USABLE_MEMORY_FRAC, _RUNTIME_GB = 0.92, 3.0
_COMPUTE_EFFICIENCY, _MEMORY_EFFICIENCY = 0.5, 0.6
_RANK_ZERO_EXTRA = 0.04
_START_S, _LOAD_BYTES_PER_S = 20.0, 14e9


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Data sheet of a GPU, what it draws while an engine waits on it, and the server that holds eight of them."""

    hardware: str
    max_power_w: float
    waiting_power_w: float
    max_frequency_mhz: float
    flops: float
    fp8_speed: float
    bytes_per_s: float


ACCELERATORS = {
    "A100": Accelerator("dgx-a100", 400.0, 80.0, 1_410.0, 312e12, 0.95, 2.0e12),
    "H100": Accelerator("dgx-h100", 700.0, 122.0, 1_980.0, 989e12, 1.6, 3.35e12),
    "B200": Accelerator("dgx-b200", 1_000.0, 170.0, 1_965.0, 2_250e12, 1.6, 8.0e12),
}
"""Dense fp16 FLOP/s and memory bandwidth; waiting power of a B200 is in proportion to the others', not measured."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One configuration as measured: its batch limit; time between tokens and a GPU's watts at its mean batch."""

    batch: int
    sequences: float
    tbt_s: float
    gpu_power_w: float


@dataclass(frozen=True)
class Group:
    """The same model on the same GPUs with different batches.

    Attributes
    ----------
    gpus
        Of one replica.
    engines
        By batch, at least one.
    prefill_s_per_token
        What a prompt token takes; None where prompts were not measured: then from FLOP/s at half the peak.
    read_power_w
        A GPU's while it reads prompts.
    context_tokens
        Of a sequence half-way through, in the measurement.
    """

    model: str
    precision: str
    gpu: str
    gpus: int
    gpu_memory_gb: float
    engines: tuple[Engine, ...]
    active_parameters: float
    weights_bytes: float
    kv_bytes_per_token: float
    context_tokens: float
    quality: float
    prefill_s_per_token: float | None
    read_power_w: float

    @property
    def kv_tokens(self) -> float:
        """Tokens that find memory beside the weights; below the batch's own the set-up was another, and it is that."""
        usable = (_USABLE_MEMORY_FRAC * self.gpu_memory_gb - _RUNTIME_GB) * 1e9 * self.gpus
        free = (usable - self.weights_bytes) / self.kv_bytes_per_token
        return max(free, self.engines[-1].batch * self.context_tokens)

    def profiles(self) -> Iterator[Profile]:
        """A profile for each batch and clock that keeps the default promise; batches too large for it are left out."""
        for engine in self.engines:
            for clock in CLOCK_FRACS:
                profile = self._profile(engine, clock)
                if profile is not None:
                    yield profile

    def _profile(self, engine: Engine, clock: float) -> Profile | None:
        pace = self._pace(engine, clock)
        promised = Slo.of_unloaded(float(pace.unloaded_ttft_s(CONVERSATION.prompt_tokens).mean()), pace.step_s)
        if float(pace.iteration_s(pace.chunk_tokens, pace.batch * CONVERSATION.context_tokens)) > promised.tbt_s:
            return None
        table = LatencyTable.of(pace, CONVERSATION)
        goodput = table.goodput_requests_per_s(promised)
        if goodput <= 0.0:
            return None
        replicas, mean = SERVER_GPUS // self.gpus, CONVERSATION.mean
        powers = tuple(round(float(p), 1) for p in self._power_w(table, goodput * np.array(LOAD_LEVELS), clock))
        hottest = tuple(round(p * (1.0 + _RANK_ZERO_EXTRA * (self.gpus > 1)), 1) for p in powers)
        return Profile(
            configuration=self._configuration(engine, clock, replicas),
            hardware=ACCELERATORS[self.gpu].hardware,
            goodput_tokens_per_s=round(replicas * goodput * (mean.prompt_tokens + mean.output_tokens), 1),
            gpu_power_w=(powers[0], powers[1], powers[2]),
            hottest_gpu_power_w=(hottest[0], hottest[1], hottest[2]),
            quality=self.quality,
            ttft_s=round(float(pace.unloaded_ttft_s(CONVERSATION.prompt_tokens).mean()), 4),
            tbt_s=round(pace.step_s, 5),
            reload_s=round(_START_S + self.weights_bytes / _LOAD_BYTES_PER_S, 1),
            gpu_memory_gb=self.gpu_memory_gb,
            prefill_tokens_per_s=round(1.0 / pace.prefill_s_per_token, 1),
            step_s_per_kv_token=float(f"{pace.step_s_per_kv_token:.4g}"),
            kv_tokens=round(pace.kv_tokens),
            chunk_tokens=pace.chunk_tokens,
        )

    def _configuration(self, engine: Engine, clock: float, replicas: int) -> Configuration:
        mhz = round(clock * ACCELERATORS[self.gpu].max_frequency_mhz / 15.0) * 15.0
        name = f"{self.model}-{self.precision}-tp{self.gpus}-b{engine.batch}-f{mhz:.0f}"
        return Configuration(name, self.model, self.precision, self.gpus, replicas, engine.batch, mhz)

    def _pace(self, engine: Engine, clock: float) -> Pace:
        """The chord from the smallest batch to this one; what tokens in memory add is the data sheet's bandwidth.

        The rest of the chord is the sequences' own and is laid on the tokens of the mean sequence that is to be served.
        """
        first = self.engines[0]
        a = ACCELERATORS[self.gpu]
        per_token_s = self.kv_bytes_per_token / (self.gpus * a.bytes_per_s * _MEMORY_EFFICIENCY)
        per_sequence_s = max(engine.tbt_s - first.tbt_s, 0.0) / max(engine.sequences - first.sequences, 1.0)
        own_s = max(per_sequence_s - per_token_s * self.context_tokens, 0.0)
        step_s = max(first.tbt_s - per_sequence_s * first.sequences, first.tbt_s / 2.0) * step_time_frac(clock)
        kv_s = (per_token_s + own_s / CONVERSATION.context_tokens) * step_time_frac(clock)
        prefill_s = (self.prefill_s_per_token or self._roofline_s()) / prefill_speed_frac(clock)
        full_s = step_s + kv_s * engine.batch * CONVERSATION.context_tokens
        chunk = chunk_within(Slo.of_unloaded(1.0, step_s).tbt_s, full_s, prefill_s)
        return Pace(step_s, kv_s, prefill_s, engine.batch, self.kv_tokens, chunk)

    def _roofline_s(self) -> float:
        a = ACCELERATORS[self.gpu]
        speed = a.fp8_speed if self.precision in ("fp8", "mxfp4") else 1.0
        return 2.0 * self.active_parameters / (self.gpus * a.flops * speed * _COMPUTE_EFFICIENCY)

    def _power_w(self, table: LatencyTable, requests_per_s: FloatArray, clock: float) -> FloatArray:
        """Mean power of a GPU: waiting, decoding the batch that the load fills, or reading, each for its share of time.

        What is above waiting power falls with the clock as it did in Perseus/Zeus.
        """
        a = ACCELERATORS[self.gpu]
        busy, read, inside = (
            np.where(requests_per_s > 0.0, table.by_load(column, requests_per_s), 0.0)
            for column in (table.at.busy_frac, table.at.read_frac, table.at.inside)
        )
        batches = np.array([0.0, *(one.sequences for one in self.engines)])
        # An engine with a single sequence already keeps its GPUs busy: below the smallest batch power stays.
        powers = np.array([self.engines[0].gpu_power_w, *(one.gpu_power_w for one in self.engines)])
        drop = float(clock_power_frac(clock))
        decode = np.interp(inside / np.maximum(busy, 1e-9), batches, powers) - a.waiting_power_w
        reading = (self.read_power_w - a.waiting_power_w) * drop
        above = np.maximum(busy - read, 0.0) * decode * decode_power_frac(drop) + read * reading
        return np.asarray(np.clip(a.waiting_power_w + above, a.waiting_power_w, a.max_power_w))


def size_quality(parameters: float, precision: str) -> float:
    """Quality of answers assumed by size: 0.80 at 7B, 1 from 70B on, by the logarithm; a little less below 16 bits.

    No set measures it. Replace the column with your own.
    """
    size = 0.80 + 0.20 * np.log10(parameters / 7e9)
    return round(float(np.clip(size, 0.5, 1.0)) * {"fp8": 0.99, "mxfp4": 0.98}.get(precision, 1.0), 4)


def kv_bytes_per_token(parameters: float) -> float:
    """Bytes of keys and values of a token with grouped heads: a power law through 131 kB at 8B and 328 kB at 70B."""
    return float(131e3 * (parameters / 8e9) ** 0.42)


def replicas_fit(gpus: int) -> bool:
    """Whether a replica fits into a server."""
    return SERVER_GPUS % gpus == 0


def engines_of(rows: Sequence[tuple[int, float, float, float]]) -> tuple[Engine, ...]:
    """Measurements, fields of :class:`Engine`, in order of batch; of the same batch the last one stands."""
    return tuple(Engine(*row) for _, row in sorted({row[0]: row for row in rows}.items()))
