"""A client that hangs up frees the solver's process at once: nobody else waits behind a call that nobody waits for."""

import threading
import time
import uuid

import grpc
import pytest

from tapas_opt.api.v1 import placement_service_pb2 as placement
from tapas_opt.api.v1 import reconfiguration_service_pb2 as reconfiguration
from tapas_opt.api.v1.placement_service_pb2_grpc import PlacementServiceStub
from tapas_opt.api.v1.reconfiguration_service_pb2_grpc import ReconfigurationServiceStub
from tapas_opt.client import Client
from tapas_opt.control.settings import Settings
from tapas_opt.mip.worker import Worker
from tapas_opt.service.loading import load
from tapas_opt.service.options import Options
from tapas_opt.service.server import Server
from tapas_opt.state.journal import Journal, journal_url

LONG_S = 60.0


class Endless:
    """A solver's worker, real but for what it works on: that takes a minute, whatever the problem."""

    def __init__(self, worker):
        self.worker = worker
        self.begun = threading.Event()
        self.ended = threading.Event()

    def run(self, function, *args, deadline_s, grace_s, on_news, cancel):
        self.begun.set()
        try:
            return self.worker.run(time.sleep, LONG_S, deadline_s=LONG_S, cancel=cancel)
        finally:
            self.ended.set()


@pytest.fixture
def endless():
    with Worker() as worker:
        assert worker.wait_until_ready(LONG_S)
        yield Endless(worker)


@pytest.fixture
def server(repository, tmp_path, endless):
    """A real server, in this process, whose solver never comes to an end."""
    data = repository / "data" / "demo"
    options = Options(
        site=data / "site.yaml",
        models=repository / "models" / "demo",
        profiles=data / "profiles.csv",
        state=str(tmp_path / "state.sqlite"),
        port=0,
        settings=Settings(solver="highs"),  # asked even where greedy proves its own answer
    )
    journal, server = Journal(journal_url(options.state)), Server(options)
    server.start()
    server.serve(load(options, journal, lambda: None, {"highs": endless}, {"highs": endless}))
    yield server
    server.stop()
    journal.close()


def place(channel):
    request = placement.PlaceVmsRequest(request_id=str(uuid.uuid4()))
    request.vms.add(name="one", tenant="acme", kind="VM_KIND_IAAS")
    return PlacementServiceStub(channel).PlaceVms.future(request, timeout=LONG_S)


def plan(channel):
    request = reconfiguration.PlanReconfigurationRequest(stage="STAGE_SETTLED")
    return ReconfigurationServiceStub(channel).PlanReconfiguration.future(request, timeout=LONG_S)


@pytest.mark.parametrize("call", [place, plan])
def test_a_caller_who_hangs_up_frees_the_solver(server, endless, call):
    """Ended long before its minute is over; the next run has a process, and nothing was changed."""
    with grpc.insecure_channel(server.address) as channel:
        under_way = call(channel)
        assert endless.begun.wait(LONG_S / 2)
        assert not endless.ended.is_set()
        under_way.cancel()
        assert endless.ended.wait(LONG_S / 2)
    assert endless.worker.run(pow, 2, 10, deadline_s=LONG_S / 2) == 1024
    with Client(server.address) as client:
        assert list(client.vms()) == []


def test_one_caller_who_hangs_up_does_not_end_another_ones_solve(server, endless):
    """The event is the call's own."""
    with grpc.insecure_channel(server.address) as channel:
        first = plan(channel)
        assert endless.begun.wait(LONG_S / 2)
        second = plan(channel)
        time.sleep(0.3)
        second.cancel()
        time.sleep(0.3)
        assert not first.done()
        first.cancel()
        assert endless.ended.wait(LONG_S / 2)
