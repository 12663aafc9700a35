"""Routing: which share of each request class every instance takes, within the site's budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.budgets.classes import Classes, classes_of
from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers, MostDrawn
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.errors import Fault, InvalidInput

__all__ = [
    "COMFORTABLE_PERMILLE",
    "RoutingClasses",
    "RoutingPlan",
    "RoutingPrices",
    "RoutingProblem",
    "peak_step",
    "present_permille",
    "routing_classes",
    "whole_segments",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

COMFORTABLE_PERMILLE = 850
"""A domain filled less than this costs nothing: what is priced is nearness to a limit."""

GRID_TOLERANCE = 1e-6
"""A float this close above a whole number is that number, not the next one."""


@dataclass(frozen=True, slots=True)
class RoutingPrices:
    """Cost units per hour; whole numbers, so that every solver sees the same objective.

    Attributes
    ----------
    unserved_tokens_per_s
        Of each token/s of demand that no instance takes.
    energy_kw
        Of each kW that the routed load adds to the servers' power.
    peak_permille
        Of each thousandth by which the highest utilisation of a family's domains rises above what it is without
        routed load, or above :data:`COMFORTABLE_PERMILLE` where that is higher.
    """

    unserved_tokens_per_s: int = 10
    energy_kw: int = 100
    peak_permille: Mapping[Constraint, int] = field(
        default_factory=lambda: {
            Constraint.ROW_POWER_BUDGET: 10,
            Constraint.UPS_POWER_CAPACITY: 10,
            Constraint.AISLE_AIRFLOW_CAPACITY: 10,
        }
    )


@dataclass(frozen=True, slots=True)
class RoutingProblem:
    """Everything that the routing plan knows, as whole numbers, for one time slot.

    The load of an instance is cut into *segments* between breakpoints. What a fully used segment costs and draws is
    convex: no later segment is cheaper, for its width, than an earlier one, so that filling them in order is best.

    Attributes
    ----------
    instance_server, instance_endpoint, class_endpoint
        Indices into ``servers`` and ``endpoints``.
    class_tokens_per_s
        ``[class]`` demand, prompt and output tokens together, rounded up.
    class_work_permille
        ``[class]`` work of one of its tokens relative to the mix that goodput was measured at; at least 1.
    instance_goodput
        ``[instance]`` tokens/s that it may carry now: level, frequency and slack are applied already. 0 when it
        takes nothing (draining, reloading).
    breakpoints_permille
        ``[segment + 1]`` rising from 0 to 1000, fractions of an instance's goodput.
    latency_cost
        ``[instance, segment]`` cost units per hour for the segment when fully used.
    power_w, airflow_cfm, gpu_power_w
        ``[instance, segment]`` what the segment, fully used, adds to the server's power, its airflow, and the power
        of its hottest GPU.
    gpu_headroom_w
        ``[instance]`` ceiling minus the hottest GPU's power at zero load; an instance below 0 takes nothing.
    budgets
        One slot; the base holds every server at zero routed load. Excess of that base over a limit is tolerated, but
        may not grow: the limit is raised to the base here.

    Raises
    ------
    InvalidInput
        Naming every array whose shape, range or convexity is wrong.
    """

    instances: tuple[str, ...]
    servers: tuple[str, ...]
    instance_server: IntArray
    instance_endpoint: IntArray
    endpoints: tuple[str, ...]
    classes: tuple[str, ...]
    class_endpoint: IntArray
    class_tokens_per_s: IntArray
    class_work_permille: IntArray
    instance_goodput: IntArray
    breakpoints_permille: IntArray
    latency_cost: IntArray
    power_w: IntArray
    airflow_cfm: IntArray
    gpu_power_w: IntArray
    gpu_headroom_w: IntArray
    budgets: BudgetNumbers
    prices: RoutingPrices = field(default_factory=RoutingPrices)

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise InvalidInput("routing problem", faults)
        object.__setattr__(self, "budgets", self.budgets.tolerating_present_excess())

    @property
    def class_work(self) -> FloatArray:
        """``[class]`` demand in tokens/s of the mix that goodput was measured at."""
        return np.asarray(self.class_tokens_per_s * self.class_work_permille / PERMILLE)

    @property
    def segment_work(self) -> FloatArray:
        """``[instance, segment]`` tokens/s that each segment carries when fully used."""
        return np.asarray(self.instance_goodput[:, None] * np.diff(self.breakpoints_permille) / PERMILLE)

    @property
    def segment_cost(self) -> FloatArray:
        """``[instance, segment]`` latency and energy, in cost units per hour, of each segment when fully used."""
        return np.asarray(self.latency_cost + self.prices.energy_kw * self.power_w / 1000)

    @property
    def open_instances(self) -> BoolArray:
        """``[instance]`` whether it may take anything at all."""
        return np.asarray((self.instance_goodput > 0) & (self.gpu_headroom_w >= 0))

    @property
    def cool_frac(self) -> FloatArray:
        """``[instance, segment]`` how much of it the hottest GPU's headroom allows once those before it are full."""
        before = np.cumsum(self.gpu_power_w, axis=1) - self.gpu_power_w
        left = self.gpu_headroom_w[:, None] - before
        return np.where(self.gpu_power_w <= left, 1.0, left.clip(0) / np.maximum(self.gpu_power_w, 1))

    def most_drawn(self) -> MostDrawn:
        """What each server would add with all its instances full."""
        return MostDrawn(self._summed_by_server(self.power_w), self._summed_by_server(self.airflow_cfm))

    def _summed_by_server(self, draw: IntArray) -> IntArray:
        total = np.zeros((len(self.servers), 1), dtype=np.int64)
        np.add.at(total[:, 0], self.instance_server, np.where(self.open_instances, draw.sum(axis=1), 0))
        return total


