"""The domains of all budget families in one numbering, as greedy and waves walk them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.reconfiguration.problem import ReconfigurationProblem

__all__ = ["Domains", "domains_of"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ENDLESS = np.iinfo(np.int64).max // 2


@dataclass(frozen=True, slots=True)
class Domains:
    """What each instance draws on, and what may be drawn there.

    Attributes
    ----------
    member, share
        ``[instance, place]`` number of a domain, and thousandths of the instance's draw. The last number is a domain
        without end, for absent places.
    counts_air
        ``[domain]`` whether it counts airflow.
    room_permille
        ``[domain]`` thousandths of a unit that may be drawn in the tightest slot; instances draw the same in each.
    """

    member: IntArray
    share: IntArray
    counts_air: BoolArray
    room_permille: IntArray

    def weights(self, who: IntArray, power: IntArray, airflow: IntArray) -> IntArray:
        """``[who, place]`` thousandths that draws of some instances (each ``[who]``) put on their domains."""
        air = self.counts_air[self.member[who]]
        return np.asarray(np.where(air, airflow[:, None], power[:, None]) * self.share[who])

    def fits(self, drawn: IntArray, i: int, added: IntArray) -> bool:
        """Whether ``added[place]`` thousandths bring no domain (further) over what may be drawn there."""
        member = self.member[i]
        in_all = ((member[:, None] == member) * added).sum(axis=1)  # two feeds may hang on one UPS
        return bool(((in_all <= 0) | (drawn[member] + in_all <= self.room_permille[member])).all())


def domains_of(problem: ReconfigurationProblem, excess: Mapping[tuple[Constraint, str], float]) -> Domains:
    """Number the domains through; each may be over its limit by ``excess``."""
    families = problem.budgets.families
    none = np.zeros((len(problem.servers), 0), dtype=np.int64)
    last = sum(len(family.domains) for family in families)
    member, share = [none], [none]
    air, room = [np.zeros(0, dtype=bool)], [np.zeros(0, dtype=np.int64)]
    first = 0
    for family in families:
        extra = [int(excess.get((family.constraint, domain), 0)) for domain in family.domains]
        member.append(np.where(family.member == NONE, last, family.member + first))
        share.append(np.where(family.member == NONE, 0, family.share_permille))
        air.append(np.full(len(family.domains), family.unit != "W"))
        room.append(PERMILLE * (family.room.min(axis=1) + np.array(extra, dtype=np.int64)))
        first += len(family.domains)
    return Domains(
        member=np.hstack(member)[problem.instance_server],
        share=np.hstack(share)[problem.instance_server],
        counts_air=np.concatenate([*air, [False]]),
        room_permille=np.concatenate([*room, [ENDLESS]]),
    )
