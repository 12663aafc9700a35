"""Parts of servers, groups in one place and reservations, over the wire and across a restart."""

from __future__ import annotations

import pytest

from tapas_opt.client import ReservationUse
from tapas_opt.domain.workload import Group, Reservation, SpreadOver, Vm, VmKind
from tapas_opt.errors import InvalidInput, NotFound


def part(name, gpus, **fields):
    return Vm(name, VmKind.IAAS, "acme", gpus=gpus, **fields)


def test_what_was_said_of_gpus_and_reservations_survives_kill_9(start):
    """Two VMs share a server, GPU by GPU; what is kept back is kept back still."""
    job = Group("job", together_over=SpreadOver.ROOM, all_or_nothing=True)
    first = start()
    with first.client() as client:
        placed = client.place([part("a", 4, group="job"), part("b", 2, group="job")], [job])
        client.put_reservation(Reservation("spare", "dgx-a100", 2))
        client.put_reservation(Reservation("acme-1", "dgx-a100", 3, "acme"))
    assert placed.server_of["a"] == placed.server_of["b"]
    assert placed.gpus_of == {"a": (0, 1, 2, 3), "b": (4, 5)}
    first.kill()
    with start().client() as client:
        assert client.vm("a").gpus == (0, 1, 2, 3)
        assert client.vm("b").vm == part("b", 2, group="job")
        assert client.reservations() == (
            ReservationUse(Reservation("acme-1", "dgx-a100", 3, "acme")),
            ReservationUse(Reservation("spare", "dgx-a100", 2)),
        )
        client.remove_reservation("spare")
        assert [one.reservation.name for one in client.reservations()] == ["acme-1"]


def test_gpus_are_adopted_synced_and_ranked(client):
    server = "R1-K1-S1"
    assert client.adopt([(part("one", 2), server, (0, 1)), (part("two", 1), server, (2,))]) == 2
    try:
        with pytest.raises(InvalidInput, match="already holds VM 'one' on some of GPUs 1"):
            client.adopt([(part("three", 1), server, (1,))])
        (whole,) = client.rank_servers(Vm("w", VmKind.IAAS, "acme"), [server])
        assert (whole.eligible, whole.reasons[0]) == (False, "server_gpu_capacity")
        moved = client.sync([(part("one", 2), server, (4, 5)), (part("two", 1), server, (2,))])
        assert [(each["vm"], each["kind"]) for each in moved] == [("one", "moved")]
        assert client.vm("one").gpus == (4, 5)
    finally:
        client.release(["one", "two"])


def test_wrong_reservations_are_refused(client):
    with pytest.raises(InvalidInput, match="hardware"):
        client.put_reservation(Reservation("r", "abacus", 1))
    with pytest.raises(NotFound):
        client.remove_reservation("r")
