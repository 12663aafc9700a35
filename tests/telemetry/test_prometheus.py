"""History out of a real Prometheus: what went in comes out in the schema, and what was wrong with it is said."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tapas_opt.cli.history import app
from tapas_opt.domain.history import TABLES
from tapas_opt.domain.site_file import write_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.history import read_panel
from tapas_opt.telemetry.http import JsonClient
from tapas_opt.telemetry.importing import Span
from tapas_opt.telemetry.prometheus import PrometheusHistory
from tapas_opt.telemetry.prometheus_api import PrometheusApi
from tapas_opt.telemetry.sources import Sources

START = 1_767_564_000
"""Sunday 2026-01-04, 22:00 UTC: four hours from here cross midnight, so that there are two parts."""

MIDNIGHT, END, SCRAPE_S, SLOT_S = START + 7_200, START + 14_400, 60, 300
TIMES = range(START, END, SCRAPE_S)
SLOTS = (END - START) // SLOT_S

SOURCES = """
format: tapas-opt/sources/1
airflow:
  dgx-a100: {cfm_per_rpm: 0.05}
instances:
  - {label: "s5.example.com:8000", vm: chat-1, server: S5, template: chat, goodput_tokens_per_s: 1000}
vms:
  - {vm: vm-7, server: S2, template: acme, end: "2026-01-05T00:00:00Z"}
  - {vm: vm-7, server: S4, template: acme, start: "2026-01-05T00:00:00Z"}
rest_as: bare-metal
metrics:
  - {column: rows.meter_power_w, unit: kW, query: "sum by (row) (pdu_kilowatts)", label: row}
  - {column: rooms.outdoor_c, unit: F, metric: weather_fahrenheit, of: room1}
