"""One tiny problem for each constraint, whose model a person can read in ``<name>.lp``.

A function is called after its constraint, ``<constraint>`` or ``<constraint>_in_<kind of problem>``, and its docstring
is the story that stands above the model. To add one: write the function, then ``make golden``, and read the new file.
The docstring of a constraint that shows by columns which are not there says that there is "no row".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.hosts import Hosts
from tapas_opt.placement.problem import PlacementPrices, PlacementProblem, SpreadGroup
from tapas_opt.placement.promises.numbers import KeptBack, Promises, Reservation, TogetherIn
from tapas_opt.placement.scenarios.problem import DayLoads, Scenarios
from tapas_opt.placement.survival.problem import Secured, Survival
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import Choices, ReconfigurationPrices, ReconfigurationProblem, Stage
from tapas_opt.routing.problem import RoutingPrices, RoutingProblem


def budgets(constraint: Constraint, limits: dict[str, int], member: Sequence[Sequence[int]]) -> BudgetNumbers:
    """One family in one slot, nothing drawn yet; each server draws on its domains in equal shares."""
    places = np.array(member, dtype=np.int64)
    share = np.full(places.shape, 1000 // places.shape[1])
    limit = np.array(list(limits.values()))[:, None]
    unit = "CFM" if constraint is Constraint.AISLE_AIRFLOW_CAPACITY else "W"
    family = BudgetFamily(constraint, unit, tuple(limits), places, share, limit, np.zeros_like(limit))
    return BudgetNumbers(("now",), (family,))


NOTHING = BudgetNumbers(("now",), ())


def two_vms(numbers: BudgetNumbers = NOTHING, **fields: Any) -> PlacementProblem:
    """V1 (6,000 W, 500 CFM, 400 W a GPU) and V2 (4,000 W, 300 CFM, 300 W) on S1 and S2; nobody pays for a peak."""
    problem = PlacementProblem(
        vms=("V1", "V2"),
        servers=("S1", "S2"),
        vm_type=np.array([0, 1]),
        vm_priority=np.array([1, 1]),
        vm_group=np.array([NONE, NONE]),
        type_power_w=np.array([[[6_000]], [[4_000]]]),
        type_airflow_cfm=np.array([[[500]], [[300]]]),
        type_gpu_power_w=np.array([[400], [300]]),
        type_fits=np.ones((2, 1), dtype=bool),
        server_hardware=np.array([0, 0]),
        server_available=np.array([True, True]),
        server_ceiling_w=np.array([500, 500]),
        groups=(),
        budgets=numbers,
        prices=PlacementPrices(unplaced_vm=20_000, peak_permille={}, lost_slack_w=1, spare_ceiling_10w=1, comfort_w=50),
    )
    return replace(problem, **fields)


def rack_power_budget() -> PlacementProblem:
    """V1 (6 kW) and V2 (4 kW) on S1 in rack K1, which feeds 5 kW, or S2 in K2, which nobody can overfill."""
    return two_vms(budgets(Constraint.RACK_POWER_BUDGET, {"K1": 5_000, "K2": 12_000}, [[0], [1]]))


def row_power_budget() -> PlacementProblem:
    """V1 (6 kW) and V2 (4 kW) on S1 and S2, both in row R1, which feeds 9 kW."""
    return two_vms(budgets(Constraint.ROW_POWER_BUDGET, {"R1": 9_000}, [[0], [0]]))


def pdu_power_budget() -> PlacementProblem:
    """V1 (6 kW) and V2 (4 kW); S1 hangs on P1 and P2 by halves, S2 on P2 and P3; each carries 4 kW."""
    return two_vms(budgets(Constraint.PDU_POWER_BUDGET, {"P1": 4_000, "P2": 4_000, "P3": 4_000}, [[0, 1], [1, 2]]))


def ups_power_capacity() -> PlacementProblem:
    """V1 (6 kW) and V2 (4 kW); both feeds of S1 end at U1, S2 hangs on U1 (7 kW) and U2 (1.5 kW) by halves."""
    return two_vms(budgets(Constraint.UPS_POWER_CAPACITY, {"U1": 7_000, "U2": 1_500}, [[0, 0], [0, 1]]))


def aisle_airflow_capacity() -> PlacementProblem:
    """V1 (500 CFM) and V2 (300 CFM) on S1 and S2 in aisle A1, which is given 700 CFM."""
    return two_vms(budgets(Constraint.AISLE_AIRFLOW_CAPACITY, {"A1": 700}, [[0], [0]]))


def aisle_heat_capacity() -> PlacementProblem:
    """V1 (6 kW) and V2 (4 kW) on S1 and S2 in aisle A1, whose coils take 9.5 kW away."""
    return two_vms(budgets(Constraint.AISLE_HEAT_CAPACITY, {"A1": 9_500}, [[0], [0]]))


def cvar_budget() -> PlacementProblem:
    """Row R1 feeds 6.5 kW; V1 (6 kW) and V2 (4 kW) peak on different days, else they draw 1 kW; one day counts."""
    row = budgets(Constraint.ROW_POWER_BUDGET, {"R1": 6_500}, [[0], [0]])
    power = np.array([[[[6_000], [1_000]]], [[[1_000], [4_000]]]])
    loads = DayLoads(Constraint.ROW_POWER_BUDGET, ("R1",), np.zeros((1, 2, 1), dtype=np.int64))
    return two_vms(row, scenarios=Scenarios(("Mon", "Tue"), 1, (loads,), power, np.zeros_like(power)))


def vm_placed_once() -> PlacementProblem:
    """Two VMs like V1 are one class, V2 is another: each is placed, or counted as unplaced at 20,000."""
    problem = two_vms()
    return replace(
        problem,
        vms=("V1", "V1b", "V2"),
        vm_type=np.array([0, 0, 1]),
        vm_priority=np.ones(3, dtype=np.int64),
        vm_group=np.full(3, NONE),
    )


def server_gpu_capacity() -> PlacementProblem:
    """Three servers alike are one class that holds three VMs; S4, which runs one already, has no column."""
    return two_vms(
        servers=("S1", "S2", "S3", "S4"),
        server_hardware=np.zeros(4, dtype=np.int64),
        server_available=np.array([True, True, True, False]),
        server_ceiling_w=np.full(4, 500),
    )


def server_gpu_capacity_in_placement() -> PlacementProblem:
    """V1 asks for 4 of 8 GPUs, V2 for 2: they lack 2 to a whole server, which are left over, or one is not placed."""
    hosts = Hosts(("S1", "S2"), np.array([0, 0]), np.array([8, 8]), np.array([[4], [2]]))
    return two_vms(
        servers=("S1", "S2"),
        server_hardware=np.zeros(2, dtype=np.int64),
        server_available=np.ones(2, dtype=bool),
        server_ceiling_w=np.full(2, 500),
        hosts=hosts,
    )


def gpu_temperature_limit() -> PlacementProblem:
    """S1 bears 390 W a GPU and V1 wants 400: there is no row, but no column assign(V1,S1) either."""
    return two_vms(server_ceiling_w=np.array([390, 500]))


def group_together() -> PlacementProblem:
    """V1 and V2 are nodes of one job, which shares a rack: S1 and S2 are in K1, S3 in K2."""
    racks = TogetherIn(("K1", "K2"), np.array([0, 0, 1]), np.array([0, 0]))
    job = SpreadGroup("job", ("anywhere",), np.zeros(3, dtype=np.int64), 3, np.array([0]), False, racks)
    return two_vms(
        servers=("S1", "S2", "S3"),
        vm_group=np.array([0, 0]),
        server_hardware=np.zeros(3, dtype=np.int64),
        server_available=np.ones(3, dtype=bool),
        server_ceiling_w=np.full(3, 500),
        groups=(job,),
    )


def room_with_two_servers(buffer: int, reservations: tuple[Reservation, ...]) -> Promises:
    """V1 is of the tenant 0, V2 of nobody who was promised anything; both servers count in one room."""
    room = KeptBack(("room-1",), np.array([0, 0]), np.array([0]), np.array([buffer]))
    return Promises(np.array([0, NONE]), (room,), reservations)


def tenant_reservation() -> PlacementProblem:
    """One of the two servers of room-1 is owed to the tenant of V1: V1 takes it, or V2 leaves one free."""
    return two_vms(promises=room_with_two_servers(0, (Reservation("acme", 0, 1, 0, (0,)),)))


def capacity_buffer() -> PlacementProblem:
    """One of the two servers of room-1 stays free for failover: V1 or V2 takes the other."""
    return two_vms(promises=room_with_two_servers(1, ()))


def group_spread() -> PlacementProblem:
    """V1 and V2 are replicas of chat, at most one a rack; K1 (S1, S2) is free, in K2 (S3) one runs already."""
    chat = SpreadGroup("chat", ("K1", "K2"), np.array([0, 0, 1]), 1, np.array([0, 1]), all_or_nothing=False)
    return two_vms(
        servers=("S1", "S2", "S3"),
        server_hardware=np.zeros(3, dtype=np.int64),
        server_available=np.ones(3, dtype=bool),
        server_ceiling_w=np.full(3, 500),
        vm_group=np.array([0, 0]),
        groups=(chat,),
    )


def group_all_or_nothing() -> PlacementProblem:
    """V1 and V2 are of use only together."""
    job = SpreadGroup("job", ("anywhere",), np.array([0, 0]), 2, np.array([0]), all_or_nothing=True)
    return two_vms(vm_group=np.array([0, 0]), groups=(job,))


def peak_utilisation() -> PlacementProblem:
    """V1 (6 kW) and V2 (4 kW) on S1 in row R1 and S2 in R2, 10 kW each: a thousandth is 10 W and costs 10."""
    problem = two_vms(budgets(Constraint.ROW_POWER_BUDGET, {"R1": 10_000, "R2": 10_000}, [[0], [1]]))
    return replace(problem, prices=replace(problem.prices, peak_permille={Constraint.ROW_POWER_BUDGET: 10}))


def ups_transient_limit() -> PlacementProblem:
    """V1 (6 kW) and V2 (4 kW) on S1 and S2: when U1 fails all of it is U2's, which bears 9 kW until somebody acts."""
    return two_vms(budgets(Constraint.UPS_TRANSIENT_LIMIT, {"U2 after ups:U1": 9_000}, [[0], [0]]))


