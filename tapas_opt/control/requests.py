"""Judge what callers ask for against the fleet; every fault is listed, not only the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from tapas_opt.control.events import VmOnServer
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.profiles import Profiles
from tapas_opt.control.promising import place_of
from tapas_opt.domain.workload import Endpoint, Group, Reservation, Vm, VmKind
from tapas_opt.errors import Fault

__all__ = ["endpoint_faults", "placed_faults", "reservation_faults", "vm_faults"]


def endpoint_faults(endpoint: Endpoint, profiles: Profiles) -> list[Fault]:
    """What is wrong with an endpoint."""
    return list(_configuration_faults("configuration", endpoint.configuration, profiles))


def reservation_faults(fleet: Fleet, reservation: Reservation) -> list[Fault]:
    """What is wrong with a reservation beside those that are there."""
    topology = fleet.topology
    faults = []
    for field, known in (("hardware", topology.hardware), ("row", topology.rows), ("room", topology.rooms)):
        name = getattr(reservation, field)
        if name is not None and name not in known:
            faults.append(Fault(field, f"{name!r}: the site has {', '.join(known[:8])}"))
    if reservation.row is not None and reservation.room is not None:
        faults.append(Fault("room", f"{reservation.room!r}: give a row or a room, not both"))
    if faults:
        return faults
    inside = place_of(topology, reservation)
    if int(inside.sum()) < reservation.servers:
        what = f"{reservation.servers}: there are {int(inside.sum())} servers of {reservation.hardware} there"
        faults.append(Fault("servers", what))
    for other in fleet.reservations.values():
        same = other.name != reservation.name and other.tenant == reservation.tenant is not None
        if same and bool((inside & place_of(topology, other)).any()):
            what = f"{reservation.tenant!r}: has reservation {other.name!r} of servers there; change that one"
            faults.append(Fault("tenant", what))
    return faults


def vm_faults(fleet: Fleet, profiles: Profiles, vms: Sequence[Vm], groups: Sequence[Group]) -> list[Fault]:
    """What is wrong with a batch of new VMs and the groups that come with it."""
    return [
        *(fault for i, vm in enumerate(vms) for fault in _vm_faults(f"vms[{i}]", vm, fleet, profiles, groups)),
        *_taken(fleet, [vm.name for vm in vms], leaving=()),
    ]


def placed_faults(
    fleet: Fleet,
    profiles: Profiles,
    vms: Sequence[VmOnServer],
    groups: Sequence[Group],
    leaving: Collection[str] = (),
) -> list[Fault]:
    """What is wrong with VMs that are said to run on servers; those named in ``leaving`` make room."""
    faults = [
        fault for i, item in enumerate(vms) for fault in _vm_faults(f"vms[{i}].vm", item.vm, fleet, profiles, groups)
    ]
    faults += _taken(fleet, [item.vm.name for item in vms], leaving)
    holders: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, placed in fleet.vms.items():
        if name not in leaving:
            holders.setdefault(placed.server, []).append((name, placed.gpus))
    servers = set(fleet.topology.servers)
    for i, item in enumerate(vms):
        if item.server not in servers:
            what = f"{item.server!r}: is no server of site {fleet.topology.site.name}"
            faults.append(Fault(f"vms[{i}].server", what))
            continue
        faults += _gpu_faults(f"vms[{i}].gpus", item, fleet)
        there = holders.setdefault(item.server, [])
        taken = [name for name, gpus in there if not gpus or not item.gpus or {*gpus} & {*item.gpus}]
        if taken:
            faults.append(Fault(f"vms[{i}].server", f"{item.server!r}: already holds VM {taken[0]!r}{_on(item)}"))
        there.append((item.vm.name, item.gpus))
    return faults


def _on(item: VmOnServer) -> str:
    return f" on some of GPUs {', '.join(map(str, item.gpus))}" if item.gpus else ""


def _gpu_faults(where: str, item: VmOnServer, fleet: Fleet) -> Iterator[Fault]:
    """A VM that takes a part of a server says which GPUs it has; one that takes all of it does not."""
    if item.vm.gpus is None:
        if item.gpus:
            yield Fault(where, f"{list(item.gpus)}: leave it out for a VM that takes a whole server, or set vm.gpus")
        return
    topology = fleet.topology
    hardware = topology.hardware[topology.server_hardware[fleet.server_number(item.server)]]
    count = topology.site.hardware[hardware].gpus
    if len({*item.gpus}) != item.vm.gpus or len(item.gpus) != item.vm.gpus:
        yield Fault(where, f"{list(item.gpus)}: name the {item.vm.gpus} GPUs that VM {item.vm.name!r} has, each once")
    elif not all(0 <= gpu < count for gpu in item.gpus):
        yield Fault(where, f"{list(item.gpus)}: server {item.server!r} has GPUs 0 to {count - 1}")


def _vm_faults(where: str, vm: Vm, fleet: Fleet, profiles: Profiles, groups: Sequence[Group]) -> Iterator[Fault]:
    if vm.kind is VmKind.SAAS and vm.endpoint is None:
        yield Fault(f"{where}.endpoint", "is missing; a SaaS VM serves an endpoint")
    if vm.kind is VmKind.SAAS and vm.gpus is not None:
        yield Fault(f"{where}.gpus", f"{vm.gpus}: a SaaS instance takes a whole server; leave it out")
    most = max(item.gpus for item in fleet.topology.site.hardware.values())
    if vm.gpus is not None and vm.gpus > most:
        yield Fault(f"{where}.gpus", f"{vm.gpus}: no server of the site has more than {most}")
    if vm.kind is VmKind.IAAS and vm.endpoint is not None:
        yield Fault(f"{where}.endpoint", f"{vm.endpoint!r}: an IaaS VM serves none; leave it out or set kind saas")
    if vm.endpoint is not None and vm.endpoint not in fleet.endpoints:
        known = ", ".join(sorted(fleet.endpoints)[:8]) or "none"
        yield Fault(f"{where}.endpoint", f"{vm.endpoint!r}: no such endpoint; known are {known}")
    if vm.configuration is not None:
        yield from _configuration_faults(f"{where}.configuration", vm.configuration, profiles)
    models = sorted({item.gpu_model for item in fleet.topology.site.hardware.values()})
    if vm.gpu_models and not set(vm.gpu_models) & set(models):
        yield Fault(f"{where}.gpu_models", f"{', '.join(map(repr, vm.gpu_models))}: the site has {', '.join(models)}")
    if vm.group is not None and vm.group not in fleet.groups and vm.group not in {group.name for group in groups}:
        yield Fault(f"{where}.group", f"{vm.group!r}: no such group; send it along with the VMs")


def _configuration_faults(where: str, name: str, profiles: Profiles) -> Iterator[Fault]:
    if name not in profiles.names:
        known = ", ".join(sorted(profiles.names)[:4])
        yield Fault(where, f"{name!r}: has no profile; profiled are {known} and {len(profiles.names)} in all")


def _taken(fleet: Fleet, names: Sequence[str], leaving: Collection[str]) -> Iterator[Fault]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Fault(f"VM {name}", f"is named {count} times in one request")
        if name in fleet.vms and name not in leaving:
            yield Fault(f"VM {name}", f"already exists on {fleet.vms[name].server}; names are unique")
