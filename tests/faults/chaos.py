"""One IOC, several nasty scripts, and random faults; an outside observer counts after each.

`python -m tests.faults.chaos --seed 7 --actions 500`: a seed gives the same list of actions, though
not the same timing. It ends with 1 and says why at the first promise that is not kept.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.rig.ca import ECA_NORMAL, Client, Peer, ca_environ, free_port
from benchmarks.rig.iocs import COMMAND
from bgrscrpt_ioc.lifecycle.events import State
from tests.faults.nasty import BODIES, text_of

NAMES = ("BGRSCRPT_01", "BGRSCRPT_02", "BGRSCRPT_03")
PREFIX = "TE:"
IDLE = (State.STOPPED, State.FINISHED, State.BACKOFF, State.FAILED)
PAUSES = (0.0, 0.05, 0.3)  # s between a fault and the next thing
SERVING = 30.0  # s for the IOC to serve
ANSWER = 60.0  # s for a put to complete: it is a hang guard
# What was born ignoring SIGINT, as what a shell runs in the background, does not end by it.
ENDS = [signal.SIGTERM]
if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    ENDS.append(signal.SIGINT)
SETTINGS = """
prefix = "{prefix}"
[defaults]
start_timeout = 5.0
stop_timeout = 0.3
backoff = 0.2
backoff_max = 1.0
healthy_after = 2.0
at_start = "run"
python = "{python}"
"""


class BrokenPromiseError(Exception):
    """The observer saw something else than what is promised."""


class Chaos:
    """One run of the program, in a directory of its own."""

    def __init__(self, directory: Path, seed: int, gone_in: float, status_in: float) -> None:
        """Prepare.

        `gone_in` and `status_in` are seconds until processes are gone and STATUS is right.
        """
        self.directory, self.random = directory, random.Random(seed)  # noqa: S311 - no secret
        self.gone_in, self.status_in = gone_in, status_in
        self.port = free_port()
        self.done: list[str] = []
        self.slowest = {"gone": 0.0, "status": 0.0, "guardian": 0.0}
        self.scripts = {name: directory / f"{name}.py" for name in NAMES}
        self.state, self.logs = directory / "state", directory / "state" / "log"
        self.database = self.state / "iocdb.sqlite"
        text = SETTINGS.format(prefix=PREFIX, python=sys.executable)
        for name, script in self.scripts.items():
            script.write_text(text_of("polite"))
            text += f'[instance.{name}]\nscript = "{script}"\n'
        (directory / "chaos.toml").write_text(text)
        command = [sys.executable, str(Path(__file__).with_name("observer.py")), str(self.port)]
        self.observer = Peer(command, os.environ)
        self.clients: list[Client] = []
        self.ioc = self._launch()
        self._await_ioc()

    # --- the IOC, and who restarts it ----------------------------------------------------------

    def _launch(self) -> subprocess.Popen[bytes]:
        options = ["--config", str(self.directory / "chaos.toml"), "--state-dir", str(self.state)]
        with (self.directory / "ioc.log").open("ab") as file:
            return subprocess.Popen(
                [*COMMAND, "run", "--no-echo", *options],
                env=ca_environ(self.port),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=self.directory,
            )

    def _await_ioc(self) -> None:
        """Wait until the IOC serves, with new clients: libca is slow to search again."""
        for client in self.clients:
            client.kill()
        self.clients = [Client(self.port) for _ in range(3)]
        deadline = time.monotonic() + SERVING
        while time.monotonic() < deadline:
            if self.ioc.poll() is not None:
                raise BrokenPromiseError(f"the IOC ended at its start: {self.ioc.returncode}")
            with contextlib.suppress(RuntimeError):
                for client in self.clients:
                    client.connect(f"{PREFIX}{NAMES[0]}:STATUS", timeout=1.0)
                return
        raise BrokenPromiseError(f"the IOC does not serve within {SERVING:g} s")

    def _end_ioc(self, number: signal.Signals, guardian_too: bool = False) -> None:
        if guardian_too:
            self._signal(self._guardians(), signal.SIGKILL)
        else:  # both at once are an action of their own
            self._within("guardian", SERVING, lambda: "" if self._guardians() else "no guardian")
        self.ioc.send_signal(number)
        code = self.ioc.wait(SERVING)
        if number != signal.SIGKILL and code != 0:
            raise BrokenPromiseError(f"{number.name} ended the IOC with {code}")
        if not guardian_too and self.random.random() < 0.5:
            self._none_left(NAMES, "the IOC's death")
        self.ioc = self._launch()  # else at once: what is left of the old one must not be doubled
        self._await_ioc()

    def _guardians(self) -> list[int]:
        children = Path(f"/proc/{self.ioc.pid}/task/{self.ioc.pid}/children").read_text().split()
        return [
            int(pid)
            for pid in children
            if b"guardian_program.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def close(self) -> None:
        """End everything, and check that nothing is left."""
        try:
            if self.ioc.poll() is None:
                self.ioc.terminate()
                self.ioc.wait(SERVING)
            self._none_left(NAMES, "the end of the IOC")
        finally:
            self.ioc.kill()
            self.ioc.wait()
            for peer in (*self.clients, self.observer):
                peer.kill()

    # --- what the observer sees ----------------------------------------------------------------

    def look(self) -> dict[str, dict[str, list[int]]]:
        """Return {instance: {run: pids}}, without checks, which run nothing of a script."""
        seen = self.observer.ask("look")
        if seen["doubles"]:
            raise BrokenPromiseError(f"two copies: {seen['doubles'][0]}")
        return {
            name: {
                run: sorted(map(int, pids))
                for run, pids in seen["table"].get(PREFIX + name, {}).items()
                if not run.endswith("/check")
            }
            for name in NAMES
        }

    def _within(self, what: str, limit: float, problem: Callable[[], str]) -> None:
        """Wait until there is no problem; the time for looking does not count."""
        began = time.monotonic()
        while True:
            looked_at = time.monotonic()
            text = problem()
            if not text:
                self.slowest[what] = max(self.slowest[what], looked_at - began)
                return
            if looked_at - began > limit:
                raise BrokenPromiseError(f"{text} after {limit:g} s")
            time.sleep(0.02)

    def _none_left(self, names: tuple[str, ...], after: str) -> None:
        def problem() -> str:
            seen = self.look()
            left = {name: seen[name] for name in names if seen[name]}
            return f"{left} live after {after}" if left else ""

        self._within("gone", self.gone_in, problem)

    def check(self) -> None:
        """STATUS is what is seen: at rest (Backoff is) nothing lives, else one run does.

        STATUS is read before and after the look: when it changes meanwhile the look proves nothing.
        """

        def problem() -> str:
            before = [self._status(name) for name in NAMES]
            seen = self.look()
            if before != [self._status(name) for name in NAMES]:
                return "STATUS did not stand still"
            for name, status in zip(NAMES, before, strict=True):
                runs = [run for run in seen[name] if run != "?"]
                if (status in IDLE and seen[name]) or (status not in IDLE and len(runs) != 1):
                    return f"{name} is {status.name}, and there are {seen[name]}"
            return ""

        self._within("status", self.status_in, problem)

    def _status(self, name: str) -> State:
        return State(self.clients[0].get(f"{PREFIX}{name}:STATUS"))

    # --- actions -------------------------------------------------------------------------------

    def _signal(self, pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pause(self) -> None:
        time.sleep(self.random.choice(PAUSES))

    def ioc_is_killed(self, _name: str) -> None:
        self._end_ioc(signal.SIGKILL)

    def ioc_is_terminated(self, _name: str) -> None:
        self._end_ioc(signal.SIGTERM)

    def ioc_is_terminated_amid_commands(self, name: str) -> None:
        for _ in range(self.random.randint(1, 4)):
            command = self.random.choice(("START", "STOP", "RESTART", "CHECK"))
            self.clients[0].begin_put(f"{PREFIX}{name}:{command}", 1)
        time.sleep(self.random.choice(PAUSES) * self.random.random())  # at any moment of them
        self._end_ioc(self.random.choice(ENDS))

    def ioc_and_guardian_are_killed(self, _name: str) -> None:
        self._end_ioc(signal.SIGKILL, guardian_too=True)

    def ioc_is_frozen(self, name: str) -> None:
        restart = f"{PREFIX}{name}:RESTART"
        self.clients[1].connect(restart)
        self.ioc.send_signal(signal.SIGSTOP)
        try:
            self.clients[1].put(restart, 1)
            self._signal(self._pids(name), signal.SIGKILL)
            self._pause()
        finally:
            self.ioc.send_signal(signal.SIGCONT)

    def guardian_is_signalled(self, _name: str) -> None:
        number = self.random.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP))
        guardians = self._guardians()
        self._signal(guardians, number)
        self._pause()
        self._signal(guardians, signal.SIGCONT)

    def _pids(self, name: str) -> list[int]:
        return sorted(pid for pids in self.look()[name].values() for pid in pids)

    def script_is_signalled(self, name: str) -> None:
        pid = self.clients[0].get(f"{PREFIX}{name}:PID")
        number = self.random.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV))
        if pid in self._pids(name):  # else it may be another's by now
            self._signal([pid], number)

    def script_is_frozen(self, name: str) -> None:
        pids = self._pids(name)
        self._signal(pids, signal.SIGSTOP)
        self._pause()
        if self.random.random() < 0.5:  # else a later STOP has to do with stopped processes
            self._signal(pids, signal.SIGCONT)

    def grandchild_is_killed(self, name: str) -> None:
        self._signal(self._pids(name)[-1:], signal.SIGKILL)

    def clients_command_at_once(self, name: str) -> None:
        puts: list[tuple[Client, int]] = []
        for client in self.clients:
            for _ in range(self.random.randint(1, 3)):
                command = self.random.choice(("START", "STOP", "RESTART", "AUTORESTART"))
                value = self.random.randint(0, 1) if command == "AUTORESTART" else 1
                puts.append((client, client.begin_put(f"{PREFIX}{name}:{command}", value)))
                self._pause()
        for client, put in puts:
            client.wait_for(lambda client=client, put=put: client.answered(put), ANSWER)
            client.answer(put)

    def client_starts(self, name: str) -> None:
        self.clients[2].put_callback(f"{PREFIX}{name}:START")

    def client_stops(self, name: str) -> None:
        if self.clients[1].put_callback(f"{PREFIX}{name}:STOP") != ECA_NORMAL:
            raise BrokenPromiseError(f"STOP of {name} failed")
        self._none_left((name,), f"STOP of {name}")

    def script_is_edited(self, name: str) -> None:
        self._remove(self.scripts[name])
        self.scripts[name].write_text(text_of(self.random.choice(list(BODIES))))
        if self.random.random() < 0.7:
            self.clients[1].put_callback(f"{PREFIX}{name}:RESTART")

    def script_is_replaced(self, name: str) -> None:
        script = self.scripts[name]
        self._remove(script)
        by = self.random.choice(("nothing", "directory", "symlink", "dangling"))
        if by == "directory":
            script.mkdir()
        elif by == "symlink":
            target = script.with_suffix(".target")
            target.write_text(text_of("daemon"))
            script.symlink_to(target)
        elif by == "dangling":
            script.symlink_to(script.with_suffix(".none"))
        self.clients[1].put_callback(f"{PREFIX}{name}:RESTART")

    def _remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)  # the IOC may add to it meanwhile
        else:
            path.unlink(missing_ok=True)

    def database_is_locked(self, name: str) -> None:
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(
                sqlite3.connect(self.database, timeout=0.1, isolation_level=None)
            ) as other,
        ):
            other.execute("BEGIN EXCLUSIVE")
            self.clients[1].put_callback(f"{PREFIX}{name}:RESTART")
            self.check()

    def database_is_spoilt(self, name: str) -> None:
        by = self.random.choice(("nothing", "garbage", "directory"))
        self._remove(self.database)
        with contextlib.suppress(FileExistsError):  # the IOC was faster
            if by == "garbage":
                self.database.write_bytes(self.random.randbytes(5000))
            elif by == "directory":
                self.database.mkdir()
        self.clients[1].put_callback(f"{PREFIX}{name}:RESTART")

    def log_directory_is_spoilt(self, name: str) -> None:
        by = self.random.choice(("nothing", "file", "mode"))
        if by == "mode" and self.logs.is_dir():
            self.logs.chmod(0)  # root may write all the same
        elif by != "mode":
            self._remove(self.logs)
            if by == "file":
                with contextlib.suppress(IsADirectoryError):  # the IOC was faster
                    self.logs.write_text("no directory")
        self.clients[1].put_callback(f"{PREFIX}{name}:RESTART")

    def all_is_mended(self, name: str) -> None:
        if not self.logs.is_dir():
            self._remove(self.logs)
        else:
            self.logs.chmod(0o750)
        if self.database.is_dir():
            self.database.rmdir()
        self.script_is_edited(name)

    ACTIONS = {  # noqa: RUF012 - a constant: with its weight
        ioc_is_killed: 2,
        ioc_is_terminated: 1,
        ioc_is_terminated_amid_commands: 2,
        ioc_and_guardian_are_killed: 1,
        ioc_is_frozen: 2,
        guardian_is_signalled: 3,
        script_is_signalled: 6,
        script_is_frozen: 3,
        grandchild_is_killed: 5,
        clients_command_at_once: 6,
        client_starts: 5,
        client_stops: 5,
        script_is_edited: 8,
        script_is_replaced: 3,
        database_is_locked: 1,
        database_is_spoilt: 2,
        log_directory_is_spoilt: 2,
        all_is_mended: 2,
    }

    def run(self, actions: int, seconds: float) -> None:
        """Do so many random actions, or as many as the time allows, and check after each.

        Raises:
            BrokenPromiseError: and which; `done` is what was done before.
        """
        end = time.monotonic() + seconds
        kinds: list[Any] = list(self.ACTIONS)
        while len(self.done) < actions and time.monotonic() < end:
            (action,) = self.random.choices(kinds, list(self.ACTIONS.values()))
            name = self.random.choice(NAMES)
            self.done.append(f"{action.__name__} {name}")
            action(self, name)
            self.check()


def unleash(
    directory: Path, seed: int, actions: int, seconds: float, gone_in: float, status_in: float
) -> Chaos:
    """Run it; if a promise is broken, print all that is needed to see it again, and raise."""
    chaos = Chaos(directory, seed, gone_in, status_in)
    try:
        try:
            chaos.run(actions, seconds)
        except BaseException:
            with contextlib.suppress(Exception):  # what went wrong first is told
                chaos.close()
            raise
        chaos.close()
    except Exception as error:
        report = [f"seed {seed}, action {len(chaos.done)}: {type(error).__name__}: {error}"]
        report += [f"{number:4d} {line}" for number, line in enumerate(chaos.done, 1)]
        report += ["the IOC said last:"]
        report += (directory / "ioc.log").read_text(errors="replace").splitlines()[-20:]
        raise BrokenPromiseError("\n".join(report)) from error
    return chaos


def main() -> int:
    """Read the options, run, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--actions", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=1800.0, help="the most it takes")
    parser.add_argument("--gone-in", type=float, default=2.0, help="s until processes are gone")
    parser.add_argument("--status-in", type=float, default=1.0, help="s until STATUS is right")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    began = time.monotonic()
    try:
        chaos = unleash(directory, **vars(options))
    except BrokenPromiseError as error:
        print(f"{error}\nall of it is in {directory}")
        return 1
    shutil.rmtree(directory)
    took = time.monotonic() - began
    print(f"{len(chaos.done)} actions in {took:.0f} s; slowest (s): {chaos.slowest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
