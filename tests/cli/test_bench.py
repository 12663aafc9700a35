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
