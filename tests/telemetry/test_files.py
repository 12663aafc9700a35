"""An operator's own files: other names, units, clocks and layouts, and every way in which they can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tapas_opt.cli.history import app
from tapas_opt.domain.site_file import write_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.columns import read_layout
from tapas_opt.telemetry.history import read_panel

MONDAY = 1_767_571_200
"""2026-01-05T00:00:00Z."""

GPUS = """
format: tapas-opt/columns/1
tables:
  - table: gpus
    files: "gpu*.csv"
    time: {column: when}
    names: {server: host, gpu: index}
    columns:
      temperature_c: {column: temp_f, unit: F}
      power_w: {column: milliwatts, unit: mW}
      load_frac: {column: util, unit: "%"}
"""


@pytest.fixture
def bring_in(tmp_path):
    """Import files, given by name, with a mapping; the folder of tables and the summary."""
    folder = tmp_path / "in"
    folder.mkdir()

    def bring_in(
        mapping: str, files: dict[str, str | pd.DataFrame], *more: str, kind: str = "csv"
    ) -> tuple[Path, dict]:
        for name, content in files.items():
            if isinstance(content, str):
                (folder / name).write_text(content, encoding="utf-8")
            else:
                content.to_parquet(folder / name)
        (tmp_path / "map.yaml").write_text(mapping, encoding="utf-8")
        where = ["--path", str(folder), "--columns", str(tmp_path / "map.yaml"), "--out", str(tmp_path / "out")]
        done = CliRunner().invoke(app, ["import", "--from", kind, *where, *more, "--json"])
        if done.exception:
            raise done.exception
        return tmp_path / "out", json.loads(done.stdout)

    return bring_in


def gpu_rows(*rows: str) -> str:
    return "when,host,index,temp_f,milliwatts,util\n" + "".join(f"{row}\n" for row in rows)


def table(out: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(out / f"{name}.parquet")


def test_names_units_and_iso_times_with_an_offset_become_those_of_the_schema(bring_in):
    """122 °F are 50 °C; 01:00 at +01:00 is midnight UTC, and a text without an offset is taken in the zone given."""
    mapping = GPUS.replace("{column: when}", "{column: when, zone: Europe/Berlin}")
    out, said = bring_in(
        mapping,
        {
            "gpu0.csv": gpu_rows(
                "2026-01-05T01:00:00+01:00,S1,gpu0,122,300000,50", "2026-01-05 01:05:00,S1,gpu0,212,0,100"
            )
        },
    )
    gpus = table(out, "gpus")
    assert gpus.t_s.tolist() == [MONDAY, MONDAY + 300]
    assert gpus.server.tolist() == ["S1", "S1"]
    assert gpus.gpu.tolist() == [0, 0]
    assert np.allclose(gpus[["temperature_c", "power_w", "load_frac"]], [[50, 300, 0.5], [100, 0, 1]])
    assert gpus.memory_temperature_c.isna().all()
    assert said["clock"].startswith("t_s is Unix time")
    assert said["read"] == {"gpus.load_frac": 2, "gpus.power_w": 2, "gpus.temperature_c": 2}


@pytest.mark.parametrize(
    ("rows", "left", "dropped"),
    [
        pytest.param(["0,S1,0,,100000,50", "1,S1,0,NaN,100000,50", "2,S1,0,N/A,1,5"], np.nan, {}, id="missing"),
        pytest.param(["0,S1,0,122,1,1", "1,S1,0,hot,1,1"], 50.0, {"not a number": 1}, id="no number"),
        pytest.param(["0,S1,0,122,1,1", "1,S1,0,inf,1,1"], 50.0, {"not a number": 1}, id="infinite"),
        pytest.param(["0,S1,0,122,1,1", "1,S1,0,-300,1,1"], 50.0, {"outside the physical range": 1}, id="negative"),
        pytest.param(["0,S1,0,122,1,1", "1,S1,0,9999,1,1"], 50.0, {"outside the physical range": 1}, id="absurd"),
        pytest.param(["0,S1,0,122,1,1", "0,S1,0,140,1,1"], 50.0, {"said twice": 1}, id="duplicated: the first stays"),
        pytest.param(["60,S1,0,140,1,1", "0,S1,0,104,1,1"], 50.0, {}, id="reordered: 40 and 60 in one slot"),
    ],
)
def test_what_is_wrong_with_a_reading_is_counted_and_does_not_colour_the_others(bring_in, rows, left, dropped):
    """Each slot is the mean of its readings that can be."""
    mapping = GPUS.replace("{column: when}", "{column: when, kind: s}")
    out, said = bring_in(mapping, {"gpu.csv": gpu_rows(*rows)})
    assert table(out, "gpus").temperature_c.tolist() == pytest.approx([left], nan_ok=True)
    assert said["dropped"].get("gpus.temperature_c", {}) == dropped


def test_rows_without_a_time_are_counted(bring_in):
    out, said = bring_in(
        GPUS, {"gpu.csv": gpu_rows("2026-01-05T00:00:00Z,S1,0,122,1,1", "yesterday,S1,0,122,1,1", ",S1,0,1,1,1")}
    )
    assert len(table(out, "gpus")) == 1
    assert said["dropped"]["gpus.t_s"] == {"no time that can be read": 2}


@pytest.mark.parametrize(
    ("kind", "first", "later"),
    [("iso", "2026-01-05T00:00:00Z", "9999-12-31T23:59:00Z"), ("s", "0", "1e300"), ("s", "0", "4e11")],
)
def test_times_that_mean_never_are_counted(bring_in, kind, first, later):
    """They fit in no clock, or make a day thousands of years from now."""
    mapping = GPUS.replace("{column: when}", f"{{column: when, kind: {kind}}}")
    out, said = bring_in(mapping, {"gpu.csv": gpu_rows(f"{first},S1,0,122,1,1", f"{later},S1,0,122,1,1")})
    assert len(table(out, "gpus")) == 1
    assert said["dropped"]["gpus.t_s"] == {"no time that can be read": 1}


def test_an_hour_that_the_clock_repeats_is_dropped_since_nobody_knows_which_it_was(bring_in):
    """In Berlin 02:30 came twice on 2025-10-26."""
    mapping = GPUS.replace("{column: when}", "{column: when, zone: Europe/Berlin}")
    _, said = bring_in(
        mapping, {"gpu.csv": gpu_rows("2025-10-26 02:30:00,S1,0,122,1,1", "2025-10-26 03:30:00,S1,0,122,1,1")}
    )
    assert said["dropped"]["gpus.t_s"] == {"no time that can be read": 1}
    assert said["rows"]["gpus"] == 1


def test_times_without_a_zone_are_refused_rather_than_guessed(bring_in):
    with pytest.raises(InvalidInput, match="names no time zone; say zone: UTC"):
        bring_in(GPUS, {"gpu.csv": gpu_rows("2026-01-05 00:00:00,S1,0,122,1,1")})
    # The slip is mended in the mapping, and the same folder serves.
    out, _ = bring_in(GPUS.replace("{column: when}", "{column: when, zone: UTC}"), {})
    assert table(out, "gpus").t_s.tolist() == [MONDAY]


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("kind: s", str(MONDAY)),
        ("kind: ms", str(MONDAY * 1000)),
        ("kind: s, origin: '2026-01-01T00:00:00Z'", str(4 * 86_400)),
        ("pattern: '%d.%m.%Y %H:%M', zone: UTC", "05.01.2026 00:00"),
        ("pattern: '%d.%m.%Y %H:%M%z'", "05.01.2026 02:00+0200"),
    ],
)
def test_other_ways_to_write_a_time(bring_in, time, text):
    mapping = GPUS.replace("{column: when}", f"{{column: when, {time}}}")
    out, _ = bring_in(mapping, {"gpu.csv": gpu_rows(f"{text},S1,0,122,1,1")})
    assert table(out, "gpus").t_s.tolist() == [MONDAY]


def test_a_long_layout_and_several_tables_meet(bring_in):
    """One file of readings with the quantity in a column, and meters in a file of their own; days in any order."""
    mapping = """
