"""Tables of a suite: whatever is wrong with them is said at once."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from tapas_opt.bench.tables import first_judged_day, read_table
from tapas_opt.errors import InvalidInput

COLUMNS = {"day": "time", "node": "text", "inlet_c_mean": "number"}


def table(first="2021-01-01", days=10):
    day = pd.date_range(first, periods=days, freq="D")
    return pd.DataFrame({"day": day, "node": range(days), "inlet_c_mean": 20.0, "unused": "x"})


def test_parquet_and_csv_files_of_a_folder_are_one_table(tmp_path):
    table().to_parquet(tmp_path / "a.parquet")
    table("2021-02-01").to_csv(tmp_path / "b.csv", index=False)
    (tmp_path / "README.md").write_text("not a table")
    read = read_table(tmp_path, COLUMNS)
    assert list(read) == list(COLUMNS)
    assert len(read) == 20
    assert read.day.max() == pd.Timestamp("2021-02-10", tz="UTC")
    assert read.node.iloc[3] == "3"


def test_only_files_of_the_pattern_are_read(tmp_path):
    table().to_parquet(tmp_path / "rates.parquet")
    pd.DataFrame({"other": [1]}).to_parquet(tmp_path / "lengths.parquet")
    assert len(read_table(tmp_path, COLUMNS, "rates.*")) == 10


def test_an_empty_folder_is_said_with_what_it_must_have(tmp_path):
    with pytest.raises(InvalidInput, match=r"no parquet or CSV file.*inlet_c_mean \(number\)"):
        read_table(tmp_path, COLUMNS)


def test_all_faults_of_all_files_are_said_at_once(tmp_path):
    table().drop(columns="inlet_c_mean").to_parquet(tmp_path / "a.parquet")
    table().assign(inlet_c_mean="warm", day="someday").to_csv(tmp_path / "b.csv", index=False)
    (tmp_path / "c.parquet").write_bytes(b"no parquet")
    with pytest.raises(InvalidInput) as caught:
        read_table(tmp_path, COLUMNS)
    assert [fault.where for fault in caught.value.faults] == [
        "a.parquet: inlet_c_mean",
        "b.csv: day",
        "b.csv: inlet_c_mean",
        "c.parquet",
    ]


def test_a_table_without_rows_is_refused(tmp_path):
    table().iloc[:0].to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="rows: there are none"):
        read_table(tmp_path, COLUMNS)


@pytest.mark.parametrize("split", ["2020-12-31", "2021-01-01", "2021-01-11"])
def test_a_split_must_leave_days_on_both_sides(tmp_path, split):
    days = pd.to_datetime(table().day, utc=True)
    with pytest.raises(InvalidInput, match=r"2021-01-01.*2021-01-10"):
        first_judged_day(days, date.fromisoformat(split), tmp_path)


def test_without_a_split_two_thirds_of_the_days_are_learned_from(tmp_path):
    """Nine days lie between the first and the last: six and the first itself are learned from."""
    days = pd.to_datetime(table().day, utc=True)
    assert first_judged_day(days, None, tmp_path) == pd.Timestamp("2021-01-08", tz="UTC")
    assert first_judged_day(days, date(2021, 1, 2), tmp_path) == pd.Timestamp("2021-01-02", tz="UTC")


def test_a_table_without_any_time_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no time at all"):
        first_judged_day(pd.Series([pd.NaT], name="day", dtype="datetime64[ns, UTC]"), None, tmp_path)
