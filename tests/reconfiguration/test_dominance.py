import numpy as np

from tapas_opt.reconfiguration.dominance import undominated


def test_worse_in_every_respect_is_left_out():
    """(2, 3) is no better than (1, 3) anywhere."""
    assert undominated(np.array([[1, 3], [2, 3], [2, 1]])).tolist() == [True, False, True]


def test_of_equals_the_first_is_kept():
    """Leaving out both would lose the optimum."""
    assert undominated(np.array([[1, 1], [1, 1], [1, 1]])).tolist() == [True, False, False]


def test_random_choices_keep_exactly_the_pareto_front():
    """A plain double loop says the same."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        points = rng.integers(0, 4, (12, 3))
        expected = [
            not any((q <= p).all() and ((q < p).any() or j < i) for j, q in enumerate(points) if j != i)
            for i, p in enumerate(points)
        ]
        assert undominated(points).tolist() == expected
