"""``tapas-opt demo``, as a shell sees it: one short drill against a real server, and everything that may go wrong."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tapas_opt.cli.server_process import server_process
from tapas_opt.errors import ServerUnreachable

COMMAND = str(Path(sys.executable).with_name("tapas-opt"))
AROUND_THE_UPS = "14.9-15.15"
"""Six minutes before the UPS fails until nine minutes after."""


def run(folder, *arguments, timeout=90):
    command = [COMMAND, "demo", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)


def listen_to_signals():
    """In the child: a shell that runs the tests in the background has its children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def children(pid):
    """Processes that were started by this one, by themselves."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def when(condition, within_s=30.0):
    """What a condition gives once it gives something."""
    until = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def drill(tmp_path_factory):
    """A quarter of an hour with a failing UPS: what was printed, and the run's folder."""
    folder = tmp_path_factory.mktemp("drill")
    return run(folder, "--hours", AROUND_THE_UPS, "--json", "--name", "short"), folder / "runs" / "short"


def test_the_drill_ends_well_and_prints_one_object_and_nothing_else(drill):
    finished, _ = drill
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.count("\n") == 1
    told = json.loads(finished.stdout)
    assert {"requests_routed", "vms_placed", "emergency_plan_ms", "relief_s", "route_ms", "modes"} <= told.keys()
    assert set(told["policies"]) == {"tapas-opt", "baseline"}
    assert told["policies"]["tapas-opt"].keys() > told["policies"]["baseline"].keys()


def test_every_answer_stands_before_the_checker_and_no_ups_trips(drill):
    told = json.loads(drill[0].stdout)
    assert (told["checker_violations"], told["violations"]) == (0, [])
    assert told["policies"]["tapas-opt"]["ups_trips"] == 0
    assert told["relief_s"] < 60.0


def test_requests_are_routed_vms_are_adopted_and_placed_and_the_failure_is_planned_for(drill):
    """Every tenth of 80 servers holds a VM before the day begins; both policies meet the same requests."""
    told = json.loads(drill[0].stdout)
    ours, baseline = told["policies"]["tapas-opt"], told["policies"]["baseline"]
    assert told["requests_routed"] + told["requests_refused"] == baseline["requests_routed"] > 100
    assert told["vms_adopted"] == baseline["vms_adopted"] == 8
    assert told["vms_placed"] + told["vms_rejected"] == baseline["vms_placed"] + baseline["vms_rejected"] > 60
    assert sum(told["modes"]["emergency"].values()) == 1
    assert 0 < told["route_ms"]["p50"] <= told["route_ms"]["p99"] == ours["route_p99_ms"]
    assert 0 < told["emergency_plan_ms"]["p50"] <= told["emergency_plan_ms"]["max"] == ours["emergency_plan_max_ms"]
    assert {"inlet_temperature", "gpu_temperature", "server_power"} <= told["learned"].keys()


def test_the_run_leaves_a_summary_series_and_a_report_that_names_both_policies(drill):
    finished, folder = drill
    assert json.loads((folder / "summary.json").read_text()) == json.loads(finished.stdout)
    page = (folder / "report.html").read_text()
    assert "tapas-opt" in page
    assert "baseline" in page
    series = gzip.decompress((folder / "series.csv.gz").read_bytes()).decode().splitlines()
    assert series[0].startswith("policy,t_s,row_power_w[R1]")
    assert {line.split(",", 1)[0] for line in series[1:]} == {"tapas-opt", "baseline"}


@pytest.fixture
def terminal():
    """A terminal for a process's standard error: the file to give it, and what was written to it."""
    ours, theirs = pty.openpty()
    written = bytearray()

    def listen():
        with contextlib.suppress(OSError):  # a terminal ends with an error
            while part := os.read(ours, 4096):
                written.extend(part)

    listener = threading.Thread(target=listen)
    listener.start()
    yield theirs, written
    os.close(theirs)
    listener.join(10)
    os.close(ours)


