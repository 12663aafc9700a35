"""Scenarios by name: what each adds to an ordinary stretch of days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.site_generator import SiteShape
from tapas_opt.domain.topology import Topology
from tapas_opt.plant.spikes import Spike
from tapas_opt.simulation.story import FailureAt

__all__ = ["OVERSUBSCRIPTION", "SCENARIOS", "SHAPES", "Frame", "Twist"]

HOUR_S, MINUTE_S = 3600.0, 60.0
PEAK_H = 15.0
"""Hour of the day at which endpoints are asked for most."""

SHORT_S, LONG_S, FOR_S = 5 * MINUTE_S, 12 * HOUR_S, 30 * MINUTE_S
POWER_LEFT_FRAC, AIRFLOW_LEFT_FRAC = 0.75, 0.90
"""The paper's emergencies (facts): capacity falls at once to 75 %, an aisle's airflow to 90 %."""

HOT_WEEK_K, HEAT_WAVE_K = 6.0, 12.0
SHAPES: Mapping[str, SiteShape] = {
    "oversubscribe": SiteShape(row_power_frac=1.0, ups_power_frac=1.0, airflow_frac=1.0, heat_frac=1.0)
}
"""How a generated site is built where that is not the generator's default, which is near its budgets.

Rooms that are to be oversubscribed were sized for what nameplates say.
"""

SPIKE_FACTOR = 3.0
BAD_SENSOR_FRAC = 0.02
OVERSUBSCRIPTION: Mapping[str, float] = {"oversubscribe": 0.4}
"""Servers added under the same budgets by scenario, where nothing else is asked for; none in the others."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a scenario is fitted into.

    Attributes
    ----------
    start_s, end_s
        Midnight of the first day, and the end.
    """

    topology: Topology
    endpoints: tuple[str, ...]
    start_s: float
    end_s: float

    @property
    def peak_s(self) -> float:
        """The first afternoon's peak, or the middle of what is simulated where that ends before."""
        peak_s = self.start_s + PEAK_H * HOUR_S
        return peak_s if peak_s < self.end_s else 0.5 * (self.start_s + self.end_s)

    def failing(self, kind: FailureKind, element: str, at_s: float, for_s: float, left: float = 0.0) -> FailureAt:
        """An element fails for a time, of which a short story meets only what is left of it."""
        begins_s, ends_s = max(at_s, self.start_s), at_s + for_s
        failure = Failure(kind, element, left, started_at_s=begins_s, expected_duration_s=ends_s - begins_s)
        return FailureAt(begins_s, ends_s, failure)


@dataclass(frozen=True, slots=True)
class Twist:
    """What a scenario adds.

    Attributes
    ----------
    warmer_k
        How much warmer it is outside than the seed's weather.
    """

    failures: tuple[FailureAt, ...] = ()
    spikes: tuple[Spike, ...] = ()
    warmer_k: float = 0.0
    bad_sensor_frac: float = 0.0


Scenario = Callable[[Frame], Twist]


def _week(frame: Frame) -> Twist:
    """A hot week."""
    return Twist(warmer_k=HOT_WEEK_K)


def _ordinary(frame: Frame) -> Twist:
    """Nothing besides: for ``saas_share``, which says itself what is special."""
    return Twist()


def _ups_failure(frame: Frame) -> Twist:
    """The second UPS is lost at the peak."""
    name = frame.topology.upses[min(1, len(frame.topology.upses) - 1)]
    return Twist((frame.failing(FailureKind.UPS, name, frame.peak_s, FOR_S),))


def _ahu_failure(frame: Frame) -> Twist:
    """The first air handler is lost at the peak."""
    return Twist((frame.failing(FailureKind.AHU, frame.topology.ahus[0], frame.peak_s, FOR_S),))


def _chilled_water(frame: Frame) -> Twist:
    """The first room's water is lost at the peak."""
    room = frame.topology.rooms[0]
    return Twist((frame.failing(FailureKind.CHILLED_WATER, room, frame.peak_s, FOR_S),))


def _paper(power: bool, cooling: bool, for_s: float) -> Scenario:
    def twist(frame: Frame) -> Twist:
        lost = [(FailureKind.ROOM_POWER, POWER_LEFT_FRAC)] * power + [
            (FailureKind.ROOM_AIRFLOW, AIRFLOW_LEFT_FRAC)
        ] * cooling
        at_s = frame.peak_s - (for_s / 2.0 if for_s == LONG_S else 0.0)
        rooms = frame.topology.rooms
        return Twist(tuple(frame.failing(kind, room, at_s, for_s, left) for room in rooms for kind, left in lost))

    twist.__doc__ = "The paper's emergency in every room, at the peak or for twelve hours across it."
    return twist


def _maintenance(frame: Frame) -> Twist:
    """The first UPS is out by plan around the peak, known from the start; then the second fails."""
    upses = frame.topology.upses
    out = frame.failing(FailureKind.UPS, upses[0], frame.peak_s - 4 * HOUR_S, 8 * HOUR_S)
    fails = frame.failing(FailureKind.UPS, upses[min(1, len(upses) - 1)], frame.peak_s, FOR_S)
    return Twist((replace(out, announced_at_s=frame.start_s), fails))


def _heat_wave(frame: Frame) -> Twist:
    """Hotter outside than history knows."""
    return Twist(warmer_k=HEAT_WAVE_K)


def _spike(frame: Frame) -> Twist:
    """The first endpoint is asked for three times as much at the peak, within a minute and for half an hour."""
    return Twist(spikes=(Spike(frame.endpoints[0], frame.peak_s, SPIKE_FACTOR, hold_s=FOR_S),))


def _bad_sensors(frame: Frame) -> Twist:
    """Two in a hundred sensors misbehave, in a hot week."""
    return replace(_week(frame), bad_sensor_frac=BAD_SENSOR_FRAC)


SCENARIOS: Mapping[str, Scenario] = {
    "week": _week,
    "oversubscribe": _week,
    "ups_failure": _ups_failure,
    "ahu_failure": _ahu_failure,
    "paper_power": _paper(power=True, cooling=False, for_s=SHORT_S),
    "paper_cooling": _paper(power=False, cooling=True, for_s=SHORT_S),
    "paper_both": _paper(power=True, cooling=True, for_s=SHORT_S),
    "paper_power_12h": _paper(power=True, cooling=False, for_s=LONG_S),
    "paper_cooling_12h": _paper(power=False, cooling=True, for_s=LONG_S),
    "paper_both_12h": _paper(power=True, cooling=True, for_s=LONG_S),
    "chilled_water": _chilled_water,
    "maintenance": _maintenance,
    "heat_wave": _heat_wave,
    "spike": _spike,
    "bad_sensors": _bad_sensors,
    "saas_share": _ordinary,
}
"""Every scenario by its name."""
