"""What systemd is told, by a socket of the test's own: and nothing, where nobody asks."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgrscrpt_ioc.host.posix.sdnotify import Systemd
from bgrscrpt_ioc.host.streams import is_journal

INTERVAL = 0.15  # s


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """A systemd that listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener


def variables(listener: socket.socket, **more: str) -> dict[str, str]:
    """The environment of a service."""
    return {"NOTIFY_SOCKET": listener.getsockname(), "HOME": "/", **more}


def waiting(listener: socket.socket) -> list[bytes]:
    """What has come."""
    found: list[bytes] = []
    listener.setblocking(False)
    try:
        while True:
            found.append(listener.recv(1000))
    except BlockingIOError:
        return found


async def test_it_is_told_what_happens_once(listener: socket.socket) -> None:
    """READY with a line for `systemctl status`, then STOPPING; scripts see nothing of systemd."""
    found = variables(listener)
    systemd = Systemd(found)
    systemd.ready("serving A")
    systemd.stopping()
    systemd.close()
    assert waiting(listener) == [
        b"READY=1\nSTATUS=serving A",
        b"STOPPING=1\nSTATUS=stopping all scripts",
    ]
    assert found == {"HOME": "/"}


async def test_signs_of_life_come_from_the_event_loop(listener: socket.socket) -> None:
    """They come while the loop turns, not while it hangs, and not after STOPPING."""
    told = {"WATCHDOG_USEC": str(int(INTERVAL * 1e6)), "WATCHDOG_PID": str(os.getpid())}
    systemd = Systemd(variables(listener, **told))
    systemd.ready("")
    while len(waiting(listener)) < 2:
        await asyncio.sleep(0.01)
    time.sleep(2 * INTERVAL)  # noqa: ASYNC251 - it is to hang
    assert waiting(listener) == []
    await asyncio.sleep(0)
    listener.setblocking(False)
    await asyncio.get_running_loop().sock_recv(listener, 1000)
    systemd.stopping()
    waiting(listener)
    await asyncio.sleep(2 * INTERVAL)
    assert waiting(listener) == []
    systemd.close()


@pytest.mark.parametrize("told", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}])
async def test_a_watchdog_that_is_not_ours(listener: socket.socket, told: dict[str, str]) -> None:
    """Without an interval, or with one for another process, there are no signs of life."""
    systemd = Systemd(variables(listener, **told))
    systemd.ready("")
    await asyncio.sleep(0.05)
    assert len(waiting(listener)) == 1
    systemd.close()


async def test_a_full_queue_is_waited_for(listener: socket.socket) -> None:
    """While systemd is busy, the loop goes on; READY comes when there is room."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        try:
            while True:
                other.sendto(b"", listener.getsockname())
        except BlockingIOError:
            pass
    systemd = Systemd(variables(listener))
    systemd.ready("")
    assert b"READY=1\nSTATUS=" not in waiting(listener)
    assert await asyncio.get_running_loop().sock_recv(listener, 1000) == b"READY=1\nSTATUS="
    systemd.close()


async def test_nobody_listens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A socket that is not there is told in the log once; without the variable nothing is done."""
    with caplog.at_level(logging.WARNING):
        for name in ({}, {"NOTIFY_SOCKET": str(tmp_path / "none")}, {"NOTIFY_SOCKET": "vsock:2:1"}):
            systemd = Systemd(dict(name))
            systemd.ready("x")
            systemd.stopping()
            systemd.close()
    assert caplog.messages == [
        "systemd cannot be told READY=1: NOTIFY_SOCKET: No such file or directory"
    ]


async def test_an_abstract_socket() -> None:
    """A name that begins with @ is no file."""
    name = f"bgrscrpt-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        systemd = Systemd({"NOTIFY_SOCKET": f"@{name}"})
        systemd.ready("x")
        systemd.close()
        assert waiting(listener) == [b"READY=1\nSTATUS=x"]


def test_whether_the_journal_reads_a_descriptor() -> None:
    """It does if its device and inode are those that systemd names, and not else."""
    read, write = os.pipe()
    there = os.fstat(write)
    assert is_journal(write, f"{there.st_dev}:{there.st_ino}")
    assert not is_journal(write, f"{there.st_dev}:{there.st_ino + 1}")
    assert not is_journal(write, "")
    os.close(read)
    os.close(write)
    assert not is_journal(write, f"{there.st_dev}:{there.st_ino}")
