"""A learned model as a JSON file: numbers, ranges, margins and held-out errors. Read strictly; never executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter

from tapas_opt.domain.fields import STRICT, Fraction, NonNegative, field_faults
from tapas_opt.errors import Fault, InvalidInput

__all__ = [
    "Artefact",
    "Feature",
    "Finite",
    "Kind",
    "Margin",
    "ModelErrors",
    "Training",
    "artefact_from",
    "read_artefact",
]

EntryT = TypeVar("EntryT")

FORMAT = "tapas-opt/model/1"
SIGNIFICANT_DIGITS = 6

FEATURE_UNITS: Mapping[str, str] = {
    "outdoor_c": "°C",
    "inlet_c": "°C",
    "gpu_power_w": "W",
    "room_load_frac": "1",
    "load_frac": "1",
    "hour_of_day": "h",
    "hour_of_week": "h",
}
"""Inputs that models have; numbers in another unit would be believed silently."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Feature:
    """An input of the model and the range it had in the fitting days; beyond it the model extrapolates."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: str
    unit: str
    lowest: Finite
    highest: Finite


@dataclass(frozen=True, slots=True)
class Margin:
    """What the margins of a model promise: a share ``level`` of ``promise`` stays below the upper value."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    level: Fraction
    promise: str


@dataclass(frozen=True, slots=True)
class ModelErrors:
    """How a model did on days that neither its fit nor its margin has seen, against the sensors.

    Attributes
    ----------
    mae, p95_error
        Mean and 95th percentile of |reading − central prediction|, in ``unit``.
    coverage
        Share of what :class:`Margin` promises about that did stay below the upper value.
    rows_train, rows_test
        Readings in the fitting days and in the judging days.
    coverage_hottest_days, coverage_top_hours, coverage_row_day
        Coverage on the hottest fifth of the judging days, in their top 5 % of hours by power, and of row-day maxima;
        None where the model promises no such thing, or nothing was read.
    refused_frac
        Share of the readings due in the judging days that were missing or refused.
    mae_by_day
        Mean error of each judging day: how much a day may differ from another before anything has changed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    mae: NonNegative
    p95_error: NonNegative
    coverage: Fraction
    unit: str
    rows_train: Annotated[int, Field(ge=0)]
    rows_test: Annotated[int, Field(ge=0)]
    coverage_hottest_days: Fraction | None = None
    coverage_top_hours: Fraction | None = None
    coverage_row_day: Fraction | None = None
    refused_frac: Fraction | None = None
    mae_by_day: tuple[NonNegative, ...] = ()


@dataclass(frozen=True, slots=True)
class Training:
    """Which history a model comes from: its first and last second, and a hash over its readings."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    from_s: Finite
    until_s: Finite
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Artefact(Generic[EntryT]):
    """One learned model.

    Attributes
    ----------
    entries
        What was learned of each server, hardware, template, row or domain.
    pooled
        What to use for those that were not seen, by hardware, kind or ``all``: wider than any of their own.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    format: Literal["tapas-opt/model/1"]
    name: str
    unit: str
    features: tuple[Feature, ...]
    entries: Mapping[str, EntryT]
    pooled: Mapping[str, EntryT]
    margin: Margin
    errors: ModelErrors
    training: Training
    code_version: str

    @property
    def text(self) -> str:
        """The JSON text: one line for each entry, so that two fits can be compared line by line."""
        raw = asdict(self)
        parts = [f'"{key}": {_block(value) if key in _BLOCKS else _json(value)}' for key, value in raw.items()]
        return "{\n" + ",\n".join(parts) + "\n}\n"

    @property
    def fingerprint(self) -> str:
        """A hash over everything in the file."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def feature(self, name: str) -> Feature:
        """The input called ``name``."""
        return next(feature for feature in self.features if feature.name == name)


@dataclass(frozen=True, slots=True)
class Kind(Generic[EntryT]):
    """What the file of one model must hold: the type and unit of its entries, and names that must not be missing."""

    entry: type[EntryT]
    unit: str
    features: tuple[str, ...] = ()
    pooled: tuple[str, ...] = ()


_BLOCKS = ("entries", "pooled")


def rounded(value: Any) -> Any:
    """Every float of nested mappings and lists, to six significant digits: files stay small and comparable."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def read_artefact(path: Path, name: str, kind: Kind[EntryT]) -> Artefact[EntryT]:
    """Read the model ``name`` from its file.

    Raises
    ------
    InvalidInput
        Listing every fault: no JSON, an unknown or missing field, a number that is not finite or out of range.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput.one(str(path), "file", f"cannot be read: {error.strerror}; run `tapas-opt fit`") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput.one(str(path), "file", f"is not JSON: {error}") from error
    return artefact_from(raw, name, kind, str(path))


def artefact_from(raw: object, name: str, kind: Kind[EntryT], subject: str) -> Artefact[EntryT]:
    """Judge a model given as plain mappings; ``subject`` names it in errors (see :func:`read_artefact`)."""
    artefact, faults = field_faults(TypeAdapter(Artefact[kind.entry]), raw)  # type: ignore[name-defined]
    if artefact is not None:
        faults += _cross_faults(artefact, name, kind)
    if artefact is None or faults:
        raise InvalidInput(subject, faults)
    checked: Artefact[EntryT] = artefact
    return checked


def _cross_faults(artefact: Artefact[Any], name: str, kind: Kind[Any]) -> list[Fault]:
    """What no single field shows."""
    faults = [
        Fault(f"features[{i}]", f"lowest {item.lowest:g} is above highest {item.highest:g}")
        for i, item in enumerate(artefact.features)
        if item.lowest > item.highest
    ]
    if artefact.name != name:
        faults.append(Fault("name", f"{artefact.name!r}: this file must hold {name!r}"))
    if artefact.unit != kind.unit:
        faults.append(Fault("unit", f"{artefact.unit!r}: must be {kind.unit!r}"))
    faults += [
        Fault(f"features[{i}].unit", f"{item.unit!r}: {item.name} must be in {FEATURE_UNITS[item.name]!r}")
        for i, item in enumerate(artefact.features)
        if item.unit != FEATURE_UNITS.get(item.name, item.unit)
    ]
    known = {item.name for item in artefact.features}
    faults += [Fault(f"features.{key}", "is missing") for key in kind.features if key not in known]
    faults += [Fault(f"pooled.{key}", "is missing") for key in kind.pooled if key not in artefact.pooled]
    return faults


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _block(entries: Mapping[str, Any]) -> str:
    lines = [f"  {_json(name)}: {_json(entry)}" for name, entry in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}" if lines else "{}"
