"""The pick: which instance takes one request, in constant time, without a solver, a clock or a network.

Draw a few candidates by the plan's shares → filter (serving, not draining, within slack) → score (work waiting, share
left, session) → pick; what was picked counts as pending at once, so that concurrent picks do not herd.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from math import inf
from threading import Lock
from typing import NamedTuple

from tapas_opt.domain.result import Mode
from tapas_opt.errors import InvalidInput, NoInstance, NotFound
from tapas_opt.routing.table import (
    Alias,
    LengthThresholds,
    RoutingTable,
    TableClass,
    request_class_of,
    routing_table,
)

__all__ = [
    "Alias",
    "LengthThresholds",
    "Pick",
    "Picker",
    "RoutingTable",
    "TableClass",
    "request_class_of",
    "routing_table",
]

DRAWS = 2
RETRIES = 4
ELIGIBLE_ENOUGH = 8
"""When draws fail, the endpoint is walked from a random place until so many eligible instances are found."""

STALE_FRAC = 0.9
"""What an instance may take of what it carries once the plan is stale."""

REFUSAL_S_PER_INSTANCE = 1e-5
"""How long "nobody can" is believed, for each instance that was asked: so asking takes a small part of the time."""


class Pick(NamedTuple):
    """Who takes the request.

    Attributes
    ----------
    pending_tokens
        What it counts for; to be given back by `Picker.complete`.
    mode
        ``STALE_SAFE`` when the table is older than it holds for, else the table's.
    """

    instance: str
    request_class: str
    pending_tokens: float
    mode: Mode
    snapshot: str


class _Instance:
    """What is known of an instance between tables.

    Attributes
    ----------
    young, old
        Pending tokens, of the current and the previous period: what is never completed is forgotten after two.
    level, level_at_s
        Tokens given lately, less what it may carry since.
    """

    __slots__ = ("draining", "level", "level_at_s", "old", "turned_at_s", "young")

    def __init__(self) -> None:
        self.young = 0.0
        self.old = 0.0
        self.turned_at_s = 0.0
        self.level = 0.0
        self.level_at_s = 0.0
        self.draining = False


class _Live(NamedTuple):
    """A table and the instances' state in its order; replaced by one assignment."""

    table: RoutingTable
    state: list[_Instance]


