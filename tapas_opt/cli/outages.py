"""``tapas-opt client outages``: elements that will be out of service, for which a running server plans."""

# ruff: noqa: PLC0415  --help stays fast: gRPC and NumPy are imported by the command that needs them

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result
from tapas_opt.errors import InvalidInput

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Elements that will be out of service, for which placements are planned.",
    epilog="Example: tapas-opt client outages list",
)

Address = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the server listens.")]
Timeout = Annotated[float, typer.Option(min=0.01, metavar="SECONDS", help="How long to wait for the answer.")]
Element = Annotated[str, typer.Argument(metavar="KIND:NAME", help="Such as ups:U2, pdu:P3 or ahu:H1.")]

HERE = "127.0.0.1:50051"
HOUR_S = 3600.0


@app.command("list", epilog="Example: tapas-opt client outages list")
def list_(address: Address = HERE, timeout: Timeout = 30.0, as_json: AsJson = False) -> None:
    """What is planned and not over, by its beginning."""
    from tapas_opt.client import Client

    with Client(address, timeout_s=timeout) as client:
        found = [asdict(one) for one in client.snapshot().outages]
    print_result({"outages": found}, as_json, _say)


@app.command(epilog="Example: tapas-opt client outages schedule ups:U2 --start-s 1767600000 --hours 4")
def schedule(
    element: Element,
    start_s: Annotated[float, typer.Option(min=0.0, metavar="SECONDS", help="When it begins, on the server's clock.")],
    hours: Annotated[float, typer.Option(min=0.01, help="How long it lasts.")],
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Plan placements so that they bear it; an outage of the same element is replaced."""
    from tapas_opt.client import Client
    from tapas_opt.domain.failure import Failure, FailureKind, FailureSource

    kind, _, name = element.partition(":")
    if kind not in list(FailureKind) or not name:
        kinds = ", ".join(FailureKind)
        raise InvalidInput.one("outage", "element", f"{element!r}: must be a kind ({kinds}), a colon and a name")
    outage = Failure(
        FailureKind(kind), name, source=FailureSource.PLANNED, started_at_s=start_s, expected_duration_s=hours * HOUR_S
    )
    with Client(address, timeout_s=timeout) as client:
        client.schedule_outage(outage)
    print_result(asdict(outage), as_json, lambda data: console().print(f"planned: {_words(data)}"))


@app.command(epilog="Example: tapas-opt client outages cancel ups:U2")
def cancel(element: Element, address: Address = HERE, timeout: Timeout = 30.0, as_json: AsJson = False) -> None:
    """Plan for it no longer."""
    from tapas_opt.client import Client

    with Client(address, timeout_s=timeout) as client:
        client.cancel_outage(element)
    print_result({"cancelled": element}, as_json, lambda data: console().print(f"cancelled: {element}"))


def _say(data: Mapping[str, Any]) -> None:
    for one in data["outages"]:
        console().print(_words(one))
    if not data["outages"]:
        console().print("no outage is planned")


def _words(outage: Mapping[str, Any]) -> str:
    lasts = outage["expected_duration_s"] / HOUR_S
    return f"{outage['kind']}:{outage['element']} from {outage['started_at_s']:.0f} s for {lasts:g} hours"
