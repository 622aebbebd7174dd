"""Connects to the registry's database, SQLite or MySQL/MariaDB, with timeouts and readable errors.

It keeps no connection open. iocdb.py knows the rows.
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

from bgrscrpt_ioc.config.masking import masked
from bgrscrpt_ioc.host.files import FILE_MODE, make_directory
from bgrscrpt_ioc.registry.dbtrouble import Place, RegistryError, RowRefusedError
from bgrscrpt_ioc.registry.iocdb import NEVER_STOPPED, Charsets, DbSession, metadata, utc
from bgrscrpt_ioc.registry.times import USUAL, Times

_OURSELVES = ("localhost", "127.0.0.1", "::1")
_columns_of_server = sa.table(
    "columns",
    sa.column("table_schema"),
    sa.column("table_name"),
    sa.column("column_name"),
    sa.column("character_set_name"),
    schema="information_schema",
)

# Not `create_all`: that looks first, and two IOCs that start together would both see no tables.
_MAKE_TABLES = [
    *(CreateTable(table, if_not_exists=True) for table in metadata.sorted_tables),
    *(
        CreateIndex(index, if_not_exists=True)
        for table in metadata.sorted_tables
        for index in table.indexes
    ),
]


class IocDb:
    """The database of one URL."""

    def __init__(
        self,
        url: str,
        mode: Literal["write", "read"] = "write",
        times: Times = USUAL,
    ) -> None:
        """Parse the URL; nothing is opened yet.

        Raises:
            RegistryError: a URL of this kind does not work here.
        """
        self._mode: Literal["write", "read"] = mode
        self._times = times
        parsed, self.place = _place(url)
        try:
            if self.place.backend == "sqlite":
                self._engine = _sqlite_engine(parsed, mode, times)
            else:
                self._engine = _mysql_engine(parsed, times)
        except Exception as error:  # of any kind: the arguments after `?` go to the driver
            raise RegistryError(self.place.explain(error)) from error

    @contextmanager
    def session(self) -> Iterator[DbSession]:
        """Open a connection that is closed at the end of the context.

        Raises:
            RegistryError: anything went wrong, except for a `RowRefusedError`.
        """
        try:
            if self.place.backend == "sqlite":
                _make_file(self.place.database, self._mode)
            with self._engine.connect() as connection:
                yield self._prepared(connection)
        except (RowRefusedError, RegistryError):
            raise
        # Drivers raise errors of all kinds (struct.error, UnicodeError, RuntimeError and others).
        except Exception as error:
            raise RegistryError(self.place.explain(error)) from error

    def _prepared(self, connection: sa.Connection) -> DbSession:
        if self.place.backend == "sqlite":
            if self._mode == "write":
                for make in _MAKE_TABLES:
                    connection.execute(make)
                connection.commit()
            return DbSession(connection, NEVER_STOPPED, {})
        charsets = _charsets(connection, self.place)
        # A reader in the server's time zone sees this as 1970-01-01 00:00:01, as ISIS's own program
        # writes it. East of Greenwich that is before the first second that a TIMESTAMP can hold.
        mark = connection.scalar(sa.select(sa.func.unix_timestamp(str(NEVER_STOPPED))))
        # In UTC no second comes twice a year, and none is left out.
        connection.execute(
            sa.text("SET time_zone = '+00:00', innodb_lock_wait_timeout = :lock"),
            {"lock": max(1, round(self._times.lock))},  # whole seconds only
        )
        if self._mode == "write":
            # IOCs that start together would lock each other's rows crosswise, and have to try
            # again.
            connection.execute(sa.select(sa.func.get_lock("bgrscrpt_ioc", self._times.lock)))
        connection.commit()
        return DbSession(connection, utc(max(float(mark or 0), 1.0)), charsets)


def _place(url: str) -> tuple[sa.URL, Place]:
    wanted = "expected sqlite:////path/of/file or mysql+pymysql://user:password@host/iocdb"
    try:
        parsed = sa.make_url(url)
        backend, driver = parsed.get_backend_name(), parsed.drivername
    except (exc.ArgumentError, ValueError):  # their text contains the password
        raise RegistryError(f"registry {masked(url)!r} is no URL: {wanted}") from None
    if "@" in f"{parsed.host}{parsed.database}" and backend != "sqlite":
        # The rest of the password would be taken for the host, and shown.
        raise RegistryError(
            f"registry {masked(url)!r}: its password holds an @: write each @ of it as %40"
        )
    if backend == "sqlite" and parsed.database:
        return parsed, Place(url, "sqlite", database=parsed.database)
    if driver in ("mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"):
        if not parsed.database:
            raise RegistryError(f"registry {masked(url)!r} names no database: {wanted}")
        server = f"{parsed.host or 'localhost'}:{parsed.port or 3306}"
        place = Place(url, "mysql", server, parsed.username or "", parsed.database)
        return parsed.set(drivername="mysql+pymysql"), place
    raise RegistryError(f"registry {masked(url)!r} cannot be used: {wanted}")


def _mysql_engine(url: sa.URL, times: Times) -> sa.Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": times.connect,
        "read_timeout": times.answer,
        "write_timeout": times.answer,
    }
    if url.host in _OURSELVES and not any(key.startswith("ssl") for key in url.query):
        # Nobody can listen on such a connection, and loading the system's certificates takes 20 ms
        # of CPU each time.
        arguments["ssl_disabled"] = True
    return sa.create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)


def _sqlite_engine(url: sa.URL, mode: Literal["write", "read"], times: Times) -> sa.Engine:
    if mode == "read" and url.database and not url.database.startswith("file:"):
        path = Path(url.database).absolute().as_uri()
        url = url.set(database=path).update_query_dict({"mode": "ro", "uri": "true"})
    engine = sa.create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": times.lock}
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
        # Mode 0640, as for the journal: SQLite would use 0644, and its own journal has the same
        # mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
    elif not Path(path).exists():
        raise RegistryError(
            f"{path}: no registry yet; the IOC makes it when a script first registers"
        )


def _charsets(connection: sa.Connection, place: Place) -> Charsets:
    """Return the character sets of the text columns.

    Raise `RegistryError` if a table is missing.
    """
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
