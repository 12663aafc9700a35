"""The budget rows as arrays and as Pyomo algebra."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest

from tapas_opt.budgets import formulation, reference
from tapas_opt.domain.result import Constraint
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.pyomo_solver import differences, named


def arrays_and_pyomo(numbers, servers, power_w, airflow_cfm, *, with_excess=False):
    """One column x a server, in both forms."""
    labels = [f"x{i}" for i in range(len(servers))]
    model, pyomo = MipModel(), pyo.ConcreteModel()
    x = model.columns("x", labels, upper=3.0, integer=True, cost=1.0)
    pyomo.x = pyo.Var(labels, domain=pyo.Integers, bounds=(0, 3))
    excess = pyomo_excess = None
    if with_excess:
        ups = Constraint.UPS_POWER_CAPACITY
        excess = {ups: model.columns("excess", ["U1", "U2", "U3", "U4"])}
        pyomo.excess = pyo.Var(["U1", "U2", "U3", "U4"], domain=pyo.NonNegativeReals)
        pyomo_excess = {ups: pyomo.excess}
    pyomo.cost = pyo.Objective(expr=sum(pyomo.x[label] for label in labels))
    draw = formulation.Draw(x, np.array(servers), power_w, airflow_cfm)
    terms = [reference.Term(pyomo.x[n], s, power_w[i].tolist(), airflow_cfm[i].tolist())
             for i, (n, s) in enumerate(zip(labels, servers, strict=True))]  # fmt: skip
    formulation.add_budgets(model, numbers, draw, excess)
    reference.add_budgets(pyomo, numbers, terms, pyomo_excess)
    return model.arrays(), pyomo


def test_each_domain_counts_its_share_of_each_column(two_rows, at_3_kw):
    """A VM of 2,001 W on S1 is 1,000.5 W on U1, which has 9,000 − 4,500 W left."""
    arrays, _ = arrays_and_pyomo(at_3_kw(two_rows), [0], np.array([[2_001]]), np.array([[300]]))
    rows = named(arrays).rows
    ups = rows["ups_power_capacity[U1,now]"]
    assert (dict(ups.coefficients), ups.upper) == ({"x[x0]": 1_000.5}, 4_500.0)
    assert "ups_power_capacity[U3,now]" not in rows  # K1 hangs on U1 and U2
    assert rows["row_power_budget[R1,now]"].coefficients["x[x0]"] == 2_001
    assert rows["aisle_airflow_capacity[A1,now]"].coefficients["x[x0]"] == 300


@pytest.mark.parametrize("with_excess", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_arrays_and_pyomo_are_the_same_rows(seed, with_excess, random_numbers):
    """Two witnesses of one formula: thirds and halves, with and without declared excess, slack forgotten or not."""
    rng = np.random.default_rng(seed)
    numbers = random_numbers(seed).tolerating_present_excess()
    most = rng.integers(0, 5_000, (6, 2))
    if seed % 2:
        numbers = numbers.without_slack_domains(most, most // 10)
    servers = rng.integers(0, 6, 4).tolist()
    pair = arrays_and_pyomo(numbers, servers, most[servers], most[servers] // 10, with_excess=with_excess)
    assert differences(*pair) == []


def test_rows_that_cannot_bind_are_not_stated(random_numbers):
    """Few of 168 slots bind; a row for each of the others costs time and excludes nothing."""
    numbers = random_numbers(0).tolerating_present_excess()
    nothing = np.zeros((6, 2), dtype=np.int64)
    arrays, _ = arrays_and_pyomo(numbers.without_slack_domains(nothing, nothing), [0], nothing[:1], nothing[:1])
    assert arrays.rows_count == 0


def test_a_site_without_domains_has_no_rows():
    """Budgets may be empty: a study may ask for none."""
    from tapas_opt.budgets.numbers import BudgetNumbers  # noqa: PLC0415

    arrays, _ = arrays_and_pyomo(BudgetNumbers(("now",), ()), [0], np.array([[1]]), np.array([[1]]))
    assert arrays.rows_count == 0
