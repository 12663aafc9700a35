"""What decisions go by: learned models and profiles, the latest telemetry, and what it shows the models to miss."""

from __future__ import annotations

from tapas_opt.control.answers import Context
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.meters import contradictions
from tapas_opt.control.profiles import Profiles
from tapas_opt.control.telemetry import Late, Latest, Readings
from tapas_opt.control.tracked import Tracked, untracked
from tapas_opt.control.tracking import Tracking
from tapas_opt.domain.failure import Failure
from tapas_opt.learn.models import LearnedModels

__all__ = ["Outlook"]


HEAT_SHARED_S = 5.0
"""A room's temperatures are worked out at most so often while no reading comes: failures are many, and it is slow."""


class Outlook:
    """Makes forecasts of a fleet. Not thread-safe by itself: the controller holds a lock.

    Parameters
    ----------
    outdoor_rise_c
        How much warmer than measured it may become outside within the next hour.
    """

    def __init__(self, fleet: Fleet, models: LearnedModels, profiles: Profiles, outdoor_rise_c: float) -> None:
        self.models = models
        self.profiles = profiles.measured(models)
        self.latest = Latest()
        self.tracking = Tracking(fleet.topology, models)
        self._fleet = fleet
        self._outdoor_rise_c = outdoor_rise_c
        self._recent: tuple[Tracking, Forecast] | None = None
        self._last: tuple[tuple[object, ...], Forecast] | None = None

    def observe(self, readings: Readings) -> list[Late]:
        """Take telemetry in, and compare it with what was predicted; return what of it says nothing new."""
        late = self.latest.take(readings)
        self._recent = self._last = None
        newest_s = self.latest.newest_s
        if newest_s is not None and self.tracking.due(newest_s):
            self.tracking.follow(self._fleet.topology)
            self.tracking.look(
                self._predicting(newest_s, float("nan"), self._failures, untracked(self._fleet.topology))
            )
        return late

    def for_life(self, now_s: float) -> Forecast:
        """At the warmest weather of the fitted history: a VM stays for weeks."""
        warmest_c = self.models.inlet_temperature.feature("outdoor_c").highest
        measured_c = self.latest.outdoor_c(self._fleet.topology, now_s)
        outdoor_c = warmest_c if measured_c is None else max(warmest_c, measured_c)
        return self._forecast(now_s, outdoor_c, self._failures, lasting=True)

    def next_hour(
        self, now_s: float, failures: tuple[Failure, ...] | None = None, warmer_c: float | None = None
    ) -> Forecast:
        """At the weather now and a little more; at the warmest known where nothing was measured.

        Who asks again before anything has changed gets the same one, with what it has worked out.
        """
        rise_c = self._outdoor_rise_c if warmer_c is None else warmer_c
        measured_c = self.latest.outdoor_c(self._fleet.topology, now_s)
        warmest_c = self.models.inlet_temperature.feature("outdoor_c").highest
        outdoor_c = warmest_c if measured_c is None else measured_c + rise_c
        failures = self._failures if failures is None else failures
        asked = now_s, outdoor_c, failures, self._fleet.generation, self.tracking
        if self._last is None or self._last[0] != asked:
            self._last = asked, self._made_anew(now_s, outdoor_c, failures)
        return self._last[1]

    def _made_anew(self, now_s: float, outdoor_c: float, failures: tuple[Failure, ...]) -> Forecast:
        """Of the next hour, with the heat of another one that was made on the same readings."""
        made = self._forecast(now_s, outdoor_c, failures, lasting=False)
        if self._recent is not None and self._recent[0] is self.tracking:
            made.shares_heat_with(self._recent[1], HEAT_SHARED_S)
        if "ceiling_w" not in made.__dict__:
            self._recent = (self.tracking, made)
        return made

    def context(self, forecast: Forecast) -> Context:
        """What a decision on this forecast was made on."""
        now_s = forecast.now_s
        extrapolated = self.models.extrapolated(forecast.outdoor_c, forecast.room_load_frac)
        warnings = (*extrapolated, *forecast.aged(), *self.tracking.warnings(now_s))
        return Context(self._fleet.etag, self.models.fingerprint, self.latest.age_s(now_s), warnings)

    def warnings(self, now_s: float) -> tuple[str, ...]:
        """What an operator should look at now."""
        present = self.next_hour(now_s, warmer_c=0.0)
        drifts, wider = self.tracking.drifts(now_s), self.tracking.warnings(now_s)
        return (*drifts, *present.aged(), *wider, *contradictions(present))

    @property
    def _failures(self) -> tuple[Failure, ...]:
        return tuple(self._fleet.failures.values())

    def _forecast(self, now_s: float, outdoor_c: float, failures: tuple[Failure, ...], *, lasting: bool) -> Forecast:
        self.tracking.follow(self._fleet.topology)
        return self._predicting(now_s, outdoor_c, failures, self.tracking.now(now_s, lasting=lasting))

    def _predicting(self, now_s: float, outdoor_c: float, failures: tuple[Failure, ...], tracked: Tracked) -> Forecast:
        return Forecast(self._fleet, self.models, self.profiles, self.latest, now_s, outdoor_c, failures, tracked)