format: tapas-opt/columns/1
tables:
  - table: servers
    files: readings.csv
    long: {quantity: what, value: value}
    time: {column: t, kind: s}
    names: {server: node}
    columns:
      inlet_c: {column: Inlet Temp, unit: C}
      power_w: {column: PowerConsumed, unit: kW}
      airflow_cfm: {column: Air, unit: m3/h}
  - table: rows
    time: {column: t, kind: s}
    names: {row: {constant: R1}}
    columns: {meter_power_w: {column: kw, unit: kW}}
"""
    day = 86_400
    out, said = bring_in(
        mapping,
        {
            "readings.csv": "t,node,what,value\n"
            f"{day},S2,Inlet Temp,25\n{day},S2,PowerConsumed,4\n0,S1,Inlet Temp,24\n0,S1,Air,1699.01\n0,S1,Fan,9\n",
            "rows.csv": f"t,kw\n0,30\n{day},31\n",
        },
    )
    servers = table(out, "servers")
    assert servers.server.tolist() == ["S1", "S2"]
    assert servers.t_s.tolist() == [0, day]
    assert np.allclose(servers.inlet_c, [24, 25])
    assert np.allclose(servers.power_w, [np.nan, 4_000], equal_nan=True)
    assert np.allclose(servers.airflow_cfm, [1_000, np.nan], equal_nan=True, rtol=1e-5)
    assert table(out, "rows").meter_power_w.tolist() == [30_000, 31_000]
    assert said["rows"] == {"rooms": 0, "servers": 2, "gpus": 0, "rows": 2, "vms": 0}


def test_parquet_of_other_types_is_read_and_what_the_site_does_not_have_is_named(bring_in, two_rows, tmp_path):
    """Timestamps with a zone, integers, names with a domain; a GPU too many and a stranger."""
    write_site(two_rows, tmp_path / "site.yaml")
    (tmp_path / "hosts.csv").write_text("label,name\nblade7,S2\n")
    t = pd.to_datetime([MONDAY] * 4, unit="s", utc=True).tz_convert("Asia/Tokyo")
    frame = pd.DataFrame(
        {"when": t, "host": ["s1.example.com", "blade7", "S1", "S9"], "index": [0, 7, 8, 0], "watts": [300, 310, 1, 2]}
    )
    mapping = GPUS[: GPUS.index("      temperature_c")].replace(".csv", ".parquet")
    site = ["--site", str(tmp_path / "site.yaml"), "--hosts", str(tmp_path / "hosts.csv")]
    out, said = bring_in(
        mapping + "      power_w: {column: watts, unit: W}\n", {"gpu.parquet": frame}, *site, kind="parquet"
    )
    gpus = table(out, "gpus")
    assert list(zip(gpus.server, gpus.gpu, gpus.power_w, strict=True)) == [("S1", 0, 300), ("S2", 7, 310)]
    assert said["unknown"] == {"gpus": {"S1/8": 1}, "servers": {"S9": 1}}


def test_vms_keep_the_text_of_their_first_row_and_fit_can_read_all(bring_in, two_rows, tmp_path):
    write_site(two_rows, tmp_path / "site.yaml")
    mapping = """
