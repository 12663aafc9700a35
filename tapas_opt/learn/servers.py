"""Which entry of a per-server model belongs to which server of a site, and who has none of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology
from tapas_opt.errors import NotFound

__all__ = ["EntryNumbers", "entry_numbers", "unseen_servers"]

IntArray = NDArray[np.int64]


class _OfHardware(Protocol):
    @property
    def hardware(self) -> str: ...


def unseen_servers(topology: Topology, entries: Mapping[str, _OfHardware]) -> tuple[str, ...]:
    """Servers without an entry of their own: new ones, and ones whose hardware has changed since."""
    return tuple(name for name, hardware in _servers(topology) if not _is_of(entries, name, hardware))


def entry_numbers(
    topology: Topology, entries: Mapping[str, _OfHardware], pooled: Mapping[str, _OfHardware]
) -> IntArray:
    """``[server]`` place of each server in entries followed by pooled.

    Unseen servers take the pooled entry of their name, which is what their neighbours make of them, where there is one,
    and that of their hardware otherwise.

    Raises
    ------
    NotFound
        If there is no pooled entry of an unseen server's hardware either.
    """
    number = dict(zip(entries, range(len(entries)), strict=True))
    fallback = {name: len(entries) + i for i, name in enumerate(pooled)}
    chosen = []
    for name, hardware in _servers(topology):
        if _is_of(entries, name, hardware):
            chosen.append(number[name])
            continue
        neighbours = name if _is_of(pooled, name, hardware) else hardware
        if neighbours not in fallback:
            raise NotFound("model of hardware", hardware, "fit again with history of a server of this kind")
        chosen.append(fallback[neighbours])
    return np.array(chosen, dtype=np.int64)


class EntryNumbers:
    """:func:`entry_numbers` of one model, kept for the topology that was asked for last: a service has one for long."""

    def __init__(self, entries: Mapping[str, _OfHardware], pooled: Mapping[str, _OfHardware]) -> None:
        self._entries, self._pooled = entries, pooled
        self._last: tuple[Topology, IntArray] | None = None

    def on(self, topology: Topology) -> IntArray:
        """``[server]``; raises as :func:`entry_numbers`."""
        last = self._last
        if last is None or last[0] is not topology:
            last = self._last = topology, entry_numbers(topology, self._entries, self._pooled)
        return last[1]


def _servers(topology: Topology) -> Iterator[tuple[str, str]]:
    """Each with its hardware."""
    hardware = [topology.hardware[h] for h in topology.server_hardware.tolist()]
    return zip(topology.servers, hardware, strict=True)


def _is_of(entries: Mapping[str, _OfHardware], name: str, hardware: str) -> bool:
    entry = entries.get(name)
    return entry is not None and entry.hardware == hardware
