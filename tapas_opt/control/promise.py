"""Which choices keep what users of an endpoint were promised."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.actuation import Option
from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.workload import Endpoint, Slo
from tapas_opt.serving.latency import LatencyTable
from tapas_opt.serving.mix import CONVERSATION
from tapas_opt.serving.pace import Pace

__all__ = ["in_time", "kept_frac"]

FloatArray = NDArray[np.float64]

NEARLY = 0.005
"""So many more late ones count as kept: profiles are no more exact than that."""


def in_time(endpoints: Sequence[Endpoint], options: Sequence[Option]) -> NDArray[np.bool_]:
    """``[endpoint, choice]`` whether users get their tokens in time while all of a choice's goodput is used.

    Goodput is the load at which a configuration keeps *its own* default promise, a multiple of its unloaded latencies;
    an endpoint's is fixed, and slower configurations of its model may break it at far less. What an endpoint prefers is
    always in time. What holds weights and takes no requests never is: it leaves them to others, where they come later,
    to save energy and nothing else.
    """
    kept = [[_keeps(endpoint, option) for option in options] for endpoint in endpoints]
    return np.array(kept, dtype=bool).reshape(len(endpoints), len(options))


def kept_frac(profile: Profile, level: float, slo: Slo) -> float:
    """Share of first tokens, or of gaps between tokens if that is less, in time at this part of a profile's goodput."""
    loads, kept = _kept(Pace.of(profile), slo)
    mean = CONVERSATION.mean
    tokens_per_s = level * profile.goodput_tokens_per_s / profile.configuration.replicas
    return float(np.interp(tokens_per_s / (mean.prompt_tokens + mean.output_tokens), loads, kept))


def _keeps(endpoint: Endpoint, option: Option) -> bool:
    profile = option.profile
    if profile is None:
        return True
    if option.level == 0.0:
        return False
    if profile.configuration.name == endpoint.configuration:
        return True
    return kept_frac(profile, option.level, endpoint.slo) >= endpoint.slo.quantile - NEARLY


@lru_cache(maxsize=65_536)
def _kept(pace: Pace, slo: Slo) -> tuple[FloatArray, FloatArray]:
    """Requests per second of a replica, and the share of the promise that it keeps at each."""
    table = _table(pace)
    return table.at.requests_per_s, table.kept_frac(slo)


@lru_cache(maxsize=256)  # a fifth of a megabyte each
def _table(pace: Pace) -> LatencyTable:
    return LatencyTable.of(pace, CONVERSATION)
