"""The room host/windows: files, locks, names, sockets, the end of a session, access control lists.

Runs on Windows. Each test calls what other rooms of the package call.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import win32con

from bgrscrpt_ioc.access.complaints import Complaints
from bgrscrpt_ioc.ca.ports import listening_sockets
from bgrscrpt_ioc.ca.search import Searches
from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.host.files import read_regular, replace_file
from bgrscrpt_ioc.host.hold import Hold, TakenError, held_on_this_host
from bgrscrpt_ioc.host.windows import disk, signals, sockets
from bgrscrpt_ioc.host.windows.exits import KILLED, describe_exit
from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.loglines import Block
from bgrscrpt_ioc.output.writer import Writer
from tests.process.scripts import DEADLINE

KEY = f"{os.getpid()}/TE:BGRSCRPT_01"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (3, (3, "exit 3")),
        (0xC0000005, (-1073741819, "ACCESS_VIOLATION")),
        (0xC00000FD, (-1073741571, "STACK_OVERFLOW")),
        (0xC0001234, (-1073737164, "exit 0xC0001234")),
        (-1073741819, (-1073741819, "ACCESS_VIOLATION")),
        (KILLED, (-9, "SIGKILL")),
        (0xC000013A, (-2, "SIGINT")),
    ],
)
def test_how_a_process_ended(status: int, told: tuple[int, str]) -> None:
    """`describe_exit` gives an exit code as a name and as a signed number that fits the PV."""
    assert describe_exit(status) == told


def test_a_file_is_replaced_while_it_is_open(tmp_path: Path) -> None:
    """`replace_file` waits while another program has the old file open without sharing it."""
    path = tmp_path / "kept.json"
    path.write_bytes(b"old\n")
    reader = path.open("rb")  # Python's own open does not share a file
    threading.Timer(0.2, reader.close).start()
    replace_file(path, b"new\n")
    assert path.read_bytes() == b"new\n"
    assert [each.name for each in tmp_path.iterdir()] == ["kept.json"]


def test_a_file_that_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`replace_file` fails after a second if the old file stays open; the old file is unchanged."""
    monkeypatch.setattr(disk, "PATIENCE", 0.05)
    path = tmp_path / "kept.json"
    path.write_bytes(b"old")
    with path.open("rb"), pytest.raises(PermissionError):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_file_that_is_read_can_be_replaced(tmp_path: Path) -> None:
    """An editor can rename a file over a file that the IOC reads."""
    path, new = tmp_path / "script.py", tmp_path / "new.py"
    path.write_bytes(b"old")
    new.write_bytes(b"new")
    descriptor = system.open_to_read(path)
    try:
        path.rename(tmp_path / "script.bak")
        new.rename(path)
        assert os.read(descriptor, 10) == b"old"
    finally:
        os.close(descriptor)
    assert read_regular(path) == b"new"


def test_a_log_file_is_renamed_and_deleted_while_it_is_open(tmp_path: Path) -> None:
    """Other programs can rename and delete a log file; the IOC then writes a new file."""
    writer = Writer("log")
    log = LogFile(tmp_path, "X", writer, patience=0)
    line = Block(b"line\n", 1)
    now = time.time()
    log.write(line, now)
    assert _until(lambda: log.path)
    path = Path(log.path)
    assert _until(lambda: path.read_bytes().endswith(b" line\n"))
    path.rename(tmp_path / "rotated")
    log.write(line, now)
    assert _until(lambda: path.exists() and path.read_bytes().count(b"\n") == 1)
    path.unlink()  # Wine tells who has it open nothing of that
    log.close()
    assert writer.close(DEADLINE)
    assert log.problem == ""
    assert not path.exists()


def test_the_last_line_of_an_old_log_is_completed(tmp_path: Path) -> None:
    """After a line that was cut off, the next line begins anew; a newline stays one byte."""
    path = tmp_path / "X.log"
    path.write_bytes(b"torn")
    descriptor = system.open_to_append(path, 0o640)
    system.complete_last_line(descriptor)
    os.write(descriptor, b"next\n")
    os.close(descriptor)
    assert path.read_bytes() == b"torn\nnext\n"


@pytest.mark.parametrize("name", ["NUL", "."])
def test_what_is_no_file_is_no_log(tmp_path: Path, name: str) -> None:
    """The IOC refuses a device or a directory in the place of a log file."""
    with pytest.raises(OSError, match=r"."):
        system.open_to_append(tmp_path / name if name == "." else Path(name), 0o640)


