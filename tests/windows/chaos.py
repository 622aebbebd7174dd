"""Does things to an IOC on Windows at random, and looks for orphans and second copies.

`make chaos-windows CHAOS="[ACTIONS] [SEED]"`. The script takes a lock that only one process can
have: a second copy says so. No process is left after an IOC's end, and ^C ends it at any moment. If
it does not, what the IOC has said tells whether it has heard ^C: "ending: stopping all scripts".
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

from benchmarks.rig import where
from benchmarks.rig.ca import STRING, Client, free_port
from benchmarks.rig.iocs import Ioc, until
from tests.windows.across.conftest import P, scripts

ONLY = """import msvcrt, os, subprocess, sys, time
lock = os.open('only', os.O_RDWR | os.O_CREAT)
try:
    msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
except OSError:
    open('second copy', 'w').close()
child = "import time; time.sleep(1000) # bootstrap.py"
flags = subprocess.DETACHED_PROCESS
subprocess.Popen([sys.executable, '-c', child], creationflags=flags)
time.sleep(1000)
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + ONLY
SHORT = ONLY.replace("time.sleep(1000)\n", "time.sleep(0.3)\nraise SystemExit(3)\n")
BROKEN = "x = = 1\n"
COMMANDS = ("START", "STOP", "RESTART", "CHECK")
AT_ONCE = 3  # commands that are carried out when ^C comes, at most


class Chaos:
    """One IOC, which is started again whenever it has ended."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.random, self.directory = random.Random(seed), directory  # noqa: S311 - a test
        self.script = directory / "script.py"
        self.port = free_port()
        self.done: list[str] = []
        self.slowest = 0.0  # s that the IOC took to end after ^C
        self.ioc: Ioc
        self.client: Client
        self.stack = ExitStack()
        self.write(ONLY)
        self.start()

    def write(self, text: str) -> None:
        """Replace the script."""
        new = self.script.with_suffix(".new")
        new.write_text(text)
        new.replace(self.script)

    def start(self) -> None:
        """Start the IOC, and a client of it."""
        options = ["--prefix", "TE:", "--stop-timeout", "0.3", "--backoff", "0.05"]
        options += ["--start-limit", "0", "--no-echo"]
        self.ioc = self.stack.enter_context(
            Ioc(self.directory, self.script, *options, port=self.port)
        ).ready()
        self.client = self.stack.enter_context(Client(self.port))

    def act(self) -> None:
        """Do one thing."""
        actions = {
            "command": (self.command, 12),
            "kill the script": (self.kill_script, 4),
            "edit the script": (self.edit, 4),
            "kill the IOC": (self.kill_ioc, 1),
            "press ^C": (self.press, 1),
            "wait": (lambda: time.sleep(self.random.random() / 2), 4),
        }
        weights = [weight for _, weight in actions.values()]
        name = self.random.choices(list(actions), weights)[0]
        self.done.append(name)
        actions[name][0]()
        assert not (self.directory / "second copy").exists(), "a second copy ran"

    def command(self) -> None:
        """Put to a command, with or without waiting for its end."""
        name = self.random.choice(COMMANDS)
        if self.random.random() < 0.5:
            self.client.put_callback(P + name)
        else:
            self.client.put(P + name, 1)

    def kill_script(self) -> None:
        """End one of the script's processes by force."""
        if found := scripts(self.directory):
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(found), signal.SIGKILL)

    def edit(self) -> None:
        """Give the script another text."""
        self.write(self.random.choice([ONLY, ONLY, STUBBORN, SHORT, BROKEN]))

    def kill_ioc(self) -> None:
        """End the IOC, by force."""
        self.ioc.process.kill()
        self.ended()

    def press(self) -> None:
        """End the IOC by ^C, while it carries out commands."""
        for _ in range(self.random.randint(0, AT_ONCE)):
            self.client.put(P + self.random.choice(COMMANDS), 1)
        began = time.monotonic()
        assert self.ioc.end(signal.SIGINT) == 0, self.ioc.output
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.ended()

    def ended(self) -> None:
        """Nothing is left; then start it again."""
        until(lambda: not scripts(self.directory))
        self.stack.close()
        self.stack = ExitStack()
        self.start()

    def close(self) -> None:
        """Stop the script: nothing of it lives then; and end all."""
        self.write(ONLY)
        self.client.put_callback(P + "STOP")
        until(lambda: self.client.get(P + "STATUS", STRING) in ("Stopped", "Failed", "Finished"))
        until(lambda: not scripts(self.directory))  # a check may still go on
        self.stack.close()


def run(actions: int, seed: int) -> Chaos:
    """Do so many things; return what was done."""
    with tempfile.TemporaryDirectory() as directory:
        chaos = Chaos(Path(directory), seed)
        try:
            for _ in range(actions):
                chaos.act()
            chaos.close()
        except BaseException:
            print(f"action {len(chaos.done)}; the last ones: {', '.join(chaos.done[-10:])}")
            raise
        finally:
            chaos.stack.close()
        return chaos


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    start = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1000)
    print(f"seed {start}", flush=True)
    where.census()  # before others: Wine's server keeps the pipes of who starts it
    began = time.monotonic()
    try:
        chaos = run(count, start)
        print(
            f"{count} actions, no orphan, no second copy: {dict(Counter(chaos.done))}, in"
            f" {time.monotonic() - began:.0f} s; ended at most {chaos.slowest:.1f} s after ^C"
        )
    finally:
        where.census().kill()
