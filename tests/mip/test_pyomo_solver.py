import numpy as np
import pyomo.environ as pyo
import pytest

from tapas_opt.errors import InvalidInput, NotFound
from tapas_opt.mip import highs, pyomo_solver
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.result import MipStatus

VMS, SERVERS = ["v1", "v2"], ["S-1", "a,b", "7"]
COST = np.array([[4, 2, 9], [3, 1, 9]])
"""Labels include those that Pyomo puts in quotes."""


def arrays():
    """Two VMs go to servers that take one each; an overload y up to 5 costs 10."""
    model = MipModel()
    x = model.columns("assign", VMS, SERVERS, upper=1, cost=COST, integer=True)
    y = model.columns("overload", upper=5, cost=10)
    model.add(model.rows("vm_placed_once", VMS, lower=1, upper=1)[:, None], x, 1)
    room = model.rows("room", SERVERS, lower=-1)
    model.add(room[None, :], x, -1)
    model.add(room, y, 1)
    return model.arrays()


def textbook():
    m = pyo.ConcreteModel()
    m.assign = pyo.Var(VMS, SERVERS, domain=pyo.Binary)
    m.overload = pyo.Var(bounds=(0, 5))
    m.vm_placed_once = pyo.Constraint(VMS, rule=lambda m, v: sum(m.assign[v, s] for s in SERVERS) == 1)
    m.room = pyo.Constraint(SERVERS, rule=lambda m, s: sum(m.assign[v, s] for v in VMS) <= 1 + m.overload)
    cost = sum(int(COST[i, j]) * m.assign[v, s] for i, v in enumerate(VMS) for j, s in enumerate(SERVERS))
    m.cost = pyo.Objective(expr=cost + 10 * m.overload)
    return m


def test_the_same_model_written_twice_has_no_differences():
    """The room rows are written the other way round in Pyomo: a row equals its negative."""
    assert pyomo_solver.differences(arrays(), textbook()) == []


def test_every_kind_of_difference_is_named():
    m = textbook()
    m.assign["v1", "a,b"].setub(2)
    m.assign["v1", "a,b"].domain = pyo.Reals
    m.overload.setlb(-1)
    m.cost.set_value(m.cost.expr + m.overload + 3)
    m.extra = pyo.Var()
    m.vm_placed_once["v1"].set_value(sum(m.assign["v1", s] for s in SERVERS) + m.assign["v1", "7"] == 2)
    del m.room["7"]
    m.spare = pyo.Constraint(expr=m.overload <= 4)
    assert pyomo_solver.differences(arrays(), m) == [
        "column assign[v1,a,b]: integer is True in arrays, False in Pyomo",
        "column assign[v1,a,b]: upper bound is 1.0 in arrays, 2.0 in Pyomo",
        "column extra: only in Pyomo",
        "column overload: cost is 10.0 in arrays, 11.0 in Pyomo",
        "column overload: lower bound is 0.0 in arrays, -1.0 in Pyomo",
        "objective: constant 0 in arrays, 3.0 in Pyomo",
        "row room[7]: only in arrays",
        "row spare: only in Pyomo",
        "row vm_placed_once[v1]: coefficient of assign[v1,7] is 1.0 in arrays, 2.0 in Pyomo",
        "row vm_placed_once[v1]: lower bound is 1.0 in arrays, 2.0 in Pyomo",
        "row vm_placed_once[v1]: upper bound is 1.0 in arrays, 2.0 in Pyomo",
    ]


def test_a_row_without_coefficients_counts_as_absent():
    model = MipModel()
    x = model.columns("x")
    model.rows("empty", upper=3)
    model.add(model.rows("cancelled", upper=3), [x, x], [1, -1])
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=pyo.NonNegativeReals)
    m.same = pyo.Constraint(expr=m.x - m.x <= 2)
    m.cost = pyo.Objective(expr=0.0)
    assert pyomo_solver.differences(model.arrays(), m) == []


