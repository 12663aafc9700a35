from tapas_opt.api.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ServerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVER_STATE_UNSPECIFIED: _ClassVar[ServerState]
    SERVER_STATE_IN_SERVICE: _ClassVar[ServerState]
    SERVER_STATE_CORDONED: _ClassVar[ServerState]
    SERVER_STATE_DRAINING: _ClassVar[ServerState]
SERVER_STATE_UNSPECIFIED: ServerState
SERVER_STATE_IN_SERVICE: ServerState
SERVER_STATE_CORDONED: ServerState
SERVER_STATE_DRAINING: ServerState

class ApplySiteRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "etag", "site_yaml")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    SITE_YAML_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    etag: str
    site_yaml: str
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., etag: _Optional[str] = ..., site_yaml: _Optional[str] = ...) -> None: ...

class ApplySiteResponse(_message.Message):
    __slots__ = ("etag", "name", "servers")
    ETAG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    etag: str
    name: str
    servers: int
    def __init__(self, etag: _Optional[str] = ..., name: _Optional[str] = ..., servers: _Optional[int] = ...) -> None: ...

class GetSiteRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSiteResponse(_message.Message):
    __slots__ = ("etag", "name", "servers", "site_yaml")
    ETAG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    SITE_YAML_FIELD_NUMBER: _ClassVar[int]
    etag: str
    name: str
    servers: int
    site_yaml: str
    def __init__(self, etag: _Optional[str] = ..., name: _Optional[str] = ..., servers: _Optional[int] = ..., site_yaml: _Optional[str] = ...) -> None: ...

class SetServerStateRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "server", "state")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    server: str
    state: ServerState
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., server: _Optional[str] = ..., state: _Optional[_Union[ServerState, str]] = ...) -> None: ...

class SetServerStateResponse(_message.Message):
    __slots__ = ("server", "state")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    server: str
    state: ServerState
    def __init__(self, server: _Optional[str] = ..., state: _Optional[_Union[ServerState, str]] = ...) -> None: ...

class GetSnapshotRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSnapshotResponse(_message.Message):
    __slots__ = ("snapshot",)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: Snapshot
    def __init__(self, snapshot: _Optional[_Union[Snapshot, _Mapping[str, object]]] = ...) -> None: ...

class SetModeRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "mode")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    mode: _common_pb2.OperatingMode
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., mode: _Optional[_Union[_common_pb2.OperatingMode, str]] = ...) -> None: ...

class SetModeResponse(_message.Message):
    __slots__ = ("mode",)
    MODE_FIELD_NUMBER: _ClassVar[int]
    mode: _common_pb2.OperatingMode
    def __init__(self, mode: _Optional[_Union[_common_pb2.OperatingMode, str]] = ...) -> None: ...

class Reservation(_message.Message):
    __slots__ = ("name", "hardware", "servers", "tenant", "row", "room")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HARDWARE_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    name: str
    hardware: str
    servers: int
    tenant: str
    row: str
    room: str
    def __init__(self, name: _Optional[str] = ..., hardware: _Optional[str] = ..., servers: _Optional[int] = ..., tenant: _Optional[str] = ..., row: _Optional[str] = ..., room: _Optional[str] = ...) -> None: ...

class PutReservationRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "reservation")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    reservation: Reservation
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., reservation: _Optional[_Union[Reservation, _Mapping[str, object]]] = ...) -> None: ...

class PutReservationResponse(_message.Message):
    __slots__ = ("reservation",)
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    reservation: Reservation
    def __init__(self, reservation: _Optional[_Union[Reservation, _Mapping[str, object]]] = ...) -> None: ...

class RemoveReservationRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "name")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    name: str
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., name: _Optional[str] = ...) -> None: ...

class RemoveReservationResponse(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ScheduleOutageRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "outage")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    OUTAGE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    outage: _common_pb2.Failure
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., outage: _Optional[_Union[_common_pb2.Failure, _Mapping[str, object]]] = ...) -> None: ...

class ScheduleOutageResponse(_message.Message):
    __slots__ = ("outage",)
    OUTAGE_FIELD_NUMBER: _ClassVar[int]
    outage: str
    def __init__(self, outage: _Optional[str] = ...) -> None: ...

class CancelOutageRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "outage")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    OUTAGE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    outage: str
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., outage: _Optional[str] = ...) -> None: ...

class CancelOutageResponse(_message.Message):
    __slots__ = ("outage",)
    OUTAGE_FIELD_NUMBER: _ClassVar[int]
    outage: str
    def __init__(self, outage: _Optional[str] = ...) -> None: ...

class ListReservationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListReservationsResponse(_message.Message):
    __slots__ = ("reservations",)
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[ReservationUse]
    def __init__(self, reservations: _Optional[_Iterable[_Union[ReservationUse, _Mapping[str, object]]]] = ...) -> None: ...

class ReservationUse(_message.Message):
    __slots__ = ("reservation", "used")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    reservation: Reservation
    used: int
    def __init__(self, reservation: _Optional[_Union[Reservation, _Mapping[str, object]]] = ..., used: _Optional[int] = ...) -> None: ...

class DomainLoad(_message.Message):
    __slots__ = ("constraint", "name", "load", "limit", "unit")
    CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    constraint: _common_pb2.Reason
    name: str
    load: float
    limit: float
    unit: str
    def __init__(self, constraint: _Optional[_Union[_common_pb2.Reason, str]] = ..., name: _Optional[str] = ..., load: _Optional[float] = ..., limit: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("fingerprint", "model_fingerprint", "site_name", "site_etag", "taken_at_s", "telemetry_age_s", "servers", "servers_free", "vms_reserved", "vms_running", "failures", "mode", "plan_id", "domains", "endpoints", "warnings", "outages")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    SITE_NAME_FIELD_NUMBER: _ClassVar[int]
    SITE_ETAG_FIELD_NUMBER: _ClassVar[int]
    TAKEN_AT_S_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_AGE_S_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FREE_FIELD_NUMBER: _ClassVar[int]
    VMS_RESERVED_FIELD_NUMBER: _ClassVar[int]
    VMS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    OUTAGES_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    model_fingerprint: str
    site_name: str
    site_etag: str
    taken_at_s: float
    telemetry_age_s: float
    servers: int
    servers_free: int
    vms_reserved: int
    vms_running: int
    failures: _containers.RepeatedCompositeFieldContainer[_common_pb2.Failure]
    mode: _common_pb2.OperatingMode
    plan_id: str
    domains: _containers.RepeatedCompositeFieldContainer[DomainLoad]
    endpoints: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    outages: _containers.RepeatedCompositeFieldContainer[_common_pb2.Failure]
    def __init__(self, fingerprint: _Optional[str] = ..., model_fingerprint: _Optional[str] = ..., site_name: _Optional[str] = ..., site_etag: _Optional[str] = ..., taken_at_s: _Optional[float] = ..., telemetry_age_s: _Optional[float] = ..., servers: _Optional[int] = ..., servers_free: _Optional[int] = ..., vms_reserved: _Optional[int] = ..., vms_running: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[_common_pb2.Failure, _Mapping[str, object]]]] = ..., mode: _Optional[_Union[_common_pb2.OperatingMode, str]] = ..., plan_id: _Optional[str] = ..., domains: _Optional[_Iterable[_Union[DomainLoad, _Mapping[str, object]]]] = ..., endpoints: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ..., outages: _Optional[_Iterable[_Union[_common_pb2.Failure, _Mapping[str, object]]]] = ...) -> None: ...
