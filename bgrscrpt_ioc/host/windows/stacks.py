"""Gets the stacks of a script's threads; `child/_bgrscrpt_windows.py` is the other side.

The IOC asks by the command pipe. A thread of the script writes the stacks to a file. So a script
whose C code holds the interpreter does not answer.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bgrscrpt_ioc.host.contract import Dump
from bgrscrpt_ioc.host.windows.tree import tree_of

LOOK = 0.01  # s between two looks for the file


def take_stacks(leader: int, others: Sequence[int], patience: float) -> list[Dump]:  # noqa: ARG001 - children have no command pipe
    """Return the stacks of the process `leader`. Blocks for at most `patience` seconds."""
    tree = tree_of(leader)
    if tree is None:
        return [Dump(leader, problem="it has ended")]
    with tempfile.TemporaryDirectory(prefix="bgrscrpt-") as directory:
        file = Path(directory, "stacks")
        tree.tell_soon(json.dumps({"kind": "stack", "file": str(file)}).encode() + b"\n")
        end = time.monotonic() + patience
        while not file.exists():
            if time.monotonic() >= end:
                return [Dump(leader, problem="it did not answer in time: it may be in a call in C")]
            time.sleep(LOOK)
        return [Dump(leader, file.read_bytes())]
