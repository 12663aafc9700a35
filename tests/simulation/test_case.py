"""A case: judged whole before anything runs, and the same for the same seed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.site_generator import generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.plant.weather_file import HourlyWeather
from tapas_opt.simulation.case import Case, Learned, judge, world_of
from tapas_opt.telemetry.profiles.read import read_profiles

HOUR = 1 / 24


@pytest.fixture(scope="module")
def learned(profiles, repository: Path):
    return Learned(profiles, LearnedModels.load(repository / "models" / "demo"))


def test_all_that_is_wrong_with_a_case_is_said_at_once():
    shape = {"chat": np.ones(60)}
    wrong = Case("weak", servers=4, days=-1.0, saas_share=2.0, oversubscription=-0.5, demand_shape=shape)
    faults = judge(wrong, ["basline", "tapas", "tapas"])
    named = [fault.where for fault in faults]
    first = ["--scenario", "--days", "--saas-share", "--oversubscribe", "--servers", "--trace"]
    assert named == [*first, "--policy", "--policy"]


def test_failures_are_judged_beside_what_is_wrong_elsewhere():
    faults = judge(Case(servers=16, saas_share=2.0, failures=("ups:U9@1h+1m", "nonsense")), ())
    assert [fault.where for fault in faults] == ["--saas-share", "--fail", "--fail"]


def test_a_scenario_that_adds_servers_is_named_where_a_site_cannot_have_any():
    (fault,) = judge(Case("oversubscribe", site=generate_site(16)), ())
    assert (fault.where, "oversubscribe adds servers unless it is 0" in fault.what) == ("--oversubscribe", True)
    assert judge(Case("oversubscribe", site=generate_site(16), oversubscription=0.0), ()) == []


@pytest.fixture
def weather():
    """Ten days, each as warm as its number, and a value at the end of the last."""
    return HourlyWeather(np.append(np.repeat(np.arange(10.0), 24), 9.0), name="ten days")


def test_real_weather_begins_with_its_hottest_days_or_with_the_day_that_is_named(learned, weather):
    """Nothing is added to it, not even in a heat wave."""
    for day, first_c in ((None, 8.0), (3, 3.0)):
        story = world_of(Case("heat_wave", servers=16, days=2.0, weather=weather, weather_day=day), learned).story
        assert story.outdoor(story.start_s) == first_c
        assert story.outdoor(story.end_s) == pytest.approx(min(first_c + 2.0, 9.0))


@pytest.mark.parametrize(
    ("case", "where", "what"),
    [
        ({"days": 11.0}, "--weather", "has 10 whole days, 11 are asked for"),
        ({"days": 3.0, "weather_day": 8}, "--weather", "knows days 0.00 to 10.00, the run is from day 8.00 to 11.00"),
        ({"days": 3.0, "weather_day": -1}, "--weather-day", "-1: must be 0 or more"),
        ({"days": -3.0}, "--days", "-3: must be above 0"),
    ],
)
def test_weather_that_is_shorter_than_the_run_is_refused(case, where, what, weather):
    faults = judge(Case(servers=16, weather=weather, **case), ())
    assert [fault.where for fault in faults] == [where]
    assert what in faults[0].what


def test_measured_profiles_are_what_instances_do(learned):
    """Of the demo's profiles only one, which carries a third more here than the plant has it."""
    (profile,) = [one for one in learned.profiles.all if one.configuration.name == "llama2-70b-fp16-tp4-b64-f1410"][:1]
    better = replace(profile, goodput_tokens_per_s=profile.goodput_tokens_per_s * 4 / 3)
    world = world_of(Case(servers=16, days=HOUR), replace(learned, profiles=Profiles([better]), measured=True))
    assert {endpoint.configuration for endpoint in world.story.endpoints} == {"llama2-70b-fp16-tp4-b64-f1410"}
    assert {vm.configuration for vm in world.story.running if vm.endpoint} == {"llama2-70b-fp16-tp4-b64-f1410"}
    room = world.room()
    vm = next(vm for vm in world.story.running if vm.endpoint)
    room.host(vm, room.topology.servers[0], better)
    assert room.crew.most_tokens_per_s == pytest.approx([better.goodput_tokens_per_s])
    assert world.run("baseline").metrics["slo_attainment_frac"] > 0.95


def test_public_measurements_can_be_simulated(learned, repository):
    """Splitwise's 70B on A100: the endpoints start with the best answers and the most of them that it has."""
    path = Path(os.environ.get("TAPAS_DATA_DIR", repository.parent / "shared" / "datasets")) / "splitwise-perf-model"
    if not path.is_dir():
        pytest.skip(f"{path.name} is not in {path.parent}; set TAPAS_DATA_DIR")
    world = world_of(Case(servers=16, days=HOUR), Learned(Profiles(read_profiles(path)), learned.models, measured=True))
    assert {endpoint.configuration for endpoint in world.story.endpoints} == {"llama2-70b-fp16-tp4-b64-f1410"}
    assert world.run("baseline").metrics["slo_attainment_frac"] > 0.99


