"""A worse set is told from an unlucky week, and a changed world from a noisy one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.learn.compare import changes, days_text, drifts
from tapas_opt.learn.judge import judge
from tapas_opt.learn.judging.judgement import DayErrors
from tapas_opt.telemetry.panel import panel_of


@pytest.fixture
def latest(make_history, topology):
    """Judge models on four later days, with inlets warmer by what a test says."""

    def run(models, inlet_more_c=0.0):
        panel = panel_of(make_history(topology, days=4, seed=7), topology)
        panel = replace(panel, inlet_c=panel.inlet_c + inlet_more_c)
        return judge(models, panel, np.ones(len(panel.t_s), dtype=bool))

    return run


def with_inlets(models, **changed):
    """The models with every inlet entry changed by functions of the entry."""
    entries = {
        name: replace(entry, **{field: change(getattr(entry, field)) for field, change in changed.items()})
        for name, entry in models.inlet_temperature.entries.items()
    }
    return replace(models, inlet_temperature=replace(models.inlet_temperature, entries=entries))


def worse(in_use, new):
    return {change.name: change.worse for change in changes(in_use, new) if change.worse}


def of_days(judgement, maes, coverages=None):
    """The judgement with other days."""
    coverages = coverages or [1.0] * len(maes)
    days = [
        DayErrors(86_400.0 * i, 0.0, *pair, 100, c) for i, (*pair, c) in enumerate(zip(maes, coverages, strict=True))
    ]
    return replace(judgement, by_day=tuple(days), mae=float(np.mean(maes)), coverage=float(np.mean(coverages)))


def test_a_set_is_not_worse_than_itself(learned, latest):
    judged = latest(learned)
    assert worse(judged, judged) == {}
    assert [change.name for change in changes(judged, judged)] == list(judged)


def test_a_biased_model_is_worse_by_name_and_number(learned, latest):
    found = worse(latest(learned), latest(with_inlets(learned, base_c=lambda base: base + 1.0)))
    assert "mean error 0.2" in found["inlet_temperature"][0]
    assert found["inlet_temperature"][0].endswith("→ 0.999 °C")
    assert "gpu_temperature" not in found


def test_a_better_model_is_not_worse(learned, latest):
    assert worse(latest(with_inlets(learned, base_c=lambda base: base + 1.0)), latest(learned)) == {}


def test_a_margin_that_breaks_its_promise_is_worse(learned, latest):
    found = worse(latest(learned), latest(with_inlets(learned, margin_c=lambda margin: 0.0)))
    assert found["inlet_temperature"][0].startswith("coverage 100.0% → 0.0% of server-day maxima")


def test_a_sharper_margin_that_keeps_its_promise_is_not_worse(learned, latest):
    """Covering everything is no virtue: 99 % is promised, and kept within chance."""
    generous = latest(with_inlets(learned, margin_c=lambda margin: margin + 5.0))
    assert worse(generous, latest(learned)) == {}


def test_days_that_differ_by_chance_make_nothing_worse(learned, latest):
    """A tenth more on average, from one bad day of seven, is luck; a tenth more every day is not."""
    judged = latest(learned)
    calm, name = [0.50] * 7, "inlet_temperature"
    before = {name: of_days(replace(judged[name], unit="1"), calm)}
    unlucky = {name: of_days(judged[name], [0.48, 0.49, 0.48, 0.49, 0.48, 0.49, 0.94])}
    steady = {name: of_days(judged[name], [0.62, 0.61, 0.63, 0.62, 0.61, 0.63, 0.62])}
    assert worse(before, unlucky) == {}
    assert name in worse(before, steady)


def test_differences_below_the_grid_of_decisions_are_alike(learned, latest):
    """A thousandth of a watt became two: nobody plans with it."""
    judged = latest(learned)["row_overhead"]
    before, after = ({"row_overhead": of_days(judged, [mae] * 4)} for mae in (0.001, 0.002))
    assert worse(before, after) == {}


def test_a_model_that_could_not_be_judged_is_no_measure(learned, latest):
    """No error at all is what is said of no reading at all."""
    judged = latest(learned)
    name = "inlet_temperature"
    silent = replace(judged[name], rows=0, mae=0.0, by_day=(), coverage=1.0, promises=0)
    assert worse({name: silent}, {name: judged[name]}) == {}
    assert worse({name: judged[name]}, {name: silent}) == {}


def test_a_later_week_of_the_same_world_is_no_drift(learned, latest):
    assert drifts(learned, latest(learned)) == ()


def test_a_drifted_world_raises_the_alarm(learned, latest):
    """Filters clog, and every inlet is 1.8 °C warmer than it was."""
    (alarm,) = (drift for drift in drifts(learned, latest(learned, 1.8)) if drift.name == "inlet_temperature")
    assert alarm.words.startswith("DRIFT: inlet_temperature 0.24 → 1.8 °C, covers 0.0% of server-day maxima")
    assert alarm.words.endswith("on days 0–3")
    assert alarm.mae_now == pytest.approx(1.8, abs=0.1)


def test_what_was_never_judged_raises_no_alarm(learned, latest):
    fresh = replace(learned.inlet_temperature, errors=replace(learned.inlet_temperature.errors, rows_test=0))
    models = replace(learned, inlet_temperature=fresh)
    assert "inlet_temperature" not in {drift.name for drift in drifts(models, latest(models, 5.0))}


def test_days_have_dates_where_the_clock_counts_from_1970():
    day = 86_400.0
    assert days_text(40 * day, 47 * day) == "days 40–47"
    assert days_text(3 * day, 3 * day) == "day 3"
    assert days_text(1_735_689_600.0, 1_735_776_000.0) == "2025-01-01–2025-01-02"
