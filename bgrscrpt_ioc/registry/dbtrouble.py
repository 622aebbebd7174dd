"""What is wrong with the registry's database, in one line with what to do; no password in it.

Imports no database library: exceptions are told by the codes they carry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

TEXT_LIMIT = 255  # bytes of REGISTRY:MSG without its NUL
_LINE_LIMIT = 220  # of which the rest is for when it is tried again

_CREDENTIALS = re.compile(r"^([\w+.-]+://[^:/@]*):(.*)@", re.DOTALL)
_SECRET_ARGUMENT = re.compile(r"([?&](?:password|passwd)=)([^&]*)")


class RegistryError(Exception):
    """The registry cannot be read or written; the text says why and what to do."""


class RowRefusedError(Exception):
    """The database works but does not take the rows of this IOC name; trying again is no use."""


def masked(url: str) -> str:
    """The URL with `***` for its password, for logs, PVs and `--help`; any text is accepted."""
    return _SECRET_ARGUMENT.sub(r"\1***", _CREDENTIALS.sub(r"\1:***@", url))


def short(text: str, limit: int = TEXT_LIMIT) -> str:
    """One line of at most `limit` bytes of UTF-8, cut at a character with `...` to show it."""
    line = " ".join(text.split()).encode(errors="replace")
    if len(line) <= limit:
        return line.decode()
    return line[: limit - 3].decode(errors="ignore") + "..."


@dataclass(frozen=True, slots=True)
class Place:
    """Where the registry is, for messages."""

    url: str
    backend: str  # "mysql" or "sqlite"
    server: str = ""  # host:port
    user: str = ""
    database: str = ""  # its name, or the path of the file

    def explain(self, error: BaseException) -> str:
        """The one line for a failure of this database, its driver or the file system.

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
        """What the operating system said, without the driver's numbers."""
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
        """The text of somebody else's exception, which may quote the URL or the password."""
        parts = error.args[1:] if len(error.args) > 1 else error.args
        return scrubbed(" ".join(str(part) for part in parts), self.url)


def scrubbed(text: str, url: str) -> str:
    """The text without the URL's password, in any of the forms a library may quote it in."""
    text = text.replace(url, masked(url))
    found = _CREDENTIALS.search(url)
    secrets = [found[2]] if found else []
    secrets += [argument for _, argument in _SECRET_ARGUMENT.findall(urlsplit(url).query)]
    forms = {
        form
        for secret in secrets
        for plain in (secret, unquote_plus(secret))
        for form in (plain, *_quoted(plain), repr(plain)[1:-1])
    }
    for form in sorted(forms, key=len, reverse=True):
        if form:
            text = text.replace(form, "***")
    return text


def _quoted(text: str) -> tuple[str, str]:
    return quote(text, safe="", errors="replace"), quote_plus(text, errors="replace")


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
