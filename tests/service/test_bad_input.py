"""Whatever is sent, the answer is one clear error, stderr stays empty (see the fixture), and the server lives."""

import math
import os
import signal
import subprocess
import threading
import time
import uuid
from contextlib import suppress

import grpc
import pytest

from tapas_opt.api.v1 import common_pb2, fleet_service_pb2, routing_service_pb2, telemetry_service_pb2
from tapas_opt.api.v1.fleet_service_pb2_grpc import FleetServiceStub
from tapas_opt.api.v1.placement_service_pb2 import PlaceVmsRequest, ReleaseVmsRequest
from tapas_opt.api.v1.placement_service_pb2_grpc import PlacementServiceStub
from tapas_opt.api.v1.routing_service_pb2_grpc import RoutingServiceStub
from tapas_opt.api.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from tapas_opt.client import Acknowledgement
from tapas_opt.domain.result import Mode
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import DeadlinePassed, InvalidInput, NotFound


@pytest.fixture
def channel(server):
    """As a client of any language would open it: headers above 8 KiB are not promised to arrive."""
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture(autouse=True)
def still_alive(client):
    yield
    assert client.snapshot().servers == 80


def an_id():
    return str(uuid.uuid4())


def refused(call, *args):
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, timeout=10)
    return caught.value.code(), caught.value.details()


def saas(name, **fields):
    return Vm(name, VmKind.SAAS, "acme", endpoint="chat", **fields)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 100_000, id="deeper than any parser goes"),
        pytest.param("format: 2020-13-01", id="what looks like a date and is none"),
        pytest.param("name: " + "9" * 10_000, id="a number of 10,000 digits"),
        pytest.param("name: \0", id="a character that YAML does not allow"),
        pytest.param("!!python/object/apply:os.system ['true']", id="a call"),
    ],
)
def test_a_site_that_is_not_yaml_is_bad_input(client, text):
    with pytest.raises(InvalidInput, match="site_yaml: is not YAML: "):
        client.apply_site(text, client.site()[1])


def test_ten_thousand_unknown_names_are_one_error_that_fits_into_a_header(channel):
    """70 KB of names in a header would reach the caller as a broken stream."""
    request = ReleaseVmsRequest(request_id=an_id(), names=[f"ghost-{i}" for i in range(10_000)])
    code, details = refused(PlacementServiceStub(channel).ReleaseVms, request)
    assert code is grpc.StatusCode.NOT_FOUND
    assert details.startswith("VM 'ghost-0, ghost-1, ")


@pytest.mark.parametrize("name", ["c" * 60_000, "💥" * 10_000, "ch\x00at\n\u202e"])
def test_a_name_that_nobody_has_is_an_error_that_fits_into_a_header(channel, name):
    """A byte that is not printable ASCII takes three in a header."""
    request = routing_service_pb2.RouteRequest(endpoint=name)
    assert refused(RoutingServiceStub(channel).Route, request)[0] is grpc.StatusCode.NOT_FOUND


