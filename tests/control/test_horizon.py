"""A settled plan slot by slot, of which the first slot is published."""

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.actuation import Actuation
from tapas_opt.control.horizon import HOUR_S, MOST_SLOTS, first_slot, horizon_problem
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.errors import InvalidInput
from tapas_opt.reconfiguration import check as reconfiguration_check
from tapas_opt.reconfiguration.horizon import check as horizon_check
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.solve import solve

RISING_S = 6.5 * HOUR_S
"""Half past six of the week's first day: demand rises."""


@pytest.fixture
def busy(controller, saas, iaas, run):
    run(saas(30))
    run(iaas(10), first=40)
    return controller


def observed(controller, at_s, tokens):
    controller.observe(Readings(at_s, outdoor_c={"room1": 20.0}, endpoint_tokens_per_s={"conv": tokens}))


def problem_of(controller, at_s, slots=MOST_SLOTS):
    with controller.lock:
        return horizon_problem(controller.outlook.next_hour(at_s), Actuation(), slots)


def test_demand_follows_its_template_from_what_is_asked_now(busy, models):
    """Straight between the middles of two hours; never less in the first slot than is asked now."""
    observed(busy, RISING_S, 50_000.0)
    demand = problem_of(busy, RISING_S).demand_tokens_per_s[0]
    upper = models.load_upper_frac("conv")[6:8]
    assert demand[0] >= 50_000
    at = (np.arange(12) + 0.5) / 12
    expected = 50_000 / 0.95 * ((1 - at) * upper[0] + at * upper[1]) / models.load_central_frac("conv")[6]
    assert demand[1:] == pytest.approx(np.minimum(expected, 2 * 50_000 / 0.95)[1:], abs=2)


def test_budgets_begin_where_they_are_now(busy):
    """The first slot's base is what is drawn this minute, and later ones differ by what is predicted to change."""
    observed(busy, RISING_S, 50_000.0)
    problem = problem_of(busy, RISING_S)
    present = busy.reconfiguration_problem(Stage.NOW, (), now_s=RISING_S)
    for family, now in zip(problem.now.budgets.families, present.budgets.families, strict=True):
        assert family.base[:, 0] == pytest.approx(now.base[:, 0], rel=0.02, abs=2)
        assert (family.limit[:, 0] == now.limit[:, 0]).all()
        assert (np.diff(family.limit, axis=1) <= 0).all()


def test_only_the_first_slot_is_proposed_and_its_waves_are_checked(busy):
    """Ten instances run and twenty are parked, while demand climbs to what thirty serve."""
    parked = {f"c{n}": "parked" for n in range(10, 30)}
    busy.apply([happened.PlanApplied("p", "settled", parked, "", (), 0.0)])
    busy.apply([happened.ConfigurationAcknowledged(name, 2) for name in parked])
    observed(busy, RISING_S, 38_000.0)
    proposal = busy.plan_reconfiguration(Stage.SETTLED, now_s=RISING_S, deadline_s=5.0, horizon_slots=12)
    assert proposal.needed
    assert proposal.changes.keys().isdisjoint(proposal.later)
    assert proposal.later
    assert {slot for _, slot in proposal.later.values()} <= set(range(1, 12))
    first = first_slot(problem_of(busy, RISING_S))
    plan = proposal.result.plan
    assert reconfiguration_check.check(first.with_allowed_excess(plan.excess), plan).ok
    assert len(proposal.waves) == len(plan.waves)
    busy.apply(busy.apply_plan(proposal.plan_id, None, "alice"))
    changed = {name for name, item in busy.fleet.vms.items() if item.generation > 2}
    assert changed <= set(proposal.changes)


def test_what_is_to_come_is_planned_on_the_failure_that_is(busy):
    """A horizon under a failure holds on its problem, too."""
    busy.apply([happened.FailureReported(Failure(FailureKind.UPS, "U1"))])
    observed(busy, RISING_S, 50_000.0)
    problem = problem_of(busy, RISING_S, slots=4)
    result = solve(problem, solver="greedy")
    assert horizon_check.check(problem.with_allowed_excess(result.plan.excess), result.plan).ok


@pytest.mark.parametrize(("stage", "slots"), [(Stage.NOW, 12), (Stage.SETTLED, 13), (Stage.SETTLED, -1)])
def test_a_horizon_that_makes_no_sense_is_refused(busy, stage, slots):
    with pytest.raises(InvalidInput, match="slots"):
        busy.plan_reconfiguration(stage, now_s=0.0, deadline_s=1.0, horizon_slots=slots)
