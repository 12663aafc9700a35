"""What runs on the servers: tenants' VMs, endpoints' demand, VMs that arrive, and traces of LLM requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tapas_opt.domain.site import Hardware
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.plant.noise import SmoothNoise
from tapas_opt.plant.spikes import Bursts, Spike
from tapas_opt.plant.swings import NO_JOB
from tapas_opt.plant.weather import DAY_S
from tapas_opt.serving.clock import clock_power_frac

__all__ = ["ENDPOINTS", "Arrival", "Workload", "generate_trace", "iaas_gpu_power_w"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SHORTEST_NOISE_S, LONGEST_NOISE_S = 1200.0, 10 * 3600.0
TENANT_NOISE, VM_NOISE, INSTANCE_NOISE = 0.06, 0.05, 0.03
GPU_IMBALANCE = 0.03
BURSTS_PER_DAY = 2.0


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """Load over the week: a base, a daily swing with its top at an hour, and what is left of the swing at weekends."""

    base: float
    swing: float
    top_hour: float
    weekend: float

    def at(self, t_s: float) -> float:
        """Load at ``t_s``, 0 being a Monday at midnight; the day's hump is narrower than the night's trough."""
        day = int(t_s // DAY_S) % 7
        hump = 0.5 + 0.5 * np.cos(2.0 * np.pi * (t_s / 3600.0 - self.top_hour) / 24.0)
        return float(self.base + self.swing * hump**1.5 * (self.weekend if day >= 5 else 1.0))


_STYLES = {
    # Long training runs: high, hardly any rhythm. Business: office hours. Batch: nights, weekends too.
    "training": (_Rhythm(0.70, 0.08, 20.0, 1.0), 0.08),
    "business": (_Rhythm(0.25, 0.45, 14.0, 0.4), 0.10),
    "batch": (_Rhythm(0.30, 0.40, 2.0, 1.0), 0.10),
}
"""Rhythm of a kind of tenant, and how far its tenants scatter around it."""

TRAINING = list(_STYLES).index("training")

_SERVICE = (_Rhythm(0.22, 0.55, 15.0, 0.65), 0.06)
"""Demand of an LLM endpoint: day over night about 3 to 1, less at weekends."""


ENDPOINTS = {"conv": "llama2-70b-fp16-tp8-b64-f1410", "code": "llama2-70b-fp8-tp4-b64-f1410"}
"""Endpoints of the demo, which serve the two services of the generated trace."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A VM that is asked for at a time (s)."""

    at_s: float
    vm: Vm


