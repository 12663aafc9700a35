"""What endpoints are asked for now, and within the coming hour."""

from __future__ import annotations

from tapas_opt.control.fleet import FleetVm
from tapas_opt.control.loads import Loads

__all__ = ["MOST_GROWTH", "EndpointDemand"]

MOST_GROWTH = 2.0
"""Demand is not expected to more than double within the hour, whatever a template of a quiet night says."""


class EndpointDemand(Loads):
    """Demand of endpoints in a forecast."""

    def demand_tokens_per_s(self, endpoint: str) -> float:
        """Prompt and output tokens per second now: as measured, or by template where nothing is."""
        measured = self.latest.get("endpoint_tokens_per_s", endpoint, self.now_s)
        if measured is not None:
            return measured
        load = self.models.load_central_frac(endpoint)[self.next_hour()].max()
        return float(load) * self._starting_goodput_of(endpoint)

    def coming_demand_tokens_per_s(self, endpoint: str) -> tuple[float, float]:
        """Tokens per second that the endpoint will be asked for within this hour and the next, and may be asked for.

        What is asked now grows as its template does from its centre now to its centre, and to its upper bound, then.
        """
        central = self.models.load_central_frac(endpoint)
        now, then = float(central[self.hour]), float(central[self.next_hour()].max())
        upper = float(self.models.load_upper_frac(endpoint)[self.next_hour()].max())
        asked = self.demand_tokens_per_s(endpoint)
        will, may = (asked * min(max(1.0, frac / now) if now > 0 else 1.0, MOST_GROWTH) for frac in (then, upper))
        return will, may

    def _starting_goodput_of(self, endpoint: str) -> float:
        return sum(self._starting_goodput(placed) for placed in self.fleet.saas() if placed.vm.endpoint == endpoint)

    def _starting_goodput(self, placed: FleetVm) -> float:
        topology = self.fleet.topology
        hardware = topology.hardware[topology.server_hardware[self.fleet.server_number(placed.server)]]
        profile = self.starting_profile(placed.vm, hardware)
        return 0.0 if profile is None else profile.goodput_tokens_per_s
