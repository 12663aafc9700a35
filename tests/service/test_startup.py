"""Before it serves: health says so, and what is wrong is said in a sentence."""

from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tapas_opt.api.v1 import (
    fleet_service_pb2,
    placement_service_pb2,
    reconfiguration_service_pb2,
    routing_service_pb2,
    site_service_pb2,
    telemetry_service_pb2,
)
from tapas_opt.client import Client
from tapas_opt.errors import Conflict, InvalidInput, JournalFailed, ServerUnreachable
from tapas_opt.service.loading import load
from tapas_opt.service.options import Options
from tapas_opt.service.server import Server
from tapas_opt.service.servicers import SERVICES, add_servicers
from tapas_opt.state.journal import Entry, Journal, journal_url

CONTRACT = (
    site_service_pb2,
    fleet_service_pb2,
    placement_service_pb2,
    routing_service_pb2,
    reconfiguration_service_pb2,
    telemetry_service_pb2,
)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def nothing():
    """Nobody needs to be told of changes here."""


@pytest.fixture
def options(repository, tmp_path):
    data = repository / "data" / "demo"
    return Options(
        site=data / "site.yaml",
        models=repository / "models" / "demo",
        profiles=data / "profiles.csv",
        state=str(tmp_path / "state.sqlite"),
        port=0,
    )


@pytest.fixture
def journal(options):
    opened = Journal(journal_url(options.state))
    yield opened
    opened.close()


def test_health_turns_serving_only_once_the_journal_is_loaded(options, journal):
    """A load balancer must not send calls to a server that does not know its fleet yet."""
    server = Server(options)
    server.start()
    with Client(server.address) as client, grpc.insecure_channel(server.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        requests = [health_pb2.HealthCheckRequest(service=name) for name in ("", *SERVICES)]
        assert {check(request, timeout=5).status for request in requests} == {NOT_SERVING}
        with pytest.raises(ServerUnreachable, match="still loading"):
            client.snapshot()
        server.serve(load(options, journal, nothing))
        assert {check(request, timeout=5).status for request in requests} == {SERVING}
        assert client.snapshot().site_name == "demo"
    server.stop()


def test_every_method_of_the_contract_is_implemented():
    """A method without a handler would answer UNIMPLEMENTED, and only when somebody calls it."""

    class Registered:
        def add_generic_rpc_handlers(self, handlers):
            """Not looked at."""

        def add_registered_method_handlers(self, service, handlers):
            seen[service] = set(handlers)

    seen = {}
    add_servicers(Registered(), nothing)
    stated = [service for file in CONTRACT for service in file.DESCRIPTOR.services_by_name.values()]
    assert seen == {service.full_name: {method.name for method in service.methods} for service in stated}
    assert list(seen) == list(SERVICES)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "example.org", "::"])
def test_an_address_that_others_reach_has_to_be_asked_for_in_so_many_words(options, host):
    """Calls are neither encrypted nor authenticated yet."""
    with pytest.raises(InvalidInput, match="--insecure-any-address"):
        Server(replace(options, host=host))


def test_a_port_in_use_is_refused(options):
    """gRPC would let two servers share a port, each with half of the calls."""
    first = Server(options)
    port = int(first.address.rpartition(":")[2])
    with pytest.raises(InvalidInput, match=f"127.0.0.1:{port} cannot be listened on: it is in use"):
        Server(replace(options, port=port))
    first.stop()


def test_a_journal_about_another_site_is_refused_when_a_site_was_asked_for(options, journal, tmp_path):
    load(options, journal, nothing)
    other = tmp_path / "site.yaml"
    other.write_text(options.site.read_text().replace("power_budget_w: 208000.0", "power_budget_w: 190000.0"))
    load(replace(options, site=other), journal, nothing)  # not asked for: the journal knows better
    with pytest.raises(Conflict, match="is about another site than"):
        load(replace(options, site=other, site_given=True), journal, nothing)


def test_a_journal_that_contradicts_itself_is_refused(options, journal):
    """Confirming a VM that was never placed cannot have happened."""
    load(options, journal, nothing)
    events = '{"events": [{"kind": "vms_confirmed", "names": ["ghost"]}]}'
    journal.append(Entry(0, "x", "ConfirmVms", "", events, b"", 0.0))
    with pytest.raises(JournalFailed, match=r"contradicts itself: entry 2 \(ConfirmVms\)"):
        load(options, journal, nothing)
