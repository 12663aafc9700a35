"""``tapas-opt fit`` as a person or a script meets it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from tapas_opt.domain.configuration import read_profiles, write_profiles
from tapas_opt.domain.site_file import write_site
from tapas_opt.learn.models import KINDS, LearnedModels
from tapas_opt.plant.history import generate_history

DAYS, DAY_S = 5, 86_400


@pytest.fixture(scope="module")
def five_days(two_rows, tmp_path_factory):
    """Site file and folder of five simulated days of `two_rows`, with their truth."""
    folder = tmp_path_factory.mktemp("five_days")
    write_site(two_rows, folder / "site.yaml")
    generate_history(two_rows, out=folder / "history", days=float(DAYS), step_s=300.0, seed=1, with_truth=True)
    return folder / "site.yaml", folder / "history"


@pytest.fixture
def fit(tapas, five_days):
    """Fit the five days (or another history of the same site) as JSON: exit code and answer."""

    def run(models, *options, history=five_days[1]):
        code, out, err = tapas(
            "fit", "--history", history, "--models", models, "--site", five_days[0], "--json", *options
        )
        return code, json.loads(out) if out else err

    return run


@pytest.fixture(scope="module")
def folder_of_first(tmp_path_factory):
    return tmp_path_factory.mktemp("first")


@pytest.fixture
def first(folder_of_first, fit):
    """The first fit of the five days, made once: its folder (models, report, answer) and its answer."""
    kept = folder_of_first / "answer.json"
    if not kept.exists():
        code, answer = fit(folder_of_first / "models", "--report", folder_of_first / "report" / "fit.html")
        assert code == 0
        kept.write_text(json.dumps(answer))
    return folder_of_first, json.loads(kept.read_text())


@pytest.fixture
def in_use(first, tmp_path):
    """Models fitted on the five days, in a folder of the test's own."""
    return shutil.copytree(first[0] / "models", tmp_path / "models")


@pytest.fixture
def warmer(five_days, tmp_path):
    """The history with inlet readings 2 °C warmer in some of its days."""

    def make(from_day, until_day):
        folder = shutil.copytree(five_days[1], tmp_path / f"warmer_{from_day}_{until_day}")
        servers = pd.read_parquet(folder / "servers.parquet")
        servers.loc[servers["t_s"].between(from_day * DAY_S, until_day * DAY_S), "inlet_c"] += 2.0
        servers.to_parquet(folder / "servers.parquet")
        return folder

    return make


def texts(folder):
    return {path.name: path.read_text() for path in sorted(folder.glob("*.json"))}


def test_models_and_their_errors_come_as_one_json_object(first):
    """Names and fields are those of the evaluation's contract; the plant shares no formula with the models."""
    folder, answer = first
    assert set(answer["models"]) == set(KINDS)
    for errors in answer["models"].values():
        assert set(errors) >= {"mae", "p95_error", "coverage", "unit", "rows_train", "rows_test"}
        assert set(errors) >= {"coverage_hottest_days", "coverage_top_hours", "coverage_row_day", "worst", "by_day"}
    loaded = LearnedModels.load(folder / "models")
    assert loaded.fingerprint == answer["fingerprint"]
    assert answer["promoted"] is True
    assert answer["models"]["inlet_temperature"]["mae"] < 1.0
    assert loaded.errors()["inlet_temperature"].mae == pytest.approx(
        answer["models"]["inlet_temperature"]["mae"], rel=1e-5
    )


def test_errors_against_the_truth_leave_out_the_sensors_noise(first):
    """Sensors of inlets have σ = 0.3 °C, so that 0.24 °C of the mean error against them is theirs."""
    _, answer = first
    truth, sensors = answer["against_truth"], answer["models"]
    assert truth["inlet_temperature"]["mae"] < sensors["inlet_temperature"]["mae"] - 0.05
    assert truth["server_power"]["mae_frac_of_mean"] < 0.03
    assert truth["airflow"]["unit"] == "CFM"


def test_a_person_sees_tables_and_what_became_of_the_models(tapas, five_days, tmp_path):
    site, history = five_days
    code, out, _ = tapas("fit", "--history", history, "--models", tmp_path / "models", "--site", site)
    assert code == 0
    assert "Errors on held-out days, against the sensors (days 3–4)" in out
    assert "Share below the upper value" in out
    assert "gpu_memory_temperature" in out
    assert out.rstrip().endswith("in use")


def test_a_folder_without_history_is_bad_input(tapas, tmp_path):
    code, out, err = tapas("fit", "--history", tmp_path, "--models", tmp_path / "models", "--json")
    assert code == 2
    assert out == ""
    assert "gpus.parquet: is missing" in err
    assert not (tmp_path / "models").exists()


def test_the_same_fit_again_changes_no_file(fit, in_use):
    before = texts(in_use)
    code, answer = fit(in_use)
    assert code == 0
    assert texts(in_use) == before
    assert [change["worse"] for change in answer["compared"]] == [[]] * len(KINDS)
    assert not (in_use / "previous").exists()


