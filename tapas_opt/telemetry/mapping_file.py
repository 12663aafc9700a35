"""Mapping files of an operator, in YAML: judged in full before anything is read with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter

from tapas_opt.domain.fields import field_faults
from tapas_opt.errors import Fault, InvalidInput

__all__ = ["read_mapping"]

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML lets the last of two equal keys win in silence; here the file is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Mapping of a node, if no key stands twice."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {', '.join(twice)} stands twice in one mapping")
        return super().construct_mapping(node, deep)


def read_mapping(
    path: Path, kind: TypeAdapter[T], more: Callable[[Mapping[str, Any]], Iterable[Fault]] = lambda raw: ()
) -> T:
    """Read a YAML file as ``kind``.

    Parameters
    ----------
    more
        Faults that fields alone do not show; it walks the raw file, since they are wanted also when a field is wrong.

    Raises
    ------
    InvalidInput
        Listing every fault with its path, the value found and what is allowed.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidInput.one(str(path), "file", f"cannot be read: {why}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput.one(str(path), "file", f"is not YAML: {' '.join(str(error).split())}") from error
    value, faults = field_faults(kind, raw)
    faults += more(raw) if isinstance(raw, Mapping) else ()
    if faults or value is None:
        raise InvalidInput(str(path), faults)
    result: T = value
    return result
