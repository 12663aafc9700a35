"""What the NVIDIA GPUs of this machine say of themselves, through NVML: reading only, nothing is ever set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from tapas_opt.errors import InvalidInput

__all__ = ["Gpu", "GpuSample", "NvmlGpu", "local_gpus"]

_MISSING = float("nan")
_REASON = "nvmlClocksEventReason"


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One look at one GPU; what it does not tell is NaN.

    Attributes
    ----------
    util_frac, memory_util_frac
        Share of the driver's last sampling period (1/6 to 1 s) in which a kernel ran, or memory was read or written.
    throttle_reasons
        Why clocks are not higher, by NVML's names (``sw_power_cap``, ``hw_thermal_slowdown``, ``gpu_idle``, …), joined
        by ``|``; ``none`` without a reason, None where it is not told.
    """

    power_w: float
    temperature_c: float
    memory_temperature_c: float
    sm_clock_mhz: float
    memory_clock_mhz: float
    util_frac: float
    memory_util_frac: float
    throttle_reasons: str | None


class Gpu(Protocol):
    """A GPU that can be looked at: a real one, or a simulated one."""

    @property
    def about(self) -> Mapping[str, Any]:
        """Name, driver, limits, and what its power reading is."""

    def read(self) -> GpuSample:
        """Look at it now."""


@contextmanager
def local_gpus() -> Iterator[Sequence[Gpu]]:
    """All NVIDIA GPUs of this machine, in NVML's order.

    Raises
    ------
    InvalidInput
        If there is no driver, or no GPU.
    """
    import pynvml  # noqa: PLC0415  only this reads GPUs

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        what = f"NVML does not start here ({error}); it needs an NVIDIA GPU with its driver, or --simulate"
        raise InvalidInput.one("recording", "gpu", what) from error
    try:
        count = pynvml.nvmlDeviceGetCount()
        if not count:
            raise InvalidInput.one("recording", "gpu", "the driver sees no GPU; record where one is, or --simulate")
        yield [NvmlGpu(pynvml, pynvml.nvmlDeviceGetHandleByIndex(i)) for i in range(count)]
    finally:
        pynvml.nvmlShutdown()


class NvmlGpu:
    """One GPU behind NVML.

    Parameters
    ----------
    nvml
        The module ``pynvml`` of nvidia-ml-py.
    """

    def __init__(self, nvml: ModuleType, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        # The plain reading is a mean over a second since Ampere; the present power is taken where the driver tells it.
        self._instant = self._field(nvml.NVML_FI_DEV_POWER_INSTANT) is not None

    @property
    def about(self) -> Mapping[str, Any]:
        """Name, driver, limits in W, °C and MHz where told, and what the power reading is."""
        n, h = self._nvml, self._handle
        of_driver = self._told(n.nvmlDeviceGetPowerUsage) is not None
        return {
            "name": _text(self._told(n.nvmlDeviceGetName)),
            "driver": _text(_or_none(n, n.nvmlSystemGetDriverVersion)),
            "power_reading": "instant" if self._instant else "driver's mean" if of_driver else "none",
            "power_limit_w": _scaled(self._told(n.nvmlDeviceGetEnforcedPowerLimit), 1e-3),
            "slowdown_temperature_c": self._threshold(n.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
            "highest_temperature_c": self._threshold(n.NVML_TEMPERATURE_THRESHOLD_GPU_MAX),
            "highest_memory_temperature_c": self._threshold(n.NVML_TEMPERATURE_THRESHOLD_MEM_MAX),
            "highest_sm_clock_mhz": _or_none(n, lambda: n.nvmlDeviceGetMaxClockInfo(h, n.NVML_CLOCK_SM)),
            "highest_memory_clock_mhz": _or_none(n, lambda: n.nvmlDeviceGetMaxClockInfo(h, n.NVML_CLOCK_MEM)),
        }

    def read(self) -> GpuSample:
        """Look at it now; a reading that the GPU or its driver does not give is NaN."""
        n, h = self._nvml, self._handle
        util = self._told(n.nvmlDeviceGetUtilizationRates)
        milliwatts = self._field(n.NVML_FI_DEV_POWER_INSTANT) if self._instant else None
        if milliwatts is None:
            milliwatts = self._told(n.nvmlDeviceGetPowerUsage)
        # A GPU without that sensor says 0, or that it is not supported.
        memory_c = self._field(n.NVML_FI_DEV_MEMORY_TEMP) or None
        return GpuSample(
            power_w=_number(milliwatts, 1e-3),
            temperature_c=_number(_or_none(n, lambda: n.nvmlDeviceGetTemperature(h, n.NVML_TEMPERATURE_GPU))),
            memory_temperature_c=_number(memory_c),
            sm_clock_mhz=_number(_or_none(n, lambda: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_SM))),
            memory_clock_mhz=_number(_or_none(n, lambda: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_MEM))),
            util_frac=_MISSING if util is None else util.gpu / 100.0,
            memory_util_frac=_MISSING if util is None else util.memory / 100.0,
            throttle_reasons=self._reasons(),
        )

    def _told(self, ask: Callable[[Any], Any]) -> Any:
        return _or_none(self._nvml, lambda: ask(self._handle))

    def _field(self, number: int) -> int | None:
        """An unsigned field value, where the GPU has it."""
        values = _or_none(self._nvml, lambda: self._nvml.nvmlDeviceGetFieldValues(self._handle, [number]))
        if values is None or values[0].nvmlReturn != self._nvml.NVML_SUCCESS:
            return None
        return int(values[0].value.uiVal)

    def _threshold(self, kind: int) -> Any:
        return _or_none(self._nvml, lambda: self._nvml.nvmlDeviceGetTemperatureThreshold(self._handle, kind))

    def _reasons(self) -> str | None:
        """Names of the set bits, from NVML's own constants: ``SwPowerCap`` is ``sw_power_cap``."""
        n = self._nvml
        bits = self._told(n.nvmlDeviceGetCurrentClocksEventReasons)
        if bits is None:
            bits = self._told(n.nvmlDeviceGetCurrentClocksThrottleReasons)
        if bits is None:
            return None
        names = [name for name in dir(n) if name.startswith(_REASON) and not name.endswith("All")]
        given = [_snake(name.removeprefix(_REASON)) for name in names if bits & getattr(n, name)]
        return "|".join(sorted(given)) or "none"


def _or_none(nvml: ModuleType, ask: Callable[[], Any]) -> Any:
    """What NVML answers; None where it cannot."""
    try:
        return ask()
    except nvml.NVMLError:
        return None


def _number(value: float | None, scale: float = 1.0) -> float:
    return _MISSING if value is None else float(value) * scale


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
