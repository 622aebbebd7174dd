"""Sends a notice by e-mail: through an SMTP server, or sendmail of this host."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from shutil import which

from bgrscrpt_ioc.host.system import Reaper, run_tool
from bgrscrpt_ioc.lifecycle.events import CommandFailed

TIMEOUT = 20.0  # s
PLACES = ("/usr/sbin", "/usr/lib", "/sbin")  # directories of sendmail, which is seldom in PATH
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Account:
    """User and password of an SMTP server."""

    user: str
    password: str

    @classmethod
    def read(cls, path: Path) -> Account:
        """Read user and password from a file of two lines.

        Raises:
            CommandFailed: the file cannot be read, or has other lines.
        """
        try:
            lines = path.read_text("utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(f"--login {path}: cannot be read") from error
        if len(lines) < 2 or not all(lines[:2]):
            raise CommandFailed(f"--login {path}: should have two lines: user, password")
        return cls(lines[0].strip(), lines[1].rstrip("\r"))


def message(sender: str, to: Sequence[str], subject: str, body: str) -> EmailMessage:
    """Return the mail.

    Raises:
        CommandFailed: a mail cannot have one of these addresses.
    """
    mail = EmailMessage()
    try:
        mail["From"], mail["To"] = sender, ", ".join(to)
    except ValueError as error:
        raise CommandFailed(f"--sender, --to: {error}") from error
    mail["Subject"] = subject
    mail["Date"], mail["Message-ID"] = formatdate(localtime=True), make_msgid()
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: so no automatic replies come back
    mail.set_content(body)
    return mail


def by_smtp(mail: EmailMessage, server: str, account: Account | None) -> None:
    """Send a mail through an SMTP server, encrypted if the server can.

    Raises:
        CommandFailed: the server did not take it. The text has no password.
    """
    import smtplib

    host, _, port = server.partition(":")
    if port and not port.isdecimal():
        raise CommandFailed(f"--smtp {server}: should be HOST or HOST:PORT")
    try:
        with smtplib.SMTP(host, int(port or 25), timeout=TIMEOUT) as smtp:
            smtp.ehlo()
            encrypted = smtp.has_extn("starttls")
            if encrypted:
                smtp.starttls(context=ssl.create_default_context())
                smtp.ehlo()
            if account is not None:
                if not encrypted and host not in LOCAL:
                    raise CommandFailed(
                        f"--smtp {server}: offers no encryption: the password is not sent to it"
                    )
                smtp.login(account.user, account.password)
            smtp.send_message(mail)
    except smtplib.SMTPAuthenticationError as error:
        raise CommandFailed(f"--smtp {server}: refuses this user and password") from error
    except smtplib.SMTPRecipientsRefused as error:
        refused = ", ".join(error.recipients)
        raise CommandFailed(f"--smtp {server}: refuses the recipients {refused}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise CommandFailed(f"--smtp {server}: {error}") from error


def by_sendmail(mail: EmailMessage) -> None:
    """Send a mail by sendmail, or a program of that name.

    Raises:
        CommandFailed: there is none, or it fails.
    """
    program = which("sendmail", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))
    if program is None:
        raise CommandFailed("mail: this host has no sendmail: give --smtp HOST")
    code, output = asyncio.run(_run([program, "-i", "-t"], mail.as_bytes()))
    if code:
        last = output.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise CommandFailed(f"{program}: exit {code}: {last}")


async def _run(command: Sequence[str], data: bytes) -> tuple[int, bytes]:
    reaper = Reaper()
    reaper.start()
    try:
        return await run_tool(command, reaper, cwd=Path("/"), environ=os.environ, stdin=data)
    finally:
        reaper.stop()
