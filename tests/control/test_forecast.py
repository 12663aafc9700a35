"""Predictions for a moment: telemetry where it is fresh, learned models with their margins where it is not."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.forecast import MEASURED_MARGIN_FRAC, MOST_GROWTH
from tapas_opt.control.profiles import choice_name
from tapas_opt.control.telemetry import FRESH_S, STALE_S, Readings
from tapas_opt.control.tracked import Tracked, untracked
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


def test_the_coming_hour_brings_the_predicted_rise_on_top_of_what_is_drawn_now(fleet, forecast_of):
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
def test_margins_on_what_is_drawn_now_widen_with_the_age_of_telemetry(fleet, forecast_of, age_s, open_frac):
    """Small up to two minutes, as learned from a quarter of an hour on; (315 − 120) / 780 = ¼ of the variance."""
    forecast = seen_quiet(forecast_of(fleet, readings=measured(fleet), now_s=age_s))
    assert forecast.margins[Constraint.RACK_POWER_BUDGET].max() > MEASURED_MARGIN_FRAC
    assert forecast.present_margins[Constraint.RACK_POWER_BUDGET] == open_margins(forecast, open_frac)


def test_a_domain_with_a_server_that_was_not_read_keeps_that_servers_share_of_the_margin(fleet, forecast_of):
    """The last one is one of four idle servers of its rack: a quarter of the variance comes back there alone."""
    forecast = seen_quiet(forecast_of(fleet, readings=measured(fleet, servers=79)))
    rack = fleet.topology.server_rack[79]
    racks = forecast.present_margins[Constraint.RACK_POWER_BUDGET]
    open_frac = np.zeros(len(racks))
    open_frac[rack] = 0.25
    assert racks == pytest.approx(open_margins(forecast, open_frac).expected, rel=0.02)


def test_air_that_is_not_measured_keeps_its_learned_margin(fleet, forecast_of):
    """Meters of power say nothing of air; its sensors do."""
    air = Constraint.AISLE_AIRFLOW_CAPACITY
    watts_only = forecast_of(fleet, readings=measured(fleet))
    assert watts_only.present_margins[air] == pytest.approx(watts_only.margins[air])
    air_too = measured(fleet, airflow_cfm=dict.fromkeys(fleet.topology.servers, 700.0))
    both = seen_quiet(forecast_of(fleet, readings=air_too))
    assert (both.present_margins[air] == np.minimum(both.margins[air], MEASURED_MARGIN_FRAC)).all()
    assert (both.present_draw(frozenset())[1] == 700.0).all()


def test_what_rises_within_minutes_is_taken_from_history_until_the_service_has_seen_enough(fleet, forecast_of):
    """Domain by domain, and never more than the margin on a whole week's predictions."""
    row = Constraint.ROW_POWER_BUDGET
    new = forecast_of(fleet, readings=measured(fleet))
    learned = np.array([new.models.domain_rise_frac("row", name) for name in fleet.topology.rows])
    assert new.present_margins[row] == pytest.approx(np.minimum(new.margins[row], np.maximum(learned, 0.02)))
    half = np.where(np.arange(len(learned)) == 0, 0.025, np.nan)
    seen = replace(new, tracked=replace(new.tracked, rise_frac={row: half}))
    assert seen.present_margins[row][0] == pytest.approx(0.025)
    assert seen.present_margins[row][1] == new.present_margins[row][1]


def test_an_answer_says_how_wide_margins_became_because_telemetry_is_old(fleet, forecast_of):
    """Nothing while it is fresh, and nothing where there never was any."""
    assert forecast_of(fleet).aged() == ()
    assert forecast_of(fleet, readings=measured(fleet), now_s=FRESH_S).aged() == ()
    (said,) = forecast_of(fleet, readings=measured(fleet), now_s=600.0).aged()
    assert said.startswith(
        "AGED: power of 80 of 80 servers was read 600 s ago or less; margins on what is drawn now reach"
    )


def test_a_stuck_meter_is_not_believed(fleet, forecast_of):
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


