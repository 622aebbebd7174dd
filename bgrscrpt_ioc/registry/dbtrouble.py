"""Says in one line what is wrong with the registry's database and what to do, without the password.

It imports no database library: it knows exceptions by their codes.
"""

from __future__ import annotations

from dataclasses import dataclass

from bgrscrpt_ioc.config.masking import scrubbed

TEXT_LIMIT = 255  # bytes of REGISTRY:MSG without its NUL
_LINE_LIMIT = 220  # bytes; the rest is for the time of the next try


class RegistryError(Exception):
    """The registry cannot be read or written; the text says why, and what to do."""


class RowRefusedError(Exception):
    """The database refuses the rows of this IOC name, and would refuse them again."""


def short(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return one line of at most `limit` bytes of UTF-8; `...` shows that it was cut."""
    line = " ".join(text.split()).encode(errors="replace")
    if len(line) <= limit:
        return line.decode()
    return line[: limit - 3].decode(errors="ignore") + "..."


@dataclass(frozen=True, slots=True)
class Place:
    """Names the registry in messages."""

    url: str
    backend: str  # "mysql" or "sqlite"
    server: str = ""  # host:port
    user: str = ""
    database: str = ""  # its name, or the path of the file

    def explain(self, error: BaseException) -> str:
        """Return one line about a failure of this database, its driver or the file system.

        Args:
            error: from SQLAlchemy (whose `orig` is the driver's), the driver, or the system.
        """
        origin = getattr(error, "orig", None) or error
        if self.backend == "sqlite":
            return short(self._sqlite(origin), _LINE_LIMIT)
        return short(self._mysql(origin), _LINE_LIMIT)

    def _mysql(self, error: BaseException) -> str:
        code = error.args[0] if error.args else None
        cause = getattr(error, "original_exception", None)
        if cause is not None or code in (2003, 2006, 2013, 2014, 0):
            return f"cannot reach {self.server} ({self._reason(cause or error)})"
        if isinstance(error, RuntimeError) and "cryptography" in str(error):
            return (
                f"{self.server} wants a kind of password that needs one more package: "
                "pip install cryptography, or give the user mysql_native_password"
            )
        if isinstance(code, int) and (line := _MYSQL.get(code)):
            return line.format(server=self.server, user=self.user, database=self.database)
        return f"{self.server}: {self._scrubbed(error)}"

    def _reason(self, cause: BaseException) -> str:
        """Return what the operating system said, without the driver's numbers."""
        if isinstance(cause, TimeoutError) or "timed out" in str(cause):
            return "no answer in time"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        return self._words(cause)

    def _sqlite(self, error: BaseException) -> str:
        name = str(getattr(error, "sqlite_errorname", ""))
        path = self.database if len(self.database) <= 120 else f"...{self.database[-117:]}"
        for start, line in _SQLITE.items():
            if name.startswith(start):
                return f"{path}: {line}"
        if isinstance(error, OSError):
            return f"{path}: {error.strerror or error}"
        return f"{path}: {self._scrubbed(error)}"

    def _scrubbed(self, error: BaseException) -> str:
        return f"{type(error).__name__}: {self._words(error)}"

    def _words(self, error: BaseException) -> str:
        """Return the text of a foreign exception, without the password that it may contain."""
        parts = error.args[1:] if len(error.args) > 1 else error.args
        return scrubbed(" ".join(str(part) for part in parts), self.url)


_SCHEMA = "create it with db/iocdb.sql"
# https://mariadb.com/kb/en/mariadb-error-code-reference/
_MYSQL = {
    3: "{server}: the server's disk is full or broken",
    1021: "{server}: the server's disk is full",
    1114: "{server}: a table of {database} is full, or the server's disk",
    1040: "{server}: too many connections",
    1203: "{server}: user {user} has too many connections",
    1129: "{server}: blocked after many failures: run mysqladmin flush-hosts there",
    1130: "{server}: this host may not connect: GRANT it to user {user}",
    1044: "{server}: user {user} may not use database {database}: GRANT it",
    1045: "{server}: user {user} refused, wrong password? Check `registry` in the configuration",
    1698: "{server}: user {user} refused, wrong password? Check `registry` in the configuration",
    1049: "{server}: no database {database}: " + _SCHEMA,
    1054: "{server}: tables of {database} have other columns than those of db/iocdb.sql",
    1146: "{server}: tables of {database} missing: " + _SCHEMA,
    1142: "{server}: user {user} may not write {database}: GRANT SELECT, INSERT, UPDATE, DELETE",
    1143: "{server}: user {user} may not write {database}: GRANT SELECT, INSERT, UPDATE, DELETE",
    1290: "{server}: the server is read-only",
    1836: "{server}: the server is read-only",
    1205: "{server}: {database} is locked by another program",
    1213: "{server}: {database} is locked by another program",
}
_SQLITE = {
    "SQLITE_BUSY": "locked by another program",
    "SQLITE_LOCKED": "locked by another program",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_CORRUPT": "damaged; move it away, a new one is made",
    "SQLITE_NOTADB": "no SQLite database; move it away, a new one is made",
    "SQLITE_READONLY": "may not be written; check its owner and mode",
    "SQLITE_PERM": "may not be opened; check its owner and mode",
    "SQLITE_CANTOPEN": "cannot be opened; check its owner, mode and directory",
    "SQLITE_IOERR": "cannot be read or written; check the disk",
}
