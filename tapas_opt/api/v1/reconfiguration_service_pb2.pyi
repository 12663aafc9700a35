from tapas_opt.api.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_NOW: _ClassVar[Stage]
    STAGE_SETTLED: _ClassVar[Stage]
STAGE_UNSPECIFIED: Stage
STAGE_NOW: Stage
STAGE_SETTLED: Stage

class ConfigurationChange(_message.Message):
    __slots__ = ("vm", "from_configuration", "to_configuration", "load_frac", "wave", "reload", "generation", "slot")
    VM_FIELD_NUMBER: _ClassVar[int]
    FROM_CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    TO_CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    LOAD_FRAC_FIELD_NUMBER: _ClassVar[int]
    WAVE_FIELD_NUMBER: _ClassVar[int]
    RELOAD_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    vm: str
    from_configuration: str
    to_configuration: str
    load_frac: float
    wave: int
    reload: bool
    generation: int
    slot: int
    def __init__(self, vm: _Optional[str] = ..., from_configuration: _Optional[str] = ..., to_configuration: _Optional[str] = ..., load_frac: _Optional[float] = ..., wave: _Optional[int] = ..., reload: _Optional[bool] = ..., generation: _Optional[int] = ..., slot: _Optional[int] = ...) -> None: ...

class Wave(_message.Message):
    __slots__ = ("wave", "duration_s", "shortfall_tokens_per_s")
    WAVE_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_TOKENS_PER_S_FIELD_NUMBER: _ClassVar[int]
    wave: int
    duration_s: float
    shortfall_tokens_per_s: float
    def __init__(self, wave: _Optional[int] = ..., duration_s: _Optional[float] = ..., shortfall_tokens_per_s: _Optional[float] = ...) -> None: ...

class Excess(_message.Message):
    __slots__ = ("constraint", "name", "amount", "unit")
    CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    constraint: _common_pb2.Reason
    name: str
    amount: float
    unit: str
    def __init__(self, constraint: _Optional[_Union[_common_pb2.Reason, str]] = ..., name: _Optional[str] = ..., amount: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class ReconfigurationPlan(_message.Message):
    __slots__ = ("plan_id", "etag", "stage", "published", "needed", "decision", "changes", "excess", "later", "waves")
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    EXCESS_FIELD_NUMBER: _ClassVar[int]
    LATER_FIELD_NUMBER: _ClassVar[int]
    WAVES_FIELD_NUMBER: _ClassVar[int]
    plan_id: str
    etag: str
    stage: Stage
    published: bool
    needed: bool
    decision: _common_pb2.Decision
    changes: _containers.RepeatedCompositeFieldContainer[ConfigurationChange]
    excess: _containers.RepeatedCompositeFieldContainer[Excess]
    later: _containers.RepeatedCompositeFieldContainer[ConfigurationChange]
    waves: _containers.RepeatedCompositeFieldContainer[Wave]
    def __init__(self, plan_id: _Optional[str] = ..., etag: _Optional[str] = ..., stage: _Optional[_Union[Stage, str]] = ..., published: _Optional[bool] = ..., needed: _Optional[bool] = ..., decision: _Optional[_Union[_common_pb2.Decision, _Mapping[str, object]]] = ..., changes: _Optional[_Iterable[_Union[ConfigurationChange, _Mapping[str, object]]]] = ..., excess: _Optional[_Iterable[_Union[Excess, _Mapping[str, object]]]] = ..., later: _Optional[_Iterable[_Union[ConfigurationChange, _Mapping[str, object]]]] = ..., waves: _Optional[_Iterable[_Union[Wave, _Mapping[str, object]]]] = ...) -> None: ...

class ReportFailureRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "failure")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    failure: _common_pb2.Failure
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping[str, object]]] = ...) -> None: ...

class ReportFailureResponse(_message.Message):
    __slots__ = ("failure", "plan")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    failure: str
    plan: ReconfigurationPlan
    def __init__(self, failure: _Optional[str] = ..., plan: _Optional[_Union[ReconfigurationPlan, _Mapping[str, object]]] = ...) -> None: ...

class ClearFailureRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "failure")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    failure: str
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., failure: _Optional[str] = ...) -> None: ...

class ClearFailureResponse(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: str
    def __init__(self, failure: _Optional[str] = ...) -> None: ...

class PlanReconfigurationRequest(_message.Message):
    __slots__ = ("stage", "horizon_slots", "explain")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    HORIZON_SLOTS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    stage: Stage
    horizon_slots: int
    explain: bool
    def __init__(self, stage: _Optional[_Union[Stage, str]] = ..., horizon_slots: _Optional[int] = ..., explain: _Optional[bool] = ...) -> None: ...

class PlanReconfigurationResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: ReconfigurationPlan
    def __init__(self, plan: _Optional[_Union[ReconfigurationPlan, _Mapping[str, object]]] = ...) -> None: ...

class ApplyPlanRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "plan_id", "etag", "approver")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    APPROVER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    plan_id: str
    etag: str
    approver: str
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., plan_id: _Optional[str] = ..., etag: _Optional[str] = ..., approver: _Optional[str] = ...) -> None: ...

