"""What a suite hands back, and how predictions are judged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tapas_opt.bench.suites import SUITES, judged_row, mean_over_rows, run_suite
from tapas_opt.errors import InvalidInput


def test_a_row_is_judged_where_everything_is_known():
    """Errors 1, 0 and 2 on three of four readings; one lies above its bound; persistence errs by 1 each time."""
    reading = np.array([20.0, 21.0, 22.0, 23.0])
    row = judged_row(
        "N1",
        reading,
        central=np.array([21.0, 21.0, 20.0, 0.0]),
        upper=np.array([22.0, 22.0, 21.0, 30.0]),
        before=np.array([19.0, 20.0, 21.0, np.nan]),
    )
    assert (row.mae, row.coverage, row.persistence_mae) == (1.0, pytest.approx(2 / 3), 1.0)
    assert row.p95_error == pytest.approx(1.9)
    assert row.extras == {"readings": 3}


def test_the_json_has_the_names_of_the_evaluation():
    one = np.array([20.0, 21.0])
    result = mean_over_rows([judged_row("N1", one, one, one, one - 1)], "°C", extras={"train_until": "2021-07-01"})
    raw = json.loads(json.dumps(result.to_json()))
    assert set(raw) == {"rows", "mae", "persistence_mae", "coverage", "unit", "train_until"}
    assert set(raw["rows"][0]) == {"server", "mae", "p95_error", "coverage", "persistence_mae", "readings"}
    assert (raw["mae"], raw["persistence_mae"], raw["coverage"]) == (0.0, 1.0, 1.0)


def test_servers_count_the_same_however_often_they_were_read():
    long, short = np.zeros(100), np.zeros(2)
    rows = [judged_row("N1", long, long + 1, long, long), judged_row("N2", short, short + 3, short, short)]
    assert mean_over_rows(rows, "°C").mae == 2.0


def test_a_suite_and_a_folder_that_do_not_exist_are_named_together(tmp_path):
    with pytest.raises(InvalidInput) as caught:
        run_suite("inlet", tmp_path / "nowhere", None)
    assert [fault.where for fault in caught.value.faults] == ["suite", "path"]
    assert all(name in str(caught.value) for name in SUITES)
