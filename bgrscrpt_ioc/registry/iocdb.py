"""The tables of the instrument's registry, and how the rows of one IOC name are brought up to date.

One implementation for SQLite and MySQL/MariaDB. It opens no connection and decides nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import sqlite

from bgrscrpt_ioc.registry.dbtrouble import RowRefusedError, short
from bgrscrpt_ioc.registry.entries import Answer
from bgrscrpt_ioc.registry.living import lives
from bgrscrpt_ioc.registry.pvrows import VALUE_LIMIT, PvRow, brief
from bgrscrpt_ioc.registry.wanted import Found, RegisteredRun, RegistryRow, Step, Wanted

NEVER_STOPPED = datetime(1970, 1, 1, 0, 0, 1)  # in the server's own time zone

metadata = sa.MetaData()
_name = sa.String(100)
# Whole seconds, as in MySQL's TIMESTAMP. In SQLite: the text of CURRENT_TIMESTAMP, in UTC.
_moment = sa.TIMESTAMP().with_variant(sqlite.DATETIME(truncate_microseconds=True), "sqlite")


def _belongs_to(column: str) -> sa.ForeignKey:
    return sa.ForeignKey(column, ondelete="CASCADE", onupdate="CASCADE")


iocs = sa.Table(
    "iocs",
    metadata,
    sa.Column("iocname", _name, primary_key=True),
    sa.Column("dir", _name),
    sa.Column("consoleport", sa.Integer, unique=True),
    sa.Column("logport", sa.Integer, unique=True),
    sa.Column("exe", _name),
    sa.Column("cmd", _name),
    sa.Column("descr", _name),
)
iocrt = sa.Table(
    "iocrt",
    metadata,
    sa.Column("iocname", _name, _belongs_to("iocs.iocname"), primary_key=True),
    sa.Column("pid", sa.Integer),
    sa.Column("start_time", _moment),
    sa.Column("stop_time", _moment),
    sa.Column("running", sa.Integer),
    sa.Column("exe_path", _name),
)
pvs = sa.Table(
    "pvs",
    metadata,
    sa.Column("pvname", _name, primary_key=True),
    sa.Column("record_type", _name),
    sa.Column("record_desc", _name),
    sa.Column("iocname", _name, _belongs_to("iocs.iocname"), nullable=False, index=True),
)
pvinfo = sa.Table(
    "pvinfo",
    metadata,
    sa.Column("pvname", _name, _belongs_to("pvs.pvname"), primary_key=True),
    sa.Column("infoname", _name, primary_key=True),
    sa.Column("value", _name),
)
_NOT_HELD = "left out: its name has characters that the registry cannot hold"
MARK = ":SCRIPT:SHA256"
Charsets = dict[tuple[str, str], str]  # (table, column): MySQL's name of the character set


class DbSession:
    """A connection that reads and writes rows."""

    def __init__(self, connection: sa.Connection, mark: datetime, charsets: Charsets) -> None:
        self._connection = connection
        self._mark = mark
        self._charsets = charsets

    def bring(self, wanted: Wanted) -> Answer:
        """Write what is wanted of one IOC name, in one transaction.

        Raises:
            RowRefusedError: the database refuses these rows.
        """
        for table in (iocs, iocrt, pvs):
            if not self._holds(table, "iocname", wanted.ioc_name):
                raise RowRefusedError(
                    f"IOC name {brief(wanted.ioc_name)} refused: column {table.name}.iocname "
                    f"holds {self._charsets[table.name, 'iocname']} only"
                )
        # Again, because another program may write at the same time: a deadlock, or the same row.
        for attempt in (1, 2, 3):
            try:
                with self._connection.begin():
                    return self._bring(wanted)
            except (exc.IntegrityError, exc.DataError) as error:
                if attempt == 3:
                    text = " ".join(str(part) for part in getattr(error.orig, "args", ()))
                    raise RowRefusedError(short(f"rows refused by the database: {text}")) from error
            except exc.OperationalError as error:
                if attempt == 3 or not _is_deadlock(error):
                    raise
        raise AssertionError("unreachable")

    def table(self) -> list[RegistryRow]:
        """Return all rows of `iocrt`, by name."""
        found = self._connection.execute(sa.select(iocrt).order_by(iocrt.c.iocname))
        return [
            RegistryRow(
                row.iocname,
                bool(row.running),
                row.pid,
                _aware(row.start_time),
                _stop(row.stop_time),
                row.exe_path or "",
            )
            for row in found
        ]

    def instances(self) -> list[tuple[str, str]]:
        """Return prefix and name of every instance, known by a PV that other IOCs do not have."""
        rows = self._connection.execute(
            sa.select(pvs.c.iocname, pvs.c.pvname).where(pvs.c.pvname.endswith(MARK))
        )
        ends = ((row.pvname, f"{row.iocname}{MARK}") for row in rows)
        return sorted(
            (name.removesuffix(end), end.removesuffix(MARK))
            for name, end in ends
            if name.endswith(end)
        )

    def _bring(self, wanted: Wanted) -> Answer:
        row = self._connection.execute(
            sa.select(iocrt.c.pid, iocrt.c.start_time, iocrt.c.running)
            .where(iocrt.c.iocname == wanted.ioc_name)
            .with_for_update()
        ).first()
        found = None
        if row is not None:
            started = row.start_time if isinstance(row.start_time, datetime) else None
            seconds = int(started.replace(tzinfo=UTC).timestamp()) if started else None
            found = Found(row.pid, seconds, bool(row.running))
        step = wanted.step(found, lives)
        if step is Step.WRITE and wanted.run is not None:
            return Answer(warnings=tuple(self._write_run(wanted, wanted.run)))
        if step is Step.STOP and row is not None and wanted.stopped is not None:
            self._connection.execute(
                sa.update(iocrt)
                .where(iocrt.c.iocname == wanted.ioc_name)
                .where(iocrt.c.pid.is_not_distinct_from(row.pid))  # SQLite has no FOR UPDATE
                # A MySQL TIMESTAMP may change with every update that does not set it.
                .values(start_time=iocrt.c.start_time, **_stopped(wanted.stopped))
            )
        elif found is not None and found.running and wanted.stopped is None:
            owner = f"another program (pid {found.pid})"
            return Answer(taken=f"the row of {brief(wanted.ioc_name)} is that of {owner}")
        return Answer()

    def _write_run(self, wanted: Wanted, run: RegisteredRun) -> list[str]:
        execute, name = self._connection.execute, wanted.ioc_name
        rows, warnings = self._storable(run.pvs)
        of_name = sa.select(pvs.c.pvname).where(pvs.c.iocname == name)
        execute(sa.delete(iocrt).where(iocrt.c.iocname == name))
        # By cascade where there are foreign keys; here where the tables have none.
        execute(sa.delete(pvinfo).where(pvinfo.c.pvname.in_(of_name)))
        execute(sa.delete(pvs).where(pvs.c.iocname == name))
        if execute(sa.select(iocs.c.iocname).where(iocs.c.iocname == name)).first() is None:
            execute(sa.insert(iocs).values(iocname=name))
        row: dict[str, Any] = {
            "pid": run.kept_pid,
            "stop_time": self._mark,
            "running": 1,
        }
        if wanted.stopped is not None:
            row |= _stopped(wanted.stopped)
        path = self._with_holes(iocrt, "exe_path", run.exe_path[:VALUE_LIMIT])
        execute(sa.insert(iocrt).values(
            iocname=name, start_time=utc(run.started), exe_path=path, **row
        ))  # fmt: skip
        self._write_pvs(name, rows)
        return warnings

    def _write_pvs(self, name: str, rows: list[PvRow]) -> None:
        execute = self._connection.execute
        # A PV name of another IOC is taken over, as `pvdump` does.
        for start in range(0, len(rows), 500):
            taken = [row.name for row in rows[start : start + 500]]
            execute(sa.delete(pvinfo).where(pvinfo.c.pvname.in_(taken)))
            execute(sa.delete(pvs).where(pvs.c.pvname.in_(taken)))
        if rows:
            execute(sa.insert(pvs), [
                {"pvname": row.name, "record_type": row.record_type, "record_desc": row.desc,
                 "iocname": name}
                for row in rows
            ])  # fmt: skip
        infos = [
            {"pvname": row.name, "infoname": info, "value": value}
            for row in rows
            for info, value in row.infos.items()
        ]
        if infos:
            execute(sa.insert(pvinfo), infos)

    def _storable(self, rows: tuple[PvRow, ...]) -> tuple[list[PvRow], list[str]]:
        """Return the rows in characters that the columns can hold.

        A name with others is refused.
        """
        kept: list[PvRow] = []
        warnings: list[str] = []
        for row in rows:
            infos = {}
            if not (
                self._holds(pvs, "pvname", row.name) and self._holds(pvinfo, "pvname", row.name)
            ):
                warnings.append(f"PV {brief(row.name)} {_NOT_HELD}")
                continue
            for info, value in row.infos.items():
                if self._holds(pvinfo, "infoname", info):
                    infos[info] = self._with_holes(pvinfo, "value", value)
                else:
                    warnings.append(f"PV {brief(row.name)}: info {brief(info)} {_NOT_HELD}")
            kept.append(PvRow(
                row.name,
                self._with_holes(pvs, "record_type", row.record_type),
                self._with_holes(pvs, "record_desc", row.desc),
                infos,
            ))  # fmt: skip
        return kept, warnings

    def _holds(self, table: sa.Table, column: str, text: str) -> bool:
        return self._with_holes(table, column, text) == text

    def _with_holes(self, table: sa.Table, column: str, text: str) -> str:
        """Return the text with `?` for characters that the column cannot hold.

        Depending on its mode, the server would do the same, cut the text there, or refuse the row.
        """
        charset = self._charsets.get((table.name, column), "utf8mb4")
        if charset == "utf8mb4" or text.isascii():
            return text
        if charset in ("utf8", "utf8mb3", "ucs2"):
            return "".join(char if ord(char) < 0x10000 else "?" for char in text)
        codec = {"latin1": "cp1252", "koi8r": "koi8_r", "koi8u": "koi8_u"}.get(charset, charset)
        try:
            return text.encode(codec, "replace").decode(codec)
        except LookupError:
            return text.encode("ascii", "replace").decode()


def _is_deadlock(error: exc.OperationalError) -> bool:
    return getattr(error.orig, "args", (None,))[:1] == (1213,)


def _stopped(when: float) -> dict[str, Any]:
    return {"pid": None, "running": 0, "stop_time": utc(when)}


def utc(seconds: float) -> datetime:
    """Return a time as the columns hold it: UTC, without zone, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)


def _aware(value: object) -> datetime | None:
    # MySQL returns its zero date as text.
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None


def _stop(value: object) -> datetime | None:
    stop = _aware(value)
    # This marks a row that runs, in the server's time zone: up to 14 hours from 1970 in UTC.
    return None if stop is None or stop.timestamp() < 86400 else stop