def test_an_instance_is_held_once(tmp_path: Path) -> None:
    """The name of an instance and its lock hold in every session, and end with the process."""
    first, second = Hold(), Hold()
    first.take(KEY, tmp_path / "a.lock")
    try:
        holder = rf"served on this host by the process {os.getpid()}$"
        with pytest.raises(TakenError, match=holder):
            second.take(KEY, tmp_path / "b.lock")
        with pytest.raises(TakenError, match=rf"in use by another IOC with pid {os.getpid()} "):
            second.take(f"{KEY}2", tmp_path / "a.lock")
        assert (os.getpid(), "TE:BGRSCRPT_01") in held_on_this_host()
    finally:
        first.release()
        second.release()
    assert (os.getpid(), "TE:BGRSCRPT_01") not in held_on_this_host()
    second.take(KEY, tmp_path / "a.lock")
    second.release()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """The next IOC gets the lock however the holder of the lock has ended."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom bgrscrpt_ioc.host.hold import Hold\n"
        "hold = Hold()\nhold.take(sys.argv[1], Path(sys.argv[2]))\nprint('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    lock = tmp_path / "a.lock"
    with subprocess.Popen(
        [sys.executable, "-c", code, KEY, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        hold = Hold()
        with pytest.raises(TakenError, match=rf"by the process {other.pid}$"):
            hold.take(KEY, lock)
        other.kill()
        other.wait(DEADLINE)
    hold.take(KEY, lock)
    hold.release()


def test_a_port_is_for_one_server() -> None:
    """The IOC does not share a port with another server, even if that server allows it."""
    theirs = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        theirs.bind(("127.0.0.1", 0))
        theirs.listen()
        (ours,) = listening_sockets(["127.0.0.1"], theirs.getsockname()[1])
        with ours:
            assert ours.getsockname()[1] != theirs.getsockname()[1]


async def test_a_datagram_socket_reads_on_after_an_error() -> None:
    """After a read that an ICMP message has made fail, the socket still receives."""
    loop = asyncio.get_running_loop()
    got: asyncio.Queue[bytes] = asyncio.Queue()
    errors: list[Exception] = []

    class Listening(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
            got.put_nowait(data)

        def error_received(self, exc: Exception) -> None:
            errors.append(exc)
            sockets.go_on(transport)

    shared = system.shared_datagram_socket(("127.0.0.1", 0))
    transport, protocol = await loop.create_datagram_endpoint(Listening, sock=shared)
    with system.datagram_socket() as other:
        await asyncio.sleep(0)  # its first read has begun
        # What the proactor does with an error: see `go_on`. Wine makes none by itself.
        transport._read_fut.cancel()  # type: ignore[attr-defined]
        transport._read_fut = None  # type: ignore[attr-defined]
        protocol.error_received(ConnectionResetError(10054, "reset"))
        await asyncio.sleep(0)
        other.sendto(b"again", shared.getsockname())
        async with asyncio.timeout(DEADLINE):
            assert await got.get() == b"again"
    assert len(errors) == 1
    transport.close()


async def test_an_answer_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps neither the answers behind it nor the end of the IOC."""
    loop = asyncio.get_running_loop()
    found = Searches(lambda _: True, 5064, (), Complaints())
    shared = system.shared_datagram_socket(("127.0.0.1", 0))
    transport, _ = await loop.create_datagram_endpoint(lambda: found, sock=shared)

    def send(data: bytes) -> asyncio.Future[int]:
        """Send, and return what the test ends instead of the network."""
        sent = loop.create_future()
        with monkeypatch.context() as patch:
            patch.setattr(loop._proactor, "sendto", lambda *_, **__: sent)  # type: ignore[attr-defined]
            transport.sendto(data, there)
        return sent

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(DEADLINE)
        there = other.getsockname()
        first = send(b"first")
        transport.sendto(b"second", there)
        first.set_exception(OSError(10051, "the network is not reached"))
        assert await asyncio.to_thread(other.recv, 100) == b"second"
        send(b"third")
        found.close()
        async with asyncio.timeout(DEADLINE):
            await found.closed


@pytest.mark.parametrize(
    ("event", "is_service", "ends"),
    [
        (win32con.CTRL_CLOSE_EVENT, False, True),
        (win32con.CTRL_SHUTDOWN_EVENT, True, True),
        (win32con.CTRL_LOGOFF_EVENT, False, True),
        (win32con.CTRL_LOGOFF_EVENT, True, False),
        (win32con.CTRL_C_EVENT, False, False),  # which is a signal, too
    ],
)
async def test_the_last_events_of_a_console(
    monkeypatch: pytest.MonkeyPatch, event: int, is_service: bool, ends: bool
) -> None:
    """A closed console, a logoff and a shutdown end the IOC. The test calls the handler itself."""
    handlers: list[Callable[[int], bool]] = []
    monkeypatch.setattr("win32api.SetConsoleCtrlHandler", lambda call, _: handlers.append(call))
    monkeypatch.setattr(signals, "_is_service", lambda: is_service)
    monkeypatch.setattr(signals, "ENDING", 0.0)
    before = {number: signal.getsignal(number) for number in (2, 15, signal.SIGBREAK)}
    asked = asyncio.Event()
    try:
        signals.on_end_asked(asked.set)
        handled = await asyncio.to_thread(handlers[0], event)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    await asyncio.sleep(0)
    assert handled == (event != win32con.CTRL_C_EVENT)
    assert asked.is_set() == ends


@pytest.mark.parametrize("who", ["S-1-1-0", "S-1-5-11", "S-1-5-32-545"])
def test_who_may_change_a_file(tmp_path: Path, who: str) -> None:
    """A file that everybody can write to is reported, with a command that shows the rights."""
    import ntsecuritycon
    import win32security

    path = tmp_path / "script.py"
    path.write_text("")

    def allow(mask: int) -> None:
        entries = win32security.ACL()
        sid = win32security.ConvertStringSidToSid(who)
        entries.AddAccessAllowedAce(win32security.ACL_REVISION, mask, sid)
        descriptor = win32security.SECURITY_DESCRIPTOR()
        descriptor.SetSecurityDescriptorDacl(True, entries, False)
        win32security.SetFileSecurity(
            str(path), win32security.DACL_SECURITY_INFORMATION, descriptor
        )

    allow(ntsecuritycon.FILE_GENERIC_READ)
    assert not system.open_to_all(path)
    allow(ntsecuritycon.FILE_GENERIC_READ | ntsecuritycon.FILE_GENERIC_WRITE)
    if who == "S-1-1-0":  # the only one of them that Wine keeps: it has modes beneath
        assert system.open_to_all(path)
    assert system.describe_open([path]).startswith(f'anybody may change "{path}": take the right')


def _until(condition: object) -> object:
    """Wait until a condition holds that a thread brings about."""
    end = time.monotonic() + DEADLINE
    while not (found := condition()):  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
    return found
