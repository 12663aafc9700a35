"""``tapas-opt history record`` and ``characterise``: what this machine's GPUs do under load, and what that says."""

# ruff: noqa: PLC0415  --help stays fast: what needs pandas is imported by the command that needs it

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapas_opt.cli.output import AsJson, console, print_result
from tapas_opt.errors import Fault, InvalidInput

if TYPE_CHECKING:
    from tapas_opt.telemetry.nvml import Gpu

__all__ = ["characterise", "record"]

_INTERRUPTED = 130
_GRACE_S = 10.0
_STDERR = 2


def record(
    out: Annotated[Path, typer.Option(metavar="DIR", help="New or empty folder for the recording.")],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND ...]", help="With --while: the load, and its arguments.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="How long; with --while at most so long.")] = None,
    step: Annotated[float, typer.Option(help="Seconds between samples, 0.1 or more.")] = 0.5,
    while_running: Annotated[
        bool, typer.Option("--while", help="Record while the command after -- runs, and exit with its code.")
    ] = False,
    server: Annotated[str, typer.Option(metavar="NAME", help="Name of this machine in the history.")] = "local",
    simulate: Annotated[
        bool, typer.Option("--simulate", help="A computed GPU instead of real ones; its time passes at once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sample power, temperatures, clocks and use of this machine's NVIDIA GPUs. It only reads, and never sets anything.

    Ctrl-C ends it cleanly. A kill loses nothing that was sampled: `history characterise` reads what is there.
    """
    from tapas_opt.telemetry.recording import Recorder, judge_recording
    from tapas_opt.telemetry.recording import record as sample

    _judge(command, seconds, while_running, simulate)
    judge_recording(out, step, seconds)
    with _gpus(simulate) as (gpus, now, sleep), _terminated_is_interrupted():
        meta = {
            "simulated": simulate,
            "server": server,
            "started_at_s": 0.0 if simulate else round(time.time(), 3),
            "step_s": step,
            "command": command,
            "gpus": [{"gpu": number, **gpu.about} for number, gpu in enumerate(gpus)],
        }
        recorder = Recorder(out, meta)
        process, code, ended = _started(command, as_json, recorder), None, "interrupted"
        try:
            by_command = sample(
                gpus, recorder, step_s=step, seconds=seconds, now=now, wait=_waiting(process) if process else sleep
            )
            ended = "command ended" if by_command else "time over"
        except KeyboardInterrupt:
            code = _INTERRUPTED
        finally:
            if process is not None:
                code = _code_of(process, ended) if code is None else code
                _end(process)
            recorder.finish(ended, code)
    print_result({"folder": str(out), **recorder.meta}, as_json, _say_recorded)
    if code:
        raise typer.Exit(code)


def characterise(
    recording: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `history record` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Time constants, °C per W and concavity of each GPU's temperature, and its power by use, from a recording.

    It checks the form of the temperature model: is it linear in power once settled, and how soon does it settle?
    """
    import numpy as np

    from tapas_opt.learn.fitting.device import characterise_power, characterise_temperature
    from tapas_opt.telemetry.recording import read_recording

    found = read_recording(recording)
    gpus = []
    for number in sorted(set(found.samples["gpu"].tolist())):
        rows = found.samples[found.samples["gpu"] == number]
        t_s, power, temperature, memory, util, clock = (
            rows[name].to_numpy(dtype=float)
            for name in ("t_s", "power_w", "temperature_c", "memory_temperature_c", "util_frac", "sm_clock_mhz")
        )
        sensors = {"core": temperature} | ({} if np.isnan(memory).all() else {"memory": memory})
        forms = {name: characterise_temperature(t_s, power, values) for name, values in sensors.items()}
        temperatures = {name: asdict(form) | {"straight": form.straight} for name, form in forms.items()}
        gpus.append({"gpu": number, **temperatures, "power": asdict(characterise_power(power, util, clock))})
    data = {"folder": str(recording), "simulated": found.meta.get("simulated"), "gpus": gpus}
    print_result(data, as_json, _show_forms)


def _judge(command: Sequence[str] | None, seconds: float | None, while_running: bool, simulate: bool) -> None:
    faults = []
    if while_running != bool(command):
        faults.append(Fault("--while", "goes with a command, as in: --while -- python load.py"))
    if seconds is None and not while_running:
        faults.append(Fault("--seconds", "is missing; say how long to record, or --while a command runs"))
    if simulate and while_running:
        faults.append(Fault("--simulate", "a computed GPU does not feel the load of a command; leave one of them out"))
    if faults:
        raise InvalidInput("recording", faults)


_Clock = tuple["Sequence[Gpu]", Callable[[], float], Callable[[float], bool]]


@contextmanager
def _gpus(simulate: bool) -> Iterator[_Clock]:
    """The GPUs, the clock that they live by, and how to let its seconds pass."""
    from tapas_opt.telemetry.nvml import local_gpus
    from tapas_opt.telemetry.simulated_gpu import SimulatedGpu

    if simulate:
        clock = _ComputedClock()
        yield [SimulatedGpu(clock.now)], clock.now, clock.wait
        return
    with local_gpus() as gpus:
        yield gpus, time.monotonic, _sleep


class _ComputedClock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now(self) -> float:
        return self._now_s

    def wait(self, seconds: float) -> bool:
        self._now_s += seconds
        return False


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _waiting(process: subprocess.Popen[bytes]) -> Callable[[float], bool]:
    """Let time pass, but no longer than the process runs."""

    def wait(seconds: float) -> bool:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    return wait


def _started(command: Sequence[str] | None, as_json: bool, recorder: Any) -> subprocess.Popen[bytes] | None:
    """The load; with --json it prints to stderr, so that stdout holds one JSON object."""
    if not command:
        return None
    try:
        return subprocess.Popen(command, stdout=_STDERR if as_json else None)
    except OSError as error:
        recorder.finish("command did not start")
        raise InvalidInput.one("recording", "command", f"{command[0]}: does not start: {error.strerror}") from error


def _code_of(process: subprocess.Popen[bytes], ended: str) -> int | None:
    """Exit code to pass on, as a shell has it; none of a command that was ended because the time was over."""
    if ended != "command ended" or process.returncode is None:
        return None
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """SIGTERM ends a recording as cleanly as Ctrl-C."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say_recorded(data: Mapping[str, Any]) -> None:
    names = ", ".join(str(gpu["name"]) for gpu in data["gpus"])
    what = "computed, not measured; " if data["simulated"] else ""
    out = console()
    out.print(
        f"{data['folder']}: {what}{data['samples']:,} samples of {len(data['gpus'])} GPU ({names}); {data['ended']}"
    )
    out.print(f"See what it says with: tapas-opt history characterise {data['folder']}")


def _show_forms(data: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=f"{data['folder']}" + (", computed, not measured" if data["simulated"] else ""))
    for heading in (
        "GPU",
        "sensor",
        "τ s",
        "°C per W",
        "unexplained °C",
        "one lag alone °C",
        "rounding °C",
        "in power",
    ):
        table.add_column(heading, justify="left" if heading in ("sensor", "in power") else "right")
    for gpu in data["gpus"]:
        for sensor in ("core", "memory"):
            if sensor in gpu:
                table.add_row(str(gpu["gpu"]), sensor, *_form_cells(gpu[sensor]))
    out = console()
    out.print(table)
    for gpu in data["gpus"]:
        power = gpu["power"]
        bins = ", ".join(f"from {edge:.0%} used {watts:.0f} W ({count:,})" for edge, watts, count in power["by_util"])
        clock = "" if power["clock_exponent"] is None else f"; dynamic power ∝ clock^{power['clock_exponent']:.1f}"
        out.print(f"GPU {gpu['gpu']}: median power {bins}{clock}")


def _form_cells(form: Mapping[str, Any]) -> tuple[str, ...]:
    best = form["two"] or form["one"]
    line = "linear" if form["straight"] else f"bends by {form['bend_c']:+.1f} °C"
    return (
        " and ".join(f"{tau:.3g}" for tau in best["time_constants_s"]),
        " + ".join(f"{r:.3f}" for r in best["resistances_c_per_w"]),
        f"{best['rmse_c']:.2f}",
        f"{form['one']['rmse_c']:.2f}",
        f"{form['rounding_c']:.2f}",
        line,
    )
