"""What is said of site and fleet: judged against what is known, and made into events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tapas_opt.control import events as happened
from tapas_opt.control.answers import SyncAnswer
from tapas_opt.control.fleet import Fleet, FleetVm, VmState
from tapas_opt.control.ground import Ground
from tapas_opt.control.parts import without_their_gpus
from tapas_opt.control.requests import endpoint_faults, placed_faults, reservation_faults
from tapas_opt.control.syncing import differences
from tapas_opt.domain.failure import Failure, FailureSource, effect_of
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Endpoint, Group, Reservation
from tapas_opt.errors import Conflict, InvalidInput, NotFound

__all__ = ["FleetCommands"]


class FleetCommands(Ground):
    """Commands that need no solver."""

    # Site.

    def apply_site(self, site: Site, etag: str | None) -> tuple[happened.Event, ...]:
        """Change the site; servers that hold VMs and elements that have failed must stay.

        ``etag``, if given, must be the present one.
        """
        with self.lock:
            self._expect(etag)
            topology = Fleet(site).topology
            self.models.check_covers(topology)
            servers = {server.name for server in site.servers()}
            lost = sorted({p.server for p in self.fleet.vms.values()} - servers)
            if lost:
                raise Conflict(f"servers {', '.join(lost[:5])} hold VMs but are not in the new site; release these")
            gone = [label for label, failure in self.fleet.failures.items() if not _knows(topology, failure)]
            if gone:
                raise Conflict(f"the elements of {', '.join(gone)} have failed but are not in the new site; clear them")
            gone = [label for label, outage in self.fleet.outages.items() if not _knows(topology, outage)]
            if gone:
                raise Conflict(f"outages are planned of {', '.join(gone)}, not in the new site; cancel them first")
            short = without_their_gpus(self.fleet, topology)
            if short:
                raise Conflict(f"VMs {', '.join(short[:5])} have GPUs that their servers do not have in the new site")
            homeless = [one for one in self.fleet.reservations.values() if reservation_faults(Fleet(site), one)]
            if homeless:
                names = ", ".join(one.name for one in homeless)
                raise Conflict(f"the new site has not what is kept back by {names}; remove these reservations first")
            return (happened.SiteApplied(site),)

    def put_endpoint(self, endpoint: Endpoint) -> tuple[happened.Event, ...]:
        """Make or change an endpoint."""
        faults = endpoint_faults(endpoint, self.profiles)
        if faults:
            raise InvalidInput(f"endpoint {endpoint.name}", faults)
        return (happened.EndpointPut(endpoint),)

    def set_server_state(self, server: str, state: happened.ServerState) -> tuple[happened.Event, ...]:
        """Cordon, drain or return a server."""
        with self.lock:
            self.fleet.server_number(server)
        return (happened.ServerStateSet(server, state),)

    def put_reservation(self, reservation: Reservation) -> tuple[happened.Event, ...]:
        """Keep servers back, for a tenant or for failover."""
        with self.lock:
            faults = reservation_faults(self.fleet, reservation)
            if faults:
                raise InvalidInput(f"reservation {reservation.name}", faults)
        return (happened.ReservationPut(reservation),)

    def remove_reservation(self, name: str) -> tuple[happened.Event, ...]:
        """Keep these servers back no longer."""
        with self.lock:
            if name not in self.fleet.reservations:
                known = ", ".join(sorted(self.fleet.reservations)) or "there is none"
                raise NotFound("reservation", name, known)
        return (happened.ReservationRemoved(name),)

    def set_mode(self, mode: happened.OperatingMode) -> tuple[happened.Event, ...]:
        """Watch, advise or act from now on."""
        return (happened.ModeSet(mode),)

    # VMs.

    def adopt(self, vms: Sequence[happened.VmOnServer], groups: Sequence[Group] = ()) -> tuple[happened.Event, ...]:
        """Take over VMs that run already, wherever they are."""
        with self.lock:
            faults = placed_faults(self.fleet, self.profiles, vms, groups)
            if faults:
                raise InvalidInput("VMs to adopt", faults)
        return (*(happened.GroupPut(group) for group in groups), happened.VmsAdopted(tuple(vms)))

    def sync(self, vms: Sequence[happened.VmOnServer]) -> SyncAnswer:
        """Take a list of all that runs as the truth; say how it differs from what was known, and make it so.

        A reservation that has not been confirmed need not be on the list, unless another VM is on its server. A VM of
        a known name that is another one counts as moved.
        """
        with self.lock:
            return differences(self.fleet, self.profiles, vms)

    def confirm(self, names: Sequence[str]) -> tuple[happened.Event, ...]:
        """Reserved VMs run now; confirming a running one changes nothing."""
        with self.lock:
            placed = self._all_known(names)
        waiting = tuple(item.vm.name for item in placed if item.state is VmState.RESERVED)
        return (happened.VmsConfirmed(waiting),) if waiting else ()

    def release(self, names: Sequence[str]) -> tuple[happened.Event, ...]:
        """VMs are gone; NotFound names every one that is not there (any more)."""
        with self.lock:
            self._all_known(names)
        return (happened.VmsReleased(tuple(names)),)

    def acknowledge(self, vm: str, generation: int, watts_freed: float | None) -> tuple[happened.Event, ...]:
        """An agent says that a VM runs the choice of a generation."""
        with self.lock:
            placed = self.fleet.vm(vm)
            if not 1 <= generation <= placed.generation:
                raise InvalidInput.one(f"VM {vm}", "generation", f"{generation}: must be 1 to {placed.generation}")
        return (happened.ConfigurationAcknowledged(vm, generation, watts_freed),)

    # Failures.

    def schedule_outage(self, outage: Failure, *, now_s: float) -> tuple[happened.Event, ...]:
        """Plan placements so that they bear an element being out of service for a time.

        When it begins, its failure is reported as any other.
        """
        with self.lock:
            effect_of(self.fleet.topology, (outage,))
        if outage.started_at_s + outage.expected_duration_s <= now_s:
            raise InvalidInput.one(f"outage {outage.label}", "expected_duration_s", "is over already; give a later end")
        return (happened.OutageScheduled(replace(outage, source=FailureSource.PLANNED)),)

    def cancel_outage(self, label: str) -> tuple[happened.Event, ...]:
        """Plan for an outage no longer."""
        with self.lock:
            if label not in self.fleet.outages:
                known = ", ".join(self.fleet.outages) or "none is planned"
                raise NotFound("outage", label, known)
        return (happened.OutageCancelled(label),)

    def clear_failure(self, label: str) -> tuple[happened.Event, ...]:
        """An element works again."""
        with self.lock:
            if label not in self.fleet.failures:
                known = ", ".join(self.fleet.failures) or "none is reported"
                raise NotFound("failure", label, known)
        return (happened.FailureCleared(label),)

    def _all_known(self, names: Sequence[str]) -> list[FleetVm]:
        missing = [name for name in names if name not in self.fleet.vms]
        if missing:
            raise NotFound("VM", ", ".join(missing), "it was never placed, or was released already")
        return [self.fleet.vms[name] for name in names]


def _knows(topology: Topology, failure: Failure) -> bool:
    """Whether the element of a failure is there."""
    try:
        effect_of(topology, (failure,))
    except NotFound:
        return False
    return True