def sold_reserve() -> PlacementProblem:
    """V1 (6 kW) and V2 (4 kW) on S1 and S2, and the loss of U1, after which U2 has 8 kW for all of it.

    VMs that run draw 1,500 W there and can give 500 W; V1 can be slowed by 2,000 W, V2 by none. A watt costs 2.
    """
    on_u2 = BudgetFamily(
        Constraint.FAILURE_SECURE,
        "W",
        ("U2 after ups:U1",),
        member=np.array([[0]]),
        share_permille=np.array([[1_000]]),
        limit=np.array([[8_000]]),
        base=np.array([[1_500]]),
    )
    part = Secured(
        family=on_u2,
        kind=np.array([0, 0]),
        scenarios=("ups:U1",),
        scenario_room=np.array([0]),
        scenario=np.array([0]),
        groups=("room after ups:U1",),
        group_scenario=np.array([0]),
        group_of_kind=np.array([[0]]),
        group_pair=np.array([[0]]),
        group_share_permille=np.array([[1_000]]),
        tiers=("slowed",),
        relief_price=np.array([2]),
        shortfall_price=100,
        available=np.array([[[500]]]),
        type_relief=np.array([[[[2_000]]], [[[0]]]]),
    )
    return two_vms(survival=Survival(("room",), (part,), present_cost=np.array([0])))