"""


def clean(t_s: int) -> float:
    """A reading that changes from slot to slot and is the same within one."""
    return 50.0 + (t_s // SLOT_S) % 7


def story() -> dict[str, list[tuple[int, float | str]]]:
    """Samples by series. Each of the eight GPUs of S1 has another fault; what is right stands beside it."""
    gpu = {g: f'DCGM_FI_DEV_GPU_TEMP{{Hostname="S1",gpu="{g}",UUID="GPU-{g}"}}' for g in range(7)}
    usual = [(t, clean(t)) for t in TIMES]
    at = START + 10 * SLOT_S + SCRAPE_S
    series = {
        gpu[0]: usual,
        gpu[1]: [(t, v) for t, v in usual if not at <= t < at + 3 * SLOT_S],
        gpu[2]: [(t, "NaN" if t == at else v) for t, v in usual],
        gpu[3]: [(t, -40.0 if t == at else v) for t, v in usual],
        gpu[4]: [(t, 9_999.0 if t == at else v) for t, v in usual],
        gpu[5]: [(t, 61.0) for t in TIMES],
        gpu[6]: [(t, v) for t, v in usual if t < at],
        'DCGM_FI_DEV_GPU_TEMP{Hostname="S1",gpu="9"}': usual,
        'DCGM_FI_DEV_GPU_TEMP{Hostname="S9",gpu="0"}': usual,
        # Two exporters see one GPU; the second one is wrong for a slot, and there where the first one is silent.
        'DCGM_FI_DEV_GPU_TEMP{Hostname="s2.example.com",gpu="0",pod="a"}': [
            (t, v) for t, v in usual if not at + SLOT_S <= t < at + 3 * SLOT_S
        ],
        'DCGM_FI_DEV_GPU_TEMP{Hostname="s2.example.com",gpu="0",pod="b"}': [
            (t, v + (20.0 if START <= t < START + SLOT_S else 0.0)) for t, v in usual
        ],
        # An exporter on S1 speaks for a machine that is not of the site: its inlet is not that of S1.
        'ipmi_temperature_celsius{target="10.9.9.9",instance="S1:9290",name="Inlet Temp"}': [(t, 35.0) for t in TIMES],
        'DCGM_FI_DEV_MEMORY_TEMP{Hostname="S2",gpu="0"}': [(t, 0.0) for t in TIMES],
        'DCGM_FI_DEV_POWER_USAGE{Hostname="S2",gpu="0"}': [(t, 300.0 + t % SLOT_S / SCRAPE_S) for t in TIMES],
        'DCGM_FI_DEV_POWER_USAGE{Hostname="S4",gpu="1"}': [(t, 400.0) for t in TIMES],
        'DCGM_FI_DEV_POWER_USAGE{Hostname="S6",gpu="0"}': [(t, 60.0) for t in TIMES],
        'DCGM_FI_DEV_POWER_USAGE{Hostname="S6",gpu="1"}': [(t, 400.0) for t in TIMES],
        'DCGM_FI_DEV_GPU_UTIL{Hostname="S2",gpu="0"}': [(t, 40.0) for t in TIMES],
        'DCGM_FI_DEV_GPU_UTIL{Hostname="S3",gpu="0"}': [(t, 40.0) for t in TIMES],
        'DCGM_FI_PROF_GR_ENGINE_ACTIVE{Hostname="S2",gpu="0"}': [(t, 0.25) for t in TIMES],
        'ipmi_temperature_celsius{instance="10.0.0.3:9290",name="Inlet Temp"}': [(t, 24.0) for t in TIMES],
        'ipmi_temperature_celsius{instance="10.0.0.3:9290",name="Exhaust Temp"}': [(t, 44.0) for t in TIMES],
        'ipmi_dcmi_power_consumption_watts{instance="10.0.0.3:9290"}': [(t, 4_000.0) for t in TIMES],
        'ipmi_fan_speed_rpm{instance="10.0.0.3:9290",name="Fan1"}': [(t, 6_000.0) for t in TIMES],
        'ipmi_fan_speed_rpm{instance="10.0.0.3:9290",name="Fan2"}': [(t, 24_000.0) for t in TIMES],
        'ipmi_fan_speed_rpm{instance="10.0.0.3:9290",name="Fan3"}': [(t, "NaN") for t in TIMES],
        'pdu_kilowatts{row="R1",pdu="P1"}': [(t, 8.0) for t in TIMES],
        'pdu_kilowatts{row="R1",pdu="P2"}': [(t, 9.0) for t in TIMES],
        "weather_fahrenheit{}": [(t, 50.0) for t in TIMES],
    }
    return series | vllm()


def vllm() -> dict[str, list[tuple[int, float | str]]]:
    """An instance that serves 200 + 300 tokens/s, restarts (its counters begin again), and is a later version then."""
    labels = '{instance="s5.example.com:8000",model_name="llama",engine="0"}'
    old, new = range(START, MIDNIGHT, SCRAPE_S), range(MIDNIGHT, END, SCRAPE_S)
    return {
        f"vllm:prompt_tokens_total{labels}": [(t, 200.0 * (t % 5_000)) for t in TIMES],
        f"vllm:generation_tokens_total{labels}": [(t, 300.0 * (t - START)) for t in TIMES],
        f"vllm:gpu_cache_usage_perc{labels}": [(t, 0.5) for t in old],
        f"vllm:kv_cache_usage_perc{labels}": [(t, 0.75) for t in new],
        f"vllm:time_per_output_token_seconds_sum{labels}": [(t, 3.0 * (t - START)) for t in old],
        f"vllm:time_per_output_token_seconds_count{labels}": [(t, 60.0 * (t - START)) for t in old],
        f"vllm:inter_token_latency_seconds_sum{labels}": [(t, 6.0 * (t - START)) for t in new],
        f"vllm:inter_token_latency_seconds_count{labels}": [(t, 60.0 * (t - START)) for t in new],
    }


@pytest.fixture(scope="module")
def address(real_prometheus, tmp_path_factory) -> Iterator[str]:
    backfill, serve = real_prometheus
    folder = tmp_path_factory.mktemp("prometheus")
    backfill(folder, [f"{name} {value} {t}" for name, samples in story().items() for t, value in samples])
    with serve(folder) as url:
        yield url


@pytest.fixture(scope="module")
def files(two_rows, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_site(two_rows, folder / "site.yaml")
    (folder / "sources.yaml").write_text(SOURCES, encoding="utf-8")
    (folder / "hosts.csv").write_text("label,name\n10.0.0.3,S3\n", encoding="utf-8")
    return folder


def arguments(url: str, files: Path, out: Path) -> list[str]:
    where = ["--url", url, "--start", "2026-01-04T22:00:00Z", "--end", str(END), "--out", str(out)]
    told = ["--site", "site.yaml", "--sources", "sources.yaml", "--hosts", "hosts.csv"]
    return ["import", "--from", "prometheus", *where, *[str(files / t) if "." in t else t for t in told], "--json"]


@pytest.fixture(scope="module")
def imported(address, files, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("out") / "history"
    done = CliRunner().invoke(app, arguments(address, files, out))
    assert done.exit_code == 0, done.exception
    return out, json.loads(done.stdout)


def of_gpu(out: Path, server: str, gpu: int) -> pd.DataFrame:
    """Readings of one GPU by slot, NaN where there is no row."""
    frame = pd.read_parquet(out / "gpus.parquet")
    mine = frame[(frame.server == server) & (frame.gpu == gpu)]
    return mine.set_index("t_s").reindex(START + SLOT_S * np.arange(SLOTS))


SENT = np.array([clean(START + SLOT_S * i) for i in range(SLOTS)])


@pytest.mark.parametrize(
    ("gpu", "lost"),
    [
        pytest.param(0, [], id="clean"),
        pytest.param(1, [11, 12], id="missing: a slot with a part of its samples is still a mean of these"),
        pytest.param(2, [10], id="NaN"),
        pytest.param(3, [10], id="negative"),
        pytest.param(4, [10], id="absurd"),
        pytest.param(6, range(11, SLOTS), id="stale: the last value does not live on"),
    ],
)
def test_what_went_in_comes_out_but_for_the_slots_that_were_wrong(imported, gpu, lost):
    """A slot is the mean of its own samples; one bad sample would make a mean that looks right, so its slot is lost."""
    read = of_gpu(imported[0], "S1", gpu).temperature_c.to_numpy()
    assert np.flatnonzero(np.isnan(read)).tolist() == list(lost)
    kept = np.isfinite(read)
    assert np.allclose(read[kept], SENT[kept])


def test_a_stuck_sensor_is_imported_as_it_is(imported):
    """Whether it is stuck is judged when history is read, over days; the import keeps what was said."""
    assert of_gpu(imported[0], "S1", 5).temperature_c.eq(61.0).all()


def test_of_two_exporters_the_first_is_believed_and_the_second_fills_its_gaps(imported):
    out, said = imported
    assert np.allclose(of_gpu(out, "S2", 0).temperature_c, SENT)
    # 48 slots; one where they contradict each other, and one that only the second has (of two, each has a part).
    dropped = said["dropped"]["gpus.temperature_c"]
    assert dropped["said twice, and differently"] == 1
    assert dropped["said twice"] == SLOTS - 2
    assert dropped["not a number"] == 1
    assert dropped["outside the physical range"] == 2


def test_a_sensor_that_is_not_there_reads_zero_and_is_missing(imported):
    """GPUs without HBM report a memory at 0 °C."""
    out, said = imported
    assert of_gpu(out, "S2", 0).memory_temperature_c.isna().all()
    assert said["dropped"]["gpus.memory_temperature_c"]["outside the physical range"] == SLOTS
    assert "gpus.memory_temperature_c" in said["missing"]


def test_the_better_measure_of_load_is_taken_where_a_server_has_both(imported):
    """Two measures of load are two quantities: a server's history must not change from one to the other."""
    out, said = imported
    assert of_gpu(out, "S2", 0).load_frac.eq(0.25).all()
    assert np.allclose(of_gpu(out, "S3", 0).load_frac, 0.4)
    assert "any kernel ran" in said["proxies"]["DCGM_FI_DEV_GPU_UTIL"]


