"""Judge what callers ask for against the fleet; every fault is listed, not only the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from tapas_opt.control.events import VmOnServer
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.forecast import Profiles
from tapas_opt.domain.workload import Endpoint, Group, Vm, VmKind
from tapas_opt.errors import Fault

__all__ = ["endpoint_faults", "placed_faults", "vm_faults"]


def endpoint_faults(endpoint: Endpoint, profiles: Profiles) -> list[Fault]:
    """What is wrong with an endpoint."""
    return list(_configuration_faults("configuration", endpoint.configuration, profiles))


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
    holder = {placed.server: name for name, placed in fleet.vms.items() if name not in leaving}
    servers = set(fleet.topology.servers)
    for i, item in enumerate(vms):
        where = f"vms[{i}].server"
        if item.server not in servers:
            faults.append(Fault(where, f"{item.server!r}: is no server of site {fleet.topology.site.name}"))
        elif item.server in holder:
            faults.append(Fault(where, f"{item.server!r}: already holds VM {holder[item.server]!r}"))
        holder.setdefault(item.server, item.vm.name)
    return faults


def _vm_faults(where: str, vm: Vm, fleet: Fleet, profiles: Profiles, groups: Sequence[Group]) -> Iterator[Fault]:
    if vm.kind is VmKind.SAAS and vm.endpoint is None:
        yield Fault(f"{where}.endpoint", "is missing; a SaaS VM serves an endpoint")
    if vm.kind is VmKind.IAAS and vm.endpoint is not None:
        yield Fault(f"{where}.endpoint", f"{vm.endpoint!r}: an IaaS VM serves none; leave it out or set kind saas")
    if vm.endpoint is not None and vm.endpoint not in fleet.endpoints:
        known = ", ".join(sorted(fleet.endpoints)[:8]) or "none"
        yield Fault(f"{where}.endpoint", f"{vm.endpoint!r}: no such endpoint; known are {known}")
    if vm.configuration is not None:
        yield from _configuration_faults(f"{where}.configuration", vm.configuration, profiles)
    models = sorted({item.gpu_model for item in fleet.topology.site.hardware.values()})
    if vm.gpu_model is not None and vm.gpu_model not in models:
        yield Fault(f"{where}.gpu_model", f"{vm.gpu_model!r}: the site has {', '.join(models)}")
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
