"""``tapas-opt demo``: the drill. A day in the demo room, with a UPS and an air handler failing, for two policies."""

# ruff: noqa: PLC0415  --help stays fast: what is heavy is imported by the command that needs it

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result
from tapas_opt.cli.paths import demo_data, demo_models

if TYPE_CHECKING:
    from tapas_opt.cli.served_policy import ServedPolicy
    from tapas_opt.client import Client
    from tapas_opt.control.controller import Controller
    from tapas_opt.domain.configuration import Profile
    from tapas_opt.simulation.day import Day
    from tapas_opt.simulation.machine_room import MachineRoom
    from tapas_opt.simulation.record import Record, Run

__all__ = ["demo"]

DAY = 28
"""The day after the four weeks that the demo's models were learned from: a Monday."""

RUNNING_VMS, ARRIVING_VMS = 62, 20
UPS_FAILS_AT_H, AHU_FAILS_AT_H, FAILS_FOR_S = 15.0, 17.0, 1800.0
DEADLINE_S = 2.0
"""Of each placement and reconfiguration; the solver has most of it."""

ROUTE_EVERY_S = 60.0
"""Simulated seconds: telemetry comes once a minute."""

START_S = 60.0


def demo(
    trace: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="LLM requests, one CSV per endpoint; generated ones if not given."),
    ] = None,
    site: Annotated[Path | None, typer.Option(metavar="FILE", help="A site file; the demo's if not given.")] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="The run's folder below runs/.")] = "demo",
    seed: Annotated[int, typer.Option(min=0, help="Of weather, workload and sensors.")] = 1,
    hold: Annotated[bool, typer.Option("--hold", help="Leave the server up afterwards, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Drill: a day of VMs and requests against a real server, with a UPS and an AHU failing at the daily peak.

    A server is started on a free port and asked for every decision over gRPC: it places VMs, routes the trace's
    requests one by one, and answers both failures. A simulated room shows what becomes of temperatures, overloads and
    breakers; the same day is run under a baseline policy beside it. Ends with a table, summary.json and report.html.
    """
    from tapas_opt.plot.report import write_report

    folder = Path("runs") / name
    folder.mkdir(parents=True, exist_ok=True)
    scene = _Scene.read(site or demo_data() / "site.yaml", trace or demo_data() / "trace", seed)
    with _server(scene.site_path, folder) as address:
        run = scene.run(name, address, show_progress=not as_json and sys.stderr.isatty())
        (folder / "summary.json").write_text(json.dumps(run.summary, indent=2) + "\n", encoding="utf-8")
        write_report(run, folder / "report.html")
        print_result(run.summary, as_json, lambda data: _show(data, folder))
        if hold:
            _hold(address)


class _Scene:
    """Everything that both policies meet alike."""

    def __init__(self, site_path: Path, day: Day, started: Mapping[str, Profile], seed: int) -> None:
        self.site_path = site_path
        self.day = day
        self.started = started
        self.seed = seed

    @classmethod
    def read(cls, site_path: Path, trace_folder: Path, seed: int) -> _Scene:
        """Read site, profiles and trace, and draw the day; every input is judged before anything runs."""
        from tapas_opt.domain.configuration import read_profiles
        from tapas_opt.errors import InvalidInput
        from tapas_opt.plant.workload import ENDPOINTS, Workload
        from tapas_opt.simulation.day import make_day
        from tapas_opt.telemetry.trace import read_trace

        trace = read_trace(trace_folder)
        missing = sorted(set(ENDPOINTS) - set(trace))
        if missing:
            what = f"has no trace for {', '.join(missing)}; expected one CSV for each of {', '.join(sorted(ENDPOINTS))}"
            raise InvalidInput.one(str(trace_folder), "folder", what)
        by_name = {profile.configuration.name: profile for profile in read_profiles(demo_data() / "profiles.csv")}
        started = {endpoint: by_name[configuration] for endpoint, configuration in ENDPOINTS.items()}
        day = make_day(
            Workload(seed=seed),
            started,
            trace,
            _failures(site_path),
            day=DAY,
            running=RUNNING_VMS,
            arriving=ARRIVING_VMS,
        )
        return cls(site_path, day, started, seed)

    def run(self, name: str, address: str, *, show_progress: bool) -> Run:
        """Take both policies through the day, the served one first."""
        from tapas_opt.client import Client
        from tapas_opt.simulation.baseline import Baseline
        from tapas_opt.simulation.record import Run

        with _progress(2 * 86_400.0, show_progress) as advance, Client(address) as client:
            served = self._served(client)
            first = self._record(served, advance)
            baseline = Baseline(self._controller().fleet.topology)
            second = self._record(baseline, advance)
            models = self._controller().models
        answered = _by_kind(served.measured.modes)
        records = (_with(first, answered), second)
        topology = served.audit.mirror.fleet.topology
        summary = _summary(name, records, served, {k: _errors(v) for k, v in models.errors().items()})
        outages = tuple(item.outage for item in self.day.failures)
        return Run(name, topology.site.name, len(topology.servers), outages, records, summary)

    def _controller(self) -> Controller:
        from tapas_opt.control.controller import Controller
        from tapas_opt.control.forecast import Profiles
        from tapas_opt.domain.configuration import read_profiles
        from tapas_opt.domain.site_file import read_site
        from tapas_opt.learn.models import LearnedModels

        profiles = Profiles(read_profiles(demo_data() / "profiles.csv"))
        return Controller(read_site(self.site_path), LearnedModels.load(demo_models()), profiles)

    def _served(self, client: Client) -> ServedPolicy:
        from tapas_opt.cli.served_policy import Audit, ServedPolicy

        client.wait_until_serving(START_S)
        return ServedPolicy(client, self.day.endpoints, Audit(self._controller()), deadline_s=DEADLINE_S)

    def _record(self, policy: Any, advance: Any) -> Record:
        from tapas_opt.simulation.drill import run_day

        return run_day(self.day, self._room(), policy, self.started, advance)

    def _room(self) -> MachineRoom:
        from tapas_opt.control.actuation import Actuation
        from tapas_opt.control.reconfiguring import options_of
        from tapas_opt.plant.plant import Plant
        from tapas_opt.simulation.machine_room import MachineRoom

        controller = self._controller()
        plant = Plant(controller.fleet.topology, seed=self.seed, start_s=self.day.start_s)
        options = {option.name: option for option in options_of(controller.profiles)}
        return MachineRoom(plant, self.day.workload, options, Actuation())


def _failures(site_path: Path) -> tuple[Any, ...]:
    """The second UPS and the first air handler of the first room, at the daily peak."""
    from tapas_opt.domain.failure import Failure, FailureKind
    from tapas_opt.domain.site_file import read_site
    from tapas_opt.simulation.day import DAY_S, FailureAt

    room = read_site(site_path).rooms[0]
    ups, ahu = room.upses[min(1, len(room.upses) - 1)].name, room.ahus[0].name

    def at(hour: float, kind: FailureKind, element: str) -> FailureAt:
        start_s = DAY * DAY_S + hour * 3600.0
        failure = Failure(kind, element, started_at_s=start_s, expected_duration_s=FAILS_FOR_S)
        return FailureAt(start_s, start_s + FAILS_FOR_S, failure)

    return at(UPS_FAILS_AT_H, FailureKind.UPS, ups), at(AHU_FAILS_AT_H, FailureKind.AHU, ahu)


@contextmanager
def _server(site: Path, folder: Path) -> Iterator[str]:
    """A server process on a free port, with a journal of its own, ended on the way out."""
    with tempfile.TemporaryDirectory(prefix="tapas-opt-") as state, (folder / "server.log").open("w") as log:
        command = [sys.executable, "-m", "tapas_opt", "serve", "--port", "0", "--clock", "telemetry", "--json"]
        command += ["--route-every", f"{ROUTE_EVERY_S:g}"]
        command += ["--site", str(site), "--state", str(Path(state) / "state.sqlite")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True)
        try:
            yield _address(process, folder / "server.log")
        finally:
            process.terminate()
            process.wait(START_S)


def _address(process: subprocess.Popen[str], log: Path) -> str:
    from tapas_opt.errors import ServerUnreachable

    line = process.stdout.readline() if process.stdout else ""
    if not line:
        said = log.read_text(encoding="utf-8").strip().splitlines()
        raise ServerUnreachable(f"the server did not start: {said[-1] if said else 'it said nothing'}")
    return str(json.loads(line)["address"])


@contextmanager
def _progress(total_s: float, shown: bool) -> Iterator[Any]:
    if not shown:
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("simulating"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn()
    from rich.console import Console

    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("day", total=total_s)
        yield lambda seconds: progress.advance(task, seconds)


def _by_kind(modes: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    counted: dict[str, dict[str, int]] = {}
    for (kind, mode), count in sorted(modes.items()):
        counted.setdefault(kind, {})[mode] = count
    return counted


def _with(record: Record, answered: Mapping[str, Mapping[str, int]]) -> Record:
    from dataclasses import replace

    return replace(record, answered=answered)


def _errors(errors: Any) -> dict[str, float | int | str]:
    from dataclasses import asdict

    return asdict(errors)


def _quantiles(values: Sequence[float], **fractions: float) -> dict[str, float]:
    import numpy as np

    return {name: round(float(np.quantile(values, frac)), 3) for name, frac in fractions.items()}


def _summary(name: str, records: Sequence[Record], served: ServedPolicy, learned: Mapping[str, Any]) -> dict[str, Any]:
    """What the drill came to, as one JSON object."""
    ours = records[0].metrics
    measured = served.measured
    return {
        "name": name,
        "requests_routed": int(ours["requests_routed"]),
        "requests_refused": int(ours["requests_refused"]),
        "vms_placed": int(ours["vms_placed"]),
        "vms_rejected": int(ours["vms_rejected"]),
        "checker_violations": len(served.audit.violations),
        "violations": served.audit.violations[:20],
        "policies": {record.policy: dict(record.metrics) for record in records},
        "emergency_plan_ms": _quantiles(measured.emergency_ms, p50=0.5, max=1.0),
        "relief_s": ours["relief_s"],
        "route_ms": _quantiles(measured.route_ms, p50=0.5, p99=0.99),
        "modes": _by_kind(measured.modes),
        "learned": dict(learned),
    }


_ROWS = (
    ("UPS trips", "ups_trips", "{:.0f}"),
    ("breaker trips", "breaker_trips", "{:.0f}"),
    ("used of an overload tolerance, at most", "worst_overload_frac_of_tolerance", "{:.0%}"),
    ("longest overload after a failure (s)", "relief_s", "{:.0f}"),
    ("highest row power / budget", "peak_row_power_frac", "{:.1%}"),
    ("highest aisle airflow / capacity", "peak_aisle_airflow_frac", "{:.1%}"),
    ("hottest GPU (°C)", "max_gpu_temperature_c", "{:.1f}"),
    ("servers that throttled", "thermal_throttle_events", "{:.0f}"),
    ("VMs whose clock was capped", "power_throttle_events", "{:.0f}"),
    ("IaaS performance lost", "iaas_performance_loss_frac", "{:.2%}"),
    ("SaaS demand not served", "saas_performance_loss_frac", "{:.2%}"),
    ("quality lost", "quality_loss_frac", "{:.2%}"),
    ("VMs placed", "vms_placed", "{:.0f}"),
    ("VMs rejected", "vms_rejected", "{:.0f}"),
    ("energy (kWh)", "energy_kwh", "{:,.0f}"),
)


def _show(data: Mapping[str, Any], folder: Path) -> None:
    from rich.table import Table

    table = Table("", *data["policies"], title="one day, a UPS and an air handler failing at the peak")
    for title, key, form in _ROWS:
        table.add_row(title, *(form.format(metrics[key]) for metrics in data["policies"].values()))
    out = console()
    out.print(table)
    emergency, route = data["emergency_plan_ms"], data["route_ms"]
    out.print(
        f"{data['requests_routed']:,} requests routed (over gRPC p50 {route['p50']:.2f}, p99 {route['p99']:.2f} ms); "
        f"emergency plans verified and published in {emergency['p50']:.0f} ms (at most {emergency['max']:.0f} ms); "
        f"{data['checker_violations']} violations found by the checker"
    )
    out.print(f"report: {folder / 'report.html'}   numbers: {folder / 'summary.json'}")


def _hold(address: str) -> None:
    import signal

    out = console()
    out.print(f"the server stays up at {address}; Ctrl-C ends it. Try:")
    out.print(f"  tapas-opt client status --address {address}")
    out.file.flush()
    signal.pause()
