"""VMs that take parts of servers, from the call to the fleet and into what is predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.parts import free_gpus
from tapas_opt.control.placing import placement_problem
from tapas_opt.domain.workload import Group, SpreadOver
from tapas_opt.errors import Conflict, InvalidInput


def taken(controller):
    """Which GPUs each VM has, by name: ``{"i0": ("S1", (0, 1))}``."""
    return {name: (placed.server, placed.gpus) for name, placed in controller.fleet.vms.items()}


def place(controller, vms, groups=()):
    answer = controller.place(vms, groups, now_s=0.0, deadline_s=1.0)
    controller.apply(answer.events)
    return answer


def test_parts_share_a_server_and_fill_what_is_begun(controller, iaas):
    """Two VMs of 4 GPUs fill the server that the first of them broke; the next of 1 and 2 begin another."""
    place(controller, iaas(1, gpus=4))
    ((server, gpus),) = taken(controller).values()
    assert gpus == (0, 1, 2, 3)
    (second,) = place(controller, iaas(2, gpus=4)[1:]).placed
    assert (second.server, second.gpus) == (server, (4, 5, 6, 7))
    (single,) = place(controller, iaas(3, gpus=1)[2:]).placed
    (pair,) = place(controller, iaas(4, gpus=2)[3:]).placed
    assert single.server == pair.server != server
    assert (single.gpus, pair.gpus) == ((0,), (2, 3))


def test_whole_servers_and_parts_of_one_batch_keep_apart(controller, iaas):
    vms = [*iaas(2), *iaas(4, gpus=2)[2:]]
    answer = place(controller, vms)
    on = {item.vm.name: (item.server, len(item.gpus)) for item in answer.placed}
    assert on["i0"][1] == on["i1"][1] == 0  # a whole server has no list of GPUs
    assert on["i2"][0] == on["i3"][0] not in (on["i0"][0], on["i1"][0])


def test_a_whole_vm_finds_no_server_that_is_begun(controller, iaas):
    place(controller, iaas(1, gpus=1))
    ((server, _),) = taken(controller).values()
    verdicts = controller.rank_servers(iaas(2)[1], [server], now_s=0.0)
    assert [(one.eligible, [*one.reasons]) for one in verdicts] == [(False, ["server_gpu_capacity"])]
    verdicts = controller.rank_servers(iaas(2, gpus=2)[1], [server], now_s=0.0)
    assert verdicts[0].eligible


def test_a_released_part_is_free_again(controller, iaas):
    place(controller, iaas(2, gpus=4))
    ((server, _), _) = taken(controller).values()
    number = controller.fleet.server_number(server)
    assert free_gpus(controller.fleet)[number].sum() == 0
    controller.apply(controller.release(["i0"]))
    assert free_gpus(controller.fleet)[number].tolist() == [True] * 4 + [False] * 4


def test_a_part_draws_its_part(controller, iaas, forecast_of):
    """Half of the GPUs at a VM's power and half idle are a mean in the middle; the whole budget follows from it."""
    (whole,), (half,) = iaas(1), iaas(1, gpus=4)
    hours = np.array([[10]])

    def mean_w(vm, gpus):
        server = controller.fleet.topology.servers[0]
        controller.apply([happened.VmsAdopted((happened.VmOnServer(vm, server, gpus),))])
        forecast = forecast_of(controller.fleet)
        hardware = controller.fleet.topology.hardware[0]
        return forecast._mean_gpu_power_w(hardware, controller.fleet.occupants()[0], hours)[0], forecast

    full_w, forecast = mean_w(whole, ())
    half_w, _ = mean_w(half, (0, 1, 2, 3))
    idle_w = forecast.idle_gpu_power_w(controller.fleet.topology.hardware[0])
    assert half_w == pytest.approx((full_w + idle_w) / 2)
    assert half_w > idle_w


@pytest.mark.parametrize("watts", [[400.0] * 8, [90.0, 400.0] * 4, [150.0] * 8])
def test_parts_in_sum_never_draw_less_than_the_learned_curve(controller, forecast_of, watts):
    """Eight VMs of one GPU each, whatever each draws: Σ of what placement counts for them ≥ what the server draws."""
    forecast = forecast_of(controller.fleet)
    hardware = controller.fleet.topology.hardware[0]
    idle_w = forecast.idle_gpu_power_w(hardware)
    parts = forecast.further_draw_of_part(hardware, np.array(watts), 25.0, 1 / 8)
    mean_w = np.mean(np.maximum(watts, idle_w))
    learned = forecast.further_draw(hardware, np.array([mean_w]), 25.0)
    for part, whole in zip(parts, learned, strict=True):
        assert part.sum() >= whole[0]
        assert part.sum() <= 2.5 * whole[0] + 8  # the curve is steepest where fans speed up


