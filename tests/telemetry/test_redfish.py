"""Redfish documents, old and new, lead to the same readings; a BMC is asked by following its links."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from tapas_opt.cli.history import app
from tapas_opt.domain.site_file import write_site
from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.http import JsonClient
from tapas_opt.telemetry.redfish import best, readings_of
from tapas_opt.telemetry.redfish_api import fetch_documents

MONDAY = 1_767_571_200
"""2026-01-05T00:00:00Z."""

THERMAL = {
    "@odata.id": "/redfish/v1/Chassis/Self/Thermal",
    "@odata.type": "#Thermal.v1_6_0.Thermal",
    "Temperatures": [
        {"Name": "CPU1 Temp", "PhysicalContext": "CPU", "ReadingCelsius": 60, "Status": {"State": "Enabled"}},
        {"Name": "Inlet Temp", "ReadingCelsius": 23, "Status": {"State": "Enabled"}},
        {"Name": "Inlet Temp 2", "ReadingCelsius": None, "Status": {"State": "Enabled"}},
        {"Name": "Rear Inlet", "ReadingCelsius": 99, "Status": {"State": "Absent"}},
        {"Name": "Ambient", "ReadingCelsius": 30, "Status": {"State": "Enabled"}},
    ],
    "Fans": [
        {"Name": "Fan1", "Reading": 6000, "ReadingUnits": "RPM"},
        {"Name": "Fan2", "Reading": "8000", "ReadingUnits": "RPM"},
        {"Name": "Fan3", "Reading": 0, "ReadingUnits": "RPM", "Status": {"State": "Absent"}},
    ],
}
POWER = {
    "@odata.id": "/redfish/v1/Chassis/Self/Power",
    "@odata.type": "#Power.v1_6_0.Power",
    "PowerControl": [
        {"Name": "CPU Power Control", "PowerConsumedWatts": 300},
        {"Name": "System Power Control", "PowerConsumedWatts": 4000},
    ],
}
METRICS = {
    "@odata.id": "/redfish/v1/Chassis/1/ThermalSubsystem/ThermalMetrics",
    "@odata.type": "#ThermalMetrics.v1_3_2.ThermalMetrics",
    "TemperatureSummaryCelsius": {"Intake": {"Reading": 23.0}, "Exhaust": {"Reading": 41.0}},
    "TemperatureReadingsCelsius": [
        {"Reading": 24.0, "DeviceName": "Inlet_Temp", "DataSourceUri": "/redfish/v1/Chassis/1/Sensors/Inlet_Temp"}
    ],
}
ENVIRONMENT = {
    "@odata.id": "/redfish/v1/Chassis/1/EnvironmentMetrics",
    "@odata.type": "#EnvironmentMetrics.v1_3_0.EnvironmentMetrics",
    "PowerWatts": {"Reading": 4000.0},
    "FanSpeedsPercent": [{"DeviceName": "Fan1", "Reading": 40, "SpeedRPM": 6000}, {"Reading": 60, "SpeedRPM": 8000}],
}
PDU = {
    "@odata.id": "/redfish/v1/PowerEquipment/RackPDUs/1/Metrics",
    "@odata.type": "#PowerDistributionMetrics.v1_3_0.PowerDistributionMetrics",
    "PowerWatts": {"Reading": 9000.0},
}


def of(*documents: dict[str, Any]) -> list:
    return [reading for document in documents for reading in readings_of(document)]


@pytest.mark.parametrize("documents", [(THERMAL, POWER), (METRICS, ENVIRONMENT)], ids=["old", "new"])
def test_old_and_new_schemas_say_the_same(documents):
    """The sensor that says it sits at the intake is better than one that is only called so, an ambient one is worse."""
    readings = of(*documents)
    assert best(readings, "servers.inlet_c") == 23.0
    assert best(readings, "servers.power_w") == 4000.0
    assert best(readings, "servers.airflow_cfm", "rpm") == 7000.0


def test_sensors_one_by_one_say_it_too():
    def sensor(**fields: Any) -> dict[str, Any]:
        return {"@odata.type": "#Sensor.v1_8_0.Sensor", "Status": {"State": "Enabled"}, **fields}

    readings = of(
        sensor(Name="Inlet_0", ReadingType="Temperature", ReadingUnits="Cel", Reading=22.5),
        sensor(Name="FAN1", ReadingType="Rotational", ReadingUnits="RPM", Reading=7000),
        sensor(Name="FAN2", ReadingType="Rotational", ReadingUnits="RPM", Reading=None),
    )
    fan = {
        "@odata.type": "#Fan.v1_4_0.Fan",
        "SpeedPercent": {"Reading": 50, "SpeedRPM": 9000},
        "Status": {"State": "Absent"},
    }
    readings += readings_of(fan)
    assert best(readings, "servers.inlet_c") == 22.5
    assert best(readings, "servers.airflow_cfm", "rpm") == 7000.0
    assert best(readings, "servers.airflow_cfm", "fan %") is None


def test_parts_of_a_server_and_what_is_no_number_are_not_taken_for_the_whole():
    """A processor has EnvironmentMetrics of its own; firmware writes "N/A"."""
    of_gpu = ENVIRONMENT | {"@odata.id": "/redfish/v1/Systems/1/Processors/GPU_SXM_1/EnvironmentMetrics"}
    broken = {"@odata.type": "#Power.v1_0_0.Power", "PowerControl": [{"PowerConsumedWatts": "N/A"}, 7, None]}
    assert of(of_gpu, broken, {}, {"@odata.type": "#Chassis.v1_0_0.Chassis"}) == []
    assert best([], "servers.power_w") is None


@pytest.fixture
def snapshots(tmp_path) -> Path:
    """Two samples of S1 and one of S2, and the two meters of row R1, one of them twice."""
    folder = tmp_path / "redfish"

    def keep(machine: str, moment: str, *documents: dict[str, Any]) -> None:
        path = folder / machine / f"{moment}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(list(documents)), encoding="utf-8")

    keep("S1", str(MONDAY), THERMAL, POWER)
    keep("S1", "20260105T000200Z", THERMAL, POWER | {"PowerControl": [{"PowerConsumedWatts": 4100}]})
    keep("bmc-2.example.com", str(MONDAY + 300), METRICS, ENVIRONMENT)
    keep("pdu-1", str(MONDAY), PDU)
    keep("pdu-2", str(MONDAY), PDU)
    keep("pdu-2", str(MONDAY + 300), PDU)
    keep("fridge", str(MONDAY), POWER)
    tree = folder / "S3" / "2026-01-05T00:00:00+00:00" / "redfish" / "v1"
    tree.mkdir(parents=True)
    (tree / "power.json").write_text(json.dumps(POWER))
    (tree / "broken.json").write_text("{")
    return folder


def bring_in(snapshots: Path, site: Any, sources: str = "") -> tuple[Path, dict[str, Any]]:
    folder = snapshots.parent
    write_site(site, folder / "site.yaml")
    (folder / "hosts.csv").write_text("label,name\nbmc-2,S2\npdu-1,R1\npdu-2,R1\n")
    (folder / "sources.yaml").write_text("format: tapas-opt/sources/1\n" + sources)
    told = ["--site", "site.yaml", "--hosts", "hosts.csv", "--sources", "sources.yaml"]
    where = ["--path", str(snapshots), "--out", str(folder / "out")]
    options = [*where, *(str(folder / t) if "." in t else t for t in told)]
    done = CliRunner().invoke(app, ["import", "--from", "redfish", *options, "--json"])
    assert done.exit_code == 0, done.exception
    return folder / "out", json.loads(done.stdout)


def test_kept_documents_become_history(snapshots, two_rows):
    """S1's two samples lie in one slot: 4,050 W. Fans at a mean of 7,000 rpm, 0.1 CFM for each: 700 CFM."""
    out, said = bring_in(snapshots, two_rows, "airflow: {dgx-a100: {cfm_per_rpm: 0.1}}\n")
    servers = pd.read_parquet(out / "servers.parquet")
    assert list(zip(servers.t_s - MONDAY, servers.server, servers.power_w, strict=True)) == [
        (0, "S1", 4050.0),
        (0, "S3", 4000.0),
        (300, "S2", 4000.0),
    ]
    assert servers.inlet_c.tolist() == pytest.approx([23.0, float("nan"), 23.0], nan_ok=True)
    assert servers.airflow_cfm.tolist() == pytest.approx([700.0, float("nan"), 700.0], nan_ok=True)
    assert list(said["unknown"]["hosts"]) == ["fridge"]
    assert said["dropped"] == {"documents": {"not JSON": 1}}


