"""Load templates, VMs beside their template, and scenario days."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.learn.fit import fit
from tapas_opt.learn.fitting.load import fit_loads
from tapas_opt.learn.fitting.split import split_days
from tapas_opt.learn.fitting.week import Loads, fit_own_days, fit_weeks, own_multiple, week_multiples
from tapas_opt.learn.load import OwnLoadEntry, hour_of_week
from tapas_opt.telemetry.panel import panel_of


def loads_of(days, per_vm, templates=None, seed=1, noise=0.1, first_day=0, lasting_h=24):
    """Hourly loads 0.4 + `per_vm(hour, day)[vm]` with noise that lasts some hours; one template a VM if not given."""
    rng = np.random.default_rng(seed)
    day, hour = np.divmod(np.arange(24 * days) + 24 * first_day, 24)
    vms = per_vm(0, 0).size
    template = np.arange(vms) if templates is None else np.asarray(templates)
    lasting = np.repeat(rng.normal(0, noise, (24 * days // lasting_h, vms)), lasting_h, axis=0)
    load = 0.4 + np.stack([per_vm(h, d) for h, d in zip(hour, day, strict=True)]) + lasting
    at, vm = (index.ravel() for index in np.indices(load.shape))
    return Loads(template[vm], vm, day[at], (24 * day + hour)[at] % 168, load.ravel(), hours_each=1.0)


def test_a_template_seen_for_one_day_stands_between_its_own_load_and_that_of_all():
    """Templates differ by 0.1 and days by 0.1: a day says as much of a template as the others do, so k is about 1."""
    offsets = np.random.default_rng(3).normal(0, 0.1, 200)
    loads = loads_of(10, lambda h, d: offsets)
    newcomer = loads.only((loads.template > 0) | (loads.day == 4))
    newcomer = replace(newcomer, load=np.where(newcomer.template == 0, 0.0, newcomer.load))
    weeks = fit_weeks(newcomer, 200)
    between = weeks.central[0].mean() / weeks.central[-1].mean()
    assert between == pytest.approx(0.5, abs=0.1)


def test_more_days_mean_less_of_all():
    """n days count n / (n + k)."""
    offsets = np.random.default_rng(3).normal(0, 0.1, 200)
    loads = loads_of(10, lambda h, d: offsets)

    def left(days):
        seen = loads.only((loads.template > 0) | (loads.day < days))
        weeks = fit_weeks(replace(seen, load=np.where(seen.template == 0, 0.0, seen.load)), 200)
        return weeks.central[0].mean() / weeks.central[-1].mean()

    assert left(1) == pytest.approx(1 / 2, abs=0.1)
    assert left(3) == pytest.approx(1 / 4, abs=0.06)
    assert left(9) == pytest.approx(1 / 10, abs=0.03)


def test_weekends_are_believed_once_two_weeks_have_shown_them():
    """A quiet Sunday may be chance; a second one is not."""

    def office(hour, day):
        return np.full(30, -0.3 if day % 7 >= 5 else 0.0)

    once, twice = (fit_weeks(loads_of(days, office, noise=0.02), 30).central[:30] for days in (7, 14))
    assert np.abs(once[:, 120:] - once[:, :48]).max() < 0.05
    assert (twice[:, :120].mean() - twice[:, 120:].mean()) == pytest.approx(0.3, abs=0.02)


def test_a_vm_is_special_only_as_far_as_it_is_not_chance():
    """Alike VMs stay at their template whatever noise they had; one that is 0.2 above it every day is 0.2 above it."""
    alike = loads_of(14, lambda h, d: np.zeros(40), np.zeros(40, dtype=int))
    own = fit_own_days(alike, fit_weeks(alike, 1), 40)
    assert np.abs(own.offset).max() < 0.04
    special = loads_of(14, lambda h, d: np.where(np.arange(40) == 7, 0.2, 0.0), np.zeros(40, dtype=int), noise=0.02)
    own = fit_own_days(special, fit_weeks(special, 1), 40)
    assert own.offset[7] == pytest.approx(np.full(24, 0.195), abs=0.03)


@pytest.mark.parametrize("level", [0.95, 0.99])
@pytest.mark.parametrize("seed", range(3))
def test_later_readings_stay_below_the_upper_load_as_often_as_promised(level, seed):
    rng = np.random.default_rng(seed)
    offsets = rng.normal(0, 0.1, 60)

    def per_vm(hour, day):
        return offsets + 0.2 * np.sin(hour / 24 * 2 * np.pi)

    template = np.arange(60) // 6
    fitting, later, judged = (loads_of(7, per_vm, template, 10 * seed + part, 0.05, 7 * part, 2) for part in range(3))
    weeks = fit_weeks(fitting, 10)
    upper = weeks.central + week_multiples(weeks, later, level)[:, None] * weeks.spread
    assert (judged.load <= upper[judged.template, judged.hour]).mean() == pytest.approx(level, abs=0.02)
    own = fit_own_days(fitting, weeks, 60)
    at = (judged.vm, judged.hour % 24)
    reach = own_multiple(weeks, own, later, level) * own.spread[at]
    mine = weeks.central[judged.template, judged.hour] + own.offset[at] + reach
    assert (judged.load <= mine).mean() == pytest.approx(level, abs=0.02)


def with_busy_vm(history, vm, more):
    """One VM always runs at `more` above what it did."""
    mine = history["vms"]["vm"] == vm
    history["vms"].loc[mine, "load_frac"] = (history["vms"].loc[mine, "load_frac"] + more).clip(0, 1)
    return history


@pytest.fixture(scope="module")
def busy():
    """`two_rows` with VM0, an office, 0.2 busier than the other two offices."""
    return {}


@pytest.fixture
def with_own(busy, make_history, topology):
    if not busy:
        busy["learned"] = fit(panel_of(with_busy_vm(make_history(topology), "VM0", 0.2), topology))
    return busy["learned"]


def test_the_vm_goes_before_its_template_and_the_template_before_all(with_own):
    """VM0 is 0.2 above VM1 and VM2, so 0.13 above the template, which is their mean."""
    own, template, all_ = (with_own.load_central_frac(*who) for who in (("office", "VM0"), ("office",), ("nobody",)))
    assert (own - template).mean() == pytest.approx(0.13, abs=0.03)
    assert (with_own.load_central_frac("office", "VM9") == template).all()
    assert (with_own.load_central_frac("nobody", "VM9") == all_).all()
    for level in (0.95, 0.99):
        assert (with_own.load_upper_frac("office", "VM0", level) >= own).all()
    assert with_own.has_own_load("office", "VM0")


def test_a_vm_under_another_template_has_no_load_of_its_own(with_own):
    """Another customer may reuse a name."""
    assert (with_own.load_central_frac("steady", "VM0") == with_own.load_central_frac("steady")).all()
    assert not with_own.has_own_load("steady", "VM0")


def test_a_vm_that_is_gone_or_too_young_or_as_its_template_has_no_entry(make_history, topology):
    """VM1 ended on the fifth day, VM4 began 47 hours before the calibrating days end; VM3 alone made its template.

    VM0 is busier, and so VM2 is less busy than their template.
    """
    history = with_busy_vm(make_history(topology), "VM0", 0.2)
    vms = history["vms"]
    gone = (vms["vm"] == "VM1") & (vms["t_s"] >= 5 * 86_400)
    young = (vms["vm"] == "VM4") & (vms["t_s"] < 6 * 86_400 - 47 * 3600)
    panel = panel_of(history | {"vms": vms[~gone & ~young]}, topology)
    _, own = fit_loads(panel, split_days(panel.day))
    assert sorted(own.entries) == ["VM0", "VM2"]
    alike = panel_of(make_history(topology), topology)
    assert fit_loads(alike, split_days(alike.day))[1].entries == {}


def test_99_percent_lie_above_95_and_other_levels_are_refused(learned):
    for template in ("office", "steady", "nobody"):
        central, upper = learned.load_central_frac(template), learned.load_upper_frac(template)
        highest = learned.load_upper_frac(template, level=0.99)
        assert (central <= upper).all()
        assert (upper <= highest).all()
    with pytest.raises(InvalidInput, match=r"level: 0.9: learned are 0.95 and 0.99"):
        learned.load_upper_frac("office", level=0.9)
    with pytest.raises(ValueError, match="reach_99_frac must not lie below"):
        OwnLoadEntry("office", (0.0,) * 24, (0.2,) * 24, (0.1,) * 24)


def test_scenario_days_are_the_same_for_all_templates_so_that_common_peaks_add_up(make_history, topology):
    """On the third of the eight days everybody works twice as much; a sum over templates must see it on one day."""
    history = make_history(topology)
    vms = history["vms"]
    third = (vms["t_s"] // 86_400) == 2
    vms.loc[third, "load_frac"] = (2 * vms.loc[third, "load_frac"]).clip(0, 1)
    learned = fit(panel_of(history, topology))
    office, steady = learned.load_scenarios("office"), learned.load_scenarios("steady")
    assert office.shape == steady.shape == (8, 24)
    assert office.mean(axis=1).argmax() == steady.mean(axis=1).argmax() == 2
    assert office[0, 12] == pytest.approx(0.7, abs=0.02)


def test_templates_with_other_numbers_of_scenario_days_are_refused(learned, tmp_path):
    office = learned.vm_load.entries["office"]
    entries = learned.vm_load.entries | {"office": replace(office, day_frac=office.day_frac[1:])}
    replace(learned, vm_load=replace(learned.vm_load, entries=entries)).save(tmp_path)
    with pytest.raises(InvalidInput, match=r"entries.office.day_frac: has 7 days, that of all 8"):
        type(learned).load(tmp_path)


def test_an_hour_without_a_reading_has_the_templates_central_load(make_history, topology):
    history = make_history(topology)
    vms = history["vms"]
    silent = (vms["template"] == "steady") & (vms["t_s"] // 86_400 == 6)
    learned = fit(panel_of(history | {"vms": vms[~silent]}, topology))
    hours = hour_of_week(6 * 86_400 + 3600 * np.arange(24))
    assert learned.load_scenarios("steady")[6] == pytest.approx(learned.load_central_frac("steady")[hours], abs=1e-4)


def test_a_month_of_four_hundred_vms_is_learned_in_seconds():
    """Half a million hourly readings; a thousand servers at five minutes have sixteen times as many."""
    loads = loads_of(28, lambda h, d: np.zeros(800), np.arange(800) % 40)
    begin = time.process_time()
    weeks = fit_weeks(loads, 40)
    fit_own_days(loads, weeks, 800)
    assert time.process_time() - begin < 3.0


def test_a_week_has_168_hours_and_begins_at_second_zero():
    assert hour_of_week([0.0, 3599.0, 3600.0, 7 * 86_400.0 - 1, 7 * 86_400.0]).tolist() == [0, 0, 1, 167, 0]
