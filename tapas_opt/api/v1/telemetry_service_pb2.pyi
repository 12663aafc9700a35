from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PushTelemetryRequest(_message.Message):
    __slots__ = ("observed_at_s", "rooms", "servers", "upses", "endpoints", "rows", "pdus")
    OBSERVED_AT_S_FIELD_NUMBER: _ClassVar[int]
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    UPSES_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PDUS_FIELD_NUMBER: _ClassVar[int]
    observed_at_s: float
    rooms: _containers.RepeatedCompositeFieldContainer[RoomReading]
    servers: _containers.RepeatedCompositeFieldContainer[ServerReading]
    upses: _containers.RepeatedCompositeFieldContainer[UpsReading]
    endpoints: _containers.RepeatedCompositeFieldContainer[EndpointReading]
    rows: _containers.RepeatedCompositeFieldContainer[RowReading]
    pdus: _containers.RepeatedCompositeFieldContainer[PduReading]
    def __init__(self, observed_at_s: _Optional[float] = ..., rooms: _Optional[_Iterable[_Union[RoomReading, _Mapping[str, object]]]] = ..., servers: _Optional[_Iterable[_Union[ServerReading, _Mapping[str, object]]]] = ..., upses: _Optional[_Iterable[_Union[UpsReading, _Mapping[str, object]]]] = ..., endpoints: _Optional[_Iterable[_Union[EndpointReading, _Mapping[str, object]]]] = ..., rows: _Optional[_Iterable[_Union[RowReading, _Mapping[str, object]]]] = ..., pdus: _Optional[_Iterable[_Union[PduReading, _Mapping[str, object]]]] = ...) -> None: ...

class RoomReading(_message.Message):
    __slots__ = ("room", "outdoor_c")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    OUTDOOR_C_FIELD_NUMBER: _ClassVar[int]
    room: str
    outdoor_c: float
    def __init__(self, room: _Optional[str] = ..., outdoor_c: _Optional[float] = ...) -> None: ...

class ServerReading(_message.Message):
    __slots__ = ("server", "power_w", "inlet_c", "hottest_gpu_c", "airflow_cfm", "gpus")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    INLET_C_FIELD_NUMBER: _ClassVar[int]
    HOTTEST_GPU_C_FIELD_NUMBER: _ClassVar[int]
    AIRFLOW_CFM_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    server: str
    power_w: float
    inlet_c: float
    hottest_gpu_c: float
    airflow_cfm: float
    gpus: _containers.RepeatedCompositeFieldContainer[GpuReading]
    def __init__(self, server: _Optional[str] = ..., power_w: _Optional[float] = ..., inlet_c: _Optional[float] = ..., hottest_gpu_c: _Optional[float] = ..., airflow_cfm: _Optional[float] = ..., gpus: _Optional[_Iterable[_Union[GpuReading, _Mapping[str, object]]]] = ...) -> None: ...

class GpuReading(_message.Message):
    __slots__ = ("gpu", "power_w", "temperature_c", "memory_temperature_c", "load_frac")
    GPU_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_C_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TEMPERATURE_C_FIELD_NUMBER: _ClassVar[int]
    LOAD_FRAC_FIELD_NUMBER: _ClassVar[int]
    gpu: int
    power_w: float
    temperature_c: float
    memory_temperature_c: float
    load_frac: float
    def __init__(self, gpu: _Optional[int] = ..., power_w: _Optional[float] = ..., temperature_c: _Optional[float] = ..., memory_temperature_c: _Optional[float] = ..., load_frac: _Optional[float] = ...) -> None: ...

class UpsReading(_message.Message):
    __slots__ = ("ups", "power_w")
    UPS_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    ups: str
    power_w: float
    def __init__(self, ups: _Optional[str] = ..., power_w: _Optional[float] = ...) -> None: ...

class RowReading(_message.Message):
    __slots__ = ("row", "meter_power_w")
    ROW_FIELD_NUMBER: _ClassVar[int]
    METER_POWER_W_FIELD_NUMBER: _ClassVar[int]
    row: str
    meter_power_w: float
    def __init__(self, row: _Optional[str] = ..., meter_power_w: _Optional[float] = ...) -> None: ...

class PduReading(_message.Message):
    __slots__ = ("pdu", "power_w")
    PDU_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    pdu: str
    power_w: float
    def __init__(self, pdu: _Optional[str] = ..., power_w: _Optional[float] = ...) -> None: ...

class EndpointReading(_message.Message):
    __slots__ = ("endpoint", "tokens_per_s")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_S_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    tokens_per_s: float
    def __init__(self, endpoint: _Optional[str] = ..., tokens_per_s: _Optional[float] = ...) -> None: ...

class PushTelemetryResponse(_message.Message):
    __slots__ = ("accepted", "refused", "refusals")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    refused: int
    refusals: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, accepted: _Optional[int] = ..., refused: _Optional[int] = ..., refusals: _Optional[_Iterable[str]] = ...) -> None: ...
