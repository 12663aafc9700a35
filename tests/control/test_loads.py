"""What single VMs carry and draw."""

from tapas_opt.control import events as happened
from tapas_opt.control.profiles import choice_name

A100 = "dgx-a100"


def test_a_filled_instance_peaks_as_profiled_and_an_opaque_vm_below_the_nameplate(fleet, forecast_of, profiles, chat):
    """Routing may fill an instance at any time; no GPU draws more than its maximum."""
    forecast = forecast_of(fleet)
    profile = profiles.get(chat.configuration, A100)
    assert forecast.peak_gpu_power_w(fleet.vm("c0").vm, A100) == profile.hottest_gpu_power_w[-1]
    assert 0 < forecast.peak_gpu_power_w(fleet.vm("i0").vm, A100) <= 400.0


def test_what_an_instance_runs_is_read_from_its_choice(fleet, forecast_of, chat):
    """Until a plan speaks, what it started with, at full load; parked has no profile."""
    forecast = forecast_of(fleet)
    profile, level = forecast.running(fleet.vm("c0"), A100)
    assert (profile.configuration.name, level) == (chat.configuration, 1.0)
    half = choice_name("llama2-7b-fp16-tp2-b64-f1410", 0.5)
    assert half == "llama2-7b-fp16-tp2-b64-f1410@0.5"
    fleet.apply([happened.PlanApplied("p", "now", {"c0": half, "c1": "parked"})])
    profile, level = forecast.running(fleet.vm("c0"), A100)
    assert (profile.configuration.model, level) == ("llama2-7b", 0.5)
    assert forecast.running(fleet.vm("c1"), A100) == (None, 0.0)
    assert forecast.serving(fleet.vm("c1"), A100)[0].configuration.name == chat.configuration
    assert forecast.running(fleet.vm("i0"), A100) == (None, 1.0)
