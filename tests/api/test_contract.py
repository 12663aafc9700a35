"""The committed generated code is that of the .proto files, and the contract keeps the style it promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

from tapas_opt.api.v1 import (
    common_pb2,
    fleet_service_pb2,
    placement_service_pb2,
    reconfiguration_service_pb2,
    routing_service_pb2,
    site_service_pb2,
    telemetry_service_pb2,
)
from tapas_opt.domain.result import Constraint, Mode, Status

ROOT = Path(__file__).parents[2]
FILES = (
    common_pb2,
    fleet_service_pb2,
    placement_service_pb2,
    reconfiguration_service_pb2,
    routing_service_pb2,
    site_service_pb2,
    telemetry_service_pb2,
)
SERVICES = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
METHODS = [method for service in SERVICES for method in service.methods]
ENUMS = [enum for file in FILES for enum in file.DESCRIPTOR.enum_types_by_name.values()]
MESSAGES = [message for file in FILES for message in file.DESCRIPTOR.message_types_by_name.values()]
QUERIES = {
    "PlanReconfiguration",
    "GetSite",
    "GetSnapshot",
    "GetVm",
    "ListVms",
    "RankServers",
    "ListConfigurations",
    "ListArmedPlans",
    "ListReservations",
    "WatchConfigurations",
    "Route",
    "GetRoutingTable",
}
STREAMS = {"CompleteRequests", "PushTelemetry"}
NOT_CONSTRAINTS = {"REASON_UNSPECIFIED", "REASON_NOT_SOLVED"}


def test_the_committed_code_is_what_the_protos_generate(tmp_path):
    """A .proto edited without `make proto` would serve an older contract than it states."""
    command = [sys.executable, str(ROOT / "protos" / "generate.py"), str(tmp_path)]  # protoc wants a process of its own
    subprocess.run(command, check=True, capture_output=True)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*"))
    committed = sorted(path.relative_to(ROOT) for path in (ROOT / "tapas_opt" / "api").rglob("*.py*"))
    assert files == [path for path in committed if path.suffix != ".pyc"]
    stale = [str(path) for path in files if (tmp_path / path).read_text() != (ROOT / path).read_text()]
    assert stale == [], "run `make proto`"


def test_reasons_are_the_constraints_in_capitals():
    """The vocabulary rule: one word in formulation, checker, docs and API."""
    reasons = set(common_pb2.Reason.keys()) - NOT_CONSTRAINTS
    assert reasons == {f"REASON_{constraint.name}" for constraint in Constraint}


def test_modes_and_statuses_are_those_of_the_domain():
    assert set(common_pb2.DecisionMode.keys()[1:]) == {f"DECISION_MODE_{mode.name}" for mode in Mode}
    assert set(common_pb2.DecisionStatus.keys()[1:]) == {f"DECISION_STATUS_{status.name}" for status in Status}


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.name)
def test_enum_values_carry_the_name_of_their_enum_and_begin_unspecified(enum):
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper()
    assert enum.values_by_number[0].name == f"{prefix}_UNSPECIFIED"
    assert all(value.name.startswith(f"{prefix}_") for value in enum.values)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_has_messages_of_its_own(method):
    """So that any of them may grow a field without the others (buf: RPC_REQUEST_RESPONSE_UNIQUE)."""
    assert (method.input_type.name, method.output_type.name) == (f"{method.name}Request", f"{method.name}Response")


@pytest.mark.parametrize("method", [m for m in METHODS if m.name not in QUERIES | STREAMS], ids=lambda m: m.name)
def test_every_mutation_can_be_repeated_and_tried(method):
    """Without request_id a client cannot retry safely."""
    fields = set(method.input_type.fields_by_name)
    assert {"request_id", "validate_only"} <= fields


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_physical_numbers_carry_their_unit_in_the_name(message):
    """Numbers whose unit stands in a field beside them, and cost units per hour, need none."""
    units = ("_s", "_w", "_c", "_cfm", "_frac", "_tokens", "quantile", "_floor")
    free = {"objective", "bound", "cost"} if "unit" not in message.fields_by_name else None
    if free is not None:
        doubles = [f.name for f in message.fields if f.type == FieldDescriptor.TYPE_DOUBLE and f.name not in free]
        assert [name for name in doubles if not name.endswith(units)] == []
