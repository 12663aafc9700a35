"""The VMs of a room as arrays: who is where and runs what, until something changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import Configuration
from tapas_opt.domain.site import Hardware
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.domain.workload import Vm
from tapas_opt.errors import NotFound
from tapas_opt.plant.instances import Instance
from tapas_opt.plant.measured import MeasuredInstance
from tapas_opt.plant.workload import iaas_gpu_power_w
from tapas_opt.simulation.actuators import Running
from tapas_opt.simulation.policy import Shares

__all__ = ["Crew", "Instances", "Spread", "crew_of", "spread_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
AnyInstance = Instance | MeasuredInstance


class Instances:
    """What instances truly do, worked out once for each configuration, clock and hardware.

    Parameters
    ----------
    measured
        Profiles that are taken as true; without them it is as the plant models an instance.
    """

    def __init__(self, topology: Topology, measured: Profiles | None = None) -> None:
        self._topology = topology
        self._measured = measured
        self._known: dict[tuple[str, float, str], AnyInstance] = {}

    def of(self, item: Running) -> AnyInstance | None:
        """What a VM runs; None while it is parked or loads weights.

        Raises
        ------
        NotFound
            If profiles are true, and none is of this configuration on the server's hardware.
        """
        if item.configuration is None or item.loading:
            return None
        hardware = self._topology.hardware[self._topology.server_hardware[item.server]]
        key = item.configuration.name, item.frequency_frac, hardware
        if key not in self._known:
            self._known[key] = self._made(item.configuration, hardware)
        return self._known[key]

    def _made(self, configuration: Configuration, name: str) -> AnyInstance:
        hardware = self._topology.site.hardware[name]
        if self._measured is None:
            return Instance(configuration, hardware)
        profile = self._measured.get(configuration.name, name)
        if profile is None:
            raise NotFound("profile", configuration.name, f"it was not measured on {name}")
        return MeasuredInstance(profile, hardware, configuration.frequency_mhz)


@dataclass(frozen=True, slots=True)
class Spread:
    """Shares as arrays.

    Attributes
    ----------
    endpoint, share
        ``[instance]`` which endpoint sends to it (:data:`NONE` for none), and which part of its traffic.
    """

    endpoints: tuple[str, ...]
    endpoint: IntArray
    share: FloatArray

    def given(self, demand_tokens_per_s: Mapping[str, float], most_tokens_per_s: FloatArray) -> FloatArray:
        """``[instance]`` tokens/s that each takes.

        What is more than one can take goes to those of its endpoint that have room, in proportion to that; what none
        has room for is lost.
        """
        if not self.endpoints:
            return np.zeros(len(self.share))
        sent = self.endpoint != NONE
        demand = np.array([demand_tokens_per_s.get(name, 0.0) for name in self.endpoints])
        asked = np.where(sent, demand[self.endpoint] * self.share, 0.0)
        given = np.minimum(asked, most_tokens_per_s)
        room = np.where(sent, most_tokens_per_s - given, 0.0)
        over, left = (np.bincount(self.endpoint[sent], part[sent], demand.size) for part in (asked - given, room))
        taken_frac = np.minimum(1.0, over / np.maximum(left, 1e-9))
        return np.asarray(given + room * np.where(sent, taken_frac[self.endpoint], 0.0))


def spread_of(shares: Shares, position: Mapping[str, int]) -> Spread:
    """Lay out who is sent what; ``position`` is the number of each instance by its name."""
    endpoint, share = np.full(len(position), NONE, dtype=np.int64), np.zeros(len(position))
    for e, parts in enumerate(shares.values()):
        for name, part in parts.items():
            at = position.get(name)
            if at is not None:
                endpoint[at], share[at] = e, part
    return Spread(tuple(shares), endpoint, share)


@dataclass(frozen=True, slots=True)
class Crew:
    """VMs in the order in which they came, opaque ones (IaaS) and instances (SaaS) apart.

    Attributes
    ----------
    iaas, iaas_server, iaas_frequency_frac
        ``[opaque VM]``.
    iaas_on
        Opaque VMs by their servers' hardware.
    position, endpoint_of, instance_server
        Number of each instance by its name, and ``[instance]`` its endpoint and its server.
    most_tokens_per_s, goodput_tokens_per_s, quality
        ``[instance]`` what it takes at its load level (0 while parked or loading), what its configuration carries at
        full load, and how good its answers are.
    kinds
        Instances that run the same configuration on the same hardware, as an instance and their numbers.
    capped
        Names of VMs with a capped clock.
    """

    iaas: tuple[Vm, ...]
    iaas_server: IntArray
    iaas_frequency_frac: FloatArray
    iaas_on: tuple[tuple[Hardware, IntArray], ...]
    position: Mapping[str, int]
    endpoint_of: tuple[str, ...]
    instance_server: IntArray
    most_tokens_per_s: FloatArray
    goodput_tokens_per_s: FloatArray
    quality: FloatArray
    kinds: tuple[tuple[AnyInstance, IntArray], ...]
    capped: frozenset[str]

    def draw_iaas(self, load_frac: FloatArray, power_w: FloatArray) -> None:
        """Fill in ``[server, gpu]`` what opaque VMs ask for at their loads."""
        for hardware, members in self.iaas_on:
            watts = iaas_gpu_power_w(load_frac[members], self.iaas_frequency_frac[members], hardware)
            power_w[self.iaas_server[members], : hardware.gpus] = watts

    def draw_saas(self, given_tokens_per_s: FloatArray, power_w: FloatArray) -> None:
        """Fill in ``[server, gpu]`` what instances ask for while each is given so much."""
        for instance, members in self.kinds:
            load = given_tokens_per_s[members] / self.goodput_tokens_per_s[members]
            power_w[self.instance_server[members], : instance.hardware.gpus] = instance.gpu_powers_w(load)

    def peak_w(self, idle_w: FloatArray) -> FloatArray:
        """``[server, gpu]`` the most that each GPU draws in its busiest phase, given what idle ones draw."""
        peak_w = idle_w.copy()
        self.draw_iaas(np.ones(len(self.iaas)), peak_w)
        for instance, members in self.kinds:
            peak_w[self.instance_server[members], : instance.hardware.gpus] = instance.gpu_peak_w()
        return peak_w

    def engines(self, servers: int) -> IntArray:
        """``[server]`` how many engines have phases of their own: an instance's replicas, and one of any other VM."""
        engines = np.ones(servers, dtype=np.int64)
        for instance, members in self.kinds:
            engines[self.instance_server[members]] = instance.configuration.replicas
        return engines


