"""From a fleet, a forecast and a stage to a reconfiguration problem."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.actuation import Actuation
from tapas_opt.control.profiles import PARKED
from tapas_opt.control.reconfiguring import AISLE_TOLERANCE_S, reconfiguration_problem
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.workload import Endpoint, Slo
from tapas_opt.reconfiguration.problem import Stage


@pytest.fixture
def problem_of(controller, forecast_of):
    def problem(*failures, stage=Stage.NOW, **fields):
        return reconfiguration_problem(forecast_of(controller.fleet, *failures, **fields), stage, Actuation())

    return problem


def number_of(problem, choice):
    return problem.choices.names.index(choice)


def limits(problem, constraint):
    return next(f for f in problem.budgets.families if f.constraint is constraint)


def test_every_profile_at_every_level_is_an_option_and_so_is_parking(profiles):
    """100 configurations at no load, half and full, and parked once, at the end."""
    options = profiles.options
    assert len(options) == 3 * 100 + 1
    assert [option.name for option in options if option.profile is None] == [PARKED] == [options[-1].name]


def test_only_instances_with_power_may_change(problem_of, saas, iaas, run):
    """Opaque VMs are in nobody's hands; racks on U1 and U2 alone are dark when both are lost."""
    run(saas(40))
    run(iaas(40), first=40)
    assert problem_of().instances == tuple(sorted(f"c{n}" for n in range(40)))
    lit = problem_of(Failure(FailureKind.UPS, "U1"), Failure(FailureKind.UPS, "U2"))
    assert 0 < len(lit.instances) < 40
    assert set(lit.instances) < {f"c{n}" for n in range(40)}


def test_an_empty_fleet_is_a_problem_without_instances(problem_of):
    """An answer, not an exception."""
    assert problem_of().instances == ()


def test_present_choices_are_read_from_the_fleet(controller, problem_of, chat, saas, run):
    """As started, as a plan said, and parked."""
    run(saas(3))
    half = f"{chat.configuration}@0.5"
    controller.apply([happened.PlanApplied("p", "now", {"c1": half, "c2": PARKED})])
    problem = problem_of()
    assert [problem.choices.names[c] for c in problem.current] == [f"{chat.configuration}@1", half, PARKED]


def test_goodput_is_rounded_down_and_draw_up_and_parking_draws_nothing(problem_of, profiles, chat, saas, run):
    """The profile's numbers, on the conservative side."""
    run(saas(1))
    problem = problem_of()
    profile = profiles.get(chat.configuration, "dgx-a100")
    full = number_of(problem, f"{chat.configuration}@1")
    half = number_of(problem, f"{chat.configuration}@0.5")
    parked = problem.choices.parked
    assert problem.choices.goodput_tokens_per_s[0, full] == int(profile.goodput_tokens_per_s)
    assert problem.choices.goodput_tokens_per_s[0, half] == int(profile.goodput_tokens_per_s / 2)
    assert problem.choices.gpu_power_w[0, full] == np.ceil(profile.hottest_gpu_power_w[-1])
    assert (problem.choices.power_w[0, parked], problem.choices.airflow_cfm[0, parked]) == (0, 0)
    assert 0 < problem.choices.power_w[0, half] < problem.choices.power_w[0, full]


def test_an_endpoint_bars_what_is_below_its_floor_and_never_parking(controller, problem_of, chat, saas, run):
    """A floor of 0.9 bars the 7b model of quality 0.8."""
    small = "llama2-7b-fp16-tp2-b64-f1410@1"
    run(saas(1))
    problem = problem_of()
    assert problem.allowed[0, number_of(problem, small)]
    controller.apply(controller.put_endpoint(Endpoint("conv", chat.slo, chat.configuration, quality_floor=0.9)))
    strict = problem_of()
    assert not strict.allowed[0, number_of(strict, small)]
    assert strict.allowed[0, strict.choices.parked]


