"""``tapas-opt serve`` and ``tapas-opt state``, as a shell sees them: exit codes, and one message on stderr."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("tapas-opt"))


def run(*arguments):
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def serving(tmp_path):
    """A server as a person starts it: its process, and the lines that it printed."""
    command = [COMMAND, "serve", "--port", "0", "--state", str(tmp_path / "state.sqlite")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [process.stdout.readline().rstrip() for _ in range(3)]
    yield process, lines
    process.kill()
    process.communicate()


def test_it_says_where_it_listens_and_what_to_try_first(serving):
    """The command that it suggests works as it is printed."""
    process, (headline, journal, advice) = serving
    assert headline.startswith("serving site demo (80 servers, 0 VMs) at 127.0.0.1:")
    assert journal.startswith("journal: ")
    tried = run(*advice.removeprefix("try: tapas-opt ").split())
    assert (tried.returncode, tried.stderr) == (0, "")
    assert "80 of 80 free" in tried.stdout
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")


def test_a_second_server_on_the_same_journal_is_refused(serving, tmp_path):
    refused = run("serve", "--port", "0", "--state", tmp_path / "state.sqlite")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "in use by another tapas-opt server" in refused.stderr


def test_a_port_in_use_is_bad_input(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        refused = run("serve", "--port", port, "--state", tmp_path / "state.sqlite")
    assert refused.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--address", "0.0.0.0"), "--insecure-any-address"),
        (("--site", "nowhere.yaml"), "nowhere.yaml: file: cannot be read"),
        (("--models", "nowhere"), "nowhere"),
        (("--profiles", "nowhere.csv"), "nowhere.csv: file: cannot be read"),
    ],
)
def test_a_bad_option_is_one_message_and_exit_code_2(tmp_path, options, message):
    refused = run("serve", "--port", "0", "--state", tmp_path / "state.sqlite", *options)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    state = tmp_path / "state.sqlite"
    state.write_text("my notes\n" * 500)
    refused = run("serve", "--port", "0", "--state", state)
    assert refused.returncode == 1
    assert "file is not a database" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_journal_is_verified_and_exported_while_its_server_runs(serving, tmp_path):
    state = tmp_path / "state.sqlite"
    verified = run("state", "verify", state, "--json")
    assert json.loads(verified.stdout) == {
        "file": str(state),
        "sound": True,
        "entries": 1,
        "events": 1,
        "methods": {"Start": 1},
    }
    (line,) = run("state", "export", state).stdout.splitlines()
    assert json.loads(line)["events"][0]["kind"] == "site_applied"


def test_verifying_what_does_not_exist_is_bad_input(tmp_path):
    refused = run("state", "verify", tmp_path / "none.sqlite")
    assert refused.returncode == 2
    assert "does not exist" in refused.stderr
