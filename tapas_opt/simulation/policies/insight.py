"""What heuristics predict by: the optimiser's learned models, profiles and telemetry, without its solvers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tapas_opt.control import events as happened
from tapas_opt.control.controller import Controller
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.reconfiguration.problem import ReconfigurationProblem, Stage
from tapas_opt.routing.problem import RoutingProblem
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["HEARD_EVERY_S", "Insight"]

HEARD_EVERY_S = 300.0
"""Telemetry is taken in as often as history is, and always once something has failed."""


class Insight:
    """States the three problems of the moment, as numbers; who asks decides by rules of its own.

    Parameters
    ----------
    controller
        Of an empty fleet with its endpoints, used for its forecasts only.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._heard_s = float("-inf")
        self.now_s = 0.0
        self.version = 0

    def put(self, vms: Iterable[Vm], server_of: Mapping[str, str], groups: Sequence[Group]) -> None:
        """VMs run on servers from now on."""
        there = tuple(happened.VmOnServer(vm, server_of[vm.name]) for vm in vms if vm.name in server_of)
        self._apply(*(happened.GroupPut(group) for group in groups), happened.VmsAdopted(there))

    def released(self, names: Sequence[str]) -> None:
        """VMs have left."""
        self._apply(happened.VmsReleased(tuple(names)))

    def failed(self, failure: Failure) -> None:
        """An element has failed."""
        self._apply(happened.FailureReported(failure))

    def cleared(self, failure: Failure) -> None:
        """It works again."""
        self._apply(happened.FailureCleared(failure.label))

    def ordered(self, choice_of: Mapping[str, str]) -> None:
        """Instances were told to change."""
        self._apply(happened.PlanApplied("", "", dict(choice_of)))

    def applied(self, vm: str) -> None:
        """An instance runs what it was told to."""
        placed = self._controller.fleet.vms.get(vm)
        if placed is not None and placed.acknowledged != placed.generation:
            self._apply(happened.ConfigurationAcknowledged(vm, placed.generation))

    def observe(self, telemetry: Telemetry) -> None:
        """Take telemetry in if that is due."""
        self.now_s = telemetry.t_s
        if self._controller.fleet.failures or telemetry.t_s - self._heard_s >= HEARD_EVERY_S:
            self._heard_s = telemetry.t_s
            self._controller.observe(telemetry.named(self._controller.fleet.topology))

    def placement(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> PlacementProblem:
        """Where new VMs may go."""
        return self._controller.placement_problem(vms, groups, now_s=now_s)

    def routing(self, now_s: float) -> RoutingProblem:
        """Who may take what."""
        return self._controller.router.problem(self._controller.forecast_next_hour(now_s=now_s))

    def reconfiguration(self, stage: Stage, now_s: float) -> ReconfigurationProblem:
        """What every instance may run."""
        failures = tuple(self._controller.fleet.failures.values())
        return self._controller.reconfiguration_problem(stage, failures, now_s=now_s)

    def preferred(self, vm: str) -> str | None:
        """Configuration that an instance's endpoint prefers; None of an opaque VM."""
        placed = self._controller.fleet.vms[vm]
        endpoint = placed.vm.endpoint
        return None if endpoint is None else self._controller.fleet.endpoints[endpoint].configuration

    def _apply(self, *events: happened.Event) -> None:
        self._controller.apply(events)
        self.version += 1
