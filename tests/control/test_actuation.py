"""How long each knob takes until its watts are free, worked out."""

import pytest

from tapas_opt.control.actuation import Actuation, Option
from tapas_opt.domain.configuration import Configuration, Profile


def option(level=1.0, model="big", batch=64, frequency_mhz=1410.0, reload_s=100.0):
    configuration = Configuration(f"{model}-b{batch}-f{frequency_mhz:g}", model, "fp16", 8, 1, batch, frequency_mhz)
    pace = (8_000.0, 2e-8, 500_000.0, 1024)
    powers = (60, 200, 300), (70, 250, 400)
    profile = Profile(configuration, "dgx", 1000.0, *powers, 1.0, 0.1, 0.01, reload_s, 100.0, *pace)
    return Option(f"{configuration.name}@{level:g}", profile, level)


FULL, PARKED = option(), Option("parked", None, 0.0)

ACTUATION = Actuation(detect_s=0.5, decide_s=0.25, clock_s=1.0, drain_s=20.0)


@pytest.mark.parametrize(
    ("now", "then", "delay_s"),
    [
        pytest.param(FULL, FULL, 0.0, id="nothing to do"),
        pytest.param(PARKED, PARKED, 0.0, id="parked stays parked"),
        pytest.param(FULL, option(frequency_mhz=990.0), 0.75 + 1.0, id="a lower clock"),
        pytest.param(option(frequency_mhz=990.0), FULL, 0.75 + 1.0, id="a higher clock"),
        pytest.param(FULL, option(level=0.5), 0.75 + 20.0, id="half the load: decodes run on"),
        pytest.param(option(level=0.5), FULL, 0.75 + 1.0, id="more load drains nothing"),
        pytest.param(FULL, option(batch=16), 0.75 + 20.0, id="a smaller batch: decodes run on"),
        pytest.param(FULL, option(batch=16, frequency_mhz=990.0), 0.75 + 20.0, id="the slowest knob counts"),
        pytest.param(FULL, PARKED, 0.75 + 20.0, id="parking: decodes run on"),
        pytest.param(PARKED, FULL, 0.75 + 100.0, id="waking loads weights"),
        pytest.param(FULL, option(model="small", reload_s=30.0), 0.75 + 20.0 + 30.0, id="drain, then load weights"),
    ],
)
def test_a_change_takes_detection_decision_and_its_slowest_knob(now, then, delay_s):
    """0.5 s until it is reported, 0.25 s until a plan is published, and then the hardware."""
    assert ACTUATION.delay_s(now, then) == delay_s


def test_only_other_weights_are_a_reload():
    """Batch, clock and load change in flight; parking unloads."""
    assert not Actuation.reloads(FULL, option(batch=16, frequency_mhz=990.0, level=0.5))
    assert not Actuation.reloads(FULL, PARKED)
    assert Actuation.reloads(PARKED, FULL)
    assert Actuation.reloads(FULL, option(model="small"))


def test_tables_hold_every_pair():
    """From row to column; nothing to do on the diagonal."""
    delay, reload = ACTUATION.tables((FULL, option(level=0.5), PARKED))
    assert delay.tolist() == [[0.0, 20.75, 20.75], [1.75, 0.0, 20.75], [100.75, 100.75, 0.0]]
    assert reload.tolist() == [[False, False, False], [False, False, False], [True, True, False]]
