"""Placements whose budgets are judged by recent days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control.controller import Controller
from tapas_opt.control.placing import placement_problem
from tapas_opt.control.settings import Settings
from tapas_opt.domain.result import Constraint
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.load import LoadEntry, OwnLoadEntry
from tapas_opt.learn.models import LearnedModels
from tapas_opt.placement.check import check
from tapas_opt.placement.problem import PlacementPlan

TENANTS = ("early", "late")


def template(peak_days, days=27, peak=1.0, usual=0.1) -> LoadEntry:
    """As busy as can be on some days and quiet on others; by the hour of the week nobody can tell which."""
    by_day = tuple((peak if day in peak_days else usual,) * 24 for day in range(days))
    return LoadEntry((peak,) * 168, (peak,) * 168, (peak,) * 168, by_day)


@pytest.fixture
def knowing(models):
    """The demo site's models with these templates beside those learned."""

    def known(**entries: LoadEntry) -> LearnedModels:
        return replace(models, vm_load=replace(models.vm_load, entries=models.vm_load.entries | entries))

    return known


def of_tenants(iaas, each):
    return [vm for tenant in TENANTS for vm in iaas(each, tenant=tenant)]


def renamed(vms):
    return [replace(vm, name=f"v{n}") for n, vm in enumerate(vms)]


def test_the_newest_days_that_are_a_multiple_of_ten_count_and_a_tenth_of_them_is_the_tail(
    controller, forecast_of, iaas
):
    """Of 27 days days 7 to 26, of which the worst two."""
    problem = placement_problem(forecast_of(controller.fleet), iaas(1), risk="cvar")
    days = problem.scenarios
    assert (days.days[0], days.days[-1], len(days.days), days.tail) == ("day 7", "day 26", 20, 2)
    assert len(days.families) == 6
    assert days.type_power_w.shape == (1, 1, 20, 24)
    assert days.constraints == {family.constraint for family in problem.budgets.families}


def test_a_day_is_what_the_models_say_of_it(controller, forecast_of, iaas, run, knowing):
    """Where every day is as the hours of the week are, draws and bases are those of the quantile, day by day."""
    models = knowing(same=template(range(27)))
    run(renamed(iaas(20, tenant="same")))
    problem = placement_problem(forecast_of(controller.fleet, models=models), iaas(1, tenant="same"), risk="cvar")
    for day in range(20):
        assert (problem.scenarios.type_power_w[:, :, day] == problem.type_power_w).all()
        for family, loads in zip(problem.budgets.families, problem.scenarios.families, strict=True):
            assert (loads.base[:, day] == family.base).all()


def test_days_begin_at_the_hour_at_which_the_slots_begin(controller, forecast_of, iaas, knowing):
    """At five in the morning the first slot is h05, on every day."""
    busy_at_seven = template([])
    busy_at_seven = replace(busy_at_seven, day_frac=(tuple(float(h == 7) for h in range(24)),) * 27)
    forecast = forecast_of(controller.fleet, models=knowing(seven=busy_at_seven), now_s=5 * 3600.0)
    problem = placement_problem(forecast, iaas(1, tenant="seven"), risk="cvar")
    assert problem.budgets.slots[2] == "h07"
    assert (problem.scenarios.type_power_w[0, 0].argmax(axis=1) == 2).all()


def test_a_vm_with_a_load_of_its_own_keeps_it_on_every_day(controller, forecast_of, iaas, models):
    own = OwnLoadEntry("tenant01", (-0.3,) * 24, (0.05,) * 24, (0.1,) * 24)
    known = replace(models, own_load=replace(models.own_load, entries={"i1": own}))
    problem = placement_problem(forecast_of(controller.fleet, models=known), iaas(2), risk="cvar")
    assert (problem.scenarios.type_power_w[1] <= problem.scenarios.type_power_w[0]).all()
    assert (problem.scenarios.type_power_w[1] < problem.scenarios.type_power_w[0]).any()


def test_tenants_that_peak_on_different_days_share_the_room(demo_site, profiles, knowing, iaas):
    """40 VMs each: by the quantile all are busy at once, by days never more than half; then only heat is short."""
    models = knowing(early=template([10, 11]), late=template([20, 21]))
    vms = renamed(of_tenants(iaas, 40))
    placed = {}
    for risk in ("quantile", "cvar"):
        settings = Settings(solver="greedy", secure=False, risk=risk)
        answer = Controller(demo_site, models, profiles, settings=settings).place(vms, (), now_s=0.0, deadline_s=1.0)
        placed[risk] = len(answer.result.plan.server_of)
    assert placed["cvar"] > placed["quantile"]
    assert {why.constraint for why in answer.result.why_not} == {Constraint.GPU_TEMPERATURE_LIMIT}


def test_tenants_that_peak_on_the_same_days_do_not(controller, forecast_of, knowing, iaas):
    """Then days say no less than the quantile does, and it is the days that are named."""
    models = knowing(early=template([10, 11]), late=template([10, 11]))
    vms = renamed(of_tenants(iaas, 40))
    problem = placement_problem(forecast_of(controller.fleet, models=models), vms, risk="cvar")
    plan = {vm.name: server for vm, server in zip(vms, problem.servers, strict=True)}
    broken = {violation.constraint for violation in check(problem, PlacementPlan(plan, ())).violations}
    assert broken >= {Constraint.CVAR_BUDGET}
    assert broken <= {Constraint.CVAR_BUDGET, Constraint.GPU_TEMPERATURE_LIMIT}


def test_placements_by_days_survive_failures_as_well(demo_site, profiles, models, iaas, saas, chat):
    """Both look at the same batch; what failures ask is still counted by the hours of the week."""
    controller = Controller(demo_site, models, profiles, settings=Settings(solver="greedy", risk="cvar"))
    controller.apply(controller.put_endpoint(chat))
    answer = controller.place([*iaas(30), *saas(8)], (), now_s=0.0, deadline_s=1.0)
    assert answer.result.plan.server_of
    assert answer.result.checked.ok


CVAR = Settings(risk="cvar")


def test_a_week_of_days_and_too_few_days_are_refused(controller, forecast_of, models, iaas):
    """Neither is quietly turned into something else."""
    with pytest.raises(InvalidInput, match="leave week off"):
        placement_problem(forecast_of(controller.fleet), iaas(1), week=True, risk="cvar")

    def short(entry):
        return replace(entry, day_frac=entry.day_frac[:9])

    load = models.vm_load
    few = replace(
        load,
        entries={name: short(entry) for name, entry in load.entries.items()},
        pooled={name: short(entry) for name, entry in load.pooled.items()},
    )
    with pytest.raises(InvalidInput, match="needs 10 scenario days; the models know of 9"):
        placement_problem(forecast_of(controller.fleet, models=replace(models, vm_load=few)), iaas(1), risk="cvar")
    with pytest.raises(InvalidInput, match="the models know of 9"):
        Controller(controller.fleet.topology.site, replace(models, vm_load=few), controller.profiles, settings=CVAR)


def test_what_days_tolerate_is_their_own_excess(controller, forecast_of, knowing, iaas, run):
    """A worst weekday above its limit must not raise the limit of days that stay below."""
    models = knowing(early=template([10, 11]))
    run(renamed(iaas(80, tenant="early")))
    problem = placement_problem(forecast_of(controller.fleet, models=models), iaas(1, name="new"), risk="cvar")
    rows = next(f for f in problem.budgets.families if f.constraint is Constraint.ROW_POWER_BUDGET)
    assert (rows.base > rows.limit).any()
    assert np.isin(rows.limit, rows.base).sum() == 0
