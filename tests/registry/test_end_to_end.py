"""The registry as an instrument has it: rows in plain SQL, through all that happens to an IOC."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.ca import ECA_NORMAL, STRING, Client
from benchmarks.rig.iocs import FOREVER, Ioc, until
from benchmarks.rig.mariadb import PASSWORD
from benchmarks.rig.where import native
from tests.registry.backends import Backend, MySqlBackend, SqliteBackend

P = "TE:BGRSCRPT_01:"
REGISTERS = (
    "from server_common.helpers import register_ioc_start\nregister_ioc_start('BGRSCRPT_01')\n"
)
NEVER = "1970-01-01 00:00:01"


class Instrument:
    """IOCs that share a directory, a port and a registry, one after the other."""

    def __init__(self, directory: Path, backend: Backend, stack: ExitStack) -> None:
        self.directory, self.backend, self._stack = directory, backend, stack
        self.script = directory / "background_script.py"
        self.script.write_text(REGISTERS + FOREVER)
        self.port: int | None = None
        self.ioc: Ioc
        self.client: Client

    def start(self, *options: str) -> Client:
        """Start an IOC and a client of it."""
        arguments = [self.script, "--prefix", "TE:", "--registry", self.backend.url, *options]
        ioc = Ioc(self.directory, *arguments, port=self.port)
        self.ioc = self._stack.enter_context(ioc).ready()
        self.port = self.ioc.port
        self.client = self._stack.enter_context(Client(self.port))
        return self.client

    def until_registered(self) -> int:
        """Wait until the PV says registered; return the script's pid."""
        until(lambda: self.client.get(P + "REGISTERED", STRING) == "Yes")
        return self.client.get(P + "PID")

    def row(self) -> tuple[Any, ...]:
        """Return (running, pid, whether it has a stop time); None if there is no row."""
        query = "SELECT running, pid, stop_time FROM iocrt WHERE iocname = 'BGRSCRPT_01'"
        rows = self.backend.sql(query)
        return (*rows[0][:2], str(rows[0][2])[:19] != NEVER) if rows else ()

    def until_row(self, *row: Any) -> None:
        """Wait until the row is like this."""
        until(lambda: self.row() == row)


@pytest.fixture
def instrument(tmp_path: Path, backend: Backend) -> Iterator[Instrument]:
    """An instrument on each back end in turn."""
    with ExitStack() as stack:
        yield Instrument(tmp_path, backend, stack)


def test_rows_through_the_life_of_a_script(instrument: Instrument) -> None:
    """Register, stop, start, restart, crash: the row follows each."""
    client = instrument.start()
    instrument.until_row(1, instrument.until_registered(), False)
    assert client.put_callback(P + "STOP") == ECA_NORMAL
    instrument.until_row(0, None, True)
    assert client.put_callback(P + "START") == ECA_NORMAL
    first = instrument.until_registered()
    instrument.until_row(1, first, False)
    assert client.put_callback(P + "RESTART") == ECA_NORMAL
    assert client.get(P + "PID") != first
    instrument.until_row(1, instrument.until_registered(), False)
    client.put_callback(P + "AUTORESTART", 0)
    instrument.script.write_text(REGISTERS + "import os\nos.abort()\n")
    client.put_callback(P + "RESTART")
    instrument.until_row(0, None, True)


def test_rows_at_the_end_of_the_ioc(instrument: Instrument) -> None:
    """After SIGTERM the row says stopped before the IOC is gone."""
    instrument.start()
    instrument.until_row(1, instrument.until_registered(), False)
    assert instrument.ioc.end(signal.SIGTERM) == 0
    assert instrument.row() == (0, None, True)


def test_rows_of_a_killed_ioc_are_reconciled(instrument: Instrument) -> None:
    """After SIGKILL the row says running 1; the next IOC corrects it, whatever that IOC runs."""
    instrument.start()
    pid = instrument.until_registered()
    instrument.until_row(1, pid, False)
    instrument.ioc.process.kill()
    instrument.ioc.process.wait()
    assert instrument.row() == (1, pid, False)
    instrument.start("--at-start", "stop")
    instrument.until_row(0, None, True)


