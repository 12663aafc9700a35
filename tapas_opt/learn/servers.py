"""Which entry of a per-server model belongs to which server of a site, and who has none of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology
from tapas_opt.errors import NotFound

__all__ = ["entry_numbers", "unseen_servers"]

IntArray = NDArray[np.int64]


class _OfHardware(Protocol):
    @property
    def hardware(self) -> str: ...


def unseen_servers(topology: Topology, entries: Mapping[str, _OfHardware]) -> tuple[str, ...]:
    """Servers without an entry of their own: new ones, and ones whose hardware has changed since."""
    return tuple(
        name
        for name, h in zip(topology.servers, topology.server_hardware, strict=True)
        if name not in entries or entries[name].hardware != topology.hardware[h]
    )


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
    number = {name: i for i, name in enumerate(entries)}
    fallback = {name: len(entries) + i for i, name in enumerate(pooled)}
    unseen = set(unseen_servers(topology, entries))
    chosen = np.empty(len(topology.servers), dtype=np.int64)
    for s, (name, h) in enumerate(zip(topology.servers, topology.server_hardware, strict=True)):
        hardware = topology.hardware[h]
        by_name = name in pooled and pooled[name].hardware == hardware
        if name in unseen and not by_name and hardware not in fallback:
            raise NotFound("model of hardware", hardware, "fit again with history of a server of this kind")
        chosen[s] = fallback[name if by_name else hardware] if name in unseen else number[name]
    return chosen
