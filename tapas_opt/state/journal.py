"""The journal: an append-only table in SQLite, or in another database by one URL.

What is appended is on disk before :meth:`Journal.append` returns (SQLite: WAL with ``synchronous=FULL``). Each entry's
digest covers the entry before it, so that damage anywhere is found on reading.
"""

from __future__ import annotations

import fcntl
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

from tapas_opt.errors import InvalidInput, JournalFailed

__all__ = ["Entry", "Journal", "journal_url"]

FORMAT = "tapas-opt/journal/1"
_BEFORE_THE_FIRST = hashlib.sha256(FORMAT.encode()).hexdigest()
_PAGE = 500

_METADATA = sql.MetaData()
_JOURNAL = sql.Table(
    "journal",
    _METADATA,
    sql.Column("sequence", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("request_id", sql.String(64), nullable=False, unique=True),
    sql.Column("method", sql.String(64), nullable=False),
    sql.Column("body_sha256", sql.String(64), nullable=False),
    sql.Column("events_json", sql.Text, nullable=False),
    sql.Column("response", sql.LargeBinary, nullable=False),
    sql.Column("recorded_at_s", sql.Double, nullable=False),
    sql.Column("digest", sql.String(64), nullable=False),
)
_ENTRY_COLUMNS = tuple(column for column in _JOURNAL.c if column.name != "digest")


@dataclass(frozen=True, slots=True)
class Entry:
    """One command that was carried out.

    Attributes
    ----------
    sequence
        1, 2, 3 …; given by :meth:`Journal.append`.
    body_sha256
        Of the request, so that the same id with another body is noticed.
    response
        The answer as it was sent, so that the same request gets the same answer again.
    """

    sequence: int
    request_id: str
    method: str
    body_sha256: str
    events_json: str
    response: bytes
    recorded_at_s: float

    def digest(self, before: str) -> str:
        """SHA-256 of this entry and of the digest ``before`` it; every part is preceded by its length."""
        parts = [before.encode(), *(part if isinstance(part, bytes) else str(part).encode() for part in astuple(self))]
        return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()


def journal_url(file_or_url: str) -> str:
    """``sqlite:///…`` for a file name; a URL stays as it is."""
    return file_or_url if "://" in file_or_url else f"sqlite:///{file_or_url}"


class Journal:
    """An open journal.

    Parameters
    ----------
    url
        An SQLAlchemy URL, such as ``sqlite:///runs/state.sqlite``.
    reading
        Only read: do not take the lock that keeps a second writer away, and create nothing.

    Raises
    ------
    InvalidInput
        If the URL is none, or names a database that would not outlive the process.
    JournalFailed
        If the journal cannot be opened, is damaged, or belongs to another running process.
    """

    def __init__(self, url: str, *, reading: bool = False) -> None:
        self._url = _parsed(url)
        self.name = self._url.database if _is_sqlite(self._url) else self._url.render_as_string(hide_password=True)
        self._append = threading.Lock()
        self._file_lock: IO[bytes] | None = None
        file = _sqlite_file(self._url)
        if file is not None:
            self._prepare(file, reading)
        self._engine = sql.create_engine(self._url)
        if _is_sqlite(self._url):
            sql.event.listen(self._engine, "connect", _durable_sqlite)
        try:
            self._last, self._last_digest = self._open(reading)
        except JournalFailed:
            self.close()
            raise

    def find(self, request_id: str) -> Entry | None:
        """Return the entry of a request that was carried out, or None."""
        with self._translating("read"), self._engine.connect() as connection:
            row = connection.execute(sql.select(*_ENTRY_COLUMNS).where(_JOURNAL.c.request_id == request_id)).first()
        return None if row is None else Entry(*row)

    def append(self, entry: Entry) -> Entry:
        """Make an entry durable; returns it with its sequence number, once a power cut cannot lose it."""
        with self._append, self._translating("written"):
            numbered = Entry(self._last + 1, *astuple(entry)[1:])
            digest = numbered.digest(self._last_digest)
            values = dict(zip((column.name for column in _ENTRY_COLUMNS), astuple(numbered), strict=True))
            with self._engine.begin() as connection:
                connection.execute(_JOURNAL.insert().values(**values, digest=digest))
            self._last, self._last_digest = numbered.sequence, digest
            return numbered

    def entries(self) -> Iterator[Entry]:
        """All entries in order, each verified; the first damaged one raises :class:`JournalFailed`."""
        expected, before = 1, _BEFORE_THE_FIRST
        while page := self._page(expected):
            for row in page:
                entry = Entry(*row[:-1])
                if entry.sequence != expected or row[-1] != entry.digest(before):
                    raise self._damaged(expected)
                yield entry
                expected, before = expected + 1, row[-1]
        if expected <= self._last:
            raise self._damaged(expected)

    def close(self) -> None:
        """Let another process have it."""
        if hasattr(self, "_engine"):
            self._engine.dispose()
        if self._file_lock is not None:
            self._file_lock.close()
            self._file_lock = None

    def _page(self, first: int) -> list[Any]:
        query = sql.select(*_JOURNAL.c).where(_JOURNAL.c.sequence >= first).order_by(_JOURNAL.c.sequence).limit(_PAGE)
        with self._translating("read"), self._engine.connect() as connection:
            return list(connection.execute(query))

    def _prepare(self, file: Path, reading: bool) -> None:
        if reading:
            if not file.is_file():
                raise InvalidInput.one(str(file), "file", "does not exist; `tapas-opt serve --state FILE` makes one")
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._file_lock = file.with_name(file.name + ".lock").open("wb")
        except OSError as error:
            if not file.is_file():
                raise JournalFailed(f"the journal {file} cannot be created: {error.strerror}") from error
            return  # a folder that cannot be written to has no second writer either
        try:
            fcntl.flock(self._file_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise JournalFailed(
                f"the journal {file} is in use by another tapas-opt server; stop that one, or choose another --state"
            ) from error

    def _open(self, reading: bool) -> tuple[int, str]:
        with self._translating("read"):
            if not reading:
                _METADATA.create_all(self._engine)
            query = sql.select(_JOURNAL.c.sequence, _JOURNAL.c.digest).order_by(_JOURNAL.c.sequence.desc()).limit(1)
            with self._engine.connect() as connection:
                row = connection.execute(query).first()
        return (0, _BEFORE_THE_FIRST) if row is None else (int(row[0]), str(row[1]))

    def _translating(self, doing: str) -> _Translating:
        return _Translating(f"the journal {self.name} cannot be {doing}")

    def _damaged(self, sequence: int) -> JournalFailed:
        return JournalFailed(
            f"the journal {self.name} is damaged at entry {sequence} of {self._last}: it is missing, or differs from "
            "what was written; restore it from a backup, or start with another --state and adopt the running VMs"
        )


class _Translating:
    """Turns what the database raises into :class:`JournalFailed`, in a sentence."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DatabaseError):
            raise JournalFailed(f"{self._what}: {error.orig}; nothing was changed") from error
        if isinstance(error, SQLAlchemyError):
            raise JournalFailed(f"{self._what}: {error}; nothing was changed") from error


def _parsed(url: str) -> sql.URL:
    try:
        parsed = sql.make_url(url)
        sql.create_engine(parsed)
    except (ArgumentError, ImportError) as error:
        raise InvalidInput.one(url, "state", f"is no file and no database URL that works here: {error}") from error
    if _is_sqlite(parsed) and (parsed.database or ":memory:") == ":memory:":
        raise InvalidInput.one(url, "state", "names no file; a journal in memory would forget everything")
    return parsed


def _is_sqlite(url: sql.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _sqlite_file(url: sql.URL) -> Path | None:
    if not _is_sqlite(url) or url.database is None or url.database.startswith("file:"):
        return None
    return Path(url.database)


def _durable_sqlite(connection: Any, _record: object) -> None:
    """The one place with SQL of SQLite's own: a commit returns when the write-ahead log is on disk."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=2000")
    cursor.close()