format: tapas-opt/columns/1
tables:
  - table: vms
    time: {column: t, kind: s}
    names: {template: customer}
    columns: {load_frac: {column: load, unit: "%"}}
  - table: servers
    time: {column: t, kind: s}
    columns: {power_w: {column: p, unit: W}}
"""
    files = {
        "vms.csv": "t,vm,server,customer,load\n0,v1,S1,acme,40\n60,v1,S1,acme,60\n300,v1,s2.example.com,acme,10\n",
        "servers.csv": "t,server,p\n0,S1,3000\n300,S2,3100\n",
    }
    out, _ = bring_in(mapping, files, "--site", str(tmp_path / "site.yaml"))
    vms = table(out, "vms")
    assert list(zip(vms.t_s, vms.server, vms.template, strict=True)) == [(0, "S1", "acme"), (300, "S2", "acme")]
    assert np.allclose(vms.load_frac, [0.5, 0.1])
    assert read_panel(out, topology_of(two_rows)).panel.templates == ("acme",)


def test_a_broken_mapping_lists_every_fault(write):
    with pytest.raises(InvalidInput) as refused:
        read_layout(
            write(
                """
format: tapas-opt/columns/1
tables:
  - table: gpus
    files: ../elsewhere.csv
    time: {column: t, kind: s, zone: UTC}
    names: {servant: a}
    columns: {temperature_c: {column: a, unit: W}, colour: {column: b, unit: W}}
  - table: servers
    time: {column: t, zone: Nowhere/Land}
    columns: {airflow_cfm: {column: a, unit: rpm}}
  - table: toasters
    time: {column: t, kind: s, origin: yesterday}
    columns: {}
