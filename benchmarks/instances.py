"""How far the fluid model of latency is off: against every request of a trace, one by one.

    python benchmarks/instances.py DATASETS [OUT.json]

DATASETS holds azure-llm-2023 (docs/instances.md), and for measured profiles beside our own splitwise-perf-model and
mlenergy-llm-profiles. Each row is one replica under a share of a service's trace: its load
(work offered over what it can do), p50 and p99 of both latencies request by request, and by what part of that the fluid
model is off when it is told the work of each minute, or of each ten seconds. Shares are drawn three times, since a few
long prompts make a p99; what is shown is the median of the three.

Then: which share of requests keeps the promise at the goodput of every fourth profile, conversations at random.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.workload import Slo
from tapas_opt.serving.fluid import Fluid
from tapas_opt.serving.latency import LatencyTable, quantile_s
from tapas_opt.serving.mix import CONVERSATION, RequestMix, arrivals_at_once
from tapas_opt.serving.pace import Pace
from tapas_opt.serving.requests import RequestRun, serve_requests
from tapas_opt.telemetry.profiles.read import read_profiles
from tapas_opt.telemetry.trace import read_trace

LOADS = (0.2, 0.4, 0.6, 0.8, 1.1)
CONFIGURATIONS = (
    "llama2-70b-fp16-tp8-b64-f1410",
    "llama2-70b-fp16-tp8-b16-f1410",
    "llama2-70b-fp8-tp4-b64-f1410",
    "llama2-13b-fp16-tp4-b64-f990",
    "llama2-7b-fp16-tp2-b64-f1410",
)
MEASURED = {
    "splitwise-perf-model": ("llama2-70b-fp16-tp8-b32-f1410", "llama2-70b-fp16-tp4-b64-f1980"),
    "mlenergy-llm-profiles": (
        "llama-3.1-70b-instruct-bfloat16-tp4-b64-f1980",
        "llama-3.1-8b-instruct-bfloat16-tp1-b32-f1980",
    ),
}
STEPS_S = (60.0, 10.0)
PATIENCE_S = 60.0
SEEDS = (1, 2, 3)
REQUESTS = 10_000
QUANTILES = (0.5, 0.99)


def share(trace: pd.DataFrame, requests_per_s: float, seed: int) -> pd.DataFrame:
    """So many requests per second of a trace: a random part, or several copies shifted against each other."""
    span_s, random = float(trace.t_s.iloc[-1]), np.random.default_rng(seed)
    copies = int(np.ceil(requests_per_s * span_s / len(trace)))
    shifted = [trace.assign(t_s=(trace.t_s + i * span_s / copies) % span_s) for i in range(copies)]
    whole = pd.concat(shifted).sort_values("t_s", kind="stable")
    return whole[random.random(len(whole)) < requests_per_s * span_s / len(whole)]


def by_request(run: RequestRun) -> dict[str, list[float]]:
    return {
        "ttft_s": [float(x) for x in np.nanquantile(run.ttft_s, QUANTILES)],
        "tbt_s": [float(x) for x in run.gap_quantile_s(QUANTILES)],
    }


def by_fluid(table: LatencyTable, requests: pd.DataFrame, step_s: float) -> tuple[dict[str, list[float]], float]:
    """Quantiles over all steps, and the share that gave up."""
    work = table.mean_requests(requests.context_tokens, requests.generated_tokens)
    ends = np.arange(0.0, float(requests.t_s.iloc[-1]) + step_s, step_s)
    fluid, lost, came = Fluid([table], [0], patience_s=PATIENCE_S), 0.0, 0.0
    first = between = np.zeros(1)
    for amount in np.histogram(requests.t_s, ends, weights=work)[0]:
        flow = fluid.step(step_s, [amount / step_s])
        one, other = fluid.latencies(flow)
        first, between = first + one[0], between + other[0]
        lost, came = lost + float(flow.lost_requests_per_s[0]) * step_s, came + float(amount)
    return {
        "ttft_s": [float(quantile_s(first / first[-1], q)) for q in QUANTILES],
        "tbt_s": [float(quantile_s(between / between[-1], q)) for q in QUANTILES],
    }, lost / came


def row(service: str, profile: Profile, trace: pd.DataFrame, load: float, seed: int) -> dict:
    pace = Pace.of(profile)
    lengths = trace.context_tokens, trace.generated_tokens
    saturated = LatencyTable.of(pace, RequestMix.of(*lengths)).saturated_requests_per_s
    requests = share(trace, load * saturated, seed)
    table = LatencyTable.of(pace, RequestMix.of(*lengths, arrivals_at_once(requests.t_s)))
    run = serve_requests(pace, requests.t_s, requests.context_tokens, requests.generated_tokens, PATIENCE_S)
    true = by_request(run)
    out: dict = {
        "service": service,
        "configuration": profile.configuration.name,
        "load_frac": load,
        "seed": seed,
        "requests": len(requests),
        "at_once": table.mix.at_once,
        "unserved_frac": run.unserved / len(requests),
    } | true
    for step_s in STEPS_S:
        fluid, lost = by_fluid(table, requests, step_s)
        off = {name: [fluid[name][i] / true[name][i] - 1.0 for i in range(len(QUANTILES))] for name in true}
        out[f"off_{step_s:.0f}s_frac"] = off | {"unserved": lost - run.unserved / len(requests)}
    return json.loads(json.dumps(out), parse_float=lambda text: float(f"{float(text):.4g}"))


def at_goodput(profile: Profile) -> dict:
    """Shares of first tokens and of gaps within the default promise, request by request; 99 % were meant."""
    random, mean = np.random.default_rng(1), CONVERSATION.mean
    tokens = profile.configuration.replicas * (mean.prompt_tokens + mean.output_tokens)
    picked = random.integers(0, CONVERSATION.prompt_tokens.size, REQUESTS)
    arrivals = np.cumsum(random.exponential(tokens / profile.goodput_tokens_per_s, REQUESTS))
    lengths = CONVERSATION.prompt_tokens[picked], CONVERSATION.output_tokens[picked]
    run, slo = serve_requests(Pace.of(profile), arrivals, *lengths), Slo.of_unloaded(profile.ttft_s, profile.tbt_s)
    return {
        "configuration": profile.configuration.name,
        "ttft_kept_frac": float((run.ttft_s <= slo.ttft_s).mean()),
        "tbt_kept_frac": float(run.gap_tokens[run.gap_s <= slo.tbt_s].sum() / run.gap_tokens.sum()),
    }


def show(whose: str, rows: list[dict]) -> None:
    title = f"{whose} profiles, fluid model beside every request: off by, told the work of each minute / of each 10 s"
    table = Table(title=title)
    for heading in ("service", "configuration", "load", "TTFT p50, s", "off", "p99, s", "off", "TBT p99, s", "off"):
        table.add_column(heading, justify="left" if heading in ("service", "configuration") else "right", no_wrap=True)
    drawn = [rows[i : i + len(SEEDS)] for i in range(0, len(rows), len(SEEDS))]
    for some in drawn:
        cells = [some[0]["service"], some[0]["configuration"], f"{some[0]['load_frac']:.1f}"]
        for name, i in (("ttft_s", 0), ("ttft_s", 1), ("tbt_s", 1)):
            offs = " / ".join(f"{off(some, name, i, step_s):+.0%}" for step_s in STEPS_S)
            cells += [f"{np.median([one[name][i] for one in some]):.3f}", offs]
        table.add_row(*cells)
    Console(width=140).print(table)
    print("by service and load, told the work of each minute: median |off| over configurations, and the furthest off")
    print("| service | load | TTFT p50 | TTFT p99 | TBT p50 | TBT p99 |\n|---|---|---|---|---|---|")
    for service in dict.fromkeys(one["service"] for one in rows):
        for load in LOADS:
            same = [some for some in drawn if some[0]["service"] == service and some[0]["load_frac"] == load]
            words = []
            for name, i in (("ttft_s", 0), ("ttft_s", 1), ("tbt_s", 0), ("tbt_s", 1)):
                offs = [off(some, name, i, STEPS_S[0]) for some in same]
                words.append(f"{np.median(np.abs(offs)):.0%} ({max(offs, key=abs):+.0%})")
            print(f"| {service} | {load} | {' | '.join(words)} |")


def off(some: list[dict], name: str, i: int, step_s: float) -> float:
    """By how much the fluid model is off: the median over seeds."""
    return float(np.median([one[f"off_{step_s:.0f}s_frac"][name][i] for one in some]))


def by_name(path: Path) -> dict[str, Profile]:
    return {one.configuration.name: one for one in read_profiles(path)}


def main() -> None:
    folder, profiles = Path(sys.argv[1]), by_name(Path("data/demo/profiles.csv"))
    traces = read_trace(folder / "azure-llm-2023")
    judged = {"our own": [profiles[name] for name in CONFIGURATIONS]}
    for source, names in MEASURED.items():
        if (folder / source).is_dir():
            measured = by_name(folder / source)
            judged.setdefault("measured", []).extend(measured[name] for name in names)
    rows = []
    for whose, some in judged.items():
        of_these = [
            {"profiles": whose} | row(service, profile, trace, load, seed)
            for service, trace in sorted(traces.items(), reverse=True)
            for profile in some
            for load in LOADS
            for seed in SEEDS
        ]
        show(whose, of_these)
        rows += of_these
    kept = [at_goodput(profile) for profile in list(profiles.values())[::4]]
    for name in ("ttft_kept_frac", "tbt_kept_frac"):
        shares = [one[name] for one in kept]
        print(
            f"{name} at goodput: {min(shares):.2%} to {max(shares):.2%}, median {np.median(shares):.2%} of {len(kept)}"
        )
    if len(sys.argv) > 2:
        lines = ",\n".join(json.dumps(one) for one in rows)
        promises = ",\n".join(json.dumps(one) for one in kept)
        text = f'{{"rows": [\n{lines}\n],\n"at_goodput": [\n{promises}\n]}}\n'
        Path(sys.argv[2]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