def test_a_slot_is_the_mean_over_its_samples(imported):
    """300, 301, … 304 W in each: 302 W."""
    assert np.allclose(of_gpu(imported[0], "S2", 0).power_w, 302.0)


def test_servers_are_found_by_mapping_and_fans_move_air_by_the_hardwares_factor(imported):
    """Fans at 6,000 and 24,000 rpm, 0.05 CFM for each turn of their mean: 750 CFM. The third fan never speaks."""
    servers = pd.read_parquet(imported[0] / "servers.parquet")
    assert set(servers.server) == {"S3"}
    assert len(servers) == SLOTS
    assert servers.inlet_c.eq(24.0).all()
    assert servers.power_w.eq(4_000.0).all()
    assert np.allclose(servers.airflow_cfm, 750.0)


def test_queries_of_the_operators_own_fill_rows_and_rooms(imported):
    """17 kW, and 50 °F are 10 °C."""
    rows, rooms = (pd.read_parquet(imported[0] / f"{name}.parquet") for name in ("rows", "rooms"))
    assert set(rows.row) == {"R1"}
    assert np.allclose(rows.meter_power_w, 17_000.0)
    assert set(rooms.room) == {"room1"}
    assert np.allclose(rooms.outdoor_c, 10.0)


def test_vllm_gives_the_load_of_a_vm_through_its_restart_and_its_new_names(imported):
    """500 tokens/s of a goodput of 1,000; counters that begin again are no negative rate."""
    vms = pd.read_parquet(imported[0] / "vms.parquet")
    vms = vms[vms.vm == "chat-1"]
    assert set(zip(vms.vm, vms.server, vms.template, strict=True)) == {("chat-1", "S5", "chat")}
    assert np.allclose(vms.load_frac, 0.5, rtol=0.25)
    assert np.isclose(vms.load_frac.median(), 0.5)
    serving = pd.read_parquet(imported[0] / "serving.parquet").set_index("t_s")
    assert serving.loc[: MIDNIGHT - 1, "kv_cache_frac"].eq(0.5).all()
    assert serving.loc[MIDNIGHT:, "kv_cache_frac"].eq(0.75).all()
    assert np.allclose(serving.loc[: MIDNIGHT - 1, "inter_token_s"], 0.05)
    assert np.allclose(serving.loc[MIDNIGHT:, "inter_token_s"], 0.1)