def test_a_difference_below_the_tolerance_is_none():
    m = textbook()
    m.overload.setub(5 * (1 + 1e-12))
    assert pyomo_solver.differences(arrays(), m) == []


def test_both_forms_have_the_same_optimum_in_the_same_order():
    """v1 to S-1 (4) and v2 to "a,b" (1), or v1 to "a,b" (2) and v2 to S-1 (3): 5 either way."""
    names = arrays().column_names()
    ours = highs.solve(arrays(), deadline_s=10)
    theirs = pyomo_solver.solve(textbook(), deadline_s=10, columns=names)
    assert theirs.status is MipStatus.OPTIMAL
    assert theirs.objective == pytest.approx(5) == ours.objective
    assert theirs.bound == pytest.approx(5)
    assert arrays().objective(theirs.values) == pytest.approx(5)
    assert arrays().worst_violation(theirs.values) == 0


def test_a_linear_program_has_its_objective_as_bound():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(2.5, 9))
    m.unused = pyo.Var(bounds=(-3, -1))
    m.cost = pyo.Objective(expr=2 * m.x)
    result = pyomo_solver.solve(m, deadline_s=10)
    assert (result.status, result.objective, result.bound) == (MipStatus.OPTIMAL, 5.0, 5.0)
    assert result.values.tolist() == [2.5, -1]


@pytest.mark.parametrize("domain", [pyo.NonNegativeReals, pyo.NonNegativeIntegers])
def test_infeasible_and_unbounded_are_told_apart(domain):
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=domain)
    m.r = pyo.Constraint(expr=m.x >= 1)
    m.cost = pyo.Objective(expr=-m.x)
    assert pyomo_solver.solve(m, deadline_s=10).status is MipStatus.UNBOUNDED
    m.y = pyo.Var(bounds=(0, 1), domain=pyo.Integers)
    m.never = pyo.Constraint(expr=2 * m.y >= 3)
    result = pyomo_solver.solve(m, deadline_s=10)
    assert (result.status, result.bound) == (MipStatus.INFEASIBLE, np.inf)


@pytest.mark.parametrize("solver", ["scip", "scip_persistent", "appsi_highs"])
def test_any_solver_that_pyomo_drives_answers_by_its_name(solver):
    """By its newer interface and by the older one; bound and status are the solver's own word, measured by us."""
    result = pyomo_solver.solve(textbook(), solver=solver, deadline_s=20, columns=arrays().column_names(), seed=1)
    assert (result.status, result.objective) == (MipStatus.OPTIMAL, pytest.approx(5))
    assert result.bound == pytest.approx(5)
    assert arrays().worst_violation(result.values) <= 1e-9


@pytest.mark.parametrize("solver", ["scip", "appsi_highs"])
def test_any_solver_that_pyomo_drives_says_what_has_no_solution(solver):
    m = textbook()
    m.never = pyo.Constraint(expr=sum(m.assign["v1", s] for s in SERVERS) >= 2)
    result = pyomo_solver.solve(m, solver=solver, deadline_s=20)
    assert (result.status, result.values, result.bound) == (MipStatus.INFEASIBLE, None, np.inf)


@pytest.mark.parametrize("solver", ["abacus", "cplex"])
def test_a_solver_that_is_not_there_is_told_with_those_that_are(solver):
    """Unknown to Pyomo, or known and not installed: what to type instead is in the sentence."""
    with pytest.raises(NotFound, match=rf"{solver}.*there are .*highs, .*appsi_highs"):
        pyomo_solver.solve(textbook(), solver=solver, deadline_s=1)


def test_a_model_that_is_not_linear_is_refused_by_name():
    m = textbook()
    m.square = pyo.Constraint(["R1"], rule=lambda m, r: m.overload**2 <= 3)
    with pytest.raises(InvalidInput, match=r"square\[R1\]: is not linear"):
        pyomo_solver.arrays_of(m)
