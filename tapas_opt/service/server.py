"""The server: bind, load, serve, keep up, stop."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tapas_opt.control.controller import Controller, Settings
from tapas_opt.control.forecast import Profiles
from tapas_opt.control.recorder import KeptWithin, Met, Recorder, unrecorded
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.domain.site_file import read_site
from tapas_opt.errors import Conflict, InvalidInput, JournalFailed, TapasError
from tapas_opt.learn.models import LearnedModels
from tapas_opt.mip.worker import Worker, Workers
from tapas_opt.service.admission import Admission, Limits
from tapas_opt.service.clock import Clock, SystemClock, TelemetryClock
from tapas_opt.service.core import Core
from tapas_opt.service.ledger import Ledger, batches, first_site
from tapas_opt.service.loops import Loop, keep_up, plan_ahead
from tapas_opt.service.servicers import SERVICES, add_servicers
from tapas_opt.service.tracking_file import TrackingFile, tracking_path
from tapas_opt.solve import solver_workers, warm_up_loops
from tapas_opt.state.journal import Journal, journal_url

__all__ = ["Options", "Server", "load", "run"]

_LOG = logging.getLogger(__name__)

LARGEST_MESSAGE_BYTES = 16 * 2**20
DRAIN_S = 10.0
"""How long calls under way may take to end once the server was told to stop."""

PLANNING_REST = 4.0
"""Planning ahead takes a fifth of a core at most."""

WARM_UP_S = 20.0
"""At most so long is waited for a solver before serving without it: greedy needs none."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is set up.

    Attributes
    ----------
    host, port
        Where to listen; port 0 takes any that is free.
    any_address
        Listen without encryption on an address that other machines reach; has to be asked for in so many words.
    site, site_given
        Site file, and whether it was asked for: then a journal about another site is refused.
    state
        File or URL of the journal.
    telemetry_clock
        Time is that of the newest telemetry.
    deadline_s
        Of a call that brings none.
    settings
        Of decisions.
    record_problems, record_most
        Folder in which the newest problems are kept, and how many of each kind; None keeps none.
    """

    site: Path
    models: Path
    profiles: Path
    state: str
    host: str = "127.0.0.1"
    port: int = 50051
    any_address: bool = False
    site_given: bool = False
    telemetry_clock: bool = False
    deadline_s: float = 10.0
    settings: Settings = field(default_factory=Settings)
    limits: Limits = field(default_factory=Limits)
    record_problems: Path | None = None
    record_most: int = 50


class Server:
    """A gRPC server that answers health checks from the start, and everything else once it is given a core."""

    def __init__(self, options: Options) -> None:
        _require_private(options.host, options.any_address)
        self._core: Core | None = None
        self._admission = Admission(options.limits)
        self._grpc = grpc.server(
            self._admission.pools["quick"],
            interceptors=[self._admission],
            maximum_concurrent_rpcs=self._admission.most_calls,
            options=[
                ("grpc.so_reuseport", 0),  # two servers would share a port in silence
                ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
                ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
            ],
        )
        add_servicers(self._grpc, self._ready_core)
        self._health = health.HealthServicer(
            experimental_non_blocking=True, experimental_thread_pool=self._admission.refusals
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        reflection.enable_server_reflection([*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME], self._grpc)
        self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        self.address = _bound(self._grpc, options.host, options.port)

    def start(self) -> None:
        """Answer health checks; everything else is told to wait."""
        self._grpc.start()

    def serve(self, core: Core) -> None:
        """Answer everything from now on."""
        self._core = core
        self._admission.open = True
        self._say(health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Say NOT_SERVING, let calls under way end, and stop."""
        self._health.enter_graceful_shutdown()
        if self._core is not None:
            self._core.controller.news.close()  # or streams would hold the server up
        self._grpc.stop(DRAIN_S).wait()
        self._admission.close()

    def _ready_core(self) -> Core:
        assert self._core is not None  # admission lets nobody in before
        return self._core

    def _say(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *SERVICES):
            self._health.set(name, status)


