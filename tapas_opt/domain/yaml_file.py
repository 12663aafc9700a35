"""YAML files as plain values: one clear error for what is no YAML, and no key that another one hides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tapas_opt.errors import Fault, InvalidInput

__all__ = ["read_yaml"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, what: str, hint: str) -> Any:
    """Read a YAML file as plain mappings and lists.

    Parameters
    ----------
    what, hint
        What the file should be, such as "a site", and where one comes from: said when it is not, or is empty.

    Raises
    ------
    InvalidInput
        It cannot be read, is empty or no YAML, or a mapping has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        loader = _LOADER(text)
        node = loader.get_single_node()
        faults = list(_written_twice(node)) if node else [Fault("file", f"is empty; {hint}")]
        raw = loader.construct_document(node) if node is not None else None
    except OSError as error:
        raise InvalidInput.one(str(path), "file", f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:  # a date that does not exist is a ValueError
        raise InvalidInput.one(str(path), "file", f"is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise InvalidInput.one(str(path), "file", f"is nested too deeply to be {what}") from error
    if faults:
        raise InvalidInput(str(path), faults)
    return raw


def _written_twice(root: yaml.Node | None) -> Iterator[Fault]:
    """YAML lets the last of two equal keys win in silence; here the file is refused."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        children = list(node.value) if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                children.append(value)
                if isinstance(key, yaml.ScalarNode) and key.value in keys:
                    yield Fault(f"line {key.start_mark.line + 1}", f"{key.value!r}: stands twice in the same mapping")
                keys.add(str(key.value))
        fresh = [child for child in children if id(child) not in seen]
        seen.update(map(id, fresh))
        waiting += fresh
