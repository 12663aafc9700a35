from tapas_opt.api.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VmDifferenceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VM_DIFFERENCE_KIND_UNSPECIFIED: _ClassVar[VmDifferenceKind]
    VM_DIFFERENCE_KIND_UNKNOWN_HERE: _ClassVar[VmDifferenceKind]
    VM_DIFFERENCE_KIND_GONE: _ClassVar[VmDifferenceKind]
    VM_DIFFERENCE_KIND_MOVED: _ClassVar[VmDifferenceKind]
VM_DIFFERENCE_KIND_UNSPECIFIED: VmDifferenceKind
VM_DIFFERENCE_KIND_UNKNOWN_HERE: VmDifferenceKind
VM_DIFFERENCE_KIND_GONE: VmDifferenceKind
VM_DIFFERENCE_KIND_MOVED: VmDifferenceKind

class Slo(_message.Message):
    __slots__ = ("ttft_s", "tbt_s", "quantile")
    TTFT_S_FIELD_NUMBER: _ClassVar[int]
    TBT_S_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_FIELD_NUMBER: _ClassVar[int]
    ttft_s: float
    tbt_s: float
    quantile: float
    def __init__(self, ttft_s: _Optional[float] = ..., tbt_s: _Optional[float] = ..., quantile: _Optional[float] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("name", "slo", "configuration", "quality_floor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SLO_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FLOOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    slo: Slo
    configuration: str
    quality_floor: float
    def __init__(self, name: _Optional[str] = ..., slo: _Optional[_Union[Slo, _Mapping[str, object]]] = ..., configuration: _Optional[str] = ..., quality_floor: _Optional[float] = ...) -> None: ...

class PutEndpointRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "endpoint")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    endpoint: Endpoint
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping[str, object]]] = ...) -> None: ...

class PutEndpointResponse(_message.Message):
    __slots__ = ("endpoint",)
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    endpoint: Endpoint
    def __init__(self, endpoint: _Optional[_Union[Endpoint, _Mapping[str, object]]] = ...) -> None: ...

class AdoptVmsRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "vms", "groups")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    VMS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    vms: _containers.RepeatedCompositeFieldContainer[_common_pb2.PlacedVm]
    groups: _containers.RepeatedCompositeFieldContainer[_common_pb2.Group]
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., vms: _Optional[_Iterable[_Union[_common_pb2.PlacedVm, _Mapping[str, object]]]] = ..., groups: _Optional[_Iterable[_Union[_common_pb2.Group, _Mapping[str, object]]]] = ...) -> None: ...

class AdoptVmsResponse(_message.Message):
    __slots__ = ("adopted",)
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    adopted: int
    def __init__(self, adopted: _Optional[int] = ...) -> None: ...

class SyncVmsRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "vms")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    VMS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    vms: _containers.RepeatedCompositeFieldContainer[_common_pb2.PlacedVm]
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., vms: _Optional[_Iterable[_Union[_common_pb2.PlacedVm, _Mapping[str, object]]]] = ...) -> None: ...

class SyncVmsResponse(_message.Message):
    __slots__ = ("differences",)
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[VmDifference]
    def __init__(self, differences: _Optional[_Iterable[_Union[VmDifference, _Mapping[str, object]]]] = ...) -> None: ...

class VmDifference(_message.Message):
    __slots__ = ("vm", "kind", "known_server", "actual_server")
    VM_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KNOWN_SERVER_FIELD_NUMBER: _ClassVar[int]
    ACTUAL_SERVER_FIELD_NUMBER: _ClassVar[int]
    vm: str
    kind: VmDifferenceKind
    known_server: str
    actual_server: str
    def __init__(self, vm: _Optional[str] = ..., kind: _Optional[_Union[VmDifferenceKind, str]] = ..., known_server: _Optional[str] = ..., actual_server: _Optional[str] = ...) -> None: ...

class VmRecord(_message.Message):
    __slots__ = ("vm", "state", "server", "reserved_until_s", "desired_configuration", "load_frac", "gpus")
    VM_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    RESERVED_UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    DESIRED_CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    LOAD_FRAC_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    vm: _common_pb2.Vm
    state: _common_pb2.VmState
    server: str
    reserved_until_s: float
    desired_configuration: str
    load_frac: float
    gpus: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, vm: _Optional[_Union[_common_pb2.Vm, _Mapping[str, object]]] = ..., state: _Optional[_Union[_common_pb2.VmState, str]] = ..., server: _Optional[str] = ..., reserved_until_s: _Optional[float] = ..., desired_configuration: _Optional[str] = ..., load_frac: _Optional[float] = ..., gpus: _Optional[_Iterable[int]] = ...) -> None: ...

class GetVmRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetVmResponse(_message.Message):
    __slots__ = ("vm",)
    VM_FIELD_NUMBER: _ClassVar[int]
    vm: VmRecord
    def __init__(self, vm: _Optional[_Union[VmRecord, _Mapping[str, object]]] = ...) -> None: ...

class ListVmsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "endpoint", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    endpoint: str
    state: _common_pb2.VmState
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., endpoint: _Optional[str] = ..., state: _Optional[_Union[_common_pb2.VmState, str]] = ...) -> None: ...

class ListVmsResponse(_message.Message):
    __slots__ = ("vms", "next_page_token")
    VMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    vms: _containers.RepeatedCompositeFieldContainer[VmRecord]
    next_page_token: str
    def __init__(self, vms: _Optional[_Iterable[_Union[VmRecord, _Mapping[str, object]]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
