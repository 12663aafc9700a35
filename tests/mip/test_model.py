import numpy as np

from tapas_opt.mip.model import MipModel


def two_limits():
    """x + y <= 4 and 0 <= x, y <= 3."""
    model = MipModel()
    x = model.columns("x", ["a", "b"], upper=3)
    model.add(model.rows("sum", upper=4), x, 1)
    return model.arrays()


def test_the_worst_violation_is_that_of_rows_and_bounds_relative_to_their_limit():
    """3 + 3 breaks the row by 2 of 4; -1 breaks a bound of 0 by 1 of max(1, 0)."""
    assert two_limits().worst_violation(np.array([3.0, 3.0])) == 0.5
    assert two_limits().worst_violation(np.array([-1.0, 3.0])) == 1.0
    assert two_limits().worst_violation(np.array([1.0, 3.0])) == 0.0


def test_a_nan_is_never_a_solution():
    """Comparisons with NaN are false, so that a plain maximum would call it feasible."""
    assert two_limits().worst_violation(np.array([np.nan, 0.0])) == np.inf


def test_entries_of_the_same_place_are_summed_and_absent_places_drop_out():
    model = MipModel()
    x = model.columns("x", ["a", "b"], where=[True, False])
    row = model.rows("r")
    model.add(row, x, [2, 5])
    model.add(row, x, [3, 7])
    arrays = model.arrays()
    assert arrays.column_names() == ["x[a]"]
    assert (arrays.start.tolist(), arrays.index.tolist(), arrays.value.tolist()) == ([0, 1], [0], [5])
