"""The gRPC server: bind, answer health checks, and everything else once there is a core."""

from __future__ import annotations

import ipaddress

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tapas_opt.errors import InvalidInput
from tapas_opt.service.admission import Admission
from tapas_opt.service.core import Core
from tapas_opt.service.options import Options
from tapas_opt.service.servicers import SERVICES, add_servicers

__all__ = ["Server"]

LARGEST_MESSAGE_BYTES = 16 * 2**20
DRAIN_S = 10.0
"""How long calls under way may take to end once the server was told to stop."""


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
