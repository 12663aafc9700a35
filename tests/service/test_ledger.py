"""A command is carried out once, is durable before it is answered, and is not done if it cannot be."""

import threading
import uuid

import pytest

from tapas_opt.api.v1 import site_service_pb2
from tapas_opt.control.events import ModeSet, OperatingMode
from tapas_opt.errors import DeadlinePassed, JournalFailed, RequestIdReused
from tapas_opt.service.clock import SystemClock
from tapas_opt.service.ledger import Decided, Ledger, batches, first_site
from tapas_opt.state.journal import Journal, journal_url


@pytest.fixture
def journal(tmp_path):
    opened = Journal(journal_url(str(tmp_path / "state.sqlite")))
    yield opened
    opened.close()


@pytest.fixture
def ledger(journal, controller):
    return Ledger(journal, controller, SystemClock())


def freeze(**fields):
    """A request to watch only."""
    return site_service_pb2.SetModeRequest(
        **{"request_id": str(uuid.uuid4()), "mode": "OPERATING_MODE_SHADOW"} | fields
    )


def settle():
    return Decided((ModeSet(OperatingMode.SHADOW),), site_service_pb2.SetModeResponse(mode="OPERATING_MODE_SHADOW"))


def carry_out(ledger, request, decide=lambda: settle, wanted=lambda: True):
    return ledger.carry_out(request, site_service_pb2.SetModeResponse, decide, wanted)


def test_a_command_is_journaled_and_applied(ledger, journal, controller):
    carry_out(ledger, freeze())
    assert [entry.method for entry in journal.entries()] == ["SetMode"]
    assert controller.fleet.mode is OperatingMode.SHADOW


def test_the_same_request_is_decided_once_and_answered_twice(ledger, journal):
    decided = []
    request = freeze()
    answers = [carry_out(ledger, request, lambda: decided.append(1) or settle) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(decided) == len(list(journal.entries())) == 1


def test_a_repetition_that_comes_while_the_first_is_under_way_waits_for_its_answer(ledger, journal):
    """A client that times out and retries must not get a second server for its VM."""
    request, deciding, go_on, decided = freeze(), threading.Event(), threading.Event(), []

    def slowly():
        decided.append(1)
        deciding.set()
        go_on.wait(5)
        return settle

    threads = [threading.Thread(target=carry_out, args=(ledger, request, slowly)) for _ in range(2)]
    threads[0].start()
    assert deciding.wait(5)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(5)
    assert len(decided) == len(list(journal.entries())) == 1


def test_the_same_id_with_another_body_is_refused(ledger, controller):
    request = freeze()
    carry_out(ledger, request)
    with pytest.raises(RequestIdReused, match="came before, as SetMode"):
        carry_out(ledger, freeze(request_id=request.request_id, mode="OPERATING_MODE_ACT"))


def test_what_is_only_validated_changes_and_records_nothing(ledger, journal, controller):
    answer = carry_out(ledger, freeze(validate_only=True))
    assert answer == settle().response
    assert list(journal.entries()) == []
    assert controller.fleet.mode is OperatingMode.ACT


def test_what_cannot_be_made_durable_is_not_done(ledger, journal, controller):
    journal.close()
    ledger._journal = Journal(f"sqlite:///file:{journal.name}?mode=ro&uri=true")
    with pytest.raises(JournalFailed, match="nothing was changed"):
        carry_out(ledger, freeze())
    ledger._journal.close()
    assert controller.fleet.mode is OperatingMode.ACT


def test_what_nobody_waits_for_any_more_is_not_done(ledger, journal, controller):
    """A reservation whose caller has gone would hold a server for nobody."""
    with pytest.raises(DeadlinePassed, match="nothing was changed"):
        carry_out(ledger, freeze(), wanted=lambda: False)
    assert list(journal.entries()) == []
    assert controller.fleet.mode is OperatingMode.ACT


def test_a_journal_gives_back_its_site_and_its_events(ledger, journal, demo_site):
    ledger.start(demo_site)
    carry_out(ledger, freeze())
    assert first_site(journal) == demo_site
    assert [events[-1] for _, events in batches(journal)][-1] == ModeSet(OperatingMode.SHADOW)


def test_a_journal_without_a_site_is_refused(ledger, journal):
    carry_out(ledger, freeze())
    with pytest.raises(JournalFailed, match="does not begin with a site"):
        first_site(journal)


def test_events_of_another_version_are_refused_by_the_number_of_their_entry(ledger, journal, demo_site):
    ledger.start(demo_site)
    entry = next(journal.entries())
    journal.append(type(entry)(0, "x", "SetMode", "", '{"events": [{"kind": "from_the_future"}]}', b"", 0.0))
    with pytest.raises(JournalFailed, match="at entry 2 that this version cannot read"):
        list(batches(journal))
