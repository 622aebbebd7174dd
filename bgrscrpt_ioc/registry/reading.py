"""Reads the registry for people; it makes and changes nothing."""

from __future__ import annotations

from pathlib import Path

from bgrscrpt_ioc.registry.wanted import RegistryRow


def nothing_yet(url: str) -> bool:
    """Return whether the URL names an SQLite file that does not exist: no row is to be reconciled.

    This needs no SQLAlchemy, which an IOC whose scripts register nothing never imports.
    """
    scheme, _, path = url.partition(":///")
    return scheme == "sqlite" and not path.startswith(("file:", ":")) and not Path(path).exists()


def read_table(url: str) -> list[RegistryRow]:
    """Return all rows of the registry's `iocrt`, by name.

    Raises:
        RegistryError: the registry cannot be read. The text does not contain the password.
    """
    from bgrscrpt_ioc.registry.dbconnection import IocDb  # imported here: 0.3 s

    with IocDb(url, "read").session() as session:
        return session.table()


def read_instances(url: str) -> list[tuple[str, str]]:
    """Return (prefix, name) of every instance whose PVs the registry has.

    Raises:
        RegistryError: the registry cannot be read. The text does not contain the password.
    """
    from bgrscrpt_ioc.registry.dbconnection import IocDb

    with IocDb(url, "read").session() as session:
        return session.instances()