def failure_secure() -> PlacementProblem:
    """U2 gives 8 kW once U1 is lost, and 1.5 are drawn: V1 and V2 fit by relief, or by a shortfall at 100 a watt."""
    return sold_reserve()


def relief_available() -> PlacementProblem:
    """VMs that run can be slowed by 500 W after the loss of U1, and V1, where it is placed, by 2,000 W more."""
    return sold_reserve()


def worst_failure() -> PlacementProblem:
    """Relief after the loss of U1 costs 2 a watt; the room's worst failure is paid for beyond the 0 of today."""
    return sold_reserve()


def routed(**fields: Any) -> RoutingProblem:
    """A and B serve chat, 1,000 tokens/s each in two segments; 1,500 tokens/s in short prompts are asked for."""
    problem = RoutingProblem(
        instances=("A", "B"),
        servers=("S1", "S2"),
        instance_server=np.array([0, 1]),
        instance_endpoint=np.array([0, 0]),
        endpoints=("chat",),
        classes=("chat/short",),
        class_endpoint=np.array([0]),
        class_tokens_per_s=np.array([1_500]),
        class_work_permille=np.array([1_000]),
        instance_goodput=np.array([1_000, 800]),
        breakpoints_permille=np.array([0, 500, 1_000]),
        latency_cost=np.array([[10, 40], [10, 40]]),
        power_w=np.array([[500, 500], [500, 500]]),
        airflow_cfm=np.array([[20, 20], [20, 20]]),
        gpu_power_w=np.array([[100, 120], [100, 120]]),
        gpu_headroom_w=np.array([1_000, 1_000]),
        budgets=NOTHING,
        prices=RoutingPrices(unserved_tokens_per_s=10, energy_kw=2, peak_permille={}),
    )
    return replace(problem, **fields)


