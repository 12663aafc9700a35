"""Who gets in: bounded queues for each kind of call, so that Route stays quick while solvers are busy.

Work that waits in a bounded queue is served late but surely; beyond it a call is told at once to come back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_status import rpc_status

from tapas_opt.service.status import NOT_YET, OVERLOADED

__all__ = ["Admission", "BoundedPool", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Threads, and calls that may wait for one, of each kind of call.

    Attributes
    ----------
    work
        Commands and plans, which may solve.
    urgent
        What an emergency needs, which must not wait behind the former.
    quick
        Route and queries.
    streams
        Client streams hold a thread each for as long as they last.
    watches
        So do server streams, which last for as long as somebody watches.
    """

    work: tuple[int, int] = (4, 64)
    urgent: tuple[int, int] = (4, 64)
    quick: tuple[int, int] = (8, 256)
    streams: tuple[int, int] = (16, 0)
    watches: tuple[int, int] = (64, 0)


_REFUSALS_WAITING = 1_000
_URGENT = ("ReportFailure", "ClearFailure", "ApplyPlan", "AcknowledgeConfiguration", "SetMode", "SetServerState")
_QUICK = ("Route", "Get", "List", "RankServers")
_STREAMS = ("PushTelemetry", "CompleteRequests")


class BoundedPool(ThreadPoolExecutor):
    """A thread pool that knows when it has all the work that it may hold."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        super().__init__(threads, thread_name_prefix=f"tapas-opt-{name}")
        self._most = threads + waiting
        self._held = 0
        self._count = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether a call must be refused."""
        return self._held >= self._most

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take a call on, whether full or not: the caller asks first."""
        with self._count:
            self._held += 1
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(self._let_go)
        return future

    def _let_go(self, _: Future[Any]) -> None:
        with self._count:
            self._held -= 1


@dataclass
class Admission(grpc.ServerInterceptor):
    """Gives each call the pool of its kind, or refuses it. gRPC asks on one thread, so that no two calls race."""

    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.open = False
        self.pools: Mapping[str, BoundedPool] = {
            "work": BoundedPool("work", *self.limits.work),
            "urgent": BoundedPool("urgent", *self.limits.urgent),
            "quick": BoundedPool("quick", *self.limits.quick),
            "streams": BoundedPool("streams", *self.limits.streams),
            "watches": BoundedPool("watches", *self.limits.watches),
        }
        self.refusals = BoundedPool("refusals", 1, _REFUSALS_WAITING)
        self._known: dict[str, Any] = {}

    @property
    def most_calls(self) -> int:
        """More at once than this are cut off by gRPC itself, without a reason."""
        limits = self.limits
        kinds = (limits.work, limits.urgent, limits.quick, limits.streams, limits.watches)
        return sum(sum(pair) for pair in kinds) + _REFUSALS_WAITING

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Choose the pool that the call's handler runs in."""
        method: str = handler_call_details.method
        handler = continuation(handler_call_details)
        if handler is None or not method.startswith("/tapas_opt."):
            return handler
        if not self.open:
            return self._refusal(handler, NOT_YET)
        pool = self.pools[_kind(method)]
        if pool.full:
            return self._refusal(handler, OVERLOADED)
        if method not in self._known:
            self._known[method] = _in_pool(handler, pool)
        return self._known[method]

    def close(self) -> None:
        """End the pools' threads once they are idle."""
        for pool in (*self.pools.values(), self.refusals):
            pool.shutdown(wait=False)

    def _refusal(self, handler: Any, status: Any) -> Any:
        def refuse(_request: Any, context: grpc.ServicerContext) -> Any:
            context.abort_with_status(rpc_status.to_status(status))

        refuse.experimental_thread_pool = self.refusals  # type: ignore[attr-defined]
        return _like(handler, refuse)


def _kind(method: str) -> str:
    name = method.rpartition("/")[2]
    if name in _STREAMS:
        return "streams"
    if name in _URGENT:
        return "urgent"
    if name.startswith("Watch"):
        return "watches"
    return "quick" if name.startswith(_QUICK) else "work"


def _in_pool(handler: Any, pool: BoundedPool) -> Any:
    """Return the same handler, run by another pool: gRPC looks for an attribute of the function."""
    inner = handler.stream_unary or handler.unary_stream or handler.unary_unary

    def behaviour(request: Any, context: grpc.ServicerContext) -> Any:
        return inner(request, context)

    behaviour.experimental_thread_pool = pool  # type: ignore[attr-defined]
    return _like(handler, behaviour)


def _like(handler: Any, behaviour: Callable[..., Any]) -> Any:
    make = grpc.unary_unary_rpc_method_handler
    if handler.request_streaming:
        make = grpc.stream_unary_rpc_method_handler
    elif handler.response_streaming:
        make = grpc.unary_stream_rpc_method_handler
    return make(behaviour, handler.request_deserializer, handler.response_serializer)
