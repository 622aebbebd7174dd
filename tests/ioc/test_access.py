"""Access rights, as clients over the real libca see them, and the log of puts."""

from __future__ import annotations

import getpass
import re
import socket
from pathlib import Path

from benchmarks.raw import ENUM, READ_NOTIFY, WRITE_NOTIFY, Raw
from benchmarks.rig.ca import DOUBLE, ECA_NORMAL, ECA_NOWTACCESS, ECA_PUTFAIL, Client
from benchmarks.rig.iocs import FOREVER, Ioc, until
from bgrscrpt_ioc.access.acf import Right
from bgrscrpt_ioc.access.security import Security
from tests.ioc.scripted import Scripted

P = "TE:BGRSCRPT_01:"
NORDACCESS = 368  # ECA_NORDACCESS
ME = getpass.getuser()


def started(directory: Path, acf: str | None, **environ: str) -> Ioc:
    """An IOC whose script does not run, with this access security file."""
    directory.mkdir(exist_ok=True)
    (directory / "script.py").write_text(FOREVER)
    options = ["--prefix", "TE:", "--at-start", "stop"]
    if acf is not None:
        (directory / "access.acf").write_text(acf)
        options += ["--asg", str(directory / "access.acf")]
    return Ioc(directory, directory / "script.py", *options, environ=environ)


def test_a_user_who_may_not(tmp_path: Path) -> None:
    """The client sees no write access, its put fails, nothing happens, and the log has it."""
    acf = "UAG(ops) {alice} ASG(DEFAULT) {RULE(1, READ) RULE(1, WRITE) {UAG(ops)}}"
    with started(tmp_path, acf) as ioc, Client(ioc.ready().port) as client:
        found = client.connect(P + "START")
        assert (found["readable"], found["writable"]) == (True, False)
        assert client.put_callback(P + "START") == ECA_NOWTACCESS  # libca does not even ask
        with Raw(ioc.port) as forged:
            (sid,) = forged.create(P + "START")
            forged.socket.sendall(forged.put(sid, 1, 7))
            answer = forged.message()
            assert (answer[0], answer[4]) == (WRITE_NOTIFY, ECA_NOWTACCESS)
        assert client.get(P + "STATUS") == 0
        ioc.wait_for("REFUSED to put 1: ")
        told = rf"\d\d-\w{{3}}-\d\d [\d:]{{8}} h bench {P}START REFUSED to put 1: .* no right to"
        assert re.search(told, ioc.output)
        assert "new=" not in ioc.output


def test_a_user_who_may(tmp_path: Path) -> None:
    """A put that is allowed is logged with old and new value, as caPutLog has them."""
    acf = f"UAG(ops) {{{ME}}} HAG(here) {{localhost}} ASG(DEFAULT) {{RULE(1, READ)"
    acf += " RULE(0, WRITE, TRAPWRITE) {UAG(ops) HAG(here)}}"
    with started(tmp_path, acf) as ioc, Client(ioc.ready().port) as client:
        assert client.put_callback(P + "AUTORESTART", 0) == ECA_NORMAL
        ioc.wait_for(f"{ME} {P}AUTORESTART new=0 old=1\n")
        assert client.put_callback(P + "AUTORESTART", 1.0) == ECA_NORMAL
        ioc.wait_for(f"{ME} {P}AUTORESTART new=1 old=0\n")
        assert client.put_callback(P + "AUTORESTART", "Perhaps") == ECA_PUTFAIL
        ioc.wait_for(f'{ME} {P}AUTORESTART REFUSED to put "Perhaps": ')


def test_nothing_to_read(tmp_path: Path) -> None:
    """A client without the right to read gets no value and no monitor, and stays connected."""
    with started(tmp_path, "ASG(DEFAULT)") as ioc, Client(ioc.ready().port) as client:
        found = client.connect(P + "STATUS")
        assert (found["readable"], found["writable"]) == (False, False)
        with Raw(ioc.port) as forged:
            (sid,) = forged.create(P + "STATUS")
            forged.socket.sendall(forged.get(sid, ENUM))
            answer = forged.message()
            assert (answer[0], answer[4], bytes(answer[6])) == (READ_NOTIFY, NORDACCESS, bytes(8))
        (tmp_path / "access.acf").write_text("ASG(DEFAULT) {RULE(1, READ)}")
        until(lambda: client.connect(P + "STATUS")["readable"])
        assert client.get(P + "STATUS") == 0


def test_a_manager_mode(tmp_path: Path) -> None:
    """Rights follow a PV of this IOC, and a connected client sees the change."""
    acf = 'ASG(DEFAULT) {INPA(%s) RULE(1, READ) RULE(1, WRITE) {CALC("A=1")}}'
    with started(tmp_path, acf % f"{P}AUTORESTART") as ioc, Client(ioc.ready().port) as client:
        assert client.connect(P + "RESTART")["writable"]
        assert client.put_callback(P + "AUTORESTART", 0) == ECA_NORMAL
        until(lambda: not client.connect(P + "RESTART")["writable"])
        assert client.put_callback(P + "RESTART") == ECA_NOWTACCESS


