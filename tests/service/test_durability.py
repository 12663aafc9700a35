"""Nothing acknowledged is lost, and what cannot be kept is refused while routing goes on."""

import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from tapas_opt.client import Client
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import JournalFailed, NoInstance, ServerUnreachable
from tapas_opt.service.servicers import SERVICES

ONE = Vm("one", VmKind.IAAS, "acme")


def route_soon(client, endpoint, within_s=5.0):
    until = time.monotonic() + within_s
    while True:
        try:
            return client.route(endpoint)
        except NoInstance:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def ask_for_two_seconds(client):
    for _ in range(100):
        client.snapshot()
        time.sleep(0.02)


def with_an_instance(client, endpoint):
    client.put_endpoint(endpoint)
    client.place([Vm("instance", VmKind.SAAS, "acme", endpoint=endpoint.name)])
    client.confirm(["instance"])
    assert route_soon(client, endpoint.name).instance == "instance"


def test_an_acknowledged_reservation_survives_kill_9(start):
    """The process dies without a word right after its answer; a new one on the same journal knows the VM."""
    first = start()
    with first.client() as client:
        placed = client.place([ONE])
    first.kill()
    second = start()
    assert second.started["vms"] == 1
    with second.client() as client:
        record = client.vm("one")
        assert (record.state, record.server) == ("reserved", placed.server_of["one"])
        assert record.reserved_until_s == placed.reserved_until_s
        assert client.place([ONE], request_id=placed.request_id) == placed
    assert second.terminate() == 0
    assert second.errors() == ""


def test_failures_mode_and_plans_survive_a_restart(start, chat):
    first = start()
    with first.client() as client:
        with_an_instance(client, chat)
        before = (client.snapshot().fingerprint, client.configurations(), list(client.vms()))
    assert first.terminate() == 0
    with start().client() as client:
        assert (client.snapshot().fingerprint, client.configurations(), list(client.vms())) == before
        assert route_soon(client, "chat").instance == "instance"


def test_a_full_disk_refuses_changes_routes_on_and_recovers(start, chat):
    """The limit on file sizes makes every further write fail, as a full disk does; lifting it makes room again."""
    process = start()
    with process.client() as client:
        with_an_instance(client, chat)
        size = Path(process.state + "-wal").stat().st_size
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        with pytest.raises(JournalFailed, match=r"cannot be written: .*; nothing was changed"):
            client.place([ONE])
        assert [record.vm.name for record in client.vms()] == ["instance"]
        assert client.route("chat").instance == "instance"
        assert client.serving()
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert client.place([ONE]).server_of.keys() == {"one"}
    assert process.terminate() == 0
    assert process.errors() == ""


def test_a_read_only_journal_is_served_from_but_refuses_changes(start, chat):
    first = start()
    with first.client() as client:
        with_an_instance(client, chat)
    first.terminate()
    process = start("--state", f"sqlite:///file:{first.state}?mode=ro&uri=true")
    with process.client() as client:
        assert route_soon(client, "chat").instance == "instance"
        with pytest.raises(JournalFailed, match="readonly database; nothing was changed"):
            client.release(["instance"])
        assert client.vm("instance").state == "running"
    assert process.terminate() == 0
    assert process.errors() == ""


def test_sigterm_lets_a_call_under_way_end_takes_no_new_one_and_exits_0(start):
    """A stream of telemetry is half sent when the signal comes: its second half is still taken in."""
    process = start()
    halfway, go_on, pushed = threading.Event(), threading.Event(), []

    def batches():
        yield Readings(time.time(), outdoor_c={"room1": 18.0})
        halfway.set()
        go_on.wait(10)
        yield Readings(time.time(), outdoor_c={"room1": 18.5})

    with process.client() as client, Client(process.address) as late:
        sender = threading.Thread(target=lambda: pushed.append(client.push_telemetry(batches())))
        sender.start()
        assert halfway.wait(5)
        watch = client._health.Watch(health_pb2.HealthCheckRequest(service=next(iter(SERVICES))), timeout=10)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        process.signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        with pytest.raises(ServerUnreachable):
            ask_for_two_seconds(late)
        go_on.set()
        sender.join(10)
    assert pushed[0].accepted == 2
    assert process._end() == 0
    assert process.errors() == ""


