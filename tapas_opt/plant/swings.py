"""Power within the minute: what the mean of a step hides, from servers up to UPSs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology
from tapas_opt.plant.physics import over_gpus, summed
from tapas_opt.plant.power_chain import PowerFlow

__all__ = ["NO_JOB", "Peaks", "Swing", "peaks_of", "server_swing"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NO_JOB = -1
"""The number of a server whose work is nobody else's."""

P999_SIGMAS = 3.0902
"""99.9th percentile of a normal law, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Swing:
    """How the power of servers ``[S]`` moves from second to second: standard deviation, and the most it can rise."""

    sigma_w: FloatArray
    headroom_w: FloatArray


@dataclass(frozen=True, slots=True)
class Peaks:
    """99.9th percentile of the one-second power of every server, rack, row, PDU and UPS."""

    server_w: FloatArray
    rack_w: FloatArray
    row_w: FloatArray
    pdu_w: FloatArray
    ups_w: FloatArray


def server_swing(
    gpu_w: FloatArray, gpu_idle_w: FloatArray, gpu_peak_w: FloatArray, burst_frac: FloatArray, host_w_per_w: FloatArray
) -> Swing:
    """Swing of servers whose GPUs ``[S, G]`` go through phases together.

    A GPU that is either idle at ``l`` or busy at ``h``, and draws ``μ`` in the mean, has the standard deviation
    ``√((h − μ)·(μ − l))`` (a Bernoulli variable's). Within one second many phases pass, so that ``burst_frac`` of it
    is left; of n engines with phases of their own ``burst_frac/√n``. One VM holds a server: the GPUs of its engine move
    as one, and its processors with them.
    """
    up, down = np.maximum(gpu_peak_w - gpu_w, 0.0), np.maximum(gpu_w - gpu_idle_w, 0.0)
    with_host = 1.0 + host_w_per_w
    sigma_w = with_host * burst_frac * over_gpus(np.add, np.sqrt(up * down))
    return Swing(sigma_w, np.where(sigma_w > 0, with_host * over_gpus(np.add, up), 0.0))


def peaks_of(topology: Topology, server_w: FloatArray, flow: PowerFlow, swing: Swing, job: IntArray) -> Peaks:
    """What every element draws in the worst second of a thousand: ``mean + 3.09·σ``, at most all of it at its peak.

    Servers of one job rise and fall together, so that their deviations add up; jobs are independent of each other, so
    that their variances do: ``σ² = Σ_jobs (Σ_servers of the job share·σ)²``.
    """
    t = topology
    owner = np.where(job == NO_JOB, job.max(initial=NO_JOB) + 1 + np.arange(len(job)), job)
    share, feed = flow.feed_share[t.server_rack], np.maximum(t.rack_feeds, 0)[t.server_rack]
    alone, row = np.ones((len(job), 1)), t.server_row[:, None]

    def peak(mean_w: FloatArray, share: FloatArray, place: IntArray) -> FloatArray:
        sigma_w = _sigma(swing.sigma_w[:, None] * share, owner, place, len(mean_w))
        headroom_w = summed((swing.headroom_w[:, None] * share).ravel(), place.ravel(), len(mean_w))
        return mean_w + np.minimum(P999_SIGMAS * sigma_w, headroom_w)

    return Peaks(
        server_w=server_w + np.minimum(P999_SIGMAS * swing.sigma_w, swing.headroom_w),
        rack_w=peak(flow.rack_w, alone, t.server_rack[:, None]),
        row_w=peak(flow.row_w, alone, row),
        pdu_w=peak(flow.pdu_w, share, feed),
        ups_w=peak(flow.ups_w, share, t.pdu_ups[feed]),
    )


def _sigma(sigma_w: FloatArray, owner: IntArray, place: IntArray, places: int) -> FloatArray:
    """``[places]`` deviation of what ``[S, parts]`` of the servers' deviations come to, by owner and place."""
    pairs, pair = np.unique((owner[:, None] * places + place).ravel(), return_inverse=True)
    together = summed(sigma_w.ravel(), pair, len(pairs))
    return np.sqrt(summed(together**2, pairs % places, places))