def crew_of(running: Iterable[Running], topology: Topology, instances: Instances) -> Crew:
    """Lay the VMs of a room out."""
    iaas: list[Running] = []
    saas: list[Running] = []
    for item in running:
        (iaas if item.vm.endpoint is None else saas).append(item)
    serving = [instances.of(item) for item in saas]
    kinds: dict[int, tuple[AnyInstance, list[int]]] = {}
    for i, one in enumerate(serving):
        if one is not None:
            kinds.setdefault(id(one), (one, []))[1].append(i)
    server = np.array([item.server for item in iaas], dtype=np.int64)
    goodput = np.ones(len(saas))
    quality = np.zeros(len(saas))
    for one, members in kinds.values():
        goodput[members], quality[members] = one.goodput_tokens_per_s, one.quality
    level = np.array([0.0 if one is None else item.option.level for item, one in zip(saas, serving, strict=True)])
    return Crew(
        iaas=tuple(item.vm for item in iaas),
        iaas_server=server,
        iaas_frequency_frac=np.array([item.frequency_frac for item in iaas]),
        iaas_on=_by_hardware(server, topology),
        position={item.vm.name: i for i, item in enumerate(saas)},
        endpoint_of=tuple(item.vm.template for item in saas),
        instance_server=np.array([item.server for item in saas], dtype=np.int64),
        most_tokens_per_s=goodput * level,
        goodput_tokens_per_s=goodput,
        quality=quality,
        kinds=tuple((one, np.array(members)) for one, members in kinds.values()),
        capped=frozenset(item.vm.name for item in (*iaas, *saas) if item.frequency_frac < 1.0),
    )


def _by_hardware(server: IntArray, topology: Topology) -> tuple[tuple[Hardware, IntArray], ...]:
    kind = topology.server_hardware[server]
    sorts = [(name, np.flatnonzero(kind == h)) for h, name in enumerate(topology.hardware)]
    return tuple((topology.site.hardware[name], members) for name, members in sorts if members.size)
