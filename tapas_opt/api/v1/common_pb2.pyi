from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DecisionMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_MODE_UNSPECIFIED: _ClassVar[DecisionMode]
    DECISION_MODE_SOLVER: _ClassVar[DecisionMode]
    DECISION_MODE_GREEDY: _ClassVar[DecisionMode]
    DECISION_MODE_STALE_SAFE: _ClassVar[DecisionMode]
    DECISION_MODE_BEST_EFFORT: _ClassVar[DecisionMode]

class DecisionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_STATUS_UNSPECIFIED: _ClassVar[DecisionStatus]
    DECISION_STATUS_OPTIMAL: _ClassVar[DecisionStatus]
    DECISION_STATUS_FEASIBLE: _ClassVar[DecisionStatus]
    DECISION_STATUS_INFEASIBLE: _ClassVar[DecisionStatus]
    DECISION_STATUS_NO_SOLUTION: _ClassVar[DecisionStatus]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_RACK_POWER_BUDGET: _ClassVar[Reason]
    REASON_ROW_POWER_BUDGET: _ClassVar[Reason]
    REASON_PDU_POWER_BUDGET: _ClassVar[Reason]
    REASON_UPS_POWER_CAPACITY: _ClassVar[Reason]
    REASON_AISLE_AIRFLOW_CAPACITY: _ClassVar[Reason]
    REASON_AISLE_HEAT_CAPACITY: _ClassVar[Reason]
    REASON_VM_PLACED_ONCE: _ClassVar[Reason]
    REASON_SERVER_GPU_CAPACITY: _ClassVar[Reason]
    REASON_GPU_TEMPERATURE_LIMIT: _ClassVar[Reason]
    REASON_GROUP_SPREAD: _ClassVar[Reason]
    REASON_GROUP_ALL_OR_NOTHING: _ClassVar[Reason]
    REASON_PEAK_UTILISATION: _ClassVar[Reason]
    REASON_ENDPOINT_DEMAND: _ClassVar[Reason]
    REASON_INSTANCE_GOODPUT: _ClassVar[Reason]
    REASON_INSTANCE_HAS_ONE_CHOICE: _ClassVar[Reason]
    REASON_RELIEF_IN_TIME: _ClassVar[Reason]
    REASON_CHANGE_BUDGET: _ClassVar[Reason]
    REASON_RELOAD_LIMIT: _ClassVar[Reason]
    REASON_UPS_TRANSIENT_LIMIT: _ClassVar[Reason]
    REASON_FAILURE_SECURE: _ClassVar[Reason]
    REASON_RELIEF_AVAILABLE: _ClassVar[Reason]
    REASON_WORST_FAILURE: _ClassVar[Reason]
    REASON_CVAR_BUDGET: _ClassVar[Reason]
    REASON_GROUP_TOGETHER: _ClassVar[Reason]
    REASON_TENANT_RESERVATION: _ClassVar[Reason]
    REASON_CAPACITY_BUFFER: _ClassVar[Reason]
    REASON_CAPPING_AGREED: _ClassVar[Reason]
    REASON_NOT_SOLVED: _ClassVar[Reason]

class OperatingMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATING_MODE_UNSPECIFIED: _ClassVar[OperatingMode]
    OPERATING_MODE_SHADOW: _ClassVar[OperatingMode]
    OPERATING_MODE_ADVISE: _ClassVar[OperatingMode]
    OPERATING_MODE_ACT: _ClassVar[OperatingMode]

class VmKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VM_KIND_UNSPECIFIED: _ClassVar[VmKind]
    VM_KIND_IAAS: _ClassVar[VmKind]
    VM_KIND_SAAS: _ClassVar[VmKind]

