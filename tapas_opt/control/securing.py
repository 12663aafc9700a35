"""What placement has to survive: failures of the site's elements, stated from a forecast for a batch of VMs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.failures import FailurePairs, Scenario, SiteFailures, single_failures, site_failures
from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.control.actuation import Actuation
from tapas_opt.control.conditions import HOURS
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.knobs import TIERS, Knobs
from tapas_opt.control.reconfiguring import AISLE_TOLERANCE_S, protection_curves
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.site import ToleranceCurve
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Vm
from tapas_opt.placement.survival.numbers import Draws, Relief, secured, side_by_side, survival, transient
from tapas_opt.placement.survival.problem import Secured as SecuredPairs
from tapas_opt.placement.survival.problem import Survival

__all__ = ["Batch", "Secured", "Securing", "by_units"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

HOUR_S = 3600.0

FAST_FRAC, SLOW_FRAC = 0.25, 0.55
"""Parts of an element's tolerance that may be used up until the fast knobs act, and from then until the slow ones do.

A UPS on battery uses up the first within two seconds at 1.36 of its rating: the loss of one of four asks 4/3 of the
others, and a little more where racks are not spread evenly. From then on it may be at 1.16 of it. A fifth stays in
hand: knobs may be slower than stated, and what an earlier overload took comes back within half an hour only."""

EARLY = " early"
"""After the name of a failure: between the fast knobs and the slow ones."""

PRICE_PER_W = np.array([1, 2, 3, 4])
"""Cost units for each watt relieved, by tier."""

SHORTFALL_PER_W = 1_000
"""Cost units for each watt that nothing relieves: more than a VM is worth that causes a few hundred of them."""

W_PER_CFM = 8
"""A CFM is priced as so many watts: what a server warms a CFM of air by at 15 °C (1.2 kg/m³, 1005 J/(kg·K))."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be placed, as the placement problem states it.

    Attributes
    ----------
    examples
        ``[type]`` a VM that stands for its type.
    vm_type, available
        ``[vm]`` and ``[server]``.
    power_w, airflow_cfm
        ``[type, hardware, slot]`` what a VM draws beyond idle.
    """

    examples: Sequence[Vm]
    vm_type: IntArray
    available: BoolArray
    power_w: IntArray
    airflow_cfm: IntArray


@dataclass(frozen=True, slots=True)
class Secured:
    """What to add to a placement problem."""

    budgets: tuple[BudgetFamily, ...]
    survival: Survival


class Securing:
    """States survival; what follows from the site alone is kept while the site stays the same.

    Parameters
    ----------
    together
        Labels of elements that may be lost together, beside every single UPS, PDU and air handler.
    """

    def __init__(self, actuation: Actuation, together: Sequence[tuple[str, ...]] = ()) -> None:
        self._actuation, self._together = actuation, tuple(together)
        self._made_for: Topology | None = None
        self._known: dict[tuple[tuple[str, float], ...], SiteFailures] = {}

    def failures(self, topology: Topology, standing: Scenario = ()) -> SiteFailures:
        """All pairs of a site, while something stands failed in a room: those of that room."""
        if self._made_for is not topology:
            self._made_for, self._known = topology, {}
        key = tuple((failure.label, failure.remaining_frac) for failure in standing)
        if key not in self._known:
            scenarios = (*single_failures(topology), *map(_scenario, self._together))
            self._known[key] = site_failures(topology, scenarios, standing)
        return self._known[key]

    def secured(
        self, forecast: Forecast, batch: Batch, hours: IntArray, base_w: IntArray, base_cfm: IntArray
    ) -> Secured:
        """``ups_transient_limit`` as a family of budgets, and what ``failure_secure`` needs.

        In slots in which an outage is planned, the site without the element has to hold without any relief, and to
        survive every further failure in the room.

        Parameters
        ----------
        hours
            ``[slot, hour]`` hours of the week of each slot.
        base_w, base_cfm
            ``[unit, slot]`` what is drawn without the batch, by units of servers (:func:`by_units`).
        """
        topology = forecast.fleet.topology
        failures = self.failures(topology)
        state = _Statement(forecast, self._actuation, failures, batch, hours, base_w, base_cfm)
        early, parts = state.transient(failures), state.secured(failures)
        for outage in forecast.fleet.outages_after(forecast.now_s):
            only = _slots(outage, hours)
            alone, further = site_failures(topology, [(outage,)]), self.failures(topology, (outage,))
            early = side_by_side(early, state.transient(further, only))
            parts += state.secured(alone, only, relieved=False) + state.secured(further, only)
        return Secured((early,) if early.domains else (), survival(failures.rooms, parts, failures.no_worse))


class _Statement:
    """What all failures of one placement have in common: draws, relief and margins."""

    def __init__(
        self,
        forecast: Forecast,
        actuation: Actuation,
        failures: SiteFailures,
        batch: Batch,
        hours: IntArray,
        base_w: IntArray,
        base_cfm: IntArray,
    ) -> None:
        topology = forecast.fleet.topology
        within_s = (actuation.reaction_s, actuation.slow_reaction_s, AISLE_TOLERANCE_S)
        knobs = Knobs(forecast, actuation, hours, within_s)
        running, of_type = knobs.running(failures), knobs.of_types(batch.examples)
        self._topology, self._margins, self._actuation = topology, forecast.margins, actuation
        self._watts, self._air = (
            _Summed(failures, batch, topology, unit).draws(base) for unit, base in (("W", base_w), ("CFM", base_cfm))
        )
        self._fast, self._slow, self._heat = (_relief(1, running[0, i], of_type[0, i]) for i in range(len(within_s)))
        self._aisles = _relief(W_PER_CFM, running[1, -1], of_type[1, -1])

    def transient(self, failures: SiteFailures, only: BoolArray | None = None) -> BudgetFamily:
        """What must not be overloaded further than is borne until the fast knobs act."""
        pairs = failures.transient
        limits = self._limits(pairs, self._actuation.reaction_s / FAST_FRAC)
        return transient(pairs, failures.unit_of, limits, self._watts, only)

    def secured(
        self, failures: SiteFailures, only: BoolArray | None = None, *, relieved: bool = True
    ) -> list[tuple[SecuredPairs, IntArray]]:
        """What must be carried for as long as a failure lasts, with relief or without.

        With it, the fast knobs alone have to bring what protects itself to what it bears until the slow ones act.
        """
        power, air = failures.power, failures.air
        heat = np.array([family is Constraint.AISLE_HEAT_CAPACITY for family in power.family], dtype=bool)
        stated = [
            (power, ~heat, self._limits(power), self._watts, self._slow),
            (power, heat, self._limits(power), self._watts, self._heat),
            (air, np.ones(len(air.names), dtype=bool), self._limits(air), self._air, self._aisles),
        ]
        if relieved:
            slow_s = self._actuation.slow_reaction_s - self._actuation.reaction_s
            stated.append((_early(power), ~heat, self._limits(power, slow_s / SLOW_FRAC), self._watts, self._fast))
        found = []
        for pairs, of_pairs, limits, draws, relief in stated:
            given = relief if relieved else replace(relief, running=0 * relief.running, of_type=0 * relief.of_type)
            on = of_pairs[:, None] if only is None else of_pairs[:, None] & only
            found.append(secured(pairs, failures.unit_of, limits, draws, given, only=on))
        return found

    def _limits(self, pairs: FailurePairs, borne_s: float = np.inf) -> IntArray:
        """``[pair]`` ⌊capacity · borne / (1 + margin)⌋ with the margin of the domain."""
        borne_frac = _borne_frac(self._topology, pairs, borne_s)
        margin = [
            self._margins[family][element] if family in self._margins else 0.0
            for family, element in zip(pairs.family, pairs.element.tolist(), strict=True)
        ]
        return np.floor(pairs.capacity * borne_frac / (1.0 + np.array(margin))).astype(np.int64)


def _slots(outage: Failure, hours: IntArray) -> BoolArray:
    """``[slot]`` which cover an hour of the week in which an outage is planned."""
    begin, end = outage.started_at_s, outage.started_at_s + outage.expected_duration_s
    out = np.arange(int(begin // HOUR_S), int(np.ceil(end / HOUR_S))) % HOURS
    return np.asarray(np.isin(hours, out).any(axis=1))


def _scenario(labels: Sequence[str]) -> Scenario:
    """Failures from labels such as ``ups:U1``."""
    split = (label.partition(":") for label in labels)
    return tuple(Failure(FailureKind(kind), element) for kind, _, element in split)


def _relief(per_w: int, running: IntArray, of_type: IntArray) -> Relief:
    return Relief(TIERS, per_w * PRICE_PER_W, per_w * SHORTFALL_PER_W, running, of_type)


def _early(pairs: FailurePairs) -> FailurePairs:
    """The same under names of their own."""
    scenarios, names = (tuple(name + EARLY for name in of) for of in (pairs.scenarios, pairs.names))
    return replace(pairs, scenarios=scenarios, names=names)


def _borne_frac(topology: Topology, pairs: FailurePairs, seconds: float) -> FloatArray:
    """``[pair]`` the overload that each domain bears for some seconds; 1 for what has no protection of its own.

    A UPS counts as on battery, whatever has failed: that is where it bears less.
    """
    curves = {family: protection_curves(topology, family) for family in dict.fromkeys(pairs.family)}
    known: dict[ToleranceCurve | None, float] = {None: 1.0}
    borne = []
    for family, element in zip(pairs.family, pairs.element.tolist(), strict=True):
        of_family = curves[family]
        curve = None if of_family is None else of_family[element]
        if curve is not None and curve not in known:
            known[curve] = curve.borne_frac(seconds)
        borne.append(known[curve])
    return np.array(borne)


@dataclass(frozen=True, slots=True)
class _Summed:
    """Draws by unit of servers."""

    failures: SiteFailures
    batch: Batch
    topology: Topology
    unit: str

    def draws(self, base: IntArray) -> Draws:
        draw = self.batch.power_w if self.unit == "W" else self.batch.airflow_cfm
        asked = np.unique(self.batch.vm_type)
        most = (draw * self._beside_each_other()[..., None])[asked].max(axis=0, initial=0)
        free = np.zeros((self.failures.units, len(self.topology.hardware)), dtype=np.int64)
        on = self.batch.available
        np.add.at(free, (self.failures.unit_of[on], self.topology.server_hardware[on]), 1)
        count = np.bincount(self.batch.vm_type, minlength=len(draw))
        return Draws(self.unit, base, free @ most, draw, count)

    def _beside_each_other(self) -> IntArray:
        """``[type, hardware]`` how many VMs of a type a server takes."""
        gpus = [self.topology.site.hardware[name].gpus for name in self.topology.hardware]
        taken = [[has // (vm.gpus or has) for has in gpus] for vm in self.batch.examples]
        return np.array(taken, dtype=np.int64).reshape(len(taken), len(gpus))


def by_units(values: IntArray, failures: SiteFailures) -> IntArray:
    """``[unit, …]`` sums of ``[server, …]``."""
    total = np.zeros((failures.units, *values.shape[1:]), dtype=np.int64)
    order = np.argsort(failures.unit_of, kind="stable")
    units, begin = np.unique(failures.unit_of[order], return_index=True)
    total[units] = np.add.reduceat(values[order], begin, axis=0)
    return total