def test_a_rows_meters_add_up_and_none_stands_for_both(snapshots, two_rows):
    """In the second slot only one of R1's two meters spoke: half a row is not the row."""
    rows = pd.read_parquet(bring_in(snapshots, two_rows)[0] / "rows.parquet")
    assert list(zip(rows.t_s - MONDAY, rows.row, rows.meter_power_w, strict=True)) == [(0, "R1", 18_000.0)]


def test_speeds_of_fans_are_no_airflow_without_a_factor(snapshots, two_rows):
    out, said = bring_in(snapshots, two_rows)
    assert pd.read_parquet(out / "servers.parquet").airflow_cfm.isna().all()
    assert "servers.airflow_cfm" in said["missing"]


def test_a_folder_without_documents_and_names_without_a_time_are_refused(snapshots, two_rows, tmp_path):
    write_site(two_rows, tmp_path / "site.yaml")
    (snapshots / "S1" / "latest.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for folder, complaint in (
        (snapshots, "S1/latest: 'latest': must be a time"),
        (tmp_path / "empty", "holds no document"),
    ):
        options = ["--path", str(folder), "--site", str(tmp_path / "site.yaml"), "--out", str(tmp_path / "out")]
        done = CliRunner().invoke(app, ["import", "--from", "redfish", *options])
        assert isinstance(done.exception, InvalidInput)
        assert complaint in str(done.exception)


