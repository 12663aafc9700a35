"""Load templates lean on all others where they have seen little."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.learn.fit import fit
from tapas_opt.learn.fitting.load import _fitted_weeks, _Readings
from tapas_opt.learn.load import hour_of_week
from tapas_opt.telemetry.panel import panel_of


def with_short_template(history, hours):
    """S5's VM becomes one of a template of its own, idle, and known for its first hours only."""
    vms = history["vms"]
    mine = vms["server"] == "S5"
    history["vms"] = vms[~mine | (vms["t_s"] < hours * 3600)].copy()
    mine = history["vms"]["server"] == "S5"
    history["vms"].loc[mine, ["template", "load_frac"]] = ["short", 0.0]
    return history


def test_a_template_seen_for_a_day_stands_between_its_own_and_the_parents_load(make_history, topology):
    """Its own load is 0. Hours of the week it has not seen lean on its own hours of the day, and on the parent."""
    learned = fit(panel_of(with_short_template(make_history(topology), 24), topology))
    own, parent = learned.load_central_frac("short")[:96], learned.load_central_frac("nobody")[:96]
    assert (own > 0.1 * parent).all()
    assert (own < parent).all()
    assert (own / parent)[:24].mean() < (own / parent)[24:].mean()


def test_more_history_means_less_of_the_parent():
    """Own load 0, parent's 1, k = 2: after n weeks (2 / (n + 2))², once for the hour of the day, once of the week."""

    def central(weeks):
        own, other = np.zeros(12 * weeks), np.ones(12 * 1000)
        template = np.repeat([0, 1], [own.size, other.size])
        readings = _Readings(template, np.zeros_like(template), np.concatenate([own, other]))
        return _fitted_weeks(readings, 2).central[0, 0]

    assert central(1) == pytest.approx(4 / 9, abs=0.01)
    assert central(3) == pytest.approx(4 / 25, abs=0.01)


def test_a_week_has_168_hours_and_begins_at_second_zero():
    assert hour_of_week([0.0, 3599.0, 3600.0, 7 * 86_400.0 - 1, 7 * 86_400.0]).tolist() == [0, 0, 1, 167, 0]
