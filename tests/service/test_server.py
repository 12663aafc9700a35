"""What a caller sees: the right answer, or one clear message with the right status."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from tapas_opt.api.v1 import common_pb2, placement_service_pb2, placement_service_pb2_grpc
from tapas_opt.api.v1.fleet_service_pb2 import ListVmsRequest
from tapas_opt.api.v1.reconfiguration_service_pb2 import ApplyPlanRequest
from tapas_opt.api.v1.reconfiguration_service_pb2_grpc import ReconfigurationServiceStub
from tapas_opt.client import Acknowledgement, Client, Completion
from tapas_opt.control.events import OperatingMode, ServerState
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Mode, Status
from tapas_opt.domain.workload import Endpoint, Vm, VmKind
from tapas_opt.errors import Conflict, InvalidInput, NoInstance, NotFound, RequestIdReused
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.service.servicers import SERVICES


@pytest.fixture(scope="module")
def served(server, chat):
    """The endpoint ``chat`` with two running instances, known to the routing plan."""
    with server.client() as client:
        client.put_endpoint(chat)
        instances = [Vm(f"chat-{i}", VmKind.SAAS, "acme", endpoint="chat") for i in range(2)]
        client.place(instances)
        client.confirm([vm.name for vm in instances])
        _eventually(lambda: client.route("chat"))
    return chat


def _eventually(call, within_s=5.0):
    """The routing plan follows a change within a second or so."""
    until = time.monotonic() + within_s
    while True:
        try:
            return call()
        except NoInstance:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def test_a_batch_is_placed_reserved_and_confirmed(client, vm):
    vms = [vm(), vm()]
    placed = client.place(vms)
    assert set(placed.server_of) == {one.name for one in vms}
    assert placed.decision.status in (Status.OPTIMAL, Status.FEASIBLE)
    assert placed.decision.mode in (Mode.SOLVER, Mode.GREEDY)
    record = client.vm(vms[0].name)
    assert (record.vm, record.state, record.server) == (vms[0], "reserved", placed.server_of[vms[0].name])
    assert record.reserved_until_s == placed.reserved_until_s
    client.confirm([vms[0].name])
    assert client.vm(vms[0].name).state == "running"


def test_a_batch_that_is_only_validated_reserves_nothing(client, vm):
    tried = vm()
    assert client.place([tried], validate_only=True).server_of
    with pytest.raises(NotFound):
        client.vm(tried.name)


def test_an_unknown_vm_is_not_found(client):
    with pytest.raises(NotFound, match=r"^VM 'ghost' does not exist; it was never placed, or was released already$"):
        client.vm("ghost")


def test_a_second_release_is_not_found(client, vm):
    one = vm()
    client.place([one])
    client.release([one.name])
    with pytest.raises(NotFound, match="was released already"):
        client.release([one.name])


def test_the_same_request_gets_the_same_answer(client, vm):
    one = vm()
    first = client.place([one])
    assert client.place([one], request_id=first.request_id) == first


def test_the_same_request_id_with_another_body_is_refused(client, vm):
    first = client.place([vm()])
    with pytest.raises(RequestIdReused, match="take a new id for a new request"):
        client.place([vm()], request_id=first.request_id)


def test_a_bad_request_lists_all_its_faults(server):
    """As any client in any language sees it: INVALID_ARGUMENT with one violation for each fault."""
    request = placement_service_pb2.PlaceVmsRequest(
        request_id="1",
        vms=[
            common_pb2.Vm(name="bad name", kind="VM_KIND_IAAS", tenant="acme"),
            common_pb2.Vm(name="x", tenant="acme", priority=99),
        ],
    )
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as refused:
        placement_service_pb2_grpc.PlacementServiceStub(channel).PlaceVms(request, timeout=5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    violations = error_details_pb2.BadRequest()
    rpc_status.from_call(refused.value).details[1].Unpack(violations)
    assert [one.field for one in violations.field_violations] == [
        "request_id",
        "vms[0].name",
        "vms[1].kind",
        "vms[1].priority",
    ]


def test_what_does_not_fit_the_site_lists_all_its_faults_too(client, vm):
    with pytest.raises(InvalidInput) as refused:
        client.place([vm(gpu_models=("B200",)), vm(group="nowhere")])
    assert [fault.where for fault in refused.value.faults] == ["vms[0].gpu_models", "vms[1].group"]


def test_more_vms_than_servers_are_placed_in_part_and_the_rest_is_told_why(client, vm):
    """80 servers; 90 VMs are asked for, without reserving them."""
    placed = client.place([vm() for _ in range(90)], validate_only=True, timeout_s=5.0)
    assert len(placed.unplaced) >= 10
    assert {why.subject for why in placed.decision.rejections} == set(placed.unplaced)


def test_route_picks_an_instance_of_the_endpoint(client, served):
    routed = client.route("chat", prompt_tokens=800, output_tokens=200)
    assert routed.instance in {"chat-0", "chat-1"}
    assert routed.server == client.vm(routed.instance).server
    done = Completion("chat", routed.instance, pending_tokens=routed.pending_tokens)
    assert client.complete([done, Completion("chat", "ghost")]) == (1, 1)


def test_route_for_an_endpoint_that_does_not_exist_is_not_found(client, served):
    with pytest.raises(NotFound, match="endpoint 'nobody' does not exist"):
        client.route("nobody")


def test_route_for_an_endpoint_without_instances_says_so(client, chat):
    client.put_endpoint(replace(chat, name="empty"))
    with pytest.raises(NoInstance, match="empty"):
        client.route("empty")


def test_a_request_to_route_may_not_be_larger_than_64_kib(client, served):
    with pytest.raises(InvalidInput, match="at most 65,536"):
        client.route("chat", session="x" * 70_000)


def test_an_endpoint_of_an_unprofiled_configuration_is_refused(client, chat):
    with pytest.raises(InvalidInput, match="has no profile"):
        client.put_endpoint(Endpoint("other", chat.slo, "gpt-9"))


def test_a_failure_is_planned_for_shown_and_cleared(client, served):
    plan = client.report_failure(Failure(FailureKind.UPS, "U1"))
    assert plan.stage is Stage.NOW
    assert plan.decision.status in (Status.OPTIMAL, Status.FEASIBLE)
    assert [failure.label for failure in client.snapshot().failures] == ["ups:U1"]
    client.clear_failure("ups:U1")
    assert client.snapshot().failures == ()


def test_a_failure_of_something_that_is_not_there_is_not_found(client):
    with pytest.raises(NotFound, match="ups 'U99' does not exist; the site has U1, U2, U3, U4"):
        client.report_failure(Failure(FailureKind.UPS, "U99"))


def test_clearing_what_was_not_reported_is_not_found(client):
    with pytest.raises(NotFound, match="ahu:AHU1"):
        client.clear_failure("ahu:AHU1")


def test_a_plan_is_applied_once_nothing_has_changed_and_refused_otherwise(client, served, vm):
    stale = client.plan_reconfiguration(Stage.SETTLED)
    client.place([vm()])
    with pytest.raises(Conflict, match=r"plan|fleet"):
        client.apply_plan(stale.plan_id, stale.etag, "alice")
    fresh = client.plan_reconfiguration(Stage.SETTLED)
    assert client.apply_plan(fresh.plan_id, fresh.etag, "alice") == len(fresh.changes)
    assert client.snapshot().plan_id == fresh.plan_id
    for wave in sorted({change.wave for change in fresh.changes}):
        _carry_out(client, {change.vm: change.to_configuration for change in fresh.changes if change.wave == wave})


def _carry_out(client, wanted, within_s=5.0):
    """Wait until a wave is desired, and acknowledge it as its agents would, so that the next one starts."""
    until = time.monotonic() + within_s
    while True:
        desired = {one.vm: one for one in client.configurations()}
        if all(desired[vm].configuration == configuration for vm, configuration in wanted.items()):
            break
        assert time.monotonic() < until, f"never desired: {wanted}"
        time.sleep(0.05)
    for vm in wanted:
        client.acknowledge(Acknowledgement(vm, desired[vm].generation))


def test_a_configuration_is_acknowledged_by_its_generation(client, served):
    desired = client.configurations("chat")[0]
    client.acknowledge(Acknowledgement(desired.vm, desired.generation, freed_w=120.0))
    acknowledged = {one.vm: one.acknowledged_generation for one in client.configurations()}
    assert acknowledged[desired.vm] == desired.generation
    with pytest.raises(InvalidInput, match="generation"):
        client.acknowledge(Acknowledgement(desired.vm, desired.generation + 7))


def test_running_vms_are_adopted_and_a_full_list_is_believed(client, start):
    """On a server of its own: a full list releases what it does not name."""
    with start().client() as alone:
        a, b, c = (Vm(name, VmKind.IAAS, "acme") for name in "abc")
        assert alone.adopt([(a, "R1-K1-S1"), (b, "R1-K1-S2")]) == 2
        differences = alone.sync([(b, "R1-K1-S3"), (c, "R1-K1-S4")])
        assert [(one["vm"], one["kind"]) for one in differences] == [
            ("c", "unknown_here"),
            ("b", "moved"),
            ("a", "gone"),
        ]
        assert {record.vm.name: record.server for record in alone.vms()} == {"b": "R1-K1-S3", "c": "R1-K1-S4"}


def test_adopting_onto_a_server_that_is_taken_is_refused(client, vm):
    first = client.place([vm()])
    (server,) = first.server_of.values()
    with pytest.raises(InvalidInput, match="already holds VM"):
        client.adopt([(vm(), server)])


def test_vms_are_listed_a_page_at_a_time(client, vm):
    names = {one.name for one in (vm(), vm(), vm())}
    client.place([Vm(name, VmKind.IAAS, "acme") for name in sorted(names)])
    listed, token = [], ""
    while True:
        request = ListVmsRequest(page_size=2, page_token=token)
        page = client._fleet.ListVms(request, timeout=5)
        assert len(page.vms) <= 2
        listed += [record.vm.name for record in page.vms]
        token = page.next_page_token
        if not token:
            break
    assert listed == sorted(listed)
    assert names <= set(listed)
    assert listed == [record.vm.name for record in client.vms()]


def test_a_cordoned_server_gets_no_vm(client, vm):
    one = vm()
    ranked = client.rank_servers(one)
    best = next(verdict for verdict in ranked if verdict.eligible)
    client.set_server_state(best.server, ServerState.CORDONED)
    (verdict,) = client.rank_servers(one, [best.server])
    assert not verdict.eligible
    assert "server_gpu_capacity" in verdict.reasons
    client.set_server_state(best.server, ServerState.IN_SERVICE)
    assert client.rank_servers(one, [best.server])[0].eligible


def test_in_mode_advise_a_failure_publishes_nothing(client, served):
    client.set_mode(OperatingMode.ADVISE)
    plan = client.report_failure(Failure(FailureKind.AHU, "AHU1"))
    assert plan is None or not plan.published
    assert client.snapshot().mode is OperatingMode.ADVISE
    client.clear_failure("ahu:AHU1")
    client.set_mode(OperatingMode.ACT)


def test_in_mode_shadow_a_plan_is_made_but_not_applied(server, client, served):
    """Whoever only watches must not be able to change anything by mistake."""
    client.set_mode(OperatingMode.SHADOW)
    plan = client.report_failure(Failure(FailureKind.UPS, "U1"))
    assert not plan.published
    before = client.configurations()
    request = ApplyPlanRequest(request_id=str(uuid4()), plan_id=plan.plan_id, etag=plan.etag, approver="alice")
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as refused:
        ReconfigurationServiceStub(channel).ApplyPlan(request, timeout=5)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == f"plan {plan.plan_id} is not applied in mode shadow; set mode advise or act"
    assert client.configurations() == before
    client.clear_failure("ups:U1")
    client.set_mode(OperatingMode.ACT)


def test_telemetry_is_taken_in_and_its_age_is_told(client):
    now_s = time.time()
    pushed = client.push_telemetry(
        [
            Readings(now_s - 1, outdoor_c={"room1": 18.0}, server_power_w={"R1-K1-S1": 2_000.0, "ghost": 1.0}),
            Readings(now_s + 86_400, outdoor_c={"room1": 18.0}),
        ]
    )
    assert (pushed.accepted, pushed.refused) == (2, 2)
    assert pushed.refusals[0] == "server 'ghost' does not exist"
    assert "in the future" in pushed.refusals[1]
    assert 0.0 <= client.snapshot().telemetry_age_s < 60.0


def test_telemetry_of_gpus_is_taken_once_and_in_order(client):
    """What a collector sends again, or too late, is refused with the reason."""
    now_s = time.time()
    gpus = Readings(now_s, gpu_power_w={"R2-K1-S1": (300.0,) * 8}, gpu_temperature_c={"R2-K1-S1": (60.0,) * 8})
    assert client.push_telemetry([gpus]).accepted == 16
    again = client.push_telemetry([gpus, replace(gpus, observed_at_s=now_s - 60.0)])
    assert (again.accepted, again.refused) == (0, 32)
    assert again.refusals[0] == f"server R2-K1-S1: gpu_power_w of {now_s:.0f} s was sent before"
    assert f"of {now_s - 60.0:.0f} s came after the one of {now_s:.0f} s" in again.refusals[2]


def test_the_site_is_replaced_only_by_who_has_read_it(client):
    text, etag = client.site()
    with pytest.raises(Conflict, match="read it again"):
        client.apply_site(text, "demo-0")
    assert client.apply_site(text.replace("altitude_m: 0.0", "altitude_m: 100.0"), etag, validate_only=True)
    assert client.apply_site(text, etag) == client.site()[1]


def test_a_bad_site_lists_its_faults(client):
    _, etag = client.site()
    with pytest.raises(InvalidInput, match="is missing"):
        client.apply_site("format: tapas-opt/site/1\nname: x\n", etag)


def test_the_snapshot_adds_up(client, vm):
    client.place([vm()])
    snapshot = client.snapshot()
    assert snapshot.site_name == "demo"
    assert snapshot.servers == 80
    assert snapshot.servers - snapshot.servers_free == snapshot.vms_reserved + snapshot.vms_running
    assert {domain.name for domain in snapshot.domains} >= {"R1", "R2", "U1", "A1", "U1-P1"}
    assert all(0 <= domain.load <= domain.limit for domain in snapshot.domains)


def test_every_service_says_that_it_serves(server):
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", *SERVICES):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_services(server):
    """So that grpcurl needs no .proto files."""
    with grpc.insecure_channel(server.address) as channel:
        listed = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert listed == {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


def test_a_request_without_an_id_is_refused(client, vm):
    with pytest.raises(InvalidInput, match=r"request_id: .* must be a UUID"):
        client.release(["x"], request_id="please")


def test_two_clients_that_place_at_once_get_different_servers(server, vm):
    """The second decision is settled against what the first has taken."""
    batches = [[vm() for _ in range(2)] for _ in range(4)]

    def place(batch):
        with Client(server.address) as own:
            return own.place(batch).server_of

    with ThreadPoolExecutor(4) as pool:
        taken = [server for placed in pool.map(place, batches) for server in placed.values()]
    assert len(taken) == len(set(taken)) == 8
