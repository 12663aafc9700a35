"""What is acknowledged survives, what is damaged is noticed, and nobody else writes meanwhile."""

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tapas_opt.errors import InvalidInput, JournalFailed
from tapas_opt.state.journal import Entry, Journal, journal_url

PLACED = Entry(0, "request-1", "PlaceVms", "aa" * 32, '{"events": []}', b"\x00answer", 1_800_000_000.25)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def journal(file: Path):
    opened = Journal(journal_url(str(file)))
    yield opened
    opened.close()


def test_entries_come_back_in_order_and_as_they_were_written(file, journal):
    first = journal.append(PLACED)
    second = journal.append(replace(PLACED, request_id="request-2"))
    journal.close()
    reopened = Journal(journal_url(str(file)))
    assert list(reopened.entries()) == [first, second]
    assert [first.sequence, second.sequence] == [1, 2]
    reopened.close()


def test_a_request_is_found_by_its_id(journal):
    stored = journal.append(PLACED)
    assert journal.find("request-1") == stored
    assert journal.find("request-9") is None


def test_the_same_request_id_is_never_written_twice(journal):
    """The ledger answers a repeated id from the journal; should it ever fail to, the table refuses."""
    journal.append(PLACED)
    with pytest.raises(JournalFailed, match="cannot be written"):
        journal.append(PLACED)
    assert len(list(journal.entries())) == 1


def test_more_entries_than_a_page_are_all_read(journal):
    for number in range(1_001):  # two full pages of 500 and one entry
        journal.append(replace(PLACED, request_id=f"request-{number}"))
    assert sum(1 for _ in journal.entries()) == 1_001


def test_an_entry_survives_a_process_that_ends_without_closing(file):
    """os._exit runs no handler: what append returned from must be in the file all the same."""
    code = (
        "import os, sys; from tests_entry import entry; from tapas_opt.state.journal import Journal, journal_url\n"
        "Journal(journal_url(sys.argv[1])).append(entry); os._exit(9)"
    )
    file.parent.mkdir(parents=True)
    (file.parent / "tests_entry.py").write_text(
        f"from tapas_opt.state.journal import Entry\nentry = {PLACED!r}\n", encoding="utf-8"
    )
    environment = os.environ | {"PYTHONPATH": str(file.parent)}
    ended = subprocess.run([sys.executable, "-c", code, str(file)], env=environment, check=False)
    assert ended.returncode == 9
    journal = Journal(journal_url(str(file)))
    assert [entry.request_id for entry in journal.entries()] == ["request-1"]
    journal.close()


def test_a_second_writer_is_refused_in_a_sentence(file, journal):
    with pytest.raises(JournalFailed, match="in use by another tapas-opt server"):
        Journal(journal_url(str(file)))


def test_a_reader_may_look_while_the_writer_lives(file, journal):
    journal.append(PLACED)
    reader = Journal(journal_url(str(file)), reading=True)
    assert len(list(reader.entries())) == 1
    reader.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE journal SET events_json = '{}' WHERE sequence = 2",
        "UPDATE journal SET response = x'00' WHERE sequence = 2",
        "DELETE FROM journal WHERE sequence = 2",
    ],
)
def test_a_changed_or_missing_entry_is_noticed(file, journal, damage):
    for number in range(3):
        journal.append(replace(PLACED, request_id=f"request-{number}"))
    journal.close()
    with sqlite3.connect(file) as connection:
        connection.execute(damage)
    connection.close()
    reopened = Journal(journal_url(str(file)))
    with pytest.raises(JournalFailed, match="damaged at entry 2 of 3"):
        list(reopened.entries())
    reopened.close()


def test_a_file_that_is_no_database_is_refused_and_kept(file):
    file.parent.mkdir()
    file.write_text("these are my notes, not a journal\n" * 100)
    with pytest.raises(JournalFailed, match="not a database"):
        Journal(journal_url(str(file)))
    assert file.read_text().startswith("these are my notes")


def test_a_truncated_file_is_refused(file, journal):
    for number in range(50):
        journal.append(replace(PLACED, request_id=f"request-{number}", events_json="x" * 4_000))
    journal.close()
    with file.open("r+b") as raw:
        raw.truncate(file.stat().st_size // 2)
    with pytest.raises(JournalFailed, match="the journal"):  # noqa: PT012  where it is noticed depends on SQLite
        reopened = Journal(journal_url(str(file)))
        list(reopened.entries())
    if "reopened" in locals():
        reopened.close()


def test_a_read_only_journal_is_read_and_refuses_to_be_written(file, journal):
    journal.append(PLACED)
    journal.close()
    read_only = Journal(f"sqlite:///file:{file}?mode=ro&uri=true")
    assert len(list(read_only.entries())) == 1
    with pytest.raises(JournalFailed, match="cannot be written: attempt to write a readonly database"):
        read_only.append(replace(PLACED, request_id="request-2"))
    read_only.close()


def test_after_a_refused_write_the_next_one_succeeds(journal):
    """A full disk that was given room again must not need a restart."""
    journal.append(PLACED)
    with pytest.raises(JournalFailed):
        journal.append(PLACED)
    assert journal.append(replace(PLACED, request_id="request-2")).sequence == 2


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_journal_in_memory_is_refused(url):
    with pytest.raises(InvalidInput, match="would forget everything"):
        Journal(url)


def test_a_database_that_is_not_known_here_is_refused_in_words():
    with pytest.raises(InvalidInput, match="no database URL that works here"):
        Journal("nosuchdb://somewhere/journal")


def test_reading_a_journal_that_does_not_exist_says_so_and_creates_nothing(tmp_path):
    with pytest.raises(InvalidInput, match="does not exist"):
        Journal(journal_url(str(tmp_path / "none.sqlite")), reading=True)
    assert list(tmp_path.iterdir()) == []