class SpreadOver(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPREAD_OVER_UNSPECIFIED: _ClassVar[SpreadOver]
    SPREAD_OVER_RACK: _ClassVar[SpreadOver]
    SPREAD_OVER_ROW: _ClassVar[SpreadOver]
    SPREAD_OVER_AISLE: _ClassVar[SpreadOver]
    SPREAD_OVER_UPS_PAIR: _ClassVar[SpreadOver]
    SPREAD_OVER_ROOM: _ClassVar[SpreadOver]

class VmState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VM_STATE_UNSPECIFIED: _ClassVar[VmState]
    VM_STATE_RESERVED: _ClassVar[VmState]
    VM_STATE_RUNNING: _ClassVar[VmState]

class FailureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_KIND_UNSPECIFIED: _ClassVar[FailureKind]
    FAILURE_KIND_UPS: _ClassVar[FailureKind]
    FAILURE_KIND_PDU: _ClassVar[FailureKind]
    FAILURE_KIND_AHU: _ClassVar[FailureKind]
    FAILURE_KIND_CHILLED_WATER: _ClassVar[FailureKind]
    FAILURE_KIND_ROOM_POWER: _ClassVar[FailureKind]
    FAILURE_KIND_ROOM_AIRFLOW: _ClassVar[FailureKind]

class FailureSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_SOURCE_UNSPECIFIED: _ClassVar[FailureSource]
    FAILURE_SOURCE_REPORTED: _ClassVar[FailureSource]
    FAILURE_SOURCE_INFERRED: _ClassVar[FailureSource]
    FAILURE_SOURCE_PLANNED: _ClassVar[FailureSource]
DECISION_MODE_UNSPECIFIED: DecisionMode
DECISION_MODE_SOLVER: DecisionMode
DECISION_MODE_GREEDY: DecisionMode
DECISION_MODE_STALE_SAFE: DecisionMode
DECISION_MODE_BEST_EFFORT: DecisionMode
DECISION_STATUS_UNSPECIFIED: DecisionStatus
DECISION_STATUS_OPTIMAL: DecisionStatus
DECISION_STATUS_FEASIBLE: DecisionStatus
DECISION_STATUS_INFEASIBLE: DecisionStatus
DECISION_STATUS_NO_SOLUTION: DecisionStatus
REASON_UNSPECIFIED: Reason
REASON_RACK_POWER_BUDGET: Reason
REASON_ROW_POWER_BUDGET: Reason
REASON_PDU_POWER_BUDGET: Reason
REASON_UPS_POWER_CAPACITY: Reason
REASON_AISLE_AIRFLOW_CAPACITY: Reason
REASON_AISLE_HEAT_CAPACITY: Reason
REASON_VM_PLACED_ONCE: Reason
REASON_SERVER_GPU_CAPACITY: Reason
REASON_GPU_TEMPERATURE_LIMIT: Reason
REASON_GROUP_SPREAD: Reason
REASON_GROUP_ALL_OR_NOTHING: Reason
REASON_PEAK_UTILISATION: Reason
REASON_ENDPOINT_DEMAND: Reason
REASON_INSTANCE_GOODPUT: Reason
REASON_INSTANCE_HAS_ONE_CHOICE: Reason
REASON_RELIEF_IN_TIME: Reason
REASON_CHANGE_BUDGET: Reason
REASON_RELOAD_LIMIT: Reason
REASON_UPS_TRANSIENT_LIMIT: Reason
REASON_FAILURE_SECURE: Reason
REASON_RELIEF_AVAILABLE: Reason
REASON_WORST_FAILURE: Reason
REASON_CVAR_BUDGET: Reason
REASON_GROUP_TOGETHER: Reason
REASON_TENANT_RESERVATION: Reason
REASON_CAPACITY_BUFFER: Reason
REASON_CAPPING_AGREED: Reason
REASON_NOT_SOLVED: Reason
OPERATING_MODE_UNSPECIFIED: OperatingMode
OPERATING_MODE_SHADOW: OperatingMode
OPERATING_MODE_ADVISE: OperatingMode
OPERATING_MODE_ACT: OperatingMode
VM_KIND_UNSPECIFIED: VmKind
VM_KIND_IAAS: VmKind
VM_KIND_SAAS: VmKind
SPREAD_OVER_UNSPECIFIED: SpreadOver
SPREAD_OVER_RACK: SpreadOver
SPREAD_OVER_ROW: SpreadOver
SPREAD_OVER_AISLE: SpreadOver
SPREAD_OVER_UPS_PAIR: SpreadOver
SPREAD_OVER_ROOM: SpreadOver
VM_STATE_UNSPECIFIED: VmState
VM_STATE_RESERVED: VmState
VM_STATE_RUNNING: VmState
FAILURE_KIND_UNSPECIFIED: FailureKind
FAILURE_KIND_UPS: FailureKind
FAILURE_KIND_PDU: FailureKind
FAILURE_KIND_AHU: FailureKind
FAILURE_KIND_CHILLED_WATER: FailureKind
FAILURE_KIND_ROOM_POWER: FailureKind
FAILURE_KIND_ROOM_AIRFLOW: FailureKind
FAILURE_SOURCE_UNSPECIFIED: FailureSource
FAILURE_SOURCE_REPORTED: FailureSource
FAILURE_SOURCE_INFERRED: FailureSource
FAILURE_SOURCE_PLANNED: FailureSource

class Vm(_message.Message):
    __slots__ = ("name", "kind", "tenant", "endpoint", "configuration", "gpu_models", "group", "priority", "spot", "capping_agreed", "lifetime_s", "gpus")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    GPU_MODELS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SPOT_FIELD_NUMBER: _ClassVar[int]
    CAPPING_AGREED_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: VmKind
    tenant: str
    endpoint: str
    configuration: str
    gpu_models: _containers.RepeatedScalarFieldContainer[str]
    group: str
    priority: int
    spot: bool
    capping_agreed: bool
    lifetime_s: float
    gpus: int
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[VmKind, str]] = ..., tenant: _Optional[str] = ..., endpoint: _Optional[str] = ..., configuration: _Optional[str] = ..., gpu_models: _Optional[_Iterable[str]] = ..., group: _Optional[str] = ..., priority: _Optional[int] = ..., spot: _Optional[bool] = ..., capping_agreed: _Optional[bool] = ..., lifetime_s: _Optional[float] = ..., gpus: _Optional[int] = ...) -> None: ...

