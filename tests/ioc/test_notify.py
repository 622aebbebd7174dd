"""`notify` against real servers of this host: mail, webhooks, and the PV of IBEX's alerts."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from benchmarks.rig.ca import HERE, Client, Peer, ca_environ, free_port
from benchmarks.rig.where import COMMAND
from bgrscrpt_ioc.script.notices import Notice

NOTICE = Notice(
    "failure", "BGRSCRPT_01", "TE:", "ndw1", "/s.py", "now", "exit 1: ValueError: ä (s.py:3)"
)
TEXT = "TE:BGRSCRPT_01 has failed: exit 1: ValueError: ä (s.py:3)"
DATABASE = """
record(waveform, "TE:CS:AC:ALERTS:MESSAGE:SP") { field(FTVL, "CHAR") field(NELM, "512") }
record(stringout, "TE:SHORT") { }
"""


def notify(*arguments: str | Path, **environ: str) -> tuple[int, str]:
    """Run the command with the notice on its stdin; exit code, and all that it prints."""
    done = subprocess.run(
        [*COMMAND, "notify", *arguments],
        env=ca_environ(int(environ.pop("port", "1025")), **environ),
        input=NOTICE.json(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode()


class Mails:
    """Takes mails; who logs in must be `user` with `secret`."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def authenticate(_server: Any, _session: Any, _envelope: Any, _kind: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"user", b"secret"), handled=False)


def test_mail(tmp_path: Path) -> None:
    """A mail has the line as its subject and text; refusals are told without the password."""
    mails, port = Mails(), free_port()
    controller = Controller(
        mails, "127.0.0.1", port, authenticator=authenticate, auth_require_tls=False
    )
    controller.start()
    login = tmp_path / "login"
    smtp = ["--smtp", f"127.0.0.1:{port}", "--sender", "ioc@ndw1"]
    try:
        assert notify("mail", "--to", "a@b", "--to", "c@d", *smtp) == (0, "")
        login.write_text("user\nsecret\n")
        assert notify("mail", "--to", "a@b", "--login", login, *smtp) == (0, "")
        login.write_text("user\nwrong-secret\n")
        code, said = notify("mail", "--to", "a@b", "--login", login, *smtp)
        assert (code, said) == (1, f"--smtp 127.0.0.1:{port}: refuses this user and password\n")
        code, said = notify("mail", "--to", "nobody@b", *smtp)
        assert (code, said) == (1, f"--smtp 127.0.0.1:{port}: refuses the recipients nobody@b\n")
    finally:
        controller.stop()
    assert [each.rcpt_tos for each in mails.envelopes] == [["a@b", "c@d"], ["a@b"]]
    mail = message_from_bytes(mails.envelopes[0].content)
    assert mail["Subject"] == "TE:BGRSCRPT_01 has failed"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().splitlines()[0] == TEXT
    assert notify("mail", "--to", "a@b", *smtp)[0] == 1  # nobody serves any more
    assert notify("mail", *smtp)[0] == 2


def test_sendmail(tmp_path: Path) -> None:
    """Without a server the mail is handed to sendmail; here a double of that keeps it."""
    double = tmp_path / "sendmail"
    double.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/arguments\ncat >{tmp_path}/mail\n')
    double.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    assert notify("mail", "--to", "a@b", PATH=path) == (0, "")
    assert (tmp_path / "arguments").read_text() == "-i -t\n"
    assert message_from_bytes((tmp_path / "mail").read_bytes())["To"] == "a@b"
    double.write_text("#!/bin/sh\necho no queue\nexit 75\n")
    assert notify("mail", "--to", "a@b", PATH=path) == (1, f"{double}: exit 75: no queue\n")


@contextmanager
def web(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """A web server that keeps what is posted; its URL has a secret."""
    posted: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"channel_not_found" if status != 200 else b"ok")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/T0/SECRET", posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_webhook(tmp_path: Path) -> None:
    """The URL comes from a file or the environment, and is in no message."""
    file = tmp_path / "url"
    with web() as (url, posted):
        file.write_text(f"{url}\n")
        assert notify("webhook", "--url-file", file, "--format", "slack") == (0, "")
        assert notify("webhook", BGRSCRPT_WEBHOOK_URL=url) == (0, "")
    assert posted[0] == {"text": TEXT}
    assert posted[1]["event"] == "failure"
    assert posted[1]["text"] == TEXT
    with web(404) as (url, _):
        code, said = notify("webhook", BGRSCRPT_WEBHOOK_URL=url)
    assert (code, said) == (1, "webhook: 404 Not Found channel_not_found\n")
    for wrong in (url, "http://[SECRET", "file:///etc/SECRET", "http://SECRET.invalid/"):
        code, said = notify("webhook", BGRSCRPT_WEBHOOK_URL=wrong)
        assert code == 1
        assert said.startswith("webhook: ")
        assert "SECRET" not in said


def test_alerts_of_ibex(tmp_path: Path) -> None:
    """One put to the PV by which IBEX sends messages; a PV that nobody has is told."""
    database = tmp_path / "alerts.db"
    database.write_text(DATABASE)
    port = free_port()
    command = [sys.executable, str(HERE / "softioc_peer.py"), str(database), ""]
    with Peer(command, ca_environ(port)), Client(port) as client:
        assert notify("put", port=str(port)) == (0, "")
        assert client.text("TE:CS:AC:ALERTS:MESSAGE:SP") == TEXT
        assert notify("put", "--pv", "TE:SHORT", port=str(port)) == (0, "")
        assert client.get("TE:SHORT") == TEXT[:39]
        code, said = notify("put", "--pv", "TE:NOBODY", port=str(port))
        assert (code, said) == (1, "TE:NOBODY: no answer within 5 s\n")


@pytest.mark.parametrize("given", [b"", b"[]", b"{}", b"[" * 100_000])
def test_what_is_no_notice(given: bytes) -> None:
    """It is refused in a line."""
    done = subprocess.run(
        [*COMMAND, "notify", "put"],
        input=given, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.decode().startswith("notify: stdin")


def test_a_trial(tmp_path: Path) -> None:
    """`--test` runs each command once, with the settings of the file; one that fails is told."""
    config = tmp_path / "ioc.toml"
    config.write_text(
        'prefix = "TE:"\n[defaults]\nscript = "s.py"\n[instance.X.notify]\n'
        f'on_failure = ["sh", "-c", "cat >{tmp_path}/told"]\n'
        f'on_gave_up = ["sh", "-c", "cat >{tmp_path}/told"]\n'
        "on_hung = \"sh -c 'echo no money; exit 3'\"\n[instance.Y]\n"
    )
    code, said = notify("--test", "X", "--config", config)
    assert code == 1
    assert sorted(said.splitlines()) == [
        "X: on_failure, on_gave_up: told",
        "X: on_hung: sh: exit 3: no money",
    ]
    told = json.loads((tmp_path / "told").read_text())
    assert told["text"] == "TE:X sends this as a test of its notices"
    code, said = notify("--test", "Y", "--config", config)
    assert (code, said.partition(":")[0]) == (1, "Y")
    code, said = notify("--test", "NOPE", "--config", config)
    assert (code, said) == (1, f"notify: --test NOPE: {config} has no such instance; it has X, Y\n")
    code, said = notify("--test", "X")
    assert (code, "no configuration file: give the IOC's by --config" in said) == (1, True)
    assert notify()[0] == 2
