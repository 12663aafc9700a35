"""A policy of three parts that know the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.simulation.policies.insight import Insight
from tapas_opt.simulation.policies.parts import Configurator, Placer, Router
from tapas_opt.simulation.policies.roster import Roster
from tapas_opt.simulation.policy import Orders, Request, Shares
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["Composed"]


class Composed:
    """Places, routes and configures by three parts.

    Parameters
    ----------
    insight
        What its parts predict by; None where none of them predicts anything.
    """

    def __init__(
        self,
        name: str,
        roster: Roster,
        placer: Placer,
        router: Router,
        configurator: Configurator,
        insight: Insight | None = None,
    ) -> None:
        self.name = name
        self._roster = roster
        self._placer = placer
        self._router = router
        self._configurator = configurator
        self._insight = insight

    def adopt(self, vms: Sequence[tuple[Vm, str]], groups: Sequence[Group], now_s: float) -> None:
        """Take VMs over where they are."""
        self._put([vm for vm, _ in vms], {vm.name: server for vm, server in vms}, groups)

    def place(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        """Ask the placer."""
        found = self._placer.find(vms, groups, now_s)
        self._put(vms, found, groups)
        return found

    def release(self, names: Sequence[str], now_s: float) -> None:
        """Forget VMs."""
        self._roster.remove(names)
        self._configurator.released(names)
        if self._insight is not None:
            self._insight.released(names)

    def observe(self, telemetry: Telemetry) -> Orders:
        """Telemetry is for all parts."""
        if self._insight is not None:
            self._insight.observe(telemetry)
        return self._configurator.observe(telemetry)

    def shares(self, now_s: float) -> Shares:
        """Ask the router."""
        return self._router.shares(now_s)

    def route(self, requests: Sequence[Request], now_s: float) -> int:
        """A request is served while its endpoint has anybody."""
        served = {endpoint for endpoint, parts in self._router.shares(now_s).items() if parts}
        return sum(request.endpoint in served for request in requests)

    def announced(self, outage: Failure, now_s: float) -> None:
        """Nobody here plans ahead."""

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """A failure is for all parts."""
        self._roster.failed(failure)
        if self._insight is not None:
            self._insight.failed(failure)
        return self._configurator.failed(failure, now_s)

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """So is its end."""
        self._roster.cleared(failure)
        if self._insight is not None:
            self._insight.cleared(failure)
        return self._configurator.cleared(failure, now_s)

    def review(self, now_s: float) -> Orders:
        """Ask the configurator."""
        return self._configurator.review(now_s)

    def applied(self, vm: str, now_s: float) -> None:
        """An instance runs what it was told to."""
        if self._insight is not None:
            self._insight.applied(vm)

    def _put(self, vms: Sequence[Vm], server_of: Mapping[str, str], groups: Sequence[Group]) -> None:
        self._roster.put(vms, server_of)
        if self._insight is not None:
            self._insight.put(vms, server_of, groups)