def test_pvs_that_the_script_makes(instrument: Instrument) -> None:
    """PVs that the script makes are registered too, even if they are made after the call."""
    instrument.script.write_text(
        "import bgrscrpt, time\n"
        "bgrscrpt.pv('LEVEL', 1.5, description='Level of the tank', archive=True)\n"
        + REGISTERS
        + "time.sleep(0.5)\nbgrscrpt.pv('LATE', 1, writable=True)\n"
        + FOREVER
    )
    instrument.start()
    instrument.until_registered()
    query = (
        "SELECT pvname, record_type, record_desc FROM pvs"
        " WHERE pvname IN ('TE:BGRSCRPT_01:LEVEL', 'TE:BGRSCRPT_01:LATE')"
    )
    expected = [(P + "LATE", "longout", ""), (P + "LEVEL", "ai", "Level of the tank")]
    until(lambda: sorted(map(tuple, instrument.backend.sql(query))) == expected)
    infos = "SELECT infoname, value FROM pvinfo WHERE pvname = 'TE:BGRSCRPT_01:LEVEL'"
    assert list(map(tuple, instrument.backend.sql(infos))) == [("archive", "VAL")]


def test_two_instances_of_one_name(tmp_path: Path, sqlite: SqliteBackend) -> None:
    """As in ISIS's documentation both scripts say BGRSCRPT_01; the row is that of one that runs."""
    with ExitStack() as stack:
        instrument = Instrument(tmp_path, sqlite, stack)
        config = tmp_path / "ioc.toml"
        config.write_text("".join(
            f"[instance.BGRSCRPT_0{number}]\nscript = '{native(instrument.script)}'\n"
            for number in (1, 2)
        ))  # fmt: skip
        url = ("--registry", sqlite.url)
        ioc = stack.enter_context(Ioc(tmp_path, "--config", config, "--prefix", "TE:", *url))
        client = stack.enter_context(Client(ioc.ready().port))
        second = "TE:BGRSCRPT_02:"

        def said() -> dict[str, str]:
            return {each: client.text(each + "REGISTRY:MSG") for each in (P, second)}

        until(
            lambda: (
                sorted(client.get(each + "REGISTERED", STRING) for each in said()) == ["No", "Yes"]
            )
        )
        (owner,) = [each for each in said() if client.get(each + "REGISTERED", STRING) == "Yes"]
        (other,) = said().keys() - {owner}
        assert said()[other].endswith("has registered BGRSCRPT_01 later")
        assert client.put_callback(owner + "STOP") == ECA_NORMAL
        instrument.until_row(1, client.get(other + "PID"), False)
        until(lambda: client.get(other + "REGISTERED", STRING) == "Yes")
        assert said()[owner].endswith("registered as BGRSCRPT_01 has ended")
        assert client.put_callback(other + "STOP") == ECA_NORMAL
        instrument.until_row(0, None, True)


def test_an_outage_holds_up_nobody(tmp_path: Path, mariadb: MySqlBackend) -> None:
    """While the server hangs, commands complete and PVs are read; the rows come when it is back."""
    with ExitStack() as stack:
        instrument = Instrument(tmp_path, mariadb, stack)
        with mariadb.server.hung():
            client = instrument.start("--at-start", "stop")
            assert client.put_callback(P + "START") == ECA_NORMAL
            assert client.put_callback(P + "RESTART") == ECA_NORMAL
            until(lambda: client.get(P + "REGISTERED.SEVR", STRING) == "MINOR")
            assert client.get(P + "REGISTERED", STRING) == "No"
            assert "trying again" in client.text(P + "REGISTRY:MSG")
        instrument.until_row(1, instrument.until_registered(), False)
        assert client.get(P + "REGISTERED.SEVR", STRING) == "NO_ALARM"
        with mariadb.server.down():
            assert client.put_callback(P + "STOP") == ECA_NORMAL
        instrument.until_row(0, None, True)


def test_a_wrong_password_is_never_shown(tmp_path: Path, mariadb: MySqlBackend) -> None:
    """REGISTRY:MSG and the log have one clear line, without the password."""
    with ExitStack() as stack:
        instrument = Instrument(tmp_path, mariadb, stack)
        mariadb.url = mariadb.url.replace(PASSWORD, "$ecret-one")
        client = instrument.start()
        until(lambda: client.get(P + "REGISTERED.SEVR", STRING) == "MINOR")
        text = client.text(P + "REGISTRY:MSG")
        assert "password" in text
        assert instrument.ioc.end() == 0
        logged = [line for line in instrument.ioc.output.splitlines() if " ERROR: " in line]
        assert len(logged) == 1
        assert "$ecret-one" not in text + instrument.ioc.output
