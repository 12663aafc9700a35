"""Instance configurations and their profiles: what each gives, and what it draws while it does."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter

from tapas_opt.domain.fields import STRICT, Count, Fraction, Name, NonNegative, Positive, field_faults
from tapas_opt.errors import Fault, InvalidInput

__all__ = ["LOAD_LEVELS", "Configuration", "Profile", "read_profiles", "write_profiles"]

LOAD_LEVELS = (0.0, 0.5, 1.0)
"""Fractions of goodput at which profiles are measured and instances may be run; less than 1 is steering away."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What an instance runs: model, precision, parallelism, replicas on the server, batch and GPU frequency."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    model: Name
    precision: Name
    tensor_parallel: Count
    replicas: Count
    batch: Count
    frequency_mhz: Positive

    def reload_needed(self, other: Configuration) -> bool:
        """Whether changing to ``other`` loads weights anew; only batch and frequency change in flight."""
        return (self.model, self.precision, self.tensor_parallel, self.replicas) != (
            other.model,
            other.precision,
            other.tensor_parallel,
            other.replicas,
        )


def _levels(value: Any) -> Any:
    """A CSV cell holds ``a|b|c``, one number for each load level."""
    return tuple(value.split("|")) if isinstance(value, str) else value


_PerLevel = Annotated[tuple[NonNegative, NonNegative, NonNegative], BeforeValidator(_levels)]


@dataclass(frozen=True, slots=True)
class Profile:
    """A configuration measured on one hardware.

    Attributes
    ----------
    goodput_tokens_per_s
        Prompt and output tokens per second that the whole server carries within its SLO: five times the unloaded
        latencies, for 99 % of first tokens and of the gaps between tokens, unless it was profiled for another.
    gpu_power_w, hottest_gpu_power_w
        Mean and highest power of a GPU at each of :data:`LOAD_LEVELS`.
    quality
        Quality of answers relative to the best model, 0 to 1.
    ttft_s, tbt_s
        Unloaded time to first token and between tokens.
    reload_s
        Seconds to load its weights; an instance serves nothing meanwhile.
    prefill_tokens_per_s, step_s_per_kv_token
        Of one replica: prompt tokens per second while it does nothing else, and what each token in memory adds to the
        time between tokens.
    kv_tokens
        Tokens whose keys and values one replica can hold.
    chunk_tokens
        Most prompt tokens that one iteration reads.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    configuration: Configuration
    hardware: Name
    goodput_tokens_per_s: Positive
    gpu_power_w: _PerLevel
    hottest_gpu_power_w: _PerLevel
    quality: Fraction
    ttft_s: Positive
    tbt_s: Positive
    reload_s: NonNegative
    gpu_memory_gb: Annotated[float, Field(gt=0)]
    prefill_tokens_per_s: Positive
    step_s_per_kv_token: NonNegative
    kv_tokens: Positive
    chunk_tokens: Count


_CONFIGURATION_COLUMNS = ("name", "model", "precision", "tensor_parallel", "replicas", "batch", "frequency_mhz")
_PROFILE_COLUMNS = tuple(name for name in Profile.__annotations__ if name[0] != "_" and name != "configuration")
_READER: TypeAdapter[Profile] = TypeAdapter(Profile)


def read_profiles(path: Path) -> tuple[Profile, ...]:
    """Read a table of profiles (CSV, one row a configuration and hardware).

    Raises
    ------
    InvalidInput
        Listing every bad cell by line and column, powers that cannot be, and what was profiled twice.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, restkey="surplus"))
    except OSError as error:
        raise InvalidInput.one(str(path), "file", f"cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput.one(str(path), "file", f"is not a CSV table in UTF-8: {error}") from error
    faults = _missing_columns(rows)
    profiles: list[Profile] = []
    lines: dict[tuple[str, str], int] = {}
    for line, row in enumerate(rows if not faults else (), start=2):
        profile, wrong = field_faults(_READER, _nested(row))
        if profile is not None:
            profiles.append(profile)
            wrong = [*_power_faults(profile)]
            first = lines.setdefault((profile.configuration.name, profile.hardware), line)
            if first != line:
                wrong.append(Fault("name", f"was profiled on {profile.hardware} in line {first} already; keep one"))
        faults += [Fault(f"line {line}, {fault.where}", fault.what) for fault in wrong]
    if faults:
        raise InvalidInput(str(path), faults)
    return tuple(profiles)


def write_profiles(path: Path, profiles: Sequence[Profile]) -> None:
    """Write the table that :func:`read_profiles` reads."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_CONFIGURATION_COLUMNS + _PROFILE_COLUMNS)
        for profile in profiles:
            cells = [getattr(profile.configuration, name) for name in _CONFIGURATION_COLUMNS]
            cells += [getattr(profile, name) for name in _PROFILE_COLUMNS]
            texts = ["|".join(f"{x:.12g}" for x in cell) if isinstance(cell, tuple) else cell for cell in cells]
            writer.writerow(texts)


def _power_faults(profile: Profile) -> Iterator[Fault]:
    """No GPU draws less at work than waiting, and no mean is above its highest."""
    for name in ("gpu_power_w", "hottest_gpu_power_w"):
        waiting, *working = getattr(profile, name)
        if min(working) < waiting:
            yield Fault(name, "is less at work than without; give it at no, half and full load, in this order")
    if any(mean > most for mean, most in zip(profile.gpu_power_w, profile.hottest_gpu_power_w, strict=True)):
        yield Fault("hottest_gpu_power_w", "is below the mean in gpu_power_w; were the two exchanged?")


def _missing_columns(rows: list[dict[str, str]]) -> list[Fault]:
    if not rows:
        return [Fault("file", "holds no profile; expected a header and at least one row")]
    return [
        Fault(f"column {name}", "is missing")
        for name in _CONFIGURATION_COLUMNS + _PROFILE_COLUMNS
        if name not in rows[0]
    ]


def _nested(row: dict[str, str]) -> dict[str, Any]:
    inner = {name: row[name] for name in _CONFIGURATION_COLUMNS}
    return {"configuration": inner} | {name: row[name] for name in row if name not in _CONFIGURATION_COLUMNS}
