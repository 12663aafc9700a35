"""The one table from the error tree to gRPC status codes, and back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tapas_opt import errors

__all__ = ["DOMAIN", "NOT_YET", "OVERLOADED", "TABLE", "Row", "answering", "error_of", "status_of"]

DOMAIN = "tapas-opt"
"""Of every ``ErrorInfo``."""

_LOG = logging.getLogger(__name__)

_MESSAGE_ROOM = 1_200
_VIOLATIONS_ROOM_BYTES = 3_000
_NAME_ROOM = _VIOLATION_ROOM = 300
"""Message and details travel in headers, the details in base64 and with the message in them once more; clients refuse
headers above 8 KiB, and then see neither."""

_LOADING = "NOT_YET"


@dataclass(frozen=True, slots=True)
class Row:
    """Status code, the stable reason of ``ErrorInfo``, and after how long a retry may help (None: never)."""

    code: grpc.StatusCode
    reason: str
    retry_after_s: float | None = None


TABLE: dict[type[errors.TapasError], Row] = {
    errors.TapasError: Row(grpc.StatusCode.INTERNAL, "TAPAS_ERROR"),
    errors.InvalidInput: Row(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"),
    errors.NotFound: Row(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
    errors.Conflict: Row(grpc.StatusCode.FAILED_PRECONDITION, "CONFLICT"),
    # The id exists already, for another body: no change of the server's state will make it acceptable.
    errors.RequestIdReused: Row(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
    errors.NoInstance: Row(grpc.StatusCode.UNAVAILABLE, "NO_INSTANCE", retry_after_s=1.0),
    errors.PlanRefused: Row(grpc.StatusCode.INTERNAL, "PLAN_REFUSED"),
    errors.DeadlinePassed: Row(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED"),
    errors.WorkerFailed: Row(grpc.StatusCode.INTERNAL, "WORKER_FAILED"),
    errors.JournalFailed: Row(grpc.StatusCode.UNAVAILABLE, "JOURNAL_FAILED", retry_after_s=10.0),
    errors.ServerUnreachable: Row(grpc.StatusCode.UNAVAILABLE, "SERVER_UNREACHABLE", retry_after_s=1.0),
}


@contextmanager
def answering(context: grpc.ServicerContext) -> Iterator[None]:
    """Whatever the core raises becomes a status; what nobody expected is logged and called a defect."""
    try:
        yield
    except errors.TapasError as error:
        context.abort_with_status(rpc_status.to_status(status_of(error)))
    except grpc.RpcError:
        raise  # the client is gone; gRPC knows
    except Exception:
        _LOG.exception("unexpected error")
        context.abort(grpc.StatusCode.INTERNAL, "a defect in tapas-opt; its log has the details")


def status_of(error: errors.TapasError) -> status_pb2.Status:
    """State an error as ``google.rpc.Status``: ``ErrorInfo``, every field violation, and when to retry."""
    row = TABLE[type(error)]
    if isinstance(error, errors.NotFound):
        error = errors.NotFound(error.kind, _cut(error.name, _NAME_ROOM), error.hint)
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=row.reason, domain=DOMAIN, metadata=_metadata(error)),
    ]
    if isinstance(error, errors.InvalidInput):
        details.append(_bad_request(error.faults))
    if row.retry_after_s is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=_duration(row.retry_after_s)))
    return status_pb2.Status(code=row.code.value[0], message=_message(error), details=[_packed(d) for d in details])


def _refusal(code: grpc.StatusCode, reason: str, message: str) -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
    retry = error_details_pb2.RetryInfo(retry_delay=_duration(1.0))
    return status_pb2.Status(code=code.value[0], message=message, details=[_packed(info), _packed(retry)])


def error_of(call: grpc.Call, address: str) -> errors.TapasError:
    """Read a failed call as the error that the server raised, or as what its status code says."""
    status: status_pb2.Status | None = rpc_status.from_call(call)
    info = error_details_pb2.ErrorInfo()
    faults: list[errors.Fault] = []
    for detail in status.details if status is not None else ():
        bad_request = error_details_pb2.BadRequest()
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Unpack(bad_request):
            faults = [errors.Fault(v.field, v.description) for v in bad_request.field_violations]
    if status is not None and info.domain == DOMAIN:
        return _same_error(info, faults, status.message)
    return _by_code(call, address)


def _same_error(info: error_details_pb2.ErrorInfo, faults: list[errors.Fault], message: str) -> errors.TapasError:
    kinds = {row.reason: kind for kind, row in TABLE.items()} | {_LOADING: errors.ServerUnreachable}
    kind = kinds.get(info.reason, errors.TapasError)
    if kind is errors.InvalidInput:
        return errors.InvalidInput(info.metadata["subject"], faults)
    if kind is errors.NotFound:
        hint = message.partition("does not exist; ")[2]
        return errors.NotFound(info.metadata["kind"], info.metadata["name"], hint)
    return kind(message)


def _by_code(call: grpc.Call, address: str) -> errors.TapasError:
    code, details = call.code(), call.details() or "no details"
    if code is grpc.StatusCode.UNAVAILABLE:
        return errors.ServerUnreachable(f"no tapas-opt server at {address}; start one with `tapas-opt serve`")
    if code is grpc.StatusCode.CANCELLED:  # gRPC's answer to a call that arrives while the server stops
        return errors.ServerUnreachable(f"the server at {address} is stopping; call again once it is back")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlinePassed(f"the server at {address} did not answer before the deadline; give it longer")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return errors.ServerUnreachable(f"what answers at {address} is no tapas-opt server, or an older one: {details}")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return _too_much(details, address)
    return errors.TapasError(f"the server at {address} failed: {code.name}: {details}")


def _too_much(details: str, address: str) -> errors.TapasError:
    if "larger than max" in details:
        return errors.InvalidInput.one("request", "size", f"is too large; send less at once ({details})")
    return errors.TapasError(f"the server at {address} refuses more work for now: {details}")


def _metadata(error: errors.TapasError) -> dict[str, str]:
    if isinstance(error, errors.InvalidInput):
        return {"subject": error.subject}
    if isinstance(error, errors.NotFound):
        return {"kind": error.kind, "name": error.name}
    return {}


def _bad_request(faults: tuple[errors.Fault, ...]) -> error_details_pb2.BadRequest:
    """All violations that a header can carry; if any do not fit, the last one says how many."""
    found = error_details_pb2.BadRequest()
    for number, fault in enumerate(faults):
        found.field_violations.add(field=fault.where, description=_cut(fault.what, _VIOLATION_ROOM))
        if found.ByteSize() > _VIOLATIONS_ROOM_BYTES:
            del found.field_violations[-1]
            found.field_violations.add(field="…", description=f"{len(faults) - number} faults more")
            break
    return found


def _message(error: errors.TapasError) -> str:
    text = str(error)
    if isinstance(error, errors.InvalidInput) and len(error.faults) > 1 and _cut(text, _MESSAGE_ROOM) != text:
        text = f"{error.subject}: {len(error.faults)} faults, the first: {error.faults[0]}"
    return _cut(text, _MESSAGE_ROOM)


def _cut(text: str, room: int) -> str:
    """As much as fits into so much of a header, where each byte that is not printable ASCII takes three."""
    for end, character in enumerate(text):
        room -= 1 if " " <= character <= "~" else 3 * len(character.encode())
        if room < 0:
            return text[:end] + "…"
    return text


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


OVERLOADED = _refusal(
    grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", "too many calls are waiting already; try again in a second"
)
NOT_YET = _refusal(grpc.StatusCode.UNAVAILABLE, _LOADING, "the server is still loading its journal; try again")
"""Refusals that come before any handler runs."""
