"""What every decision stands on: the fleet, what is predicted of it, solvers, settings, and the one lock."""

from __future__ import annotations

import threading

from tapas_opt.control.actuation import Actuation
from tapas_opt.control.aftermath import Aftermath
from tapas_opt.control.arming import Arming, failures_of
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.news import News
from tapas_opt.control.outlook import Outlook
from tapas_opt.control.placing import scenario_days
from tapas_opt.control.plans import Plans
from tapas_opt.control.profiles import Profiles
from tapas_opt.control.recorder import Met, unrecorded
from tapas_opt.control.router import Router
from tapas_opt.control.securing import Securing
from tapas_opt.control.settings import Settings
from tapas_opt.control.telemetry import Latest
from tapas_opt.domain.failure import effect_of
from tapas_opt.domain.site import Site
from tapas_opt.errors import Conflict
from tapas_opt.learn.models import LearnedModels
from tapas_opt.mip.worker import Workers

__all__ = ["Ground"]


class Ground:
    """State of a :class:`~tapas_opt.control.controller.Controller`, whose parts each know this and not one another.

    Parameters
    ----------
    workers
        Processes for the solvers of placement and of settled reconfiguration.
    urgent_workers
        Those of failures, stage Now and the routing plan, which must not wait behind the former; the same if not given.
    met
        Told of each problem with its answer, such as to record it; does not keep its caller waiting.
    """

    def __init__(
        self,
        site: Site,
        models: LearnedModels,
        profiles: Profiles,
        *,
        workers: Workers | None = None,
        urgent_workers: Workers | None = None,
        settings: Settings | None = None,
        actuation: Actuation | None = None,
        met: Met = unrecorded,
    ) -> None:
        self.lock = threading.RLock()
        self._met = met
        self.fleet = Fleet(site)
        models.check_covers(self.fleet.topology)
        self.settings = settings or Settings()
        if self.settings.risk == "cvar":
            scenario_days(models)
        self.outlook = Outlook(self.fleet, models, profiles, self.settings.outdoor_rise_c)
        self.router = Router(self.settings.seed)
        self._workers = workers
        self._urgent_workers = urgent_workers or workers
        self._actuation = actuation or Actuation()
        self._securing = Securing(self._actuation, self.settings.arm_for)
        self._plans = Plans(workers, self._urgent_workers, met)
        self.arming = Arming()
        self.aftermath = Aftermath()
        self.news = News()
        for labels in self.settings.arm_for:
            effect_of(self.fleet.topology, failures_of(labels))

    @property
    def models(self) -> LearnedModels:
        """What was learned of the site."""
        return self.outlook.models

    @property
    def profiles(self) -> Profiles:
        """Profiles by configuration and hardware."""
        return self.outlook.profiles

    @property
    def latest(self) -> Latest:
        """What the sensors said last."""
        return self.outlook.latest

    def _expect(self, etag: str | None) -> None:
        if etag and etag != self.fleet.etag:
            raise Conflict(f"the fleet is at {self.fleet.etag}, not at {etag}; read it again")
