"""Busy solvers do not keep Route waiting, and what cannot be taken on is refused at once, with advice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tapas_opt.api.v1 import site_service_pb2, site_service_pb2_grpc
from tapas_opt.service.admission import Admission, BoundedPool, Limits


class Site(site_service_pb2_grpc.SiteServiceServicer):
    """ApplySite works until it is let go; SetMode and GetSite answer at once."""

    def __init__(self):
        self.working = threading.Semaphore(0)
        self.let_go = threading.Event()

    def ApplySite(self, request, context):  # noqa: N802
        self.working.release()
        self.let_go.wait(10)
        return site_service_pb2.ApplySiteResponse()

    def SetMode(self, request, context):  # noqa: N802
        return site_service_pb2.SetModeResponse(mode="OPERATING_MODE_SHADOW")

    def GetSite(self, request, context):  # noqa: N802
        return site_service_pb2.GetSiteResponse(name="demo")


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def admission():
    return Admission(Limits(work=(1, 1), quick=(1, 1)))


@pytest.fixture
def stub(site, admission):
    server = grpc.server(ThreadPoolExecutor(1), interceptors=[admission])
    site_service_pb2_grpc.add_SiteServiceServicer_to_server(site, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield site_service_pb2_grpc.SiteServiceStub(channel)
    site.let_go.set()
    server.stop(1).wait()
    admission.close()


def reason_and_retry_s(call):
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in rpc_status.from_call(call).details:
        assert detail.Unpack(info) or detail.Unpack(retry)
    return info.reason, retry.retry_delay.seconds


def test_a_call_beyond_the_queue_is_refused_with_a_time_to_retry_and_those_before_it_are_served(site, admission, stub):
    """One works, one waits: the third is refused, and a query is answered all the while."""
    admission.open = True
    first = stub.ApplySite.future(site_service_pb2.ApplySiteRequest())
    assert site.working.acquire(timeout=5)
    second = stub.ApplySite.future(site_service_pb2.ApplySiteRequest())
    while not admission.pools["work"].full:
        pass
    with pytest.raises(grpc.RpcError) as refused:
        stub.ApplySite(site_service_pb2.ApplySiteRequest(), timeout=5)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_and_retry_s(refused.value) == ("OVERLOADED", 1)
    assert stub.GetSite(site_service_pb2.GetSiteRequest(), timeout=5).name == "demo"
    assert stub.SetMode(site_service_pb2.SetModeRequest(), timeout=5).mode  # as every call of an emergency
    site.let_go.set()
    assert first.result(5) == second.result(5) == site_service_pb2.ApplySiteResponse()


def test_room_is_given_back_when_calls_end(site, admission, stub):
    """A count that leaks would refuse everything after a while."""
    admission.open = True
    site.let_go.set()
    for _ in range(20):
        stub.ApplySite(site_service_pb2.ApplySiteRequest(), timeout=5)


def test_a_call_that_was_cancelled_while_it_waited_gives_its_room_back(site, admission, stub):
    admission.open = True
    first = stub.ApplySite.future(site_service_pb2.ApplySiteRequest())
    assert site.working.acquire(timeout=5)
    waiting = stub.ApplySite.future(site_service_pb2.ApplySiteRequest())
    while not admission.pools["work"].full:
        pass
    waiting.cancel()
    site.let_go.set()
    assert first.result(5) == stub.ApplySite(site_service_pb2.ApplySiteRequest(), timeout=5)


def test_before_the_journal_is_read_calls_are_told_to_come_back(stub):
    with pytest.raises(grpc.RpcError) as refused:
        stub.GetSite(site_service_pb2.GetSiteRequest(), timeout=5)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_and_retry_s(refused.value) == ("NOT_YET", 1)


def test_a_pool_is_full_when_threads_and_queue_are_taken():
    pool, let_go = BoundedPool("test", 1, 1), threading.Event()
    futures = [pool.submit(let_go.wait, 5) for _ in range(2)]
    assert pool.full
    let_go.set()
    assert all(future.result(5) for future in futures)
    pool.shutdown()
    assert not pool.full
