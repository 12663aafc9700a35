"""The error tree: drawn as it is, one sentence each, and whole after a journey between processes."""

import inspect
import pickle

import pytest

from tapas_opt import errors
from tapas_opt.errors import Conflict, Fault, InvalidInput, NotFound, RequestIdReused, TapasError

ALL = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, TapasError)]

EXAMPLES = [
    InvalidInput.one("solve", "solver", "'x': must be one of greedy, highs"),
    InvalidInput("site.yaml", [Fault("name", "is missing"), Fault("rooms", "is empty")]),
    NotFound("VM", "v1", "it was released"),
    RequestIdReused("request_id 1 came before"),
    *(item("a sentence") for item in ALL if item not in (InvalidInput, NotFound)),
]


def test_every_error_is_exported_and_drawn_in_the_tree():
    """Whoever catches errors reads the tree, not the file."""
    assert {item.__name__ for item in ALL} | {"Fault"} == set(errors.__all__)
    for item in ALL:
        assert item.__name__ in errors.__doc__


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_survives_a_journey_between_processes(error):
    """Solvers run in processes of their own: what they raise must arrive as what it was."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_one_fault_is_one_line_and_several_are_listed():
    """Bad input lists all faults at once."""
    one = InvalidInput.one("site.yaml", "name", "is missing")
    assert str(one) == "site.yaml: name: is missing"
    two = InvalidInput("site.yaml", [*one.faults, Fault("rooms[0]", "is empty")])
    assert str(two) == "site.yaml: 2 faults\n  name: is missing\n  rooms[0]: is empty"


def test_what_does_not_exist_is_named_with_a_hint():
    """The hint says what does exist, or what to do."""
    assert str(NotFound("UPS", "U9")) == "UPS 'U9' does not exist"
    assert str(NotFound("UPS", "U9", "the site has U1, U2")) == "UPS 'U9' does not exist; the site has U1, U2"


def test_a_reused_request_id_is_a_conflict():
    """Whoever handles conflicts handles it."""
    assert issubclass(RequestIdReused, Conflict)
