"""The controller: every decision of the service, made from a fleet, learned models and telemetry.

It has no clock and no network: ``now_s`` is given. A decision comes back as an answer with events; whoever keeps the
journal makes them durable and then calls :meth:`Controller.apply`. Solves run outside the lock, commits inside it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tapas_opt.budgets.numbers import budget_numbers
from tapas_opt.control import events as happened
from tapas_opt.control.aftermath import unattended
from tapas_opt.control.answers import DomainLoad
from tapas_opt.control.fleet_commands import FleetCommands
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.placement_decisions import PlacementDecisions
from tapas_opt.control.reconfiguration_decisions import ReconfigurationDecisions
from tapas_opt.control.settings import Settings
from tapas_opt.control.telemetry import Late, Readings
from tapas_opt.control.tracking import Tracking

__all__ = ["Controller", "Settings"]


class Controller(FleetCommands, PlacementDecisions, ReconfigurationDecisions):
    """Decides; see the module. Public methods are safe to call from several threads.

    One class in parts, a noun each; what is here is the course of time: what happened, routes, and how it stands.
    """

    # What happened.

    def apply(self, events: Iterable[happened.Event]) -> None:
        """Add events that are durable now; routing follows at once where it must."""
        with self.lock:
            before = self.fleet.generation
            self.fleet.apply(events)
            if self.fleet.generation != before:
                self.router.note_change(self.fleet)
        self.news.tell()

    def observe(self, readings: Readings) -> list[Late]:
        """Take telemetry in; return what of it says nothing new."""
        with self.lock:
            return self.outlook.observe(readings)

    def restore_tracking(self, raw: object) -> None:
        """Go on from biases tracked before; raises InvalidInput where they are damaged."""
        with self.lock:
            self.outlook.tracking = Tracking.restored(raw, self.fleet.topology, self.models)

    def forget_tracking(self, why: str) -> None:
        """Track biases anew, because what was known of them is lost."""
        with self.lock:
            self.outlook.tracking = Tracking(self.fleet.topology, self.models, lost=why)

    def tick(self, now_s: float) -> tuple[happened.Event, ...]:
        """What nobody has to ask for: reservations expire, and the next wave of a plan starts when one is done.

        What follows a wave whose agents say nothing for a lease is given up. In mode ``shadow`` no wave starts.
        """
        with self.lock:
            names = sorted(name for name, placed in self.fleet.vms.items() if placed.expires_at_s <= now_s)
            expired = (happened.VmsReleased(tuple(names), "expired"),) if names else ()
            if self.fleet.mode is happened.OperatingMode.SHADOW:
                return expired
            if self.fleet.wave_done():
                return (*expired, happened.WaveStarted(at_s=now_s))
            silent = self.fleet.silent_since(now_s - self.settings.lease_s)
            return (*expired, happened.WaveGivenUp(silent)) if silent else expired

    # Routing.

    def refresh_routes(self, *, now_s: float, deadline_s: float = 0.5) -> bool:
        """Make the routing plan anew if it is due; says whether it was."""
        with self.lock:
            if not self.router.due(now_s, self.settings.route_every_s):
                return False
            forecast = self.outlook.next_hour(now_s)
            problem = self.router.problem(forecast)
            context = self.outlook.context(forecast)
        plan = self.router.plan(
            problem, solver=self.settings.solver, workers=self._urgent_workers, **self.settings.stopping(deadline_s)
        )
        self._met(problem, plan)
        with self.lock:
            self.router.use(problem, plan, context, fleet=self.fleet, now_s=now_s, every_s=self.settings.route_every_s)
        return True

    # How it stands.

    def domain_loads(self, now_s: float) -> tuple[DomainLoad, ...]:
        """What every budget carries in this hour and the next, without margins."""
        with self.lock:
            forecast = self.outlook.next_hour(now_s, warmer_c=0.0)
            power, airflow = forecast.present_draw(frozenset())
            numbers = budget_numbers(self.fleet.topology, forecast.effect, ("now",), power, airflow, {})
        return tuple(
            DomainLoad(family.constraint, name, float(load), float(limit), family.unit)
            for family in numbers.families
            for name, load, limit in zip(family.domains, family.base[:, 0], family.limit[:, 0], strict=True)
        )

    def warnings(self, now_s: float) -> tuple[str, ...]:
        """What an operator should look at, one sentence each.

        Models that drift, sensors and meters not believed, failures that last, agents that are silent, plans that wait.
        """
        with self.lock:
            waiting = unattended(self.fleet, now_s, self.settings.lease_s)
            return (*waiting, *self.aftermath.advice(self.fleet), *self.outlook.warnings(now_s))

    def forecast_next_hour(self, *, now_s: float) -> Forecast:
        """What routing and reconfiguration would plan on now."""
        with self.lock:
            return self.outlook.next_hour(now_s)
