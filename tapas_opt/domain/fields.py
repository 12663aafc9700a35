"""Types of fields that come from outside, with what each allows."""

from __future__ import annotations

from typing import Annotated, Any

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

_LONGEST_SHOWN = 80

_WORDS = {
    "dataclass_type": "must be a mapping of fields",
    "dict_type": "must be a mapping",
    "missing": "is missing",
    "string_pattern_mismatch": "must be letters, digits and . _ : - only, beginning with a letter or digit",
    "too_short": "must hold at least {min_length}, not {actual_length}",
    "tuple_type": "must be a list",
    "unexpected_keyword_argument": "no such field exists here; correct its spelling or remove it",
}


def field_faults(kind: TypeAdapter[Any], raw: object) -> tuple[Any | None, list[Fault]]:
    """Read ``raw`` as ``kind``: the value and no faults, or None and every fault with its path."""
    try:
        return kind.validate_python(raw), []
    except ValidationError as error:
        return None, [
            Fault(_path(item["loc"]), f"{_shown(item)}{_said(item)}")
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
    if item["type"] == "missing" or isinstance(value, dict | list) or len(repr(value)) > _LONGEST_SHOWN:
        return ""
    return f"{value!r}: "


def _said(item: Any) -> str:
    """Say in the words of a file what the validator says in the words of Python."""
    words = _WORDS.get(item["type"])
    text: str = item["msg"] if words is None else words.format(**item.get("ctx", {}))
    return text[0].lower() + text[1:]