def test_what_an_endpoint_prefers_is_no_loss_to_it(controller, problem_of, saas, run):
    """Whoever asks for the 7b model misses 200 ‰ of the best model's quality, and loses nothing."""
    small = "llama2-7b-fp16-tp2-b64-f1410"
    controller.apply(controller.put_endpoint(Endpoint("conv", Slo(2.0, 0.2), small)))
    run(saas(1))
    problem = problem_of()
    assert problem.preferred_loss_permille.tolist() == [200]
    assert problem.quality_loss_permille()[0, number_of(problem, f"{small}@1")] == 0


@pytest.mark.parametrize(("instances", "reloads"), [(1, 1), (9, 1), (20, 2), (40, 4)])
def test_a_tenth_of_the_instances_may_reload_at_once_and_always_one(problem_of, saas, run, instances, reloads):
    """None at once would be none at all."""
    run(saas(instances))
    assert problem_of(stage=Stage.SETTLED).reload_limit == reloads


def test_nothing_overloaded_is_borne_for_ever(problem_of, saas, run):
    """Ten instances on 80 servers overload nothing."""
    run(saas(10))
    assert np.isinf(problem_of().instance_tolerance_s).all()


def test_instances_below_an_overloaded_ups_have_seconds(controller, problem_of, saas, run):
    """80 servers at 6.4 kW; with U1 lost, U2 to U4 bear 512 / 3 = 171 kW of 104 kW, far beyond 1.5: 3 s or less."""
    run(saas(80))
    readings = Readings(0.0, server_power_w=dict.fromkeys(controller.fleet.topology.servers, 6_400.0))
    tolerance = problem_of(Failure(FailureKind.UPS, "U1"), readings=readings).instance_tolerance_s
    assert (tolerance <= 3.0).all()


def test_an_aisle_short_of_air_is_borne_for_a_minute(controller, problem_of, saas, run):
    """Three of four air handlers lost: what is left cannot carry the aisles, and no breaker sees it."""
    run(saas(80))
    lost = [Failure(FailureKind.AHU, f"AHU{n}") for n in (1, 2, 3)]
    readings = Readings(0.0, server_power_w=dict.fromkeys(controller.fleet.topology.servers, 1_500.0))
    assert set(problem_of(*lost, readings=readings).instance_tolerance_s) == {AISLE_TOLERANCE_S}


def test_now_acts_on_what_is_drawn_and_settled_on_what_may_come(controller, problem_of, saas, iaas, run):
    """Opaque VMs draw 500 W this second; within the hour they may draw what is predicted."""
    run(saas(10))
    run(iaas(40), first=40)
    readings = Readings(0.0, server_power_w=dict.fromkeys(controller.fleet.topology.servers, 500.0))
    now, settled = (problem_of(stage=stage, readings=readings) for stage in Stage)
    constraint = Constraint.ROW_POWER_BUDGET
    assert limits(now, constraint).base[1, 0] < limits(settled, constraint).base[1, 0]


def test_missing_telemetry_costs_margin(controller, problem_of, models, saas, run):
    """Where draws rise by 1 % in minutes, a site measured all over may fill its UPSs further, and no row less far."""
    run(saas(10))
    margin = models.domain_margin
    entries = {name: replace(entry, rise_5min_frac=0.01) for name, entry in margin.entries.items()}
    calm = replace(models, domain_margin=replace(margin, entries=entries))
    readings = Readings(0.0, server_power_w=dict.fromkeys(controller.fleet.topology.servers, 2_000.0))
    measured, blind = problem_of(models=calm, readings=readings), problem_of(models=calm)
    ups, row = Constraint.UPS_POWER_CAPACITY, Constraint.ROW_POWER_BUDGET
    assert (limits(measured, ups).limit > limits(blind, ups).limit).all()
    assert (limits(measured, row).limit >= limits(blind, row).limit).all()


