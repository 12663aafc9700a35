"""The fleet: what is known to be so, made of nothing but the events applied to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import singledispatchmethod

from tapas_opt.control import events as happened
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.domain.workload import Endpoint, Group, Reservation, Vm, VmKind
from tapas_opt.errors import NotFound

__all__ = ["Basis", "Fleet", "FleetVm", "VmState", "clock_frac"]


def clock_frac(choice: str | None) -> float:
    """The clock relative to its highest that a choice of an opaque VM means; 1 without one."""
    return 1.0 if choice is None else float(choice.partition("@")[2] or 1.0)


class VmState(StrEnum):
    """A reservation holds a server; a running VM uses it."""

    RESERVED = "reserved"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class FleetVm:
    """A VM in the fleet.

    Attributes
    ----------
    choice
        For SaaS: configuration and load level that it shall run, such as ``…-f1410@1``; None until a plan says so.
    serving
        The choice that its agent last said it runs; None until then, which means the one it started with.
    generation, acknowledged
        Number of its desired choice, and the last number that its agent acknowledged.
    gpus
        Numbers of its GPUs; empty for one that has a whole server.
    """

    vm: Vm
    server: str
    state: VmState
    expires_at_s: float = float("inf")
    choice: str | None = None
    serving: str | None = None
    generation: int = 1
    acknowledged: int = 0
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Basis:
    """What a reconfiguration is planned on; a change of anything else does not outdate the plan.

    Attributes
    ----------
    remaining
        What is left of each failed element, by the failure's label.
    vms
        Server and choice of each VM.
    """

    site: Site
    endpoints: Mapping[str, Endpoint]
    remaining: Mapping[str, float]
    vms: Mapping[str, tuple[str, str | None]]


class Fleet:
    """Adds events up. Not thread-safe by itself: the controller holds a lock while it reads or applies."""

    def __init__(self, site: Site) -> None:
        self.generation = 0
        self.endpoints: dict[str, Endpoint] = {}
        self.groups: dict[str, Group] = {}
        self.reservations: dict[str, Reservation] = {}
        self.vms: dict[str, FleetVm] = {}
        self.server_states: dict[str, happened.ServerState] = {}
        self.failures: dict[str, Failure] = {}
        self.outages: dict[str, Failure] = {}
        self.failure_changes = 0
        self.plan_id = ""
        self.wave_started_at_s: float | None = None
        self.silent: set[str] = set()
        self._wave: tuple[str, ...] = ()
        self._waves_left: tuple[dict[str, str], ...] = ()
        self._occupants: tuple[tuple[FleetVm, ...], ...] | None = None
        self.mode = happened.OperatingMode.ACT
        self._use(site)

    @property
    def etag(self) -> str:
        """Changes with every event; a plan made for another etag is not applied."""
        return f"{self.topology.site.name}-{self.generation}"

    def copied(self) -> Fleet:
        """As it is now, for a reader who lets go of the lock."""
        other = copy(self)
        for kept in ("endpoints", "groups", "reservations", "vms", "server_states", "failures", "outages"):
            setattr(other, kept, dict(getattr(self, kept)))
        other.silent = set(self.silent)
        return other

    def server_number(self, name: str) -> int:
        """Index of a server; raises NotFound."""
        if name not in self._server_number:
            raise NotFound("server", name, f"{self.topology.site.name} has {len(self.topology.servers)} servers")
        return self._server_number[name]

    def vm(self, name: str) -> FleetVm:
        """A VM by name; raises NotFound."""
        if name not in self.vms:
            raise NotFound("VM", name, "it was never placed, or was released already")
        return self.vms[name]

    def occupants(self) -> tuple[tuple[FleetVm, ...], ...]:
        """``[server]`` the VMs on each server: none, one that has all of it, or several that have parts."""
        if self._occupants is None:
            on: list[tuple[FleetVm, ...]] = [()] * len(self.topology.servers)
            for placed in self.vms.values():
                on[self._server_number[placed.server]] += (placed,)
            self._occupants = tuple(on)
        return self._occupants

    def saas(self) -> list[FleetVm]:
        """SaaS VMs in order of name, reserved ones included: their servers will carry load."""
        return sorted((p for p in self.vms.values() if p.vm.kind is VmKind.SAAS), key=lambda placed: placed.vm.name)

    def changeable(self) -> list[FleetVm]:
        """VMs that agents may be told to change, in order of name: SaaS, and IaaS that agreed to be slowed.

        Not those that have parts of servers: what one of them draws is not known apart from its neighbours.
        """
        may = (p for p in self.vms.values() if p.vm.may_be_slowed and not p.gpus)
        return sorted(may, key=lambda placed: placed.vm.name)

    def outages_after(self, now_s: float) -> tuple[Failure, ...]:
        """Outages that are planned and not over yet, in order of their beginning."""
        ahead = (one for one in self.outages.values() if one.started_at_s + one.expected_duration_s > now_s)
        return tuple(sorted(ahead, key=lambda outage: (outage.started_at_s, outage.label)))

    def basis(self, failures: Iterable[Failure]) -> Basis:
        """What a plan made now under these failures stands on."""
        return Basis(
            site=self.topology.site,
            endpoints=dict(self.endpoints),
            remaining={failure.label: failure.remaining_frac for failure in failures},
            vms={name: (placed.server, placed.choice) for name, placed in self.vms.items()},
        )

    def wave_done(self) -> bool:
        """Whether a next wave is waiting and every VM of the present one runs what it should, or is gone."""
        present = (self.vms[name] for name in self._wave if name in self.vms)
        return bool(self._waves_left) and all(placed.acknowledged == placed.generation for placed in present)

    def waiting(self) -> list[str]:
        """VMs of the present wave that have not acknowledged, where other waves wait for them."""
        if not self._waves_left:
            return []
        present = (name for name in self._wave if name in self.vms)
        return [name for name in present if self.vms[name].acknowledged != self.vms[name].generation]

    def silent_since(self, then_s: float) -> tuple[str, ...]:
        """VMs that other waves wait for, if the present one started at ``then_s`` or before."""
        started_at_s = self.wave_started_at_s
        return () if started_at_s is None or started_at_s > then_s else tuple(self.waiting())

    def apply(self, events: Iterable[happened.Event]) -> None:
        """Add events, in order."""
        for event in events:
            self._occupants = None
            self._add(event)
            self.generation += 1

    def _use(self, site: Site) -> None:
        self.topology: Topology = topology_of(site)
        self._server_number = {name: i for i, name in enumerate(self.topology.servers)}

    def _as_born(self, vm: Vm) -> Vm:
        """With the configuration that it starts with: a later change of its endpoint changes nothing that runs."""
        if vm.configuration is not None or vm.endpoint not in self.endpoints:
            return vm
        return replace(vm, configuration=self.endpoints[vm.endpoint].configuration)

    def _forget_waves_of(self, names: Collection[str]) -> None:
        """A plan was made for the VMs that were there, not for others that bear their names."""
        self._waves_left = tuple(
            {name: choice for name, choice in wave.items() if name not in names} for wave in self._waves_left
        )

    @singledispatchmethod
    def _add(self, event: object) -> None:
        raise TypeError(f"no such event: {event!r}")

    @_add.register
    def _(self, event: happened.SiteApplied) -> None:
        self._use(event.site)
        self._waves_left = ()

    @_add.register
    def _(self, event: happened.EndpointPut) -> None:
        self.endpoints[event.endpoint.name] = event.endpoint
        self._waves_left = ()

    @_add.register
    def _(self, event: happened.GroupPut) -> None:
        self.groups[event.group.name] = event.group

    @_add.register
    def _(self, event: happened.VmsAdopted) -> None:
        self._forget_waves_of([item.vm.name for item in event.vms])
        for item in event.vms:
            self.vms[item.vm.name] = FleetVm(self._as_born(item.vm), item.server, VmState.RUNNING, gpus=item.gpus)

    @_add.register
    def _(self, event: happened.VmsReserved) -> None:
        for item in event.vms:
            self.vms[item.vm.name] = FleetVm(
                self._as_born(item.vm), item.server, VmState.RESERVED, event.expires_at_s, gpus=item.gpus
            )

    @_add.register
    def _(self, event: happened.VmsConfirmed) -> None:
        for name in event.names:
            self.vms[name] = replace(self.vms[name], state=VmState.RUNNING, expires_at_s=float("inf"))

    @_add.register
    def _(self, event: happened.VmsReleased) -> None:
        self._forget_waves_of(event.names)
        self.silent.difference_update(event.names)
        for name in event.names:
            self.vms.pop(name, None)

    @_add.register
    def _(self, event: happened.ReservationPut) -> None:
        self.reservations[event.reservation.name] = event.reservation

    @_add.register
    def _(self, event: happened.ReservationRemoved) -> None:
        self.reservations.pop(event.name, None)

    @_add.register
    def _(self, event: happened.ServerStateSet) -> None:
        self.server_states[event.server] = event.state

    @_add.register
    def _(self, event: happened.FailureReported) -> None:
        self.failures[event.failure.label] = event.failure
        self.failure_changes += 1
        self._waves_left = ()

    @_add.register
    def _(self, event: happened.FailureCleared) -> None:
        self.failures.pop(event.label, None)
        self.failure_changes += 1
        self._waves_left = ()

    @_add.register
    def _(self, event: happened.OutageScheduled) -> None:
        self.outages[event.outage.label] = event.outage

    @_add.register
    def _(self, event: happened.OutageCancelled) -> None:
        self.outages.pop(event.label, None)

    @_add.register
    def _(self, event: happened.PlanApplied) -> None:
        self.plan_id = event.plan_id
        order = event.waves or (tuple(event.choice_of),)
        self._waves_left = tuple({name: event.choice_of[name] for name in wave} for wave in order)
        self._start_wave(event.at_s)

    @_add.register
    def _(self, event: happened.WaveStarted) -> None:
        if not self._waves_left:
            raise KeyError("a wave started that no plan had")
        self._start_wave(event.at_s)

    @_add.register
    def _(self, event: happened.WaveGivenUp) -> None:
        """Desired again is what runs: so it is planned on, and so an agent that comes back finds it."""
        self._waves_left = ()
        for name in event.names:
            if name in self.vms:
                placed = self.vms[name]
                self.vms[name] = replace(placed, choice=placed.serving, generation=placed.generation + 1)
                self.silent.add(name)

    def _start_wave(self, at_s: float | None) -> None:
        self.wave_started_at_s = at_s
        first, self._waves_left = self._waves_left[0], self._waves_left[1:]
        self._wave = tuple(first)
        for name, choice in first.items():
            if name in self.vms and self.vms[name].choice != choice:
                placed = self.vms[name]
                self.vms[name] = replace(placed, choice=choice, generation=placed.generation + 1)

    @_add.register
    def _(self, event: happened.ConfigurationAcknowledged) -> None:
        if event.vm in self.vms:
            placed = self.vms[event.vm]
            self.silent.discard(event.vm)
            serving = placed.choice if event.generation == placed.generation else placed.serving
            latest = max(placed.acknowledged, event.generation)  # a delayed message takes nothing back
            self.vms[event.vm] = replace(placed, acknowledged=latest, serving=serving)

    @_add.register
    def _(self, event: happened.ModeSet) -> None:
        self.mode = event.mode