class Workload:
    """Tenants and endpoints of a site: their weekly rhythm, their noise, and surges that hit many of them at once.

    Everything is a function of time and name: it may be asked for in any order, and the same seed gives the same.

    Parameters
    ----------
    endpoints
        Configuration that each endpoint's instances start with, by name of the endpoint; :data:`ENDPOINTS` if None.
    spikes
        What happens to single endpoints besides.
    bursts_per_day
        Mean number of surges that customers have in common.

    Raises
    ------
    InvalidInput
        If a spike is of an endpoint that does not exist.
    """

    def __init__(
        self,
        *,
        seed: int,
        endpoints: Mapping[str, str] | None = None,
        tenants: int = 12,
        spikes: Sequence[Spike] = (),
        bursts_per_day: float = BURSTS_PER_DAY,
    ) -> None:
        self._seed = seed
        self.endpoints = dict(endpoints or ENDPOINTS)
        self.tenants = tuple(f"tenant{i + 1:02d}" for i in range(tenants))
        styles = [list(_STYLES.values())[i % len(_STYLES)] for i in range(tenants)] + [_SERVICE] * len(self.endpoints)
        random = np.random.default_rng([seed, 41])
        self._rhythms = [_scattered(rhythm, spread, random) for rhythm, spread in styles]
        self._names = {name: i for i, name in enumerate([*self.tenants, *self.endpoints])}
        self._noise = SmoothNoise([seed, 42], len(self._names), SHORTEST_NOISE_S, LONGEST_NOISE_S)
        self._trains = np.array([i < tenants and i % len(_STYLES) == TRAINING for i in range(len(self._names))])
        self._bursts = Bursts(seed, len(self._names), bursts_per_day)
        self._spikes = tuple(spikes)
        self._vm_noise: dict[str, SmoothNoise] = {}
        self._latest = _Crew((), SmoothNoise.joined([]), np.zeros(0, dtype=np.int64), np.zeros(0))
        _judge_spikes(self._spikes, self.endpoints)

    def template_load_frac(self, t_s: float) -> dict[str, float]:
        """Load of every tenant's and endpoint's template at a time, noise and surges included.

        From 0 to 1, and beyond only where a spike multiplies it.
        """
        return dict(zip(self._names, map(float, self._template_load_frac(t_s)), strict=True))

    def _template_load_frac(self, t_s: float) -> FloatArray:
        rhythm = np.array([rhythm.at(t_s) for rhythm in self._rhythms])
        load = np.clip(rhythm + TENANT_NOISE * self._noise.at(t_s) + self._bursts.at(t_s), 0.0, 1.0)
        for spike in self._spikes:
            load[self._names[spike.endpoint]] *= spike.times(t_s)
        return load

    def endpoint_load_frac(self, t_s: float) -> dict[str, float]:
        """Demand of every endpoint, as a fraction of the most that it is ever planned for; a spike may exceed that."""
        templates = self.template_load_frac(t_s)
        return {name: templates[name] for name in self.endpoints}

    def vm_load_frac(self, vms: Sequence[Vm], t_s: float) -> FloatArray:
        """Load of VMs: their template's, and noise of their own.

        For IaaS it is the used part of the GPUs' power range above idle, which is all that the operator sees; for SaaS
        the fraction of the instance's goodput under an even spread of its endpoint's demand.
        """
        crew = self._crew(vms)
        return np.clip(self._template_load_frac(t_s)[crew.template] + crew.spread * crew.noise.at(t_s), 0.0, 1.0)

    def jobs(self, vms: Sequence[Vm]) -> IntArray:
        """The job of each VM, for :class:`~tapas_opt.plant.plant.Demand`: those of a training tenant work in step."""
        template = self._crew(vms).template
        return np.where(self._trains[template], template, NO_JOB)

    def initial_vms(self, count: int, *, iaas_frac: float = 0.5) -> tuple[Vm, ...]:
        """The VMs that live on a site when time begins."""
        return tuple(self.vm(f"vm-{i:05d}", iaas_frac=iaas_frac) for i in range(count))

    def arrivals(self, day: int, count: int, *, iaas_frac: float = 0.5) -> tuple[Arrival, ...]:
        """VMs that are asked for on a day, in order of time; working hours see most of them."""
        random = np.random.default_rng([self._seed, 43, day])
        hours = np.sort(np.clip(random.normal(13.0, 4.0, count), 0.0, 23.99))
        return tuple(
            Arrival(day * DAY_S + float(hour) * 3600.0, self.vm(f"vm-d{day}-{i:04d}", iaas_frac=iaas_frac))
            for i, hour in enumerate(hours)
        )

    def vm(self, name: str, *, iaas_frac: float = 0.5) -> Vm:
        """The VM of this name: kind, owner and life are drawn from it. Lives last days to weeks, in the median two."""
        random = np.random.default_rng([self._seed, 44, crc32(name.encode())])
        lifetime_s = float(np.clip(random.lognormal(np.log(14.0), 0.6), 2.0, 60.0)) * DAY_S
        if random.random() < iaas_frac:
            tenant = str(random.choice(self.tenants))
            agreed = bool(random.random() < 0.2)
            return Vm(name, VmKind.IAAS, tenant, capping_agreed=agreed, lifetime_s=lifetime_s)
        endpoint = str(random.choice(list(self.endpoints)))
        return Vm(
            name,
            VmKind.SAAS,
            "operator",
            endpoint=endpoint,
            configuration=self.endpoints[endpoint],
            group=endpoint,
            lifetime_s=lifetime_s,
        )

    def _crew(self, vms: Sequence[Vm]) -> _Crew:
        """What is constant of these VMs; each one's noise is drawn from its name, so that no neighbour changes it."""
        key = tuple(vms)
        if key != self._latest.vms:
            for vm in key:
                if vm.name not in self._vm_noise:
                    seed = [self._seed, 45, crc32(vm.name.encode())]
                    self._vm_noise[vm.name] = SmoothNoise(seed, 1, SHORTEST_NOISE_S, LONGEST_NOISE_S)
            self._latest = _Crew(
                vms=key,
                noise=SmoothNoise.joined([self._vm_noise[vm.name] for vm in key]),
                template=np.array([self._names[vm.template] for vm in key], dtype=np.int64),
                spread=np.array([INSTANCE_NOISE if vm.kind is VmKind.SAAS else VM_NOISE for vm in key]),
            )
        return self._latest


@dataclass(frozen=True, slots=True)
class _Crew:
    """VMs that are asked about together, again and again: number of each one's template, and its own noise."""

    vms: tuple[Vm, ...]
    noise: SmoothNoise
    template: IntArray
    spread: FloatArray


