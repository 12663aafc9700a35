"""Types of fields that come from outside, with what each allows."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from tapas_opt.errors import Fault

__all__ = ["STRICT", "Count", "Fraction", "Name", "NonNegative", "Positive", "field_faults"]

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$", max_length=63)]
"""Letters, digits and ``._:-``, at most 63; names what a site, a VM or an endpoint is called everywhere."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

STRICT = ConfigDict(extra="forbid")
"""A field that nobody reads is a typing error in a file; say so instead of ignoring it."""


T = TypeVar("T")


def field_faults(kind: TypeAdapter[T], raw: object) -> tuple[T | None, list[Fault]]:
    """Read ``raw`` as ``kind``: the value and no faults, or None and every fault with its path."""
    try:
        return kind.validate_python(raw), []
    except ValidationError as error:
        return None, [
            Fault(_path(item["loc"]), f"{_shown(item)}{item['msg'][0].lower()}{item['msg'][1:]}")
            for item in error.errors(include_url=False)
            if not _follows_from_another(item)
        ]


def _follows_from_another(item: Any) -> bool:
    """A list "too short after validation" that was not empty: its wrong members are reported themselves."""
    return item["type"] == "too_short" and bool(item.get("input"))


def _path(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.lstrip(".") or "file"


def _shown(item: Any) -> str:
    """Show the value found, when it is short enough to help."""
    value = item.get("input")
    if item["type"] == "missing" or isinstance(value, dict | list):
        return ""
    return f"{value!r}: "
