"""The server's errors arrive as the errors they are, over a real connection."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tapas_opt import errors
from tapas_opt.api.v1 import site_service_pb2, site_service_pb2_grpc
from tapas_opt.client import Client
from tapas_opt.errors import DeadlinePassed, Fault, InvalidInput, NotFound, ServerUnreachable, TapasError
from tapas_opt.service.status import answering

RAISED = [
    TapasError("something went wrong"),
    InvalidInput("site.yaml", [Fault("rooms[0].name", "is missing"), Fault("format", "'x': input should be 'y'")]),
    InvalidInput.one("PlaceVmsRequest", "vms", "is empty: give at least one VM"),
    NotFound("VM", "v1"),
    NotFound("server", "Köln-1", "the site has 80 servers"),
    errors.Conflict("the fleet is at demo-3, not at demo-2; read it again"),
    errors.RequestIdReused("request_id 1 came before"),
    errors.NoInstance("endpoint chat: every instance is draining"),
    errors.PlanRefused("row R3: 41,200 W needed, budget 39,000 W"),
    errors.DeadlinePassed("not even greedy finished"),
    errors.WorkerFailed("the worker ran out of memory"),
    errors.JournalFailed("the journal cannot be written: disk full; nothing was changed"),
    errors.ServerUnreachable("no leader"),
]


class Failing:
    """GetSnapshot raises what it is told to; SetMode takes half a second."""

    def __init__(self):
        self.error = None

    def __getattr__(self, name):
        return self.answer

    def answer(self, request, context):
        with answering(context):
            if self.error is not None:
                raise self.error
            time.sleep(0.5)
        return site_service_pb2.GetSnapshotResponse()


@pytest.fixture(scope="module")
def failing():
    servicer, server = Failing(), grpc.server(ThreadPoolExecutor(4))
    site_service_pb2_grpc.add_SiteServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Client(f"127.0.0.1:{port}") as client:
        yield servicer, client
    server.stop(0).wait()


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_an_error_arrives_as_it_was_raised(failing, error):
    """Same class, same text, same faults: a caller need not know that a network was between."""
    servicer, client = failing
    servicer.error = error
    with pytest.raises(TapasError) as caught:
        client.snapshot()
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert getattr(caught.value, "faults", ()) == getattr(error, "faults", ())


def test_every_error_of_the_tree_was_tried():
    assert {type(error) for error in RAISED} == {getattr(errors, name) for name in errors.__all__} - {Fault}


def test_a_defect_arrives_as_one_sentence_without_its_insides(failing, caplog):
    servicer, client = failing
    servicer.error = ZeroDivisionError("secret")
    with pytest.raises(TapasError, match="a defect in tapas-opt; its log has the details") as caught:
        client.snapshot()
    assert "secret" not in str(caught.value)
    assert "secret" in caplog.text


def test_a_late_answer_is_a_passed_deadline(failing):
    servicer, client = failing
    servicer.error = None
    with Client(client.address, timeout_s=0.1) as hurried, pytest.raises(DeadlinePassed, match="did not answer before"):
        hurried.snapshot()


def test_no_server_is_said_with_the_way_to_start_one(free_port):
    with (
        Client(f"127.0.0.1:{free_port}") as client,
        pytest.raises(
            ServerUnreachable,
            match=f"^no tapas-opt server at 127.0.0.1:{free_port}; start one with `tapas-opt serve`$",
        ),
    ):
        client.snapshot()


def test_waiting_for_a_server_ends_when_the_time_is_up(free_port):
    began = time.monotonic()
    with Client(f"127.0.0.1:{free_port}") as client, pytest.raises(ServerUnreachable):
        client.wait_until_serving(0.3)
    assert 0.3 <= time.monotonic() - began < 3.0


def test_another_grpc_server_is_recognised(failing):
    """It has no health service and no FleetService."""
    _, client = failing
    with pytest.raises(ServerUnreachable, match="is no tapas-opt server, or an older one"):
        client.vm("v1")


@pytest.fixture
def free_port():
    """A port that nobody listens on: it was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