def _judge_spikes(spikes: Sequence[Spike], endpoints: Mapping[str, str]) -> None:
    faults = [
        Fault(f"spikes[{i}].endpoint", f"{spike.endpoint}: must be one of {', '.join(endpoints)}")
        for i, spike in enumerate(spikes)
        if spike.endpoint not in endpoints
    ]
    if faults:
        raise InvalidInput("workload", faults)


def _scattered(rhythm: _Rhythm, spread: float, random: np.random.Generator) -> _Rhythm:
    """One tenant's rhythm: its base and its top hour differ from its kind's."""
    shift = spread * float(np.clip(random.standard_normal(), -2.0, 2.0))
    return _Rhythm(
        base=max(rhythm.base + shift, 0.05),
        swing=rhythm.swing,
        top_hour=rhythm.top_hour + float(random.uniform(-2.0, 2.0)),
        weekend=rhythm.weekend,
    )


def iaas_gpu_power_w(load_frac: ArrayLike, frequency_frac: ArrayLike, hardware: Hardware) -> FloatArray:
    """``[S, G]`` power that IaaS VMs ask for, by load ``[S]`` and clock ``[S]`` relative to the highest.

    Work keeps its GPUs evenly busy but for a few per cent, which differ from GPU to GPU and cancel in the mean; at a
    lower clock the same work draws as much less as :func:`clock_power_frac` says.
    """
    tilt = GPU_IMBALANCE * np.linspace(1.0, -1.0, hardware.gpus)
    dynamic = np.asarray(load_frac, dtype=np.float64) * clock_power_frac(frequency_frac)
    span = hardware.gpu_max_power_w - hardware.gpu_idle_power_w
    shaped = np.clip(dynamic[..., None] * (1.0 + tilt), 0.0, 1.0)
    return np.asarray(hardware.gpu_idle_power_w + span * shaped)


@dataclass(frozen=True, slots=True)
class _TraceShape:
    """Statistics of one service of the Azure LLM traces of 2023: means, 99th percentiles, and how bursty it is.

    ``burst_shape`` is that of a gamma law by which the rate varies every ten seconds; less is burstier: a shape k gives
    counts a coefficient of variation of ``√(1/k + 1/mean)``, 1.5 for code and 0.3 for conversations.
    """

    requests: int
    context_mean: float
    context_p99: float
    context_most: int
    output_mean: float
    output_p99: float
    output_most: int
    burst_shape: float


_TRACES = {
    "conv": _TraceShape(6_000, 1155.0, 4142.0, 14_050, 211.0, 601.0, 1_000, 22.0),
    "code": _TraceShape(3_000, 2048.0, 7436.0, 7_437, 28.0, 249.0, 1_899, 0.47),
}
_TRACE_S = 3600.0
_BIN_S = 10.0


def generate_trace(seed: int) -> dict[str, pd.DataFrame]:
    """One hour of LLM requests of two services, ``conv`` and ``code``.

    Returns
    -------
    dict
        By service, a table of ``t_s`` (s, rising from 0), ``context_tokens``, ``generated_tokens``. Lengths are
        lognormal with the mean and 99th percentile of the Azure LLM inference traces of 2023, at a third of their rate.
    """
    return {name: _requests(shape, seed, i) for i, (name, shape) in enumerate(_TRACES.items())}


def _requests(shape: _TraceShape, seed: int, number: int) -> pd.DataFrame:
    random = np.random.default_rng([seed, 51, number])
    bins = int(_TRACE_S / _BIN_S)
    rate = random.gamma(shape.burst_shape, 1.0, bins)
    counts = random.multinomial(shape.requests, rate / rate.sum())
    t_s = np.sort(np.repeat(np.arange(bins) * _BIN_S, counts) + random.uniform(0.0, _BIN_S, shape.requests))
    lengths = {
        "context_tokens": _lengths(random, shape.requests, shape.context_mean, shape.context_p99, shape.context_most),
        "generated_tokens": _lengths(random, shape.requests, shape.output_mean, shape.output_p99, shape.output_most),
    }
    return pd.DataFrame({"t_s": np.round(t_s - t_s[0], 4)} | lengths)


def _lengths(random: np.random.Generator, count: int, mean: float, p99: float, most: int) -> NDArray[np.int64]:
    """Lognormal lengths: from ``ln(p99/mean) = 2.326·σ − σ²/2`` follows σ, and μ from the mean."""
    z99 = 2.3263
    sigma = z99 - np.sqrt(z99**2 - 2.0 * np.log(p99 / mean))
    lengths = random.lognormal(np.log(mean) - sigma**2 / 2.0, sigma, count)
    return np.clip(np.rint(lengths), 1, most).astype(np.int64)
