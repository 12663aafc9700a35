"""Failures as one writes them down: ``ups:U2@3d14h+5m``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tapas_opt.domain.failure import Failure, FailureKind, effect_of
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import Fault, InvalidInput, NotFound
from tapas_opt.simulation.story import FailureAt

__all__ = ["read_failures", "shifted"]

FORM = "must be KIND:ELEMENT@WHEN+FOR, such as ups:U2@3d14h+5m, or ahu:AHU1=0.5@14h+30m where half is left"

_FAILURE = re.compile(
    r"(?P<kind>[a-z_]+):(?P<element>[^=@]+)(=(?P<left>[0-9.]+))?@(?P<at>[0-9.dhms]+)\+(?P<long>[0-9.dhms]+)"
)
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)([dhms])")
_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def read_failures(texts: Sequence[str], topology: Topology, length_s: float) -> tuple[FailureAt, ...]:
    """Read failures, whose times count from the start of the story.

    Parameters
    ----------
    length_s
        Of the story, within which each has to begin.

    Raises
    ------
    InvalidInput
        Listing everything that is wrong with any of them.
    """
    found: list[FailureAt] = []
    faults: list[Fault] = []
    for text in texts:
        try:
            item = _read(text)
            effect_of(topology, (item.failure,))
        except (ValueError, NotFound) as error:
            faults.append(Fault("--fail", f"{text!r}: {error}"))
            continue
        if item.at_s >= length_s:
            faults.append(
                Fault("--fail", f"{text!r}: begins after the {length_s / 86_400.0:g} days that are simulated")
            )
        found.append(item)
    if faults:
        raise InvalidInput("simulate", faults)
    return tuple(found)


def shifted(item: FailureAt, start_s: float) -> FailureAt:
    """The same with times that count from 0, and no longer from the start of a story."""
    announced = None if item.announced_at_s is None else item.announced_at_s + start_s
    failure = replace(item.failure, started_at_s=item.at_s + start_s)
    return FailureAt(item.at_s + start_s, item.until_s + start_s, failure, announced)


def _read(text: str) -> FailureAt:
    """One failure; ValueError says what is wrong."""
    match = _FAILURE.fullmatch(text.strip())
    if match is None:
        raise ValueError(FORM)
    if match["kind"] not in {kind.value for kind in FailureKind}:
        raise ValueError(f"{match['kind']!r} is none of {', '.join(FailureKind)}")
    at_s, for_s, left = _time_s(match["at"]), _time_s(match["long"]), float(match["left"] or 0.0)
    if not for_s > 0.0:
        raise ValueError("must last longer than 0 s")
    if not 0.0 <= left < 1.0:
        raise ValueError(f"{left:g} of its capacity cannot be left: must be 0 or more, and below 1")
    failure = Failure(FailureKind(match["kind"]), match["element"], left, expected_duration_s=for_s)
    return FailureAt(at_s, at_s + for_s, failure)


def _time_s(text: str) -> float:
    """``3d14h`` in seconds."""
    parts = _TIME.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no time such as 3d14h or 90s")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
