"""What is left of a script when it is restarted, and when who runs it is killed; by us and peers.

`python -m benchmarks.survivors`. The script has a child in a session of its own, as a daemon is.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.kit import until
from benchmarks.peers import Circus, Ours, Plain, ProcServ, Supervisor, bench

GRACE = 8.0  # s: whoever is to end has ended by then
SCRIPT = """
import os, subprocess, time
null = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
child = subprocess.Popen(["sleep", "1000"], start_new_session=True, **null)
with open({pids!r}, "a") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}\\n")
while True:
    time.sleep(1000)
"""
Peer = Plain | ProcServ | Supervisor | Circus | Ours


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"


class Watched:
    """A script under one peer, and what it has started so far."""

    def __init__(self, directory: Path) -> None:
        self.script, self._pids = directory / "script.py", directory / "pids"
        self.script.write_text(SCRIPT.format(pids=str(self._pids)))

    @property
    def runs(self) -> list[tuple[int, int]]:
        """The script's pid and its child's, of each run."""
        text = self._pids.read_text() if self._pids.exists() else ""
        pairs = [line.split() for line in text.splitlines(True) if line.endswith("\n")]
        return [(int(script), int(child)) for script, child in pairs]

    def left(self, run: int) -> str:
        """What lives of a run when it has had time to end."""
        end = time.monotonic() + GRACE
        while any(map(alive, self.runs[run])) and time.monotonic() < end:
            time.sleep(0.05)
        script, child = map(alive, self.runs[run])
        return {(0, 0): "nothing", (0, 1): "its child", (1, 0): "the script"}.get(
            (script, child), "script and child"
        )

    def end(self) -> None:
        """Kill what is left."""
        for pid in (pid for run in self.runs for pid in run if alive(pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def under(kind: type[Peer]) -> Iterator[tuple[Peer, Watched, ExitStack]]:
    """The script under this peer, running."""
    with tempfile.TemporaryDirectory(prefix="bgr-") as name, ExitStack() as stack:
        watched = Watched(Path(name))
        stack.callback(watched.end)
        peer = kind(bench("python"), watched.script, Path(name))
        held = stack.enter_context(ExitStack())
        held.enter_context(peer)
        until(lambda: watched.runs, "the script")
        yield peer, watched, held


def of_a_restart(kind: type[Peer]) -> str:
    """What is left of the run before."""
    with under(kind) as (peer, watched, _):
        peer.restart()
        until(lambda: len(watched.runs) > 1, "the next run")
        return watched.left(0)


def of_a_bad_restart(kind: type[Peer]) -> str:
    """What runs after a restart of a script that does not compile."""
    with under(kind) as (peer, watched, _):
        watched.script.write_text("x = = 1\n")
        with suppress(Exception):  # some complain
            peer.restart()
        script, _child = watched.runs[0]
        end = time.monotonic() + GRACE
        while alive(script) and time.monotonic() < end:
            time.sleep(0.05)
        return "the old script" if alive(script) else "nothing"


def of_a_kill(kind: type[Peer]) -> str:
    """What is left when who runs it gets SIGKILL."""
    with under(kind) as (peer, watched, held):
        process = peer._ioc.process if isinstance(peer, Ours) else peer.process
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        found = watched.left(0)
        with suppress(Exception):  # there is nobody any more to end
            held.close()
        return found


def main() -> None:
    """Print a line for each peer."""
    print("| | left after a restart | runs after a bad restart | left after its SIGKILL |")
    print("|---|---|---|---|")
    for kind in (ProcServ, Supervisor, Circus, Ours):
        found = [ask(kind) for ask in (of_a_restart, of_a_bad_restart, of_a_kill)]
        print("|", " | ".join([getattr(kind, "name", "ours"), *found]), "|", flush=True)


if __name__ == "__main__":
    main()
