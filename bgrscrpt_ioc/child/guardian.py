"""Kills the scripts when the IOC is gone: EOF on stdin is its only way to learn that.

Run as `python -I -S guardian.py MARK [CGROUP ...]` in a session of its own, with a pipe from the
IOC on stdin. The IOC tells it the sessions of its scripts and what they inherit
(bgrscrpt_ioc/posix_mark.py): `+123 4567` and `-123`, a line each. MARK is the beginning of the
cookie in the environment of every process of this IOC's scripts, CGROUP what they run in.
"""

import contextlib
import os
import resource
import signal
import sys
import time

RLIMIT_LOCKS = 10  # whose soft limit is the inherited mark
PATIENCE = 10.0  # s: what SIGKILL has not ended by then hangs in the kernel


def told_sessions():
    """Read until EOF; return {session: inherited mark} of those that are still open then."""
    sessions = {}
    for line in sys.stdin:
        session, _, mark = line[1:].partition(" ")
        if line.startswith("+"):
            sessions[int(session)] = int(mark)
        else:
            sessions.pop(int(session), None)
    return sessions


def table():
    """Read {pid: (parent, session)} of all living processes."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry, "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] not in (b"Z", b"X"):
                found[int(entry)] = (int(fields[1]), int(fields[3]))
    return found


def has_mark(pid, mark):
    """Tell whether the process was started with our cookie."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            environ = file.read()
    except OSError:
        return False
    return environ.startswith(mark) or b"\0" + mark in environ


def inherited(pid):
    """Read the mark that a process has inherited; None when it is gone."""
    try:
        return resource.prlimit(pid, RLIMIT_LOCKS)[0]
    except OSError:
        return None


def victims(sessions, mark):
    """Find what is in a script's session, or marked, and everything below it."""
    marks = set(sessions.values())
    processes = table()
    processes.pop(os.getpid(), None)
    found = {
        pid
        for pid, (_parent, session) in processes.items()
        if session in sessions or has_mark(pid, mark) or inherited(pid) in marks
    }
    size = -1
    while len(found) != size:
        size = len(found)
        found.update(pid for pid, (parent, _session) in processes.items() if parent in found)
    return found


def end_cgroups(cgroups):
    """Kill all in them and remove them; tell whether one is still there."""
    left = False
    for group in cgroups:
        with contextlib.suppress(OSError):  # not there; or a Linux before 5.14: `victims` finds it
            kill = os.open(group + "/cgroup.kill", os.O_WRONLY)
            try:
                os.write(kill, b"1")
            finally:
                os.close(kill)
        for directory, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        left |= os.path.isdir(group)  # what was killed has not ended yet
    return left


def main():
    """Wait for the IOC's end, then kill until nothing is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the IOC's end is told by the pipe alone
    mark = os.fsencode(sys.argv[1])
    sessions = told_sessions()
    deadline = time.monotonic() + PATIENCE
    stopped = set()
    while time.monotonic() < deadline:
        left = end_cgroups(sys.argv[2:])
        found = victims(sessions, mark)
        if not found and not left:
            break
        # First all are stopped: what is killed while it forks leaves a child that nobody has seen.
        moving = found - stopped
        for pid in moving or found:
            with contextlib.suppress(OSError):  # gone already
                os.kill(pid, signal.SIGSTOP if moving else signal.SIGKILL)
        stopped |= moving
        time.sleep(0.01)  # until they have stopped, or are reaped: nobody tells us


if __name__ == "__main__":
    main()
