"""What happened in the days that are replayed: what was measured, and who drew it where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.panel import NO_VM, SLOT_S, Panel, mean_of_present
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.vm_list import Lived
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import Fault, InvalidInput

__all__ = ["Past", "Stay", "borrowed", "past_of"]

FloatArray = NDArray[np.float64]

DONOR_FRAC = 0.9
"""A server lends what it drew to VMs of elsewhere if an opaque VM ran on it for this part of the time."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A VM in the slots in which it is replayed.

    Attributes
    ----------
    first, stop
        Its slots, from the first until before the last.
    column
        The server on which what it draws was measured.
    server
        Where it ran, by name; None for a VM of somewhere else.
    profile
        What an instance ran there; None for an opaque VM.
    """

    vm: Vm
    first: int
    stop: int
    column: int
    server: str | None
    profile: Profile | None


@dataclass(frozen=True)
class Past:
    """Measured power without gaps, and everything else as it was read. Index letters: t slot, s server, g GPU, r row.

    Attributes
    ----------
    panel
        As it was read: what is missing is NaN.
    server_power_w, gpu_power_w
        ``[t, s]`` and ``[t, s, g]``; single missing readings are those before and after, in proportion to time, and a
        GPU that was never read draws what its server's others do in the mean. NaN for a server that was never read.
    meter_w
        ``[t, r]`` of the rows' meters, filled alike.
    load_frac
        ``[t, s]`` part of its goodput that the instance on a server carried.
    occupied
        ``[t, s]`` whether a VM ran there.
    filled_frac
        Part of the servers' power that was not read but filled in.
    """

    panel: Panel
    server_power_w: FloatArray
    gpu_power_w: FloatArray
    meter_w: FloatArray
    load_frac: FloatArray
    occupied: NDArray[np.bool_]
    stays: tuple[Stay, ...]
    too_short: int
    filled_frac: float

    @property
    def topology(self) -> Topology:
        """Of the site."""
        return self.panel.topology

    @property
    def start_s(self) -> float:
        """When the first slot begins."""
        return float(self.panel.t_s[0])

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self.panel.t_s)

    @property
    def days(self) -> float:
        """How many days are replayed."""
        return self.slots * SLOT_S / 86_400.0

    @cached_property
    def outdoor_c(self) -> FloatArray:
        """``[t, room]`` without gaps."""
        return _filled(self.panel.outdoor_c)

    @cached_property
    def endpoints(self) -> dict[str, Profile]:
        """What most instances of each endpoint ran."""
        of: dict[str, list[Profile]] = {}
        for stay in self.stays:
            if stay.profile is not None and stay.vm.endpoint is not None:
                of.setdefault(stay.vm.endpoint, []).append(stay.profile)
        return {name: Counter(ran).most_common(1)[0][0] for name, ran in of.items()}

    def tokens_per_s(self, stay: Stay, t: int) -> float:
        """Prompt and output tokens per second that an instance carried in a slot."""
        assert stay.profile is not None
        return float(self.load_frac[t, stay.column]) * stay.profile.goodput_tokens_per_s

    def demand_tokens_per_s(self, t: int) -> dict[str, float]:
        """By endpoint: what its instances carried together in a slot, and what users are taken to have asked for."""
        return dict(zip(self.endpoints, self._carried[t].tolist(), strict=True))

    @cached_property
    def _carried(self) -> FloatArray:
        """``[t, endpoint]`` tokens/s."""
        number = {name: e for e, name in enumerate(self.endpoints)}
        carried = np.zeros((self.slots, len(number)))
        for stay in self.stays:
            if stay.profile is not None:
                during = slice(stay.first, stay.stop)
                load_frac = self.load_frac[during, stay.column]
                carried[during, number[stay.vm.endpoint or ""]] += load_frac * stay.profile.goodput_tokens_per_s
        return carried


def past_of(panel: Panel, lives: Sequence[Lived], profiles: Profiles) -> Past:
    """Lay measured power beside the VMs that drew it.

    A VM is in the slots that begin while it is there.

    Raises
    ------
    InvalidInput
        Naming the VMs on servers of which no power, of any GPU or as a whole, was read; instances whose load was never
        read, or whose configuration has no profile; rooms whose outdoor temperature was never read; or if there is no
        VM, or no temperature of any GPU, in these days.
    """
    stays, too_short = _stays(panel, lives, profiles)
    occupant = np.full(panel.server_power_w.shape, NO_VM)
    for v, stay in enumerate(stays):
        occupant[stay.first : stay.stop, stay.column] = v
    return _laid_out(panel, stays, too_short, occupant)


def borrowed(panel: Panel, lives: Sequence[Lived], profiles: Profiles) -> Past:
    """VMs of somewhere else on a site: who came and went when is theirs, what each draws was measured here.

    One after the other they take what a server drew on which an opaque VM ran nearly all of the time, and count as its
    tenant's.

    Raises
    ------
    InvalidInput
        If the history has no such server, or none of them lives in these days.
    """
    ran = (panel.vm != NO_VM) & (panel.vm_configuration == NO_VM)
    lends = np.flatnonzero((ran.mean(axis=0) >= DONOR_FRAC) & np.isfinite(panel.server_power_w).any(axis=0))
    if not lends.size:
        what = (
            f"no server ran an opaque VM for {DONOR_FRAC:.0%} of the days that are replayed, whose power VMs could take"
        )
        raise InvalidInput.one("backtest", "--history", what)
    listed = []
    for i, one in enumerate(lives):
        s = int(lends[i % lends.size])
        template = panel.templates[int(np.bincount(panel.vm_template[ran[:, s], s]).argmax())]
        listed.append(replace(one, vm=replace(one.vm, tenant=template), server=panel.topology.servers[s]))
    stays, too_short = _stays(panel, listed, profiles)
    past = _laid_out(panel, stays, too_short, panel.vm)
    return replace(past, stays=tuple(replace(stay, server=None) for stay in past.stays))


def _stays(panel: Panel, lives: Sequence[Lived], profiles: Profiles) -> tuple[tuple[Stay, ...], int]:
    """VMs in the slots of the panel, and how many came and went between two of them."""
    start_s, end_s = float(panel.t_s[0]), float(panel.t_s[-1]) + SLOT_S
    number = {name: s for s, name in enumerate(panel.topology.servers)}
    here = [one for one in lives if one.deleted_s > start_s and one.created_s < end_s]
    stays = [_stay(panel, one, number[one.server or ""], profiles) for one in here]
    kept = tuple(stay for stay in stays if stay.first < stay.stop)
    return kept, len(stays) - len(kept)


def _laid_out(panel: Panel, stays: tuple[Stay, ...], too_short: int, occupant: NDArray[np.integer[Any]]) -> Past:
    """Measured power beside those who drew it; ``occupant`` ``[t, s]`` is a number of the VM, or :data:`NO_VM`."""
    changed = np.vstack([np.zeros(occupant.shape[1], dtype=bool), occupant[1:] != occupant[:-1]])
    stretch = np.cumsum(changed, axis=0)
    past = Past(
        panel=panel,
        server_power_w=_filled(panel.server_power_w, stretch),
        gpu_power_w=_like_its_peers(_filled(panel.gpu_power_w, stretch), panel.topology),
        meter_w=_filled(panel.meter_w),
        load_frac=_filled(panel.vm_load_frac, stretch),
        occupied=occupant != NO_VM,
        stays=stays,
        too_short=too_short,
        filled_frac=float(np.mean(~np.isfinite(panel.server_power_w))),
    )
    faults = [fault for stay in stays for fault in _unread(past, stay)]
    faults += [Fault("--vms", "no VM lives in the days that are replayed")] * (not stays)
    if not np.isfinite(panel.gpu_c).any():
        faults.append(Fault("gpus.temperature_c", "was not read once in the days that are replayed"))
    faults += [
        Fault("rooms.outdoor_c", f"was not read once in room {name} in the days that are replayed")
        for name, read_c in zip(panel.topology.rooms, panel.outdoor_c.T, strict=True)
        if not np.isfinite(read_c).any()
    ]
    if faults:
        raise InvalidInput("backtest", faults)
    return past


def _stay(panel: Panel, lived: Lived, s: int, profiles: Profiles) -> Stay:
    first, stop = np.searchsorted(panel.t_s, (lived.created_s, lived.deleted_s)).tolist()
    profile = None
    if lived.vm.kind is VmKind.SAAS:
        hardware = panel.topology.hardware[panel.topology.server_hardware[s]]
        profile = profiles.get(lived.vm.configuration or "", hardware)
    return Stay(lived.vm, first, stop, s, lived.server, profile)


def _unread(past: Past, stay: Stay) -> list[Fault]:
    """What must be known of a VM and is not."""
    s, where = stay.column, f"VM {stay.vm.name}"
    faults = []
    if not np.isfinite(past.server_power_w[0, s]) or not np.isfinite(past.gpu_power_w[0, s, 0]):
        what = f"power of {stay.server}, or of all of its GPUs, was not read or not believed once; leave the VM out"
        faults.append(Fault(where, what))
    if stay.vm.kind is VmKind.SAAS and stay.profile is None:
        faults.append(Fault(where, f"{stay.vm.configuration!r} has no profile on the hardware of {stay.server}"))
    if stay.vm.kind is VmKind.SAAS and not np.isfinite(past.panel.vm_load_frac[stay.first : stay.stop, s]).any():
        what = "no load of the instance was read (vms.load_frac); list it as iaas, and it draws what it drew"
        faults.append(Fault(where, what))
    return faults


def _like_its_peers(gpu_power_w: FloatArray, topology: Topology) -> FloatArray:
    """``[t, s, g]`` with the mean of a server's other GPUs for those that were never read."""
    unread = np.isnan(gpu_power_w) & topology.has_gpu
    return np.where(unread, mean_of_present(gpu_power_w)[..., None], gpu_power_w)


def _filled(values: NDArray[np.floating[Any]], stretch: NDArray[np.integer[Any]] | None = None) -> FloatArray:
    """``[t, …]`` with what is missing between readings in proportion to time, and the nearest at both ends.

    Parameters
    ----------
    stretch
        ``[t, s]`` a number that changes when a VM comes or goes: readings of others fill a gap only where there are
        none of the same.
    """
    whole = values.astype(np.float64).reshape(len(values), -1)
    for i in np.flatnonzero(~np.isfinite(whole).all(axis=0)):
        if stretch is not None:
            of = stretch[:, i * stretch.shape[1] // whole.shape[1]]
            for number in np.unique(of[~np.isfinite(whole[:, i])]):
                here = np.flatnonzero(of == number)
                whole[here, i] = _between(whole[here, i])
        whole[:, i] = _between(whole[:, i])
    return whole.reshape(values.shape)


def _between(values: FloatArray) -> FloatArray:
    """``[t]`` without gaps, as it is where nothing was read."""
    read = np.flatnonzero(np.isfinite(values))
    return values if not read.size else np.interp(np.arange(len(values)), read, values[read])
