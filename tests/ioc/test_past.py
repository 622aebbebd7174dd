"""`history` and `diff` with the real IOC: while it serves, after `kill -9`, and elsewhere."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from benchmarks.rig.ca import Client, ca_environ
from benchmarks.rig.iocs import COMMAND, FOREVER, Ioc, until
from benchmarks.rig.where import native

PREFIX = "TE:ME:"


class User:
    """A user on the host of the IOC."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory, self.port = directory, port

    def run(self, *arguments: str, state: str = "state") -> tuple[int, str, str]:
        where = ["--prefix", PREFIX, "--state-dir", native(self.directory / state)]
        done = subprocess.run(
            [*COMMAND, *arguments, *where],
            env=ca_environ(self.port),
            check=False,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    def history(self, *, state: str = "state") -> list[tuple[int, str, str]]:
        code, out, errors = self.run("history", "BGRSCRPT_01", "--json", state=state)
        assert code == 0, errors
        return [(run["number"], run["how"], run["why"]) for run in json.loads(out)]


def test_runs_of_two_iocs(tmp_path: Path) -> None:
    """A run that ended with a killed IOC gets its end at the next start; all runs are shown."""
    script = tmp_path / "script.py"
    script.write_text(FOREVER)
    with Ioc(tmp_path, script, "--prefix", PREFIX) as ioc:
        ioc.ready().wait_for("IOC started")
        user = User(tmp_path, ioc.port)
        until(lambda: user.history() == [(1, "running", "")])
        until(lambda: user.run("diff", "BGRSCRPT_01", "1")[0] == 0)  # its text is on the disk
        ioc.end(signal.SIGKILL)
    code, out, errors = user.run("history", "BGRSCRPT_01", "-n", "1")
    assert code == 0
    assert "1    20" in out
    assert "the IOC ended" in out
    assert "no IOC answers; this is from" in errors
    script.write_text(FOREVER.replace("1000", "999"))
    with Ioc(tmp_path, script, "--prefix", PREFIX, port=user.port) as ioc:
        ioc.ready().wait_for("IOC started")
        with Client(ioc.port) as client:
            pv = f"{PREFIX}BGRSCRPT_01:HISTORY"
            until(lambda: '"number": 2' in client.text(pv))
            told = [json.loads(line) for line in client.text(pv).splitlines()]
        assert [(run["number"], run["how"]) for run in told] == [(2, "running"), (1, "lost")]
        # On another host there is no file; one of another IOC is not believed.
        assert user.history(state="elsewhere") == [(2, "running", ""), (1, "lost", "the IOC ended")]
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "TE.ME.BGRSCRPT_01.history").write_text(
            '{"number": 7, "start": "x"}\n'
        )
        assert user.history(state="elsewhere")[0][0] == 2
        until(lambda: user.run("diff", "BGRSCRPT_01", "1")[0] == 0)
        assert "+    time.sleep(999)" in user.run("diff", "BGRSCRPT_01", "1")[1].splitlines()
        assert "-    time.sleep(1000)" in user.run("diff", "BGRSCRPT_01", "1")[1].splitlines()
        until(lambda: user.run("diff", "BGRSCRPT_01")[:2] == (0, ""))
        code, _, errors = user.run("diff", "BGRSCRPT_01", "9")
        assert (code, errors) == (1, "TE:ME:BGRSCRPT_01: run 9 is not known; known are 1 to 2\n")
        assert ioc.end() == 0
    until(lambda: user.history()[0] == (2, "stopped", "stopped, the IOC is shutting down"))
    # Without a name: what the state directory has.
    assert "BGRSCRPT_01  2" in user.run("history")[1]


def test_an_instance_that_nobody_knows(tmp_path: Path) -> None:
    """For an unknown instance, the message says where was searched, and which option to give."""
    code, out, errors = User(tmp_path, 1_025).run("history", "BGRSCRPT_09")
    assert (code, out) == (1, "")
    assert "no IOC answers for the PV TE:ME:BGRSCRPT_09:HISTORY, and there is no file" in errors
