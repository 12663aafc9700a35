"""A linear program that grows has the values and prices of the same one solved at once."""

import numpy as np
import pytest
from scipy.sparse import csc_array

from tapas_opt.mip import highs
from tapas_opt.mip.growing import GrowingProgram
from tapas_opt.mip.model import MipModel


def test_columns_that_come_later_and_limits_that_change_give_what_a_cold_start_gives():
    """Six units to cover at 1 each; patterns come in; then more is asked for, and one pattern is withdrawn."""
    program = GrowingProgram(6)
    singles, patterns = (
        np.eye(6),
        np.array([[1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]).T.astype(float),
    )
    for columns in (singles, patterns):
        sparse = csc_array(columns)
        program.add(np.ones(columns.shape[1]), sparse.indptr, sparse.indices, sparse.data)
    everything, free = np.hstack([singles, patterns]), np.full(6, np.inf)
    cases = [(np.ones(6), np.full(9, np.inf)), (np.array([1.0, 2, 1, 1, 1, 1]), np.array([np.inf] * 8 + [0.0]))]
    for lower, most in cases:
        program.limit(lower, free, most)
        values, price, objective = program.solve(10.0)
        model = MipModel()
        x = model.columns("x", [str(j) for j in range(9)], upper=most, cost=1.0)
        model.add(model.rows("cover", [str(r) for r in range(6)], lower=lower)[:, None], x[None, :], everything)
        assert objective == pytest.approx(highs.solve(model.arrays(), deadline_s=10).objective)
        assert (everything @ values >= lower - 1e-9).all()
        assert (values <= most + 1e-9).all()
        assert price @ lower == pytest.approx(objective)


def test_a_program_without_time_or_solution_has_no_answer():
    """A caller that took its values for a solution would price by noise."""
    program = GrowingProgram(1)
    program.add(np.ones(1), np.array([0, 1]), np.array([0]), np.ones(1))
    program.limit(np.ones(1), np.ones(1), np.zeros(1))
    assert program.solve(10.0) is None