class Picker:
    """Picks an instance for each request from the routing table of the moment.

    Parameters
    ----------
    pending_s
        An instance may have so many seconds of what it carries pending (Little's law: rate × time in the system).
    burst_s
        It may get so many seconds of what it carries at once.
    affinity_s
        A session stays with its instance until the wait there is so much longer than elsewhere.
    sessions_kept
        Sessions remembered; the ones used least recently are forgotten first.
    forget_s
        Pending work that nobody completes is forgotten after one to two such periods.

    Notes
    -----
    Safe to call from many threads. Choosing reads without a lock; counting takes one for a few operations and judges
    the instance again under it, so that no instance is ever filled beyond its limits.
    """

    def __init__(
        self,
        table: RoutingTable,
        *,
        pending_s: float = 60.0,
        burst_s: float = 10.0,
        affinity_s: float = 5.0,
        sessions_kept: int = 100_000,
        forget_s: float = 900.0,
    ) -> None:
        self._pending_s = pending_s
        self._burst_s = burst_s
        self._affinity_s = affinity_s
        self._sessions_kept = sessions_kept
        self._forget_s = forget_s
        self._lock = Lock()
        self._known: dict[str, _Instance] = {}
        self._sessions: OrderedDict[str, str] = OrderedDict()
        self._refused: dict[str, tuple[float, float, str]] = {}
        self.replace(table)

    @property
    def table(self) -> RoutingTable:
        """The table of the moment."""
        return self._live.table

    def replace(self, table: RoutingTable) -> None:
        """Use another table from the next pick on; what is known of instances that stay is kept."""
        with self._lock:
            gone = [n for n, s in self._known.items() if n not in table.number and not (s.young or s.old or s.draining)]
            for name in gone:
                del self._known[name]
            state = [self._known.setdefault(name, _Instance()) for name in table.instances]
            self._refused.clear()
            self._live = _Live(table, state)

    def pick(
        self, request_class: str, tokens: float, *, now_s: float, rng: random.Random, session: str | None = None
    ) -> Pick:
        """Choose an instance for a request and count its tokens as pending there.

        Parameters
        ----------
        tokens
            Prompt and expected output tokens.
        now_s
            On any clock that does not go backwards, the one of the table's ``created_at_s``.
        session
            Requests of one session go to one instance where its load allows it.

        Raises
        ------
        InvalidInput
            ``tokens`` is negative, infinite or not a number: it would stay in the counts.
        NotFound
            The table has no such request class.
        NoInstance
            No instance of the endpoint may take the request now; the message counts why.
        """
        _require_count(tokens)
        live = self._live
        table = live.table
        found = table.classes.get(request_class)
        if found is None:
            raise NotFound(
                "request class", request_class, f"snapshot {table.snapshot} has {len(table.classes)} classes"
            )
        stale = now_s - table.created_at_s > table.stale_after_s
        frac = STALE_FRAC if stale else 1.0
        work = tokens * found.work
        chosen = self._drawn(live, found, work, frac, now_s, rng, session)
        if chosen < 0:
            chosen = self._walked(live, found.endpoint, work, frac, now_s, rng)
        name = table.instances[chosen]
        if session is not None:
            self._remember(session, name)
        return Pick(name, request_class, work, Mode.STALE_SAFE if stale else table.mode, table.snapshot)

    def complete(self, instance: str, tokens: float) -> None:
        """A request of so many `Pick.pending_tokens` has ended at an instance, well or badly."""
        _require_count(tokens)
        with self._lock:
            state = self._known.get(instance)
            if state is None:
                return
            from_old = min(state.old, tokens)
            state.old -= from_old
            state.young = max(0.0, state.young - (tokens - from_old))

    def drain(self, instance: str) -> None:
        """Give an instance no more requests, whatever the table says, until `serve`."""
        with self._lock:
            self._named(instance).draining = True

    def serve(self, instance: str) -> None:
        """Give an instance requests again as far as the table says."""
        with self._lock:
            self._named(instance).draining = False
            self._refused.clear()

    def _named(self, instance: str) -> _Instance:
        if instance not in self._known:
            raise NotFound("instance", instance, f"snapshot {self.table.snapshot} has {len(self._known)} instances")
        return self._known[instance]

    def pending_tokens(self, instance: str) -> float:
        """What an instance was given and has not completed."""
        state = self._known.get(instance)
        return 0.0 if state is None else state.young + state.old

    def _drawn(
        self,
        live: _Live,
        found: TableClass,
        work: float,
        frac: float,
        now_s: float,
        rng: random.Random,
        session: str | None,
    ) -> int:
        """The best of a few candidates drawn by share, counted; -1 when none of several tries holds."""
        if found.alias is None:
            return -1
        home = -1 if session is None else self._home(live.table, session, found.endpoint)
        draw = found.alias.draw
        for _ in range(RETRIES):
            best, least = -1, 0.0
            if home >= 0 and self._fits(live, home, work, frac, now_s):
                best, least = home, self._wait_s(live, home, now_s) - self._affinity_s
            for _ in range(DRAWS):
                i = draw(rng)
                if i != best and self._fits(live, i, work, frac, now_s):
                    wait_s = self._wait_s(live, i, now_s)
                    if best < 0 or wait_s < least:
                        best, least = i, wait_s
            if best >= 0 and self._count(live, best, work, frac, now_s):
                return best
        return -1

    def _walked(self, live: _Live, endpoint: str, work: float, frac: float, now_s: float, rng: random.Random) -> int:
        """The least loaded of the first eligible instances from a random place on, counted."""
        refused = self._refused.get(endpoint)
        if refused is not None and now_s < refused[0] and work >= refused[1]:
            raise NoInstance(refused[2])
        members = live.table.members[endpoint]
        start = rng.randrange(len(members)) if members else 0
        eligible = []
        for k in range(len(members)):
            i = members[k - len(members) + start]
            if self._fits(live, i, work, frac, now_s):
                eligible.append((self._wait_s(live, i, now_s), i))
                if len(eligible) == ELIGIBLE_ENOUGH:
                    break
        for _, i in sorted(eligible):
            if self._count(live, i, work, frac, now_s):
                return i
        reason = self._reason(live, endpoint, work, frac, now_s)
        self._refused[endpoint] = (now_s + REFUSAL_S_PER_INSTANCE * len(members), work, reason)
        raise NoInstance(reason)

    def _fits(self, live: _Live, i: int, work: float, frac: float, now_s: float) -> bool:
        """Serving, not draining, and within slack; an idle instance takes a request of any size."""
        state = live.state[i]
        carries = live.table.carries[i] * frac
        if carries <= 0.0 or state.draining:
            return False
        pending = self._pending(state, now_s)
        if pending > 0.0 and pending + work > carries * self._pending_s:
            return False
        level = state.level - (now_s - state.level_at_s) * carries
        return level <= 0.0 or level + work <= carries * self._burst_s

    def _wait_s(self, live: _Live, i: int, now_s: float) -> float:
        """Seconds of planned work that wait: pending, and given lately beyond what it carries."""
        state = live.state[i]
        level = state.level - (now_s - state.level_at_s) * live.table.carries[i]
        return (self._pending(state, now_s) + (level if level > 0.0 else 0.0)) / live.table.planned[i]

    def _pending(self, state: _Instance, now_s: float) -> float:
        """Tokens given and not completed, without those that are due to be forgotten."""
        age_s = now_s - state.turned_at_s
        if age_s <= self._forget_s:
            return state.young + state.old
        return state.young if age_s <= 2 * self._forget_s else 0.0

    def _count(self, live: _Live, i: int, work: float, frac: float, now_s: float) -> bool:
        """Count the work if it still fits, which another thread may have changed."""
        with self._lock:
            if not self._fits(live, i, work, frac, now_s):
                return False
            state = live.state[i]
            if now_s - state.turned_at_s > self._forget_s:
                state.old, state.young, state.turned_at_s = self._pending(state, now_s), 0.0, now_s
            state.young += work
            level = state.level - (now_s - state.level_at_s) * live.table.carries[i] * frac
            state.level = work + (level if level > 0.0 else 0.0)
            state.level_at_s = now_s
            return True

    def _home(self, table: RoutingTable, session: str, endpoint: str) -> int:
        i = table.number.get(self._sessions.get(session, ""), -1)
        return i if i >= 0 and table.endpoint_of[i] == endpoint else -1

    def _remember(self, session: str, instance: str) -> None:
        with self._lock:
            self._sessions[session] = instance
            self._sessions.move_to_end(session)
            if len(self._sessions) > self._sessions_kept:
                self._sessions.popitem(last=False)

    def _reason(self, live: _Live, endpoint: str, work: float, frac: float, now_s: float) -> str:
        why = Counter(self._why(live, i, work, frac, now_s) for i in live.table.members[endpoint])
        if not why:
            return f"endpoint {endpoint} has no instance in snapshot {live.table.snapshot}"
        counted = ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))
        return f"endpoint {endpoint}: none of {why.total()} instances may take {work:,.0f} tokens now: {counted}"

    def _why(self, live: _Live, i: int, work: float, frac: float, now_s: float) -> str:
        state, carries = live.state[i], live.table.carries[i] * frac
        if state.draining:
            return "draining"
        if carries <= 0.0:
            return "not serving"
        pending = self._pending(state, now_s)
        if pending > 0.0 and pending + work > carries * self._pending_s:
            return "with too much pending"
        return "at the rate they carry" if not self._fits(live, i, work, frac, now_s) else "just freed"


def _require_count(tokens: float) -> None:
    if not 0.0 <= tokens < inf:
        raise InvalidInput.one("request", "tokens", f"{tokens}; must be a finite number of at least 0")