def test_profiles_of_other_hardware_are_refused(learned):
    foreign = [replace(profile, hardware="dgx-b200") for profile in learned.profiles.all]
    with pytest.raises(InvalidInput, match="has no profile on dgx-a100"):
        world_of(Case(servers=16), replace(learned, profiles=Profiles(foreign), measured=True))


def test_failures_are_judged_with_the_rest():
    faults = judge(Case(servers=16, failures=("ups:U9@1h+5m",)), ["nobody"])
    assert [fault.where for fault in faults] == ["--fail", "--policy"]


def test_a_site_that_is_too_small_or_oversubscribed_besides_is_refused(two_rows):
    faults = judge(Case(site=two_rows, oversubscription=0.4), ())
    assert [fault.where for fault in faults] == ["--oversubscribe", "--site"]
    with pytest.raises(InvalidInput):
        world_of(Case(site=two_rows), None)


def test_oversubscription_adds_servers_under_the_same_budgets(learned):
    """40 % more than 40 are 56, and UPSs and air handlers stay as they were."""
    cases = [Case("oversubscribe", servers=40, days=HOUR, oversubscription=added) for added in (0.0, None)]
    plain, more = (world_of(case, learned) for case in cases)
    one, two = topology_of(plain.site), topology_of(more.site)
    assert (len(one.servers), len(two.servers)) == (40, 56)
    assert two.ups_rating_w.sum() == pytest.approx(one.ups_rating_w.sum(), rel=0.03)
    assert two.ahu_airflow_cfm.sum() == pytest.approx(one.ahu_airflow_cfm.sum(), rel=0.03)


def test_as_many_vms_live_there_as_are_asked_for(learned):
    for occupancy, vms in ((0.25, 4), (1.0, 16)):
        assert len(world_of(Case(servers=16, days=HOUR, occupancy=occupancy), learned).story.running) == vms


@pytest.mark.parametrize("policy", ["baseline", "tapas", "tapas-opt"])
def test_the_same_seed_gives_the_same_numbers_twice(policy, learned):
    """With a failure in it: everything but what a clock shows."""
    case = Case("week", servers=24, days=HOUR / 4, failures=("ups:U2@5m+30s",))
    one, two = (without_clock(world_of(case, learned).run(policy).metrics) for _ in range(2))
    assert one == pytest.approx(two, rel=0.0, abs=0.0, nan_ok=True)
    assert one["vms_placed"] + one["vms_rejected"] == 22


def without_clock(metrics):
    return {name: value for name, value in metrics.items() if name not in ("wall_s", "decision_p99_s")}


def test_a_given_site_is_used_and_a_shape_makes_demand_swing_within_the_hour(learned):
    site = generate_site(16, name="mine")
    shape = np.where(np.arange(60) < 30, 0.5, 1.5)
    world = world_of(Case(site=site, days=HOUR, demand_shape={"conv": shape}), learned)
    assert world.site is site
    story = world.story
    plain = replace(story, demand_shape={})
    planned = dict.fromkeys(story.goodput_of, 1_000.0)
    for minute, factor in ((10, 0.5), (40, 1.5)):
        now_s = story.start_s + 60.0 * minute
        shaped, flat = (one.demand_tokens_per_s(now_s, planned) for one in (story, plain))
        assert shaped == pytest.approx({"conv": factor * flat["conv"], "code": flat["code"]})


@pytest.mark.parametrize("scenario", ["maintenance", "bad_sensors"])
def test_outages_by_plan_and_sensors_that_lie_are_borne(scenario, learned):
    """Two minutes of each: what is announced is planned for, and what no sensor can say is not heard."""
    record = world_of(Case(scenario, servers=24, days=HOUR / 30), learned).run("tapas-opt")
    assert record.metrics["ups_trips"] == record.metrics["breaker_trips"] == 0
    assert np.isfinite(record.hottest_gpu_c).all()


def test_tokens_and_hours_of_a_run_are_those_of_the_story(learned):
    """What is served of what is asked for agrees with the record's own loss, over time."""
    world = world_of(Case("week", site=generate_site(16), days=0.05), learned)
    record = world.run("baseline")
    told = record.traffic
    assert told.saas_vm_h + told.iaas_vm_h == pytest.approx(14 * 1.2)
    instances = sum(1 for vm in world.story.running if vm.endpoint)
    assert told.saas_vm_h == pytest.approx(instances * 1.2)
    frac = record.served_frac
    assert np.nanmin(frac) - 1e-9 <= told.served_tokens / told.asked_tokens <= np.nanmax(frac) + 1e-9
    first = world.story.demand_tokens_per_s(world.story.start_s, world.story.planned_tokens_per_s(world.story.running))
    assert told.asked_tokens == pytest.approx(sum(first.values()) * 0.05 * 86_400, rel=0.5)
