"""What a policy is made of: somebody who places, somebody who routes, somebody who configures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.simulation.policy import Orders, Shares
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["Configurator", "Placer", "Router"]


class Placer(Protocol):
    """Finds servers for new VMs."""

    def find(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        """Server of each VM that gets one."""


class Router(Protocol):
    """Spreads each endpoint's traffic over its instances."""

    def shares(self, now_s: float) -> Shares:
        """The same object as before where nothing has changed."""


class Configurator(Protocol):
    """Orders clocks and configurations."""

    def observe(self, telemetry: Telemetry) -> Orders:
        """Telemetry of the moment."""

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """Something has failed; the roster knows."""

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """It works again; the roster knows."""

    def review(self, now_s: float) -> Orders:
        """The regular look at things, and the second one after a failure."""

    def released(self, names: Sequence[str]) -> None:
        """VMs have left."""