def load(
    options: Options,
    journal: Journal,
    changed: Callable[[], None],
    workers: Workers | None = None,
    urgent_workers: Workers | None = None,
    met: Met = unrecorded,
) -> Core:
    """Bring the journal's fleet back, or begin one with the site file.

    Raises
    ------
    InvalidInput
        A file is wrong, or the models do not cover the site.
    Conflict
        The journal is about another site than the one asked for.
    JournalFailed
        The journal is damaged.
    """
    site = first_site(journal)
    file_site = read_site(options.site) if site is None or options.site_given else None
    models = LearnedModels.load(options.models)
    profiles = Profiles(read_profiles(options.profiles))
    begun_with = site or file_site
    assert begun_with is not None
    controller = Controller(
        begun_with,
        models,
        profiles,
        workers=workers,
        urgent_workers=urgent_workers,
        settings=options.settings,
        met=met,
    )
    newest_s = 0.0
    for entry, events in batches(journal):
        try:
            controller.apply(events)
        except (TapasError, KeyError) as error:
            what = f"entry {entry.sequence} ({entry.method}) does not fit what came before it: {error}"
            raise JournalFailed(f"the journal {journal.name} contradicts itself: {what}") from error
        newest_s = max(newest_s, entry.recorded_at_s)
    if file_site is not None and site is not None and controller.fleet.topology.site != file_site:
        raise Conflict(
            f"the journal {journal.name} is about another site than {options.site}; change a running site with "
            "ApplySite, or begin a new journal with --state"
        )
    clock: Clock = TelemetryClock(newest_s) if options.telemetry_clock else SystemClock()
    ledger = Ledger(journal, controller, clock)
    if site is None:
        ledger.start(begun_with)
    tracking = TrackingFile(tracking_path(options.state))
    tracking.read(controller)
    return Core(controller, ledger, clock, options.deadline_s, changed, tracking)


def run(options: Options, ready: Callable[[str, Core], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``ready`` is called with the address once everything is loaded."""
    with _stop_signals() as told:
        server = Server(options)
        server.start()
        try:
            with solver_workers() as workers, solver_workers() as urgent_workers, _recording(options) as met:
                _serve(options, server, workers, urgent_workers, met, told, ready)
        finally:
            server.stop()


@contextmanager
def _stop_signals() -> Iterator[socket.socket]:
    """A socket that can be read from once SIGTERM or SIGINT has come.

    A handler runs in the main thread alone, and a main thread that waits for a lock sleeps on when another thread is
    the one that is interrupted. Whichever thread it is, it writes to this socket.
    """
    told, tell = socket.socketpair()
    tell.setblocking(False)
    numbers = (signal.SIGTERM, signal.SIGINT)
    with told, tell:
        before = [signal.signal(number, _nothing_more) for number in numbers]
        written_before = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
        try:
            yield told
        finally:
            signal.set_wakeup_fd(written_before)
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def _nothing_more(_number: int, _frame: FrameType | None) -> None:
    """The handler that a signal needs so that it is written to the socket."""


@contextmanager
def _recording(options: Options) -> Iterator[Met]:
    """What is told of problems: a recorder, where a folder is given."""
    if options.record_problems is None:
        yield unrecorded
        return
    with Recorder(options.record_problems, KeptWithin(count=options.record_most)) as recorder:
        yield recorder.offer


def _serve(
    options: Options,
    server: Server,
    workers: Workers,
    urgent_workers: Workers,
    met: Met,
    told_to_stop: socket.socket,
    ready: Callable[[str, Core], None],
) -> None:
    journal = Journal(journal_url(options.state))
    cores: list[Core] = []
    loop = Loop("control", lambda: keep_up(cores[0]))
    planning = Loop("planning", lambda: plan_ahead(cores[0]), rest=PLANNING_REST)
    try:
        warm_up_loops()  # before the processes that load what is compiled here
        starting = [each["highs"] for each in (workers, urgent_workers)]  # while the journal is read
        core = load(options, journal, loop.wake, workers, urgent_workers, met)
        cores.append(core)
        _wait_until_warm(starting)
        keep_up(core)
        loop.start()
        planning.start()
        server.serve(core)
        ready(server.address, core)
        told_to_stop.recv(1)
        server.stop()
        planning.stop()
        loop.stop()
        core.tracking.write(core.controller)
    finally:
        journal.close()


def _wait_until_warm(starting: Sequence[Worker]) -> None:
    """The first decision should not wait for its solver to start."""
    until = time.monotonic() + WARM_UP_S
    for worker in starting:
        worker.wait_until_ready(max(0.0, until - time.monotonic()))


def _require_private(host: str, any_address: bool) -> None:
    try:
        private = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        private = False
    if not private and not any_address:
        raise InvalidInput.one(
            "serve",
            "--address",
            f"{host!r} is reachable from other machines, and calls are neither encrypted nor authenticated; serve on "
            "127.0.0.1, or say --insecure-any-address if the network is yours alone",
        )


def _bound(server: grpc.Server, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    try:
        taken = server.add_insecure_port(f"{shown}:{port}")
    except RuntimeError as error:
        what = f"{shown}:{port} cannot be listened on: it is in use, or not of this machine; --port 0 takes a free one"
        raise InvalidInput.one("serve", "--port", what) from error
    return f"{shown}:{taken}"
