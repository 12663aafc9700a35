"""What an operator says about live sources: names of machines, factors of fans, instances, and queries of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from tapas_opt.domain.fields import STRICT, Name, Positive
from tapas_opt.domain.history import TABLES
from tapas_opt.telemetry.mapping_file import read_mapping
from tapas_opt.telemetry.names import HOST_LABELS, METRICS, Metric
from tapas_opt.telemetry.units import unit_fault

__all__ = ["Airflow", "Instance", "RentedVm", "Sources", "read_sources"]

_Text = Annotated[str, Field(min_length=1, max_length=2_000)]


@dataclass(frozen=True, slots=True)
class Airflow:
    """Air that a server moves for the mean speed of its fans: measured once for a hardware, at a known speed."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    cfm_per_rpm: Positive | None = None
    cfm_per_percent: Positive | None = None

    def __post_init__(self) -> None:
        if self.cfm_per_rpm is None and self.cfm_per_percent is None:
            raise ValueError("needs cfm_per_rpm or cfm_per_percent")

    def factor(self, unit: str) -> float | None:
        """CFM for one of a unit of fan speed, if it is known."""
        per_percent = self.cfm_per_percent
        if unit == "rpm":
            return self.cfm_per_rpm
        return per_percent if unit == "fan %" or per_percent is None else 100.0 * per_percent


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of vLLM by its ``instance`` label: the VM that it is, and the tokens/s that make its load 1."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    label: _Text
    vm: Name
    server: Name
    template: Name
    goodput_tokens_per_s: Positive
    configuration: Name | None = None


@dataclass(frozen=True, slots=True)
class RentedVm:
    """A VM that the operator does not see into, on a server from ``start`` to ``end`` (ISO 8601, with an offset).

    Without them it always ran there. Who moved or came again has several entries.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    vm: Name
    server: Name
    template: Name
    start: str | None = None
    end: str | None = None

    def __post_init__(self) -> None:
        times = {name: getattr(self, name) for name in ("start", "end")}
        wrong = [f"{name} {text!r}: must be like 2026-01-05T00:00:00Z" for name, text in times.items() if _bad(text)]
        if not wrong and self.start_s >= self.end_s:
            wrong = [f"end {self.end!r}: must be after start {self.start!r}"]
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def start_s(self) -> float:
        """Unix time from which it runs."""
        return -inf if self.start is None else datetime.fromisoformat(self.start).timestamp()

    @property
    def end_s(self) -> float:
        """Unix time at which it is gone."""
        return inf if self.end is None else datetime.fromisoformat(self.end).timestamp()


def _bad(text: str | None) -> bool:
    try:
        return text is not None and datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return True


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """A metric of the operator's own, preferred to the known ones: ``metric`` (with ``where``) or a ``query``."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    column: _Text
    unit: str
    metric: _Text | None = None
    query: _Text | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["gauge", "counter"] = "gauge"
    label: _Text | None = None
    of: Name | None = None
    part: str = ""
    combine: Literal["mean", "sum"] = "mean"
    zero_is_missing: bool = False

    def __post_init__(self) -> None:
        if (self.metric is None) == (self.query is None):
            raise ValueError("needs either metric or query")
        if self.label is not None and self.of is not None:
            raise ValueError("needs either label or of")
        if self.query is not None and (self.where or self.kind != "gauge"):
            raise ValueError("where and kind belong to metric; write them into the query")
        problem = _column_fault(self.column) or unit_fault(self.column.partition(".")[2], self.unit)
        if problem:
            raise ValueError(problem)

    def as_metric(self) -> Metric:
        """Return it as the metrics that are known without being told."""
        return Metric(
            column=self.column,
            names=(self.metric,) if self.metric else (),
            unit=self.unit,
            where=self.where,
            kind=self.kind,
            part=self.part,
            combine=self.combine,
            labels=(self.label,) if self.label else (self.column.partition("s.")[0], *HOST_LABELS),
            of=self.of or "",
            query=self.query or "",
            zero_is_missing=self.zero_is_missing,
        )


def _column_fault(path: str) -> str:
    """Say why readings cannot go to a column; empty where they can."""
    known = [
        f"{table.name}.{column.name}"
        for table in TABLES.values()
        for column in table.columns
        if column.kind == "float64" and column.name not in table.key and table.name != "vms"
    ]
    return "" if path in known else f"{path!r}: is no column that readings go to; use one of {', '.join(known)}"


@dataclass(frozen=True, slots=True)
class Sources:
    """A sources file; everything but its format may be left out.

    Attributes
    ----------
    airflow
        By hardware of the site file.
    labels
        Where the known metrics say the server's name, in place of the usual labels; the first that is there counts.
    vms, rest_as
        VMs other than instances of vLLM; and the template of servers on which nobody is said to run, each of which then
        is a VM of its own name. Their load is the used part of the GPUs' power range.
    known
        Whether the metrics that are known by name are read as well.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    format: Literal["tapas-opt/sources/1"] = "tapas-opt/sources/1"
    airflow: dict[Name, Airflow] = field(default_factory=dict)
    labels: tuple[_Text, ...] = ()
    instances: tuple[Instance, ...] = ()
    vms: tuple[RentedVm, ...] = ()
    rest_as: Name | None = None
    metrics: tuple[OwnMetric, ...] = ()
    known: bool = True

    def __post_init__(self) -> None:
        for what in ("label", "vm"):
            values = [getattr(instance, what) for instance in self.instances]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"instances: {what} {', '.join(twice)} stands twice")
        both = sorted({vm.vm for vm in self.vms} & {instance.vm for instance in self.instances})
        if both:
            raise ValueError(f"vms: {', '.join(both)} stands among the instances too")

    def in_order(self) -> tuple[Metric, ...]:
        """Every metric to ask for, the operator's own first."""
        own = tuple(metric.as_metric() for metric in self.metrics)
        return own + (METRICS if self.known else ())


_READER: TypeAdapter[Sources] = TypeAdapter(Sources)


def read_sources(path: Path) -> Sources:
    """Read a sources file.

    Raises
    ------
    InvalidInput
        Listing every fault.
    """
    return read_mapping(path, _READER)
