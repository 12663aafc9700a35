"""Which routing plan is in force, and what requests teach it."""

import pytest

from tapas_opt.control.events import PlanApplied
from tapas_opt.control.router import STALE_AFTER_PLANS, TYPICAL_LENGTHS
from tapas_opt.domain.result import Mode
from tapas_opt.errors import NoInstance, NotFound

CLASSES = tuple(f"conv/{name}" for name, _, _ in TYPICAL_LENGTHS)


@pytest.fixture
def routing(controller, saas, run):
    """Three instances of ``conv`` and a plan made at 100 s."""
    run(saas(3))
    assert controller.refresh_routes(now_s=100.0)
    return controller


def route(controller, now_s=100.0, prompt=256.0, output=32.0, endpoint="conv", session=None):
    return controller.router.route(endpoint, prompt, output, session, now_s=now_s)


def test_before_the_first_plan_nobody_is_sent_anywhere(controller):
    """The caller is told to come back, not sent to a random place."""
    assert controller.router.table is None
    with pytest.raises(NoInstance, match="no routing plan was made yet"):
        route(controller)
    controller.router.complete("c0", 100.0)  # and nothing has to be given back


def test_an_unknown_endpoint_is_named_with_those_that_are_known(routing):
    """A typo in the name of an endpoint."""
    with pytest.raises(NotFound, match=r"'chess'.*known are conv"):
        route(routing, endpoint="chess")


def test_a_request_goes_to_an_instance_and_its_server(routing):
    """With the plan's snapshot and age, so that it can be traced."""
    answer = route(routing, now_s=102.0)
    assert answer.instance in ("c0", "c1", "c2")
    assert answer.server == routing.fleet.vm(answer.instance).server
    assert (answer.request_class, answer.pending_tokens) == ("conv/short-short", 288.0)
    assert (answer.mode, answer.snapshot, answer.table_age_s) == (Mode.GREEDY, routing.fleet.etag, 2.0)


def test_a_plan_is_made_anew_when_it_is_old_and_not_before(routing):
    """Every 5 s by default; a clock that jumped back makes it due as well."""
    assert not routing.refresh_routes(now_s=104.9)
    assert routing.refresh_routes(now_s=105.0)
    assert routing.refresh_routes(now_s=50.0)


def test_a_plan_is_made_anew_when_the_fleet_has_changed(routing):
    """A VM that is gone gets no more requests, without waiting for the plan's age."""
    routing.apply(routing.release(["c0"]))
    assert routing.refresh_routes(now_s=100.1)
    assert {route(routing, now_s=100.1).instance for _ in range(50)} == {"c1", "c2"}


def test_a_plan_that_is_not_renewed_goes_stale(routing):
    """After six periods of 5 s a pick says that it goes by an old plan."""
    assert route(routing, now_s=100.0 + 5.0 * STALE_AFTER_PLANS).mode is Mode.GREEDY
    assert route(routing, now_s=101.0 + 5.0 * STALE_AFTER_PLANS).mode is Mode.STALE_SAFE


def test_a_class_never_seen_keeps_a_small_part_of_the_mix(routing):
    """1,000 requests of 256 + 32 = 288,000 tokens, kept by 0.8: 230,400; each class counts 1 % of that on top.

    232,704 of 239,616 tokens are short, and each other class has 2,304, about 1 %.
    """
    for n in range(1_000):
        answer = route(routing, now_s=100.0 + n)
        routing.router.complete(answer.instance, answer.pending_tokens)
    mix = routing.router._mix(routing.fleet)["conv"]
    assert mix["conv/short-short"] == pytest.approx(232_704 / 239_616)
    assert [mix[name] for name in CLASSES[1:]] == pytest.approx([2_304 / 239_616] * 3)


def test_before_the_first_request_every_class_is_as_likely(routing):
    """Nothing is known yet: four classes, a quarter each."""
    assert routing.router._mix(routing.fleet) == {"conv": dict.fromkeys(CLASSES, 0.25)}


def test_a_session_stays_with_its_instance(routing):
    """Its context is cached there."""
    assert len({route(routing, session="s1").instance for _ in range(5)}) == 1


def test_work_that_ended_is_pending_no_more(routing):
    """What a request counted with is given back."""
    answer = route(routing)
    picker = routing.router._picker
    assert picker.pending_tokens(answer.instance) == 288.0
    routing.router.complete(answer.instance, answer.pending_tokens)
    assert picker.pending_tokens(answer.instance) == 0.0


def test_when_every_instance_is_parked_nobody_can(routing):
    """The reason is the endpoint's, and another plan will tell when it is over."""
    routing.apply([PlanApplied("p", "now", dict.fromkeys(("c0", "c1", "c2"), "parked"))])
    routing.refresh_routes(now_s=101.0)
    with pytest.raises(NoInstance, match="conv"):
        route(routing, now_s=101.0)
