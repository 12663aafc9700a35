"""Opaque VMs are slowed last, and only those whose owners agreed."""

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.actuation import Actuation
from tapas_opt.control.capping import CLOCKS
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.workload import VmKind
from tapas_opt.reconfiguration import check as reconfiguration_check
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, Stage

SHORT_OF_POWER = Failure(FailureKind.ROOM_POWER, "room1", remaining_frac=0.7)
A_LITTLE_SHORT = Failure(FailureKind.ROOM_POWER, "room1", remaining_frac=0.88)


@pytest.fixture
def rented(controller, iaas, saas, run):
    """In each of two rows 24 opaque VMs, of which every other agreed to be slowed, and four instances."""
    vms = [vm if n % 2 else _agreeing(vm) for n, vm in enumerate(iaas(48))]
    for row in (0, 1):
        run(vms[24 * row : 24 * row + 24], first=40 * row)
        run(saas(8)[4 * row : 4 * row + 4], first=40 * row + 24)
    observed(controller, 0.0)
    return controller


def observed(controller, at_s, clock=1.0):
    """Whoever has a VM draws 5 kW, slowed ones as much less as their clock above 1.5 kW."""
    occupants = zip(controller.fleet.topology.servers, controller.fleet.occupants(), strict=True)
    slowed = {server: any(placed.choice is not None for placed in vms) for server, vms in occupants}
    watts = {placed.server: 5_000.0 for placed in controller.fleet.vms.values()}
    watts = {server: 1_500.0 + (watt - 1_500.0) * (clock if slowed[server] else 1.0) for server, watt in watts.items()}
    tokens = {"conv": 10_000.0}
    controller.observe(Readings(at_s, outdoor_c={"room1": 20.0}, server_power_w=watts, endpoint_tokens_per_s=tokens))


def _agreeing(vm):
    return type(vm)(vm.name, vm.kind, vm.tenant, capping_agreed=True)


def settled(controller, failure, now_s=0.0):
    controller.apply([happened.FailureReported(failure)])
    return controller.plan_reconfiguration(Stage.SETTLED, now_s=now_s, deadline_s=1.0)


def touched(controller, proposal):
    return {name for name in proposal.changes if controller.fleet.vm(name).vm.kind is VmKind.IAAS}


def test_without_a_failure_no_opaque_vm_is_in_the_problem(rented):
    """They agreed to an emergency, not to a busy afternoon."""
    problem = rented.reconfiguration_problem(Stage.SETTLED, (), now_s=0.0)
    assert all(rented.fleet.vm(name).vm.kind is VmKind.SAAS for name in problem.instances)
    assert len(problem.opaque) == 24


def test_in_an_emergency_only_those_that_agreed_are_slowed(rented):
    """Eight instances are not enough; the other half of the opaque VMs is in nobody's hands."""
    proposal = settled(rented, SHORT_OF_POWER)
    slowed = touched(rented, proposal)
    assert slowed
    assert all(rented.fleet.vm(name).vm.capping_agreed for name in slowed)
    assert proposal.result.checked.terms["iaas_performance"] > 0


def test_instances_change_before_opaque_vms_do(rented):
    """A few kilowatts are missing, and eight instances have them."""
    proposal = settled(rented, A_LITTLE_SHORT)
    assert proposal.changes
    assert touched(rented, proposal) == set()


def test_the_checker_refuses_a_plan_that_touches_one_that_has_not_agreed(rented):
    """By name, whatever the plan says of it."""
    problem = rented.reconfiguration_problem(Stage.SETTLED, (SHORT_OF_POWER,), now_s=0.0)
    plan = ReconfigurationPlan(dict(problem.present().choice_of) | {"i1": "clock@0.7"})
    broken = reconfiguration_check.check(problem, plan).violations
    assert [(one.constraint, one.where) for one in broken] == [(Constraint.CAPPING_AGREED, "i1")]


def test_opaque_vms_are_never_parked(rented):
    """Their owners agreed to be slowed."""
    problem = rented.reconfiguration_problem(Stage.SETTLED, (SHORT_OF_POWER,), now_s=0.0)
    eligible = problem.eligible()
    for i, name in enumerate(problem.instances):
        if rented.fleet.vm(name).vm.kind is VmKind.IAAS:
            names = {problem.choices.names[c] for c in np.flatnonzero(eligible[i])}
            assert names == {f"clock@{clock:g}" for clock in CLOCKS}


def test_the_base_and_the_choices_come_to_what_is_drawn(rented):
    """A watt counted in both, or in neither, would be an excess, or a trip, that nobody sees."""
    with_them = rented.reconfiguration_problem(Stage.NOW, (SHORT_OF_POWER,), now_s=0.0)
    chosen = with_them.current
    drawn = {}
    for family in with_them.budgets.families:
        if family.constraint is Constraint.ROW_POWER_BUDGET:
            load = family.drawn_permille(with_them._server_draw(family, chosen)) / 1000 + family.base
            drawn = dict(zip(family.domains, load[:, 0], strict=True))
    opaque, instances, idle = 24 * 5_000.0, 4 * 6_500.0, 12 * 1_500.0
    assert all(load == pytest.approx(opaque + instances + idle, rel=0.05) for load in drawn.values())


def test_slowing_takes_as_long_as_the_baseboard_controller(rented):
    """Nothing inside an opaque VM is the operator's: tens of seconds, too late for a tripping UPS."""
    problem = rented.reconfiguration_problem(Stage.NOW, (SHORT_OF_POWER,), now_s=0.0)
    full, slow = (problem.choices.names.index(name) for name in ("clock@1", "clock@0.7"))
    usual = Actuation()
    assert problem.delay_s[full, slow] == usual.detect_s + usual.decide_s + usual.out_of_band_s


def test_a_slowed_vm_is_let_go_when_the_failure_is_over(rented):
    """And is known to want more than it is measured to draw."""
    proposal = settled(rented, SHORT_OF_POWER)
    rented.apply(rented.apply_plan(proposal.plan_id, None, "alice"))
    slowed = touched(rented, proposal)
    for name in slowed:
        rented.apply(rented.acknowledge(name, rented.fleet.vm(name).generation, None))
    observed(rented, 60.0, clock=0.55)
    while rented.fleet.wave_done():
        rented.apply(rented.tick(60.0))
    rented.apply(rented.clear_failure(SHORT_OF_POWER.label))
    after = rented.plan_reconfiguration(Stage.SETTLED, now_s=61.0, deadline_s=1.0)
    assert after.needed
    assert {after.changes[name] for name in touched(rented, after)} == {"clock@1"}
