"""Gets the stacks of Python processes' threads; `child/_bgrscrpt_stack.py` is the other side.

A real-time signal makes faulthandler write the stacks to a file in the process's memory, which is
opened here through /proc. A process that would die of the signal does not get it. The time to wait
for each process is bounded.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bgrscrpt_ioc.host.contract import Dump

SIGNAL = 54  # as in child/_bgrscrpt_process.py
LINK = "/memfd:bgrscrpt-stacks (deleted)"
USUAL = 202  # usual descriptor of that file
BIT = 1 << (SIGNAL - 1)
MOST = 1 << 20  # bytes that are read of one process: 100 threads of 100 frames have fewer
LOOK = (0.001, 0.05)  # s between two looks whether it is done: at first, and at most
QUIET = 0.5  # s without another byte after which it is done, although a thread seems to write
YOUNG = 0.2  # s since the start of a child that may still become another program
STATES = {
    "R": "running",
    "S": "waiting",
    "D": "in disk sleep (uninterruptible: the kernel waits for a disk or a device)",
    "T": "stopped by a signal",
    "t": "stopped by a debugger",
    "I": "idle",
}


def take_stacks(leader: int, others: Sequence[int], patience: float) -> list[Dump]:
    """Return the stacks of the process `leader`, and of those of the others that can give theirs.

    Blocks, for `patience` seconds at most in all.
    """
    end = time.monotonic() + patience
    asked = (pid for pid in others if _is_old(pid) and _file_of(pid) >= 0)
    return [_dump(leader, end), *(_dump(pid, end) for pid in asked if time.monotonic() < end)]


def _dump(pid: int, end: float) -> Dump:
    try:
        with _pidfd(pid) as process:
            return _ask(pid, process, end)
    except ProcessLookupError:
        return Dump(pid, problem="it has ended")
    except OSError as error:
        return Dump(pid, problem=f"it cannot be looked into: {error.strerror}")


def _ask(pid: int, process: int, end: float) -> Dump:
    masks = _masks(Path(f"/proc/{pid}"))
    if not masks["SigCgt"] & BIT:
        why = f"it does not take signal {SIGNAL}: it is no Python, or has not begun, or another"
        return Dump(pid, problem=f"{why} handler was removed ({_states(pid)})")
    at = _file_of(pid)
    if at < 0:
        return Dump(pid, problem=f"it has closed descriptor {USUAL}, to which its stacks go")
    deaf = set(_tasks_that_block(pid))
    if len(deaf) == len(_tasks(pid)):
        return Dump(pid, problem=f"all its threads block signal {SIGNAL} ({_states(pid)})")
    file = os.open(f"/proc/{pid}/fd/{at}", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return Dump(pid, problem=f"descriptor {at} is not the file of its stacks")
        if not masks["ShdPnd"] & BIT:  # otherwise an unanswered signal is still pending
            os.ftruncate(file, 0)
            signal.pidfd_send_signal(process, SIGNAL)
        done = _wait(pid, file, deaf, end)
        text = os.pread(file, MOST, 0)
        if done:
            os.ftruncate(file, 0)
    finally:
        os.close(file)
    return Dump(pid, text, "" if done else _silent(pid, len(text)))


def _silent(pid: int, size: int) -> str:
    if size:
        return f"it did not come to the end ({_states(pid)})"
    return f"it did not answer in time ({_states(pid)}), or has another handler of signal {SIGNAL}"


def _wait(pid: int, file: int, deaf: set[str], end: float) -> bool:
    """Wait until all stacks are written.

    Python's handler runs with the signal blocked in its thread. So the handler has returned when no
    thread blocks the signal that did not block it before.
    """
    pause, size, since = LOOK[0], 0, time.monotonic()
    while (now := time.monotonic()) < end:
        masks = _masks(Path(f"/proc/{pid}"))
        is_done = not masks["ShdPnd"] & BIT and not set(_tasks_that_block(pid)) - deaf
        before, size = size, os.fstat(file).st_size
        if size != before:
            since = now
        if size and (is_done or now - since > QUIET):
            return True
        time.sleep(pause)
        pause = min(2 * pause, LOOK[1])
    return False


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    process = os.pidfd_open(pid)
    try:
        yield process
    finally:
        os.close(process)


def _masks(directory: Path) -> dict[str, int]:
    """Return the signal masks of a process or a thread (proc(5)).

    Raises:
        ProcessLookupError: the process has ended.
    """
    try:
        lines = (directory / "status").read_text("utf-8", "replace").splitlines()
    except FileNotFoundError as error:
        raise ProcessLookupError(str(error)) from error
    pairs = (line.split(":\t", 1) for line in lines if line.startswith(("Sig", "ShdPnd")))
    return {name: int(mask, 16) for name, mask in pairs if name != "SigQ"}


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names are all that is wanted
    except FileNotFoundError as error:
        raise ProcessLookupError(str(error)) from error


def _tasks_that_block(pid: int) -> Iterator[str]:
    """Yield the threads that block the signal."""
    for task in _tasks(pid):
        with contextlib.suppress(ProcessLookupError, KeyError):  # it has ended
            if _masks(Path(f"/proc/{pid}/task/{task}"))["SigBlk"] & BIT:
                yield task


def _file_of(pid: int) -> int:
    """Return the descriptor of the file with its stacks; -1 if it has none."""
    try:
        found = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - as above
    except OSError:
        return -1
    for each in sorted(found, key=lambda number: number != str(USUAL)):
        with contextlib.suppress(OSError):
            if str(Path(f"/proc/{pid}/fd/{each}").readlink()) == LINK:
                return int(each)
    return -1


def _is_old(pid: int) -> bool:
    """Return whether a child is old enough: one that forks to run another program does so soon."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return age > YOUNG
    return False


def _states(pid: int) -> str:
    """Return the kernel's states of the threads: `3 threads waiting, 1 in disk sleep (...)`."""
    found: Counter[str] = Counter()
    for task in _tasks(pid):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/task/{task}/stat").read_bytes()
            found[line.rpartition(b")")[2].split()[0].decode()] += 1
    words = [f"{count} {STATES.get(state, state)}" for state, count in sorted(found.items())]
    return "its threads: " + ", ".join(words)
