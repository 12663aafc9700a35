"""``tapas-opt bench`` as a person or a script meets it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve nodes over sixty days."""
    rng = np.random.default_rng(1)
    inlet = 22 + rng.normal(0, 1, (60, 1)).cumsum(axis=0) * 0.2 + rng.normal(0, 0.3, (60, 12))
    node = np.tile(np.arange(12), 60)
    day = np.repeat(pd.date_range("2021-01-01", periods=60, freq="D"), 12)
    path = tmp_path_factory.mktemp("nodes")
    columns = {"node": node, "rack": node // 4, "day": day, "inlet_c_mean": inlet.ravel()}
    pd.DataFrame(columns | {"node_power_w_mean": 500.0}).to_parquet(path / "a.parquet")
    return path


def test_a_suite_comes_as_one_json_object_with_the_names_of_the_evaluation(tapas, folder):
    code, out, _ = tapas(
        "bench", "--suite", "inlet-temperature", "--path", folder, "--train-until", "2021-02-10", "--json"
    )
    assert code == 0
    answer = json.loads(out)
    assert {"suite", "rows", "mae", "persistence_mae", "coverage", "unit"} <= set(answer)
    assert len(answer["rows"]) == 12
    assert {"server", "mae", "p95_error", "coverage", "persistence_mae"} <= set(answer["rows"][0])


def test_a_person_sees_the_worst_servers_and_the_totals(tapas, folder):
    code, out, _ = tapas("bench", "--suite", "inlet-temperature", "--path", folder)
    assert code == 0
    assert "the worst 10 of 12" in out
    assert "persistence_mae: 0." in out


def test_files_have_what_is_printed(tapas, folder, tmp_path):
    code, out, _ = tapas("bench", "--suite", "inlet-temperature", "--path", folder, "--out", tmp_path / "a", "--json")
    assert code == 0
    assert json.loads((tmp_path / "a" / "inlet-temperature.json").read_text()) == json.loads(out)
    with (tmp_path / "a" / "inlet-temperature.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--suite", "weather", "--path", "nowhere"), ["'weather' does not exist", "nowhere does not exist"]),
        (
            ("--suite", "inlet-temperature", "--path", "FOLDER", "--train-until", "2024-01-01"),
            ["2024-01-01", "2021-03-01"],
        ),
        (("--suite", "inlet-temperature", "--path", "FOLDER", "--train-until", "soon"), ["soon"]),
        (("--suite", "inlet-temperature", "--path", "EMPTY"), ["no parquet or CSV file"]),
    ],
)
def test_bad_input_is_said_in_one_message_and_ends_with_2(tapas, folder, tmp_path, arguments, said):
    places = {"FOLDER": folder, "EMPTY": tmp_path}
    code, out, err = tapas("bench", *(places.get(word, word) for word in arguments))
    assert code == 2
    assert out == ""
    assert all(words in err for words in said)


def test_solvers_are_compared_on_generated_problems_with_bound_and_checker_beside_every_time(tapas, tmp_path):
    code, out, _ = tapas(
        *("bench", "--problem", "routing-tight,reconfiguration-now", "--servers", "40", "--solver", "greedy,auto"),
        *("--deadline", "5", "--gap", "0.01", "--out", tmp_path, "--json"),
    )
    assert code == 0
    answer = json.loads(out)
    assert [(row["problem"], row["solver"]) for row in answer["rows"]] == [
        ("routing-tight", "greedy"),
        ("routing-tight", "auto"),
        ("reconfiguration-now", "greedy"),
        ("reconfiguration-now", "auto"),
    ]
    for row in answer["rows"]:
        assert row["checker"] == "ok"
        assert row["bound"] <= row["objective"]
        assert row["gap_to_best_bound_frac"] is not None
        assert 0 < row["first_feasible_s"] <= row["total_s"]
        assert row["peak_rss_mb"] > 0
    assert answer["machine"]["cores"] >= 1
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {f"routing-tight-reconfiguration-now.{kind}" for kind in ("json", "csv", "html")}


def test_a_general_solver_by_itself_gets_neither_plan_nor_bound(tapas):
    code, out, _ = tapas(
        *("bench", "--problem", "reconfiguration-now", "--servers", "40", "--solver", "plain-highs", "--json")
    )
    assert code == 0
    (row,) = json.loads(out)["rows"]
    assert (row["answered_by"], row["checker"]) == ("plain-highs", "ok")
    assert row["bound"] <= row["objective"]
    assert row["first_feasible_s"] <= row["within_1pct_s"] <= row["total_s"]


def test_a_person_sees_one_line_a_case_and_a_problem_stands_for_all_its_instances(tapas):
    code, out, _ = tapas("bench", "--problem", "routing", "--servers", "40", "--solver", "greedy", "--deadline", "5")
    assert code == 0
    assert "routing-calm/40/1" in out
    assert "routing-tight/40/1" in out
    assert "ok" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), ["problem or suite"]),
        (("--problem", "routing", "--suite", "gap"), ["problem or suite"]),
        (
            ("--problem", "weather", "--servers", "3,many", "--solver", "magic", "--deadline", "-1", "--gap", "2"),
            ["'weather'", "'3'", "'many'", "'magic'", "-1", "2.0"],
        ),
        (("--suite", "gap"), ["path"]),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused_before_it_begins(tapas, arguments, said):
    code, out, err = tapas("bench", *arguments)
    assert code == 2
    assert out == ""
    assert all(words in err for words in said)
