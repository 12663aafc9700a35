"""Large models of many small blocks: price what couples them, keep the columns that can matter, round, improve, prove.

1. *Price.* Prices on the coupling rows are climbed roughly (:mod:`tapas_opt.mip.pricing`).
2. *Restrict.* A linear program over the columns that those prices leave in question gives exact prices; columns that
   these prices want are added until none is missing (column generation; Gilmore and Gomory 1961). Whatever was left
   out, pricing all columns gives a true bound.
3. *Round.* A vertex of that program is integral but for about as many blocks as rows are tight. These are solved
   exactly, the others held.
4. *Improve.* HiGHS has the core first, where it is small: the few columns of each block that are most in doubt (Balas
   and Zemel 1980). Beside it CP-SAT has cores of very few columns, one after the other. The gap is a sum over blocks:
   what each one's columns cost above its cheapest at the prices. Blocks that cause most of it are freed together with
   some that share rows with them, and solved exactly, again and again (large neighbourhood search; Shaw 1998), as many
   at once as there are cores.
5. *Prove.* When that finds nothing any more, the core is widened, in the end to all columns that the gap leaves in
   question.

Where the model is many copies of one small unit (alike bins), prices cannot tell the copies apart: it is solved by
patterns of a unit instead (:mod:`tapas_opt.mip.patterns`), from a start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any

import numpy as np

from tapas_opt.mip import cpsat, highs
from tapas_opt.mip.alike import Alike, alike_of
from tapas_opt.mip.kept_rows import bound_with_kept_rows
from tapas_opt.mip.limits import Limits
from tapas_opt.mip.machine import cores
from tapas_opt.mip.model import BoolArray, FloatArray, MipArrays, MipModel
from tapas_opt.mip.neighbourhoods import Core, Look, Neighbourhoods, Way
from tapas_opt.mip.part import Part, part_of
from tapas_opt.mip.patterns import Patterns
from tapas_opt.mip.pricing import Blocks, blocks_of, climbed
from tapas_opt.mip.result import MipResult, MipStatus, Report, proven_status
from tapas_opt.mip.side_by_side import SideBySide
from tapas_opt.mip.trivial import trivial_result

__all__ = ["solve", "warm_up"]

CORE_COLUMNS, CORE_FRAC = 2_000, 0.25
"""A core of at most so many columns comes before neighbourhoods; what of the time that is left any core may take."""

SOFTNESS = (1.0, 1 / 3)
"""Softness of the climb, in typical costs."""

CLIMB_STEPS = 25
CLIMB_FRAC = 0.25
"""Most of the time that rough prices may take."""

WIDTHS = (1.0, 10.0, 100.0, np.inf)
"""Typical costs above its block's least up to which a column is in question; the next where too few are feasible."""

FREED_FRAC, FREED_WIDTH = 0.1, 3.0
"""Where not even all columns of the fractional blocks can be rounded, so many more blocks are freed at once."""

KEPT_FRAC = 0.1
"""Share of the time for the bound of rows that are kept instead of priced."""

ROUNDS = 8
LP_GAP_FRAC = 1e-4
"""Columns are added so many times at most, or until bound and linear program are this near."""

WANTED_FRAC = 1e-3
"""Columns less than this many typical costs above their block's least are wanted by the prices."""

INTEGRAL, FEASIBLE = 1e-6, 1e-6
"""How near to whole a value must be, and by how much (relatively) a row may be broken, as solvers have it."""

PATIENCE = 2
"""So often may each way of choosing neighbourhoods in turn better nothing before the core is widened."""

PROVEN_COLUMNS = 20_000
"""More columns than this are not worth a try at proof, unless it is all that is left."""

PART_S = 1.0
"""A part that takes longer is too large to be worth it."""

FEW_S = 0.25
"""The same for a core of few columns."""

FEW_TAKEN = 20
"""Units that take more than so many on average have too many patterns to go by them."""

PATTERNS_S = 1.0
"""Patterns of alike units are proven for so long between two attempts at a solution."""

PART_NODES = 50
"""So many nodes of its search tree end a part where work is counted instead of time."""

FEW_WORK = 0.2
"""So many deterministic seconds of CP-SAT end a core of few columns then."""


