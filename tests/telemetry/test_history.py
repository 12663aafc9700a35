"""A history is read a piece at a time, row by row judged, and never believed beyond physics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tapas_opt.domain.panel import NO_VM
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry import tables as telemetry_tables
from tapas_opt.telemetry.history import read_panel

SLOT_S, DAY_S = 300.0, 86_400.0


@pytest.fixture
def topology(two_rows) -> Topology:
    """Servers S1 to S6 with eight GPUs each, in rows R1 and R2 of one room."""
    return topology_of(two_rows)


@pytest.fixture
def tables(topology) -> dict[str, pd.DataFrame]:
    """Two readings of each table, in the wrong order."""
    t, room, row = [300.0, 0.0], topology.rooms[0], topology.rows[0]
    gpus = {"load_frac": 0.5, "power_w": 200.0, "temperature_c": 50.0, "memory_temperature_c": 55.0}
    return {
        "rooms": pd.DataFrame({"t_s": t, "room": room, "outdoor_c": [20.0, 19.0]}),
        "servers": pd.DataFrame({"t_s": t, "server": "S1", "inlet_c": 22.0, "power_w": 3_000.0, "airflow_cfm": 500.0}),
        "gpus": pd.DataFrame({"t_s": t, "server": "S1", "gpu": 0, **gpus}),
        "rows": pd.DataFrame({"t_s": t, "row": row, "meter_power_w": 4_000.0}),
        "vms": pd.DataFrame({"t_s": t, "vm": "VM1", "server": "S1", "template": "chat", "load_frac": 0.5}),
    }


@pytest.fixture(params=["parquet", "csv", "csv.gz"])
def write(request, tmp_path):
    def write(tables):
        for name, frame in tables.items():
            path = tmp_path / f"{name}.{request.param}"
            frame.to_parquet(path) if request.param == "parquet" else frame.to_csv(path, index=False)
        return tmp_path

    return write


def parquet(folder, tables):
    folder.mkdir(exist_ok=True)
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet")
    return folder


def test_readings_lie_at_their_slot_server_and_gpu_whatever_the_format(tables, write, topology):
    tables["rooms"]["comment"] = "ignored"
    history = read_panel(write(tables), topology)
    panel = history.panel
    assert panel.t_s.tolist() == [0.0, 300.0]
    assert panel.outdoor_c[:, 0].tolist() == [19.0, 20.0]
    assert panel.server_power_w[:, 0].tolist() == [3_000.0, 3_000.0]
    assert np.isnan(panel.server_power_w[:, 1:]).all()
    assert panel.gpu_c.dtype == np.float32
    assert panel.gpu_c[0, 0, 0] == 50.0
    assert np.isfinite(panel.gpu_c).sum() == 2
    assert panel.templates == ("chat",)
    assert panel.vm_template[:, 0].tolist() == [0, 0]
    assert (panel.vm_template[:, 1:] == NO_VM).all()
    assert history.gated == {}
    assert set(history.dropped.values()) == {0}
    assert history.rows == dict.fromkeys(tables, 2)
    assert history.missing == ("vms.configuration",)


def test_what_no_sensor_can_read_becomes_missing_and_is_counted(tables, write, topology):
    """−40 W is no power and 0 would be a lie: it is missing."""
    tables["servers"]["power_w"] = [-40.0, np.inf]
    tables["gpus"]["temperature_c"] = [50.0, 999.0]
    history = read_panel(write(tables), topology)
    assert np.isnan(history.panel.server_power_w).all()
    assert np.isfinite(history.panel.gpu_c[:, 0, 0]).tolist() == [False, True]
    assert history.gated == {"servers.power_w": 2, "gpus.temperature_c": 1}


def test_a_sensor_that_is_absurd_again_and_again_is_named(tables, tmp_path, topology):
    t = SLOT_S * np.arange(24)
    gpus = tables["gpus"].loc[[0] * 24].assign(t_s=t, temperature_c=np.where(t < 3_600, -1.0, 50.0))
    servers = tables["servers"].loc[[0] * 24].assign(t_s=t)
    history = read_panel(parquet(tmp_path, tables | {"gpus": gpus, "servers": servers}), topology)
    assert [str(record) for record in history.refused] == [
        "gpus.temperature_c of S1/0: 12 readings refused: outside 0 to 120, or infinite"
    ]


def test_missing_readings_stay_missing(tables, write, topology):
    tables["servers"]["inlet_c"] = [np.nan, 22.0]
    tables["rows"]["meter_power_w"] = pd.array([None, 4_000], dtype="Int64")
    history = read_panel(write(tables), topology)
    assert np.isnan(history.panel.inlet_c[:, 0]).tolist() == [False, True]
    assert np.isnan(history.panel.meter_w[:, 0]).tolist() == [False, True]
    assert history.gated == {}


def test_of_rows_with_one_key_the_first_stands(tables, write, topology):
    again = tables["gpus"].iloc[[0]].assign(power_w=399.0)
    tables["gpus"] = pd.concat([tables["gpus"], again])
    history = read_panel(write(tables), topology)
    assert history.panel.gpu_power_w[:, 0, 0].tolist() == [200.0, 200.0]
    assert history.dropped["gpus"] == 1


def test_rows_sent_twice_in_another_batch_count_once(tables, tmp_path, topology, monkeypatch):
    """A collector that resends after an outage sends hours later."""
    monkeypatch.setattr(telemetry_tables, "BATCH_ROWS", 1)
    again = tables["servers"].assign(power_w=1.0)
    tables["servers"] = pd.concat([tables["servers"], again])
    history = read_panel(parquet(tmp_path, tables), topology)
    assert history.panel.server_power_w[:, 0].tolist() == [3_000.0, 3_000.0]
    assert history.dropped["servers"] == 2


def test_several_readings_in_one_slot_are_averaged(tables, tmp_path, topology):
    """A history in minutes: 100, 200, …, 500 W average to 300 W; a minute without a reading has no say in the mean."""
    minutes = pd.DataFrame(
        {"t_s": 60.0 * np.arange(5), "server": "S1", "power_w": [100.0, 200, 300, 400, 500], "inlet_c": [20.0] * 5}
    )
    minutes.loc[2, "inlet_c"] = np.nan
    history = read_panel(parquet(tmp_path, tables | {"servers": minutes}), topology)
    assert history.panel.server_power_w[0, 0] == pytest.approx(300.0)
    assert history.panel.inlet_c[0, 0] == pytest.approx(20.0)
    assert history.dropped["servers"] == 0


def test_the_order_of_the_rows_does_not_matter(make_shuffled, topology, tmp_path):
    tables, shuffled = make_shuffled
    one = read_panel(parquet(tmp_path / "one", tables), topology)
    other = read_panel(parquet(tmp_path / "other", shuffled), topology)
    assert one.panel.fingerprint == other.panel.fingerprint
    assert one.refused == other.refused


@pytest.fixture
def make_shuffled(tables, topology):
    rng = np.random.default_rng(3)
    t, s = (index.ravel() for index in np.indices((24, 6)))
    tables["servers"] = pd.DataFrame(
        {"t_s": SLOT_S * t, "server": np.array(topology.servers)[s], "power_w": rng.uniform(1e3, 5e3, t.size)}
    )
    return tables, tables | {"servers": tables["servers"].sample(frac=1.0, random_state=1)}


def test_rows_without_a_whole_key_are_dropped_and_counted(tables, write, topology):
    """A server of `two_rows` has eight GPUs: number 8 is not one of them."""
    tables["vms"]["vm"] = ["VM1", None]
    tables["gpus"]["gpu"] = [0, 8]
    tables["rooms"]["t_s"] = [np.nan, -5.0]
    history = read_panel(write(tables), topology)
    assert history.dropped == {"rooms": 2, "servers": 0, "gpus": 1, "rows": 0, "vms": 1}
    assert (history.panel.vm_template >= 0).sum() == 1


def test_servers_that_the_site_does_not_have_are_named(tables, tmp_path, topology):
    tables["servers"].loc[1, "server"] = "S99"
    history = read_panel(parquet(tmp_path, tables), topology)
    assert [str(record) for record in history.refused] == [
        "servers.server of S99: 1 readings refused: the site has none of these 1 names"
    ]
    tables["servers"]["server"] = "S99"
    with pytest.raises(InvalidInput, match="none is of site"):
        read_panel(parquet(tmp_path, tables), topology)


def test_a_clock_that_is_years_off_does_not_stretch_the_history(tables, tmp_path, topology):
    """One row stamped in milliseconds would make a panel of fifty thousand years."""
    t = SLOT_S * np.arange(24)
    servers = tables["servers"].loc[[0] * 25].assign(t_s=[*t, 1.7e12])
    history = read_panel(parquet(tmp_path, tables | {"servers": servers}), topology)
    assert history.panel.t_s[-1] == t[-1]
    assert [(record.column, record.readings) for record in history.refused] == [("t_s", 1)]
    assert "wrong clock" in history.refused[0].reason


def test_a_clock_that_stands_still_is_named(tables, tmp_path, topology):
    t = SLOT_S * np.arange(48)
    good = tables["servers"].loc[[0] * 48].assign(t_s=t)
    still = good.assign(server="S2", t_s=np.minimum(t, 3_600.0))
    del tables["rows"]
    history = read_panel(parquet(tmp_path, tables | {"servers": pd.concat([good, still])}), topology)
    assert [(record.column, record.name, record.readings) for record in history.refused] == [("t_s", "S2", 35)]
    assert "stood still" in history.refused[0].reason


def test_a_site_without_some_sensors_reads_and_says_what_is_missing(tables, write, topology):
    """Power of servers, power and temperature of GPUs are needed; nobody must have the rest."""
    few = {
        "servers": tables["servers"][["t_s", "server", "power_w"]],
        "gpus": tables["gpus"][["t_s", "server", "gpu", "power_w", "temperature_c"]],
    }
    history = read_panel(write(few), topology)
    for values in (history.panel.inlet_c, history.panel.airflow_cfm, history.panel.gpu_memory_c, history.panel.meter_w):
        assert np.isnan(values).all()
    assert history.panel.templates == ()
    assert (history.panel.vm == NO_VM).all()
    assert history.missing == (
        "rooms",
        "servers.inlet_c",
        "servers.airflow_cfm",
        "gpus.load_frac",
        "gpus.memory_temperature_c",
        "rows",
        "vms",
    )


def test_configurations_are_read_where_the_history_has_them(tables, write, topology):
    """An IaaS VM has none."""
    tables["vms"]["configuration"] = ["fp8-tp4", None]
    panel = read_panel(write(tables), topology).panel
    assert panel.configurations == ("fp8-tp4",)
    assert panel.vm_configuration[:, 0].tolist() == [NO_VM, 0]


def test_only_the_window_is_read_and_days_count_from_its_start(tables, write, topology):
    servers = tables["servers"].loc[[0] * 48].assign(t_s=3_600.0 * np.arange(48), power_w=np.arange(48.0))
    history = read_panel(write(tables | {"servers": servers}), topology, since_s=DAY_S, until_s=1.5 * DAY_S)
    panel = history.panel
    assert (panel.t_s[0], panel.t_s[-1]) == (DAY_S, 1.5 * DAY_S - 3_600.0)
    assert panel.day.max() == 0
    assert history.rows["servers"] == 12
    assert panel.server_power_w[0, 0] == 24.0
    with pytest.raises(InvalidInput, match="no reading in the time asked for"):
        read_panel(write(tables), topology, since_s=3 * DAY_S)


def test_row_groups_outside_the_window_are_not_read(tables, tmp_path, topology):
    """The last week of a year is read in the time of a week: the broken first group is never touched."""
    parquet(tmp_path, tables)
    schema = pa.schema([("t_s", pa.float64()), ("server", pa.string()), ("power_w", pa.float64())])
    with pq.ParquetWriter(tmp_path / "servers.parquet", schema) as writer:
        for first in (0.0, DAY_S):
            writer.write_table(pa.table({"t_s": [first], "server": ["S1"], "power_w": [1_000.0]}, schema=schema))
    sources, _ = telemetry_tables.sources_in(tmp_path)
    assert sum(batch.num_rows for batch in sources["servers"].batches(("t_s",), DAY_S, np.inf)) == 1


def test_the_truth_is_read_from_files_of_its_own(tables, tmp_path, topology):
    truth = {f"truth_{name}": frame for name, frame in tables.items() if name != "vms"}
    truth["truth_servers"] = tables["servers"].assign(power_w=3_100.0)
    folder = parquet(tmp_path, tables | truth)
    assert read_panel(folder, topology, truth=True).panel.server_power_w[0, 0] == 3_100.0
    assert read_panel(folder, topology, truth=True).panel.vm_template[0, 0] == 0
    (folder / "truth_gpus.parquet").unlink()
    with pytest.raises(InvalidInput, match=r"truth_gpus\.parquet"):
        read_panel(folder, topology, truth=True)


def test_every_missing_table_and_column_and_wrong_type_is_listed(tables, tmp_path, topology):
    tables["servers"] = tables["servers"].drop(columns="power_w")
    tables["gpus"]["power_w"] = "hot"
    tables["vms"]["template"] = 7
    folder = parquet(tmp_path, tables)
    (folder / "rooms.parquet").write_text("no parquet")
    with pytest.raises(InvalidInput) as refused:
        read_panel(folder, topology)
    assert [fault.where for fault in refused.value.faults] == [
        "rooms.parquet",
        "servers.parquet: power_w",
        "gpus.parquet: power_w",
        "vms.parquet: template",
    ]
    assert "expected float64" in str(refused.value)


def test_a_csv_line_that_is_no_number_is_refused_with_its_place(tables, tmp_path, topology):
    parquet(tmp_path, {name: frame for name, frame in tables.items() if name != "servers"})
    (tmp_path / "servers.csv").write_text("t_s,server,power_w\n0,S1,3000\n300,S1,warm\n")
    with pytest.raises(InvalidInput, match=r"servers\.csv.*warm"):
        read_panel(tmp_path, topology)


def test_an_empty_folder_is_refused_table_by_table(tmp_path, topology):
    with pytest.raises(InvalidInput, match="2 faults"):
        read_panel(tmp_path, topology)
    with pytest.raises(InvalidInput, match=r"servers\.parquet"):
        read_panel(tmp_path / "nowhere", topology)
