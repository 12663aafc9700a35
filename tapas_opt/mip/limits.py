"""When a search stops: by the clock, or by work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: seconds that are left, and how many nodes a search may have where work is counted instead."""

    left_s: Callable[[], float]
    nodes: int | None = None

    def within(self, most_s: float) -> dict[str, Any]:
        """Limits of one HiGHS solve."""
        limits = {"deadline_s": None, "nodes": self.nodes} if self.nodes else {"deadline_s": min(most_s, self.left_s())}
        return {"threads": 1} | limits
