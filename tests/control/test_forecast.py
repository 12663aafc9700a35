"""Predictions for a moment: telemetry where it is fresh, learned models with their margins where it is not."""

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.forecast import MEASURED_MARGIN_FRAC, MOST_GROWTH, choice_name
from tapas_opt.control.telemetry import STALE_S, Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Constraint
from tapas_opt.errors import InvalidInput

A100 = "dgx-a100"


@pytest.fixture
def fleet(demo_site, chat, saas, iaas):
    """``c0`` to ``c9`` on the first ten servers, ``i0`` to ``i9`` on the next ten, 60 empty ones."""
    fleet = Fleet(demo_site)
    on = zip([*saas(10), *iaas(10)], fleet.topology.servers, strict=False)
    fleet.apply([happened.EndpointPut(chat), happened.VmsAdopted(tuple(happened.VmOnServer(*pair) for pair in on))])
    return fleet


def measured(fleet, power_w=3_000.0, servers=80, at_s=0.0, **more):
    return Readings(at_s, server_power_w=dict.fromkeys(fleet.topology.servers[:servers], power_w), **more)


def test_the_week_begins_with_the_epoch_and_begins_again(fleet, forecast_of):
    """168 hours; the hour after the last is the first."""
    assert forecast_of(fleet, now_s=169 * 3600.0).hour == 1
    assert forecast_of(fleet, now_s=167 * 3600.0).next_hour().tolist() == [[167, 0]]


def test_a_day_of_slots_begins_now_and_looks_at_every_weekday(fleet, forecast_of):
    """At hour 30 the first slot is 6 o'clock: hours 30, 54, …, 166 and, a week on, 174 − 168 = 6."""
    hours, names = forecast_of(fleet, now_s=30 * 3600.0).hours_of_day()
    assert (names[0], names[-1], len(names)) == ("h06", "h05", 24)
    assert sorted(hours[0]) == [6, 30, 54, 78, 102, 126, 150]


def test_a_room_is_taken_at_the_power_limit_of_its_rows(fleet, forecast_of):
    """2 × 208 kW of 80 × 6.5 kW = 520 kW built in: 80 %."""
    assert forecast_of(fleet).room_load_frac.tolist() == [0.8]


def test_a_filled_instance_peaks_as_profiled_and_an_opaque_vm_below_the_nameplate(fleet, forecast_of, profiles, chat):
    """Routing may fill an instance at any time; no GPU draws more than its maximum."""
    forecast = forecast_of(fleet)
    profile = profiles.get(chat.configuration, A100)
    assert forecast.peak_gpu_power_w(fleet.vm("c0").vm, A100) == profile.hottest_gpu_power_w[-1]
    assert 0 < forecast.peak_gpu_power_w(fleet.vm("i0").vm, A100) <= 400.0


def test_what_an_instance_runs_is_read_from_its_choice(fleet, forecast_of, chat):
    """Until a plan speaks, what it started with, at full load; parked has no profile."""
    forecast = forecast_of(fleet)
    profile, level = forecast.running(fleet.vm("c0"), A100)
    assert (profile.configuration.name, level) == (chat.configuration, 1.0)
    half = choice_name("llama2-7b-fp16-tp2-b64-f1410", 0.5)
    assert half == "llama2-7b-fp16-tp2-b64-f1410@0.5"
    fleet.apply([happened.PlanApplied("p", "now", {"c0": half, "c1": "parked"})])
    profile, level = forecast.running(fleet.vm("c0"), A100)
    assert (profile.configuration.model, level) == ("llama2-7b", 0.5)
    assert forecast.running(fleet.vm("c1"), A100) == (None, 0.0)
    assert forecast.serving(fleet.vm("c1"), A100)[0].configuration.name == chat.configuration
    assert forecast.running(fleet.vm("i0"), A100) == (None, 1.0)


def test_an_endpoint_prefers_what_was_profiled(profiles, chat):
    """Or says which name is wrong."""
    assert profiles.of_endpoint(chat, A100).configuration.name == chat.configuration
    with pytest.raises(InvalidInput, match="no profile on dgx-h100"):
        profiles.of_endpoint(chat, "dgx-h100")