def test_noise_within_the_headroom_moves_nothing(controller, saas, run):
    """60 instances as a plan has left them that was made for 3 % more; demand and draws waver by 2 %, look after look.

    A gain below 1 % of the cost, or below the price of its changes, is no reason to disturb a room.
    """
    run(saas(60))
    rng = np.random.default_rng(7)
    servers, tokens = controller.fleet.topology.servers, 55_000.0

    def observed(at_s, more, wavers):
        watts = 4_500.0 * (1.0 + more + wavers * rng.uniform(-1.0, 1.0, len(servers)))
        asked = tokens * (1.0 + more + wavers * rng.choice([-1.0, 1.0]))
        power = dict(zip(servers, watts.tolist(), strict=True))
        controller.observe(
            Readings(at_s, outdoor_c={"room1": 18.0}, server_power_w=power, endpoint_tokens_per_s={"conv": asked})
        )

    observed(0.0, more=0.03, wavers=0.0)
    for _ in range(4):  # settle
        proposal = controller.plan_reconfiguration(Stage.SETTLED, now_s=0.0, deadline_s=1.0)
        if not proposal.needed:
            break
        controller.apply(controller.apply_plan(proposal.plan_id, None, "alice"))
        while controller.fleet.wave_done() or controller.fleet.waiting():
            for name in controller.fleet.waiting():
                controller.apply(controller.acknowledge(name, controller.fleet.vm(name).generation, None))
            controller.apply(controller.tick(0.0))
        for name, item in list(controller.fleet.vms.items()):
            controller.apply(controller.acknowledge(name, item.generation, None))
    assert not proposal.needed
    for step in range(1, 7):
        observed(60.0 * step, more=0.0, wavers=0.02)
        assert not controller.plan_reconfiguration(Stage.SETTLED, now_s=60.0 * step, deadline_s=1.0).needed


def demand_of(problem):
    return dict(zip(problem.endpoints, problem.demand_tokens_per_s.tolist(), strict=True))["conv"]


def asked(forecast_of, controller, tokens_per_s):
    """What will and may be asked for within the hour, tokens/s, and readings that say what is asked now."""
    readings = Readings(0.0, endpoint_tokens_per_s={"conv": tokens_per_s})
    return forecast_of(controller.fleet, readings=readings).coming_demand_tokens_per_s("conv"), readings


def test_plans_are_ready_for_what_may_be_asked_while_it_is_calm(controller, problem_of, forecast_of, saas, run):
    """A quarter of what ten instances carry: the upper bound, and a twentieth besides."""
    run(saas(10))
    (will, may), readings = asked(forecast_of, controller, 5_000.0)
    assert will < may
    assert demand_of(problem_of(stage=Stage.SETTLED, readings=readings)) == int(np.ceil(may / 0.95))


def test_nothing_is_loaded_for_the_sake_of_what_nobody_may_ask(
    controller, problem_of, forecast_of, profiles, chat, saas, run
):
    """Nearly all that ten instances carry with the weights they have: no more than that."""
    run(saas(10))
    carried = 10 * int(profiles.get(chat.configuration, "dgx-a100").goodput_tokens_per_s)
    central = forecast_of(controller.fleet).models.load_central_frac("conv")
    growth = max(1.0, central[[0, 1]].max() / central[0])
    (will, may), readings = asked(forecast_of, controller, 0.99 * carried / growth)
    assert will < carried < may / 0.95
    assert demand_of(problem_of(stage=Stage.SETTLED, readings=readings)) == carried


def test_what_will_be_asked_counts_in_full(controller, problem_of, forecast_of, profiles, chat, saas, run):
    """Twice what ten instances carry: there is reason to load something smaller."""
    run(saas(10))
    carried = 10 * profiles.get(chat.configuration, "dgx-a100").goodput_tokens_per_s
    (will, _), readings = asked(forecast_of, controller, 2 * carried)
    assert demand_of(problem_of(stage=Stage.SETTLED, readings=readings)) == int(np.ceil(will))