def test_an_id_of_40_kb_is_an_error_that_fits_into_a_header(channel):
    request = ReleaseVmsRequest(request_id="💥" * 10_000, names=["x"])
    code, details = refused(PlacementServiceStub(channel).ReleaseVms, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "must be a UUID" in details


def test_ten_thousand_vms_are_answered_and_ten_thousand_bad_ones_refused(channel):
    """80 servers, some of which a limit keeps empty: all the rest is unplaced, and the answer is not late."""
    stub = PlacementServiceStub(channel)
    vms = [common_pb2.Vm(name=f"v{i}", kind="VM_KIND_IAAS", tenant="acme") for i in range(10_000)]
    request = PlaceVmsRequest(request_id=an_id(), validate_only=True, vms=vms)
    answer = stub.PlaceVms(request, timeout=20)
    assert len(answer.placements) + len(answer.unplaced) == 10_000
    for vm in request.vms:
        vm.name = "a b"
    code, details = refused(stub.PlaceVms, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("PlaceVmsRequest: 10000 faults, the first: vms[0].name: 'a b'")


def test_a_message_beyond_16_mib_is_bad_input(client):
    with pytest.raises(InvalidInput, match="request: size: is too large; send less at once"):
        client.route("chat", session="x" * 17 * 2**20)


def test_an_empty_full_list_does_not_release_the_fleet(client, vm):
    """A list that was never filled in would empty the whole site."""
    one = vm()
    client.place([one])
    with pytest.raises(InvalidInput, match=r"vms: is empty, which would release all \d+ VMs"):
        client.sync([])
    assert client.vm(one.name).state == "reserved"


def test_adopting_nothing_is_bad_input(client):
    with pytest.raises(InvalidInput, match="vms: is empty"):
        client.adopt([])


def test_a_state_that_does_not_exist_is_not_an_empty_list(channel):
    request = fleet_service_pb2.ListVmsRequest(state=99)
    code, details = refused(FleetServiceStub(channel).ListVms, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "state: 99: no such state" in details


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -400.0, 1e308])
def test_what_no_sensor_can_say_is_refused_in_words(channel, value):
    reading = telemetry_service_pb2.PushTelemetryRequest(
        observed_at_s=time.time(),
        rooms=[telemetry_service_pb2.RoomReading(room="room1", outdoor_c=value)],
        servers=[telemetry_service_pb2.ServerReading(server="R1-K1-S1", power_w=value, inlet_c=value)],
        upses=[telemetry_service_pb2.UpsReading(ups="U1", power_w=value)],
    )
    untimed = telemetry_service_pb2.PushTelemetryRequest(observed_at_s=value)
    answer = TelemetryServiceStub(channel).PushTelemetry(iter([reading, untimed]), timeout=5)
    assert (answer.accepted, answer.refused) == (0, 5)


def test_a_meter_far_beyond_its_servers_nameplate_does_not_close_the_row(channel):
    """A DGX-A100 takes 6.5 kW at most; 200 kW would leave no power for anybody else in its row."""
    reading = telemetry_service_pb2.ServerReading(server="R1-K1-S1", power_w=200_000.0)
    request = telemetry_service_pb2.PushTelemetryRequest(observed_at_s=time.time(), servers=[reading])
    answer = TelemetryServiceStub(channel).PushTelemetry(iter([request]), timeout=5)
    assert answer.refusals == ["server R1-K1-S1: server_power_w 200000 is not between 0 and 9750"]


def test_refusals_are_shown_in_part_and_short(channel):
    """A stream may last for days: what is kept of its refusals must not grow with it."""
    ghosts = [telemetry_service_pb2.ServerReading(server="x" * 10_000, power_w=1.0)] * 30
    request = telemetry_service_pb2.PushTelemetryRequest(observed_at_s=time.time(), servers=ghosts)
    answer = TelemetryServiceStub(channel).PushTelemetry(iter([request, request]), timeout=5)
    assert (answer.refused, len(answer.refusals)) == (60, 20)
    assert all(len(text) < 200 for text in answer.refusals)


@pytest.mark.parametrize("tokens", [math.nan, math.inf, -5.0])
def test_a_completion_of_impossible_tokens_is_bad_input(client, channel, chat, tokens):
    client.put_endpoint(chat)
    instance = f"c{tokens}".replace("-", "m")
    client.place([saas(instance)])
    done = routing_service_pb2.CompleteRequestsRequest(endpoint="chat", instance=instance, pending_tokens=tokens)
    code, details = refused(RoutingServiceStub(channel).CompleteRequests, iter([done]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "pending_tokens: " in details
    client.release([instance])


def test_freed_watts_that_are_no_number_are_bad_input(client, chat):
    client.put_endpoint(chat)
    client.place([saas("a")])
    for freed_w in (math.nan, math.inf):
        with pytest.raises(InvalidInput, match=r"freed_w: .*: must be a finite number"):
            client.acknowledge(Acknowledgement("a", 1, freed_w))
    client.release(["a"])


def test_a_caller_with_a_millisecond_changes_nothing_if_it_is_told_nothing(client, vm):
    one = vm()
    with pytest.raises(DeadlinePassed):
        client.place([one], timeout_s=0.001)
    with pytest.raises(NotFound):
        client.vm(one.name)


def test_solvers_that_are_killed_cost_their_answers_only(client, server, vm):
    """Greedy answers while every process that the server starts is killed; the solver answers when that ends."""
    begun, enough = threading.Event(), threading.Event()
    killer = threading.Thread(target=_kill_children, args=(server.pid, begun, enough))
    killer.start()
    assert begun.wait(5)
    one = vm()
    decision = client.place([one], validate_only=True).decision
    enough.set()
    killer.join()
    assert decision.mode is Mode.GREEDY
    assert "SIGKILL" in decision.fallback
    until = time.monotonic() + 20.0
    while client.place([one], validate_only=True).decision.mode is not Mode.SOLVER:
        assert time.monotonic() < until


def _kill_children(pid, begun, enough):
    """Again and again, sooner than a new process is warm."""
    while not enough.wait(0.02):
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
        for child in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        begun.set()
