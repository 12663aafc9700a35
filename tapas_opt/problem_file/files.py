"""Problem and plan files: JSON with a format and a version, gzipped where the name ends in ``.gz``."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapas_opt.durable import replace_bytes
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem
from tapas_opt.problem_file.axes import axis_faults
from tapas_opt.problem_file.codec import plain, read
from tapas_opt.reconfiguration.horizon.problem import HorizonPlan, HorizonProblem
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, ReconfigurationProblem
from tapas_opt.routing.problem import RoutingPlan, RoutingProblem

__all__ = [
    "KINDS",
    "kind_of",
    "plan_text",
    "problem_from",
    "problem_text",
    "read_plan",
    "read_problem",
    "write_plan",
    "write_problem",
]

LARGEST_BYTES = 2**30
"""A file that unpacks to more than this is refused before it fills the memory."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The classes of one kind of problem, and the version of their files.

    A new field with a default needs no new version: older files do without it, and files that have it are refused by
    older programs with the field's name.
    """

    problem: type
    plan: type
    version: int = 1


KINDS: Mapping[str, Kind] = {
    "placement": Kind(PlacementProblem, PlacementPlan),
    "routing": Kind(RoutingProblem, RoutingPlan),
    "reconfiguration": Kind(ReconfigurationProblem, ReconfigurationPlan),
    "horizon": Kind(HorizonProblem, HorizonPlan),
}


def kind_of(problem: Any) -> str:
    """Name of the kind that a problem or a plan is of."""
    return next(name for name, kind in KINDS.items() if type(problem) in (kind.problem, kind.plan))


def problem_text(problem: Any) -> str:
    """The text of a problem file; the same problem always has the same text."""
    return _text("problem", problem)


def plan_text(plan: Any) -> str:
    """The text of a plan file."""
    return _text("plan", plan)


def write_problem(problem: Any, path: Path) -> None:
    """Write a problem as :func:`read_problem` reads it, whole or not at all."""
    _write(problem_text(problem), path)


def write_plan(plan: Any, path: Path) -> None:
    """Write a plan as :func:`read_plan` reads it, whole or not at all."""
    _write(plan_text(plan), path)


def read_problem(path: Path, *kinds: str) -> Any:
    """Read a problem of any kind, or of one of those asked for.

    Raises
    ------
    InvalidInput
        Listing every fault: where it is, what is there, and what is allowed instead.
    """
    return problem_from(_json(path), str(path), *kinds)


def problem_from(raw: object, subject: str, *kinds: str) -> Any:
    """A problem given as plain objects and lists; ``subject`` names it in errors (see :func:`read_problem`)."""
    problem = _from(raw, "problem", kinds, subject)
    faults = axis_faults(problem, "problem")
    now = getattr(problem, "now", problem)  # a horizon begins with a reconfiguration
    if isinstance(now, ReconfigurationProblem) and now.choices.configuration.count(None) != 1:
        faults.append(Fault("choices.configuration", "exactly one choice, parked, must be null"))
    if faults:
        raise InvalidInput(subject, faults)
    return problem


def read_plan(path: Path, *kinds: str) -> Any:
    """Read a plan of any kind, or of one of those asked for; whether it fits a problem is for the checker to say.

    Raises
    ------
    InvalidInput
        As :func:`read_problem`.
    """
    return _from(_json(path), "plan", kinds, str(path))


def _text(what: str, item: Any) -> str:
    """One line for each field, so that two files can be compared."""
    name = kind_of(item)
    fields = plain(item, type(item))
    lines = [f" {_dumped(field)}: {_dumped(value)}" for field, value in fields.items()]
    header = f'"format": {_dumped(_format(what, name))}'
    return "{" + header + f', "{what}": {{\n' + ",\n".join(lines) + "\n}}\n"


def _format(what: str, name: str) -> str:
    return f"tapas-opt/{what}/{name}/{KINDS[name].version}"


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _write(text: str, path: Path) -> None:
    raw = text.encode()
    replace_bytes(path, gzip.compress(raw, compresslevel=5, mtime=0) if path.suffix == ".gz" else raw)


def _json(path: Path) -> object:
    try:
        text = _bytes(path).decode("utf-8")
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_once_each)
    except OSError as error:
        raise InvalidInput.one(str(path), "file", f"cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise InvalidInput.one(str(path), "file", "is not a whole gzip file; copy it again") from error
    except RecursionError as error:
        raise InvalidInput.one(str(path), "file", "is nested too deeply to be a problem or a plan") from error
    except ValueError as error:
        raise InvalidInput.one(str(path), "file", f"is not JSON: {error}") from error


def _bytes(path: Path) -> bytes:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        raw = file.read(LARGEST_BYTES + 1)
    if len(raw) > LARGEST_BYTES:
        raise InvalidInput.one(str(path), "file", f"has more than {LARGEST_BYTES >> 20} MiB")
    return raw


def _no_number(text: str) -> object:
    raise ValueError(f'{text} is no number; write "inf" or "-inf" where there is no limit')


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice in one object")
    return found


def _from(raw: object, what: str, kinds: Sequence[str], subject: str) -> Any:
    allowed = {_format(what, name): name for name in kinds or KINDS}
    stated = raw.get("format") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(stated, str) or stated not in allowed:
        found = f"{stated!r}: " if stated is not None else ""
        raise InvalidInput.one(subject, "format", f"{found}must be {' or '.join(map(repr, allowed))}")
    faults = [Fault(name, "no such field exists here; remove it") for name in sorted(raw.keys() - {"format", what})]
    if what not in raw:
        raise InvalidInput(subject, [*faults, Fault(what, "is missing")])
    stated_kind = KINDS[allowed[stated]]
    item = read(raw[what], stated_kind.problem if what == "problem" else stated_kind.plan, what, faults)
    if faults:
        raise InvalidInput(subject, faults)
    return item
