"""``tapas-opt client``, as a shell sees it: what it prints, exit codes, and one message on stderr."""

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tapas_opt.client import Client
from tapas_opt.control.telemetry import Readings

COMMAND = str(Path(sys.executable).with_name("tapas-opt"))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    state = str(tmp_path_factory.mktemp("client") / "state.sqlite")
    command = [COMMAND, "serve", "--port", "0", "--json", "--state", state]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield json.loads(process.stdout.readline())["address"]
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture
def client(address):
    """Run ``tapas-opt client`` against the module's server."""

    def run(*arguments):
        command = [COMMAND, "client", *arguments, "--address", address]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_a_vm_is_placed_confirmed_listed_and_released(client):
    placed = client("place", "v1", "--tenant", "acme")
    assert placed.returncode == 0
    assert placed.stdout.splitlines()[-1] == "reserved; confirm with: tapas-opt client confirm v1"
    assert client("confirm", "v1").stdout == "running: v1\n"
    assert client("vms").stdout.startswith("v1 running on R")
    assert client("release", "v1").stdout == "released: v1\n"
    again = client("release", "v1")
    assert again.returncode == 2
    assert again.stderr == "tapas-opt: VM 'v1' does not exist; it was never placed, or was released already\n"


def test_parts_of_servers_are_placed_and_servers_kept_back(client):
    placed = client("place", "p1", "p2", "--tenant", "acme", "--gpus", "4", "--spot")
    first, second = placed.stdout.splitlines()[:2]
    assert (first.endswith("GPUs 0, 1, 2, 3"), second.endswith("GPUs 4, 5, 6, 7")) == (True, True)
    assert first.split()[2] == second.split()[2]
    kept = client("reservations", "put", "acme-1", "--hardware", "dgx-a100", "--servers", "4", "--tenant", "acme")
    assert kept.stdout == "kept back: 4 dgx-a100 in the site for acme\n"
    assert client("reservations", "list").stdout == "acme-1: 4 dgx-a100 in the site for acme, 0 in use\n"
    assert client("reservations", "remove", "acme-1").stdout == "removed: acme-1\n"
    assert client("reservations", "list").stdout == "nothing is kept back\n"
    assert client("release", "p1", "p2").returncode == 0


def test_outages_are_planned_listed_and_cancelled(client):
    planned = client("outages", "schedule", "ups:U2", "--start-s", "4000000000", "--hours", "4")
    assert planned.stdout == "planned: ups:U2 from 4000000000 s for 4 hours\n"
    assert client("outages", "list").stdout == "ups:U2 from 4000000000 s for 4 hours\n"
    assert client("outages", "cancel", "ups:U2").stdout == "cancelled: ups:U2\n"
    assert client("outages", "list").stdout == "no outage is planned\n"
    wrong = client("outages", "schedule", "U2", "--start-s", "4000000000", "--hours", "4")
    assert (wrong.returncode, "must be a kind" in wrong.stderr) == (2, True)


def test_json_is_one_object_and_the_same_request_id_gives_it_again(client):
    arguments = ("place", "v2", "--tenant", "acme", "--request-id", str(uuid.uuid4()), "--json")
    first, second = client(*arguments), client(*arguments)
    assert json.loads(first.stdout)["server_of"].keys() == {"v2"}
    assert first.stdout == second.stdout


def test_a_vm_that_fits_nowhere_is_exit_code_1_with_its_reason(client):
    """More VMs than servers: 81 of them, tried without reserving."""
    names = [f"many-{i}" for i in range(81)]
    tried = client("place", *names, "--tenant", "acme", "--try")
    assert tried.returncode == 1
    assert "got no server: " in tried.stdout


def test_a_failure_is_reported_and_cleared(client):
    failed = client("fail", "ups:U2")
    assert failed.returncode == 0
    assert failed.stdout.startswith("reported: ups:U2\nplan now-")
    assert "FAILED ups:U2" in client("status").stdout
    assert client("clear", "ups:U2").stdout == "cleared: ups:U2\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fail", "U2"), "'U2': give KIND:ELEMENT, where KIND is one of ups, pdu, ahu"),
        (("fail", "ups:U99"), "ups 'U99' does not exist; the site has U1, U2, U3, U4"),
        (("place", "bad name", "--tenant", "acme"), "vms[0].name: 'bad name': must be letters"),
        (("route", "nobody"), "endpoint 'nobody' does not exist"),
        (("route", "nobody", "--prompt-tokens", "99999999999"), "tokens: value out of range: 99999999999"),
        (("apply", "none", "--etag", "x", "--approver", "alice"), "plan 'none' does not exist"),
    ],
)
def test_what_is_wrong_is_one_message_and_exit_code_2(client, arguments, message):
    refused = client(*arguments)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_plan_mode_and_endpoint_do_as_they_say(client):
    assert client("mode", "advise").stdout == "mode: advise\n"
    refused = client("endpoint", "chat", "--configuration", "gpt-9")
    assert refused.returncode == 2
    assert "has no profile" in refused.stderr
    assert client("plan", "settled").stdout.startswith("plan settled-demo-")


def test_without_a_server_it_says_how_to_start_one():
    command = [COMMAND, "client", "status", "--address", "127.0.0.1:1"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 1
    assert refused.stderr == "tapas-opt: no tapas-opt server at 127.0.0.1:1; start one with `tapas-opt serve`\n"


def test_status_warns_of_meters_that_contradict_each_other(client, address, demo_topology):
    """A UPS at 0 W although all servers draw power: a failure that nobody has reported, or a dead meter."""
    watts = dict.fromkeys(demo_topology.servers, 2_000.0)
    with Client(address) as sensors:
        sensors.push_telemetry([Readings(time.time(), server_power_w=watts, ups_power_w={"U1": 0.0})])
    said = " ".join(client("status").stdout.split())
    assert "warning: METER: UPS U1 shows 0 W, its servers and what is not metered" in said
    warnings = json.loads(client("status", "--json").stdout)["warnings"]
    assert any(text.startswith("METER: UPS U1") for text in warnings)