def solve(
    arrays: MipArrays,
    *,
    deadline_s: float | None,
    gap_frac: float = 1e-3,
    seed: int = 0,
    start: FloatArray | None = None,
    rounds: int | None = None,
    report: Report | None = None,
) -> MipResult:
    """Solve a model of blocks; one without blocks, or without the bounds that pricing needs, is left to HiGHS.

    Parameters
    ----------
    deadline_s
        Looked at between steps, each of which is given what is left. None for none.
    start
        A complete solution to start from.
    rounds
        Stop after so many neighbourhoods; 0: once it is rounded. Work is counted then and never time, ``deadline_s``
        included: the same seed gives the same answer on any machine.
    report
        Called, in this thread, whenever the best solution or the bound became better.

    Raises
    ------
    InvalidInput
        A number is NaN or too large for HiGHS, or ``start`` has the wrong length.
    WorkerFailed
        HiGHS ended in an error.
    """
    arrays.require_numbers()
    trivial = trivial_result(arrays)
    if trivial is not None:
        return trivial
    began = time.perf_counter()
    blocks = blocks_of(_capped(arrays, start))
    if len(blocks.size) == 0 or len(blocks.row) == 0 or not blocks.bounded:
        nodes = None if rounds is None else rounds * PART_NODES
        limit_s = deadline_s if rounds is None else None
        return highs.solve(arrays, deadline_s=limit_s, gap_frac=gap_frac, seed=seed, start=start, nodes=nodes)
    until = np.inf if deadline_s is None or rounds is not None else began + deadline_s
    search = _Search(blocks, until, gap_frac, seed, rounds, report)
    search.offer(start)
    search.run()
    return search.result(time.perf_counter() - began)


def warm_up() -> None:
    """Load HiGHS, CP-SAT, SciPy and compiled loops, so that the first real solve does not wait for them."""
    from tapas_opt.mip import kernels  # noqa: PLC0415  numba is slow to import, and only a solve needs it

    highs.warm_up()
    cpsat.warm_up()
    model = MipModel()
    x = model.columns("x", ["a", "b"], upper=1.0, cost=[1.0, 2.0], integer=True)
    model.add(model.rows("one", lower=1.0, upper=1.0), x, 1.0)
    model.add(model.rows("room", upper=1.5), x, [2.0, 1.0])
    climbed(blocks_of(model.arrays()), SOFTNESS, 1, time.perf_counter() + 1.0)
    kernels.warm_up()


def _capped(arrays: MipArrays, start: FloatArray | None) -> MipArrays:
    """Finite upper bounds where cost allows: if nothing costs less than 0, no column costs more than a whole start."""
    open_ended = ~np.isfinite(arrays.upper) & (arrays.cost > 0)
    if start is None or not open_ended.any() or arrays.cost.min() < 0 or arrays.lower.min() < 0:
        return arrays
    most = arrays.objective(start) / np.where(open_ended, arrays.cost, 1.0)
    return replace(arrays, upper=np.where(open_ended, np.maximum(arrays.lower, np.ceil(most)), arrays.upper))


@dataclass(frozen=True, slots=True)
class _Try:
    """A part that is being solved.

    Attributes
    ----------
    best, objective
        What it began from.
    way
        That drew it; for a core whether no better solution stands outside it.
    """

    part: Part
    best: FloatArray
    objective: float
    way: Way | bool


