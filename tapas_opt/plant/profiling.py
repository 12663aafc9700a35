"""The table of instance configurations and their profiles: modelled by the plant, not measured on hardware."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from tapas_opt.domain.configuration import LOAD_LEVELS, Configuration, Profile
from tapas_opt.domain.site import Hardware
from tapas_opt.plant.instances import MODELS, USABLE_MEMORY_FRAC, Instance

__all__ = ["measure_profiles"]

FREQUENCY_FRACS = (1.0, 0.85, 0.70, 0.565)
FREQUENCY_STEP_MHZ = 15.0
FULL_BATCH, SMALL_BATCH = 64, 16
MEASUREMENT_SIGMA = 0.005


def measure_profiles(hardware: Hardware, name: str, seed: int = 1) -> tuple[Profile, ...]:
    """Profile every sensible configuration on one hardware.

    Llama 2 in three sizes, two precisions, 2 to 8 GPUs a replica, two batches, four clocks; what does not fit into
    the GPUs' memory is left out, and so is a small batch of a small model on eight GPUs, which nobody would run.
    Besides servers full of replicas there are some with a single one and idle GPUs: less server power.

    Parameters
    ----------
    name
        What the site calls the hardware.
    seed
        Of the measurement error, half a per cent.
    """
    random = np.random.default_rng([seed, 31])
    return tuple(
        _measured(Instance(configuration, hardware), name, random) for configuration in _configurations(hardware)
    )


def _configurations(hardware: Hardware) -> Iterator[Configuration]:
    frequencies = [_clock_mhz(hardware, frac) for frac in FREQUENCY_FRACS]
    for model, precision, parallel in product(MODELS, ("fp16", "fp8"), (2, 4, 8)):
        if parallel > hardware.gpus:
            continue
        fill = hardware.gpus // parallel
        choices = [(fill, FULL_BATCH, frequency) for frequency in frequencies]
        if parallel < 8 or model == "llama2-70b":
            choices += [(fill, SMALL_BATCH, frequency) for frequency in frequencies[::2]]
        if fill > 1 and model == "llama2-70b":
            choices += [(1, FULL_BATCH, frequency) for frequency in frequencies[::2]]
        for replicas, batch, frequency in choices:
            configuration = _configuration(model, precision, parallel, replicas, fill, batch, frequency)
            if Instance(configuration, hardware).gpu_memory_gb <= USABLE_MEMORY_FRAC * hardware.gpu_memory_gb:
                yield configuration


def _clock_mhz(hardware: Hardware, frac: float) -> float:
    """The clock on the hardware's grid nearest to this fraction of its highest."""
    return round(frac * hardware.gpu_max_frequency_mhz / FREQUENCY_STEP_MHZ) * FREQUENCY_STEP_MHZ


def _configuration(
    model: str, precision: str, parallel: int, replicas: int, fill: int, batch: int, frequency_mhz: float
) -> Configuration:
    single = "" if replicas == fill else f"-r{replicas}"
    return Configuration(
        name=f"{model}-{precision}-tp{parallel}{single}-b{batch}-f{frequency_mhz:.0f}",
        model=model,
        precision=precision,
        tensor_parallel=parallel,
        replicas=replicas,
        batch=batch,
        frequency_mhz=frequency_mhz,
    )


def _measured(instance: Instance, hardware: str, random: np.random.Generator) -> Profile:
    powers = instance.gpu_powers_w(LOAD_LEVELS)
    goodput_error, power_error = 1.0 + MEASUREMENT_SIGMA * np.clip(random.standard_normal(2), -3.0, 3.0)
    return Profile(
        configuration=instance.configuration,
        hardware=hardware,
        goodput_tokens_per_s=round(instance.goodput_tokens_per_s * goodput_error, 1),
        gpu_power_w=_levels(powers.mean(axis=-1) * power_error),
        hottest_gpu_power_w=_levels(powers.max(axis=-1) * power_error),
        quality=round(instance.quality, 4),
        ttft_s=round(instance.unloaded_ttft_s, 4),
        tbt_s=round(instance.unloaded_tbt_s, 4),
        reload_s=round(instance.reload_s, 1),
        gpu_memory_gb=round(instance.gpu_memory_gb, 1),
        prefill_tokens_per_s=round(instance.prefill_tokens_per_s, 1),
        step_s_per_kv_token=float(f"{instance.pace.step_s_per_kv_token:.4g}"),
        kv_tokens=round(instance.kv_tokens),
        chunk_tokens=instance.pace.chunk_tokens,
    )


def _levels(powers: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = (round(float(power), 1) for power in powers)
    return low, middle, high
