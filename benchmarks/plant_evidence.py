"""The plant, its instances and its work beside what was measured: each table of docs/plant.md and docs/instances.md.

    python benchmarks/plant_evidence.py DATASETS [OUT.json]

DATASETS holds acme-power-temperature-cdf, zeus-clock-sweeps, splitwise-perf-model, azure-llm-2023, mooncake-fast25 and
servegen-alibaba; what is not there is left out. Beside them are engines whose every request is run (simpy).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tapas_opt.domain.configuration import Profile, read_profiles
from tapas_opt.domain.site_generator import HARDWARE, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.plant.instances import Instance
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.plant import Demand, Plant
from tapas_opt.plant.swings import P999_SIGMAS, server_swing
from tapas_opt.plant.weather import DAY_S
from tapas_opt.plant.workload import ENDPOINTS, Workload, generate_trace
from tapas_opt.serving.clock import clock_power_frac, prefill_speed_frac
from tapas_opt.serving.mix import arrivals_at_once
from tapas_opt.serving.requests import serve_requests
from tapas_opt.telemetry.profiles.read import read_profiles as read_measured
from tapas_opt.telemetry.trace import read_trace

A100 = HARDWARE["dgx-a100"]
LOADS = (0.1, 0.3, 0.5, 0.8, 1.0)
CONFIGURATIONS = (
    "llama2-70b-fp16-tp8-b64-f1410",
    "llama2-70b-fp8-tp4-b64-f1410",
    "llama2-13b-fp16-tp4-b64-f990",
    "llama2-7b-fp16-tp2-b64-f1410",
)
REQUESTS = 4_000
WINDOW_S = 600.0
Row = dict[str, str | float]


def seconds_of(instance: Instance, load_frac: float) -> np.ndarray:
    """``[T]`` one-second power of the GPUs in use, mean over them; replicas read and decode independently."""
    mix, replicas, random = instance.mix, instance.configuration.replicas, np.random.default_rng(1)
    tokens = replicas * (mix.mean.prompt_tokens + mix.mean.output_tokens)
    picked = random.integers(0, mix.prompt_tokens.size, REQUESTS)
    arrivals = np.cumsum(random.exponential(tokens / (load_frac * instance.goodput_tokens_per_s), REQUESTS))
    lengths = mix.prompt_tokens[picked], np.rint(mix.output_tokens[picked])
    reading, other = serve_requests(instance.pace, arrivals, *lengths).by_second()
    used = instance.gpu_peak_w() > A100.gpu_idle_power_w
    mean_w, waiting_w = (instance.gpu_powers_w(load)[used].mean() for load in (load_frac, 0.0))
    peak_w = instance.gpu_peak_w()[used].mean()
    decoding_w = waiting_w + (mean_w - waiting_w - reading.mean() * (peak_w - waiting_w)) / other.mean()
    one_w = waiting_w + reading * (peak_w - waiting_w) + other * (decoding_w - waiting_w)
    return np.mean([np.roll(one_w, i * len(one_w) // replicas) for i in range(replicas)], axis=0)


def seconds(profiles: dict[str, Profile]) -> Iterator[Row]:
    """99.9th percentile of one-second power over its mean: request by request, and as the plant has it."""
    for name in CONFIGURATIONS:
        instance = Instance(profiles[name].configuration, A100)
        used = instance.gpu_peak_w() > A100.gpu_idle_power_w
        for load in LOADS:
            run_w, gpu_w = seconds_of(instance, load), instance.gpu_powers_w(load)
            idle_w = np.full((1, A100.gpus), A100.gpu_idle_power_w)
            burst = np.full(1, Parameters().burst_frac / np.sqrt(instance.configuration.replicas))
            swing = server_swing(gpu_w[None], idle_w, instance.gpu_peak_w()[None], burst, np.zeros(1))
            rise_w = min(P999_SIGMAS * swing.sigma_w[0], swing.headroom_w[0])
            yield {
                "configuration": name,
                "replicas": instance.configuration.replicas,
                "load": load,
                "by request": float(np.quantile(run_w, 0.999) / run_w.mean()),
                "modelled": float(1.0 + rise_w / gpu_w[used].sum()),
            }


def servers(folder: Path) -> Iterator[Row]:
    """Power and temperature of A100 servers: percentiles of a whole cluster's samples, and ours idle and full.

    Ours is a room at 20 °C outside in which every tenth server is at full load.
    """
    table = pd.read_csv(folder / "seren.csv.gz")
    plant = Plant(topology_of(generate_site(80)), seed=1, outdoor=lambda _: 20.0)
    m, full = plant.machines, np.arange(80) % 10 == 0
    truth = plant.step(7_200.0, Demand(np.where(full[:, None], m.gpu_max_w, m.gpu_idle_w)))
    for quantity, ours in (
        ("gpu_power_w", truth.gpu_power_w),
        ("gpu_server_power_w", truth.server_power_w),
        ("gpu_core_temp_c", truth.gpu_temperature_c),
        ("gpu_memory_temp_c", truth.gpu_memory_temperature_c),
    ):
        rows = table[table.quantity == quantity]
        yield (
            {"quantity": quantity}
            | {f"{share:g} %": float(np.interp(share, rows.cdf_pct, rows.value)) for share in (1, 5, 50, 99, 99.9)}
            | {
                f"ours {name}, {word}": float(np.quantile(ours[chosen], share))
                for name, chosen in (("idle", ~full), ("full", full))
                for word, share in (("median", 0.5), ("highest", 1.0))
            }
        )


def clocks(folder: Path) -> Iterator[Row]:
    """Power and speed of forward and backward passes by clock, relative to the highest, beside the plant's laws."""
    table = pd.read_csv(folder / "clock_sweeps.csv.gz")
    idle = A100.gpu_idle_power_w / A100.gpu_max_power_w
    for (gpu, pass_), rows in table.groupby(["gpu", "instruction"]):
        by_clock = rows.groupby("frequency")[["time", "power_w_derived"]].mean()
        top = by_clock.index.max()
        for frac in (0.61, 0.7, 0.85):
            mhz = by_clock.index[np.abs(by_clock.index - frac * top).argmin()]
            yield {
                "GPU": str(gpu),
                "pass": str(pass_),
                "clock": mhz / top,
                "power": float(by_clock.power_w_derived[mhz] / by_clock.power_w_derived[top]),
                "modelled power": idle + (1.0 - idle) * float(clock_power_frac(mhz / top)),
                "speed": float(by_clock.time[top] / by_clock.time[mhz]),
                "modelled speed": prefill_speed_frac(mhz / top),
            }


