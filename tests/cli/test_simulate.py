"""``simulate``: one object, one error, the same files."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from tapas_opt.cli.simulate_answer import Asked, simulated
from tapas_opt.domain.site_generator import generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.learn.models import LearnedModels

NAMES = {
    *("max_gpu_temperature_c", "max_gpu_rise_over_inlet_k", "p99_gpu_temperature_c"),
    *("peak_row_power_frac", "peak_aisle_airflow_frac"),
    *("thermal_throttle_events", "thermal_throttle_time_frac", "power_throttle_events", "power_cap_time_frac"),
    *("ups_trips", "breaker_trips", "worst_overload_frac_of_tolerance", "relief_s"),
    *("slo_attainment_frac", "p50_ttft_s", "p99_ttft_s", "p99_tbt_s"),
    *("quality_loss_frac", "iaas_performance_loss_frac", "saas_performance_loss_frac", "energy_kwh"),
    *("vms_placed", "vms_rejected", "configuration_changes", "decision_p99_s", "wall_s"),
}
"""What is promised of every policy."""

SMALL = ["simulate", "--servers", "16", "--days", "0.02"]


def test_it_prints_one_object_of_the_promised_shape(tmp_path, tapas):
    policies = ["--policy", "baseline", "--policy", "polca"]
    code, out, err = tapas(*SMALL, *policies, "--seed", "3", "--out", str(tmp_path), "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert {name: answer[name] for name in ("scenario", "seed", "servers", "days")} == {
        "scenario": "week",
        "seed": 3,
        "servers": 16,
        "days": 0.02,
    }
    assert list(answer["policies"]) == ["baseline", "polca"]
    assert set(answer["policies"]["polca"]) >= NAMES
    assert json.loads((tmp_path / "summary.json").read_text()) == answer
    assert "polca" in (tmp_path / "report.html").read_text("utf-8")
    assert set(pd.read_csv(tmp_path / "series.csv.gz")["policy"]) == {"baseline", "polca"}


def test_a_person_gets_a_table(tapas):
    code, out, err = tapas(*SMALL, "--policy", "baseline")
    assert code == 0, err
    assert "all of it modelled" in out
    assert "peak_row_power_frac" in out
    assert "requests_routed" not in out, "0 beside promises kept would say that nobody was answered"


def test_all_that_is_wrong_is_one_error_before_anything_runs(tmp_path, tapas):
    trace = tmp_path / "trace"
    trace.mkdir()
    (trace / "conv.csv").write_text("t_s,context_tokens,generated_tokens\n5,10,10\n1,10,10\n")
    (tmp_path / "site.yaml").write_text("format: nonsense\n")
    code, out, err = tapas(
        *["simulate", "--scenario", "weak", "--days", "-1", "--policy", "basline", "--saas-share", "7"],
        *["--trace", str(trace), "--site", str(tmp_path / "site.yaml"), "--models", str(tmp_path), "--json"],
    )
    assert code == 2
    assert not out
    for field in ("--scenario", "--days", "--policy", "--saas-share", "--trace", "--site", "--models"):
        assert field in err, field


def test_weather_is_of_a_place_and_long_enough(tmp_path, tapas):
    """Two days of hours: enough for half an hour, and not for a week."""
    hours = "".join(f"Hill,{hour},{20 + hour % 24}\n" for hour in range(49))
    path = tmp_path / "weather.csv"
    path.write_text(f"place,hour,outdoor_c\n{hours}")
    given = ["--weather", str(path), "--policy", "baseline", "--json"]
    code, _, err = tapas(*SMALL, *given, "--place", "Hill")
    assert code == 0, err
    code, out, err = tapas("simulate", "--servers", "16", "--days", "7", *given, "--policy", "nobody")
    assert (code, out) == (2, "")
    assert "--weather" in err
    assert "has 2 whole days, 7 are asked for" in err
    assert "--policy" in err
    code, _, err = tapas(*SMALL, *given, "--place", "Vale")
    assert (code, "weather.csv, place" in err) == (2, True)


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("--fail", "ups:U9@1m+1m", "U9"),
        ("--fail", "ups:U2@1m+0s", "must last longer than 0 s"),
        ("--fail", "ups:U2@-1m+1m", "must be KIND:ELEMENT@WHEN+FOR"),
        ("--fail", "ups:U2@1h+1m", "begins after the 0.02 days"),
        ("--servers", "3", "must be between 16"),
        ("--oversubscribe", "-1", "must be between 0 and 10"),
        ("--days", "-7", "must be above 0"),
        ("--days", "nan", "must be above 0"),
        ("--saas-share", "1.5", "must be between 0 and 1"),
        ("--occupancy", "0", "must be above 0"),
        ("--occupancy", "1.1", "no more than 1"),
        ("--scenario", "wek", "there are week"),
        ("--policy", "tapaas", "tapaas"),
        ("--place", "Hill", "needs --weather"),
        ("--weather-day", "3", "with --weather"),
        ("--weather", "nowhere.csv", "cannot be read"),
        ("--trace", "nowhere", "nowhere"),
        ("--profiles", "nowhere.csv", "cannot be read"),
        ("--models", "nowhere", "nowhere"),
        ("--site", "nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_what_is_wrong_is_named_with_its_option_before_anything_runs(option, value, what, tapas):
    code, out, err = tapas(*SMALL, option, value, "--json")
    assert (code, out) == (2, "")
    assert option in err
    assert what in " ".join(err.split())


@pytest.mark.parametrize(
    ("rows", "what"),
    [("0,0,0\n59,0,0\n", "conv: asks for no tokens"), ("0,9,9\n1e300,9,9\n", "conv: ends after 1e+300 s")],
)
def test_a_trace_that_shapes_nothing_is_refused(rows, what, tmp_path, tapas):
    (tmp_path / "conv.csv").write_text(f"t_s,context_tokens,generated_tokens\n{rows}")
    code, out, err = tapas(*SMALL, "--trace", tmp_path, "--policy", "baseline")
    assert (code, out) == (2, "")
    assert what in err


def test_a_trace_of_an_hour_and_a_half_counts_each_minute_alike(tmp_path, tapas):
    """Ten tokens each ten seconds: as flat as an hour of it, and so is a last minute that is cut off."""
    told = []
    for minutes in (60, 90.5):
        folder = tmp_path / f"{minutes}"
        folder.mkdir()
        rows = "".join(f"{t_s},6,4\n" for t_s in range(0, int(60 * minutes) + 1, 10))
        (folder / "conv.csv").write_text(f"t_s,context_tokens,generated_tokens\n{rows}")
        code, out, err = tapas(*SMALL, "--trace", folder, "--policy", "baseline", "--json")
        assert code == 0, err
        told.append(json.loads(out)["policies"]["baseline"]["energy_kwh"])
    assert told[0] == told[1]


def test_a_site_that_is_too_small_is_named(tmp_path, tapas):
    code, _, err = tapas("site", "generate", "--servers", "8", "--out", str(tmp_path / "site.yaml"))
    assert code == 0, err
    code, out, err = tapas("simulate", "--site", str(tmp_path / "site.yaml"))
    assert (code, out) == (2, "")
    assert "--site: has fewer than 16 servers" in " ".join(err.split())
    assert "--servers" not in err


def test_a_site_says_itself_how_many_servers_it_has(repository, tapas):
    code, out, err = tapas(*SMALL, "--site", str(repository / "data" / "demo" / "site.yaml"))
    assert (code, out) == (2, "")
    assert "--servers: 16: cannot be combined with --site" in " ".join(err.split())


def test_the_papers_figures_are_printed_beside_ours_and_what_nobody_knows_is_unknown(tapas, tmp_path):
    """Of all policies the cheapest, on a tiny site, for twenty minutes; with 40 % more servers, and with 20 %."""
    given = ["reproduce", "--servers", "16", "--days", "0.014", "--policy", "polca", "--seed", "2"]
    code, out, err = tapas(*given, "--oversubscribe", "0.2", "--out", str(tmp_path), "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["seeds"] == [2]
    by_name = {row["figure"]: row for row in answer["figures"]}
    assert by_name["hottest GPU in °C, against baseline"]["paper"] == "−17 %"
    assert by_name["hottest GPU in °C, against baseline"]["policies"]["baseline"] == [0.0]
    assert by_name["99th percentile of latency"]["policies"]["baseline"] == [0.0]
    runs = [(row["oversubscribe"], row["policy"], row["seed"]) for row in answer["throttling"]]
    assert runs == [(frac, name, 2) for frac in (0.4, 0.2) for name in ("baseline", "polca")]
    assert answer["saas_share"] == 0.5
    assert all(0.0 <= row["vms_rejected_frac"] <= 1.0 for row in answer["throttling"])
    assert json.loads((tmp_path / "reproduction.json").read_text("utf-8")) == answer
    assert "Throttling against oversubscription" in (tmp_path / "reproduction.html").read_text("utf-8")


def test_a_site_is_learned_before_policies_that_go_by_models_and_its_models_are_kept(repository, tmp_path):
    """The fewest days that a fit takes."""
    asked = Asked(
        scenario="week", servers=16, days=0.01, policies=("place",), seed=1, oversubscription=None, saas_share=0.5,
        occupancy=0.9, failures=(), site=None, trace=None, weather=None, place=None, weather_day=None, models=None,
        profiles=repository / "data" / "demo" / "profiles.csv", measured=False, out=tmp_path, learn_days=4.2,
    )  # fmt: skip
    answer = simulated(asked, as_json=True)
    own = LearnedModels.load(tmp_path / "models")
    assert own.check_covers(topology_of(generate_site(16))) == ()
    again = simulated(replace(asked, models=tmp_path / "models", out=None), as_json=True)
    clocks = {"wall_s", "decision_p99_s"}
    told, same = ({k: v for k, v in one["policies"]["place"].items() if k not in clocks} for one in (answer, again))
    assert told == same


def test_what_cannot_be_reproduced_is_said_before_anything_runs(tapas):
    wrong = ["--policy", "nobody", "--days", "0", "--oversubscribe", "-1", "--models", "nowhere"]
    wrong += ["--seed", "3", "--seed", "3"]
    code, out, err = tapas("reproduce", *wrong, "--json")
    assert (code, out) == (2, "")
    for option in ("--policy", "--days", "--oversubscribe"):
        assert err.count(option) == 1, option
    assert err.count("--models nowhere") == 1
    assert "--seed: 3 is given twice" in err
