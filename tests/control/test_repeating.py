"""A sensor that repeats itself is stuck only where it should have moved."""

import numpy as np
import pytest

from tapas_opt.control.repeating import STUCK_READINGS, STUCK_S, Repeating

NAN = np.nan


def read(sensor, readings, expected, every_s=STUCK_S / 8):
    """Whether it counts as stuck after each reading."""
    return [
        bool(sensor.note(k * every_s, np.array([value]), np.array([should]))[0])
        for k, (value, should) in enumerate(zip(readings, expected, strict=True))
    ]


@pytest.fixture
def sensor():
    """One that should move by 3 °C before its silence means anything."""
    return Repeating((1,), 3.0)


def test_a_sensor_that_repeats_itself_while_all_else_moves_is_stuck(sensor):
    """From the tenth reading on: half an hour has passed too, and what it should say has moved by 9 × 0.4 °C."""
    assert STUCK_READINGS == 10
    stuck = read(sensor, [21.0] * 12, 20.0 + 0.4 * np.arange(12))
    assert stuck == [False] * 9 + [True] * 3


def test_a_quiet_night_is_no_broken_sensor(sensor):
    """The same reading for hours, and nothing that should have changed it."""
    assert not any(read(sensor, [21.0] * 40, 20.0 + 0.05 * np.arange(40)))


def test_one_new_digit_ends_it(sensor):
    """It is believed at once, and watched anew."""
    expected = 20.0 + 0.4 * np.arange(16)
    stuck = read(sensor, [21.0] * 11 + [24.4] + [24.5] * 4, expected)
    assert stuck == [False] * 9 + [True] * 2 + [False] * 5


def test_no_reading_is_no_repetition(sensor):
    """A dead sensor is missing, not stuck; and while nothing is expected nothing can be said."""
    assert not any(read(sensor, [21.0] + [NAN] * 20, 20.0 + np.arange(21)))
    assert not any(read(Repeating((1,), 3.0), [21.0] * 20, [NAN] * 20))


def test_often_is_not_long():
    """Ten equal readings within a minute are a fast collector."""
    assert not any(read(Repeating((1,), 3.0), [21.0] * 20, 20.0 + np.arange(20), every_s=6.0))
