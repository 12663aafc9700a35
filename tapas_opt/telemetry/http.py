"""GET over HTTP with patience: what passes by itself is waited for, and what does not is said at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tapas_opt.errors import InvalidInput, ServerUnreachable

if TYPE_CHECKING:
    import httpx

__all__ = ["Credentials", "JsonClient"]

RETRIES = 5
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
_PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks: a bearer token, or a user with a password, or nobody. Never printed."""

    token: str = ""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Credentials(...)"

    @classmethod
    def of(cls, variable: str, token_file: Path | None, user: str | None, password_file: Path | None) -> Credentials:
        """Credentials from files, or else from the variables ``<variable>_TOKEN`` and ``<variable>_PASSWORD``.

        Raises
        ------
        InvalidInput
            If a file cannot be read or is empty, or a password is missing.
        """
        token = _secret(token_file, "--token-file") or ("" if user else os.environ.get(f"{variable}_TOKEN", ""))
        password = _secret(password_file, "--password-file") or os.environ.get(f"{variable}_PASSWORD", "")
        if user and not password:
            what = f"has no password; give --password-file or set {variable}_PASSWORD"
            raise InvalidInput.one("credentials", "--user", what)
        return cls(token, user or "", password if user else "")


def _secret(file: Path | None, option: str) -> str:
    if file is None:
        return ""
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput.one("credentials", option, f"{file} cannot be read: {error}") from error
    if not secret:
        raise InvalidInput.one("credentials", option, f"{file} is empty")
    return secret


class JsonClient:
    """Answers of one server, as JSON. Certificates are verified; neither proxies nor redirects are followed.

    Parameters
    ----------
    ca_file
        Certificates to trust in place of the usual ones, for a site's own authority.
    wait
        How waiting is done between attempts.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        *,
        timeout_s: float = 60.0,
        ca_file: Path | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx  # noqa: PLC0415  only who fetches pays for it

        self.url = _judged(url)
        who = credentials or Credentials()
        self._wait = wait
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            headers={"Authorization": f"Bearer {who.token}"} if who.token else {},
            auth=(who.user, who.password) if who.user else None,
            verify=_verified(ca_file),
            trust_env=False,
        )

    def __enter__(self) -> JsonClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of an answer, None for an error without any.

        Statuses that pass by themselves are asked again, with growing pauses.

        Raises
        ------
        ServerUnreachable
            If no answer comes, or none but such statuses.
        InvalidInput
            If the credentials are refused, or what answers does not speak JSON.
        """
        import httpx  # noqa: PLC0415  only who fetches pays for it

        last = ""
        for attempt in range(RETRIES):
            try:
                answer = self._client.get(f"{self.url}{path}", params=dict(parameters or {}))
            except httpx.TransportError as error:
                last = f"{type(error).__name__}: {error}".rstrip(": ")
                pause = 0.0
            else:
                if answer.status_code not in _PASSING or _is_final(answer):
                    return answer.status_code, self._json(answer, path)
                last = f"status {answer.status_code}"
                pause = _retry_after(answer)
            if attempt + 1 < RETRIES:
                self._wait(min(max(pause, FIRST_WAIT_S * 2**attempt), LONGEST_WAIT_S))
        raise ServerUnreachable(
            f"{self.url} does not answer: {last}, {RETRIES} times; check the address and the server"
        )

    def _json(self, answer: httpx.Response, path: str) -> Any:
        if answer.status_code in (401, 403):
            what = f"the server refuses the credentials (status {answer.status_code}); give --token-file or --user"
            raise InvalidInput.one(self.url, path, what)
        if answer.is_redirect:
            what = f"redirects to {answer.headers.get('location', 'nowhere')}; give that address instead"
            raise InvalidInput.one(self.url, path, what)
        try:
            return answer.json()
        except ValueError:
            if answer.is_error:
                return None
            what = f"status {answer.status_code} and no JSON; is this the address of the API?"
            raise InvalidInput.one(self.url, path, what) from None


def _is_final(answer: httpx.Response) -> bool:
    """Whether a status that usually passes comes with the answer of a query that ran too long: again is no better."""
    try:
        return bool(answer.json().get("errorType") in ("timeout", "canceled"))
    except (ValueError, AttributeError):
        return False


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 0.0


def _judged(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput.one("source", "--url", f"{url!r}: must be like http://prometheus.example:9090")
    if parts.username or parts.password:
        raise InvalidInput.one("source", "--url", "holds a password; give --user and --password-file instead")
    return url.rstrip("/")


def _verified(ca_file: Path | None) -> Any:
    if ca_file is None:
        return True
    import ssl  # noqa: PLC0415

    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput.one("source", "--ca-file", f"{ca_file}: no certificates: {error}") from error
