import numpy as np

from tapas_opt.mip.ascent import climb


def valley(curvature, top):
    """A concave quadratic whose highest point is known."""

    def value(x):
        away = x - top
        return -0.5 * float(away @ curvature @ away), -curvature @ away

    return value


def test_it_reaches_the_top_of_a_quadratic_with_coupled_prices():
    """Condition number about 1e3: steepest ascent alone would need hundreds of steps."""
    rng = np.random.default_rng(1)
    root = rng.normal(size=(30, 30)) * np.geomspace(0.3, 3, 30)
    top = rng.uniform(1, 2, 30)
    found = climb(valley(root.T @ root + np.eye(30), top), np.zeros(30), np.full(30, 9.0), first_step=0.1, steps=120)
    assert np.allclose(found.point, top, atol=1e-3)


def test_prices_stay_within_their_bounds_and_are_best_there():
    """The free top is at -1, 5 and 2; within 0 and 3 the highest point of a round hill is the nearest: 0, 3 and 2."""
    found = climb(valley(np.eye(3), np.array([-1.0, 5.0, 2.0])), np.ones(3), np.full(3, 3.0), first_step=1.0, steps=50)
    assert np.allclose(found.point, [0.0, 3.0, 2.0], atol=1e-6)


def test_a_flat_function_ends_the_climb_at_once():
    found = climb(lambda x: (1.0, np.zeros_like(x)), np.zeros(4), np.ones(4), first_step=1.0, steps=50)
    assert found.evaluations == 1


def test_nothing_to_price_is_no_error():
    assert climb(lambda _: (2.0, np.zeros(0)), np.zeros(0), np.zeros(0), first_step=1.0, steps=5).value == 2.0
