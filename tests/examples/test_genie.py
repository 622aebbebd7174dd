"""The real genie_python: in a script under our IOC, and as a client of our IOC's PVs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.ca import ECA_PUTFAIL, HERE, STRING, Client, Peer, ca_environ, free_port
from benchmarks.rig.iocs import Ioc, until
from tests.examples.instrument import EXAMPLES, Instrument
from tests.process.genie import IS_THERE, MISSING, OPTIONS, PYTHON

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not IS_THERE, reason=MISSING),
]
P = "TE:G:BGRSCRPT_01:"
FOREVER = """
import time, bgrscrpt
bgrscrpt.message("measuring " + "x" * 200)
print("Probe: größer")
print("y" * 3000)
time.sleep(100000)
"""
SCRIPT = """
from time import sleep
from genie_python import genie as g
g.set_instrument(None)
block = g.cget("Temp_Sample")
print("cget:", block["name"], block["value"], block["unit"], block["connected"], block["alarm"])
g.set_pv("CS:SB:Temp_SP", 290.5, wait=True, is_local=True)
print("set point:", g.get_pv("CS:SB:Temp_SP", is_local=True), g.cget("Temp_SP")["value"])
print("own state:", g.get_pv("BGRSCRPT_01:STATUS", is_local=True))
while True:
    sleep(10)
"""


class Genie(Peer):
    """Somebody at a genie_python prompt."""

    def __init__(self, port: int, home: Path) -> None:
        client = Path(__file__).with_name("genie_client.py")
        environ = ca_environ(port, HOME=str(home))
        del environ["EPICS_CAS_INTF_ADDR_LIST"]  # with it genie_python takes itself for an IOC
        super().__init__([str(PYTHON), str(client)], environ)

    def type(self, do: str, *arguments: Any, **options: Any) -> Any:
        """Call a function of genie_python; what it returned."""
        return self.ask(do, arguments=arguments, options=options)["value"]

    def sees(self, do: str, *arguments: Any, **options: Any) -> str:
        """Call it; the last line that it printed."""
        seen = self.ask(do, arguments=arguments, options=options)["seen"]
        return seen.rstrip().rpartition("\n")[2]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("genie")


@pytest.fixture(scope="module")
def ioc(directory: Path) -> Iterator[Ioc]:
    """Our IOC with a script that runs, for all tests: each leaves it running, as it was."""
    (directory / "script.py").write_text(FOREVER)
    with Ioc(directory, directory / "script.py", "--prefix", "TE:G:") as ioc:
        ioc.ready().wait_for("yyyy")
        yield ioc


@pytest.fixture
def script(directory: Path, ioc: Ioc) -> Iterator[Path]:
    """The script of the IOC, to be broken."""
    path = directory / "script.py"
    assert ioc.process.poll() is None
    yield path
    path.write_text(FOREVER)


@pytest.fixture(scope="module")
def genie(ioc: Ioc, directory: Path) -> Iterator[Genie]:
    """One prompt for all tests: to import genie_python takes seconds."""
    with Genie(ioc.port, directory) as genie:
        yield genie


@pytest.fixture(scope="module")
def client(ioc: Ioc) -> Iterator[Client]:
    """Another client, that knows nothing of genie_python."""
    with Client(ioc.port) as client:
        yield client


def test_in_a_script(tmp_path: Path, instrument: Instrument) -> None:
    """`g.set_instrument(None)`, `g.cget` and a local `g.set_pv` work in a script under our IOC."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    port = free_port()
    environ = {
        "HOME": str(tmp_path),
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{instrument.port} 127.0.0.1:{port}",
    }
    arguments = (script, "--prefix", "TE:DEMO:", *OPTIONS, "--python-path", EXAMPLES / "demo")
    with Ioc(tmp_path, *arguments, port=port, environ=environ) as ioc:
        output = ioc.wait_for("own state:")
        assert "cget: Temp_Sample 280.0 K True NO_ALARM\n" in output
        assert "set point: 290.5 290.5\n" in output
        assert instrument.get("CS:SB:Temp_SP") == 290.5
        ioc.wait_for("own state: Running\n")


def test_restart_and_wait(genie: Genie, client: Client) -> None:
    """`g.set_pv(..., 1, wait=True)` returns when another script runs; "Busy" is as good as 1."""
    starts = client.get(P + "STARTS")
    for value in (1, "Busy"):
        pid = genie.type("get_pv", P + "PID")
        genie.type("set_pv", P + "RESTART", value, wait=True)
        assert genie.type("get_pv", P + "STATUS") == "Running"
        assert genie.type("get_pv", P + "RESTART") == "Done"
        assert genie.type("get_pv", P + "PID") not in (0, pid)
    assert client.get(P + "STARTS") == starts + 2


@pytest.mark.parametrize(
    ("command", "told"), [("RESTART", "not restarted, the script is bad: "), ("CHECK", "")]
)
def test_a_command_that_fails(genie: Genie, script: Path, command: str, told: str) -> None:
    """Without `wait` genie_python sees all: the reason, the alarm, that the old one still runs."""
    pid = genie.type("get_pv", P + "PID")
    script.write_text("def f(:\n")
    genie.type("set_pv", P + command, 1)
    until(lambda: genie.type("get_pv", P + command) == "Done")
    text = genie.type("get_pv", P + "STATUS:MSG")
    assert "SyntaxError: invalid syntax (script.py:1)" in text
    assert text.startswith(told)
    assert genie.type("get_pv", f"{P}{command}.SEVR") == "MAJOR"
    assert genie.type("get_pv", P + "STATUS") == "Running"
    assert genie.type("get_pv", P + "PID") == pid
    script.write_text(FOREVER)
    genie.type("set_pv", P + command, 1, wait=True)
    assert genie.type("get_pv", f"{P}{command}.SEVR") == "NO_ALARM"