@dataclass(frozen=True, slots=True)
class RoutingPlan:
    """Who takes what, by name.

    Attributes
    ----------
    shares
        For each request class the share of its requests that each instance takes; absent means none.
    unserved_frac
        For each request class the share that nobody takes; with its shares it makes 1.
    """

    shares: Mapping[str, Mapping[str, float]]
    unserved_frac: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RoutingClasses:
    """Interchangeable instances: same endpoint, numbers and domains.

    ``budgets`` forgets domains whose limit and price no load can reach, so that more instances are alike.
    """

    instances: Classes
    budgets: BudgetNumbers


def routing_classes(problem: RoutingProblem) -> RoutingClasses:
    """Group what is interchangeable; each class is named after its first instance."""
    priced = {family.constraint: _reach_price(family, problem) for family in problem.budgets.families}
    budgets = problem.budgets.without_slack(problem.most_drawn(), watched=priced)
    numbers = [problem.instance_endpoint, problem.instance_goodput, problem.gpu_headroom_w]
    numbers += [problem.latency_cost, problem.power_w, problem.airflow_cfm, problem.gpu_power_w]
    return RoutingClasses(classes_of(budgets, problem.instance_server, *numbers), budgets)


def peak_step(family: BudgetFamily) -> IntArray:
    """``[domain, slot]`` what a thousandth of each domain's limit is taken to be, in the family's unit."""
    return np.maximum(1, family.limit // PERMILLE)


def present_permille(family: BudgetFamily) -> int:
    """Up to which utilisation the family's domains cost nothing: the highest without routed load, or comfortable."""
    return max(COMFORTABLE_PERMILLE, int((-(-family.base // peak_step(family))).max(initial=0)))


def whole_segments(at_breakpoints: ArrayLike, breakpoints_permille: IntArray) -> IntArray:
    """Segments of a convex curve as whole numbers that lie nowhere below it, and are still convex.

    Parameters
    ----------
    at_breakpoints
        ``[instance, segment + 1]`` the curve's value at each breakpoint.

    Notes
    -----
    Rounding each segment up may make a later one cheaper, for its width, than an earlier one: 10.1 and 20.3 over widths
    1 and 2 become 11 and 21. The later one is raised to the earlier one's slope, here to 22.
    """
    rises = np.diff(np.asarray(at_breakpoints, dtype=np.float64), axis=1)
    widths = np.diff(breakpoints_permille)
    whole = np.ceil(np.maximum(rises, 0.0) - GRID_TOLERANCE).astype(np.int64)
    for b in range(1, len(widths)):
        whole[:, b] = np.maximum(whole[:, b], -(-whole[:, b - 1] * widths[b] // widths[b - 1]))
    return whole


def _reach_price(family: BudgetFamily, problem: RoutingProblem) -> BoolArray:
    """``[domain]`` whether some load could bring it to where its price begins."""
    if problem.prices.peak_permille.get(family.constraint, 0) == 0:
        return np.zeros(len(family.domains), dtype=bool)
    free = peak_step(family) * present_permille(family) - family.base
    return np.asarray((problem.most_drawn().on(family) > PERMILLE * free).any(axis=1))


def _faults(p: RoutingProblem) -> Iterator[Fault]:
    shapes = list(_shape_faults(p))
    yield from shapes
    if not shapes:  # ranges can only be judged where shapes fit
        yield from _range_faults(p)
        yield from _convexity_faults(p)
    if len(p.budgets.slots) != 1:
        yield Fault("budgets.slots", f"{len(p.budgets.slots)} slots; routing plans for exactly one")


def _shape_faults(p: RoutingProblem) -> Iterator[Fault]:
    instances, classes, segments = len(p.instances), len(p.classes), len(p.breakpoints_permille) - 1
    expected = dict.fromkeys(("instance_server", "instance_endpoint", "instance_goodput"), (instances,))
    expected |= {"gpu_headroom_w": (instances,)}
    expected |= dict.fromkeys(("class_endpoint", "class_tokens_per_s", "class_work_permille"), (classes,))
    for name, shape in expected.items():
        if getattr(p, name).shape != shape:
            yield Fault(name, f"has shape {getattr(p, name).shape}; expected {shape}")
    for name in _CURVES:
        if getattr(p, name).shape != (instances, segments):
            yield Fault(name, f"has shape {getattr(p, name).shape}; expected {(instances, segments)}")
    for name in ("instances", "servers", "endpoints", "classes"):
        if len(set(getattr(p, name))) != len(getattr(p, name)):
            yield Fault(name, "names must differ")


def _range_faults(p: RoutingProblem) -> Iterator[Fault]:
    rises = np.diff(p.breakpoints_permille)
    if (
        len(rises) == 0
        or (rises <= 0).any()
        or p.breakpoints_permille[0] != 0
        or p.breakpoints_permille[-1] != PERMILLE
    ):
        yield Fault("breakpoints_permille", f"{p.breakpoints_permille.tolist()}; must rise from 0 to {PERMILLE}")
    for name, count in (("instance_server", len(p.servers)), ("instance_endpoint", len(p.endpoints))):
        yield from _outside(name, p.instances, getattr(p, name), 0, count - 1)
    yield from _outside("class_endpoint", p.classes, p.class_endpoint, 0, len(p.endpoints) - 1)
    yield from _outside("class_tokens_per_s", p.classes, p.class_tokens_per_s, 0)
    yield from _outside("class_work_permille", p.classes, p.class_work_permille, 1)
    yield from _outside("instance_goodput", p.instances, p.instance_goodput, 0)
    for name in _CURVES:
        if p.instances:
            yield from _outside(name, p.instances, getattr(p, name).min(axis=1, initial=0), 0)
    prices = {"unserved_tokens_per_s": p.prices.unserved_tokens_per_s, "energy_kw": p.prices.energy_kw}
    prices |= {f"peak_permille[{constraint}]": price for constraint, price in p.prices.peak_permille.items()}
    for name, price in prices.items():
        if price < 0:
            yield Fault(f"prices.{name}", f"{price}; must be at least 0")


def _outside(
    field_name: str, names: tuple[str, ...], values: IntArray, least: int, most: int | None = None
) -> Iterator[Fault]:
    wrong = values < least if most is None else (values < least) | (values > most)
    allowed = f"must be at least {least}" if most is None else f"must be {least} to {most}"
    for i in np.flatnonzero(wrong):
        yield Fault(f"{field_name}[{names[i]}]", f"{values[i]}; {allowed}")


def _convexity_faults(p: RoutingProblem) -> Iterator[Fault]:
    """Slope of segment b ≤ slope of segment b+1, compared in whole numbers: rise·next width ≤ next rise·width."""
    widths = np.diff(p.breakpoints_permille)
    for name in _CURVES:
        rise = getattr(p, name)
        falls = rise[:, :-1] * widths[1:] > rise[:, 1:] * widths[:-1]
        for i in np.flatnonzero(falls.any(axis=1)):
            b = int(np.flatnonzero(falls[i])[0])
            what = f"segment {b + 1} rises by {rise[i, b + 1]} over {widths[b + 1]} ‰, less steeply than segment {b}"
            yield Fault(f"{name}[{p.instances[i]}]", f"{what} ({rise[i, b]} over {widths[b]} ‰); make it convex")


_CURVES = ("latency_cost", "power_w", "airflow_cfm", "gpu_power_w")
