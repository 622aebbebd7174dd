"""Opens the registry's database, SQLite or MySQL/MariaDB, with timeouts and errors people can read.

Keeps nothing open; what the rows are is for `iocdb.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from bgrscrpt_ioc.files import FILE_MODE, make_directory
from bgrscrpt_ioc.registry.dbtrouble import Place, RegistryError, RowRefusedError, masked
from bgrscrpt_ioc.registry.iocdb import NEVER_STOPPED, Charsets, Session, metadata, utc

CONNECT_TIMEOUT = 3  # s
ANSWER_TIMEOUT = 5  # s, for one answer of the server
LOCK_TIMEOUT = 3  # s; shorter than the above, so that the server gives up before we do

_OURSELVES = ("localhost", "127.0.0.1", "::1")
_columns_of_server = sa.table(
    "columns",
    sa.column("table_schema"),
    sa.column("table_name"),
    sa.column("column_name"),
    sa.column("character_set_name"),
    schema="information_schema",
)

# Not `create_all`: it looks first, and two IOCs that start together would both see nothing.
_MAKE_TABLES = [
    *(CreateTable(table, if_not_exists=True) for table in metadata.sorted_tables),
    *(
        CreateIndex(index, if_not_exists=True)
        for table in metadata.sorted_tables
        for index in table.indexes
    ),
]


class IocDb:
    """The registry of one URL."""

    def __init__(self, url: str, mode: Literal["write", "read"] = "write") -> None:
        """Read the URL; nothing is opened yet.

        Raises:
            RegistryError: the URL is not of a kind that works here.
        """
        self._mode: Literal["write", "read"] = mode
        parsed, self.place = _place(url)
        try:
            if self.place.backend == "sqlite":
                self._engine = _sqlite_engine(parsed, mode)
            else:
                self._engine = _mysql_engine(parsed)
        except Exception as error:  # of any kind: the arguments after `?` are the driver's
            raise RegistryError(self.place.explain(error)) from error

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One connection, closed at the end.

        Raises:
            RegistryError: whatever went wrong outside or inside, except `RowRefusedError`.
        """
        try:
            if self.place.backend == "sqlite":
                _make_file(self.place.database, self._mode)
            with self._engine.connect() as connection:
                yield self._prepared(connection)
        except (RowRefusedError, RegistryError):
            raise
        # Drivers let errors of all kinds through (struct.error, UnicodeError, RuntimeError ...).
        except Exception as error:
            raise RegistryError(self.place.explain(error)) from error

    def _prepared(self, connection: sa.Connection) -> Session:
        if self.place.backend == "sqlite":
            if self._mode == "write":
                for make in _MAKE_TABLES:
                    connection.execute(make)
                connection.commit()
            return Session(connection, NEVER_STOPPED, {})
        charsets = _charsets(connection, self.place)
        # What a reader in the server's own zone sees as 1970-01-01 00:00:01, as the original
        # writes it. East of Greenwich that lies before the first second a TIMESTAMP holds.
        mark = connection.scalar(sa.select(sa.func.unix_timestamp(str(NEVER_STOPPED))))
        # In UTC no second is written twice a year, and none is missing.
        connection.execute(
            sa.text("SET time_zone = '+00:00', innodb_lock_wait_timeout = :lock"),
            {"lock": LOCK_TIMEOUT},
        )
        if self._mode == "write":
            # IOCs that start together would lock each other's rows crosswise, and try again later.
            connection.execute(sa.select(sa.func.get_lock("bgrscrpt_ioc", LOCK_TIMEOUT)))
        connection.commit()
        return Session(connection, utc(max(float(mark or 0), 1.0)), charsets)


def _place(url: str) -> tuple[sa.URL, Place]:
    wanted = "expected sqlite:////path/of/file or mysql+pymysql://user:password@host/iocdb"
    try:
        parsed = sa.make_url(url)
        backend, driver = parsed.get_backend_name(), parsed.drivername
    except (exc.ArgumentError, ValueError):  # their text quotes the password
        raise RegistryError(f"registry {masked(url)!r} is no URL: {wanted}") from None
    if backend == "sqlite" and parsed.database:
        return parsed, Place(url, "sqlite", database=parsed.database)
    if driver in ("mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"):
        if not parsed.database:
            raise RegistryError(f"registry {masked(url)!r} names no database: {wanted}")
        server = f"{parsed.host or 'localhost'}:{parsed.port or 3306}"
        place = Place(url, "mysql", server, parsed.username or "", parsed.database)
        return parsed.set(drivername="mysql+pymysql"), place
    raise RegistryError(f"registry {masked(url)!r} cannot be used: {wanted}")


def _mysql_engine(url: sa.URL) -> sa.Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": ANSWER_TIMEOUT,
        "write_timeout": ANSWER_TIMEOUT,
    }
    if url.host in _OURSELVES and not any(key.startswith("ssl") for key in url.query):
        # Nobody listens there, and loading the system's certificates takes 20 ms of CPU each time.
        arguments["ssl_disabled"] = True
    return sa.create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)


def _sqlite_engine(url: sa.URL, mode: Literal["write", "read"]) -> sa.Engine:
    if mode == "read" and url.database and not url.database.startswith("file:"):
        path = Path(url.database).absolute().as_uri()
        url = url.set(database=path).update_query_dict({"mode": "ro", "uri": "true"})
    engine = sa.create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": LOCK_TIMEOUT}
    )

    @event.listens_for(engine, "connect")
    def keep_foreign_keys(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")  # SQLite ignores them otherwise

    return engine


def _make_file(path: str, mode: Literal["write", "read"]) -> None:
    if path.startswith("file:"):
        return  # a URI says itself what may be made
    if mode == "write":
        make_directory(Path(path).parent)
        # 0640, as the journal: SQLite would take 0644, and its own journal inherits this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
    elif not Path(path).exists():
        raise RegistryError(f"{path}: no registry; it is made when a script first registers")


def _charsets(connection: sa.Connection, place: Place) -> Charsets:
    """The character sets of the text columns; raises `RegistryError` when a table is missing."""
    of = _columns_of_server.c
    rows = connection.execute(
        sa.select(of.table_name, of.column_name, of.character_set_name)
        .where(of.table_schema == sa.func.database())
        .where(of.table_name.in_(list(metadata.tables)))
    ).all()
    missing = sorted(metadata.tables.keys() - {str(row[0]).lower() for row in rows})
    if missing:
        raise RegistryError(
            f"{place.server}: database {place.database} has no table {', '.join(missing)} (or user "
            f"{place.user} may not see it): create it with db/iocdb.sql"
        )
    return {
        (str(table).lower(), str(column).lower()): str(charset).lower()
        for table, column, charset in rows
        if charset is not None
    }