class ApplyPlanResponse(_message.Message):
    __slots__ = ("plan_id", "changes")
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    plan_id: str
    changes: int
    def __init__(self, plan_id: _Optional[str] = ..., changes: _Optional[int] = ...) -> None: ...

class ListConfigurationsRequest(_message.Message):
    __slots__ = ("endpoint",)
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    def __init__(self, endpoint: _Optional[str] = ...) -> None: ...

class ListConfigurationsResponse(_message.Message):
    __slots__ = ("configurations",)
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    configurations: _containers.RepeatedCompositeFieldContainer[DesiredConfiguration]
    def __init__(self, configurations: _Optional[_Iterable[_Union[DesiredConfiguration, _Mapping[str, object]]]] = ...) -> None: ...

class DesiredConfiguration(_message.Message):
    __slots__ = ("vm", "server", "configuration", "load_frac", "generation", "acknowledged_generation", "apply_before_s")
    VM_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    LOAD_FRAC_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    APPLY_BEFORE_S_FIELD_NUMBER: _ClassVar[int]
    vm: str
    server: str
    configuration: str
    load_frac: float
    generation: int
    acknowledged_generation: int
    apply_before_s: float
    def __init__(self, vm: _Optional[str] = ..., server: _Optional[str] = ..., configuration: _Optional[str] = ..., load_frac: _Optional[float] = ..., generation: _Optional[int] = ..., acknowledged_generation: _Optional[int] = ..., apply_before_s: _Optional[float] = ...) -> None: ...

class WatchConfigurationsRequest(_message.Message):
    __slots__ = ("endpoint", "vms")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    VMS_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    vms: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, endpoint: _Optional[str] = ..., vms: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchConfigurationsResponse(_message.Message):
    __slots__ = ("etag", "plan_id", "configurations", "removed_vms", "armed_changed", "armed")
    ETAG_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_VMS_FIELD_NUMBER: _ClassVar[int]
    ARMED_CHANGED_FIELD_NUMBER: _ClassVar[int]
    ARMED_FIELD_NUMBER: _ClassVar[int]
    etag: str
    plan_id: str
    configurations: _containers.RepeatedCompositeFieldContainer[DesiredConfiguration]
    removed_vms: _containers.RepeatedScalarFieldContainer[str]
    armed_changed: bool
    armed: _containers.RepeatedCompositeFieldContainer[ArmedPlan]
    def __init__(self, etag: _Optional[str] = ..., plan_id: _Optional[str] = ..., configurations: _Optional[_Iterable[_Union[DesiredConfiguration, _Mapping[str, object]]]] = ..., removed_vms: _Optional[_Iterable[str]] = ..., armed_changed: _Optional[bool] = ..., armed: _Optional[_Iterable[_Union[ArmedPlan, _Mapping[str, object]]]] = ...) -> None: ...

class ArmedPlan(_message.Message):
    __slots__ = ("plan_id", "failures", "made_at_s", "looked_at_s", "at_stake_w", "changes", "excess")
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_S_FIELD_NUMBER: _ClassVar[int]
    LOOKED_AT_S_FIELD_NUMBER: _ClassVar[int]
    AT_STAKE_W_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    EXCESS_FIELD_NUMBER: _ClassVar[int]
    plan_id: str
    failures: _containers.RepeatedScalarFieldContainer[str]
    made_at_s: float
    looked_at_s: float
    at_stake_w: float
    changes: _containers.RepeatedCompositeFieldContainer[ConfigurationChange]
    excess: _containers.RepeatedCompositeFieldContainer[Excess]
    def __init__(self, plan_id: _Optional[str] = ..., failures: _Optional[_Iterable[str]] = ..., made_at_s: _Optional[float] = ..., looked_at_s: _Optional[float] = ..., at_stake_w: _Optional[float] = ..., changes: _Optional[_Iterable[_Union[ConfigurationChange, _Mapping[str, object]]]] = ..., excess: _Optional[_Iterable[_Union[Excess, _Mapping[str, object]]]] = ...) -> None: ...

class ListArmedPlansRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListArmedPlansResponse(_message.Message):
    __slots__ = ("plans",)
    PLANS_FIELD_NUMBER: _ClassVar[int]
    plans: _containers.RepeatedCompositeFieldContainer[ArmedPlan]
    def __init__(self, plans: _Optional[_Iterable[_Union[ArmedPlan, _Mapping[str, object]]]] = ...) -> None: ...

class AcknowledgeConfigurationRequest(_message.Message):
    __slots__ = ("request_id", "validate_only", "vm", "generation", "freed_w")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    VM_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    FREED_W_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    validate_only: bool
    vm: str
    generation: int
    freed_w: float
    def __init__(self, request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., vm: _Optional[str] = ..., generation: _Optional[int] = ..., freed_w: _Optional[float] = ...) -> None: ...

class AcknowledgeConfigurationResponse(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: int
    def __init__(self, generation: _Optional[int] = ...) -> None: ...
