"""Signals to the IOC's own process."""

from __future__ import annotations

import subprocess
import sys

STORM = """
import asyncio, os, signal
from bgrscrpt_ioc.host.posix.reaper import Reaper
from bgrscrpt_ioc.host.posix.signals import on_end_asked

async def main():
    asked = asyncio.Event()
    on_end_asked(asked.set)
    Reaper().start()
    for _ in range(2000):  # in one turn of the loop, as when the children of a whole tree die
        os.kill(os.getpid(), signal.SIGCHLD)
    os.kill(os.getpid(), signal.SIGTERM)
    await asked.wait()

asyncio.run(main())
"""

IGNORED_FROM_BIRTH = """
import asyncio, os, signal
from bgrscrpt_ioc.host.posix.signals import on_end_asked

async def main():
    asked = asyncio.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    on_end_asked(asked.set)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    await asked.wait()

asyncio.run(main())
"""
LOOP_AFTER_LOOP = """
import asyncio, os, signal, threading, time
from bgrscrpt_ioc.host.posix.handlers import call_on_signal

async def main():
    asked = asyncio.Event()
    call_on_signal(signal.SIGUSR1, asked.set)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # another thread is to get it
    sender = threading.Thread(target=send)
    sender.start()
    await asked.wait()  # nothing else wakes the loop
    sender.join()

def send():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    time.sleep(0.05)  # if the loop does not sleep by then, the test still passes
    os.kill(os.getpid(), signal.SIGUSR1)

for _ in range(3):
    asyncio.run(main())
"""


def run(program: str) -> tuple[int, bytes]:
    """Run a program; return its exit code and what it wrote on stderr."""
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return done.returncode, done.stderr


def test_a_storm_of_deaths_loses_no_signal() -> None:
    """However many children die at once, SIGTERM is heard, and nothing is written on stderr."""
    assert run(STORM) == (0, b"")


def test_signals_ignored_from_birth() -> None:
    """What `nohup` or a shell's `&` had this process ignore does not end it, except SIGTERM."""
    assert run(IGNORED_FROM_BIRTH) == (0, b"")


def test_signals_wake_each_loop_of_a_process() -> None:
    """A signal wakes the loop that runs, also if an earlier loop has heard of signals before."""
    assert run(LOOP_AFTER_LOOP) == (0, b"")
