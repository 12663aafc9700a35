"""Frozen dataclasses as plain JSON values and back, driven by their type hints alone.

What a class gains in fields is read and written without more code here; a type that is not known is a `TypeError`.

| type | in a file |
|---|---|
| dataclass | object; a field with a default may be absent, one that does not exist is a fault |
| ``int``, ``float``, ``bool``, ``str``, ``None`` | the same; an infinite float is ``"inf"`` or ``"-inf"`` |
| enum | its value |
| ``tuple[X, ...]``, ``tuple[X, Y]``, ``frozenset[X]`` | list |
| ``Mapping[str, X]`` | object |
| ``Mapping`` of other keys | list of ``[key, value]`` |
| array | nested lists; one without any number is ``{"shape": [0, 3]}`` |
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from itertools import chain, islice
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from tapas_opt.errors import Fault, InvalidInput

__all__ = ["FAULTS_NAMED", "hints_of", "plain", "read"]

FAULTS_NAMED = 20
"""Wrong members of one list or array beyond these are counted, not named."""

_LARGEST = 2**63 - 1
_INFINITE = {"inf": math.inf, "-inf": -math.inf}
_LONGEST_SHOWN = 60


class _Nothing:
    """What a value that could not be read is read as."""


NOTHING = _Nothing()


def hints_of(kind: Any) -> Mapping[str, Any]:
    """Type of each field of a dataclass, names resolved."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def plain(value: Any, hint: Any) -> Any:
    """The value as what `json.dumps` takes.

    Raises
    ------
    TypeError
        If its type is none of those in the table above.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return {name: plain(getattr(value, name), each) for name, each in hints_of(hint).items()}
    if origin is np.ndarray:
        return _plain_array(value, _number_of(hint))
    if origin in (Union, UnionType):
        return None if value is None else plain(value, _without_none(hint))
    if origin in (tuple, frozenset):
        each_hint = inner[0] if len(inner) == 1 or inner[1] is Ellipsis else None
        items = sorted(value) if origin is frozenset else value
        return [plain(item, each_hint or inner[n]) for n, item in enumerate(items)]
    if _is_mapping(origin):
        pairs = [(plain(key, inner[0]), plain(item, inner[1])) for key, item in value.items()]
        return dict(pairs) if _named(inner[0]) else [list(pair) for pair in pairs]
    return _plain_scalar(value, hint)


def read(raw: Any, hint: Any, where: str, faults: list[Fault]) -> Any:
    """The value that ``raw`` means; what is wrong is added to ``faults``, and then the value is of no use.

    Parameters
    ----------
    where
        Path of ``raw`` in its file.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _read_object(raw, hint, where, faults)  # type: ignore[arg-type]
    if origin is np.ndarray:
        return _read_array(raw, _number_of(hint), where, faults)
    if origin in (Union, UnionType):
        return None if raw is None else read(raw, _without_none(hint), where, faults)
    if origin in (tuple, frozenset):
        return _read_list(raw, origin, inner, where, faults)
    if _is_mapping(origin):
        return _read_mapping(raw, inner, where, faults)
    return _read_scalar(raw, hint, where, faults)


# Dataclasses.


def _read_object(raw: Any, kind: type, where: str, faults: list[Fault]) -> Any:
    if not isinstance(raw, dict):
        return _fault(faults, where, f"{_shown(raw)}must be an object of fields")
    hints = hints_of(kind)
    before = len(faults)
    strange = "no such field exists here; correct its spelling or remove it"
    faults += [Fault(f"{where}.{name}", strange) for name in raw if name not in hints]
    values = {}
    for field in fields(kind):
        if field.name in raw:
            values[field.name] = read(raw[field.name], hints[field.name], f"{where}.{field.name}", faults)
        elif field.default is MISSING and field.default_factory is MISSING:
            faults.append(Fault(f"{where}.{field.name}", "is missing"))
    if len(faults) > before:
        return NOTHING
    try:
        return kind(**values)
    except InvalidInput as error:
        faults += [Fault(f"{where}.{fault.where}", fault.what) for fault in error.faults]
        return NOTHING