def test_names_that_the_site_does_not_have_are_refused_before_anything_is_read(snapshots, two_rows, tmp_path):
    """A slip in a mapping would leave out a machine's readings one by one."""
    write_site(two_rows, tmp_path / "site.yaml")
    (tmp_path / "hosts.csv").write_text("label,name\nbmc-2,S22\n")
    (tmp_path / "sources.yaml").write_text("format: tapas-opt/sources/1\nairflow: {dgx-z9: {cfm_per_rpm: 1}}\n")
    told = [f"--{name.split('.')[0]}={tmp_path / name}" for name in ("site.yaml", "hosts.csv", "sources.yaml")]
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["import", "--from", "redfish", f"--path={snapshots}", f"--out={out}", *told])
    assert isinstance(done.exception, InvalidInput)
    assert "'S22': is no server, row or room of the site" in str(done.exception)
    assert "'dgx-z9': is no hardware of the site" in str(done.exception)
    assert not out.exists()


def link(path: str) -> dict[str, str]:
    return {"@odata.id": f"/redfish/v1/{path}"}


TREE = {
    "/redfish/v1/": {
        "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
        "Chassis": link("Chassis"),
        "Systems": link("Systems"),
    },
    "/redfish/v1/Chassis": {
        "@odata.type": "#ChassisCollection.ChassisCollection",
        "Members": [link("Chassis/Self"), link("Chassis/1"), link("Chassis/Gone")],
    },
    "/redfish/v1/Chassis/Self": {
        "@odata.type": "#Chassis.v1_9_0.Chassis",
        "Thermal": link("Chassis/Self/Thermal"),
        "Power": link("Chassis/Self/Power"),
        "Sensors": link("Chassis/Self/Sensors"),
    },
    "/redfish/v1/Chassis/1": {
        "@odata.type": "#Chassis.v1_24_0.Chassis",
        "ThermalSubsystem": link("Chassis/1/ThermalSubsystem"),
        "EnvironmentMetrics": link("Chassis/1/EnvironmentMetrics"),
    },
    "/redfish/v1/Chassis/1/ThermalSubsystem": {
        "@odata.type": "#ThermalSubsystem.v1_3_0.ThermalSubsystem",
        "ThermalMetrics": link("Chassis/1/ThermalSubsystem/ThermalMetrics"),
    },
    **{document["@odata.id"]: document for document in (THERMAL, POWER, METRICS, ENVIRONMENT)},
}


@pytest.fixture
def bmc() -> Iterator[str]:
    """Serves the tree, read-only, and knows nothing else."""

    class Bmc(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = TREE.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(found or {"error": {"code": "Base.1.0.ResourceMissing"}}).encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bmc) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_bmc_is_read_by_its_links_and_a_dead_link_is_passed_over(bmc):
    """Only what leads to readings is asked for: not Systems, nor hundreds of Sensors beside Thermal."""
    with JsonClient(bmc, wait=lambda _: None) as client:
        documents = list(fetch_documents(client))
    assert {document.get("@odata.type", "").split(".")[0] for document in documents} >= {
        "#Thermal",
        "#Power",
        "#ThermalMetrics",
    }
    assert len(documents) == len(TREE)
    assert best(of(*documents), "servers.inlet_c") == 23.0


def test_collect_keeps_what_import_reads_and_names_what_does_not_answer(bmc, tmp_path, monkeypatch):
    monkeypatch.setattr("tapas_opt.telemetry.http.FIRST_WAIT_S", 0.0)
    folder = tmp_path / "kept"
    done = CliRunner().invoke(app, ["collect", bmc, "http://127.0.0.1:1", "--path", str(folder), "--json"])
    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert said["documents"] == {bmc: len(TREE)}
    assert "does not answer" in said["failed"]["http://127.0.0.1:1"]
    (file,) = folder.glob("127.0.0.1/*.json")
    assert best(of(*json.loads(file.read_text())), "servers.power_w") == 4000.0


def test_an_address_without_redfish_is_said_so(bmc, monkeypatch):
    monkeypatch.setitem(TREE, "/redfish/v1/", {})
    with JsonClient(bmc) as client, pytest.raises(InvalidInput, match="there is no Redfish service"):
        list(fetch_documents(client))