def test_other_vms_are_as_busy_as_their_gpus_power_and_may_move(imported, two_rows):
    """vm-7 is on S2 until midnight and on S4 then; S6 is nobody's, and half of its two GPUs' range is used."""
    hardware = two_rows.hardware["dgx-a100"]
    idle_w, limit_w = hardware.gpu_idle_power_w, hardware.gpu_max_power_w
    vms = pd.read_parquet(imported[0] / "vms.parquet").set_index("t_s")
    moved, nobodys = vms[vms.vm == "vm-7"], vms[vms.vm == "S6"]
    assert moved.loc[: MIDNIGHT - 1].server.eq("S2").all()
    assert moved.loc[MIDNIGHT:].server.eq("S4").all()
    assert np.allclose(moved.loc[: MIDNIGHT - 1].load_frac, (302 - idle_w) / (limit_w - idle_w))
    assert np.allclose(moved.loc[MIDNIGHT:].load_frac, min(1.0, (400 - idle_w) / (limit_w - idle_w)))
    assert np.allclose(nobodys.load_frac, (230 - idle_w) / (limit_w - idle_w))
    assert set(nobodys.template) == {"bare-metal"}
    assert set(vms.vm) == {"chat-1", "vm-7", "S6"}


def test_what_the_site_does_not_have_is_named(imported):
    _, said = imported
    assert said["unknown"] == {"gpus": {"S1/9": SLOTS}, "hosts": {"S9": SLOTS, "10.9.9.9": SLOTS}}


def test_the_tables_can_be_read_by_fit(imported, two_rows):
    """Unix seconds, sorted by time, each table there."""
    out, said = imported
    assert {path.stem for path in out.glob("*.parquet")} == {*TABLES, "serving"}
    assert json.loads((out / "import.json").read_text())["rows"] == said["rows"]
    assert not list(out.glob(".*"))
    for name in TABLES:
        assert pd.read_parquet(out / f"{name}.parquet").t_s.is_monotonic_increasing
    panel = read_panel(out, topology_of(two_rows)).panel
    assert panel.t_s[0] == START
    assert panel.t_s[-1] == END - SLOT_S


