"""Looks at /proc all the time and tells, when asked, which processes of scripts there are.

A process of its own, and of the standard library: it shares no code and no state with the IOC.
`python observer.py PORT`; asked and answering as `benchmarks.rig.ca.Peer` does.
"""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path
from typing import Any

COOKIE = b"BGRSCRPT_RUN="
HIDDEN = "chaos/"  # argv[0] of those that clear their environment: `chaos/PORT/NAME`
EVERY = 0.02  # s
Table = dict[str, dict[str, dict[int, int]]]  # instance -> run -> pid -> time of its start


def read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def started(pid: int) -> int:
    """Return the start of a process in ticks since boot; 0 if it is dead."""
    fields = read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[19]) if len(fields) > 19 and fields[0] not in (b"Z", b"X") else 0


def waits(pid: int) -> bool:
    """Return whether an interpreter still waits: without a channel, or with a name that says so."""
    return not link(pid, 200) or read(pid, "comm").startswith(b"~")


def link(pid: int, fd: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")  # noqa: PTH115 - the speed
    except OSError:
        return ""


def look(port: str) -> Table:
    """Count by cookie, and by the name of processes that hide; run "?" is for those."""
    table: Table = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - the speed
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        pid = int(entry)
        instance = run = ""
        for variable in read(pid, "environ").split(b"\0"):
            if variable.startswith(COOKIE):
                ioc, _, rest = variable[len(COOKIE) :].decode().partition("/")
                at, _, rest = rest.partition("/")
                if at == port:
                    instance, _, run = rest.rpartition("/")
                    if run.startswith("~") and not waits(pid):
                        run = run[1:]  # it was started to wait, and runs the script now
                    run = f"{ioc}/{run}"
        name = read(pid, "cmdline").partition(b"\0")[0].decode(errors="replace")
        if not instance and name.startswith(f"{HIDDEN}{port}/"):
            instance, run = name.rpartition("/")[2], "?"
        if instance and (began := started(pid)):
            table.setdefault(instance, {}).setdefault(run, {})[pid] = began
    return table


def doubles(table: Table) -> list[str]:
    """Instances of which two runs lived at one time.

    A look takes a while; but what was seen in it, and lives after it, lived at its end.
    """
    found: list[str] = []
    for instance, runs in table.items():
        live = [
            run
            for run, pids in runs.items()
            if run != "?"
            and run.rpartition("/")[2].isdigit()  # neither a check nor one that waits
            and any(started(pid) == began for pid, began in pids.items())
        ]
        if len(live) > 1:
            found.append(f"{instance}: {sorted(live)} at once: {runs}")
    return found


def main() -> None:
    """Look and answer until stdin is closed."""
    port, seen = sys.argv[1], list[str]()
    print(json.dumps({"ready": os.getpid()}), flush=True)
    while True:
        table = look(port)
        seen += doubles(table)
        readable, _, _ = select.select([sys.stdin], [], [], EVERY)
        if readable:
            line = sys.stdin.readline()
            if not line:
                return
            result: dict[str, Any] = {"table": look(port), "doubles": seen}
            print(json.dumps({"id": json.loads(line)["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
