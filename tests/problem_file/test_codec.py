"""Dataclasses as plain JSON values and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tapas_opt.problem_file.axes import AXES
from tapas_opt.problem_file.codec import hints_of, plain, read
from tapas_opt.problem_file.files import KINDS


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Part:
    """All forms that a field may have."""

    pair: tuple[str, int] = ("a", 1)
    names: frozenset[str] = frozenset({"y", "x"})
    priced: Mapping[tuple[Colour, str], float] = field(default_factory=lambda: {(Colour.RED, "R1"): math.inf})
    by_colour: Mapping[Colour, int] = field(default_factory=lambda: {Colour.RED: 2})
    nested: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: {"q": {"i": 0.1}})
    maybe: tuple[str | None, ...] = (None, "n")
    empty: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    tolerance: NDArray[np.float64] = field(default_factory=lambda: np.array([[0.1, np.inf]]))
    flags: NDArray[np.bool_] | None = None


def test_every_form_of_a_field_comes_back(same):
    raw = plain(Part(), Part)
    assert raw == {
        "pair": ["a", 1],
        "names": ["x", "y"],
        "priced": [[["red", "R1"], "inf"]],
        "by_colour": {"red": 2},
        "nested": {"q": {"i": 0.1}},
        "maybe": [None, "n"],
        "empty": {"shape": [0, 3]},
        "tolerance": [[0.1, "inf"]],
        "flags": None,
    }
    faults: list[Any] = []
    assert same(read(raw, Part, "part", faults), Part())
    assert faults == []


def test_a_field_with_a_default_may_be_absent(same):
    """Files that were recorded before a field was thought of stay readable."""
    assert same(read({}, Part, "part", []), Part())


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({"pair": ["a"]}, "part.pair: has 1 members; must have 2"),
        ({"priced": {"red": 1}}, "part.priced: must be a list of [key, value]"),
        ({"priced": [[["red", "R1"], 1], [["red", "R1"], 2]]}, "part.priced[1]: is there twice"),
        ({"priced": [7]}, "part.priced[0]: must be [key, value]"),
        ({"by_colour": {"blue": 1}}, "part.by_colour['blue']: 'blue': must be one of ['red']"),
        ({"empty": {"shape": [1]}}, 'part.empty: must be a list, or {"shape": […]} of an array without numbers'),
        ({"flags": [0]}, "part.flags[0]: 0: must be true or false"),
        ({"tolerance": [[0.1], 0.1]}, "part.tolerance[1]: must be a list of 1, as those before it are"),
        ([], "part: must be an object of fields"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(raw, fault):
    faults: list[Any] = []
    read(raw, Part, "part", faults)
    assert [str(each) for each in faults] == [fault]


def test_a_type_without_a_form_is_a_defect_not_a_guess():
    with pytest.raises(TypeError, match="no form in a file"):
        plain(Part(), complex)


def test_every_array_of_every_problem_says_what_it_runs_over():
    """A new array needs a line in AXES (`tapas_opt/problem_file/axes.py`), or files are read that no code expects."""

    def classes(kind: type) -> set[type]:
        found = {kind}
        for hint in hints_of(kind).values():
            for inner in (hint, *getattr(hint, "__args__", ())):
                if hasattr(inner, "__dataclass_fields__"):
                    found |= classes(inner)
        return found

    for kind in set().union(*(classes(each.problem) for each in KINDS.values())):
        arrays = {name for name, hint in hints_of(kind).items() if "numpy.ndarray" in str(hint)}
        missing = arrays - set(AXES.get(kind, {}))
        assert not missing, f"{kind.__name__}: {', '.join(sorted(missing))} say nothing of their axes in AXES"
        assert set(AXES.get(kind, {})) <= set(hints_of(kind)), f"{kind.__name__}: AXES names fields that are gone"