def test_an_import_that_was_interrupted_goes_on_and_ends_the_same(address, files, imported, tmp_path, monkeypatch):
    """The first part is kept: it is not asked for again. Another request must not be mixed into it."""
    out = tmp_path / "history"
    read, asked = PrometheusHistory.read, []

    def until_midnight(self, span):
        asked.append(span.start_s)
        if span.start_s == MIDNIGHT and len(asked) == 2:
            raise KeyboardInterrupt
        return read(self, span)

    monkeypatch.setattr(PrometheusHistory, "read", until_midnight)
    CliRunner().invoke(app, arguments(address, files, out))
    assert not list(out.glob("*.parquet"))
    other = CliRunner().invoke(app, [*arguments(address, files, out), "--step", "60"])
    assert isinstance(other.exception, InvalidInput)
    assert "unfinished import with 300, not 60" in str(other.exception)
    done = CliRunner().invoke(app, arguments(address, files, out))
    said = json.loads(done.stdout)
    assert asked == [START, MIDNIGHT, MIDNIGHT]
    assert said["parts_kept_from_before"] == 1
    for key in ("rows", "read", "used", "dropped", "unknown"):
        assert said[key] == imported[1][key]
    again = CliRunner().invoke(app, arguments(address, files, out))
    assert "already holds files" in str(again.exception)


def test_a_query_that_prometheus_refuses_is_an_error_with_its_words(address, files, tmp_path):
    (files / "wrong.yaml").write_text(
        'format: tapas-opt/sources/1\nmetrics: [{column: rows.meter_power_w, unit: W, query: "sum by (row"}]\n'
    )
    wrong = arguments(address, files, tmp_path / "out")
    wrong[wrong.index(str(files / "sources.yaml"))] = str(files / "wrong.yaml")
    done = CliRunner().invoke(app, wrong)
    assert isinstance(done.exception, InvalidInput)
    assert "parse error" in str(done.exception)
    assert "sum by (row" in str(done.exception)


def test_the_operator_may_say_which_label_names_the_server(address, two_rows):
    """Where exporters call themselves by their pods, another label knows the node; here it is the sensor's name."""
    topology = topology_of(two_rows)
    span = Span(START, START + 2 * SLOT_S, SLOT_S)
    with JsonClient(address) as client:
        sources = Sources(labels=("UUID", "Hostname"))
        part = PrometheusHistory(PrometheusApi(client), topology, sources, {"GPU-0": "S5"}).read(span)
    assert set(part.tables["gpus"].to_pandas().server) == {"S2", "S3", "S4", "S5", "S6"}
    assert set(part.tally.unknown["hosts"]) >= {"GPU-1", "S9"}


def test_a_target_that_vanishes_is_not_believed_to_go_on(real_prometheus, two_rows, tmp_path):
    """A live scrape: when a series ends Prometheus marks it stale, and the marker is a NaN that is no reading."""
    _, serve = real_prometheus
    page = {"text": b'DCGM_FI_DEV_GPU_TEMP{Hostname="S1",gpu="0"} 55\n'}
    scraped = threading.Event()

    class Exporter(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(page["text"])
            scraped.set()

        def log_message(self, *_):
            pass

    exporter = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    target = f"127.0.0.1:{exporter.server_port}"
    config = (
        "global: {scrape_interval: 100ms, scrape_timeout: 100ms}\n"
        f"scrape_configs: [{{job_name: dcgm, honor_labels: true, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    with serve(tmp_path, config) as url, JsonClient(url) as client:
        assert scraped.wait(30.0)  # Prometheus takes five seconds to find its targets
        start = int(time.time())
        time.sleep(1.5)
        page["text"] = b""
        time.sleep(2.0)
        end = int(time.time())
        history = PrometheusHistory(PrometheusApi(client), topology_of(two_rows), Sources())
        part = history.read(Span(start, end, 1))
    exporter.shutdown()
    exporter.server_close()
    gpus = part.tables["gpus"].to_pandas()
    assert gpus.temperature_c.eq(55.0).all()
    assert start <= gpus.t_s.max() <= start + 2
    assert not part.tally.dropped