class PlacedVm(_message.Message):
    __slots__ = ("vm", "server", "gpus")
    VM_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    vm: Vm
    server: str
    gpus: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, vm: _Optional[_Union[Vm, _Mapping[str, object]]] = ..., server: _Optional[str] = ..., gpus: _Optional[_Iterable[int]] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("name", "spread_over", "max_per_place", "all_or_nothing", "together_over")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPREAD_OVER_FIELD_NUMBER: _ClassVar[int]
    MAX_PER_PLACE_FIELD_NUMBER: _ClassVar[int]
    ALL_OR_NOTHING_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_OVER_FIELD_NUMBER: _ClassVar[int]
    name: str
    spread_over: SpreadOver
    max_per_place: int
    all_or_nothing: bool
    together_over: SpreadOver
    def __init__(self, name: _Optional[str] = ..., spread_over: _Optional[_Union[SpreadOver, str]] = ..., max_per_place: _Optional[int] = ..., all_or_nothing: _Optional[bool] = ..., together_over: _Optional[_Union[SpreadOver, str]] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("subject", "reason", "shortfall", "unit")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    subject: str
    reason: Reason
    shortfall: float
    unit: str
    def __init__(self, subject: _Optional[str] = ..., reason: _Optional[_Union[Reason, str]] = ..., shortfall: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class Binding(_message.Message):
    __slots__ = ("reason", "where", "headroom", "unit")
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    HEADROOM_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    reason: Reason
    where: str
    headroom: float
    unit: str
    def __init__(self, reason: _Optional[_Union[Reason, str]] = ..., where: _Optional[str] = ..., headroom: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class ShadowPrice(_message.Message):
    __slots__ = ("reason", "where", "price", "unit")
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    reason: Reason
    where: str
    price: float
    unit: str
    def __init__(self, reason: _Optional[_Union[Reason, str]] = ..., where: _Optional[str] = ..., price: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("decision_id", "mode", "status", "solver", "objective", "bound", "gap_frac", "terms", "fallback", "snapshot_fingerprint", "model_fingerprint", "telemetry_age_s", "binding", "rejections", "build_s", "solve_s", "check_s", "warnings", "shadow_prices")
    class TermsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SOLVER_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    GAP_FRAC_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_AGE_S_FIELD_NUMBER: _ClassVar[int]
    BINDING_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    BUILD_S_FIELD_NUMBER: _ClassVar[int]
    SOLVE_S_FIELD_NUMBER: _ClassVar[int]
    CHECK_S_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_PRICES_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    mode: DecisionMode
    status: DecisionStatus
    solver: str
    objective: float
    bound: float
    gap_frac: float
    terms: _containers.ScalarMap[str, float]
    fallback: str
    snapshot_fingerprint: str
    model_fingerprint: str
    telemetry_age_s: float
    binding: _containers.RepeatedCompositeFieldContainer[Binding]
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    build_s: float
    solve_s: float
    check_s: float
    warnings: _containers.RepeatedScalarFieldContainer[str]
    shadow_prices: _containers.RepeatedCompositeFieldContainer[ShadowPrice]
    def __init__(self, decision_id: _Optional[str] = ..., mode: _Optional[_Union[DecisionMode, str]] = ..., status: _Optional[_Union[DecisionStatus, str]] = ..., solver: _Optional[str] = ..., objective: _Optional[float] = ..., bound: _Optional[float] = ..., gap_frac: _Optional[float] = ..., terms: _Optional[_Mapping[str, float]] = ..., fallback: _Optional[str] = ..., snapshot_fingerprint: _Optional[str] = ..., model_fingerprint: _Optional[str] = ..., telemetry_age_s: _Optional[float] = ..., binding: _Optional[_Iterable[_Union[Binding, _Mapping[str, object]]]] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping[str, object]]]] = ..., build_s: _Optional[float] = ..., solve_s: _Optional[float] = ..., check_s: _Optional[float] = ..., warnings: _Optional[_Iterable[str]] = ..., shadow_prices: _Optional[_Iterable[_Union[ShadowPrice, _Mapping[str, object]]]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("kind", "element", "remaining_frac", "source", "started_at_s", "expected_duration_s")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FRAC_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_S_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_DURATION_S_FIELD_NUMBER: _ClassVar[int]
    kind: FailureKind
    element: str
    remaining_frac: float
    source: FailureSource
    started_at_s: float
    expected_duration_s: float
    def __init__(self, kind: _Optional[_Union[FailureKind, str]] = ..., element: _Optional[str] = ..., remaining_frac: _Optional[float] = ..., source: _Optional[_Union[FailureSource, str]] = ..., started_at_s: _Optional[float] = ..., expected_duration_s: _Optional[float] = ...) -> None: ...
