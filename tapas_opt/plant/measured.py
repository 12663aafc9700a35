"""The truth of an instance where profiles were measured: what its profile says, and what clocks do to that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.domain.configuration import LOAD_LEVELS, Configuration, Profile
from tapas_opt.domain.site import Hardware
from tapas_opt.domain.workload import Slo
from tapas_opt.serving.clock import clock_power_frac, decode_power_frac, prefill_speed_frac, step_time_frac
from tapas_opt.serving.latency import LatencyTable
from tapas_opt.serving.mix import CONVERSATION, RequestMix
from tapas_opt.serving.pace import Pace

__all__ = ["MeasuredInstance"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class MeasuredInstance:
    """What a profiled configuration does on one server; it answers what ``instances.Instance`` does.

    Attributes
    ----------
    frequency_mhz
        The clock that it runs at; None for its configuration's.
    """

    profile: Profile
    hardware: Hardware
    frequency_mhz: float | None = None
    mix: RequestMix = CONVERSATION

    @property
    def configuration(self) -> Configuration:
        """What was profiled."""
        return self.profile.configuration

    @property
    def quality(self) -> float:
        """Quality of answers relative to the best model."""
        return self.profile.quality

    @cached_property
    def pace(self) -> Pace:
        """The profile's, slower by as much as its clock is lower."""
        pace, now, then = Pace.of(self.profile), self._clock, self._profiled_clock
        slower = step_time_frac(now) / step_time_frac(then)
        return replace(
            pace,
            step_s=pace.step_s * slower,
            step_s_per_kv_token=pace.step_s_per_kv_token * slower,
            prefill_s_per_token=pace.prefill_s_per_token * prefill_speed_frac(then) / prefill_speed_frac(now),
        )

    @cached_property
    def latency(self) -> LatencyTable:
        """Latencies of one replica by load."""
        return LatencyTable.of(self.pace, self.mix)

    @cached_property
    def goodput_tokens_per_s(self) -> float:
        """The profile's; at another clock in proportion to the load that keeps the profile's default promise."""
        if self._clock == self._profiled_clock:
            return self.profile.goodput_tokens_per_s
        slo = Slo.of_unloaded(self.profile.ttft_s, self.profile.tbt_s)
        profiled = LatencyTable.of(Pace.of(self.profile), self.mix).goodput_requests_per_s(slo)
        slowed = self.latency.goodput_requests_per_s(slo)
        return self.profile.goodput_tokens_per_s * slowed / profiled if profiled > 0.0 else 0.0

    def gpu_powers_w(self, load_frac: ArrayLike) -> FloatArray:
        """``[..., G]`` power of every GPU of the server: straight between the profile's load levels.

        Replicas take GPUs from the front, the rest idle; the first of each replica draws the profile's highest power,
        and the others what is left of its mean.
        """
        load = np.asarray(load_frac, dtype=np.float64)
        mean, hottest = (
            self._slowed_w(np.interp(load, LOAD_LEVELS, levels), levels[0])
            for levels in (self.profile.gpu_power_w, self.profile.hottest_gpu_power_w)
        )
        c, gpus, idle = self.profile.configuration, self.hardware.gpus, self.hardware.gpu_idle_power_w
        used = min(c.tensor_parallel * c.replicas, gpus)
        first = np.arange(used) % c.tensor_parallel == 0
        busy_w = gpus * mean - (gpus - used) * idle
        # With a single GPU each they are all the first of their replica, and alike.
        first_w = busy_w / used if first.all() else hottest
        others_w = (busy_w - first.sum() * first_w) / max(used - first.sum(), 1)
        powers = np.full((*load.shape, gpus), idle)
        powers[..., :used] = np.where(first, first_w[..., None], others_w[..., None])
        return np.clip(powers, idle, self.hardware.gpu_max_power_w)

    def gpu_peak_w(self) -> FloatArray:
        """``[G]`` the limit at its clock, which GPUs draw while they read prompts; those not used idle."""
        c, h = self.profile.configuration, self.hardware
        used = np.arange(h.gpus) < c.tensor_parallel * c.replicas
        span = float(clock_power_frac(self._clock)) * (h.gpu_max_power_w - h.gpu_idle_power_w)
        return np.asarray(h.gpu_idle_power_w + used * span)

    def _slowed_w(self, power_w: FloatArray, waiting_w: float) -> FloatArray:
        drop = float(clock_power_frac(self._clock) / clock_power_frac(self._profiled_clock))
        return np.asarray(waiting_w + (power_w - waiting_w) * decode_power_frac(drop))

    @property
    def _clock(self) -> float:
        mhz = self.profile.configuration.frequency_mhz if self.frequency_mhz is None else self.frequency_mhz
        return mhz / self.hardware.gpu_max_frequency_mhz

    @property
    def _profiled_clock(self) -> float:
        return self.profile.configuration.frequency_mhz / self.hardware.gpu_max_frequency_mhz
