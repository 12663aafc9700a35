"""The collector of cycles does not fall into short work."""

from __future__ import annotations

import gc

import pytest

from tapas_opt.solve.undisturbed import undisturbed


@pytest.fixture(autouse=True)
def _collector_as_it_was():
    was_on = gc.isenabled()
    yield
    gc.enable() if was_on else gc.disable()


def test_nothing_is_collected_within_and_again_afterwards_however_it_ends():
    gc.enable()
    with undisturbed():
        with undisturbed():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), undisturbed():
        _ = 1 / 0
    assert gc.isenabled()


def test_who_turned_it_off_for_good_has_it_off_for_good():
    gc.disable()
    with undisturbed():
        pass
    assert not gc.isenabled()