def splitwise(folder: Path, profiles: dict[str, Profile]) -> Iterator[Row]:
    """The committed table beside Splitwise's Llama 2 70B in fp16 on A100."""
    for theirs in read_measured(folder):
        name = theirs.configuration.name
        if name in profiles:
            ours = profiles[name]
            yield (
                {"configuration": name}
                | {
                    column: getattr(ours, column) / getattr(theirs, column)
                    for column in ("goodput_tokens_per_s", "ttft_s", "tbt_s")
                }
                | {
                    f"{whose} W at {at}": one.gpu_power_w[i]
                    for whose, one in (("our", ours), ("their", theirs))
                    for i, at in ((1, "half"), (2, "full"))
                }
            )


def requests(folder: Path) -> Iterator[Row]:
    """Requests of real traces, and of the generated one, which is to be a share of Azure's."""
    made, random = generate_trace(1), np.random.default_rng(1)
    traces = {f"generated, {name}": table for name, table in made.items()}
    for source in ("azure-llm-2023", "mooncake-fast25"):
        for name, table in read_trace(folder / source).items() if (folder / source).is_dir() else ():
            traces[f"{source}, {name}"] = table
            if name in made:
                share = len(made[name]) / made[name].t_s.max() / (len(table) / table.t_s.max())
                traces[f"{source}, {name}, as many as generated"] = table[random.random(len(table)) < share]
    for name, table in traces.items():
        minutes, short = (np.bincount((table.t_s // span_s).astype(int))[:-1] for span_s in (60.0, 10.0))
        yield {
            "trace": name,
            "a minute": float(minutes.mean()),
            "scatter by minute": float(minutes.std() / minutes.mean()),
            "by ten seconds": float(short.std() / short.mean()),
            "at once": arrivals_at_once(table.t_s),
            "prompt": float(table.context_tokens.mean()),
            "prompt p99": float(table.context_tokens.quantile(0.99)),
            "output": float(table.generated_tokens.mean()),
            "output p99": float(table.generated_tokens.quantile(0.99)),
            "correlation": float(table.context_tokens.corr(table.generated_tokens)),
        }


def demand(folder: Path) -> Iterator[Row]:
    """Demand by ten minutes through nine days: ServeGen's chat models, and the plant's endpoints."""
    ends = np.arange(0.0, 9 * DAY_S, WINDOW_S)
    if (folder / "servegen-alibaba").is_dir():
        table = pd.read_parquet(folder / "servegen-alibaba" / "rates.parquet", columns=["model", "t_s", "rate_rps"])
        for model in ("m-small", "m-mid", "m-large"):
            total = table[table.model == model].groupby("t_s").rate_rps.sum().reindex(ends).fillna(0.0)
            yield {"demand": f"servegen-alibaba, {model}"} | through_days(total.to_numpy(dtype=np.float64))
    for seed in (1, 2, 3):
        workload = Workload(seed=seed)
        for endpoint in ENDPOINTS:
            load = np.array([workload.endpoint_load_frac(t_s)[endpoint] for t_s in ends])
            yield {"demand": f"generated, {endpoint}, seed {seed}"} | through_days(load)


def through_days(demand: np.ndarray) -> Row:
    """Statistics of demand by ten minutes."""
    days = demand.reshape(-1, round(DAY_S / WINDOW_S))
    shape = days / days.mean(axis=1, keepdims=True)
    by_hour = days.mean(axis=0).reshape(24, -1).mean(axis=1)
    rises = np.diff(demand)[demand[:-1] > 0.2 * demand.mean()] / demand[:-1][demand[:-1] > 0.2 * demand.mean()]
    return {
        "highest over lowest hour": float(by_hour.max() / by_hour.min()),
        "from day to day": float(days.mean(axis=1).std() / demand.mean()),
        "off the daily shape": float((shape - shape.mean(axis=0)).std()),
        "rise within ten minutes, p99": float(np.quantile(rises, 0.99)),
    }


def show(title: str, rows: list[Row]) -> None:
    """A table in Markdown."""
    print(f"\n{title}\n\n| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(map(told, row.values()))} |")


def told(cell: str | float) -> str:
    """Three digits of a number below a thousand, whole ones beyond."""
    if isinstance(cell, str):
        return cell
    return f"{cell:.3g}" if cell < 1e3 else f"{cell:.0f}"


def main() -> None:
    """Print every table whose data are there."""
    folder = Path(sys.argv[1])
    profiles = {one.configuration.name: one for one in read_profiles(Path("data/demo/profiles.csv"))}
    tables = {
        "Worst second of a thousand over the mean": list(seconds(profiles)),
        "Servers": (
            list(servers(folder / "acme-power-temperature-cdf"))
            if (folder / "acme-power-temperature-cdf").is_dir()
            else []
        ),
        "By clock": list(clocks(folder / "zeus-clock-sweeps")) if (folder / "zeus-clock-sweeps").is_dir() else [],
        "Ours over Splitwise's": (
            list(splitwise(folder / "splitwise-perf-model", profiles))
            if (folder / "splitwise-perf-model").is_dir()
            else []
        ),
        "Requests": list(requests(folder)),
        "Demand": list(demand(folder)),
    }
    for title, rows in tables.items():
        if rows:
            show(title, rows)
    if len(sys.argv) > 2:
        text = json.dumps(tables, indent=1)
        rounded = json.loads(text, parse_float=lambda number: float(f"{float(number):.4g}"))
        lines = ",\n".join(
            f'"{title}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for title, rows in rounded.items()
        )
        Path(sys.argv[2]).write_text(f"{{{lines}}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
