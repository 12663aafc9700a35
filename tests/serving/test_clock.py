"""What a clock does, worked by hand at 70 % of the highest."""

from __future__ import annotations

import pytest

from tapas_opt.serving.clock import clock_power_frac, decode_power_frac, prefill_speed_frac, step_time_frac


def test_dynamic_power_goes_with_the_clock_and_the_voltage_squared():
    """v = 0.44 + 0.56 · 0.7 = 0.832, and 0.7 · 0.832² = 0.4846; all of it at the highest clock."""
    assert clock_power_frac([0.7, 1.0]) == pytest.approx([0.4846, 1.0], abs=1e-4)


def test_a_third_of_power_while_decoding_is_memorys():
    """1/3 + 2/3 · 0.4846 = 0.6564."""
    assert decode_power_frac(0.4846) == pytest.approx(0.6564, abs=1e-4)


def test_prompts_follow_the_clock_and_decoding_hardly_does():
    """0.7^0.8 = 0.7518; 0.7^−0.25 = 1.0933."""
    assert prefill_speed_frac(0.7) == pytest.approx(0.7518, abs=1e-4)
    assert step_time_frac(0.7) == pytest.approx(1.0933, abs=1e-4)
