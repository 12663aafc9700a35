from tapas_opt.api.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_COMPLETED: _ClassVar[Outcome]
    OUTCOME_FAILED: _ClassVar[Outcome]
    OUTCOME_CANCELLED: _ClassVar[Outcome]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_COMPLETED: Outcome
OUTCOME_FAILED: Outcome
OUTCOME_CANCELLED: Outcome

class RouteRequest(_message.Message):
    __slots__ = ("endpoint", "prompt_tokens", "output_tokens", "session")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    prompt_tokens: int
    output_tokens: int
    session: str
    def __init__(self, endpoint: _Optional[str] = ..., prompt_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., session: _Optional[str] = ...) -> None: ...

class RouteResponse(_message.Message):
    __slots__ = ("instance", "server", "mode", "request_class", "pending_tokens", "snapshot_fingerprint", "plan_age_s")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_CLASS_FIELD_NUMBER: _ClassVar[int]
    PENDING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    PLAN_AGE_S_FIELD_NUMBER: _ClassVar[int]
    instance: str
    server: str
    mode: _common_pb2.DecisionMode
    request_class: str
    pending_tokens: float
    snapshot_fingerprint: str
    plan_age_s: float
    def __init__(self, instance: _Optional[str] = ..., server: _Optional[str] = ..., mode: _Optional[_Union[_common_pb2.DecisionMode, str]] = ..., request_class: _Optional[str] = ..., pending_tokens: _Optional[float] = ..., snapshot_fingerprint: _Optional[str] = ..., plan_age_s: _Optional[float] = ...) -> None: ...

class GetRoutingTableRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRoutingTableResponse(_message.Message):
    __slots__ = ("table",)
    TABLE_FIELD_NUMBER: _ClassVar[int]
    table: RoutingTable
    def __init__(self, table: _Optional[_Union[RoutingTable, _Mapping[str, object]]] = ...) -> None: ...

class RoutingTable(_message.Message):
    __slots__ = ("snapshot_fingerprint", "created_at_s", "stale_at_s", "mode", "classes")
    SNAPSHOT_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_S_FIELD_NUMBER: _ClassVar[int]
    STALE_AT_S_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    snapshot_fingerprint: str
    created_at_s: float
    stale_at_s: float
    mode: _common_pb2.DecisionMode
    classes: _containers.RepeatedCompositeFieldContainer[RoutingClass]
    def __init__(self, snapshot_fingerprint: _Optional[str] = ..., created_at_s: _Optional[float] = ..., stale_at_s: _Optional[float] = ..., mode: _Optional[_Union[_common_pb2.DecisionMode, str]] = ..., classes: _Optional[_Iterable[_Union[RoutingClass, _Mapping[str, object]]]] = ...) -> None: ...

class RoutingClass(_message.Message):
    __slots__ = ("request_class", "endpoint", "shares", "unserved_frac")
    class SharesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    REQUEST_CLASS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    UNSERVED_FRAC_FIELD_NUMBER: _ClassVar[int]
    request_class: str
    endpoint: str
    shares: _containers.ScalarMap[str, float]
    unserved_frac: float
    def __init__(self, request_class: _Optional[str] = ..., endpoint: _Optional[str] = ..., shares: _Optional[_Mapping[str, float]] = ..., unserved_frac: _Optional[float] = ...) -> None: ...

class CompleteRequestsRequest(_message.Message):
    __slots__ = ("endpoint", "instance", "outcome", "prompt_tokens", "output_tokens", "ttft_s", "tbt_s", "pending_tokens")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TTFT_S_FIELD_NUMBER: _ClassVar[int]
    TBT_S_FIELD_NUMBER: _ClassVar[int]
    PENDING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    instance: str
    outcome: Outcome
    prompt_tokens: int
    output_tokens: int
    ttft_s: float
    tbt_s: float
    pending_tokens: float
    def __init__(self, endpoint: _Optional[str] = ..., instance: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., prompt_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., ttft_s: _Optional[float] = ..., tbt_s: _Optional[float] = ..., pending_tokens: _Optional[float] = ...) -> None: ...

class CompleteRequestsResponse(_message.Message):
    __slots__ = ("accepted", "unknown")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    unknown: int
    def __init__(self, accepted: _Optional[int] = ..., unknown: _Optional[int] = ...) -> None: ...
