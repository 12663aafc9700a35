"""History is read whole, judged column by column, and never believed beyond physics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tapas_opt.domain.history import TABLES
from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.history import read_history


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    """Two readings of each table, in the wrong order."""
    t = [300.0, 0.0]
    return {
        "rooms": pd.DataFrame({"t_s": t, "room": "room1", "outdoor_c": [20.0, 19.0]}),
        "servers": pd.DataFrame({"t_s": t, "server": "S1", "inlet_c": 22.0, "power_w": 3_000.0, "airflow_cfm": 500.0}),
        "gpus": pd.DataFrame(
            {
                "t_s": t,
                "server": "S1",
                "gpu": 0,
                "load_frac": 0.5,
                "power_w": 200.0,
                "temperature_c": 50.0,
                "memory_temperature_c": 55.0,
            }
        ),
        "rows": pd.DataFrame({"t_s": t, "row": "R1", "meter_power_w": 4_000.0}),
        "vms": pd.DataFrame({"t_s": t, "vm": "VM1", "server": "S1", "template": "chat", "load_frac": 0.5}),
    }


@pytest.fixture
def write(tmp_path):
    def write(tables):
        for name, frame in tables.items():
            frame.to_parquet(tmp_path / f"{name}.parquet")
        return tmp_path

    return write


def test_readings_come_sorted_in_the_columns_of_the_schema(tables, write):
    tables["rooms"]["comment"] = "ignored"
    history = read_history(write(tables))
    for name, table in TABLES.items():
        assert list(history.tables[name].columns) == [column.name for column in table.columns]
        assert history.tables[name]["t_s"].tolist() == [0.0, 300.0]
    assert history.tables["rooms"]["outdoor_c"].tolist() == [19.0, 20.0]
    assert history.tables["gpus"]["gpu"].dtype == np.int64
    assert history.gated == {}
    assert set(history.dropped.values()) == {0}


def test_what_no_sensor_can_read_becomes_missing_and_is_counted(tables, write):
    """−40 W is no power and 0 would be a lie: it is missing."""
    tables["servers"]["power_w"] = [-40.0, np.inf]
    tables["gpus"]["temperature_c"] = [50.0, 999.0]
    history = read_history(write(tables))
    assert history.tables["servers"]["power_w"].isna().all()
    assert history.tables["gpus"]["temperature_c"].isna().tolist() == [True, False]
    assert history.gated == {"servers.power_w": 2, "gpus.temperature_c": 1}


def test_missing_readings_stay_missing(tables, write):
    tables["servers"]["inlet_c"] = [np.nan, 22.0]
    tables["rows"]["meter_power_w"] = pd.array([None, 4_000], dtype="Int64")
    history = read_history(write(tables))
    assert history.tables["servers"]["inlet_c"].isna().sum() == 1
    assert history.tables["rows"]["meter_power_w"].isna().sum() == 1
    assert history.gated == {}


def test_of_rows_with_one_key_the_first_stays(tables, write):
    again = tables["gpus"].iloc[[0]].assign(power_w=399.0)
    tables["gpus"] = pd.concat([tables["gpus"], again])
    history = read_history(write(tables))
    assert history.tables["gpus"]["power_w"].tolist() == [200.0, 200.0]
    assert history.dropped["gpus"] == 1


def test_rows_without_a_whole_key_are_dropped_and_counted(tables, write):
    tables["vms"]["vm"] = ["VM1", None]
    tables["gpus"]["gpu"] = [0, 64]
    history = read_history(write(tables))
    assert history.dropped == {"rooms": 0, "servers": 0, "gpus": 1, "rows": 0, "vms": 1}
    assert history.tables["vms"]["vm"].tolist() == ["VM1"]


def test_every_missing_table_and_column_and_wrong_type_is_listed(tables, write):
    del tables["rows"]
    tables["servers"] = tables["servers"].drop(columns="inlet_c")
    tables["gpus"]["power_w"] = "hot"
    tables["vms"]["template"] = 7
    folder = write(tables)
    (folder / "rooms.parquet").write_text("no parquet")
    with pytest.raises(InvalidInput) as refused:
        read_history(folder)
    assert [fault.where for fault in refused.value.faults] == [
        "rooms.parquet",
        "servers.parquet: inlet_c",
        "gpus.parquet: power_w",
        "rows.parquet",
        "vms.parquet: template",
    ]
    assert "expected float64" in str(refused.value)


def test_an_empty_folder_is_refused_table_by_table(tmp_path):
    with pytest.raises(InvalidInput, match="5 faults"):
        read_history(tmp_path)
