"""``tapas-opt history import``: bring history in from Prometheus, Redfish documents, CSV or parquet files."""

# ruff: noqa: PLC0415  --help stays fast: what needs NumPy is imported by the command that needs it

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapas_opt.cli.access import CaFile, User
from tapas_opt.cli.history_import_view import keep, say_imported, summary
from tapas_opt.cli.output import AsJson, print_result
from tapas_opt.cli.progress import bar
from tapas_opt.errors import Fault, InvalidInput

if TYPE_CHECKING:
    from tapas_opt.domain.topology import Topology
    from tapas_opt.telemetry.importing import Imported

__all__ = ["Source", "import_"]

_GPU_SLOTS_AT_ONCE = 5_000_000
"""GPUs times slots of one part, so that memory stays within a few hundred MB."""


_DAY_S = 86_400


class Source(StrEnum):
    """Where history comes from."""

    PROMETHEUS = "prometheus"
    REDFISH = "redfish"
    CSV = "csv"
    PARQUET = "parquet"


_NEEDS: Mapping[Source, tuple[str, ...]] = {
    Source.PROMETHEUS: ("url", "start", "end", "site"),
    Source.REDFISH: ("path", "site"),
    Source.CSV: ("path", "columns"),
    Source.PARQUET: ("path", "columns"),
}
_TAKES: Mapping[Source, tuple[str, ...]] = {
    Source.PROMETHEUS: ("sources", "hosts", "token_file", "user", "password_file", "ca_file"),
    Source.REDFISH: ("sources", "hosts"),
    Source.CSV: ("site", "hosts"),
    Source.PARQUET: ("site", "hosts"),
}