def test_a_signal_that_interrupts_another_thread_stops_the_server_too(repository, tmp_path):
    """Which thread it interrupts is the system's choice; the main one, asleep on a lock, would not notice."""
    lines = (
        "import signal, threading",
        "from pathlib import Path",
        "from tapas_opt.service.options import Options",
        "from tapas_opt.service.running import run",
        "def to_itself(): signal.pthread_kill(threading.get_ident(), signal.SIGTERM)",
        "def ready(address, core): threading.Timer(0.2, to_itself).start()",
        f"data, models = Path({str(repository)!r}) / 'data' / 'demo', Path({str(repository)!r}) / 'models' / 'demo'",
        f"files = (data / 'site.yaml', models, data / 'profiles.csv', {str(tmp_path / 'state.sqlite')!r})",
        "run(Options(*files, port=0), ready)",
    )
    stopped = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, timeout=120, check=False)
    assert (stopped.returncode, stopped.stderr) == (0, b"")


def test_an_expired_reservation_is_released_and_that_is_journaled(start):
    """On the clock of telemetry: pushing a reading of an hour later lets the reservation expire (after 600 s)."""
    process = start("--clock", "telemetry")
    with process.client() as client:
        client.push_telemetry([Readings(1_000_000.0)])
        assert client.place([ONE]).reserved_until_s == 1_000_600.0
        client.push_telemetry([Readings(1_003_600.0)])
        for _ in range(100):
            if not list(client.vms()):
                break
            time.sleep(0.05)
        assert list(client.vms()) == []
    process.kill()
    with sqlite3.connect(process.state) as connection:
        assert connection.execute("SELECT method FROM journal ORDER BY sequence").fetchall()[-1] == ("Tick",)
    connection.close()


def servers_telemetry(at_s, servers, warmer_c=0.0):
    """All servers idle in mild weather; inlets as their models predict them, give or take, and so much warmer."""
    return Readings(
        at_s,
        outdoor_c={"room1": 20.0},
        server_power_w=dict.fromkeys(servers, 1_700.0),
        inlet_c=dict.fromkeys(servers, 22.0 + warmer_c),
    )


def widened(client):
    return [text for text in client.snapshot().warnings if text.startswith("WIDENED: inlet_temperature")]


def test_tracked_biases_survive_sigterm_and_kill_9(start, demo_topology):
    """The first reading finds sensors of which nothing is known; after either end, one finds them well known."""
    servers = demo_topology.servers
    first = start("--clock", "telemetry")
    with first.client() as client:
        client.push_telemetry([servers_telemetry(1_000.0, servers)])
        assert len(widened(client)) == 1
        client.push_telemetry(servers_telemetry(1_000.0 + 60.0 * k, servers) for k in range(1, 30))
        assert widened(client) == []
    assert first.terminate() == 0
    second = start("--clock", "telemetry")
    with second.client() as client:
        client.push_telemetry([servers_telemetry(2_800.0, servers)])
        assert widened(client) == []
    second.kill()
    third = start("--clock", "telemetry")
    with third.client() as client:
        client.push_telemetry([servers_telemetry(2_860.0, servers)])
        assert widened(client) == []
    assert third.terminate() == 0
    assert third.errors() == ""


def test_a_damaged_file_of_biases_costs_knowledge_and_no_service(start, demo_topology):
    """Half a file, as no crash of ours leaves it: it is said so, margins are wider, and the next file is whole."""
    first = start("--clock", "telemetry")
    with first.client() as client:
        client.push_telemetry(servers_telemetry(1_000.0 + 60.0 * k, demo_topology.servers) for k in range(5))
    assert first.terminate() == 0
    kept = Path(f"{first.state}.tracking.json")
    text = kept.read_text()
    kept.write_text(text[: len(text) // 2])
    second = start("--clock", "telemetry")
    with second.client() as client:
        (said,) = [text for text in client.snapshot().warnings if text.startswith("TRACKING")]
        assert "cannot be used" in said
        assert len(widened(client)) == 1
        assert client.place([ONE]).server_of.keys() == {"one"}
        client.push_telemetry([servers_telemetry(2_000.0, demo_topology.servers)])
    assert second.terminate() == 0
    assert "biases are tracked anew" in second.errors()
    assert kept.read_text().endswith("}")
