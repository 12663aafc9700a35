"""Reservations: servers kept back for tenants and for failover, by name in the service and as numbers in a problem."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.placing import placement_problem
from tapas_opt.control.promising import used
from tapas_opt.domain.workload import Reservation
from tapas_opt.errors import InvalidInput, NotFound


def keep(controller, *reservations):
    for one in reservations:
        controller.apply(controller.put_reservation(one))


def placed(controller, vms):
    answer = controller.place(vms, (), now_s=0.0, deadline_s=1.0)
    controller.apply(answer.events)
    return answer


@pytest.fixture
def only(controller, iaas):
    """Cordon all but so many of the coolest servers, so that nothing but what is kept back limits a batch."""

    def cordon(count):
        ceiling_w = controller.placement_problem(iaas(1), (), now_s=0.0).server_ceiling_w
        coolest = np.argsort(-ceiling_w, kind="stable")
        for server in [controller.fleet.topology.servers[s] for s in coolest[count:]]:
            controller.apply(controller.set_server_state(server, happened.ServerState.CORDONED))

    return cordon


@pytest.fixture
def hardware(controller):
    return controller.fleet.topology.hardware[0]


def test_all_but_what_is_kept_back_is_placed(controller, hardware, iaas, only):
    """Of three servers in service one stays for failover, one is acme's, whose VM gets it."""
    only(3)
    keep(controller, Reservation("spare", hardware, 1), Reservation("acme-1", hardware, 1, "acme"))
    answer = placed(controller, iaas(3))
    assert len(answer.placed) == 1
    assert {why.constraint for why in answer.result.why_not} == {"capacity_buffer"}
    assert len(placed(controller, iaas(5, tenant="acme")[3:]).placed) == 1
    assert used(controller.fleet, controller.fleet.reservations["acme-1"]) == 1


def test_spot_sits_where_others_may_not_and_counts_as_free(controller, hardware, iaas, only):
    only(2)
    keep(controller, Reservation("spare", hardware, 2))
    assert placed(controller, iaas(1)).placed == ()
    assert len(placed(controller, iaas(2, spot=True)).placed) == 2
    problem = controller.placement_problem(iaas(3)[2:], (), now_s=0.0)
    assert [level.evictable.tolist() for level in problem.promises.levels] == [[], [], [2]]


def test_places_lie_in_one_another(controller, hardware, iaas, forecast_of):
    """A row's buffer counts in its room's and the site's; a reservation in a row lies in the room that is stated."""
    topology = controller.fleet.topology
    row, room = topology.rows[0], topology.rooms[0]
    keep(
        controller,
        Reservation("in the row", hardware, 3, row=row),
        Reservation("in the room", hardware, 2, room=room),
        Reservation("anywhere", hardware, 5),
        Reservation("acme-1", hardware, 4, "acme", row=row),
    )
    promises = placement_problem(forecast_of(controller.fleet), iaas(1, tenant="acme")).promises
    assert [level.places for level in promises.levels] == [
        (f"{row} of {hardware}",),
        (f"{room} of {hardware}",),
        (f"{topology.site.name} of {hardware}",),
    ]
    assert [level.buffer.tolist() for level in promises.levels] == [[3], [3], [5]]
    assert [(one.due, one.level, one.within) for one in promises.reservations] == [(4, 0, (0, 0, 0))]
    assert promises.vm_tenant.tolist() == [0]
    inside = promises.levels[0].place_of == 0
    assert (inside == (topology.server_row == 0)).all()
    assert np.unique(promises.levels[2].place_of).tolist() == [0]


def test_without_reservations_nothing_is_kept_back(controller, hardware, iaas, forecast_of):
    keep(controller, Reservation("spare", hardware, 2))
    controller.apply(controller.remove_reservation("spare"))
    assert placement_problem(forecast_of(controller.fleet), iaas(1)).promises is None
    with pytest.raises(NotFound):
        controller.remove_reservation("spare")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"hardware": "abacus"}, "hardware"),
        ({"row": "nowhere"}, "row"),
        ({"room": "nowhere"}, "room"),
        ({"servers": 81}, "servers"),
        ({"tenant": "acme"}, "tenant"),
    ],
)
def test_what_is_wrong_with_a_reservation_is_said(controller, hardware, fields, where):
    """acme has a reservation of the whole site: another one would count the same VMs again."""
    keep(controller, Reservation("acme-1", hardware, 1, "acme"))
    with pytest.raises(InvalidInput) as error:
        controller.put_reservation(Reservation(**{"name": "r", "hardware": hardware, "servers": 1} | fields))
    assert [fault.where for fault in error.value.faults] == [where]
