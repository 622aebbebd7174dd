"""A fault of the IOC in a thread of the registry is logged once, and all is written in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bgrscrpt_ioc.registry import threads
from bgrscrpt_ioc.registry.iocdb import DbSession
from bgrscrpt_ioc.registry.journal import Journal
from bgrscrpt_ioc.registry.keeper import RegistryKeeper
from bgrscrpt_ioc.registry.ledger import Ledger
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.registry.times import Times
from bgrscrpt_ioc.registry.wanted import Wanted
from bgrscrpt_ioc.registry.writer import RegistryWriter
from tests.registry.backends import SqliteBackend
from tests.registry.watching import NAME, Watched

Watch = Callable[..., Watched]

# What the two threads call.
CALLS: tuple[tuple[type, str], ...] = (
    (RegistryWriter, "_due"),
    (RegistryWriter, "_database"),
    (RegistryWriter, "_bring"),
    (RegistryWriter, "_back"),
    (Registry, "_recovered"),
    (Registry, "_journal_is"),
    (RegistryKeeper, "_load"),
    (Journal, "save"),
    (Journal, "load"),
    (Ledger, "recover"),
    (Ledger, "unsaved"),
    (Ledger, "saved"),
    (Ledger, "answered"),
    (DbSession, "bring"),
)


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    """Tries follow each other quickly."""
    monkeypatch.setattr(threads, "AGAIN", 0.01)
    return Times(settle=0, backoff=0.01, backoff_max=0.02, journal_retry=0.02)


@pytest.mark.parametrize(("owner", "name"), CALLS, ids=lambda each: getattr(each, "__name__", each))
def test_a_fault_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
    watch: Watch,
    sqlite: SqliteBackend,
    owner: type,
    name: str,
) -> None:
    """Whatever raises once in a thread, the script is registered, and no other call is needed."""
    real, left = getattr(owner, name), 1
    in_caller = name == "unsaved"  # which callers use too: they are another matter

    def raises(self: object, *arguments: Any, **more: Any) -> Any:
        nonlocal left
        ours = not in_caller or threads.threading.current_thread().daemon
        if left and ours:
            left -= 1
            raise RuntimeError("injected")
        return real(self, *arguments, **more)

    monkeypatch.setattr(owner, name, raises)
    watched = watch(sqlite.url)
    watched.registry.reconcile([NAME], 1_700_000_100.0)
    watched.register()
    watched.until_registered()
    watched.until_written()
    assert left == 0
    assert len(list((watched.state_dir / "registry").glob("*.json"))) == 1


def test_a_row_that_cannot_be_written_harms_no_other(
    monkeypatch: pytest.MonkeyPatch, watch: Watch, sqlite: SqliteBackend
) -> None:
    """Rows that raise whenever they are tried keep no other row from the database."""
    real = DbSession.bring

    def bring(self: DbSession, wanted: Wanted) -> Any:
        if wanted.ioc_name.startswith("ILL"):
            raise RuntimeError("injected")
        return real(self, wanted)

    monkeypatch.setattr(DbSession, "bring", bring)
    watched = watch(sqlite.url)
    for name in ("ILL_1", "ILL_2", "WELL", "ILL_3"):
        watched.register(name)
    watched.until_registered("WELL")
    status = watched.until_problem("RuntimeError: injected; trying again", "ILL_1")
    assert not status.registered
