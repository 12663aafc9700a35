"""``tapas-opt history collect``: ask BMCs and PDUs once over Redfish, and keep what they say."""

# ruff: noqa: PLC0415  --help stays fast: what needs httpx is imported by the command that needs it

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from tapas_opt.cli.access import CaFile, User
from tapas_opt.cli.output import AsJson, console, print_result
from tapas_opt.errors import InvalidInput, ServerUnreachable

__all__ = ["collect"]


def collect(
    urls: Annotated[list[str], typer.Argument(metavar="URL...", help="Addresses of BMCs or PDUs, https://node1-bmc.")],
    path: Annotated[Path, typer.Option(metavar="DIR", help="Folder that the documents are added to.")],
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Bearer token; or set TAPAS_REDFISH_TOKEN.")
    ] = None,
    user: User = None,
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its password; or set TAPAS_REDFISH_PASSWORD.")
    ] = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep the Redfish documents of machines as they are now, for `history import --from redfish`.

    Run it every few minutes from a timer: Redfish says what is, not what was. Only reads. A machine that does not
    answer is named and the others are asked; exit code 1 says that one of them did not.
    """
    from tapas_opt.telemetry.http import Credentials, JsonClient
    from tapas_opt.telemetry.redfish_api import fetch_documents

    who = Credentials.of("TAPAS_REDFISH", token_file, user, password_file)
    kept: dict[str, int] = {}
    failed: dict[str, str] = {}
    for url in urls:
        try:
            with JsonClient(url, who, timeout_s=20.0, ca_file=ca_file) as client:
                documents = list(fetch_documents(client))
        except (InvalidInput, ServerUnreachable) as error:
            failed[url] = str(error)
            continue
        _write(path, urlsplit(url).hostname or url, documents)
        kept[url] = len(documents)
    print_result({"folder": str(path), "documents": kept, "failed": failed}, as_json, _say_kept)
    if failed:
        raise typer.Exit(1)


def _write(folder: Path, machine: str, documents: list[dict[str, Any]]) -> None:
    """One file for each machine and time, whole or not there."""
    moment = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
    target = folder / machine / f"{moment}.json"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(documents), encoding="utf-8")
        unfinished.rename(target)
    except OSError as error:
        raise InvalidInput.one("history collect", "--path", f"{target}: cannot be written: {error}") from error


def _say_kept(data: Mapping[str, Any]) -> None:
    out = console()
    for url, count in data["documents"].items():
        out.print(f"{url}: {count} documents")
    for url, error in data["failed"].items():
        out.print(f"{url}: nothing kept: {error}")
    out.print(
        f"Bring them in with: tapas-opt history import --from redfish --path {data['folder']} --site FILE --out DIR"
    )
