"""Telemetry as it comes in: believed where a sensor can say it, refused in words where not."""

import math
import time

from tapas_opt.api.v1 import telemetry_service_pb2
from tapas_opt.api.v1.telemetry_service_pb2 import GpuReading
from tapas_opt.client import messages
from tapas_opt.control.telemetry import PER_GPU, QUANTITIES, Latest, Readings
from tapas_opt.service.readings import believed


def test_a_reading_that_was_not_sent_is_absent_and_one_of_zero_is_zero(demo_topology):
    """Missing is never zero: an unset field must not become 0 °C."""
    message = telemetry_service_pb2.PushTelemetryRequest(
        observed_at_s=100.0,
        servers=[telemetry_service_pb2.ServerReading(server="R1-K1-S1", power_w=0.0)],
        upses=[telemetry_service_pb2.UpsReading(ups="U1")],
    )
    readings, accepted, refused = believed(message, demo_topology, {})
    assert readings.server_power_w == {"R1-K1-S1": 0.0}
    assert readings.inlet_c == readings.ups_power_w == {}
    assert (accepted, refused) == (1, [])


def test_absurd_readings_and_unknown_names_are_refused_in_words(demo_topology):
    message = telemetry_service_pb2.PushTelemetryRequest(
        observed_at_s=100.0,
        rooms=[telemetry_service_pb2.RoomReading(room="room1", outdoor_c=21.0)],
        servers=[
            telemetry_service_pb2.ServerReading(server="R1-K1-S1", inlet_c=999.0, hottest_gpu_c=float("nan")),
            telemetry_service_pb2.ServerReading(server="R9-K9-S9", power_w=1_000.0),
        ],
    )
    readings, accepted, refused = believed(message, demo_topology, {})
    assert readings.outdoor_c == {"room1": 21.0}
    assert accepted == 1
    assert refused == [
        "server R1-K1-S1: inlet_c 999 is not between 0 and 60",
        "server R1-K1-S1: hottest_gpu_c nan is not between 0 and 120",
        "server 'R9-K9-S9' does not exist",
    ]


def test_a_server_says_what_each_of_its_gpus_does(demo_topology):
    """GPU 2 sent its power only; what the others say of theirs stays missing."""
    message = telemetry_service_pb2.PushTelemetryRequest(
        observed_at_s=100.0,
        servers=[
            telemetry_service_pb2.ServerReading(
                server="R1-K1-S1",
                airflow_cfm=600.0,
                gpus=[GpuReading(gpu=2, power_w=0.0), GpuReading(gpu=3, load_frac=0.5)],
            )
        ],
        rows=[telemetry_service_pb2.RowReading(row="R1", meter_power_w=150_000.0)],
        pdus=[telemetry_service_pb2.PduReading(pdu="U1-P1", power_w=60_000.0)],
    )
    readings, accepted, refused = believed(message, demo_topology, {})
    assert (accepted, refused) == (5, [])
    assert readings.gpu_power_w["R1-K1-S1"][2] == 0.0
    assert [math.isnan(value) for value in readings.gpu_power_w["R1-K1-S1"]].count(True) == 7
    assert readings.gpu_load_frac["R1-K1-S1"][3] == 0.5
    assert readings.gpu_temperature_c == {}
    assert (readings.airflow_cfm, readings.row_power_w) == ({"R1-K1-S1": 600.0}, {"R1": 150_000.0})
    assert readings.pdu_power_w == {"U1-P1": 60_000.0}


def test_what_no_gpu_can_say_is_refused_and_the_rest_of_the_server_is_taken(demo_topology):
    """The server has GPUs 0 to 7; a GPU without its number is nobody's, not number 0's."""
    gpus = [
        GpuReading(gpu=0, power_w=-1.0, temperature_c=50.0, memory_temperature_c=131.0, load_frac=math.nan),
        GpuReading(gpu=8, power_w=100.0),
        GpuReading(power_w=100.0),
    ]
    servers = [telemetry_service_pb2.ServerReading(server=name, gpus=gpus) for name in ("R1-K1-S1", "ghost")]
    message = telemetry_service_pb2.PushTelemetryRequest(observed_at_s=100.0, servers=servers)
    readings, accepted, refused = believed(message, demo_topology, {})
    assert accepted == 1
    assert readings.gpu_temperature_c["R1-K1-S1"][0] == 50.0
    assert readings.gpu_power_w == readings.gpu_load_frac == {}
    assert refused == [
        "server R1-K1-S1: gpu 0 power_w -1 is not between 0 and 2000",
        "server R1-K1-S1: gpu 0 memory_temperature_c 131 is not between 0 and 130",
        "server R1-K1-S1: gpu 0 load_frac nan is not between 0 and 1",
        "server R1-K1-S1: gpu 8 is not one of 0 to 7",
        "server R1-K1-S1: gpu 0 is not one of 0 to 7",
        "server 'ghost' does not exist",
    ]


def test_what_a_client_states_is_what_the_server_reads(demo_topology):
    """Every quantity, with holes, there and back."""
    nan = math.nan
    sent = Readings(
        100.0,
        outdoor_c={"room1": 18.0},
        server_power_w={"R1-K1-S1": 2_000.0},
        inlet_c={"R1-K1-S2": 21.5},
        airflow_cfm={"R1-K1-S1": 512.0},
        hottest_gpu_c={"R1-K1-S1": 61.0},
        gpu_power_w={"R1-K1-S1": (nan, *[250.0] * 7)},
        gpu_temperature_c={"R1-K1-S1": (nan, *[55.0] * 7), "R1-K1-S3": (40.0,) + (nan,) * 7},
        gpu_memory_temperature_c={"R1-K1-S1": (nan, *[60.0] * 7)},
        gpu_load_frac={"R1-K1-S1": (nan, *[0.0] * 7)},
        row_power_w={"R1": 150_000.0},
        pdu_power_w={"U1-P1": 40_000.0},
        ups_power_w={"U1": 80_000.0},
        endpoint_tokens_per_s={"chat": 0.0},
    )
    came, accepted, refused = believed(messages.readings(sent), demo_topology, {"chat": None})
    assert (accepted, refused) == (38, [])
    for quantity in (*QUANTITIES, *PER_GPU):
        assert repr({k: list(v) if quantity in PER_GPU else v for k, v in getattr(sent, quantity).items()}) == repr(
            getattr(came, quantity)
        )


def test_a_push_is_judged_and_remembered_in_milliseconds(demo_topology):
    """2,080 readings of 80 servers: a thousand servers' must cost less than 50 ms; the bound is five times that."""
    names = demo_topology.servers
    per_gpu = {quantity: dict.fromkeys(names, (0.5,) * 8) for quantity in PER_GPU[:3]}
    ones = dict.fromkeys(names, 20.0)
    request = messages.readings(Readings(1.0, server_power_w=ones, inlet_c=ones, **per_gpu))
    began = time.perf_counter()
    readings, accepted, _ = believed(request, demo_topology, {})
    Latest().take(readings)
    took_s = time.perf_counter() - began
    assert accepted == 80 * (2 + 3 * 8)
    assert took_s * 1_000 / 80 < 0.25
