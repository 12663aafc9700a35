"""``tapas-opt client reservations``: servers that a running server keeps back."""

# ruff: noqa: PLC0415  --help stays fast: gRPC and NumPy are imported by the command that needs them

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Servers that are kept back, for a tenant or for failover.",
    epilog="Example: tapas-opt client reservations list",
)

Address = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the server listens.")]
Timeout = Annotated[float, typer.Option(min=0.01, metavar="SECONDS", help="How long to wait for the answer.")]
Name = Annotated[str, typer.Argument(help="Name of the reservation.")]

HERE = "127.0.0.1:50051"


@app.command("list", epilog="Example: tapas-opt client reservations list")
def list_(address: Address = HERE, timeout: Timeout = 30.0, as_json: AsJson = False) -> None:
    """What is kept back, and on how much of it its tenant runs VMs."""
    from tapas_opt.client import Client

    with Client(address, timeout_s=timeout) as client:
        found = [asdict(one) for one in client.reservations()]
    print_result({"reservations": found}, as_json, _say)


@app.command(epilog="Example: tapas-opt client reservations put acme-1 --hardware dgx-a100 --servers 4 --tenant acme")
def put(
    name: Name,
    hardware: Annotated[str, typer.Option(help="An entry of the site's hardware table.")],
    servers: Annotated[int, typer.Option(min=1, help="How many whole servers.")],
    tenant: Annotated[str | None, typer.Option(help="To whom they are promised; without, free for failover.")] = None,
    row: Annotated[str | None, typer.Option(help="In this row.")] = None,
    room: Annotated[str | None, typer.Option(help="In this room; with neither, anywhere on the site.")] = None,
    address: Address = HERE,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Keep servers back; a reservation of the same name is replaced."""
    from tapas_opt.client import Client
    from tapas_opt.domain.workload import Reservation

    made = Reservation(name, hardware, servers, tenant, row, room)
    with Client(address, timeout_s=timeout) as client:
        client.put_reservation(made)
    print_result(asdict(made), as_json, lambda data: console().print(f"kept back: {_words(data)}"))


@app.command(epilog="Example: tapas-opt client reservations remove acme-1")
def remove(name: Name, address: Address = HERE, timeout: Timeout = 30.0, as_json: AsJson = False) -> None:
    """Keep these servers back no longer."""
    from tapas_opt.client import Client

    with Client(address, timeout_s=timeout) as client:
        client.remove_reservation(name)
    print_result({"removed": name}, as_json, lambda data: console().print(f"removed: {name}"))


def _say(data: Mapping[str, Any]) -> None:
    for one in data["reservations"]:
        used = f", {one['used']} in use" if one["reservation"]["tenant"] else ""
        console().print(f"{one['reservation']['name']}: {_words(one['reservation'])}{used}")
    if not data["reservations"]:
        console().print("nothing is kept back")


def _words(reservation: Mapping[str, Any]) -> str:
    where = reservation["row"] or reservation["room"] or "the site"
    whose = f"for {reservation['tenant']}" if reservation["tenant"] else "for failover"
    return f"{reservation['servers']} {reservation['hardware']} in {where} {whose}"
