"""What servers draw: telemetry where it is fresh, learned models where it is not."""

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.telemetry import STALE_S

A100 = "dgx-a100"


def test_an_empty_server_draws_idle_and_its_part_of_the_rows_overhead(fleet, forecast_of, models):
    """R2's 40 servers share what its meter shows above their sum; parked and left-out VMs count as idle."""
    forecast = forecast_of(fleet)
    idle_w = models.idle_server_power_w(A100, forecast.draw_inlet_c[79])
    power, airflow = forecast.server_draw(forecast.next_hour())
    assert power[79, 0] == pytest.approx(idle_w + models.row_overhead_w("R2") / 40)
    assert airflow[79, 0] == pytest.approx(models.idle_airflow_cfm(A100, forecast.draw_inlet_c[79]))
    left_out, _ = forecast.server_draw(forecast.next_hour(), frozenset({"c0"}))
    assert left_out[0, 0] < power[0, 0]
    assert (left_out[1:] == power[1:]).all()


def test_a_tenant_named_like_an_endpoint_is_predicted_as_a_tenant(fleet, forecast_of, iaas):
    """An opaque VM of tenant ``conv`` is no instance of endpoint ``conv``, wherever it stands in the list."""
    on = (happened.VmOnServer(iaas(1, name="same", tenant="conv")[0], fleet.topology.servers[20]),)
    fleet.apply([happened.VmsAdopted(on)])
    forecast = forecast_of(fleet)
    hours = forecast.next_hour()
    power, _ = forecast.server_draw(hours)
    alone = Fleet(fleet.topology.site)
    alone.apply([happened.VmsAdopted(on)])
    assert power[20, 0] == pytest.approx(forecast_of(alone).server_draw(hours)[0][20, 0])
    assert power[20, 0] != pytest.approx(power[9, 0])


def test_what_is_measured_is_believed_while_it_is_fresh(fleet, forecast_of, models, measured):
    """3,000 W and the row's overhead; one second too old, and the prediction is back."""
    share_w = models.row_overhead_w("R1") / 40
    fresh, _ = forecast_of(fleet, readings=measured(fleet), now_s=STALE_S).present_draw(frozenset())
    assert fresh[:40, 0] == pytest.approx(np.full(40, 3_000.0 + share_w))
    stale, _ = forecast_of(fleet, readings=measured(fleet), now_s=STALE_S + 1).present_draw(frozenset())
    none, _ = forecast_of(fleet, now_s=STALE_S + 1).present_draw(frozenset())
    assert (stale == none).all()


def test_a_server_without_a_reading_is_predicted_and_never_nought(fleet, forecast_of, measured):
    """Missing is never zero: 79 servers say 3,000 W, the last one nothing."""
    forecast = forecast_of(fleet, readings=measured(fleet, servers=79))
    power, _ = forecast.present_draw(frozenset())
    predicted, _ = forecast.server_draw(np.array([[0]]))
    assert power[79, 0] == predicted[79, 0] > 0


@pytest.mark.parametrize("off_w", [0.0, 40.0])
def test_a_server_that_was_off_with_vms_on_it_counts_as_predicted(fleet, forecast_of, measured, off_w):
    """Power is back since it was read: its VMs draw again within seconds. One without VMs stays as it was read."""
    readings = measured(fleet, off_w, airflow_cfm=dict.fromkeys(fleet.topology.servers, 0.0))
    power, airflow = forecast_of(fleet, readings=readings).present_draw(frozenset())
    predicted_w, predicted_cfm = forecast_of(fleet).present_draw(frozenset())
    assert (power[:20] == predicted_w[:20]).all()
    assert (airflow[:20] == predicted_cfm[:20]).all()
    assert (power[20:] < predicted_w[20:] / 2).all()
    assert (airflow[20:] == 0.0).all()


def test_who_is_to_be_decided_upon_counts_as_idle_whatever_was_measured(fleet, forecast_of, measured):
    """Its present draw would be counted twice."""
    movable = frozenset({"c0"})
    forecast = forecast_of(fleet, readings=measured(fleet, 5_000.0))
    assert forecast.present_draw(movable)[0][0, 0] == forecast_of(fleet).present_draw(movable)[0][0, 0] < 5_000.0


def test_the_coming_hour_brings_the_predicted_rise_on_top_of_what_is_drawn_now(fleet, forecast_of, measured):
    """At 6:00, before people come to work, and at 20:00, when they go: who falls counts with what it draws now."""
    for at_s in (6 * 3600.0, 20 * 3600.0):
        forecast = forecast_of(fleet, readings=measured(fleet, 3_500.0, at_s=at_s), now_s=at_s)
        coming, now = (draw(frozenset()) for draw in (forecast.coming_draw, forecast.present_draw))
        then, this_hour = (forecast.server_draw(np.array([[hour]])) for hour in (forecast.hour + 1, forecast.hour))
        for what in range(2):
            assert coming[what] - now[what] == pytest.approx(np.maximum(0.0, then[what] - this_hour[what]), abs=1e-6)


def test_without_readings_the_coming_hour_is_what_is_predicted_of_it(fleet, forecast_of):
    forecast = forecast_of(fleet, now_s=6 * 3600.0)
    assert forecast.coming_draw(frozenset())[0] == pytest.approx(forecast.server_draw(forecast.next_hour())[0])


@pytest.mark.parametrize(("shown_w", "counts_w"), [(-1e5, 0.0), (0.0, 0.0), (2_000.0, 2_000.0), (2e5, 10_400.0)])
def test_a_row_whose_meter_shows_more_draws_more_up_to_a_bound(fleet, forecast_of, models, shown_w, counts_w, measured):
    """Beside 40 × 3,000 W and what was learned; a broken meter adds at most 5 % of 208 kW, and takes nothing away."""
    usual_w = 40 * 3_000.0 + models.row_overhead_w("R1")
    forecast = forecast_of(fleet, readings=measured(fleet, row_power_w={"R1": usual_w + shown_w}))
    power, _ = forecast.present_draw(frozenset())
    assert power[:40].sum() == pytest.approx(usual_w + counts_w)
    assert power[40:].sum() == pytest.approx(40 * 3_000.0 + models.row_overhead_w("R2"))
