"""A full list of what runs, against what was known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tapas_opt.control import events as happened
from tapas_opt.control.answers import SyncAnswer
from tapas_opt.control.fleet import Fleet, FleetVm, VmState
from tapas_opt.control.profiles import Profiles
from tapas_opt.control.requests import placed_faults
from tapas_opt.errors import InvalidInput

__all__ = ["differences"]


def differences(fleet: Fleet, profiles: Profiles, vms: Sequence[happened.VmOnServer]) -> SyncAnswer:
    """How the list differs from the fleet, and the events that make the fleet what the list says.

    Raises
    ------
    InvalidInput
        Listing everything that is wrong with what is new.
    """
    known = fleet.vms
    listed = {item.vm.name: item for item in vms}
    taken: dict[str, list[happened.VmOnServer]] = {}
    for item in vms:
        taken.setdefault(item.server, []).append(item)
    held = {name for name, placed in known.items() if placed.state is VmState.RESERVED}
    at = {name: taken.get(known[name].server, []) for name in held}
    waiting = {name for name in held if not any(_collide(known[name], item) for item in at[name])}
    removed = tuple(sorted(known.keys() - listed.keys() - waiting))
    added = tuple(sorted(listed.keys() - known.keys()))
    moved = tuple(sorted(n for n in listed.keys() & known.keys() if _differs(fleet, listed[n])))
    running = tuple(sorted((held & listed.keys()) - {*moved}))
    there = [item for item in vms if item.vm.name in {*added, *moved}]
    faults = placed_faults(fleet, profiles, there, (), leaving={*removed, *moved})
    if faults:
        raise InvalidInput("VMs to sync", faults)
    gone = (happened.VmsReleased(removed, "absent"),) if removed else ()
    come = (happened.VmsAdopted(tuple(there)),) if there else ()
    confirmed = (happened.VmsConfirmed(running),) if running else ()
    return SyncAnswer(added, moved, removed, (*gone, *come, *confirmed))


def _differs(fleet: Fleet, item: happened.VmOnServer) -> bool:
    """Whether the VM known by this name is on another server, or is another VM."""
    known = fleet.vms[item.vm.name]
    same = replace(item.vm, configuration=item.vm.configuration or known.vm.configuration) == known.vm
    return known.server != item.server or {*known.gpus} != {*item.gpus} or not same


def _collide(reserved: FleetVm, item: happened.VmOnServer) -> bool:
    """Whether a VM on the server of a reserved one is there in its place."""
    return not reserved.gpus or not item.gpus or bool({*reserved.gpus} & {*item.gpus})