def test_an_empty_server_draws_idle_and_its_part_of_the_rows_overhead(fleet, forecast_of, models):
    """R2's 40 servers share what its meter shows above their sum; parked and left-out VMs count as idle."""
    forecast = forecast_of(fleet)
    idle_w = models.idle_server_power_w(A100, forecast.inlet_c[79])
    power, airflow = forecast.server_draw(forecast.next_hour())
    assert power[79, 0] == pytest.approx(idle_w + models.row_overhead_w("R2") / 40)
    assert airflow[79, 0] == pytest.approx(models.idle_airflow_cfm(A100, forecast.inlet_c[79]))
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


def test_what_is_measured_is_believed_while_it_is_fresh(fleet, forecast_of, models):
    """3,000 W and the row's overhead; one second too old, and the prediction is back."""
    share_w = models.row_overhead_w("R1") / 40
    fresh, _ = forecast_of(fleet, readings=measured(fleet), now_s=STALE_S).present_draw(frozenset())
    assert fresh[:40, 0] == pytest.approx(np.full(40, 3_000.0 + share_w))
    stale, _ = forecast_of(fleet, readings=measured(fleet), now_s=STALE_S + 1).present_draw(frozenset())
    none, _ = forecast_of(fleet, now_s=STALE_S + 1).present_draw(frozenset())
    assert (stale == none).all()


def test_a_server_without_a_reading_is_predicted_and_never_nought(fleet, forecast_of):
    """Missing is never zero: 79 servers say 3,000 W, the last one nothing."""
    forecast = forecast_of(fleet, readings=measured(fleet, servers=79))
    power, _ = forecast.present_draw(frozenset())
    predicted, _ = forecast.server_draw(np.array([[0]]))
    assert power[79, 0] == predicted[79, 0] > 0


def test_who_is_to_be_decided_upon_counts_as_idle_whatever_was_measured(fleet, forecast_of):
    """Its present draw would be counted twice."""
    movable = frozenset({"c0"})
    forecast = forecast_of(fleet, readings=measured(fleet, 5_000.0))
    assert forecast.present_draw(movable)[0][0, 0] == forecast_of(fleet).present_draw(movable)[0][0, 0] < 5_000.0


def test_the_coming_hour_may_bring_more_and_never_less_than_now(fleet, forecast_of):
    """The higher of what is drawn and what is predicted for this hour and the next."""
    for power_w in (500.0, 6_400.0):
        forecast = forecast_of(fleet, readings=measured(fleet, power_w))
        coming, now = (draw(frozenset()) for draw in (forecast.coming_draw, forecast.present_draw))
        predicted = forecast.server_draw(forecast.next_hour())
        assert (coming[0] == np.maximum(now[0], predicted[0])).all()
        assert (coming[1] >= now[1]).all()


@pytest.mark.parametrize(
    ("servers", "age_s", "trusted"), [(80, 0.0, True), (72, STALE_S, True), (71, 0.0, False), (80, STALE_S + 1, False)]
)
def test_margins_shrink_only_where_nine_tenths_are_measured_now(fleet, forecast_of, servers, age_s, trusted):
    """72 of 80 servers are enough, 71 are not, and old readings are none: then the learned margins hold."""
    forecast = forecast_of(fleet, readings=measured(fleet, servers=servers), now_s=age_s)
    racks = forecast.present_margins[Constraint.RACK_POWER_BUDGET]
    learned = forecast.margins[Constraint.RACK_POWER_BUDGET]
    assert learned.max() > MEASURED_MARGIN_FRAC
    assert (racks == (np.minimum(learned, MEASURED_MARGIN_FRAC) if trusted else learned)).all()


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
    assert 1_000.0 <= coming <= 1_000.0 * MOST_GROWTH


def test_a_chilled_water_failure_warms_inlets_and_lowers_ceilings(fleet, forecast_of):
    """Warmer supply air: less power before a GPU meets its limit."""
    healthy = forecast_of(fleet)
    warm = forecast_of(fleet, Failure(FailureKind.CHILLED_WATER, "room1"))
    assert (warm.inlet_c > healthy.inlet_c).all()
    assert (warm.ceiling_w <= healthy.ceiling_w).all()
    assert (warm.ceiling_w < healthy.ceiling_w).any()
