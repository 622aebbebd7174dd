"""Finds processes by a variable of their environment. As a program it answers JSON lines.

The tests run it under Wine: only a program of Windows sees the pids and the environment of others.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

import psutil

from bgrscrpt_ioc.host.system import processes


def started_with(variable: str) -> dict[int, str]:
    """Return all processes of this host but this one that were started with a variable set."""
    found: dict[int, str] = {}
    others = processes().keys() - {os.getpid()}
    if sys.platform == "win32":
        from bgrscrpt_ioc.host.windows.processes import consoles

        others -= consoles(others)  # which the system makes, with the environment of the program
    for pid in others:
        with contextlib.suppress(psutil.Error, OSError):  # gone meanwhile, or another user's
            if value := psutil.Process(pid).environ().get(variable):
                found[pid] = value
    return found


def main() -> None:
    """Answer each question (see `ca.Peer`) until there are no more."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"id": asked["id"], "result": started_with(asked["variable"])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
