"""What is known of days that happened, and what must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.panel import NO_VM, SLOT_S
from tapas_opt.domain.vm_list import Lived
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import InvalidInput
from tapas_opt.simulation.backtest.past import borrowed, past_of


def without(panel, column, slots, server):
    """The panel without some readings of a server."""
    values = getattr(panel, column).copy()
    values[slots, server] = np.nan
    return replace(panel, **{column: values})


def test_a_vm_is_in_the_slots_that_begin_while_it_is_there(panel, lives, measured):
    """As in the table of VMs, sample by sample."""
    past = past_of(panel, lives, measured)
    assert np.array_equal(past.occupied, panel.vm != NO_VM)
    for stay in past.stays:
        assert {panel.vms[v] for v in panel.vm[stay.first : stay.stop, stay.column]} == {stay.vm.name}


def test_a_gap_between_readings_is_filled_in_proportion_to_time(panel, lives, measured):
    """4,000 W, two readings missing, then 4,300 W: 4,100 and 4,200 W."""
    power_w = panel.server_power_w.copy()
    power_w[9:13, 2] = 4000.0, np.nan, np.nan, 4300.0
    past = past_of(replace(panel, server_power_w=power_w), lives, measured)
    assert past.server_power_w[9:13, 2] == pytest.approx([4000.0, 4100.0, 4200.0, 4300.0])
    assert past.filled_frac > 0.0


def test_what_a_vm_drew_fills_no_gap_after_it_has_gone(panel, lives, measured):
    """A server at 4,000 W until its VM goes, and at 1,500 W from the second slot after: it was so in the first, too."""
    listed = [one for one in lives if one.server != "S3"] + [Lived(Vm("a", VmKind.IAAS, "t"), "S3", 0.0, panel.t_s[10])]
    power_w, gpu_w = panel.server_power_w.copy(), panel.gpu_power_w.copy()
    power_w[9:12, 2], gpu_w[9:12, 2, 3] = (4000.0, np.nan, 1500.0), (400.0, np.nan, 60.0)
    past = past_of(replace(panel, server_power_w=power_w, gpu_power_w=gpu_w), listed, measured)
    assert past.server_power_w[10, 2] == 1500.0
    assert past.gpu_power_w[10, 2, 3] == 60.0


def test_a_gpu_whose_sensor_is_broken_draws_what_its_servers_others_do(panel, lives, measured):
    gpu_w = panel.gpu_power_w.copy()
    gpu_w[:, 1, 5] = np.nan
    gpu_w[7, 1] = (100.0, 200.0, 300.0, 100.0, 200.0, np.nan, 300.0, 200.0)
    assert past_of(replace(panel, gpu_power_w=gpu_w), lives, measured).gpu_power_w[7, 1, 5] == pytest.approx(200.0)


def test_everything_that_must_be_known_of_a_vm_and_is_not_is_told_at_once(panel, lives, measured):
    blind = without(without(panel, "server_power_w", slice(None), 0), "vm_load_frac", slice(None), 1)
    instance = Vm("x", VmKind.SAAS, "operator", endpoint="conv", configuration="unheard-of")
    opaque = Vm("y", VmKind.IAAS, "tenant01")
    listed = [Lived(opaque, "S1", 0.0), Lived(replace(instance, configuration=known(lives)), "S2", 0.0)]
    with pytest.raises(InvalidInput) as error:
        past_of(blind, [*listed, Lived(replace(instance, name="z"), "S3", 0.0)], measured)
    assert [fault.where for fault in error.value.faults] == ["VM y", "VM x", "VM z"]
    for text in ("power of S1", "vms.load_frac", "'unheard-of' has no profile"):
        assert text in str(error.value)


def known(lives):
    return next(one.vm.configuration for one in lives if one.vm.configuration)


def test_without_the_weather_nothing_can_be_predicted(panel, lives, measured):
    with pytest.raises(InvalidInput, match="was not read once in room room1"):
        past_of(replace(panel, outdoor_c=np.full_like(panel.outdoor_c, np.nan)), lives, measured)


def test_days_without_any_vm_are_refused(panel, measured):
    with pytest.raises(InvalidInput, match="no VM lives"):
        past_of(panel, [Lived(Vm("a", VmKind.IAAS, "t"), "S1", 1e6)], measured)


def test_a_vm_that_came_and_went_between_two_samples_is_counted_and_left_out(panel, lives, measured):
    at_s = float(panel.t_s[5]) + 10.0
    free = next(s for s in range(6) if (panel.vm[5:7, s] == NO_VM).all()) if (panel.vm == NO_VM).any() else 0
    short = Lived(Vm("short", VmKind.IAAS, "t"), panel.topology.servers[free], at_s, at_s + SLOT_S / 2)
    assert past_of(panel, [*lives, short], measured).too_short == 1


def test_vms_of_somewhere_else_draw_what_opaque_vms_drew_here(panel, measured):
    """They come as they came, and take the tenants of those whose power they take."""
    lives = [Lived(Vm(f"p{i}", VmKind.IAAS, "pods"), None, 3600.0 * i, 3600.0 * (i + 2)) for i in range(4)]
    past = borrowed(panel, lives, measured)
    assert [stay.server for stay in past.stays] == [None] * 4
    for stay in past.stays:
        here = panel.vm[:, stay.column] != NO_VM
        assert here.mean() >= 0.9
        assert (panel.vm_configuration[here, stay.column] == NO_VM).all()
        assert stay.vm.tenant in {panel.templates[k] for k in panel.vm_template[here, stay.column]}
