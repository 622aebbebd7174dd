"""Kills the scripts when the IOC is gone, which it learns only from EOF on its stdin.

Run as `python -I -S guardian_program.py MARK [CGROUP ...]` in a session of its own, with a pipe
from the IOC on stdin. The IOC tells it the sessions of its scripts and what they inherit (mark.py):
`+123 4567` and `-123`, a line each. MARK is the beginning of the cookie in the environment of every
process of this IOC's scripts, CGROUP what they run in; `=CGROUP` tells of one more. It imports
nothing of the package: it must start fast, and take little memory.
"""

import contextlib
import os
import resource
import signal
import sys
import time

RLIMIT_LOCKS = 10  # its soft limit is the mark that processes inherit
PATIENCE = 10.0  # s after SIGKILL; a process that still lives hangs in the kernel
TRACKERS = 2.0  # s for multiprocessing's resource trackers to free what was shared


def told_sessions(cgroups):
    """Read until EOF; return {session: inherited mark} of those that are still open then.

    Further control groups are added to `cgroups`.
    """
    sessions = {}
    for line in sys.stdin:
        if line.startswith("="):
            cgroups.append(line[1:-1])
            continue
        session, _, mark = line[1:].partition(" ")
        if line.startswith("+"):
            sessions[int(session)] = int(mark)
        else:
            sessions.pop(int(session), None)
    return sessions


def table():
    """Return {pid: (parent, session)} of all living processes."""
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
    """Return whether the process was started with our cookie."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            environ = file.read()
    except OSError:
        return False
    return environ.startswith(mark) or b"\0" + mark in environ


def inherited(pid):
    """Return the mark that a process has inherited; None if the process is gone."""
    try:
        return resource.prlimit(pid, RLIMIT_LOCKS)[0]
    except OSError:
        return None


def victims(sessions, mark):
    """Return the processes of a script's session or with a mark, and all below them."""
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


def is_tracker(pid):
    """Return whether it is multiprocessing's resource tracker, which frees what its users left."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return b"multiprocessing.resource_tracker" in file.read()
    except OSError:
        return False


def end_cgroups(cgroups):
    """Kill all processes in the cgroups and remove the cgroups; return whether one still exists."""
    left = False
    for group in cgroups:
        # It does not exist; or Linux is older than 5.14, then `victims` finds the processes.
        with contextlib.suppress(OSError):
            kill = os.open(group + "/cgroup.kill", os.O_WRONLY)
            try:
                os.write(kill, b"1")
            finally:
                os.close(kill)
        for directory, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        left |= os.path.isdir(group)  # its processes have not ended yet
    return left


def main():
    """Wait for the IOC's end, then kill until nothing is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the pipe tells of the IOC's end
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb", 0) as file:
        file.write(b"bgrscrpt-guard")  # the name in `top` and in the kernel's log
    mark = os.fsencode(sys.argv[1])
    cgroups = sys.argv[2:]
    sessions = told_sessions(cgroups)
    began = time.monotonic()
    stopped = set()
    while time.monotonic() - began < PATIENCE:
        found = victims(sessions, mark)
        spared = set()
        if time.monotonic() - began < TRACKERS:  # they end by themselves when all others are dead
            spared = {pid for pid in found if is_tracker(pid)}
        left = bool(spared) or end_cgroups(cgroups)
        if not found and not left:
            break
        found -= spared
        # All are stopped first: a process that is killed while it forks leaves a child that nobody
        # has seen.
        moving = found - stopped
        for pid in moving or found:
            with contextlib.suppress(OSError):  # it has ended
                os.kill(pid, signal.SIGSTOP if moving else signal.SIGKILL)
        stopped |= moving
        time.sleep(0.01)  # until they are stopped or reaped, which nobody tells us


if __name__ == "__main__":
    main()
