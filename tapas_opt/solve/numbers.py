"""Numbers that are none: what would make every solver, and the checker, answer nonsense is refused at the door."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from tapas_opt.errors import Fault, InvalidInput

__all__ = ["require_numbers", "require_options"]

LARGEST = 10**12
"""Of a whole number, either way: a terawatt. Sums of products with thousandths must stay within 64 bits."""


def require_numbers(problem: Any) -> None:
    """Raise `InvalidInput` that names every array and number of a problem that holds none.

    Whole numbers must be whole, at most a million million, and of a type of numbers; others must not be NaN.
    """
    faults = list(_faults(problem, ""))
    if faults:
        raise InvalidInput(type(problem).__name__, faults)


def require_options(**options: float | None) -> None:
    """Raise `InvalidInput` that names every option that is NaN or below 0; None stands for none."""
    wrong = {name: value for name, value in options.items() if value is not None and not value >= 0}
    if wrong:
        raise InvalidInput(
            "solve", [Fault(name, f"{value}: must be a number, 0 or more") for name, value in wrong.items()]
        )


def _faults(item: Any, where: str) -> Iterator[Fault]:
    for field in fields(item):
        yield from _field_faults(getattr(item, field.name), f"{where}{field.name}", str(field.type))


def _field_faults(value: Any, where: str, stated: str) -> Iterator[Fault]:
    if isinstance(value, np.ndarray):
        what = _array_fault(value, whole="IntArray" in stated)
        if what:
            yield Fault(where, what)
    elif is_dataclass(value):
        yield from _faults(value, f"{where}.")
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):  # names are not looked at one by one
        for number, inner in enumerate(value):
            yield from _faults(inner, f"{where}[{number}].")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _field_faults(inner, f"{where}[{key}]", "")
    elif isinstance(value, float) and math.isnan(value):
        yield Fault(where, "nan: must be a number")


def _array_fault(array: np.ndarray[Any, Any], *, whole: bool) -> str:
    """What is wrong with an array, empty if nothing is."""
    if array.size == 0 or array.dtype.kind == "b":
        return ""
    if array.dtype.kind not in "iuf":
        return f"is an array of {array.dtype}: must be of numbers"
    if array.dtype.kind == "f":
        number = _first(array, np.isnan(array) | (whole & ((array != np.rint(array)) | np.isinf(array))))
        if number is not None:
            return f"{number}: must be a {'whole ' if whole else ''}number"
    largest = _first(array, np.abs(array) > LARGEST) if whole and _beyond(array) else None
    return "" if largest is None else f"{largest:,}: must be at most {LARGEST:,}, either way"


def _beyond(array: np.ndarray[Any, Any]) -> bool:
    return bool(array.max() > LARGEST or array.min() < -LARGEST)


def _first(array: np.ndarray[Any, Any], at: np.ndarray[Any, Any]) -> Any:
    """The first of the marked numbers, None if there is none."""
    return array[at].flat[0].item() if at.any() else None
