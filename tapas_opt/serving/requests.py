"""Every request one by one: a discrete-event run of an engine with continuous batching (simpy)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.serving.pace import Pace

if TYPE_CHECKING:
    import simpy

__all__ = ["RequestRun", "serve_requests"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RequestRun:
    """What happened to each request, in order of arrival.

    Attributes
    ----------
    ttft_s, tbt_s
        ``[n]`` time to first token, and mean time between tokens; NaN where a request was never admitted (both) or
        had a single token (tbt_s).
    gap_s, gap_tokens
        ``[k]`` length of each iteration, and how many sequences waited for it with their next token.
    gap_from_s, gap_read_s
        ``[k]`` when each iteration began, and how much of it prompt tokens took.
    """

    ttft_s: FloatArray
    tbt_s: FloatArray
    gap_s: FloatArray
    gap_tokens: FloatArray
    gap_from_s: FloatArray
    gap_read_s: FloatArray

    @property
    def read_s(self) -> float:
        """Time that prompt tokens took."""
        return float(self.gap_read_s.sum())

    @property
    def busy_s(self) -> float:
        """Time that iterations took in all."""
        return float(self.gap_s.sum())

    @property
    def until_s(self) -> float:
        """When the last iteration ended."""
        return float((self.gap_from_s + self.gap_s).max(initial=0.0))

    @property
    def unserved(self) -> int:
        """Requests that gave up, or were too long for the memory."""
        return int(np.isnan(self.ttft_s).sum())

    def gap_quantile_s(self, quantile: ArrayLike) -> FloatArray:
        """Quantiles of the time between two tokens, over all tokens."""
        order = np.argsort(self.gap_s)
        passed = np.cumsum(self.gap_tokens[order])
        at = np.searchsorted(passed, np.asarray(quantile) * passed[-1])
        return np.asarray(self.gap_s[order][np.minimum(at, len(order) - 1)])

    def by_second(self) -> tuple[FloatArray, FloatArray]:
        """``[T]`` share of each whole second in which prompt tokens were read, and of what else iterations did.

        An iteration counts as reading first.
        """
        parts_s = np.stack([self.gap_read_s, self.gap_s - self.gap_read_s])
        moments_s = np.stack([self.gap_from_s, self.gap_from_s + self.gap_read_s, self.gap_from_s + self.gap_s], axis=1)
        seconds = np.arange(np.floor(self.until_s) + 1)
        shares = []
        for part in (0, 1):
            done_s = np.zeros(moments_s.shape)
            done_s[:, part + 1 :] = parts_s[part][:, None]
            done_s[1:] += np.cumsum(parts_s[part])[:-1, None]
            shares.append(np.diff(np.interp(seconds, moments_s.ravel(), done_s.ravel(), left=0.0)))
        return shares[0], shares[1]


def serve_requests(
    pace: Pace,
    arrival_s: ArrayLike,
    prompt_tokens: ArrayLike,
    output_tokens: ArrayLike,
    patience_s: float = float("inf"),
) -> RequestRun:
    """Serve requests on one replica.

    First come, first served into the batch: a request is admitted when a place and memory for all of its tokens are
    free (so nothing is ever preempted). Each iteration decodes a token of every sequence whose prompt has been read,
    and reads up to ``chunk_tokens`` prompt tokens in order of admission; the one that reads a prompt's last gives its
    first token. Who was not admitted within ``patience_s`` leaves; who asks for more than the memory holds is refused.

    Raises
    ------
    InvalidInput
        Arrivals out of order, lengths below 1, or arrays of different lengths; each is named.
    """
    import simpy  # noqa: PLC0415  only who looks at single requests needs it

    arrivals, prompts, outputs = (np.asarray(x, dtype=np.float64) for x in (arrival_s, prompt_tokens, output_tokens))
    _require(arrivals, prompts, outputs)
    environment = simpy.Environment()
    engine = _Engine(environment, pace, arrivals, prompts, outputs, patience_s)
    environment.process(engine.arrive())
    environment.process(engine.iterate())
    environment.run()
    return engine.result()


def _require(arrivals: FloatArray, prompts: FloatArray, outputs: FloatArray) -> None:
    faults = []
    if not (np.isfinite(arrivals).all() and (np.diff(arrivals) >= 0).all()):
        faults.append(Fault("arrival_s", "must be finite and never earlier than the one before"))
    for name, lengths in (("prompt_tokens", prompts), ("output_tokens", outputs)):
        if lengths.shape != arrivals.shape:
            faults.append(Fault(name, f"are {lengths.size}; must be as many as arrivals, {arrivals.size}"))
        if not (lengths >= 1).all():
            faults.append(Fault(name, "must be at least 1"))
    if faults:
        raise InvalidInput("requests", faults)


@dataclass(eq=False)
class _Engine:
    """One replica: requests wait, are read, decode; each by its number in order of arrival.

    Sequences are not touched in each iteration: one that begins to decode is entered under the iteration in which it
    will end, and all that decode grow by a token together.
    """

    environment: simpy.Environment
    pace: Pace
    arrivals: FloatArray
    prompts: FloatArray
    outputs: FloatArray
    patience_s: float
    waiting: deque[int] = field(default_factory=deque)
    reading: deque[tuple[int, float]] = field(default_factory=deque)
    ending: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    decoding: int = 0
    context_tokens: float = 0.0
    held_tokens: float = 0.0
    sleeping: simpy.Event | None = None

    def __post_init__(self) -> None:
        self.first_s = np.full(self.arrivals.size, np.nan)
        self.last_s = np.full(self.arrivals.size, np.nan)
        self.gaps: list[tuple[float, int, float, float]] = []

    def arrive(self) -> Generator[simpy.Event, Any, None]:
        for number, at_s in enumerate(self.arrivals.tolist()):
            yield self.environment.timeout(max(at_s - self.environment.now, 0.0))
            self.waiting.append(number)
            if self.sleeping is not None:
                self.sleeping.succeed()
                self.sleeping = None

    def iterate(self) -> Generator[simpy.Event, Any, None]:
        while True:
            self._admit()
            if not self.reading and not self.decoding:
                self.sleeping = self.environment.event()
                yield self.sleeping
                continue
            tokens, read = self._chunk()
            took_s = float(self.pace.iteration_s(tokens, self.context_tokens))
            began_s = self.environment.now
            yield self.environment.timeout(took_s)
            self.gaps.append((took_s, self.decoding, began_s, self.pace.prefill_s_per_token * tokens))
            self._decode()
            self._begin(read)

    def _admit(self) -> None:
        """Let the first in the queue into the batch while there is a place and memory."""
        while self.waiting:
            first = self.waiting[0]
            kept = float(self.prompts[first] + self.outputs[first])
            gave_up = self.environment.now - self.arrivals[first] > self.patience_s
            if not gave_up and kept <= self.pace.kv_tokens:
                in_batch = self.decoding + len(self.reading)
                if in_batch >= self.pace.batch or self.held_tokens + kept > self.pace.kv_tokens:
                    return
                self.held_tokens += kept
                self.reading.append((first, float(self.prompts[first])))
            self.waiting.popleft()

    def _chunk(self) -> tuple[float, list[int]]:
        """Prompt tokens of the next iteration, and whose prompts end in it."""
        room, ended = float(self.pace.chunk_tokens), []
        while self.reading and room > 0:
            number, unread = self.reading.popleft()
            taken = min(unread, room)
            room -= taken
            if taken < unread:
                self.reading.appendleft((number, unread - taken))
            else:
                ended.append(number)
        return self.pace.chunk_tokens - room, ended

    def _decode(self) -> None:
        self.context_tokens += self.decoding
        for number in self.ending.pop(len(self.gaps), ()):
            self.decoding -= 1
            self._end(number, self.prompts[number] + self.outputs[number] - 1.0)

    def _begin(self, read: list[int]) -> None:
        """These have their first token now."""
        for number in read:
            self.first_s[number] = self.environment.now
            self.context_tokens += float(self.prompts[number])
            left = int(self.outputs[number]) - 1
            if left == 0:
                self._end(number, self.prompts[number])
            else:
                self.decoding += 1
                self.ending[len(self.gaps) + left].append(number)

    def _end(self, number: int, context_tokens: float) -> None:
        self.last_s[number] = self.environment.now
        self.context_tokens -= float(context_tokens)
        self.held_tokens -= float(self.prompts[number] + self.outputs[number])

    def result(self) -> RequestRun:
        gaps = np.array(self.gaps).reshape(-1, 4)
        decoded = np.where(self.outputs > 1, self.outputs - 1.0, np.nan)
        return RequestRun(
            ttft_s=self.first_s - self.arrivals,
            tbt_s=(self.last_s - self.first_s) / decoded,
            gap_s=gaps[:, 0],
            gap_tokens=gaps[:, 1],
            gap_from_s=gaps[:, 2],
            gap_read_s=gaps[:, 3],
        )