# Arrays.


def _number_of(hint: Any) -> type:
    """The scalar type of ``NDArray[np.int64]``."""
    kind: type = get_args(get_args(hint)[1])[0]
    if kind not in (np.int64, np.float64, np.bool_):
        raise TypeError(f"arrays of {kind} have no form in a file")
    return kind


def _plain_array(value: Any, number: type) -> Any:
    array: np.ndarray[Any, Any] = np.asarray(value).astype(number, casting="safe")
    if array.size == 0 and array.ndim > 1:
        return {"shape": list(array.shape)}
    return _with_infinities(array.tolist()) if array.dtype.kind == "f" and np.isinf(array).any() else array.tolist()


def _with_infinities(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_infinities(item) for item in value]
    return _plain_scalar(value, float)


def _read_array(raw: Any, number: type, where: str, faults: list[Fault]) -> Any:
    if isinstance(raw, dict):
        return _read_empty(raw, number, where, faults)
    if not isinstance(raw, list):
        return _fault(faults, where, f"{_shown(raw)}must be a list")
    shape, flat = [len(raw)], raw
    while flat and isinstance(flat[0], list):
        odd = next((n for n, item in enumerate(flat) if not isinstance(item, list) or len(item) != len(flat[0])), None)
        if odd is not None:
            at = where + _path(odd, shape)
            return _fault(faults, at, f"must be a list of {len(flat[0])}, as those before it are")
        shape.append(len(flat[0]))
        flat = list(chain.from_iterable(flat))
    wrong = list(_wrong_numbers(flat, number))
    for n, what in islice(wrong, FAULTS_NAMED):
        faults.append(Fault(where + _path(n, shape), what))
    if len(wrong) > FAULTS_NAMED:
        faults.append(Fault(where, f"{len(wrong) - FAULTS_NAMED} more numbers likewise"))
    if wrong:
        return NOTHING
    numbers = [_INFINITE.get(x, x) for x in flat] if number is np.float64 else flat
    return np.array(numbers, number).reshape(shape)


def _read_empty(raw: dict[str, Any], number: type, where: str, faults: list[Fault]) -> Any:
    shape = raw.get("shape")
    sizes: list[Any] = shape if isinstance(shape, list) else [None]
    if set(raw) != {"shape"} or not all(type(size) is int and size >= 0 for size in sizes) or math.prod(sizes):
        return _fault(faults, where, 'must be a list, or {"shape": […]} of an array without numbers')
    return np.zeros(sizes, number)


def _wrong_numbers(flat: list[Any], number: type) -> Iterator[tuple[int, str]]:
    scalar = {np.int64: int, np.float64: float, np.bool_: bool}[number]
    if scalar is not float and set(map(type, flat)) <= {scalar} and (scalar is bool or not flat or _small(flat)):
        return
    for n, item in enumerate(flat):
        found: list[Fault] = []
        _read_scalar(item, scalar, "", found)
        if found:
            yield n, found[0].what


def _small(whole: list[int]) -> bool:
    return max(whole) <= _LARGEST and min(whole) >= -_LARGEST


def _path(number: int, shape: list[int]) -> str:
    return "".join(f"[{i}]" for i in np.unravel_index(number, shape))


# Lists and mappings.


def _read_list(raw: Any, origin: Any, inner: tuple[Any, ...], where: str, faults: list[Fault]) -> Any:
    if not isinstance(raw, list):
        return _fault(faults, where, f"{_shown(raw)}must be a list")
    any_number = len(inner) == 1 or inner[1] is Ellipsis
    if not any_number and len(raw) != len(inner):
        return _fault(faults, where, f"has {len(raw)} members; must have {len(inner)}")
    found: list[Fault] = []
    items = [read(item, inner[0 if any_number else n], f"{where}[{n}]", found) for n, item in enumerate(raw)]
    _add_some(found, where, faults)
    return origin(items) if not found else NOTHING


