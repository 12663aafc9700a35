from tapas_opt.api.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlaceVmsRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "vms", "groups", "explain")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    VMS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    vms: _containers.RepeatedCompositeFieldContainer[_common_pb2.Vm]
    groups: _containers.RepeatedCompositeFieldContainer[_common_pb2.Group]
    explain: bool
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., vms: _Optional[_Iterable[_Union[_common_pb2.Vm, _Mapping[str, object]]]] = ..., groups: _Optional[_Iterable[_Union[_common_pb2.Group, _Mapping[str, object]]]] = ..., explain: _Optional[bool] = ...) -> None: ...

class PlaceVmsResponse(_message.Message):
    __slots__ = ("decision", "placements", "unplaced", "reserved_until_s", "failure_costs")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    UNPLACED_FIELD_NUMBER: _ClassVar[int]
    RESERVED_UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    FAILURE_COSTS_FIELD_NUMBER: _ClassVar[int]
    decision: _common_pb2.Decision
    placements: _containers.RepeatedCompositeFieldContainer[Placement]
    unplaced: _containers.RepeatedScalarFieldContainer[str]
    reserved_until_s: float
    failure_costs: _containers.RepeatedCompositeFieldContainer[FailureCost]
    def __init__(self, decision: _Optional[_Union[_common_pb2.Decision, _Mapping[str, object]]] = ..., placements: _Optional[_Iterable[_Union[Placement, _Mapping[str, object]]]] = ..., unplaced: _Optional[_Iterable[str]] = ..., reserved_until_s: _Optional[float] = ..., failure_costs: _Optional[_Iterable[_Union[FailureCost, _Mapping[str, object]]]] = ...) -> None: ...

class FailureCost(_message.Message):
    __slots__ = ("failure", "room", "slot", "cost", "relief", "shortfall", "unit")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    RELIEF_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    failure: str
    room: str
    slot: str
    cost: float
    relief: float
    shortfall: float
    unit: str
    def __init__(self, failure: _Optional[str] = ..., room: _Optional[str] = ..., slot: _Optional[str] = ..., cost: _Optional[float] = ..., relief: _Optional[float] = ..., shortfall: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("vm", "server", "gpus")
    VM_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    vm: str
    server: str
    gpus: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, vm: _Optional[str] = ..., server: _Optional[str] = ..., gpus: _Optional[_Iterable[int]] = ...) -> None: ...

class ConfirmVmsRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "names")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class ConfirmVmsResponse(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class ReleaseVmsRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "names")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class ReleaseVmsResponse(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class RankServersRequest(_message.Message):
    __slots__ = ("vm", "candidates")
    VM_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    vm: _common_pb2.Vm
    candidates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, vm: _Optional[_Union[_common_pb2.Vm, _Mapping[str, object]]] = ..., candidates: _Optional[_Iterable[str]] = ...) -> None: ...

class RankServersResponse(_message.Message):
    __slots__ = ("servers", "snapshot_fingerprint", "model_fingerprint", "telemetry_age_s")
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_AGE_S_FIELD_NUMBER: _ClassVar[int]
    servers: _containers.RepeatedCompositeFieldContainer[RankedServer]
    snapshot_fingerprint: str
    model_fingerprint: str
    telemetry_age_s: float
    def __init__(self, servers: _Optional[_Iterable[_Union[RankedServer, _Mapping[str, object]]]] = ..., snapshot_fingerprint: _Optional[str] = ..., model_fingerprint: _Optional[str] = ..., telemetry_age_s: _Optional[float] = ...) -> None: ...

class RankedServer(_message.Message):
    __slots__ = ("server", "eligible", "cost", "reasons")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    server: str
    eligible: bool
    cost: float
    reasons: _containers.RepeatedScalarFieldContainer[_common_pb2.Reason]
    def __init__(self, server: _Optional[str] = ..., eligible: _Optional[bool] = ..., cost: _Optional[float] = ..., reasons: _Optional[_Iterable[_Union[_common_pb2.Reason, str]]] = ...) -> None: ...
