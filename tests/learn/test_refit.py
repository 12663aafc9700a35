"""A fit beside the models in use: both on the same days, and what happens where they cannot be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.learn.refit import latest_days, refit
from tapas_opt.telemetry.panel import panel_of


@pytest.fixture
def panel(make_history, topology):
    return panel_of(make_history(topology, days=4, seed=3), topology)


def test_both_sets_are_judged_on_the_days_that_the_new_one_has_not_seen(panel, learned):
    """Of four days two fit, one calibrates, one judges."""
    done = refit(panel, learned)
    assert done.days.sum() == 288
    for name, new in done.judged.items():
        assert [day.from_s for day in done.in_use[name].by_day] == [day.from_s for day in new.by_day]
    assert [change.name for change in done.changes] == [artefact.name for artefact in done.models.artefacts()]


def test_without_models_in_use_there_is_nothing_to_compare(panel):
    done = refit(panel, None)
    assert (done.in_use, done.changes, done.drifts, done.worse, done.not_asked) == ({}, (), (), (), "")


def test_models_that_do_not_know_the_hardware_are_not_compared_and_it_is_said(panel, learned):
    """A room got machines of another kind: the old models cannot be asked about them, and must not stay for that."""
    inlet = learned.inlet_temperature
    entries = {name: replace(entry, hardware="dgx-h100") for name, entry in inlet.entries.items()}
    pooled = {"dgx-h100": replace(inlet.pooled["dgx-a100"], hardware="dgx-h100")}
    done = refit(panel, replace(learned, inlet_temperature=replace(inlet, entries=entries, pooled=pooled)))
    assert "model of hardware 'dgx-a100' does not exist" in done.not_asked
    assert done.worse == ()


def test_the_latest_days_are_seven_times_24_hours(make_history, topology):
    """Also of a history that ends in the middle of a day."""
    panel = panel_of(make_history(topology, days=9), topology)
    cut = {name: frame[frame["t_s"] < 8.5 * 86_400] for name, frame in make_history(topology, days=9).items()}
    for one in (panel, panel_of(cut, topology)):
        chosen = latest_days(one)
        assert chosen.sum() == 7 * 288
        assert np.flatnonzero(chosen)[-1] == len(one.t_s) - 1
