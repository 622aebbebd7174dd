"""The two back ends as a test uses them: a URL, and plain SQL behind the registry's back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from benchmarks.rig.mariadb import MariaDb
from benchmarks.rig.where import native

Rows = list[tuple[Any, ...]]


class Backend(Protocol):
    """What a test can do with either back end."""

    url: str

    def sql(self, statement: str, *values: Any) -> Rows:
        """Run one statement with `?` for values, in UTC; return the rows, with times as text."""
        ...

    def clear(self) -> None:
        """Remove all rows."""
        ...

    def spoil(self) -> None:
        """Make the back end fail, at once and until it is mended."""
        ...

    def mend(self) -> None:
        """Make the back end work again, if it does not work."""
        ...


class SqliteBackend:
    """A registry in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: sqlite3.Connection | None = None
        self.url = f"sqlite:///{native(path)}"

    def sql(self, statement: str, *values: Any) -> Rows:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            return [tuple(row) for row in connection.execute(statement, values)]

    def clear(self) -> None:
        if self.path.exists():
            self.sql("DELETE FROM iocs")

    def spoil(self) -> None:
        """Lock the file, as another program does that goes on."""
        if self._lock is None:
            self.path.parent.mkdir(exist_ok=True)
            self._lock = sqlite3.connect(self.path, timeout=10)
            self._lock.execute("BEGIN EXCLUSIVE")

    def mend(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class MySqlBackend:
    """A registry on a real server, with a database and a user of its own."""

    def __init__(self, server: MariaDb, database: str, user: str) -> None:
        self.server = server
        self.database = database
        self.user = user
        self.url = server.make_registry(database, user)

    def sql(self, statement: str, *values: Any, zone: str = "+00:00") -> Rows:
        connection = self.server.connect(self.database)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET time_zone = %s", (zone,))
                cursor.execute(statement.replace("?", "%s"), values)
                return [
                    tuple(str(cell) if hasattr(cell, "year") else cell for cell in row)
                    for row in cursor.fetchall()
                ]
        finally:
            connection.close()

    def clear(self) -> None:
        self.sql("DELETE FROM iocs")

    def spoil(self) -> None:
        """Let the user not log in."""
        self.server.sql(f"ALTER USER {self.user}@'127.0.0.1' ACCOUNT LOCK")

    def mend(self) -> None:
        self.server.sql(f"ALTER USER {self.user}@'127.0.0.1' ACCOUNT UNLOCK")

    def connections(self) -> int:
        """Return how many connections the registry has open."""
        return self.server.connections(self.user)

    def drop(self) -> None:
        """Remove the database and the user."""
        self.server.sql(f"DROP DATABASE {self.database}")
        self.server.sql(f"DROP USER {self.user}@'127.0.0.1'")