"""
            )
        )
    said = str(refused.value)
    for complaint in (
        "pattern and zone belong to kind iso, not s",
        "names.servant: gpus has no such column; it has server, gpu",
        "columns.temperature_c.unit: 'W': is no unit of temperature_c",
        "columns.colour: gpus has no such reading",
        "files: '../elsewhere.csv': must lie in the folder",
        "zone 'Nowhere/Land': is no time zone",
        "turn speeds of fans into airflow first",
        "'toasters'",
        "origin 'yesterday': must be like",
        "tables[2].columns",
    ):
        assert complaint in said, said


def test_missing_files_and_columns_are_all_listed_before_anything_is_written(bring_in, tmp_path):
    mapping = (
        GPUS + "  - table: rows\n    time: {column: t, kind: s}\n    columns: {meter_power_w: {column: p, unit: W}}\n"
    )
    with pytest.raises(InvalidInput) as refused:
        bring_in(mapping, {"gpu1.csv": "when,host,temp_f,milliwatts\n", "gpu2.csv": ""})
    said = [str(fault) for fault in refused.value.faults]
    assert len(said) == 4
    assert "gpu1.csv, column index: is missing; the file has when, host, temp_f, milliwatts" in said
    assert any("gpu2.csv: cannot be read" in text for text in said)
    assert any("rows.csv" in text for text in said)
    assert not (tmp_path / "out").exists()


def test_files_without_a_single_reading_of_the_site_are_an_error_and_leave_nothing(bring_in, two_rows, tmp_path):
    """A summary full of zeros would be taken for a history."""
    write_site(two_rows, tmp_path / "site.yaml")
    with pytest.raises(InvalidInput, match="those of node7 are not of the site, name them in --hosts"):
        bring_in(
            GPUS,
            {"gpu.csv": gpu_rows("2026-01-05T00:00:00Z,node7,0,122,1,1")},
            "--site",
            str(tmp_path / "site.yaml"),
        )
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--from", "csv"], "--path: is missing; --from csv needs it"),
        (["--from", "prometheus", "--path", "x"], "--path: is nothing that --from prometheus reads"),
        (["--from", "csv", "--path", "x", "--columns", "x", "--step", "700"], "--step: 700: must divide a day"),
        (
            ["--from", "prometheus", "--url", "http://x", "--site", "x", "--start", "monday", "--end", "7"],
            "--start: 'monday': must be like 2026-01-05T00:00:00Z, or Unix seconds",
        ),
        (
            ["--from", "prometheus", "--url", "http://x", "--site", "x", "--start", "600", "--end", "700"],
            "--end: '700': must be at least 300 s, a whole slot, after",
        ),
    ],
)
def test_options_that_are_missing_or_that_nobody_reads_are_refused(arguments, complaint, tmp_path):
    done = CliRunner().invoke(app, ["import", *arguments, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, InvalidInput)
    assert complaint in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_person_reads_what_came_what_did_not_and_what_to_do_next(bring_in, tmp_path):
    bring_in(GPUS, {"gpu.csv": gpu_rows("2026-01-05T00:00:00Z,S1,0,122,-7,1", "2026-01-05T00:00:00Z,S1,cpu,1,1,1")})
    where = ["--path", str(tmp_path / "in"), "--columns", str(tmp_path / "map.yaml"), "--out", str(tmp_path / "again")]
    text = CliRunner().invoke(app, ["import", "--from", "csv", *where]).stdout
    assert "rows: 1 gpus" in text
    assert "gpus.temperature_c: 1 from gpu*.csv" in text
    assert "gpus.power_w: left out 1 outside the physical range" in text
    assert "gpus that the site does not have: S1/cpu" in text
    assert "no reading of rooms.outdoor_c" in text
    assert "tapas-opt fit --history" in text


@pytest.mark.parametrize("rows", [["2026-01-05T00:00:00Z,S1,0,122,1,5,1"], ["2026-01-05T00:00:00Z,S1,0,122,1,1"] * 2])
def test_rows_longer_than_the_heading_are_refused_and_not_shifted(bring_in, rows):
    """A decimal comma makes two cells of one, and every number after it another column's."""
    with pytest.raises(InvalidInput, match=r"gpu\.csv.*cannot be read"):
        bring_in(GPUS, {"gpu.csv": gpu_rows(*rows, "2026-01-05T00:05:00Z,S1,0,122,1,5,1")})
