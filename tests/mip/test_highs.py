import subprocess
import sys

import numpy as np
import pytest

from tapas_opt.mip import highs
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.result import MipStatus


def transport(supply):
    """Two plants, two towns that need 30 and 25; shipping costs 4, 6 from the first and 5, 3 from the second."""
    model = MipModel()
    ship = model.columns("ship", ["P1", "P2"], ["T1", "T2"], cost=[[4, 6], [5, 3]])
    model.add(model.rows("supply", ["P1", "P2"], upper=supply)[:, None], ship, 1)
    model.add(model.rows("demand", ["T1", "T2"], lower=[30, 25])[None, :], ship, 1)
    return model.arrays()


def test_a_linear_program_has_its_worked_optimum_and_prices():
    """P1 ships 20 to T1, P2 the other 10 and 25 to T2: 80 + 50 + 75 = 205. One unit more of P1 saves 5 - 4 = 1."""
    result = highs.solve(transport([20, 40]), deadline_s=10)
    assert result.status is MipStatus.OPTIMAL
    assert result.objective == pytest.approx(205)
    assert result.bound == pytest.approx(205)
    assert result.row_duals == pytest.approx([-1, 0, 5, 3])


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("change", [-5.0, -1.0, 1.0, 8.0, 30.0])
def test_a_price_never_promises_more_than_the_changed_limit_brings(row, change):
    """z(b + δ) >= z(b) + π·δ for either sign of δ, because z is convex in b."""
    before = highs.solve(transport([20, 40]), deadline_s=10)
    supply = np.array([20.0, 40.0])
    supply[row] += change
    after = highs.solve(transport(supply), deadline_s=10)
    assert after.objective >= before.objective + before.row_duals[row] * change - 1e-6


def test_a_costless_end_of_a_linear_program_is_unbounded():
    model = MipModel()
    model.columns("x", cost=-1)
    assert highs.solve(model.arrays(), deadline_s=10).status is MipStatus.UNBOUNDED


def test_continuous_and_integer_columns_mix():
    """x integer, y up to 0.5, x + y <= 2.7: x = 2 and y = 0.5."""
    model = MipModel()
    x = model.columns("x", cost=-1, upper=5, integer=True)
    y = model.columns("y", cost=-1, upper=0.5)
    row = model.rows("r", upper=2.7)
    model.add(row, x, 1)
    model.add(row, y, 1)
    result = highs.solve(model.arrays(), deadline_s=10)
    assert result.values == pytest.approx([2, 0.5])
    assert result.row_duals is None


def test_the_thread_count_may_change_from_solve_to_solve(knapsack):
    """HiGHS itself refuses another count than that of the process's first solve."""
    assert {highs.solve(knapsack, deadline_s=10, threads=t).status for t in (1, 2, 1)} == {MipStatus.OPTIMAL}


def test_nothing_is_printed(knapsack, capfd):
    highs.solve(knapsack, deadline_s=10)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("order", ["highspy, ortools.sat.python.cp_model", "ortools.sat.python.cp_model, highspy"])
def test_highspy_and_ortools_load_into_one_process_in_either_order(order):
    """highspy 1.15 and ortools 9.15 do not (google/or-tools#5246): hence highspy<1.15 in pyproject.toml."""
    done = subprocess.run([sys.executable, "-c", f"import {order}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_solvers_loads_no_solver():
    code = "import sys, tapas_opt.mip.worker; print([m for m in ('highspy', 'ortools', 'pyomo') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
