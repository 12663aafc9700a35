"""The operator's own decisions, as a policy: every VM where it was, every instance under the load that it carried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tapas_opt.domain.failure import Failure
from tapas_opt.domain.panel import SLOT_S
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.simulation.backtest.past import Past
from tapas_opt.simulation.policy import Orders, Request, Shares
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["Kept"]


class Kept:
    """Keeps everything as it happened; what the room makes of it is how well the models know the room."""

    name = "as it happened"

    def __init__(self, past: Past) -> None:
        self._past = past
        self._stays = {stay.vm.name: stay for stay in past.stays}
        self._instances = {name: stay for name, stay in self._stays.items() if stay.profile is not None}

    def adopt(self, vms: Sequence[tuple[Vm, str]], groups: Sequence[Group], now_s: float) -> None:
        """They are where they were."""

    def place(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        """Where each ran."""
        found = {vm.name: self._stays[vm.name].server for vm in vms}
        return {name: server for name, server in found.items() if server is not None}

    def release(self, names: Sequence[str], now_s: float) -> None:
        """They left when they left."""

    def observe(self, telemetry: Telemetry) -> Orders:
        """Nothing is ordered."""
        return Orders()

    def shares(self, now_s: float) -> Shares:
        """The part of its endpoint's tokens that each instance carried."""
        t = round((now_s - self._past.start_s) / SLOT_S)
        carried: dict[str, dict[str, float]] = {}
        for name, stay in self._instances.items():
            if stay.first <= t < stay.stop:
                carried.setdefault(stay.vm.endpoint or "", {})[name] = self._past.tokens_per_s(stay, t)
        totals = {endpoint: sum(parts.values()) or 1.0 for endpoint, parts in carried.items()}
        return {e: {name: part / totals[e] for name, part in parts.items()} for e, parts in carried.items()}

    def route(self, requests: Sequence[Request], now_s: float) -> int:
        """No request is known by itself."""
        return 0

    def announced(self, outage: Failure, now_s: float) -> None:
        """Nothing is told of."""

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """Nothing is ordered."""
        return Orders()

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """Nothing is ordered."""
        return Orders()

    def review(self, now_s: float) -> Orders:
        """Nothing is ordered."""
        return Orders()

    def applied(self, vm: str, now_s: float) -> None:
        """Nothing was ordered."""
