"""One readable model for each constraint, and one name for each constraint everywhere.

To add a constraint's model: a function in ``problems.py`` beside this file, then ``make golden``, and read the file.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from inspect import getdoc, getmembers, isfunction
from pathlib import Path
from typing import Any

import pyomo.environ as pyo
import pytest

from tapas_opt.api.v1 import common_pb2
from tapas_opt.domain.result import Constraint
from tapas_opt.mip.lp_file import lp_text
from tapas_opt.solve import KINDS
from tapas_opt.solve.prices import BOOKKEEPING, UNITS

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


def stories() -> dict[str, Callable[[], Any]]:
    """Each problem that is called after a constraint, by its name."""
    spec = importlib.util.spec_from_file_location("golden_problems", HERE / "problems.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: make for name, make in getmembers(module, isfunction) if constraint_of(name) is not None}


def constraint_of(name: str) -> Constraint | None:
    """The constraint that a problem is called after."""
    text = re.sub(r"_in_(placement|routing|reconfiguration|horizon)$", "", name)
    return Constraint(text) if text in set(Constraint) else None


STORIES = stories()


def arrays_of(name: str) -> Any:
    problem = STORIES[name]()
    kind = KINDS[type(problem)]
    return kind.formulation.formulate(problem, kind.classes(problem))


def text_of(name: str) -> str:
    story = " ".join(getdoc(STORIES[name]).split())
    return lp_text(arrays_of(name), f"{name}\n\n{story}")


def row_blocks(name: str) -> set[str]:
    """Names of the row blocks that have rows."""
    return {block.name for block in arrays_of(name).row_blocks if block.present.any()}


@pytest.mark.parametrize("name", STORIES)
def test_the_model_is_the_one_that_was_read(name):
    """A change of a formulation shows as a change of a file that people read; `make golden` writes them anew."""
    file = HERE / f"{name}.lp"
    assert file.exists(), f"{file.name} is missing; run `make golden` and read what it writes"
    assert text_of(name) == file.read_text(encoding="utf-8"), (
        f"{file.name} has changed; run `make golden`, read the diff"
    )


def test_every_constraint_has_a_model_and_every_model_a_constraint():
    """Without one, nobody has read what the constraint says to a solver."""
    missing = set(Constraint) - {constraint_of(name) for name in STORIES}
    assert not missing, f"write functions {sorted(missing)} in tests/golden/problems.py, then `make golden`"
    assert {file.stem for file in HERE.glob("*.lp")} == set(STORIES)


@pytest.mark.parametrize("name", STORIES)
def test_a_model_has_its_constraint_s_rows_or_says_that_there_are_none(name):
    """What decides eligibility shows by the columns that are not there."""
    has_rows = constraint_of(name).value in row_blocks(name)
    assert has_rows != ("no row" in getdoc(STORIES[name]))


# One name: in the arrays, in Pyomo, in the checker, in the API. The documents' headings are in tests/test_docs.py.


def names_in_arrays() -> set[str]:
    return set().union(*(row_blocks(name) for name in STORIES))


def test_every_row_of_the_arrays_is_called_after_a_constraint():
    assert names_in_arrays() <= {constraint.value for constraint in Constraint}


@pytest.mark.parametrize("name", STORIES)
def test_pyomo_calls_its_constraints_as_the_arrays_call_their_rows(name):
    """The two witnesses are compared by name, so that one that is missing must not be a name that is another."""
    problem = STORIES[name]()
    kind = KINDS[type(problem)]
    model = kind.reference.reference(problem, kind.classes(problem))
    stated = {part.local_name for part in model.component_objects(pyo.Constraint) if len(part)}
    assert stated == row_blocks(name)


def trees(pattern: str) -> Iterator[ast.AST]:
    for path in sorted((REPOSITORY / "tapas_opt").glob(pattern)):
        yield ast.parse(path.read_text(encoding="utf-8"))


def constraints_named_in(node: ast.AST) -> set[str]:
    """Members of `Constraint` that a piece of code names."""
    return {
        Constraint[each.attr].value
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "Constraint"
    }


def names_in_checkers() -> set[str]:
    """What checkers call violations by, the families of budgets, and the terms of the objective that have rows."""
    found: set[str] = set()
    for tree in trees("*/**/*check*.py"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Violation":
                found |= constraints_named_in(node)
            if isinstance(node, ast.Dict):
                found |= {key.value for key in node.keys if isinstance(key, ast.Constant)} & set(Constraint)
    for tree in trees("**/numbers.py"):
        for node in ast.walk(tree):
            states = isinstance(node, ast.FunctionDef) and node.name == "budget_numbers"
            if states or (isinstance(node, ast.Call) and getattr(node.func, "id", "").lower().endswith("family")):
                found |= constraints_named_in(node)
    return found


def test_the_checker_judges_every_constraint_by_its_name():
    """As a violation, as a budget, or, where it only prices something, as a term of the cost."""
    assert names_in_checkers() == {constraint.value for constraint in Constraint}


def test_every_row_that_can_be_bought_has_a_unit():
    """A shadow price is of one more W, VM or token/s; name the unit in `tapas_opt/solve/prices.py`."""
    assert names_in_arrays() == {constraint.value for constraint in (*UNITS, *BOOKKEEPING)}


def test_the_api_has_a_reason_for_every_constraint():
    reasons = {name.removeprefix("REASON_").lower() for name in dict(common_pb2.Reason.items())}
    assert reasons - {"unspecified", "not_solved"} == {constraint.value for constraint in Constraint}


def write() -> None:
    """Write every file anew, and remove those of constraints that are gone."""
    for file in HERE.glob("*.lp"):
        if file.stem not in STORIES:
            file.unlink()
    for name in STORIES:
        (HERE / f"{name}.lp").write_text(text_of(name), encoding="utf-8")
        sys.stdout.write(f"tests/golden/{name}.lp\n")


if __name__ == "__main__":
    write()
