"""Sensors that go bad: what they say, and that nobody else says anything different."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tapas_opt.domain.site import Site
from tapas_opt.plant.bad_sensors import ABSURD, FAULTS, BadSensors
from tapas_opt.plant.history import generate_history
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.plant import Plant
from tapas_opt.plant.sensors import Readings
from tapas_opt.telemetry.history import read_panel

DAY_S = 86_400.0
KEYS = {"servers": ["t_s", "server"], "gpus": ["t_s", "server", "gpu"], "rows": ["t_s", "row"]}


def rising(readings: Readings, t_s: float) -> Readings:
    """The readings at another time, each higher by 1 per minute, so that every moment can be told apart."""
    numbers = {item.name: getattr(readings, item.name) + t_s / 60.0 for item in fields(readings) if item.name != "t_s"}
    return replace(readings, t_s=t_s, **numbers)


@pytest.fixture(scope="module")
def misread(two_rows_topology):
    """A day of rising readings of ``two_rows`` every ten minutes, half of whose sensors are bad: good and said."""
    p = replace(Parameters(), bad_sensor_frac=0.5, bad_sensor_horizon_s=DAY_S)
    plant = Plant(two_rows_topology, seed=3, parameters=p)
    bad = plant.bad_sensors
    assert isinstance(bad, BadSensors)
    base = plant._sensors.read(plant.truth)
    good = [rising(base, t_s) for t_s in np.arange(600.0, DAY_S + 1, 600.0)]
    said = [bad.of(moment) for moment in good]
    table = pd.DataFrame(bad.table())
    t_s = np.array([moment.t_s for moment in good])
    return table, t_s, good, said


def series(row, moments, topology) -> np.ndarray:
    """What the sensor of one row of the table reads over time."""
    field = f"{row.table[:-1]}_{row.column}"
    names = topology.rows if row.table == "rows" else topology.servers
    place = (names.index(row.name_), row.gpu) if row.gpu >= 0 else (names.index(row.name_),)
    return np.array([getattr(moment, field)[place] for moment in moments])


def each(misread, fault, topology):
    """Good and said series of each sensor with this fault, and when it is bad."""
    table, t_s, good, said = misread
    rows = table.rename(columns={"name": "name_"}).itertuples()
    found = [(row, series(row, good, topology), series(row, said, topology)) for row in rows if row.fault == fault]
    assert found
    for row, right, wrong in found:
        bad = (t_s >= row.from_s) & (t_s <= row.until_s)
        assert np.array_equal(right[~bad], wrong[~bad])
        if bad.any():
            yield row, t_s[bad], right[bad], wrong[bad]


def test_every_fault_occurs_and_a_third_lasts_for_all_of_history(misread):
    table, *_ = misread
    assert set(table.fault) == set(FAULTS)
    # 6 servers x 3, 48 GPUs x 3 and 2 rows are 164 sensors.
    assert len(table) == 82
    always = (table.from_s == 0.0) & (table.until_s == DAY_S)
    assert 0.15 < always.mean() < 0.55


def test_a_stuck_sensor_repeats_its_first_reading(misread, two_rows_topology):
    for _, _, right, wrong in each(misread, "stuck", two_rows_topology):
        assert (wrong == right[0]).all()


def test_an_offset_jumps_and_a_drift_creeps(misread, two_rows_topology):
    """Both end 10 to 40 % off; temperatures of GPUs still come in whole degrees."""
    for row, _, right, wrong in each(misread, "offset", two_rows_topology):
        off = np.abs(wrong / right - 1.0)
        assert (off > 0.08).all()
        assert (off < 0.42).all()
        if row.column.endswith("temperature_c"):
            assert np.array_equal(wrong, np.round(wrong))
    for row, t_s, right, wrong in each(misread, "drift", two_rows_topology):
        off = np.abs(wrong / right - 1.0)
        come = (t_s - row.from_s) / (row.until_s - row.from_s)
        assert (off <= 0.4 * come + 0.02).all()


def test_a_late_sensor_says_what_was_so_before(misread, two_rows_topology):
    """Readings rise by 1 a minute, so that the difference is the lag: 10 to 120 minutes, to the next sample."""
    for _, t_s, right, wrong in each(misread, "lag", two_rows_topology):
        lag_min = (right - wrong)[t_s > 3 * 3600.0]
        assert (lag_min >= 10).all()
        assert (lag_min <= 130).all()


def test_a_silent_sensor_is_nan_and_an_absurd_one_is_not(misread, two_rows_topology):
    silent = [np.isnan(wrong).mean() for *_, wrong in each(misread, "dropout", two_rows_topology)]
    assert 0.1 < np.mean(silent) < 0.9
    shares = []
    for *_, right, wrong in each(misread, "absurd", two_rows_topology):
        odd = wrong[wrong != right]
        assert np.isin(odd, ABSURD).all()
        assert np.unique(odd).size <= 1
        shares.append(odd.size / right.size)
    assert 0.2 < np.mean(shares) < 0.8


@pytest.fixture(scope="module")
def histories(two_rows: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A day of the same seed, with all sensors good and with a tenth of them bad."""
    good, bad = tmp_path_factory.mktemp("good") / "h", tmp_path_factory.mktemp("bad") / "h"
    generate_history(two_rows, out=good, days=1, step_s=1_800.0, seed=7, with_truth=True)
    generate_history(two_rows, out=bad, days=1, step_s=1_800.0, seed=7, with_truth=True, bad_sensor_frac=0.1)
    return good, bad


def test_good_sensors_read_the_same_with_and_without_bad_ones(histories):
    """A model that gets worse has been misled by the bad sensors, not by other noise."""
    good, bad = histories
    listed = pq.read_table(histories[1] / "truth_bad_sensors.parquet").to_pandas()
    assert len(listed) == 16  # of 164
    for table, keys in KEYS.items():
        a, b = (_by_key(folder / f"{table}.parquet", keys) for folder in (good, bad))
        name = keys[1]
        for column in a.columns.drop("load_frac", errors="ignore"):
            off = listed[(listed.table == table) & (listed.column == column)]
            names = a.index.get_level_values(name).astype(str)
            own = set(zip(off.name, off.gpu, strict=True))
            gpu = a.index.get_level_values("gpu") if table == "gpus" else np.full(len(a), -1)
            untouched = np.array([key not in own for key in zip(names, gpu, strict=True)])
            assert np.array_equal(a[column][untouched], b[column][untouched], equal_nan=True), (table, column)
            assert off.empty or not np.array_equal(a[column], b[column], equal_nan=True)


def _by_key(file: Path, keys: list[str]) -> pd.DataFrame:
    return pq.read_table(file).to_pandas().drop_duplicates(keys).set_index(keys).sort_index()


def test_truth_does_not_change_and_good_histories_list_no_bad_sensor(histories):
    good, bad = histories
    for table in ("rooms", "servers", "gpus", "rows"):
        assert pq.read_table(good / f"truth_{table}.parquet").equals(pq.read_table(bad / f"truth_{table}.parquet"))
    assert not (good / "truth_bad_sensors.parquet").exists()


def test_with_bad_sensors_rows_come_late_and_twice(histories, two_rows_topology):
    """What readers must sort and drop is there to be sorted and dropped; the truth beside it is in order."""
    raw = pq.read_table(histories[1] / "gpus.parquet").to_pandas()
    assert (np.diff(raw.t_s) < 0).any()
    assert 0.05 < raw.duplicated(["t_s", "server", "gpu"]).mean() < 0.15
    assert read_panel(histories[1], two_rows_topology).dropped["gpus"] == raw.duplicated(["t_s", "server", "gpu"]).sum()
