"""Numbers and moments as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tapas_opt.domain.failure import FailureKind
from tapas_opt.learn.compare import SINCE_1970_S, day_name

__all__ = [
    "clock_time",
    "day_count",
    "duration",
    "element",
    "listed",
    "moment",
    "over_seeds",
    "percent",
    "reproduced_on",
    "several_days",
]

_DAY_S = 86_400

_ELEMENTS: Mapping[str, str] = {
    FailureKind.UPS: "UPS {}",
    FailureKind.PDU: "PDU {}",
    FailureKind.AHU: "air handler {}",
    FailureKind.CHILLED_WATER: "the chilled water of {}",
    FailureKind.ROOM_POWER: "part of the power of {}",
    FailureKind.ROOM_AIRFLOW: "part of the airflow of {}",
}


def element(label: str) -> str:
    """What failed: ``UPS U2`` for the label ``ups:U2``; a label of no known kind stays as it is."""
    kind, _, name = label.partition(":")
    return _ELEMENTS[kind].format(name) if name and kind in _ELEMENTS else label


def clock_time(t_s: float, with_day: bool = False) -> str:
    """``14:03:20``, or ``day 2, 14:03:20``; the first day is day 1."""
    if not math.isfinite(t_s):
        return "–"
    day, second = divmod(int(t_s), _DAY_S)
    text = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"day {day + 1}, {text}" if with_day else text


def moment(t_s: float) -> str:
    """A moment of a history: ``2026-03-01, 14:03:20 UTC``, or ``day 2, 14:03:20`` on a clock that began at 0."""
    if t_s < SINCE_1970_S:
        return clock_time(t_s, with_day=True)
    return f"{day_name(t_s)}, {clock_time(t_s)} UTC"


def day_count(days: float) -> str:
    """``1 day``, ``2 days``, ``0.5 days``."""
    told = f"{days:.3g}"
    return f"{told} day" if told == "1" else f"{told} days"


def several_days(times_s: Iterable[float]) -> bool:
    """Whether moments lie on different days; a last moment at midnight belongs to the day that ends there."""
    finite = [t_s for t_s in times_s if math.isfinite(t_s)]
    return bool(finite) and math.ceil(max(finite) / _DAY_S) - 1 > math.floor(min(finite) / _DAY_S)


def duration(seconds: float) -> str:
    """``45 s``, ``5 min``, ``2 h 30 min``."""
    if not math.isfinite(seconds):
        return "the rest of the run"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def percent(fraction: float, digits: int = 0) -> str:
    """``97 %``."""
    return f"{100 * fraction:.{digits}f} %"


def over_seeds(fractions: Sequence[float | None]) -> str:
    """Mean and range of what seeds came to, such as ``−8.4 % (−9.1 to −7.7)``; unknown values are left out."""
    known = [100.0 * value for value in fractions if value is not None]
    if not known:
        return "unknown"
    mean = f"{sum(known) / len(known):.2f} %"
    text = mean if len(known) == 1 else f"{mean} ({min(known):.2f} to {max(known):.2f})"
    return text.replace("-", "−")


def reproduced_on(answer: Mapping[str, Any]) -> str:
    """What a reproduction was run on: ``80 servers, 0.7 days a scenario, 50 % of VMs instances, seeds 1, 2, 3``."""
    seeds = answer["seeds"]
    said = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    instances = f"{percent(answer['saas_share'])} of VMs instances"
    return f"{answer['servers']:,} servers, {answer['days']:g} days a scenario, {instances}, {said}"


def listed(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1] if parts else ""
