"""NVML's answers, its refusals, and its units."""

from __future__ import annotations

from math import isnan
from types import SimpleNamespace

import pynvml
import pytest

from tapas_opt.telemetry.nvml import NvmlGpu

INSTANT, MEMORY_C = pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_FI_DEV_MEMORY_TEMP


def refuse(*arguments):
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def driver(fields: dict[int, int], **changes) -> SimpleNamespace:
    """The module's own constants and errors over a driver that answers as an A100's does."""
    names = {name: getattr(pynvml, name) for name in dir(pynvml) if not name.startswith("nvmlDevice")}

    def values(handle, numbers):
        known = [number in fields for number in numbers]
        return [
            SimpleNamespace(
                nvmlReturn=pynvml.NVML_SUCCESS if known else pynvml.NVML_ERROR_NOT_SUPPORTED,
                value=SimpleNamespace(uiVal=fields.get(number, 0)),
            )
            for number, known in zip(numbers, known, strict=True)
        ]

    answers = {
        "nvmlDeviceGetFieldValues": values,
        "nvmlDeviceGetPowerUsage": lambda handle: 251_300,
        "nvmlDeviceGetTemperature": lambda handle, sensor: 61,
        "nvmlDeviceGetClockInfo": lambda handle, kind: {pynvml.NVML_CLOCK_SM: 1_410, pynvml.NVML_CLOCK_MEM: 1_215}[
            kind
        ],
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=87, memory=34),
        "nvmlDeviceGetCurrentClocksEventReasons": lambda handle: 0x4 | 0x20,
        "nvmlDeviceGetCurrentClocksThrottleReasons": refuse,
        "nvmlDeviceGetName": lambda handle: "NVIDIA A100-SXM4-80GB",
        "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 400_000,
        "nvmlDeviceGetTemperatureThreshold": lambda handle, kind: {1: 92, 3: 85}.get(kind) or refuse(),
        "nvmlDeviceGetMaxClockInfo": lambda handle, kind: 1_410,
        "nvmlSystemGetDriverVersion": lambda: "570.86",
    }
    return SimpleNamespace(**(names | answers | changes))


def test_a_sample_has_watts_degrees_and_shares():
    sample = NvmlGpu(driver({MEMORY_C: 72}), handle=object()).read()
    assert sample.power_w == pytest.approx(251.3)
    assert (sample.temperature_c, sample.memory_temperature_c) == (61.0, 72.0)
    assert (sample.sm_clock_mhz, sample.memory_clock_mhz) == (1_410.0, 1_215.0)
    assert (sample.util_frac, sample.memory_util_frac) == (0.87, 0.34)
    assert sample.throttle_reasons == "sw_power_cap|sw_thermal_slowdown"


def test_the_present_power_is_taken_where_the_driver_tells_it():
    """The plain reading is a mean over a second, which would look like a lag of the temperature."""
    with_it, without = (NvmlGpu(driver(fields), handle=object()) for fields in ({INSTANT: 199_000}, {}))
    assert with_it.read().power_w == pytest.approx(199.0)
    assert with_it.about["power_reading"] == "instant"
    assert without.read().power_w == pytest.approx(251.3)
    assert without.about["power_reading"] == "driver's mean"


def test_what_a_gpu_does_not_tell_is_missing_and_never_zero():
    """A consumer card has no memory sensor: some drivers refuse, some answer 0."""
    refused = NvmlGpu(driver({MEMORY_C: 0}, nvmlDeviceGetUtilizationRates=refuse), handle=object()).read()
    assert isnan(refused.memory_temperature_c)
    assert isnan(refused.util_frac)
    names = [name for name in vars(driver({})) if name.startswith("nvmlDevice")]
    lost = NvmlGpu(driver({}, **dict.fromkeys(names, refuse)), handle=object())
    sample = lost.read()
    assert isnan(sample.power_w)
    assert isnan(sample.sm_clock_mhz)
    assert sample.throttle_reasons is None
    assert lost.about["name"] is None
    assert lost.about["power_reading"] == "none"


def test_older_drivers_call_it_throttling():
    gpu = NvmlGpu(
        driver(
            {},
            nvmlDeviceGetCurrentClocksEventReasons=refuse,
            nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x1,
        ),
        handle=object(),
    )
    assert gpu.read().throttle_reasons == "gpu_idle"
    quiet = NvmlGpu(driver({}, nvmlDeviceGetCurrentClocksEventReasons=lambda handle: 0), handle=object())
    assert quiet.read().throttle_reasons == "none"


def test_limits_are_told_with_their_units():
    about = NvmlGpu(driver({}), handle=object()).about
    assert about["name"] == "NVIDIA A100-SXM4-80GB"
    assert about["driver"] == "570.86"
    assert about["power_limit_w"] == pytest.approx(400.0)
    assert about["slowdown_temperature_c"] == 92
    assert about["highest_temperature_c"] == 85
    assert about["highest_memory_temperature_c"] is None
