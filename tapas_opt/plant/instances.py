"""True speed and power of an LLM instance by configuration: a roofline with overheads, in closed form.

Modelled, not measured. Its constants were chosen so that an A100 agrees in trend with public measurements: Splitwise
(prefill and decode times, power by tensor parallelism), ML.ENERGY (power by model size), Perseus/Zeus (time and power
by clock). What load does to latency follows from its pace (``tapas_opt/serving``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.domain.configuration import Configuration, Profile
from tapas_opt.domain.site import Hardware
from tapas_opt.domain.workload import RequestClass, Slo
from tapas_opt.errors import NotFound
from tapas_opt.serving.clock import clock_power_frac, prefill_speed_frac
from tapas_opt.serving.latency import LatencyTable
from tapas_opt.serving.mix import CONVERSATION, RequestMix
from tapas_opt.serving.pace import Pace, chunk_within

__all__ = ["MODELS", "Instance", "gpu_power_w"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Model:
    """Size of a model, and its answers' quality relative to the best (configuration: an assumption, not measured)."""

    parameters: float
    layers: int
    kv_bytes_per_token: float
    quality: float


MODELS = {
    "llama2-7b": _Model(6.74e9, 32, 524e3, 0.80),
    "llama2-13b": _Model(13.0e9, 40, 819e3, 0.88),
    "llama2-70b": _Model(69.0e9, 80, 328e3, 1.00),
}
"""KV bytes: 2 (K and V) × layers × KV heads × head size × 2 bytes; the 70B model groups its heads."""

_WEIGHT_BYTES = {"fp16": 2.0, "fp8": 1.0}
_QUALITY_FACTOR = {"fp16": 1.0, "fp8": 0.99}


@dataclass(frozen=True, slots=True)
class _Accelerator:
    """Data sheet: dense fp16 FLOP/s, memory bytes/s, and what fp8 weights do to the speed of compute."""

    flops: float
    bytes_per_s: float
    fp8_speed: float


_ACCELERATORS = {
    "A100": _Accelerator(312e12, 2.0e12, 0.95),  # no fp8 units: weights are widened on the way in
    "H100": _Accelerator(989e12, 3.35e12, 1.6),
    "H200": _Accelerator(989e12, 4.8e12, 1.6),
}

USABLE_MEMORY_FRAC = 0.92
"""Of a GPU's memory; the rest is the driver's and the allocator's."""

_MEMORY_EFFICIENCY = 0.8
_KV_EFFICIENCY = 0.6
_RUNTIME_GB = 3.0
_CONTEXT_FRAC = 0.05
_RANK_ZERO_EXTRA = 0.04
_START_S = 20.0
_LOAD_BYTES_PER_S = 14e9


