"""The VMs of a replayed room as arrays: what each draws that was measured, and what orders change of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import LOAD_LEVELS, Profile
from tapas_opt.domain.topology import Topology
from tapas_opt.serving.clock import clock_power_frac, prefill_speed_frac
from tapas_opt.simulation.actuators import Running
from tapas_opt.simulation.backtest.past import Stay
from tapas_opt.simulation.crew import spread_of
from tapas_opt.simulation.policy import Shares

__all__ = ["Crew", "crew_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crew:
    """VMs in the order in which they came. Index letters: v VM, i instance.

    Attributes
    ----------
    column, server
        ``[v]`` the server on which it was measured, and the one on which it is.
    clock_power_frac
        ``[v]`` what its clock leaves of its dynamic power.
    instance
        ``[i]`` which VMs are instances.
    off
        ``[i]`` whether it is parked or loading: it draws nothing beyond idle.
    most_tokens_per_s, goodput_tokens_per_s, quality
        ``[i]`` what it takes, what it carries at full load, and how good its answers are.
    profile_w, measured_profile_w
        ``[i, level]`` mean GPU power of what it runs, and of what it ran, on the hardware where it was measured.
    capped
        Names of VMs with a capped clock.
    iaas_speed_frac
        Mean clock of the opaque VMs; 1 where there is none.
    """

    column: IntArray
    server: IntArray
    clock_power_frac: FloatArray
    position: Mapping[str, int]
    instance: IntArray
    off: NDArray[np.bool_]
    most_tokens_per_s: FloatArray
    goodput_tokens_per_s: FloatArray
    quality: FloatArray
    profile_w: FloatArray
    measured_profile_w: FloatArray
    capped: frozenset[str]
    iaas_speed_frac: float

    def given(self, demand_tokens_per_s: Mapping[str, float], shares: Shares) -> FloatArray:
        """``[i]`` tokens/s that each instance takes."""
        return spread_of(shares, self.position).given(demand_tokens_per_s, self.most_tokens_per_s)

    def extra_w(self, measured_w: FloatArray, load_frac: FloatArray, given_tokens_per_s: FloatArray) -> FloatArray:
        """``[v, gpu]`` what the GPUs of each VM draw beyond idle.

        Parameters
        ----------
        measured_w
            ``[v, gpu]`` what was measured of it.
        load_frac
            ``[i]`` part of its goodput that each instance carried then.
        """
        extra_w = measured_w.copy()
        now_w = _at(self.profile_w, given_tokens_per_s / self.goodput_tokens_per_s)
        change_w = now_w - _at(self.measured_profile_w, load_frac)
        serving = extra_w[self.instance]
        # A reading may lie below idle by its noise; an order does not make it so.
        changed = np.maximum(serving + change_w[:, None], np.minimum(serving, 0.0))
        extra_w[self.instance] = np.where(self.off[:, None], 0.0, changed)
        return np.asarray(extra_w * self.clock_power_frac[:, None])


def crew_of(running: Mapping[str, Running], stays: Mapping[str, Stay], profiles: Profiles, topology: Topology) -> Crew:
    """Lay VMs out; a configuration without a profile on some hardware counts there as on the other."""
    all_of = list(running.items())
    saas = [(v, name, one) for v, (name, one) in enumerate(all_of) if stays[name].profile is not None]
    before = [_known(stays[name].profile) for _, name, _ in saas]
    off = np.array([one.option.profile is None or one.loading for _, _, one in saas], dtype=bool)
    options = [one.option.profile or was for was, (_, _, one) in zip(before, saas, strict=True)]
    hardware = [topology.hardware[h] for h in topology.server_hardware]
    runs = [_on(hardware[one.server], item, profiles) for item, (_, _, one) in zip(options, saas, strict=True)]
    drew = [_on(was.hardware, item, profiles) for was, item in zip(before, options, strict=True)]
    level = np.array([one.option.level * prefill_speed_frac(one.frequency_frac) for _, _, one in saas])
    goodput = _column(runs, lambda item: item.goodput_tokens_per_s)
    opaque = [one.frequency_frac for name, one in all_of if stays[name].profile is None]
    return Crew(
        column=np.array([stays[name].column for name, _ in all_of], dtype=np.int64),
        server=np.array([one.server for _, one in all_of], dtype=np.int64),
        clock_power_frac=clock_power_frac([one.frequency_frac for _, one in all_of]),
        position={name: i for i, (_, name, _) in enumerate(saas)},
        instance=np.array([v for v, _, _ in saas], dtype=np.int64),
        off=off,
        most_tokens_per_s=np.where(off, 0.0, goodput * level),
        goodput_tokens_per_s=goodput,
        quality=_column(runs, lambda item: item.quality),
        profile_w=_levels(drew),
        measured_profile_w=_levels(before),
        capped=frozenset(name for name, one in all_of if one.frequency_frac < 1.0),
        iaas_speed_frac=float(np.mean(opaque)) if opaque else 1.0,
    )


def _known(profile: Profile | None) -> Profile:
    assert profile is not None
    return profile


def _on(hardware: str, profile: Profile, profiles: Profiles) -> Profile:
    return profiles.get(profile.configuration.name, hardware) or profile


def _column(profiles: Collection[Profile], of: Callable[[Profile], float]) -> FloatArray:
    return np.array([of(item) for item in profiles], dtype=np.float64)


def _levels(profiles: Collection[Profile]) -> FloatArray:
    return np.array([item.gpu_power_w for item in profiles], dtype=np.float64).reshape(-1, len(LOAD_LEVELS))


def _at(profile_w: FloatArray, load_frac: FloatArray) -> FloatArray:
    """``[i]`` power at a load, straight between the levels of a profile."""
    levels = np.array(LOAD_LEVELS)
    load = np.clip(load_frac, levels[0], levels[-1])
    cell = np.clip(np.searchsorted(levels, load, side="right") - 1, 0, len(levels) - 2)
    part = (load - levels[cell]) / (levels[cell + 1] - levels[cell])
    low, high = (np.take_along_axis(profile_w, (cell + k)[:, None], axis=1)[:, 0] for k in (0, 1))
    return np.asarray(low + part * (high - low))
