"""Armed plans: for each failure that may come next, a verified plan of stage Now that is kept ready.

Which failures those are, which of them is looked at next, and what is kept of each; the controller states the problems
and solves them (:meth:`~tapas_opt.control.controller.Controller.arm`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tapas_opt.control.answers import Proposal
from tapas_opt.control.fleet import Basis, Fleet
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import InvalidInput
from tapas_opt.reconfiguration.problem import ReconfigurationProblem

__all__ = ["Armed", "Arming", "listed_failures", "with_headroom"]

HEADROOM_FRAC = 0.02
"""An armed plan leaves room for what is drawn by others to rise by so much before it no longer holds."""

REMADE_AFTER_S = 300.0
"""A plan that still holds is made anew all the same after so long: a cheaper one may have become possible."""


@dataclass(frozen=True, slots=True)
class Armed:
    """A plan that is kept ready.

    Attributes
    ----------
    failures
        What it is for: those that are present, and those that may come.
    made_at_s, looked_at_s
        When it was solved, and when it was last found to hold.
    at_stake_w
        Excess (W and CFM) that the failure would cause if nothing were changed.
    version
        Of what it stands on; see :meth:`Arming.version_of`.
    """

    failures: tuple[Failure, ...]
    proposal: Proposal
    made_at_s: float
    looked_at_s: float
    at_stake_w: float
    version: int

    def fresh(self, version: int, now_s: float) -> bool:
        """Whether it was made for the fleet as it is, and not long ago: then it is enough to see that it holds."""
        return self.version == version and 0.0 <= now_s - self.made_at_s < REMADE_AFTER_S


class Arming:
    """Keeps armed plans. Safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[tuple[str, float], ...], Armed] = {}
        self._seen: tuple[int, int, Basis] | None = None

    @property
    def all(self) -> tuple[Armed, ...]:
        """Every plan kept, the most dangerous failure first."""
        with self._lock:
            return tuple(sorted(self._kept.values(), key=lambda armed: -armed.at_stake_w))

    def version_of(self, fleet: Fleet) -> int:
        """Rises whenever site, endpoints, failures or VMs change; an acknowledgement changes none of these.

        Call it with the fleet locked.
        """
        if self._seen is None:
            self._seen = (fleet.generation, 1, fleet.basis(fleet.failures.values()))
        generation, version, basis = self._seen
        if fleet.generation != generation:
            present = fleet.basis(fleet.failures.values())
            self._seen = (fleet.generation, version + (present != basis), present)
        return self._seen[1]

    def due(
        self, targets: Sequence[tuple[Failure, ...]], version: int, now_s: float, every_s: float
    ) -> tuple[Failure, ...] | None:
        """What to look at next: what has no plan, then plans for another fleet or long not looked at.

        Among these the most dangerous failure comes first. Plans for what is no target any more are dropped.
        """
        with self._lock:
            wanted = {_key(failures): failures for failures in targets}
            self._kept = {key: armed for key, armed in self._kept.items() if key in wanted}
            waiting = [
                (-np.inf if armed is None else -armed.at_stake_w, n, failures)
                for n, (key, failures) in enumerate(wanted.items())
                if (armed := self._kept.get(key)) is None
                or armed.version != version
                or not 0.0 <= now_s - armed.looked_at_s < every_s
            ]
        return min(waiting)[2] if waiting else None

    def of(self, failures: Iterable[Failure]) -> Armed | None:
        """The plan for exactly these failures, if there is one."""
        with self._lock:
            return self._kept.get(_key(failures))

    def keep(self, armed: Armed) -> None:
        """Keep a plan in the place of the one before."""
        with self._lock:
            self._kept[_key(armed.failures)] = armed


def listed_failures(
    topology: Topology, present: Mapping[str, Failure], more: Sequence[tuple[str, ...]]
) -> list[tuple[Failure, ...]]:
    """What may come next: each UPS and each air handler lost, and what an operator lists, on top of what is present.

    Parameters
    ----------
    more
        Labels of elements that may be lost together, such as ``("ups:U1", "ahu:AHU2")``; elements that the site does
        not have are left out with their set.
    """
    sets: list[tuple[Failure, ...]] = [(Failure(FailureKind.UPS, name),) for name in topology.upses]
    sets += [(Failure(FailureKind.AHU, name),) for name in topology.ahus]
    known = {*topology.upses, *topology.pdus, *topology.ahus, *topology.rooms}
    listed = [failures_of(labels) for labels in more]
    sets += [lost for lost in listed if all(failure.element in known for failure in lost)]
    found: dict[tuple[tuple[str, float], ...], tuple[Failure, ...]] = {}
    for lost in sets:
        new = [failure for failure in lost if failure.label not in present]
        if new:
            together = (*present.values(), *new)
            found.setdefault(_key(together), together)
    return list(found.values())


def failures_of(labels: Sequence[str]) -> tuple[Failure, ...]:
    """Read ``("ups:U1", "ahu:AHU2")`` as elements that are lost; raises InvalidInput."""
    found = []
    for label in labels:
        kind, _, element = label.partition(":")
        if kind not in {one.value for one in FailureKind} or not element:
            kinds = ", ".join(FailureKind)
            raise InvalidInput.one("failures to arm for", label, f"must be KIND:ELEMENT with KIND one of {kinds}")
        found.append(Failure(FailureKind(kind), element))
    return tuple(found)


def with_headroom(problem: ReconfigurationProblem) -> ReconfigurationProblem:
    """The same problem with what others draw taken as a little more: a plan for it survives the noise of a minute."""
    families = tuple(
        replace(family, base=np.ceil(family.base * (1.0 + HEADROOM_FRAC)).astype(np.int64))
        for family in problem.budgets.families
    )
    return replace(problem, budgets=replace(problem.budgets, families=families))


def _key(failures: Iterable[Failure]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted((failure.label, failure.remaining_frac) for failure in failures))