@dataclass(frozen=True)
class Instance:
    """What a configuration does on one server of a hardware; loads are fractions of its goodput.

    Attributes
    ----------
    mix
        The requests that it serves; goodput counts prompt and output tokens.
    """

    configuration: Configuration
    hardware: Hardware
    mix: RequestMix = CONVERSATION

    @cached_property
    def request(self) -> RequestClass:
        """The mean request that it serves."""
        return self.mix.mean

    @property
    def quality(self) -> float:
        """Quality of answers relative to the best model."""
        return self._model.quality * _QUALITY_FACTOR[self.configuration.precision]

    @property
    def weights_bytes(self) -> float:
        """Bytes of one replica's weights."""
        return self._model.parameters * _WEIGHT_BYTES[self.configuration.precision]

    @property
    def gpu_memory_gb(self) -> float:
        """Memory that each GPU needs: its part of weights and of a full batch's keys and values, and the runtime."""
        kv = self.configuration.batch * self._context_tokens * self._model.kv_bytes_per_token
        return (self.weights_bytes + kv) / self.configuration.tensor_parallel / 1e9 + _RUNTIME_GB

    @property
    def reload_s(self) -> float:
        """Start of the process, and weights from a hot cache; 70B: about 10 s for the weights."""
        return _START_S + self.weights_bytes / _LOAD_BYTES_PER_S

    @property
    def prefill_tokens_per_s(self) -> float:
        """Prompt tokens per second of one replica that does nothing else: ``TP·FLOP/s·η / (2·parameters)``.

        η falls with parallelism (Splitwise, 70B on A100: 0.66, 0.56 and 0.41 for TP 2, 4, 8), sooner for small models;
        speed rises with the clock to the power 0.8.
        """
        c = self.configuration
        widen = self._accelerator.fp8_speed if c.precision == "fp8" else 1.0
        flops = c.tensor_parallel * self._accelerator.flops * self._compute_efficiency * widen
        return float(flops / (2.0 * self._model.parameters) * prefill_speed_frac(self._clock))

    def decode_step_s(self, batch: ArrayLike) -> FloatArray:
        """Time of one decoding step: read the weights, read the batch's keys and values, launch and exchange.

        The clock hardly changes what memory takes, and part of what launching takes.
        """
        c, a = self.configuration, self._accelerator
        bandwidth = c.tensor_parallel * a.bytes_per_s
        weights = self.weights_bytes / (bandwidth * _MEMORY_EFFICIENCY)
        memory = weights + self._kv_bytes(batch) / (bandwidth * _KV_EFFICIENCY)
        launch = self._model.layers * (0.25e-3 + 0.01e-3 * c.tensor_parallel)
        return np.asarray(memory * self._clock**-0.1 + launch * self._clock**-0.4)

    @cached_property
    def pace(self) -> Pace:
        """How fast one replica iterates; a chunk of prompts and a full batch together keep the default SLO."""
        step_s, one_s, full_s = (float(self.decode_step_s(b)) for b in (0.0, 1.0, self.configuration.batch))
        prefill_s = 1.0 / self.prefill_tokens_per_s
        promised_s = Slo.of_unloaded(1.0, one_s).tbt_s
        return Pace(
            step_s=step_s,
            step_s_per_kv_token=(one_s - step_s) / self._context_tokens,
            prefill_s_per_token=prefill_s,
            batch=self.configuration.batch,
            kv_tokens=self.kv_tokens,
            chunk_tokens=chunk_within(promised_s, full_s, prefill_s),
        )

    @property
    def kv_tokens(self) -> float:
        """Tokens whose keys and values find memory beside one replica's weights."""
        usable_gb = USABLE_MEMORY_FRAC * self.hardware.gpu_memory_gb - _RUNTIME_GB
        free_bytes = usable_gb * 1e9 * self.configuration.tensor_parallel - self.weights_bytes
        return max(free_bytes / self._model.kv_bytes_per_token, 1.0)

    @cached_property
    def latency(self) -> LatencyTable:
        """Latencies of one replica by load."""
        return LatencyTable.of(self.pace, self.mix)

    @property
    def unloaded_ttft_s(self) -> float:
        """Mean time to first token of requests that each find an idle replica."""
        return float(self.pace.unloaded_ttft_s(self.mix.prompt_tokens).mean())

    @property
    def unloaded_tbt_s(self) -> float:
        """Time between tokens of the mean request on an idle replica."""
        return float(self.decode_step_s(1.0))

    @cached_property
    def goodput_tokens_per_s(self) -> float:
        """Prompt and output tokens per second of the whole server within its default SLO."""
        slo = Slo.of_unloaded(self.unloaded_ttft_s, self.unloaded_tbt_s)
        tokens = self.request.prompt_tokens + self.request.output_tokens
        return self.configuration.replicas * self.latency.goodput_requests_per_s(slo) * tokens

    def gpu_powers_w(self, load_frac: ArrayLike) -> FloatArray:
        """``[..., G]`` power of every GPU of the server at reference leakage.

        Replicas take GPUs from the front, where they stay coolest; the rest idle. The first rank of each replica also
        schedules and samples, and draws a little more than its peers.
        """
        c, h = self.configuration, self.hardware
        used = min(c.tensor_parallel * c.replicas, h.gpus)
        pattern = np.zeros(h.gpus)
        pattern[:used] = 1.0 - _RANK_ZERO_EXTRA / max(c.tensor_parallel - 1, 1)
        pattern[: used : c.tensor_parallel] = 1.0 + _RANK_ZERO_EXTRA * (c.tensor_parallel > 1)
        above = self._busy_gpu_w(load_frac)[..., None] - h.gpu_idle_power_w
        return np.minimum(h.gpu_idle_power_w + above * pattern, h.gpu_max_power_w)

    def gpu_peak_w(self) -> FloatArray:
        """``[G]`` what each GPU draws while its replica reads prompts, at reference leakage; the rest idle."""
        c, h = self.configuration, self.hardware
        used = np.arange(h.gpus) < c.tensor_parallel * c.replicas
        span = self._prefill_span_frac * (h.gpu_max_power_w - h.gpu_idle_power_w)
        return np.asarray(h.gpu_idle_power_w + used * span, dtype=np.float64)

    def _busy_gpu_w(self, load_frac: ArrayLike) -> FloatArray:
        """Mean power of a GPU in use: concave in load, since a half-empty batch decodes almost as long."""
        h = self.hardware
        span = h.gpu_max_power_w - h.gpu_idle_power_w
        waiting = _CONTEXT_FRAC * span
        rise = -np.expm1(-1.5 * np.clip(load_frac, 0.0, 1.2)) / -np.expm1(-1.5)
        return np.asarray(h.gpu_idle_power_w + waiting + (self._full_span_frac * span - waiting) * rise)

    @cached_property
    def _full_span_frac(self) -> float:
        """Power at full load, as a share of the range above idle: prefill and decode, weighted by their time.

        Splitwise, 70B on A100: decode at 0.33, 0.53 and 0.69 of the range for TP 8, 4, 2.
        """
        clock = float(clock_power_frac(self._clock))
        decode = min(0.10 + 1.1 * self._memory_busy_frac, 0.85) * (0.35 + 0.65 * clock)
        share = self._prefill_round_s / (self._prefill_round_s + self._decode_round_s)
        return share * self._prefill_span_frac + (1.0 - share) * decode

    @property
    def _prefill_span_frac(self) -> float:
        """Power while reading prompts, as a share of the range above idle: near the limit (Splitwise)."""
        return min(0.60 + 0.65 * self._compute_efficiency, 1.0) * float(clock_power_frac(self._clock))

    @property
    def _memory_busy_frac(self) -> float:
        """Share of the memory's bandwidth that a full batch's decoding uses at the highest clock."""
        c = self.configuration
        moved = self.weights_bytes + float(self._kv_bytes(c.batch))
        unhurried = float(self.decode_step_s(c.batch)) * self._clock**0.2
        return float(moved / (c.tensor_parallel * self._accelerator.bytes_per_s * unhurried))

    @property
    def _compute_efficiency(self) -> float:
        relative_size = 69e9 / self._model.parameters
        return float(0.82 / (1.0 + 0.12 * self.configuration.tensor_parallel * relative_size**0.35))

    @property
    def _prefill_round_s(self) -> float:
        return self.configuration.batch * self.request.prompt_tokens / self.prefill_tokens_per_s

    @property
    def _decode_round_s(self) -> float:
        return self.request.output_tokens * float(self.decode_step_s(self.configuration.batch))

    def _kv_bytes(self, batch: ArrayLike) -> FloatArray:
        return np.asarray(batch, dtype=np.float64) * self._context_tokens * self._model.kv_bytes_per_token

    @property
    def _context_tokens(self) -> float:
        """Length of a sequence half-way through its output."""
        return self.request.prompt_tokens + self.request.output_tokens / 2.0

    @property
    def _clock(self) -> float:
        return self.configuration.frequency_mhz / self.hardware.gpu_max_frequency_mhz

    @property
    def _model(self) -> _Model:
        if self.configuration.model not in MODELS:
            raise NotFound("model", self.configuration.model, f"the plant knows {', '.join(MODELS)}")
        return MODELS[self.configuration.model]

    @property
    def _accelerator(self) -> _Accelerator:
        if self.hardware.gpu_model not in _ACCELERATORS:
            raise NotFound("gpu model", self.hardware.gpu_model, f"the plant knows {', '.join(_ACCELERATORS)}")
        return _ACCELERATORS[self.hardware.gpu_model]


def gpu_power_w(
    configuration: Configuration | Profile, hardware: Hardware, load_frac: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Mean and highest power of a server's GPUs while an instance runs at these fractions of its goodput."""
    plain = configuration.configuration if isinstance(configuration, Profile) else configuration
    powers = Instance(plain, hardware).gpu_powers_w(load_frac)
    return powers.mean(axis=-1), powers.max(axis=-1)
