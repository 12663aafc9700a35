"""Who is in a room: which VM is on which server, what it runs, and what it has been ordered to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tapas_opt.control.actuation import Actuation, Option
from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.workload import Vm
from tapas_opt.simulation.actuators import Actuators, Running
from tapas_opt.simulation.policy import Orders

__all__ = ["Tenants"]


class Tenants:
    """VMs on the servers of a room, and their actuators; what follows from them is the room's own.

    Parameters
    ----------
    servers
        Names, in the order of the site file.
    options
        What instances may be told to run, by name.

    Attributes
    ----------
    actuation
        How long what is ordered takes.
    running
        What each VM runs, by its name.
    changes
        How often VMs came, left or began to run something else: while it stays, so does all that follows from them.
    """

    def __init__(self, servers: Sequence[str], options: Mapping[str, Option], actuation: Actuation) -> None:
        self.actuation = actuation
        self.running: dict[str, Running] = {}
        self.changes = 0
        self._options = options
        self._actuators = Actuators(actuation)
        self._number = {name: s for s, name in enumerate(servers)}

    def host(self, vm: Vm, server: str, profile: Profile | None) -> None:
        """Start a VM on a server; ``profile`` of the configuration that a SaaS VM starts with."""
        name = "iaas" if profile is None else f"{profile.configuration.name}@1"
        self.running[vm.name] = Running(vm, self._number[server], Option(name, profile, 1.0))
        self.changes += 1

    def evict(self, names: Sequence[str]) -> None:
        """VMs leave."""
        for name in names:
            self.running.pop(name, None)
        self._actuators.forget(names)
        self.changes += 1

    def order(self, orders: Orders, now_s: float) -> None:
        """Start the actuators; whatever was under way for the same VM and knob is dropped."""
        for name, choice in orders.choice_of.items():
            if name in self.running:
                self._actuators.choose(self.running[name], self._options[choice], now_s)
        for name, frac in orders.frequency_frac_of.items():
            if name in self.running:
                self._actuators.cap(self.running[name], frac, now_s)

    def act(self, now_s: float) -> list[str]:
        """Do what is due; the VMs whose last order is done now."""
        finished = []
        for name, step in self._actuators.due(now_s):
            before = self.running[name]
            if step.option is None:
                self.running[name] = replace(before, frequency_frac=step.frequency_frac)
            else:
                self.running[name] = replace(before, option=step.option, loading=step.loading)
            self.changes += 1
            if step.last:
                finished.append(name)
        return finished