class _Search:
    """The best solution and bound so far, and the steps that better them."""

    def __init__(
        self, blocks: Blocks, until: float, gap_frac: float, seed: int, rounds: int | None, report: Report | None
    ) -> None:
        self.blocks, self.arrays = blocks, blocks.arrays
        self.until, self.gap_frac, self.seed = until, gap_frac, seed
        self.by_work, self.rounds, self.report = rounds is not None, np.inf if rounds is None else rounds, report
        self.random = np.random.default_rng(seed)
        self.best: FloatArray | None = None
        self.objective, self.bound = np.inf, -np.inf
        self.idle = 0
        self._nothing = np.zeros(self.arrays.columns_count)

    def offer(self, values: FloatArray | None) -> None:
        """Keep a solution if it is one, and better."""
        if values is not None and self.arrays.worst_violation(values) <= FEASIBLE:
            objective = self.arrays.objective(values)
            if objective < self.objective:
                self.best, self.objective = values, objective
                self._tell(values)

    def raise_bound(self, bound: float) -> None:
        """Keep a bound if it is better."""
        bound = self.blocks.whole_bound(bound)
        if bound > self.bound:
            self.bound = bound
            self._tell(None)

    def _tell(self, values: FloatArray | None) -> None:
        if self.report is not None:
            self.report(self.objective, min(self.bound, self.objective), values)

    def result(self, solve_s: float) -> MipResult:
        """What was found and proven."""
        if self.best is None:
            status = MipStatus.INFEASIBLE if self.bound == np.inf else MipStatus.NO_SOLUTION
            return MipResult(status, None, None, self.bound, None, solve_s)
        status = proven_status(self.objective, self.bound, self.gap_frac)
        return MipResult(status, self.best, self.objective, min(self.bound, self.objective), None, solve_s)

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.until - time.perf_counter())

    @property
    def done(self) -> bool:
        """Whether the gap asked for is reached, or the time is up."""
        proven = self.best is not None and self.objective - self.bound <= self.gap_frac * abs(self.objective)
        return self.left_s <= 0 or proven

    def run(self) -> None:
        """All five steps, until the gap is small enough or the time is up."""
        alike = None if self.best is None else alike_of(self.blocks, FEW_TAKEN)
        if alike is not None and self.best is not None:
            self._by_patterns(alike, self.best)
        if self.done:
            return
        typical = self.blocks.typical_cost
        softness = tuple(typical * multiple for multiple in SOFTNESS)
        climb = climbed(self.blocks, softness, CLIMB_STEPS, time.perf_counter() + CLIMB_FRAC * self.left_s)
        self.raise_bound(climb.bound)
        relaxed = self._relaxed(climb.price, typical)
        if relaxed is None or self.done:
            return
        values, price = relaxed
        stop = time.perf_counter() + KEPT_FRAC * self.left_s
        limits = Limits(lambda: stop - time.perf_counter(), PART_NODES if self.by_work else None)
        self.raise_bound(bound_with_kept_rows(self.blocks, price, values, limits))
        self._round(values, self.blocks.above_least(price), typical)
        if self.best is not None and self.rounds > 0 and not self.done:
            self._better(price)

    def _better(self, price: FloatArray) -> None:
        """Improve and prove on every core of the machine: a wider core whenever neighbourhoods are idle.

        Where work is counted one runs after the other, so that what is found does not hang on which ends first.
        """
        neighbourhoods, core = Neighbourhoods(self.blocks, price, self.random), Core(self.blocks, price)
        most = CORE_COLUMNS
        with SideBySide[_Try](1 if self.by_work else cores()) as solves:
            while self.best is not None and not self.done and self.rounds > 0:
                if self.idle > PATIENCE * neighbourhoods.count:
                    most, self.idle = PROVEN_COLUMNS, 0
                if most and all(isinstance(one.way, Way) for one in solves.running):
                    drawn = core.drawn(self.best, self.objective, most)
                    most = 0
                else:
                    drawn = None
                self._begin(solves, self.best, *(drawn or neighbourhoods.drawn(self.best)))
                while solves.full and not self.done:
                    for ended in solves.ended():
                        self._hear(neighbourhoods, *ended)

    def _begin(self, solves: SideBySide[_Try], best: FloatArray, free: BoolArray, way: Way | bool) -> None:
        """Begin to solve some columns exactly, from the best solution."""
        part = part_of(self.blocks, free, best)
        self.rounds -= isinstance(way, Way)
        solve, limits = self._solver(way, solves.stop)
        gap_frac, start = self.gap_frac / 4, best[part.column]
        one = _Try(part, best, self.objective, way)
        solves.begin(one, solve, part.arrays, gap_frac=gap_frac, seed=self.seed, start=start, **limits)

    def _solver(self, way: Way | bool, stop: Event) -> tuple[Callable[..., MipResult], dict[str, Any]]:
        """Who solves a part, and how long; CP-SAT's parts are too short to be ended early."""
        if isinstance(way, Way) and way.look is Look.FEW:
            limit_s = self._limit_s(min(FEW_S, self.left_s))
            return cpsat.solve, {"deadline_s": limit_s, "work": FEW_WORK if self.by_work else None}
        limit_s = self._limit_s(min(PART_S, self.left_s) if isinstance(way, Way) else self.left_s * CORE_FRAC)
        nodes = PART_NODES if self.by_work else None
        return partial(highs.solve, stop=stop), {"deadline_s": limit_s, "nodes": nodes}

    def _hear(self, neighbourhoods: Neighbourhoods, one: _Try, outcome: MipResult, took_s: float) -> None:
        """Take what came of a part, in the best solution of now or in the one that it began from."""
        before = self.objective
        if outcome.values is not None and self.best is not None:
            self.offer(one.part.merged(self.best, outcome.values))
            self.offer(one.part.merged(one.best, outcome.values))
        if isinstance(one.way, Way):
            self.idle = 0 if self.objective < before else self.idle + 1
            closed, quick = outcome.status is MipStatus.OPTIMAL, self.by_work or took_s < PART_S / 4
            one.way.learn(before - self.objective, 1.0 if self.by_work else took_s, closed, quick)
        elif one.way:
            self.raise_bound(min(outcome.bound, one.objective))

    def _by_patterns(self, alike: Alike, start: FloatArray) -> None:
        """Units that are alike: their patterns give a bound, then solutions, by dives and by choice in turn."""
        limits = Limits(lambda: self.left_s, PART_NODES if self.by_work else None)
        patterns = Patterns(alike, start, self.seed, limits)
        self.raise_bound(highs.solve(alike.together, deadline_s=self._limit_s(self.left_s), threads=1).bound)
        while not self.done and self.rounds > 0:
            self.rounds -= 1
            patterns.generate(self.left_s / 4)
            for units in (patterns.dive(), patterns.chosen()):
                if units is not None:
                    self.offer(alike.spread(units, self.arrays.columns_count))
            if not self.done:
                self.raise_bound(patterns.bound(self.blocks.whole_bound, PATTERNS_S))

    def _relaxed(self, price: FloatArray, typical: float) -> tuple[FloatArray, FloatArray] | None:
        """The linear program by column generation: its values and prices; None where it has none, or time is up."""
        blocks, nothing = self.blocks, self._nothing
        widths = iter(WIDTHS)
        kept = blocks.is_loose | (blocks.above_least(price) <= next(widths) * typical)
        if self.best is not None:
            kept |= self.best > 0
        found = None
        for _ in range(ROUNDS):
            part = part_of(blocks, kept, nothing)
            program, limit_s = _continuous(part.arrays), self._limit_s(self.left_s)
            outcome = highs.solve(program, deadline_s=limit_s, seed=self.seed, threads=1)
            if outcome.status is MipStatus.INFEASIBLE and not kept.all():
                kept |= blocks.above_least(price) <= next(widths, np.inf) * typical
                continue
            if outcome.values is None or outcome.objective is None or outcome.row_duals is None:
                self.raise_bound(np.inf if outcome.status is MipStatus.INFEASIBLE else self.bound)
                break
            price = blocks.admissible(part.spread(outcome.row_duals, self.arrays.rows_count)[blocks.row])
            self.raise_bound(blocks.bound(price))
            found = part.merged(nothing, outcome.values), price
            wanted = (blocks.above_least(price) <= WANTED_FRAC * typical) & ~kept
            if outcome.objective - self.bound <= LP_GAP_FRAC * abs(outcome.objective) or not wanted.any():
                break
            kept |= wanted
        return found

    def _round(self, relaxed: FloatArray, above: FloatArray, typical: float) -> None:
        """Solve the blocks that are not integral exactly, the others held; over more of their columns if need be."""
        blocks = self.blocks
        freed = blocks.with_any(np.abs(relaxed - np.rint(relaxed)) > INTEGRAL)
        fixed = np.where(blocks.is_loose, relaxed, np.rint(relaxed))
        for width in WIDTHS:
            if self.best is None and self.left_s > 0:
                near = (above <= width * typical) | (relaxed > INTEGRAL) | blocks.lightest
                self._solve_part(self._part(freed, near, fixed), fixed, self.left_s / 4, None, self.gap_frac / 4)
        while self.best is None and self.left_s > 0:
            freed |= self.random.random(len(freed)) < max(FREED_FRAC, freed.mean())
            near = (above <= FREED_WIDTH * typical) | (relaxed > INTEGRAL) | blocks.lightest | freed.all()
            limit_s = self.left_s / (1 if freed.all() else 4)
            outcome = self._solve_part(self._part(freed, near, fixed), fixed, limit_s, None, self.gap_frac / 4)
            if freed.all():
                self.raise_bound(outcome.bound)
                return

    def _part(self, freed: BoolArray, near: BoolArray, fixed: FloatArray) -> Part:
        """Some blocks over their near columns and what loose columns follow; the rest of ``fixed`` is held."""
        return part_of(self.blocks, self.blocks.columns_of(freed, near | (fixed > 0)), fixed)

    def _solve_part(
        self, part: Part, fixed: FloatArray, deadline_s: float, start: FloatArray | None, gap_frac: float
    ) -> MipResult:
        """Offer what HiGHS makes of a part."""
        limit_s, nodes = self._limit_s(deadline_s), PART_NODES if self.by_work else None
        outcome = highs.solve(
            part.arrays, deadline_s=limit_s, gap_frac=gap_frac, seed=self.seed, threads=1, start=start, nodes=nodes
        )
        if outcome.values is not None:
            self.offer(part.merged(fixed, outcome.values))
        return outcome

    def _limit_s(self, limit_s: float) -> float | None:
        """No limit where there is none, and where work is counted."""
        return None if self.by_work or limit_s == np.inf else limit_s


def _continuous(arrays: MipArrays) -> MipArrays:
    return replace(arrays, integer=np.zeros_like(arrays.integer))