def test_hold_leaves_the_server_up_until_ctrl_c_and_then_nothing(tmp_path, terminal):
    """What it prints first is a table, then a command that works as it is printed; progress is for terminals."""
    errors, written = terminal
    command = [COMMAND, "demo", "--hours", "14.99-15.01", "--hold"]
    able = {**os.environ, "TERM": "xterm"}  # one that cannot move its cursor gets no progress bar
    held = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=able,
        preexec_fn=listen_to_signals,  # noqa: PLW1509  nothing else runs between fork and exec
    )
    try:
        lines = []
        while not lines or "tapas-opt client status" not in lines[-1]:
            lines.append(held.stdout.readline())
            assert lines[-1], "".join(lines)
        (server,) = children(held.pid)
        tried = subprocess.run(
            [COMMAND, *lines[-1].split()[1:]], capture_output=True, text=True, timeout=120, check=False
        )
        assert tried.returncode == 0, tried.stderr
        text = "".join(lines)
        assert "UPSs that tripped" in text
        assert "0 violations found by the checker" in text
        assert "the server stays up at 127.0.0.1:" in text
        held.send_signal(signal.SIGINT)
        assert held.wait(30) == 0
        assert not alive(server)
    finally:
        held.kill()
        held.wait()
        held.stdout.close()
    assert b"simulating" in written
    assert b"Traceback" not in written


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_no_server_behind(tmp_path, number, code):
    """Also SIGTERM, which ends a Python process on the spot unless somebody sees to it."""
    process = subprocess.Popen(
        [COMMAND, "demo", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_signals,  # noqa: PLW1509  nothing else runs between fork and exec
    )
    try:
        (server,) = when(lambda: children(process.pid))
        time.sleep(4.0)  # it has started, or is about to: either must be fine
        assert process.poll() is None
        process.send_signal(number)
        printed, errors = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, printed) == (code, "")
    assert "Traceback" not in errors
    assert not alive(server)


def test_a_server_that_does_not_start_is_quoted(tmp_path):
    """Its last words say why; nobody should have to look for a log file first."""
    with (
        pytest.raises(ServerUnreachable, match=r"the server did not start: .*nowhere\.yaml: file: cannot be read"),
        server_process(tmp_path / "nowhere.yaml", tmp_path / "server.log", route_every_s=60.0),
    ):
        pass


@pytest.fixture
def folder_with(tmp_path):
    """A folder of CSV files, by endpoint."""

    def make(**tables):
        folder = tmp_path / "trace"
        folder.mkdir()
        for endpoint, text in tables.items():
            (folder / f"{endpoint}.csv").write_text(text)
        return folder

    return make


GOOD = "t_s,context_tokens,generated_tokens\n0.0,10,10\n"
NO_OUTPUT = "t_s,context_tokens\n0.0,10\n"


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"conv": GOOD, "code": NO_OUTPUT}, "code.csv, column generated_tokens: is missing"),
        ({"conv": GOOD}, "has no trace for endpoint code; the drill's endpoints are code and conv"),
        ({"conv": GOOD, "code": GOOD, "chat": GOOD}, "chat: is no endpoint of the drill"),
        ({}, "holds no .csv or .csv.gz file"),
    ],
)
def test_a_bad_trace_is_one_message_and_exit_code_2(tmp_path, folder_with, tables, message):
    refused = run(tmp_path, "--trace", folder_with(**tables), "--json")
    assert refused.returncode == 2
    assert message in refused.stderr
    assert (refused.stdout, refused.stderr.count("\n")) == ("", 1)
    assert not (tmp_path / "runs").exists(), "nothing is made before every input is judged"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--trace", "nowhere"), "nowhere: folder: cannot be read: No such file"),
        (("--site", "nowhere.yaml"), "nowhere.yaml: file: cannot be read"),
        (("--name", "../elsewhere"), "--name: '../elsewhere': must be letters, digits and . _ : - only"),
        (("--name", ""), "--name: ''"),
        (("--hours", "16-14"), "--hours: '16-14': must be two hours of the day, such as 14.5-16"),
        (("--hours", "noon"), "--hours: 'noon'"),
        (("--hours", "-1-25"), "--hours: '-1-25'"),
    ],
)
def test_a_bad_option_is_one_message_and_exit_code_2(tmp_path, options, message):
    refused = run(tmp_path, *options)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert (refused.stdout, refused.stderr.count("\n")) == ("", 1)
    assert not (tmp_path / "runs").exists()


def test_a_site_file_with_a_fault_says_where(tmp_path, repository):
    site = (repository / "data" / "demo" / "site.yaml").read_text().replace("rating_w:", "rating_kw:", 1)
    (tmp_path / "site.yaml").write_text(site)
    refused = run(tmp_path, "--site", "site.yaml")
    assert refused.returncode == 2
    assert "rating_kw" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "runs").write_text("a file")
    refused = run(tmp_path, "--hours", AROUND_THE_UPS)
    assert refused.returncode == 2
    assert "cannot be made" in refused.stderr
    assert refused.stderr.count("\n") == 1