def _read_mapping(raw: Any, inner: tuple[Any, ...], where: str, faults: list[Fault]) -> Any:
    pairs = list(raw.items()) if isinstance(raw, dict) else raw
    if _named(inner[0]) != isinstance(raw, dict) or not isinstance(pairs, list):
        what = "an object" if _named(inner[0]) else "a list of [key, value]"
        return _fault(faults, where, f"{_shown(raw)}must be {what}")
    found: list[Fault] = []
    values: dict[Any, Any] = {}
    for n, pair in enumerate(pairs):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            found.append(Fault(f"{where}[{n}]", "must be [key, value]"))
            continue
        at = f"{where}[{pair[0]!r}]" if isinstance(raw, dict) else f"{where}[{n}]"
        key, value = read(pair[0], inner[0], at, found), read(pair[1], inner[1], at, found)
        if key is not NOTHING and key in values:
            found.append(Fault(at, "is there twice"))
        if key is not NOTHING:
            values[key] = value
    _add_some(found, where, faults)
    return values if not found else NOTHING


def _add_some(found: list[Fault], where: str, faults: list[Fault]) -> None:
    faults += found[:FAULTS_NAMED]
    if len(found) > FAULTS_NAMED:
        faults.append(Fault(where, f"{len(found) - FAULTS_NAMED} more faults"))


# Scalars.


def _plain_scalar(value: Any, hint: Any) -> Any:
    if hint is NoneType and value is None:
        return None
    if isinstance(hint, type) and issubclass(hint, Enum):
        return value.value
    if hint in (int, float, bool, str):
        exact = hint(value)
        if isinstance(exact, float) and math.isinf(exact):
            return "inf" if exact > 0 else "-inf"
        return exact
    raise TypeError(f"{hint} has no form in a file")


def _read_scalar(raw: Any, hint: Any, where: str, faults: list[Fault]) -> Any:
    if isinstance(hint, type) and issubclass(hint, Enum):
        known = [member.value for member in hint]
        return hint(raw) if raw in known else _fault(faults, where, f"{_shown(raw)}must be one of {known}")
    if hint is float:
        return _read_float(raw, where, faults)
    if hint is int and type(raw) is int and abs(raw) > _LARGEST:
        return _fault(faults, where, f"{_shown(raw)}must fit into 64 bits")
    if hint in (int, bool, str, NoneType):
        words = {int: "a whole number", bool: "true or false", str: "a text", NoneType: "null"}
        return raw if type(raw) is hint else _fault(faults, where, f"{_shown(raw)}must be {words[hint]}")
    raise TypeError(f"{hint} has no form in a file")


def _read_float(raw: Any, where: str, faults: list[Fault]) -> Any:
    if isinstance(raw, str) and raw in _INFINITE:
        return _INFINITE[raw]
    if type(raw) not in (int, float) or not math.isfinite(raw):
        return _fault(faults, where, f'{_shown(raw)}must be a finite number, or "inf" where there is no limit')
    return float(raw)


def _fault(faults: list[Fault], where: str, what: str) -> _Nothing:
    faults.append(Fault(where, what))
    return NOTHING


def _shown(raw: Any) -> str:
    """The value found, where it is short enough to help."""
    return "" if isinstance(raw, dict | list) or len(repr(raw)) > _LONGEST_SHOWN else f"{raw!r}: "


# Types.


def _without_none(hint: Any) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    if len(kinds) != 1:
        raise TypeError(f"{hint} has no form in a file: it may be of several types")
    return kinds[0]


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _named(key: Any) -> bool:
    """Whether keys of a mapping are texts, so that it can be an object."""
    return isinstance(key, type) and issubclass(key, str)
