"""Which choices keep what users of an endpoint were promised; that hangs on profiles alone, and is worked out once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.actuation import Option
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import LOAD_LEVELS, Profile
from tapas_opt.domain.workload import Endpoint, Slo
from tapas_opt.serving.latency import LOAD_FRACS, TIMES_S, LatencyTable
from tapas_opt.serving.mix import CONVERSATION
from tapas_opt.serving.pace import Pace
from tapas_opt.serving.stationary import saturated_requests_per_s, stationary

__all__ = ["good_enough", "in_time", "kept_frac"]

BoolArray = NDArray[np.bool_]

NEARLY = 0.005
"""So many more late ones count as kept: profiles are no more exact than that."""


@lru_cache(maxsize=1_024)
def good_enough(endpoint: Endpoint, profiles: Profiles) -> BoolArray:
    """``[choice]`` whether answers are at least as good as the endpoint accepts; parked gives none."""
    quality = [1.0 if option.profile is None else option.profile.quality for option in profiles.options]
    return np.array(quality) >= endpoint.quality_floor


@lru_cache(maxsize=1_024)
def in_time(endpoint: Endpoint, profiles: Profiles) -> BoolArray:
    """``[choice]`` who is good enough, and gives users their tokens in time while all of its goodput is used.

    Goodput is the load at which a configuration keeps *its own* default promise, a multiple of its unloaded latencies;
    an endpoint's is fixed, and slower configurations of its model may break it at far less. What an endpoint prefers is
    always in time. What holds weights and takes no requests never is: it leaves them to others, where they come later,
    to save energy and nothing else.
    """
    choices = zip(good_enough(endpoint, profiles).tolist(), profiles.options, strict=True)
    return np.array([good and _keeps(endpoint, option) for good, option in choices], dtype=bool)


def kept_frac(profile: Profile, level: float, slo: Slo) -> float:
    """Share of first tokens, or of gaps between tokens if that is less, in time at this part of a profile's goodput."""
    table = _under_load(profile)
    return float(table.by_load(table.kept_frac(slo), level * _goodput_requests_per_s(profile)))


def _keeps(endpoint: Endpoint, option: Option) -> bool:
    profile = option.profile
    if profile is None:
        return True
    if option.level == 0.0:
        return False
    if profile.configuration.name == endpoint.configuration:
        return True
    return kept_frac(profile, option.level, endpoint.slo) >= endpoint.slo.quantile - NEARLY


def _goodput_requests_per_s(profile: Profile) -> float:
    """Of one replica."""
    mean = CONVERSATION.mean
    return profile.goodput_tokens_per_s / profile.configuration.replicas / (mean.prompt_tokens + mean.output_tokens)


@lru_cache(maxsize=1_024)
def _under_load(profile: Profile) -> LatencyTable:
    """One replica at the loads that are asked for: its goodput's levels, within what tables know, and their ends."""
    pace = Pace.of(profile)
    saturated = saturated_requests_per_s(pace, CONVERSATION)
    levels = np.multiply(LOAD_LEVELS, _goodput_requests_per_s(profile) / saturated)
    fracs = np.unique([*np.clip(levels, LOAD_FRACS[0], LOAD_FRACS[-1]), LOAD_FRACS[0], LOAD_FRACS[-1]])
    return LatencyTable(pace, CONVERSATION, saturated, stationary(pace, CONVERSATION, fracs * saturated, TIMES_S))
