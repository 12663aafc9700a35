"""Meters of rows, PDUs and UPSs that cannot be true if those of their servers are."""

import pytest

from tapas_opt.control.meters import contradictions
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind


@pytest.fixture
def said(controller, forecast_of, models):
    """80 servers draw 2,000 W each, R1 and R2 with what was learned to be unmetered; what is said of further meters."""

    def of(*failures, servers=80, **meters):
        watts = dict.fromkeys(controller.fleet.topology.servers[:servers], 2_000.0)
        readings = Readings(0.0, server_power_w=watts, **meters)
        return list(contradictions(forecast_of(controller.fleet, *failures, readings=readings)))

    return of


def test_meters_that_agree_and_meters_that_are_silent_say_nothing(said, models):
    row_w = 40 * 2_000.0 + models.row_overhead_w("R1")
    assert said() == []
    assert said(row_power_w={"R1": row_w}, ups_power_w={"U1": row_w / 2}) == []


def test_a_row_that_draws_less_than_its_servers_is_named(said, models):
    """80 kW and more against 60 kW: 5 % of 208 kW is 10.4 kW."""
    (text,) = said(row_power_w={"R1": 60_000.0, "R2": 40 * 2_000.0 + models.row_overhead_w("R2")})
    assert text.startswith("METER: row R1 shows 60,000 W, its servers and what is not metered 8")
    assert text.endswith("is a meter wrong, or a failure not reported?")


def test_a_ups_at_nought_is_a_failure_that_nobody_reported(said):
    """Once it is reported its share is expected to be gone."""
    (text,) = said(ups_power_w={"U1": 0.0})
    assert text.startswith("METER: UPS U1 shows 0 W")
    assert said(Failure(FailureKind.UPS, "U1"), ups_power_w={"U1": 0.0}) == []


def test_a_domain_with_a_server_that_was_not_read_is_not_judged(said):
    """What it draws is a prediction; that is no witness against a meter."""
    assert said(servers=79, row_power_w={"R2": 40_000.0}) == []
    assert len(said(servers=79, row_power_w={"R1": 40_000.0})) == 1