def instance_goodput() -> RoutingProblem:
    """A carries 1,000 tokens/s and B 800, each in two halves; a token with a long prompt is 1.5 tokens of work."""
    return routed(
        classes=("chat/short", "chat/long"),
        class_endpoint=np.array([0, 0]),
        class_tokens_per_s=np.array([900, 400]),
        class_work_permille=np.array([1_000, 1_500]),
    )


def endpoint_demand_in_routing() -> RoutingProblem:
    """1,500 tokens/s in short prompts go to A and B by shares, or are unserved at 10 a token/s."""
    return routed()


def gpu_temperature_limit_in_routing() -> RoutingProblem:
    """A has 150 W left below its ceiling, of 220 W that full load adds; B is 10 W above its own and takes nothing."""
    return routed(gpu_headroom_w=np.array([150, -10]))


def two_instances(**fields: Any) -> ReconfigurationProblem:
    """I1 and I2 run big (1,000 tokens/s, 4 kW); slow serves 800 for 3 kW, small 1,200 for 2 kW, a tenth worse."""
    big, slow, small, parked = range(4)
    reload = np.zeros((4, 4), dtype=bool)
    reload[[big, slow], small] = reload[small, [big, slow]] = reload[parked, :parked] = True
    problem = ReconfigurationProblem(
        stage=Stage.SETTLED,
        instances=("I1", "I2"),
        servers=("S1", "S2"),
        endpoints=("chat",),
        instance_server=np.array([0, 1]),
        instance_endpoint=np.array([0, 0]),
        instance_hardware=np.array([0, 0]),
        current=np.array([big, big]),
        choices=Choices(
            names=("big", "slow", "small", "parked"),
            configuration=("big", "slow", "small", None),
            level=np.array([1.0, 1.0, 1.0, 0.0]),
            runs_on=np.ones((1, 4), dtype=bool),
            goodput_tokens_per_s=np.array([[1_000, 800, 1_200, 0]]),
            power_w=np.array([[4_000, 3_000, 2_000, 0]]),
            airflow_cfm=np.array([[400, 300, 250, 0]]),
            gpu_power_w=np.array([[400, 300, 350, 60]]),
            quality_loss_permille=np.array([0, 0, 100, 0]),
        ),
        allowed=np.ones((1, 4), dtype=bool),
        delay_s=np.where(reload, 120.0, np.where(np.arange(4) == parked, 4.0, 1.0)),
        reload=reload,
        instance_tolerance_s=np.array([np.inf, np.inf]),
        server_ceiling_w=np.array([500, 500]),
        demand_tokens_per_s=np.array([1_500]),
        budgets=NOTHING,
        prices=ReconfigurationPrices(10_000, 10, 1, 200, 2_000),
    )
    return replace(problem, **fields)


def instance_has_one_choice() -> ReconfigurationProblem:
    """I1 and I2 are alike and one class: two choices are taken between them, of those that no other beats."""
    return two_instances()


def endpoint_demand() -> ReconfigurationProblem:
    """I1 runs on a server that is too hot for big; chat asks for 2,500 tokens/s, more than both can serve together."""
    return two_instances(server_ceiling_w=np.array([390, 500]), demand_tokens_per_s=np.array([2_500]))


def change_budget() -> ReconfigurationProblem:
    """I1 and I2 may change, but only one of them."""
    return two_instances(change_budget=1)


def relief_in_time() -> ReconfigurationProblem:
    """U1 gives 6 kW, draws 8, and bears that for 2 s: parking takes 4 s and is no column; there is no row for that."""
    return two_instances(
        stage=Stage.NOW,
        instance_tolerance_s=np.array([2.0, 2.0]),
        budgets=budgets(Constraint.UPS_POWER_CAPACITY, {"U1": 6_000}, [[0], [0]]),
    )


def reload_limit() -> ReconfigurationProblem:
    """No weights may be loaded: small is no column. There is no row: how many reload at once is a matter of waves."""
    return two_instances(reload_limit=0)


def capping_agreed() -> ReconfigurationProblem:
    """V1 is rented by somebody who agreed to nothing: it is no instance and has no column; there is no row for that."""
    return two_instances(opaque=frozenset({"V1"}))


def reload_limit_in_horizon() -> HorizonProblem:
    """Before a peak in the second of two slots, one of I1 and I2 may load small; it serves nothing meanwhile."""
    now = two_instances(reload_limit=1)
    budgets_of_two = replace(now.budgets, slots=("s0", "s1"))
    return HorizonProblem(replace(now, budgets=budgets_of_two), np.array([[1_000, 2_000]]))
