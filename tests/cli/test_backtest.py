"""``backtest``: one object, one error, the same files."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tapas_opt.cli.backtest_view import show
from tapas_opt.domain.site_file import write_site
from tapas_opt.plant.history import VM_LIST, generate_history


@pytest.fixture(scope="module")
def given(two_rows, repository, tmp_path_factory):
    """Options for some hours of ``two_rows`` under the demo's models."""
    folder = tmp_path_factory.mktemp("backtest")
    write_site(two_rows, folder / "site.yaml")
    generate_history(two_rows, out=folder / "history", days=0.15, seed=3)
    return {
        "--site": folder / "site.yaml",
        "--history": folder / "history",
        "--vms": folder / "history" / VM_LIST,
        "--models": repository / "models" / "demo",
    }


def command(given, **changed):
    options = given | {f"--{name}": value for name, value in changed.items()}
    return ["backtest", *(part for pair in options.items() for part in pair if pair[1] is not None)]


def test_it_prints_one_object_of_the_shape_of_simulate_and_what_happened(given, tmp_path, tapas):
    code, out, err = tapas(*command(given, days=0.1, policy="baseline", out=tmp_path), "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert (answer["scenario"], answer["seed"], answer["servers"]) == ("backtest", None, 6)
    assert answer["days"] == pytest.approx(0.1, abs=0.004)
    happened, run = answer["as_it_happened"], answer["policies"]["baseline"]
    assert list(happened) == ["measured", "predicted"]
    assert happened["measured"]["peak_row_power_frac"] == pytest.approx(happened["predicted"]["peak_row_power_frac"])
    assert set(happened["measured"]) == set(happened["predicted"]) == set(run) - {"wall_s"}
    assert run["ups_trips"] is None
    assert answer["calibration"]["gpu_temperature"]["mae"] < 10.0
    assert json.loads((tmp_path / "summary.json").read_text()) == answer
    assert set(pd.read_csv(tmp_path / "series.csv.gz")["policy"]) == {"measured", "predicted", "baseline"}
    assert answer["turned_away"] == {"baseline": []}
    assert "happened, predicted</th>" in (tmp_path / "report.html").read_text()


def test_a_person_gets_a_table_with_what_happened_first(given, tapas):
    code, out, err = tapas(*command(given, days=0.05, policy="baseline"), "--anew")
    assert code == 0, err
    assert "power is measured, heat and air are predicted" in out
    assert out.index("happened, measured") < out.index("baseline")
    assert "gpu_temperature: predictions of what happened are off by" in out


def test_a_person_reads_who_was_turned_away_and_no_noise_of_sums(capsys):
    away = [{"vm": f"vm-{i}", "t_s": 0.0} for i in range(7)]
    answer = {
        "servers": 6,
        "days": 1.0,
        "as_it_happened": {},
        "policies": {"tapas": {"saas_performance_loss_frac": 5e-17, "vms_rejected": 7}},
        "turned_away": {"tapas": away, "baseline": []},
        "calibration": None,
        "history": {"filled_frac": 0.0},
        "vms": {"replayed": 9, "at_the_start": 2, "of_this_site": True},
        "models": {"saw_these_days": False},
    }
    show(answer)
    out = capsys.readouterr().out
    assert "6 servers, 1 day, 9 VMs" in out
    assert "tapas turned away vm-0, vm-1, vm-2, vm-3, vm-4 and 2 more" in out
    assert "e-17" not in out
    assert "baseline" not in out


def test_pods_of_elsewhere_are_taken_for_a_list_and_said_to_be(given, tmp_path, tapas):
    header = "name,num_gpu,qos,creation_time,deletion_time,scheduled_time\n"
    (tmp_path / "pods.csv").write_text(header + "a,1,LS,0,9000,0\nb,1,BE,600,2000,700\n")
    code, out, err = tapas(*command(given, vms=tmp_path / "pods.csv", days=0.1, policy="baseline"), "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert (answer["as_it_happened"], answer["calibration"]) == ({}, None)
    assert answer["vms"] == {"replayed": 2, "at_the_start": 0, "saas": 0, "too_short": 0, "of_this_site": False} | {
        "anew": False
    }


@pytest.mark.parametrize(
    ("changed", "faults"),
    [
        ({"days": -1, "policy": "basline"}, ("--days", "--policy")),
        ({"models": None}, ("--days: no day is left to learn from",)),
        ({"vms": "nowhere.csv"}, ("nowhere.csv", "cannot be read")),
        ({"history": "nowhere"}, ("nowhere", "servers.parquet: is missing")),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(given, changed, faults, tapas):
    code, out, err = tapas(*command(given, **changed), "--json")
    assert (code, out) == (2, "")
    for text in faults:
        assert text in err


def test_faults_of_options_and_of_every_file_are_in_one_message(given, tmp_path, tapas):
    """Where the site cannot be read the list is still judged by itself, and its servers are believed."""
    (tmp_path / "vms.csv").write_text("vm,kind,server,created_s,deleted_s,tenant\na,iaas,S9,900,0,t\n")
    (tmp_path / "profiles.csv").write_text("configuration\n")
    wrong = {name: tmp_path / name for name in ("site", "models")}
    files = {"vms": tmp_path / "vms.csv", "profiles": tmp_path / "profiles.csv"}
    (tmp_path / "taken").write_text("a file")
    out_below = tmp_path / "taken" / "below"
    code, out, err = tapas(*command(given, days=0, policy="basline", out=out_below, **wrong, **files), "--json")
    assert (code, out) == (2, "")
    for option in ("--days", "--out", "--policy", "--site", "--vms", "--models", "--profiles"):
        assert f"\n  {option}" in err
    assert "line 2, deleted_s" in err
    assert "S9" not in err


def test_too_few_days_to_learn_from_are_told_beside_a_list_without_any_vm_then(given, tmp_path, tapas):
    """Of three and a half hours the last is replayed: before it is too little to learn from, the only VM had gone."""
    (tmp_path / "vms.csv").write_text("vm,kind,server,created_s,deleted_s,tenant\na,iaas,S1,0,600,t\n")
    code, _, err = tapas(*command(given, models=None, days=0.05, vms=tmp_path / "vms.csv"))
    assert code == 2
    assert "--history" in err
    assert "no VM lives in the days that are replayed" in err


def test_every_fault_of_the_list_is_in_one_message(given, tmp_path, tapas):
    rows = "a,iaas,S1,0,900,t\nb,iaas,S1,600,1200,t\nc,iaas,S9,0,900,t\nd,iaas,S2,900,0,t\ne,iaas,S3,99999,,t\n"
    (tmp_path / "vms.csv").write_text("vm,kind,server,created_s,deleted_s,tenant\n" + rows)
    code, _, err = tapas(*command(given, vms=tmp_path / "vms.csv"))
    assert code == 2
    assert "4 faults" in err
    for line in (3, 4, 5, 6):
        assert f"line {line}" in err
