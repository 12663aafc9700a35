"""What endpoints are asked for."""

import pytest

from tapas_opt.control.demand import MOST_GROWTH
from tapas_opt.control.telemetry import Readings

A100 = "dgx-a100"


def test_measured_demand_goes_before_the_template_and_nought_is_a_measurement(fleet, forecast_of):
    """Nobody asks: 0 tokens/s. Nobody measured: what the template says of ten instances' goodput."""
    asked = forecast_of(fleet, readings=Readings(0.0, endpoint_tokens_per_s={"conv": 1_234.0}))
    assert asked.demand_tokens_per_s("conv") == 1_234.0
    assert forecast_of(fleet, readings=Readings(0.0, endpoint_tokens_per_s={"conv": 0.0})).demand_tokens_per_s(
        "conv"
    ) == pytest.approx(0.0)


def test_demand_without_a_reading_is_the_templates_part_of_the_goodput(fleet, forecast_of, models, profiles, chat):
    """Ten instances at what their starting profile carries, times the central load of this hour or the next."""
    goodput = 10 * profiles.get(chat.configuration, A100).goodput_tokens_per_s
    load = models.load_central_frac("conv")[[0, 1]].max()
    assert forecast_of(fleet).demand_tokens_per_s("conv") == pytest.approx(load * goodput)


@pytest.mark.parametrize("hour", [0, 3, 6, 12, 18, 100, 167])
def test_demand_grows_within_the_hour_by_what_the_template_knows_and_at_most_doubles(fleet, forecast_of, hour):
    """A quiet night's template would say a hundredfold."""
    readings = Readings(hour * 3600.0, endpoint_tokens_per_s={"conv": 1_000.0})
    coming = forecast_of(fleet, readings=readings, now_s=hour * 3600.0).coming_demand_tokens_per_s("conv")
    assert 1_000.0 <= coming[0] <= coming[1] <= 1_000.0 * MOST_GROWTH