def test_tracked_biases_move_inlets_ceilings_power_and_air(fleet, forecast_of):
    """A GPU that reads 3 °C more than predicted may draw less; its neighbour on the next server may not."""
    usual = forecast_of(fleet)
    tracked = untracked(fleet.topology)
    inlet, gpu, watts, cfm = (np.zeros_like(tracked.inlet_c) for _ in range(4))
    inlet[0], watts[2], cfm[3] = 2.0, 150.0, -40.0
    gpu = np.zeros_like(tracked.gpu_c)
    gpu[1, 5] = 30.0
    moved = Tracked(
        *(inlet, gpu, tracked.gpu_memory_c, watts, cfm),
        *(tracked.power_disbelieved, tracked.airflow_disbelieved, tracked.inlet_read),
    )
    forecast = replace(usual, tracked=moved)
    assert (forecast.inlet_c - usual.inlet_c)[:2] == pytest.approx([2.0, 0.0])
    assert forecast.ceiling_w[0] < usual.ceiling_w[0]
    assert forecast.ceiling_w[1] < usual.ceiling_w[1]
    assert (forecast.ceiling_w[2:] == usual.ceiling_w[2:]).all()
    hours = forecast.next_hour()
    (power, air), (usual_power, usual_air) = forecast.server_draw(hours), usual.server_draw(hours)
    assert (power - usual_power)[2] == pytest.approx(150.0)
    assert (air - usual_air)[3] == pytest.approx(-40.0)


@pytest.mark.parametrize(("shown_w", "counts_w"), [(-1e5, 0.0), (0.0, 0.0), (2_000.0, 2_000.0), (2e5, 10_400.0)])
def test_a_row_whose_meter_shows_more_draws_more_up_to_a_bound(fleet, forecast_of, models, shown_w, counts_w):
    """Beside 40 × 3,000 W and what was learned; a broken meter adds at most 5 % of 208 kW, and takes nothing away."""
    usual_w = 40 * 3_000.0 + models.row_overhead_w("R1")
    forecast = forecast_of(fleet, readings=measured(fleet, row_power_w={"R1": usual_w + shown_w}))
    power, _ = forecast.present_draw(frozenset())
    assert power[:40].sum() == pytest.approx(usual_w + counts_w)
    assert power[40:].sum() == pytest.approx(40 * 3_000.0 + models.row_overhead_w("R2"))


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


def test_a_chilled_water_failure_warms_inlets_and_lowers_ceilings(fleet, forecast_of):
    """Warmer supply air: less power before a GPU meets its limit."""
    healthy = forecast_of(fleet)
    warm = forecast_of(fleet, Failure(FailureKind.CHILLED_WATER, "room1"))
    assert (warm.inlet_c > healthy.inlet_c).all()
    assert (warm.ceiling_w <= healthy.ceiling_w).all()
    assert (warm.ceiling_w < healthy.ceiling_w).any()


def test_forecasts_of_one_moment_share_what_heat_they_can(controller):
    """A failed UPS warms no air: ceilings are those of a moment ago. Lost water, time and readings make new ones."""
    controller.observe(Readings(0.0, outdoor_c={"room1": 25.0}))
    outlook = controller.outlook
    usual = outlook.next_hour(0.0)
    ceilings = usual.ceiling_w
    assert outlook.next_hour(4.0, (Failure(FailureKind.UPS, "U1"),)).ceiling_w is ceilings
    dry = outlook.next_hour(4.0, (Failure(FailureKind.CHILLED_WATER, "room1"),))
    assert (dry.ceiling_w < ceilings).any()
    outlook.next_hour(0.0)
    assert outlook.next_hour(6.0).ceiling_w is not ceilings
    controller.observe(Readings(6.0, outdoor_c={"room1": 35.0}))
    assert (outlook.next_hour(6.0).ceiling_w < ceilings).any()


def test_a_hot_hour_whose_inlets_are_read_needs_no_wider_margin(fleet, forecast_of, models):
    """4 °C hotter than in any hour of history, of which 3 °C are measured: what is not read stays 4 °C wider."""
    hottest_c = models.inlet_temperature.feature("outdoor_c").highest
    readings = Readings(0.0, outdoor_c={"room1": hottest_c + 3.0})
    usual = forecast_of(fleet, outdoor_c=hottest_c)
    hot = forecast_of(fleet, readings=readings, outdoor_c=hottest_c + 4.0)
    read = np.arange(80) < 40
    seen = replace(hot, tracked=replace(hot.tracked, inlet_read=read))
    assert seen.inlet_c - usual.inlet_c == pytest.approx(np.where(read, 1.0, 4.0))
    assert (seen.ceiling_w[read] >= hot.ceiling_w[read]).all()
    assert (seen.ceiling_w[~read] == hot.ceiling_w[~read]).all()


def test_sums_are_predicted_without_a_single_server_s_margin(fleet, forecast_of, models):
    """The bound of one inlet is above what its server's draw is predicted at, by its margin and nothing else."""
    forecast = forecast_of(fleet)
    central_c = models.inlet_central_c(fleet.topology, 25.0, forecast.room_load_frac, [0.0])
    assert (forecast.inlet_c > forecast.draw_inlet_c).all()
    assert (forecast.draw_inlet_c >= central_c - 1e-9).all()
    assert forecast.mean_inlet_c(A100) == pytest.approx(forecast.draw_inlet_c.mean())