def import_(
    source: Annotated[Source, typer.Option("--from", help="Where the readings are.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New or empty folder for the parquet tables.")],
    url: Annotated[str | None, typer.Option(help="Address of Prometheus.")] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="ISO 8601 (UTC where it names no zone) or Unix seconds.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="As --start; not included.")] = None,
    step: Annotated[
        int, typer.Option(min=10, max=3600, help="Seconds in a slot; readings are averaged over it.")
    ] = 300,
    path: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of files to read.")] = None,
    site: Annotated[Path | None, typer.Option(metavar="FILE", help="The site file (YAML) whose names count.")] = None,
    hosts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV label,name: what the source calls a machine of the site.")
    ] = None,
    sources: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: factors of fans, vLLM instances, metrics of your own.")
    ] = None,
    columns: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: which column of the files is which, and in which unit.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Bearer token; or set TAPAS_PROMETHEUS_TOKEN.")
    ] = None,
    user: User = None,
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its password; or set TAPAS_PROMETHEUS_PASSWORD.")
    ] = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring readings of your own into the tables that `fit` reads.

    Times become Unix seconds, the clock of the service. What is not a number, outside its physical range or said twice
    is left out and counted; machines that the site does not have are named. An import that was interrupted goes on
    where it was when the same command is given again.
    """
    given = {
        "url": url,
        "start": start,
        "end": end,
        "path": path,
        "site": site,
        "hosts": hosts,
        "sources": sources,
        "columns": columns,
        "token_file": token_file,
        "user": user,
        "password_file": password_file,
        "ca_file": ca_file,
    }
    _check_options(source, step, given)
    started = time.perf_counter()
    with bar("importing", 1.0, as_json) as move:

        def tell(share: float, what: str) -> None:
            move(completed=share)

        if source is Source.PROMETHEUS:
            done, more = _from_prometheus(given, step, out, tell)
        elif source is Source.REDFISH:
            done, more = _from_redfish(given, step, out, tell)
        else:
            done, more = _from_files(source, given, step, out, tell)
    data = summary(str(source), out, step, done) | more | {"wall_s": round(time.perf_counter() - started, 1)}
    keep(out, data)
    print_result(data, as_json, say_imported)


def _check_options(source: Source, step: int, given: Mapping[str, Any]) -> None:
    """Refuse what is missing, and what nobody would read."""
    faults = [
        Fault(_option(name), f"is missing; --from {source} needs it") for name in _NEEDS[source] if given[name] is None
    ]
    allowed = (*_NEEDS[source], *_TAKES[source])
    faults += [
        Fault(_option(name), f"is nothing that --from {source} reads; leave it out")
        for name, value in given.items()
        if value is not None and name not in allowed
    ]
    if _DAY_S % step:
        faults.append(Fault("--step", f"{step}: must divide a day, such as 60, 300 or 900"))
    if faults:
        raise InvalidInput("history import", faults)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _from_prometheus(
    given: Mapping[str, Any], step: int, out: Path, tell: Callable[[float, str], None]
) -> tuple[Imported, dict[str, Any]]:
    from tapas_opt.telemetry.http import Credentials, JsonClient
    from tapas_opt.telemetry.importing import import_history, spans_of
    from tapas_opt.telemetry.prometheus import PrometheusHistory
    from tapas_opt.telemetry.prometheus_api import PATIENCE_S, PrometheusApi
    from tapas_opt.telemetry.sources import Sources, read_sources

    start_s, end_s = _times(given["start"], given["end"], step)
    topology, hosts = _topology(given["site"]), _hosts(given)
    sources = Sources() if given["sources"] is None else read_sources(given["sources"])
    _check_sources(sources, hosts, topology, given)
    who = Credentials.of("TAPAS_PROMETHEUS", given["token_file"], given["user"], given["password_file"])
    with JsonClient(given["url"], who, timeout_s=PATIENCE_S, ca_file=given["ca_file"]) as client:
        api = PrometheusApi(client)
        history = PrometheusHistory(api, topology, sources, hosts)
        spans = spans_of(start_s, end_s, step, _longest_s(topology, step))
        request = {"from": "prometheus", "url": client.url, "start_s": spans[0].start_s, "end_s": spans[-1].end_s}
        request |= {"step_s": step} | {name: _digest(given[name]) for name in ("site", "hosts", "sources")}
        done = import_history(out, request, spans, history.read, tell)
    more = {
        "url": client.url,
        "start": _iso(spans[0].start_s),
        "end": _iso(spans[-1].end_s),
        "proxies": _proxies(sources, done),
        "server_warnings": sorted(api.warnings),
    }
    return done, more


def _times(start: str, end: str, step: int) -> tuple[float, float]:
    faults: list[Fault] = []
    times = [_time(text, option, faults) for text, option in ((start, "--start"), (end, "--end"))]
    if not faults and times[1] // step <= times[0] // step:
        faults.append(Fault("--end", f"{end!r}: must be at least {step} s, a whole slot, after --start {start!r}"))
    if not faults and times[0] < 0:
        faults.append(Fault("--start", f"{start!r}: lies before 1970"))
    if faults:
        raise InvalidInput("history import", faults)
    return times[0], times[1]


def _time(text: str, option: str, faults: list[Fault]) -> float:
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else _from_iso(text)
    except (ValueError, OverflowError):
        faults.append(Fault(option, f"{text!r}: must be like 2026-01-05T00:00:00Z, or Unix seconds"))
        return 0.0


def _from_iso(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _iso(t_s: float) -> str:
    return datetime.fromtimestamp(t_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _topology(site: Path) -> Topology:
    from tapas_opt.domain.site_file import read_site
    from tapas_opt.domain.topology import topology_of

    return topology_of(read_site(site))


def _hosts(given: Mapping[str, Any]) -> dict[str, str]:
    from tapas_opt.telemetry.hosts import read_hosts

    return {} if given["hosts"] is None else read_hosts(given["hosts"])


def _longest_s(topology: Topology, step: int) -> int:
    """A day, or fewer hours for a site of many GPUs."""
    gpus = sum(topology.site.hardware[topology.hardware[h]].gpus for h in topology.server_hardware)
    hours = next((h for h in (24, 12, 6, 3, 2) if gpus * h * 3600 // step <= _GPU_SLOTS_AT_ONCE), 1)
    return hours * 3600


def _check_sources(sources: Any, hosts: Mapping[str, str], topology: Topology, given: Mapping[str, Any]) -> None:
    """Refuse names that the site does not have: a slip there would drop readings one by one."""
    elements = {*topology.servers, *topology.rows, *topology.rooms}
    unknown = [
        Fault(f"{given['hosts']}, {label}", f"{name!r}: is no server, row or room of the site")
        for label, name in hosts.items()
        if name not in elements
    ]
    unknown += [
        Fault(f"{given['sources']}, airflow.{name}", f"{name!r}: is no hardware of the site")
        for name in sources.airflow
        if name not in topology.hardware
    ]
    unknown += [
        Fault(f"{given['sources']}, {vm.vm}", f"{vm.server!r}: is no server of the site")
        for vm in (*sources.instances, *sources.vms)
        if vm.server not in topology.servers
    ]
    unknown += [
        Fault(f"{given['sources']}, metrics.{metric.column}", f"{metric.of!r}: is no server, row or room of the site")
        for metric in sources.metrics
        if metric.of is not None and metric.of not in elements
    ]
    if unknown:
        raise InvalidInput("history import", unknown)


def _proxies(sources: Any, done: Imported) -> dict[str, str]:
    """What to know about the metrics that were used."""
    notes = {name: metric.note for metric in sources.in_order() for name in metric.names if metric.note}
    used = {name for names in done.tally.used.values() for name in names}
    return {name: notes[name] for name in sorted(used & set(notes))}


def _digest(file: Path | None) -> str | None:
    """What a file held, so that an interrupted import is only continued with the same."""
    import hashlib

    return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _from_redfish(
    given: Mapping[str, Any], step: int, out: Path, tell: Callable[[float, str], None]
) -> tuple[Imported, dict[str, Any]]:
    from tapas_opt.telemetry.importing import import_history
    from tapas_opt.telemetry.redfish_history import RedfishHistory
    from tapas_opt.telemetry.sources import Sources, read_sources

    topology, hosts = _topology(given["site"]), _hosts(given)
    sources = Sources() if given["sources"] is None else read_sources(given["sources"])
    _check_sources(sources, hosts, topology, given)
    history = RedfishHistory(given["path"], step, topology, sources.airflow, hosts)
    spans = history.find()
    request = {"from": "redfish", "path": str(given["path"].resolve()), "step_s": step}
    request |= {name: _digest(given[name]) for name in ("site", "hosts", "sources")}
    return import_history(out, request, spans, history.read, tell), {"path": str(given["path"])}


def _from_files(
    source: Source, given: Mapping[str, Any], step: int, out: Path, tell: Callable[[float, str], None]
) -> tuple[Imported, dict[str, Any]]:
    from tapas_opt.telemetry.columns import read_layout
    from tapas_opt.telemetry.files import FileHistory
    from tapas_opt.telemetry.importing import import_history, work_folder
    from tapas_opt.telemetry.sources import Sources

    layout, hosts = read_layout(given["columns"]), _hosts(given)
    topology = None if given["site"] is None else _topology(given["site"])
    if topology is not None:
        _check_sources(Sources(), hosts, topology, given)
    history = FileHistory(given["path"], str(source), layout, step, topology, hosts)
    history.files()
    request = {"from": str(source), "path": str(given["path"].resolve()), "step_s": step}
    request |= {name: _digest(given[name]) for name in ("site", "hosts", "columns")}
    spans = history.sort_into_days(work_folder(out, request), lambda share, what: tell(share / 2, what))
    done = import_history(out, request, spans, history.read, lambda share, what: tell((1 + share) / 2, what))
    done.tally.add(history.tally)
    return done, {"path": str(given["path"])}
