"""A real MariaDB server for the tests: own data directory, loopback, a port of its own.

Only processes started here are signalled.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

SCHEMA = Path(__file__).parents[2] / "db" / "iocdb.sql"
PASSWORD = "$iocdb"  # noqa: S105 - the public one of every ISIS instrument


def missing_programs() -> list[str]:
    """What of Debian's mariadb-server is not installed."""
    return [
        name for name in ("mariadbd", "mariadb-install-db", "setpriv") if shutil.which(name) is None
    ]


@dataclass
class MariaDb:
    """One server; `directory` must have a short path, a socket's has at most 107 bytes."""

    directory: Path
    port: int = 0
    options: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        """Make the data directory: root without a password, no other user."""
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={self.directory / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=8M",
            ],
            check=True,
            capture_output=True,
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),  # it ends even if the tests are killed
                    "mariadbd",
                    "--no-defaults",
                    f"--datadir={self.directory / 'data'}",
                    "--user=root",  # mariadbd refuses root otherwise, and ignores it for others
                    f"--socket={self.directory / 's'}",
                    f"--pid-file={self.directory / 'pid'}",
                    "--bind-address=127.0.0.1",
                    f"--port={self.port}",
                    "--skip-name-resolve",
                    "--character-set-server=utf8mb4",  # as Debian and MySQL 8 have it
                    "--innodb-buffer-pool-size=16M",
                    "--innodb-log-file-size=8M",
                    "--innodb-flush-log-at-trx-commit=2",
                    *self.options,
                ],
                stdout=log,
                stderr=log,
            )
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Return when a client is served."""
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connect().close()
            except pymysql.err.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)  # between two tries; the server has no way to call us
            else:
                return

    def kill(self) -> None:
        """SIGKILL, as a power cut; nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def down(self) -> Iterator[None]:
        """Killed inside, started again at the end."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """It accepts connections and answers nothing inside (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # until its last thread has stopped
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def connect(self, database: str | None = None) -> pymysql.Connection[Any]:
        """A connection as root."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=database,
            autocommit=True,
            connect_timeout=20,
            read_timeout=20,
        )

    def sql(self, statement: str, *values: Any, database: str | None = None) -> list[Any]:
        """Run one statement as root; the rows."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def make_registry(self, database: str, user: str, grant: str = "ALL") -> str:
        """Make a database with the tables of db/iocdb.sql, and a user; its URL."""
        self.sql(f"CREATE DATABASE {database}")
        for statement in statements(SCHEMA.read_text()):
            self.sql(statement, database=database)
        self.make_user(database, user, grant)
        return self.url(database, user)

    def make_user(self, database: str, user: str, grant: str) -> None:
        """Make a user who may do what `grant` says in that database."""
        self.sql(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY %s", PASSWORD)
        self.sql(f"GRANT {grant} ON {database}.* TO {user}@'127.0.0.1'")

    def url(self, database: str, user: str, password: str = PASSWORD) -> str:
        """The registry's URL as a user would write it."""
        return f"mysql+pymysql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def connections(self, user: str) -> int:
        """How many connections of this user the server has."""
        query = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s"
        return self.sql(query, user)[0][0]


def statements(script: str) -> list[str]:
    """The statements of a file of SQL, without its comments."""
    lines = (line.partition("--")[0] for line in script.splitlines())
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
