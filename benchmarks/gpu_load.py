"""Load one NVIDIA GPU as language models do, for `tapas-opt history record --while`.

    tapas-opt history record --out runs/steady --while -- python benchmarks/gpu_load.py steady
    tapas-opt history record --out runs/stepped --while -- python benchmarks/gpu_load.py stepped
    tapas-opt history record --out runs/bursty --while -- python benchmarks/gpu_load.py bursty
    tapas-opt history characterise runs/stepped

Needs PyTorch with CUDA, which is no dependency of the project. No GPU was at hand when this was written: the shapes are
tested with a stand-in for the GPU, the kernels have not been run yet.

prefill    products of large square matrices: bound by arithmetic, near the power limit
decode     a few rows times a large matrix: bound by memory, busy all the time at much less power
steady     prefill without a pause
stepped    prefill in 0, 25, 50, 75 and 100 % of the time, and down again, a step a minute
bursty     prefill, decode and nothing in turn, for 1 to 15 s each
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle

SIZE, BATCH = 8_192, 16
PERIOD_S = 0.1
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25)
STEP_S = 60.0
BURST_S = (1.0, 15.0)

Phase = tuple[str, float, float]
"""What to run, in which share of the time, and for how many seconds."""


def phases(shape: str, seed: int) -> Iterator[Phase]:
    """The phases of a load, without end."""
    draw = random.Random(seed)
    if shape == "stepped":
        yield from (("prefill", share, STEP_S) for share in cycle(STEPS))
    elif shape == "bursty":
        yield from (
            (kind, float(kind != "idle"), draw.uniform(*BURST_S)) for kind in cycle(("prefill", "decode", "idle"))
        )
    else:
        yield from cycle([("prefill" if shape == "steady" else shape, 1.0, STEP_S)])


def run(load: Iterator[Phase], work: dict[str, Callable[[], None]], seconds: float) -> None:
    """Work for a share of every tenth of a second, and rest for what is left of it."""
    end = time.monotonic() + seconds
    for kind, share, phase_s in load:
        phase_end = min(time.monotonic() + phase_s, end)
        while (started := time.monotonic()) < phase_end:
            while share > 0 and time.monotonic() < min(started + share * PERIOD_S, phase_end):
                work[kind]()
            time.sleep(max(0.0, min(started + PERIOD_S, phase_end) - time.monotonic()))
        if time.monotonic() >= end:
            return


def kernels(gpu: int) -> dict[str, Callable[[], None]]:
    """Prefill-like and decode-like work on one GPU; each call ends when the GPU is done."""
    try:
        import torch  # noqa: PLC0415
    except ImportError:
        sys.exit("gpu_load: needs PyTorch with CUDA (package torch), which the project does not install")
    if not torch.cuda.is_available() or gpu >= torch.cuda.device_count():
        sys.exit(f"gpu_load: PyTorch sees no GPU {gpu}; it sees {torch.cuda.device_count()}")
    device = torch.device("cuda", gpu)
    weights, many, few = (torch.randn(rows, SIZE, device=device, dtype=torch.bfloat16) for rows in (SIZE, SIZE, BATCH))

    def multiply(rows: object, times: int) -> None:
        for _ in range(times):
            torch.matmul(rows, weights)
        torch.cuda.synchronize(device)

    return {"prefill": lambda: multiply(many, 2), "decode": lambda: multiply(few, 50)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=("prefill", "decode", "steady", "stepped", "bursty"))
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    run(phases(asked.shape, asked.seed), kernels(asked.gpu), asked.seconds)


if __name__ == "__main__":
    main()
