"""Generated history: the schema, the numbers in it, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tapas_opt.domain.history import TABLES
from tapas_opt.domain.site import Site
from tapas_opt.domain.site_generator import generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput
from tapas_opt.plant.history import VM_LIST, HistorySummary, generate_history
from tapas_opt.telemetry.history import read_panel


@pytest.fixture(scope="module")
def two_days(two_rows: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, HistorySummary]:
    """Two days of ``two_rows``, every ten minutes, with the truth beside it."""
    out = tmp_path_factory.mktemp("history")
    return out, generate_history(two_rows, out=out, days=2, step_s=600.0, seed=1, with_truth=True)


def test_every_table_of_the_schema_is_there_with_its_columns(two_rows, two_days):
    """What is generated must be read by the same reader as an operator's own, with nothing gated or dropped."""
    out, summary = two_days
    history = read_panel(out, topology_of(two_rows))
    assert history.rows.keys() == TABLES.keys()
    assert not history.missing
    assert not history.gated
    assert not any(history.dropped.values())
    assert history.rows == {name: count for name, count in summary.rows.items() if not name.startswith("truth_")}
    # 2 days × 144 samples × 6 servers × 8 GPUs
    assert summary.rows["gpus"] == 2 * 144 * 48
    assert summary.rows["rooms"] == 288


def test_samples_are_evenly_spaced(two_days):
    """Ten minutes apart, the first after one step."""
    out, _ = two_days
    t_s = np.unique(pq.read_table(out / "rooms.parquet")["t_s"])
    assert t_s[0] == 600.0
    assert np.diff(t_s) == pytest.approx(600.0)


def test_missing_readings_are_nan_and_few(two_days):
    """One in a thousand; keys and the VMs' own load are never missing."""
    out, _ = two_days
    gpus = pq.read_table(out / "gpus.parquet").to_pandas()
    vms = pq.read_table(out / "vms.parquet").to_pandas().drop(columns="configuration")
    assert 0.0002 < gpus.temperature_c.isna().mean() < 0.003
    assert gpus.temperature_c.min() > 10.0
    assert not vms.isna().any().any()


def test_sensors_stay_near_the_truth_beside_them(two_days):
    """Errors of learned models are stated against both."""
    out, _ = two_days
    seen = pq.read_table(out / "servers.parquet").to_pandas()
    true = pq.read_table(out / "truth_servers.parquet").to_pandas()
    assert (seen.server == true.server).all()
    assert not true.isna().any().any()
    assert (seen.inlet_c - true.inlet_c).std() == pytest.approx(0.3, rel=0.1)
    assert (seen.power_w / true.power_w - 1.0).std() == pytest.approx(0.01, rel=0.1)


def test_a_servers_power_holds_its_gpus_and_a_rows_its_servers(two_days):
    """The tables describe one world."""
    out, _ = two_days
    gpus = pq.read_table(out / "truth_gpus.parquet").to_pandas().groupby(["t_s", "server"], observed=True).power_w.sum()
    servers = pq.read_table(out / "truth_servers.parquet").to_pandas().set_index(["t_s", "server"]).power_w
    assert (servers > gpus.reindex(servers.index)).all()
    rows = pq.read_table(out / "truth_rows.parquet").to_pandas().groupby("t_s").meter_power_w.sum()
    assert rows.to_numpy() == pytest.approx(servers.groupby("t_s").sum().to_numpy() * 1.015 + 6 * 150.0, rel=1e-5)


def test_the_same_seed_writes_the_same_history(two_rows, tmp_path, two_days):
    """A model is reproduced from the command that made its history; a day less is a prefix."""
    generate_history(two_rows, out=tmp_path / "again", days=1, step_s=600.0, seed=1)
    for name in TABLES:
        again = pq.read_table(tmp_path / "again" / f"{name}.parquet").to_pandas()
        first = pq.read_table(two_days[0] / f"{name}.parquet").to_pandas().iloc[: len(again)]
        assert again.astype(str).equals(first.astype(str))
    generate_history(two_rows, out=tmp_path / "other", days=0.1, step_s=600.0, seed=2)
    other = pq.read_table(tmp_path / "other" / "servers.parquet").to_pandas()
    assert not np.array_equal(other.power_w, again[: len(other)])


def test_a_day_is_a_row_group(two_days):
    """Thousands of servers over weeks must not need the whole table in memory."""
    out, _ = two_days
    assert pq.ParquetFile(out / "gpus.parquet").num_row_groups == 2


def test_an_overfull_site_is_capped_and_nothing_trips(two_rows, tmp_path):
    """Half the row budgets: an operator caps before a breaker opens, and the history says how often."""
    room = two_rows.rooms[0]
    aisles = tuple(
        replace(aisle, rows=tuple(replace(row, power_budget_w=9_000.0) for row in aisle.rows)) for aisle in room.aisles
    )
    tight = replace(two_rows, rooms=(replace(room, aisles=aisles),))
    summary = generate_history(tight, out=tmp_path, days=1, step_s=600.0)
    assert summary.trips == ()
    assert summary.capped_frac > 0.2
    assert 0.9 < summary.peak_row_power_frac < 1.1


def test_endpoints_run_at_the_top_clock_of_whatever_the_site_has(tmp_path):
    """The demo's configurations are an A100's; an H100 has other clocks."""
    generate_history(generate_site(4, hardware="dgx-h100"), out=tmp_path, days=0.5, step_s=3600.0)
    run = pq.read_table(tmp_path / "vms.parquet").to_pandas().configuration.dropna().unique()
    assert len(run) > 0
    assert all(name.endswith("-f1980") for name in run)


def test_progress_ends_at_one(two_rows, tmp_path):
    """The bar of the command line hangs on it."""
    told: list[float] = []
    generate_history(two_rows, out=tmp_path, days=0.25, step_s=300.0, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 3


def test_bad_arguments_are_all_named_and_nothing_is_written(two_rows, tmp_path):
    """A folder with content is never mixed with another history."""
    (tmp_path / "precious.txt").write_text("keep")
    with pytest.raises(InvalidInput) as refused:
        generate_history(two_rows, out=tmp_path, days=0, step_s=float("nan"), bad_sensor_frac=1.5)
    assert [fault.where for fault in refused.value.faults] == ["days", "step_s", "bad_sensor_frac", "out"]
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    with pytest.raises(InvalidInput, match="cannot be written"):
        generate_history(two_rows, out=tmp_path / "precious.txt", days=1)


def test_what_was_interrupted_is_neither_read_nor_in_the_way(two_rows, tmp_path):
    """Tables get their names when they are whole; the next run into the same folder starts anew."""

    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_history(two_rows, out=tmp_path, days=0.25, progress=stop)
    assert not list(tmp_path.glob("*.parquet"))
    generate_history(two_rows, out=tmp_path, days=0.25)
    written = [*(f"{name}.parquet" for name in TABLES), VM_LIST]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written)
    with pytest.raises(InvalidInput, match="days: 1e\\+09: must be at most 3660"):
        generate_history(two_rows, out=tmp_path / "long", days=1e9)