def test_parts_have_ceilings_of_their_own(controller, iaas, forecast_of):
    """A block's ceiling is the least of its GPUs; that of a free server is the server's."""
    controller.apply(
        [
            happened.VmsAdopted(
                (happened.VmOnServer(iaas(1, gpus=4)[0], controller.fleet.topology.servers[0], (0, 1, 2, 3)),)
            )
        ]
    )
    forecast = forecast_of(controller.fleet)
    problem = placement_problem(forecast, iaas(2, gpus=2)[1:])
    most_w = problem.server_ceiling_w.max()
    first = controller.fleet.topology.servers[0]
    assert problem.servers[0] == f"{first}:4-7"
    assert problem.server_ceiling_w[0] == min(most_w, forecast.gpu_ceiling_w[0, 4:8].min())
    assert (problem.server_ceiling_w[1:] == np.minimum(most_w, forecast.ceiling_w[1:])).all()


def test_a_group_shares_an_aisle(controller, iaas):
    job = Group("job", together_over=SpreadOver.AISLE, all_or_nothing=True)
    answer = place(controller, iaas(6, group="job"), [job])
    topology = controller.fleet.topology
    aisles = {int(topology.server_aisle[topology.servers.index(item.server)]) for item in answer.placed}
    assert (len(answer.placed), len(aisles)) == (6, 1)


@pytest.mark.parametrize(
    ("item", "where", "what"),
    [
        (({"gpus": 2}, 0, (0,)), "vms[0].gpus", "name the 2 GPUs that VM 'i1' has"),
        (({"gpus": 2}, 0, (7, 8)), "vms[0].gpus", "has GPUs 0 to 7"),
        (({}, 0, (0, 1)), "vms[0].gpus", "leave it out for a VM that takes a whole server"),
        (({"gpus": 2}, 1, (1, 2)), "vms[0].server", "already holds VM 'i0' on some of GPUs 1, 2"),
        (({}, 1, ()), "vms[0].server", "already holds VM 'i0'"),
    ],
)
def test_what_is_wrong_with_gpus_is_said(controller, iaas, item, where, what):
    """i0 has GPUs 0 and 1 of the second server."""
    servers = controller.fleet.topology.servers
    controller.apply([happened.VmsAdopted((happened.VmOnServer(iaas(1, gpus=2)[0], servers[1], (0, 1)),))])
    fields, number, gpus = item
    with pytest.raises(InvalidInput) as error:
        controller.adopt([happened.VmOnServer(iaas(2, **fields)[1], servers[number], gpus)])
    assert [(fault.where, what in fault.what) for fault in error.value.faults] == [(where, True)]


def test_a_site_keeps_the_gpus_that_vms_have(controller, iaas):
    """The same servers with four GPUs each: GPU 4 of the first is somebody's."""
    site = controller.fleet.topology.site
    server = controller.fleet.topology.servers[0]
    controller.apply(controller.adopt([happened.VmOnServer(iaas(1, gpus=1)[0], server, (4,))]))
    smaller = replace(site, hardware={name: replace(item, gpus=4) for name, item in site.hardware.items()})
    with pytest.raises(Conflict, match="VMs i0 have GPUs that their servers do not have"):
        controller.apply_site(smaller, None)


def test_saas_takes_whole_servers(controller, saas):
    with pytest.raises(InvalidInput, match="a SaaS instance takes a whole server"):
        controller.place(saas(1, gpus=4), (), now_s=0.0, deadline_s=1.0)


def test_a_full_list_tells_parts_by_their_gpus(controller, iaas):
    """i0 has other GPUs than was known: it moved. A reservation beside it may still be waiting."""
    place(controller, iaas(2, gpus=2))
    ((server, _), (same, _)) = taken(controller).values()
    assert server == same
    controller.apply(controller.confirm(["i0"]))
    (first, _) = iaas(2, gpus=2)
    answer = controller.sync([happened.VmOnServer(first, server, (4, 5))])
    assert (answer.added, answer.moved, answer.removed) == ((), ("i0",), ())
    answer = controller.sync([happened.VmOnServer(first, server, (2, 3))])
    assert (answer.moved, answer.removed) == (("i0",), ("i1",))