def fails_with_wait(genie: Genie, pv: str, value: Any) -> None:
    """See that the call does not return though the news of its failure has come; ^C ends it."""
    number = genie.send("set_pv", arguments=[pv, value], options={"wait": True})
    genie.wait_for(lambda: b"is not a valid DBR" in genie.errors, 60.0)
    genie.wait_for(lambda: b"missing 1 required positional argument" in genie.errors, 60.0)
    assert not genie.answered(number)
    genie.process.send_signal(signal.SIGINT)
    genie.process.wait(60)


def test_a_fault_of_genie(ioc: Ioc, client: Client, script: Path, tmp_path: Path) -> None:
    """With `wait` it never learns of a put that failed (CaChannel 3.2.0 drops the news): ^C."""
    script.write_text("def f(:\n")
    with Genie(ioc.port, tmp_path) as genie:
        fails_with_wait(genie, P + "RESTART", 1)
    assert client.text(P + "STATUS:MSG").startswith("not restarted, the script is bad: ")
    assert client.get(P + "STATUS", STRING) == "Running"


def test_the_same_fault_with_a_c_ioc(tmp_path: Path) -> None:
    """So it is with EPICS base's own record engine: the fault is not in our answer."""
    database, port = tmp_path / "a.db", free_port()
    database.write_text('record(calc, "X") {}\n')
    server = [sys.executable, str(HERE / "softioc_peer.py"), str(database), ""]
    with (
        Peer(server, ca_environ(port)),
        Client(port) as client,
        Genie(port, tmp_path) as genie,
    ):
        assert client.put_callback("X.CALC", "((") == ECA_PUTFAIL  # no expression
        fails_with_wait(genie, "X.CALC", "((")


def test_texts(genie: Genie) -> None:
    """LOG, STATUS and STATUS:MSG are text, with `to_string` and without; long ones are whole."""
    genie.type("set_pv", P + "RESTART", 1, wait=True)
    until(lambda: genie.type("get_pv", P + "LOG").endswith("y" * 3000))
    for options in ({}, {"to_string": True}):

        def get(name: str, options: dict[str, bool] = options) -> Any:
            return genie.type("get_pv", P + name, **options)

        assert get("STATUS") == "Running"
        assert get("STATUS:MSG").startswith("restarted by ")
        assert get("MESSAGE") == "measuring " + "x" * 200
        assert get("LOG:LINE") == "y" * 1023  # 1024 with its NUL
        assert get("ERROR") == ""
        log = get("LOG").encode("latin-1").decode()  # genie_python takes each byte for a letter
        assert log.endswith("Probe: größer\n" + "y" * 3000)


def test_numbers(genie: Genie) -> None:
    """Numbers are numbers; `to_string` spoils them in genie_python, which asks for characters."""
    pid = genie.type("get_pv", P + "PID")
    os.kill(pid, 0)
    assert genie.type("get_pv", P + "UPTIME") > 0
    assert genie.type("get_pv", P + "PID", to_string=True) != str(pid)
    assert genie.type("get_pv", P + "LOG:COUNT") >= 2


def test_autorestart(genie: Genie) -> None:
    """AUTORESTART by its names, of any case, and by numbers; a name it has not is refused."""
    for value, read in (("Off", "Off"), ("On", "On"), (0, "Off"), (1, "On"), ("off", "Off")):
        genie.type("set_pv", P + "AUTORESTART", value, wait=True)
        assert genie.type("get_pv", P + "AUTORESTART") == read
    seen = genie.sees("set_pv", P + "AUTORESTART", "nope", wait=True)
    assert "Valid strings are ('Off', 'On')" in seen
    assert genie.type("get_pv", P + "AUTORESTART") == "Off"


@pytest.mark.parametrize("name", ["STATUS", "LOG", "PID"])
def test_readbacks_are_refused(genie: Genie, name: str) -> None:
    """What nobody may write is refused with the PV's name, not silently."""
    before = genie.type("get_pv", P + name)
    assert P + name in genie.sees("set_pv", P + name, 0, wait=True)
    assert genie.type("get_pv", P + name) == before


def test_disp(genie: Genie) -> None:
    """`set_pv` reads `.DISP` of every PV first; ours has a value it can read."""
    for name in ("RESTART", "AUTORESTART", "STATUS", "LOG"):
        assert genie.type("get_pv", f"{P}{name}.DISP") == "0"


def test_stop_and_start(genie: Genie, client: Client) -> None:
    """STOP and START with `wait` return when it is so."""
    genie.type("set_pv", P + "STOP", 1, wait=True)
    assert genie.type("get_pv", P + "STATUS") == "Stopped"
    assert genie.type("get_pv", P + "PID") == 0
    genie.type("set_pv", P + "START", 1, wait=True)
    assert genie.type("get_pv", P + "STATUS") == "Running"
    assert client.get(P + "PID") == genie.type("get_pv", P + "PID")