def test_a_mode_of_another_ioc(tmp_path: Path) -> None:
    """Rights follow a PV of another IOC; if that PV is lost, the right is lost."""
    acf = 'ASG(DEFAULT) {INPA(OTHER:BGRSCRPT_01:AUTORESTART) RULE(1, WRITE) {CALC("A=1")}}'
    other = tmp_path / "other"
    other.mkdir()
    (other / "script.py").write_text(FOREVER)
    options = ["--prefix", "OTHER:", "--at-start", "stop"]
    with Ioc(other, other / "script.py", *options) as source:
        source.ready()
        environ = {"EPICS_CA_ADDR_LIST": f"127.0.0.1:{source.port}"}
        with (
            Client(source.port) as switch,
            started(tmp_path / "ioc", acf, **environ) as ioc,
            Client(ioc.ready().port) as client,
        ):
            until(lambda: client.connect(P + "RESTART")["writable"])
            switch.put_callback("OTHER:BGRSCRPT_01:AUTORESTART", 0)
            until(lambda: not client.connect(P + "RESTART")["writable"])
            switch.put_callback("OTHER:BGRSCRPT_01:AUTORESTART", 1)
            until(lambda: client.connect(P + "RESTART")["writable"])
            source.process.kill()
            until(lambda: not client.connect(P + "RESTART")["writable"])


def test_a_mode_that_a_script_makes(tmp_path: Path) -> None:
    """A PV that the script makes later is an input, also when another run makes it another PV."""
    acf = f'ASG(DEFAULT) {{INPA({P}MODE) RULE(1, READ) RULE(1, WRITE) {{CALC("A=1")}}}}'
    (tmp_path / "access.acf").write_text(acf)
    begin = "mode, sp = bgrscrpt.pv('MODE', %s), bgrscrpt.pv('SP', 1.5, writable=True)\n"
    nobody = {"EPICS_CA_ADDR_LIST": "", "EPICS_CA_AUTO_ADDR_LIST": "NO"}  # is asked by the network
    options = ("--asg", tmp_path / "access.acf")
    with Scripted(tmp_path, begin % 1, *options, environ=nobody) as scripted:
        client = scripted.client
        until(lambda: client.connect(P + "SP")["writable"])
        scripted.write(begin % 1.0)
        scripted.restart()
        assert client.connect(P + "MODE")["type"] == DOUBLE
        assert client.put_callback(P + "SP", 2.5) == ECA_NORMAL
        scripted.do("mode.set(0)")
        until(lambda: not client.connect(P + "SP")["writable"])
        assert client.connect(P + "SP")["readable"]
        assert client.put_callback(P + "SP", 3.5) == ECA_NOWTACCESS
        with Raw(scripted.ioc.port) as forged:
            (sid,) = forged.create(P + "SP")
            forged.socket.sendall(forged.put(sid, 1, 7))
            answer = forged.message()
            assert (answer[0], answer[4]) == (WRITE_NOTIFY, ECA_NOWTACCESS)
        assert client.get(P + "SP") == 2.5


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    """A bad access file stops the start, with file and line; later it changes nothing."""
    with started(tmp_path / "bad", "ASG(DEFAULT) {\nRULE(1, RAED)}") as ioc:
        assert ioc.exit_code() == 1
        assert "access.acf: line 2: 'RAED' should be NONE, READ or WRITE" in ioc.output
    with (
        started(tmp_path, "ASG(DEFAULT) {RULE(1, WRITE)}") as ioc,
        Client(ioc.ready().port) as client,
    ):
        (tmp_path / "access.acf").write_text("ASG(")
        ioc.wait_for("the rules stay as they were")
        assert client.connect(P + "START")["writable"]


def test_the_log_server(tmp_path: Path) -> None:
    """Every put goes to EPICS_CA_PUT_LOG_ADDR too, in caPutLog's form."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            started(tmp_path, None, EPICS_CA_PUT_LOG_ADDR=address) as ioc,
            Client(ioc.ready().port) as client,
            server.accept()[0] as connection,
        ):
            connection.settimeout(20)
            client.put_callback(P + "CHECK")
            line = connection.makefile().readline()
        assert re.fullmatch(rf"\d\d-\w+-\d\d [\d:]+ \S+ {ME} {P}CHECK new=1 old=0\n", line)


async def test_without_a_file() -> None:
    """This host and those named may write; all others read. Names and networks are understood."""
    security = Security(write_hosts=["198.51.100.7", "203.0.113.0/24", "localhost", "no.such.host"])
    await security.start()
    asked = {
        "127.0.0.1": Right.WRITE,
        "192.0.2.5": Right.WRITE,  # our own address, where the connection ends
        "198.51.100.7": Right.WRITE,
        "198.51.100.8": Right.READ,
        "203.0.113.200": Right.WRITE,
        "203.0.114.1": Right.READ,
    }
    found = {each: security.granted(0, "root", each, "192.0.2.5").right for each in asked}
    await security.close()
    assert found == asked
