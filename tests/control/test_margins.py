"""Margins on what domains draw: small where all is measured, as learned where it is not."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control.margins import MEASURED_MARGIN_FRAC
from tapas_opt.control.telemetry import FRESH_S, STALE_S
from tapas_opt.domain.result import Constraint


def seen_quiet(forecast):
    """A service that has seen its domains rise by hardly anything within minutes."""
    rises = {constraint: np.full(len(margin), 0.001) for constraint, margin in forecast.margins.items()}
    return replace(forecast, tracked=replace(forecast.tracked, rise_frac=rises))


def open_margins(forecast, open_frac):
    """What the margins of racks should be when so much of their predictions' variance is left open."""
    learned = forecast.margins[Constraint.RACK_POWER_BUDGET]
    known = np.minimum(learned, MEASURED_MARGIN_FRAC)
    return pytest.approx(known + (learned - known) * np.sqrt(open_frac), rel=1e-3)


@pytest.mark.parametrize(
    ("age_s", "open_frac"), [(0.0, 0.0), (FRESH_S, 0.0), (315.0, 0.25), (STALE_S, 1.0), (1e9, 1.0)]
)
def test_margins_on_what_is_drawn_now_widen_with_the_age_of_telemetry(fleet, forecast_of, age_s, open_frac, measured):
    """Small up to two minutes, as learned from a quarter of an hour on; (315 − 120) / 780 = ¼ of the variance."""
    forecast = seen_quiet(forecast_of(fleet, readings=measured(fleet), now_s=age_s))
    assert forecast.margins[Constraint.RACK_POWER_BUDGET].max() > MEASURED_MARGIN_FRAC
    assert forecast.present_margins[Constraint.RACK_POWER_BUDGET] == open_margins(forecast, open_frac)


def test_a_domain_with_a_server_that_was_not_read_keeps_that_servers_share_of_the_margin(fleet, forecast_of, measured):
    """The last one is one of four idle servers of its rack: a quarter of the variance comes back there alone."""
    forecast = seen_quiet(forecast_of(fleet, readings=measured(fleet, servers=79)))
    rack = fleet.topology.server_rack[79]
    racks = forecast.present_margins[Constraint.RACK_POWER_BUDGET]
    open_frac = np.zeros(len(racks))
    open_frac[rack] = 0.25
    assert racks == pytest.approx(open_margins(forecast, open_frac).expected, rel=0.02)


def test_air_that_is_not_measured_keeps_its_learned_margin(fleet, forecast_of, measured):
    """Meters of power say nothing of air; its sensors do."""
    air = Constraint.AISLE_AIRFLOW_CAPACITY
    watts_only = forecast_of(fleet, readings=measured(fleet))
    assert watts_only.present_margins[air] == pytest.approx(watts_only.margins[air])
    air_too = measured(fleet, airflow_cfm=dict.fromkeys(fleet.topology.servers, 700.0))
    both = seen_quiet(forecast_of(fleet, readings=air_too))
    assert (both.present_margins[air] == np.minimum(both.margins[air], MEASURED_MARGIN_FRAC)).all()
    assert (both.present_draw(frozenset())[1] == 700.0).all()


def test_what_rises_within_minutes_is_taken_from_history_until_the_service_has_seen_enough(
    fleet, forecast_of, measured
):
    """Domain by domain, and never more than the margin on a whole week's predictions."""
    row = Constraint.ROW_POWER_BUDGET
    new = forecast_of(fleet, readings=measured(fleet))
    learned = np.array([new.models.domain_rise_frac("row", name) for name in fleet.topology.rows])
    assert new.present_margins[row] == pytest.approx(np.minimum(new.margins[row], np.maximum(learned, 0.02)))
    half = np.where(np.arange(len(learned)) == 0, 0.025, np.nan)
    seen = replace(new, tracked=replace(new.tracked, rise_frac={row: half}))
    assert seen.present_margins[row][0] == pytest.approx(0.025)
    assert seen.present_margins[row][1] == new.present_margins[row][1]


def test_an_answer_says_how_wide_margins_became_because_telemetry_is_old(fleet, forecast_of, measured):
    """Nothing while it is fresh, and nothing where there never was any."""
    assert forecast_of(fleet).aged() == ()
    assert forecast_of(fleet, readings=measured(fleet), now_s=FRESH_S).aged() == ()
    (said,) = forecast_of(fleet, readings=measured(fleet), now_s=600.0).aged()
    assert said.startswith(
        "AGED: power of 80 of 80 servers was read 600 s ago or less; margins on what is drawn now reach"
    )


def test_a_stuck_meter_is_not_believed(fleet, forecast_of, measured):
    """The prediction takes its place, with its share of the margin."""
    stuck = np.zeros(80, dtype=bool)
    stuck[79] = True
    usual = seen_quiet(forecast_of(fleet, readings=measured(fleet, 5_000.0)))
    forecast = replace(usual, tracked=replace(usual.tracked, power_disbelieved=stuck))
    power, _ = forecast.present_draw(frozenset())
    predicted, _ = forecast.server_draw(np.array([[0]]))
    assert power[79, 0] == predicted[79, 0] < 5_000.0 < power[78, 0]
    rack = fleet.topology.server_rack[79]
    racks = [f.present_margins[Constraint.RACK_POWER_BUDGET][rack] for f in (usual, forecast)]
    assert racks[0] < racks[1]
