"""What the simulated truth assumes about the physical world, each number with its source."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AIR_HEAT_W_PER_K_CFM", "Parameters"]

AIR_HEAT_W_PER_K_CFM = 1.2 * 1005.0 * 0.000471947
"""Heat that one CFM of standard air carries per kelvin: 1.2 kg/m³ × 1,005 J/(kg·K) × m³/s per CFM = 0.569 W/K."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Coefficients of the plant; the defaults resemble an air-cooled room of eight-GPU servers.

    Where no source is named a value is an engineering estimate: it shapes the simulated truth and is never quoted
    as a result.

    Attributes
    ----------
    front_rise_k, rear_rise_k
        Rise of a GPU over its inlet at full power and reference flow, in the front and rear half of the server:
        0.10 and 0.14 K/W at the 400 W of an A100; other GPUs are built for the same rise at their own power.
    resistance_spread
        Standard deviation of the thermal resistance from GPU to GPU, as a fraction.
    convection_frac
        Share of the thermal resistance that depends on the flow over the heat sink.
    reference_speed
        Fan speed at which vendors state flow and at which the resistances hold (80 % PWM).
    leakage_frac, leakage_reference_c, leakage_scale_k
        Leakage at the reference temperature as a share of full GPU power; it grows e-fold in ``leakage_scale_k``.
    gpu_time_constant_s, memory_time_constant_s
        Thermal lag of a GPU and its memory (seconds to a minute).
    memory_idle_rise_k, memory_load_rise_k
        How much hotter than the GPU its memory runs when idle, and in addition at full power.
    throttle_release_k, throttle_frac
        A GPU at its limit keeps ``throttle_frac`` of dynamic power and speed until it is this far below the limit;
        hardware slowdown cuts clocks by two or more.
    fan_floor, fan_start_c, fan_full_c
        Lowest fan speed; the hottest GPU at which fans start to rise, and at which they are flat out.
    fan_inlet_start_c, fan_per_inlet_k
        Fans also rise by this fraction per kelvin of inlet above the start.
    fan_time_constant_s
        Lag of the fan controller.
    fan_power_frac
        Fan power flat out as a share of the server's; 100 % against 80 % speed is twice the power (fan laws).
    supply_cold_c, supply_knee_low_c, supply_knee_high_c, supply_slope, supply_slope_hot, supply_bend_k
        Supply air against outdoor temperature: flat below the low knee, sloping between, flatter above the high one
        (economiser, then chiller), rounded over ``supply_bend_k``.
    room_load_rise_k, room_load_exponent
        Warming of the supply air at the room's full power, and how it grows with load.
    room_time_constant_s
        Lag of supply air behind weather and load.
    row_spread_k, server_spread_k, row_end_rise_k, rack_top_rise_k
        Position offsets of an inlet: by row and server (standard deviations), at the ends of a row, at a rack's top.
    handler_margin, handler_floor, handler_time_constant_s
        Air handlers supply a little more than the servers want, never less than a share of their flow, with the lag of
        their drives.
    rack_air_j_per_k, rack_mass_j_per_k, rack_exchange_w_per_k
        Heat that a rack's part of the room stores: in 11 m³ of air, in about 120 kg of steel, and how well they
        exchange it. Chosen for the published course of a total loss of cooling: from 20 to 40 °C within about three
        minutes at 5 kW a rack, and within one at 10 kW.
    coil_drive_k
        Return air over chilled water where coils are rated: one kelvin warmer, and they take a twentieth more.
    shutdown_c, shutdown_inlet_c, restart_inlet_c, restart_s
        Hottest GPU (data sheet of the A100), and inlet, at which a server turns itself off; it comes back so long after
        its inlet was last above the highest that the DGX data sheets allow.
    brake_latency_s
        A power brake's way out of band.
    burst_frac
        What one-second means leave of the swing between the idle and busy phases of an engine, or of a tenant's VM.
    recirculation_top_weight
        How much more (and at the bottom less) of the recirculated heat the top of a rack gets.
    rack_overhead_w, distribution_loss_frac
        What the row's meter sees and no server reports: switches per rack, and losses.
    max_substep_s
        Longest step of the internal integration; shorter than the fan loop's oscillation.
    sensor_dropout_frac
        Share of readings that are missing.
    bad_sensor_frac, bad_sensor_horizon_s
        Share of sensors that go bad, and the time within which they do (four weeks: a month of history).
    """

    front_rise_k: float = 40.0
    rear_rise_k: float = 56.0
    resistance_spread: float = 0.04
    convection_frac: float = 0.6
    reference_speed: float = 0.8
    leakage_frac: float = 0.075
    leakage_reference_c: float = 60.0
    leakage_scale_k: float = 40.0
    gpu_time_constant_s: float = 20.0
    memory_time_constant_s: float = 30.0
    memory_idle_rise_k: float = 2.0
    memory_load_rise_k: float = 8.0
    throttle_release_k: float = 5.0
    throttle_frac: float = 0.5
    fan_floor: float = 0.30
    fan_start_c: float = 50.0
    fan_full_c: float = 83.0
    fan_inlet_start_c: float = 22.0
    fan_per_inlet_k: float = 0.01
    fan_time_constant_s: float = 10.0
    fan_power_frac: float = 0.12
    supply_cold_c: float = 18.0
    supply_knee_low_c: float = 15.0
    supply_knee_high_c: float = 25.0
    supply_slope: float = 0.6
    supply_slope_hot: float = 0.2
    supply_bend_k: float = 2.0
    room_load_rise_k: float = 2.0
    room_load_exponent: float = 1.3
    room_time_constant_s: float = 600.0
    row_spread_k: float = 0.4
    server_spread_k: float = 0.3
    row_end_rise_k: float = 0.6
    rack_top_rise_k: float = 1.0
    handler_margin: float = 1.1
    handler_floor: float = 0.3
    handler_time_constant_s: float = 20.0
    rack_air_j_per_k: float = 13e3
    rack_mass_j_per_k: float = 60e3
    rack_exchange_w_per_k: float = 430.0
    coil_drive_k: float = 20.0
    shutdown_c: float = 92.0
    shutdown_inlet_c: float = 40.0
    restart_inlet_c: float = 30.0
    restart_s: float = 300.0
    brake_latency_s: float = 5.0
    burst_frac: float = 0.25
    recirculation_top_weight: float = 0.4
    rack_overhead_w: float = 150.0
    distribution_loss_frac: float = 0.015
    max_substep_s: float = 15.0
    sensor_dropout_frac: float = 0.0
    bad_sensor_frac: float = 0.0
    bad_sensor_horizon_s: float = 28 * 86_400.0
