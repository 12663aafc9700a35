"""Asking over HTTP: patient with what passes by itself, plain about what does not."""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tapas_opt.errors import InvalidInput, ServerUnreachable
from tapas_opt.telemetry.http import Credentials, JsonClient
from tapas_opt.telemetry.prometheus_api import PrometheusApi

OK = json.dumps({"status": "success", "data": ["up"]})


class Answers(http.server.ThreadingHTTPServer):
    """Gives the answers it was told, one after another and the last one for ever, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, str, dict[str, str]]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def say(self, *answers: tuple[int, str] | tuple[int, str, dict[str, str]]) -> None:
        self.answers = [(answer[0], answer[1], answer[2] if len(answer) > 2 else {}) for answer in answers]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        answers = self.server.answers
        status, body, headers = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server() -> Iterator[Answers]:
    with Answers() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_what_passes_by_itself_is_waited_for_a_little_longer_each_time(server):
    server.say((503, "busy"), (500, ""), (429, "", {"Retry-After": "7"}), (200, OK))
    waits: list[float] = []
    with JsonClient(server.url, wait=waits.append) as client:
        assert PrometheusApi(client).metric_names(0, 300) == {"up"}
    assert waits == [0.5, 1.0, 7.0]


def test_a_server_that_never_recovers_is_unreachable_with_the_last_reason(server):
    server.say((502, "bad gateway"))
    waits: list[float] = []
    with JsonClient(server.url, wait=waits.append) as client, pytest.raises(ServerUnreachable) as failed:
        PrometheusApi(client).metric_names(0, 300)
    assert len(server.asked) == 5
    assert len(waits) == 4
    assert "status 502, 5 times" in str(failed.value)


def test_nobody_there_is_unreachable_and_names_the_address():
    with JsonClient("http://127.0.0.1:1", wait=lambda _: None) as client, pytest.raises(ServerUnreachable) as failed:
        client.get("/")
    assert "http://127.0.0.1:1 does not answer" in str(failed.value)


def test_a_query_that_ran_too_long_is_cut_at_once_and_one_slot_too_long_is_an_error(server):
    """A 503 usually passes; this one would be as slow the next time."""
    slow = json.dumps({"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"})
    server.say((503, slow), (200, points((599.999, "2"))), (200, points((299.999, "1"))))
    with JsonClient(server.url) as client:
        (series,) = PrometheusApi(client).in_slots("up", 0, 2, 300, at_once=2)
    assert list(series.values) == [1.0, 2.0]
    server.say((503, slow))
    with JsonClient(server.url) as client, pytest.raises(InvalidInput, match="query timed out"):
        PrometheusApi(client).in_slots("up", 0, 1, 300, at_once=2)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        pytest.param(
            (401, ""), "refuses the credentials (status 401); give --token-file or --user", id="no credentials"
        ),
        pytest.param((404, "<html>"), "status 404: no answer of Prometheus' API", id="another server"),
        pytest.param((200, "<html>"), "no JSON; is this the address of the API?", id="a page"),
        pytest.param((302, "", {"Location": "https://x"}), "redirects to https://x", id="elsewhere"),
        pytest.param((200, '{"status": "error", "error": "no"}'), "no", id="an error that calls itself fine"),
        pytest.param((400, '{"status": "error", "error": "parse error"}'), "parse error", id="a wrong query"),
    ],
)
def test_what_does_not_pass_is_said_at_once(server, answer, complaint):
    server.say(answer)
    with JsonClient(server.url) as client, pytest.raises(InvalidInput) as refused:
        PrometheusApi(client).metric_names(0, 300)
    assert complaint in str(refused.value)
    assert len(server.asked) == 1


def test_tokens_and_passwords_come_from_files_or_variables_and_are_not_shown(server, tmp_path, monkeypatch):
    """On a command line everybody on the machine could read them."""
    server.say((200, OK))
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "password").write_text("geheim\n")
    bearer = Credentials.of("TAPAS_TEST", tmp_path / "token", None, None)
    basic = Credentials.of("TAPAS_TEST", None, "ana", tmp_path / "password")
    monkeypatch.setenv("TAPAS_TEST_TOKEN", "xyz")
    by_variable = Credentials.of("TAPAS_TEST", None, None, None)
    for who in (bearer, basic, by_variable):
        assert str(who) == "Credentials(...)"
        with JsonClient(server.url, who) as client:
            client.get("/")
    sent = [headers.get("Authorization") for _, headers in server.asked]
    assert sent == ["Bearer abc", "Basic " + base64.b64encode(b"ana:geheim").decode(), "Bearer xyz"]


def test_a_user_without_a_password_and_files_that_say_nothing_are_refused(tmp_path):
    (tmp_path / "empty").write_text("\n")
    for arguments, complaint in (
        ((None, "ana", None), "--user: has no password; give --password-file or set TAPAS_TEST_PASSWORD"),
        ((tmp_path / "empty", None, None), "is empty"),
        ((tmp_path / "nowhere", None, None), "cannot be read"),
    ):
        with pytest.raises(InvalidInput, match=complaint):
            Credentials.of("TAPAS_TEST", *arguments)


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://prometheus", "http://", "http://ana:geheim@prometheus:9090"])
def test_an_address_that_is_none_or_holds_a_password_is_refused(url):
    with pytest.raises(InvalidInput, match="--url") as refused:
        JsonClient(url)
    assert "geheim" not in str(refused.value)


def test_certificates_are_verified_and_a_file_without_any_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no certificates"):
        JsonClient("https://127.0.0.1:1", ca_file=tmp_path / "nowhere.pem")


def test_a_certificate_of_the_sites_own_authority_is_trusted_only_when_it_is_named(server, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    making = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, *subject]
    subprocess.run(making, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    server.say((200, OK))
    url = server.url.replace("http:", "https:")
    with (
        JsonClient(url, wait=lambda _: None) as client,
        pytest.raises(ServerUnreachable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get("/")
    with JsonClient(url, ca_file=certificate) as client:
        assert client.get("/")[0] == 200


def points(*values: tuple[float, str]) -> str:
    series = {"metric": {"a": "1"}, "values": [[t, text] for t, text in values]}
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [series]}})


def test_an_answer_that_was_too_much_is_asked_for_in_halves(server):
    """Four slots are too much, and so are two; one at a time is not. The answers come in another order."""
    too_much = json.dumps(
        {"status": "error", "errorType": "execution", "error": "query processing would load too many samples"}
    )
    server.say(
        (422, too_much),
        (422, too_much),
        (200, points((3 * 300 + 299.999, "4"))),
        (200, points((2 * 300 + 299.999, "3"))),
        (200, points((299.999, "1"), (599.999, "2"))),
    )
    with JsonClient(server.url) as client:
        series = PrometheusApi(client).in_slots("up", 0, 4, 300, at_once=11_000)
    assert [list(each.values) for each in series] == [[1.0, 2.0, 3.0, 4.0]]
    assert len(server.asked) == 5


def test_no_request_asks_for_more_points_than_a_server_gives(server):
    server.say((200, points((299.999, "1"))))
    with JsonClient(server.url) as client:
        PrometheusApi(client).in_slots("up", 0, 25_000, 300, at_once=20_000)
    assert len(server.asked) == 3


def test_warnings_of_the_server_are_kept(server):
    """A federated store that has lost one of its stores still answers, with a part."""
    server.say((200, json.dumps({"status": "success", "data": [], "warnings": ["store-2 did not answer"]})))
    with JsonClient(server.url) as client:
        api = PrometheusApi(client)
        api.metric_names(0, 300)
    assert api.warnings == {"store-2 did not answer"}
