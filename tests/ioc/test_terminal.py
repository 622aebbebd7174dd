"""Client commands with the real IOC, on a terminal of 80 columns and in pipes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.rig.ca import DEADLINE, ca_environ
from benchmarks.rig.iocs import FOREVER, Ioc, until
from bgrscrpt_ioc.host.hold import held_on_this_host

PREFIX = "TE:NDW1234:"
CONFIG = """
prefix = "TE:NDW1234:"
[defaults]
env = { PASSWORD = "$(PASSWORD)" }
[instance.BGRSCRPT_01]
script = "steps.py"
[instance.BGRSCRPT_02]
script = "bad.py"
start_limit = 1
[instance.BGRSCRPT_03]
script = "hung.py"
heartbeat_timeout = 0.2
"""
STEPS = """
import time
print("IOC started")
print("\\x1b[31mstep 1\\x1b[0m")
while True:
    time.sleep(1000)
"""
BAD = """
path = "/instrument/settings/a_name_that_is_long/and_another_one/calibration.json"
open(path)
"""
HUNG = "import bgrscrpt, time\nbgrscrpt.alive()\nwhile True:\n    time.sleep(1000)\n"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Site:
    """An IOC with three scripts: one runs, one has failed, one is hung; and its user."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name, text in {"steps": STEPS, "bad": BAD, "hung": HUNG}.items():
            (directory / f"{name}.py").write_text(text)
        self.config = directory / "instrument.toml"
        self.config.write_text(CONFIG)
        self.ioc = Ioc(directory, "--config", self.config, environ={"PASSWORD": "x"})

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "bgrscrpt_ioc", *arguments]

    def environ(self, **more: str) -> dict[str, str]:
        return ca_environ(self.ioc.port, TERM="xterm", **more)

    def run(self, *arguments: str, config: bool = True) -> tuple[int, str, str]:
        """Run a client command in pipes."""
        options = ["--config", str(self.config)] if config else []
        done = subprocess.run(
            self.command(*arguments, *options),
            env=self.environ(),
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        # What is said of a command that takes longer than a second: on a busy machine any does.
        said = done.stderr.splitlines(keepends=True)
        return done.returncode, done.stdout, "".join(x for x in said if ": waits to be " not in x)

    def see(self, *arguments: str, **environ: str) -> tuple[int, str]:
        """Run a client command on a terminal of 80 x 24."""
        master, slave = pty.openpty()
        with subprocess.Popen(
            self.command(*arguments, "--config", str(self.config)),
            env=self.environ(COLUMNS="80", LINES="24", **environ),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        ) as process:
            os.close(slave)
            text = b""
            while select.select([master], [], [], DEADLINE)[0]:
                try:
                    data = os.read(master, 1 << 16)
                except OSError:  # EIO: nobody has the terminal any more
                    break
                text += data
            os.close(master)
            return process.wait(DEADLINE), text.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    with made.ioc as ioc:
        ioc.ready().wait_for("no heartbeat")
        ioc.wait_for("gave up after 1")
        until(lambda: states(made) == ["Running", "Failed", "Hung"])
        until(lambda: "step 1\n" in made.run("log", "BGRSCRPT_01")[1])
        yield made


def states(site: Site) -> list[str]:
    """The states of all instances, as `status` has them."""
    return [line.split(maxsplit=7)[1] for line in site.run("status")[1].splitlines()[1:]]


def test_status(site: Site) -> None:
    """All instances can be told apart, reasons are whole, a hung script is called so; exit 3."""
    code, text = site.see("status")
    assert code == 3
    plain = ESCAPE.sub("", text)
    assert max(map(len, plain.splitlines())) <= 80
    assert "\x1b[31mRunning, no heartbeat\x1b[0m" in text
    assert "\x1b[32mRunning\x1b[0m" in text
    assert "calibration.json' (bad.py:3); gave up" in " ".join(plain.split())
    assert site.see("status", NO_COLOR="1")[1].count("\x1b") == 0


def test_status_in_a_pipe(site: Site) -> None:
    """One line for each instance, one word for its state."""
    code, out, err = site.run("status")
    assert (code, err) == (3, "")
    rows = [line.split(maxsplit=7) for line in out.splitlines()]
    assert [row[1] for row in rows[1:]] == ["Running", "Failed", "Hung"]
    assert all(len(row) == len(rows[0]) == 8 for row in rows)
    code, out, _ = site.run("status", "--name", "BGRSCRPT_01", "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["STATUS"], row["SEVERITY"], row["PREFIX"]) == ("Running", "NO_ALARM", PREFIX)


def test_status_of_this_host(site: Site) -> None:
    """Without arguments, the instances of all IOCs of the host are found by their claims."""
    names = [f"{PREFIX}BGRSCRPT_0{number}" for number in (1, 2, 3)]
    assert {(site.ioc.port, name) for name in names} <= set(held_on_this_host())
    code, out, _ = site.run("status", "--port", str(site.ioc.port), config=False)
    assert [line.split()[0] for line in out.splitlines()[1:]] == names
    assert code == 3
    code, out, _ = site.run("status", "--prefix", PREFIX, config=False)
    assert [line.split()[0] for line in out.splitlines()[1:]] == [name[-11:] for name in names]


def test_info(site: Site) -> None:
    """All readings of an instance are there, the whole traceback too."""
    code, text = site.see("info", "BGRSCRPT_02")
    assert code == 0
    assert "STATUS          Failed\n" in text
    assert '  Traceback (most recent call last):\n    File "' in text
    code, out, _ = site.run("info", "BGRSCRPT_01", "--json")
    assert json.loads(out)["LOG:COUNT"] == 2


def test_commands_that_the_pvs_have(site: Site) -> None:
    """`check NAME` has the IOC check the file; `autorestart` switches; both tell a failure."""
    assert site.run("check", "BGRSCRPT_02") == (0, "BGRSCRPT_02: good\n", "")
    assert site.run("autorestart", "BGRSCRPT_01", "BGRSCRPT_02", "off") == (0, "", "")
    readings = json.loads(site.run("info", "BGRSCRPT_01", "--json")[1])
    assert readings["AUTORESTART"] == "Off"
    assert site.run("autorestart", "BGRSCRPT_01", "BGRSCRPT_02", "on") == (0, "", "")
    code, _, err = site.run("autorestart", "BGRSCRPT_09", "on")
    assert code == 2
    assert "BGRSCRPT_09: the file has no such instance" in err


def test_stack(site: Site) -> None:
    """`stack` prints where the threads are, `--last` what was taken before; both tell a failure."""
    where = f'  File "{site.directory}/hung.py", line 4 in <module>\n'
    code, out, err = site.run("stack", "BGRSCRPT_03")
    assert (code, err) == (0, "")
    assert re.match(r"\S+ \S+ run \d+, asked by \S+@\S+\n\nprocess \d+:\nCurrent thread", out)
    assert out.endswith(where)
    assert site.run("stack", "BGRSCRPT_03", "--last") == (0, out, "")
    assert site.run("stack", "BGRSCRPT_01", "--last") == (0, "", "")
    code, out, err = site.run("stack", "BGRSCRPT_02")
    assert (code, out) == (1, "")
    assert err.startswith("BGRSCRPT_02: stack: the script does not run: ")
    assert err.endswith("`stack --last BGRSCRPT_02` prints what was taken last\n")


def test_a_script_that_does_not_stay_up(site: Site) -> None:
    """`restart --settle` fails with the reason if the script ends meanwhile."""
    code, _, err = site.run("restart", "BGRSCRPT_02", "--settle", "30")
    assert code == 1
    assert "BGRSCRPT_02: the script runs; watching it for 30 s\n" in err
    failed = "BGRSCRPT_02: restart: the script did not stay up for 30 s: exit 1: FileNotFoundError"
    assert failed in err
    assert site.run("start", "BGRSCRPT_01", "--settle", "0.5") == (0, "", "")


def test_log(site: Site) -> None:
    """The file is read: all ends with a newline, with stamps or from a time on; no escape is in."""
    code, out, err = site.run("log", "BGRSCRPT_01")
    assert (code, err) == (0, "")
    assert {"IOC started", "step 1"} <= set(out.splitlines())
    last = out.splitlines()[-1]
    assert site.run("log", "BGRSCRPT_01", "-n", "1")[1] == f"{last}\n"
    code, out, _ = site.run("log", "BGRSCRPT_01", "--since", "1h", "--stamps")
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} step 1\n", out, re.MULTILINE)
    assert site.run("log", "BGRSCRPT_01", "-n", "0") == (0, "", "")
    assert site.run("log", "BGRSCRPT_01", "--since", "1h", "-n", "1")[1] == f"{last}\n"


def test_a_log_that_nobody_reads(site: Site) -> None:
    """`log | head` ends without a traceback, and so does a full disk."""
    line = f"set -o pipefail; {' '.join(site.command('log', 'BGRSCRPT_02'))}"
    for behind, expected in ((">/dev/full", 1), ("| true", 141)):
        done = subprocess.run(
            ["bash", "-c", f"{line} --config {site.config} {behind}"],
            env=site.environ(),
            check=False,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
        )
        assert done.returncode == expected
        assert "Traceback" not in done.stderr


BAR = """
import sys, time
print("begin")
for n in range(20):
    sys.stdout.write(f"\\r{n} of 20")
    sys.stdout.flush()
    time.sleep(0.05)
print()
for n in range(20_000):
    print("line", n)
print("the end")
while True:
    time.sleep(1000)
"""


def test_following_the_file(tmp_path: Path) -> None:
    """Each line comes once, however fast; an IOC that goes and comes back is told of."""
    script = tmp_path / "a.py"
    script.write_text(FOREVER)
    with Ioc(tmp_path, script, "--prefix", "TE:") as ioc:
        ioc.ready().wait_for("IOC started")
        environ = ca_environ(ioc.port)
        command = [sys.executable, "-m", "bgrscrpt_ioc"]
        options = ["BGRSCRPT_01", "--prefix", "TE:"]
        with (
            (tmp_path / "out").open("w") as out,
            (tmp_path / "err").open("w") as err,
            subprocess.Popen(
                [*command, "log", *options, "-f"], env=environ, stdout=out, stderr=err
            ) as follower,
        ):
            until(lambda: "IOC started\n" in (tmp_path / "out").read_text())
            script.write_text(BAR)
            subprocess.run([*command, "restart", *options], env=environ, check=True)
            until(lambda: "the end\n" in (tmp_path / "out").read_text())
            lines = [x for x in (tmp_path / "out").read_text().splitlines() if x[:3] != "---"]
            start = lines.index("begin")
            assert lines[start + 1 :] == [
                "19 of 20", *(f"line {n}" for n in range(20_000)), "the end",
            ]  # fmt: skip
            ioc.end()
            until(lambda: "went away" in (tmp_path / "err").read_text())
            with Ioc(tmp_path, script, "--prefix", "TE:", port=ioc.port) as second:
                second.ready()
                until(lambda: "is back" in (tmp_path / "err").read_text())
                until(lambda: (tmp_path / "out").read_text().count("the end\n") == 2)
            follower.send_signal(signal.SIGINT)
            assert follower.wait(DEADLINE) == 130


def test_log_while_the_ioc_is_down(tmp_path: Path) -> None:
    """On its host the log file is read, and it is said that no IOC answers; a follower waits."""
    script = tmp_path / "a.py"
    script.write_text(FOREVER)
    with Ioc(tmp_path, script, "--prefix", "TE:") as ioc:
        ioc.ready().wait_for("IOC started")
        ioc.end()
    command = [sys.executable, "-m", "bgrscrpt_ioc", "log", "--prefix", "TE:"]
    command += ["--state-dir", str(tmp_path / "state")]
    environ = ca_environ(ioc.port)
    for name, code in (("BGRSCRPT_01", 0), ("BGRSCRPT_02", 1)):
        done = subprocess.run(
            [*command, name], env=environ, check=False, capture_output=True, text=True
        )
        assert done.returncode == code
        assert ("IOC started" in done.stdout.splitlines()) == (code == 0)
        assert "no IOC answers; these lines are from" in done.stderr or code
        assert "no answer for TE:BGRSCRPT_02:LOG at " in done.stderr or not code
    with (
        (tmp_path / "out").open("w") as out,
        (tmp_path / "err").open("w") as err,
        subprocess.Popen([*command, "BGRSCRPT_01", "-f"], env=environ, stdout=out, stderr=err) as p,
    ):
        until(lambda: "no IOC answers" in (tmp_path / "err").read_text())
        with Ioc(tmp_path, script, "--prefix", "TE:", port=ioc.port) as second:
            second.ready()
            until(lambda: "is back" in (tmp_path / "err").read_text())
            until(lambda: (tmp_path / "out").read_text().count("IOC started\n") == 2)
        assert "went away" not in (tmp_path / "err").read_text().partition("is back")[0]
        p.send_signal(signal.SIGINT)
        assert p.wait(DEADLINE) == 130