def test_a_worse_model_is_not_promoted(fit, in_use, warmer):
    """Learned from days when sensors read 2 °C too warm, judged on days when they read right again."""
    before, spoilt = texts(in_use), warmer(0, 3)
    code, answer = fit(in_use, history=spoilt)
    assert code == 1
    assert answer["promoted"] is False
    assert any(reason.startswith("inlet_temperature: mean error") for reason in answer["worse"])
    assert texts(in_use) == before
    assert LearnedModels.load(in_use / "candidate").fingerprint == answer["fingerprint"]
    assert answer["folder"] == str(in_use / "candidate")


def test_a_worse_model_is_promoted_by_force_and_the_one_before_is_kept(fit, in_use, warmer):
    before = texts(in_use)
    code, answer = fit(in_use, "--force", history=warmer(0, 3))
    assert code == 0
    assert answer["worse"]
    assert LearnedModels.load(in_use).fingerprint == answer["fingerprint"]
    assert texts(in_use / "previous") == before
    assert not (in_use / "candidate").exists()


def test_models_elsewhere_can_be_compared_with(fit, in_use, warmer, tmp_path):
    code, answer = fit(tmp_path / "new", "--compare", in_use, history=warmer(0, 3))
    assert code == 1
    assert answer["worse"]
    assert texts(tmp_path / "new") == {}
    assert (tmp_path / "new" / "candidate" / "airflow.json").exists()


def test_damaged_models_in_use_are_replaced_by_force_only(fit, in_use):
    (in_use / "airflow.json").write_text("{}")
    code, err = fit(in_use)
    assert code == 2
    assert "--force" in err
    assert fit(in_use, "--force")[0] == 0
    LearnedModels.load(in_use)


def test_judging_alone_raises_the_alarm_in_a_world_that_has_drifted(fit, in_use, warmer):
    before = texts(in_use)
    code, answer = fit(in_use, "--judge-only", "--since", "3d", history=warmer(3, 5))
    assert code == 1
    alarm = next(drift for drift in answer["drift"] if drift["name"] == "inlet_temperature")
    assert alarm["words"].startswith("DRIFT: inlet_temperature 0.")
    assert "days 3–4" in alarm["words"]
    assert alarm["mae_now"] > alarm["mae_at_fit"] + 1.0
    assert texts(in_use) == before


def test_judging_alone_is_content_where_nothing_has_changed(fit, in_use):
    code, answer = fit(in_use, "--judge-only", "--since", "3d")
    assert code == 0
    assert answer["drift"] == []
    assert "promoted" not in answer
    assert answer["judged_on_fitting_days"] is False
    assert fit(in_use, "--judge-only")[1]["judged_on_fitting_days"] is True


def test_judging_alone_needs_models(fit, tmp_path):
    code, err = fit(tmp_path / "none", "--judge-only")
    assert code == 2
    assert "does not exist; run `tapas-opt fit`" in err


def test_only_later_history_is_taken(fit, tmp_path):
    """Of five days the first is left out, and four are enough."""
    code, answer = fit(tmp_path / "models", "--since", "1d")
    assert code == 0
    assert answer["training"]["from_s"] == DAY_S
    assert answer["training"]["days"] == "days 1–2"
    assert fit(tmp_path / "models", "--since", str(2 * DAY_S))[0] == 2  # three days are too few


@pytest.mark.parametrize("when", ["yesterday", "d", "nan", "2026-13-01"])
def test_a_moment_that_is_none_is_bad_input(fit, tmp_path, when):
    code, err = fit(tmp_path / "models", "--since", when)
    assert code == 2
    assert "--since" in err


def test_the_report_is_a_page_and_its_json(first):
    folder, answer = first
    page = (folder / "report" / "fit.html").read_text(encoding="utf-8")
    assert answer["models"]["gpu_temperature"]["worst"][0]["name"] in page
    written = json.loads((folder / "report" / "fit.json").read_text(encoding="utf-8"))
    assert written == {key: value for key, value in answer.items() if key != "report"}


def test_a_profile_that_is_far_from_what_was_measured_is_named(fit, tmp_path, repository):
    """The table that the plant wrote agrees with what its instances drew; one that says half as much does not."""
    table = repository / "data" / "demo" / "profiles.csv"
    _, agreed = fit(tmp_path / "models")
    assert agreed["instances_measured"]
    assert agreed["profiles_off"] == []
    profiles = read_profiles(table)
    half = tuple(replace(one, gpu_power_w=tuple(watts / 2 for watts in one.gpu_power_w)) for one in profiles)
    write_profiles(tmp_path / "profiles.csv", half)
    _, off = fit(tmp_path / "models", "--judge-only", "--profiles", tmp_path / "profiles.csv")
    assert any("mean GPU at load 0.5: the table says" in words for words in off["profiles_off"])


def test_what_cannot_be_written_is_bad_input(fit, tmp_path):
    """A folder that is a file, a page that is a folder, and a page that its own JSON would replace."""
    (tmp_path / "file").write_text("")
    assert fit(tmp_path / "file") == (
        2,
        f"tapas-opt: fit: --models: {tmp_path / 'file'}: cannot be written: Not a directory\n",
    )
    for report in (tmp_path, tmp_path / "fit.json"):
        code, err = fit(tmp_path / "models", "--report", report)
        assert code == 2
        assert "--report" in err
    assert not (tmp_path / "models").exists()
