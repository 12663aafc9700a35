"""What servers and endpoints are expected to draw and to need, from learned models, profiles and telemetry."""

from __future__ import annotations

from dataclasses import replace

from tapas_opt.control.demand import EndpointDemand
from tapas_opt.control.margins import DomainMargins

__all__ = ["Forecast"]


class Forecast(DomainMargins, EndpointDemand):
    """Predictions for one moment; everything is computed once, when first asked for.

    One class in parts, a noun each, that stand on :class:`~tapas_opt.control.conditions.Conditions`: the heat, loads of
    VMs, what servers draw in that heat under these loads, margins on it, and what endpoints are asked for.
    """

    def apart(self) -> Forecast:
        """The same, of a fleet and readings that nobody changes: for whoever has time, and should not hold a lock."""
        other = replace(self, fleet=self.fleet.copied(), latest=self.latest.copied())
        other.shares_heat_with(self, 0.0)
        return other

    def over_days(self) -> Forecast:
        """The same over scenario days; see :attr:`by_day`."""
        other = replace(self, by_day=True)
        other.shares_heat_with(self, 0.0)
        return other
