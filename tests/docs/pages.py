"""A page's commands, run as a reader would: in order, in one directory, several of them at once.

What a page needs to be run stands in the first line of its fenced blocks, behind the language,
where no reader sees it:

- `python hello.py`: the block is a file of this name. It is written when its turn comes.
- `console`: commands after `$ `; each must succeed, and print the lines below it, in this order.
  Lines without a command are printed by what runs already; `^C` ends the newest of that.
- `console stays`: the last one goes on, as in a terminal of its own, until the page is over.
- `console fails`: each must fail. `console silent`: each must print nothing.
- `console not-run: REASON`: needs what a test cannot have.

In the lines to be printed a number stands for any, `...` for anything, `user@host` for anybody and
spaces for any spaces. Ports and directories of the system are replaced by some of the test's own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from benchmarks.rig.ca import DEADLINE, ca_environ, free_port
from benchmarks.rig.iocs import until
from bgrscrpt_ioc.host.posix import processes as posix

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*) *(?P<info>[^\n`]*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
LANGUAGES = ("console", "sh")
MARK = "READER_OF_PAGE"
PATIENCE = 240.0  # s: a watchdog looks every 10
PORT = re.compile(r"(?<![\w.-])(5064|5066|5067|5068|8089|8090|8989|20001|20011)\b")
PLACE = re.compile(r"(?<![\w.$/}])/(?=(?:opt|etc|var|data)/)")
ANYTHING = {
    "any": (r"\.\.\.", ".*"),
    "user": (r"[\w.]+@[\w.-]+", r"\S+@\S+"),
    "digits": (r"(?<!\w)\d+", r"\d+"),
    "spaces": (r" +", r" +"),
}
WILD = re.compile("|".join(f"(?P<{name}>{what})" for name, (what, _) in ANYTHING.items()))


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    line: int
    language: str
    info: str
    text: str

    @property
    def file(self) -> str:
        """The name of the file that it is, if it is one."""
        return "" if self.language in LANGUAGES else self.info

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Its commands, each with the lines that it prints; "": what runs already prints them."""
        joined = self.text.replace("\\\n", "")
        if self.language == "sh":
            return [(line, []) for line in joined.splitlines() if line]
        found: list[tuple[str, list[str]]] = []
        for line in joined.splitlines():
            if line.startswith("$ "):
                found.append((line[2:].partition("  # ")[0].rstrip(), []))
            elif line:
                found = found or [("", [])]
                found[-1][1].append(line)
        return found


def blocks(page: Path) -> list[Block]:
    """Those of a page that are files or commands."""
    text = page.read_text()
    found = [
        Block(
            text.count("\n", 0, match.start()) + 1,
            match["language"],
            match["info"].strip(),
            textwrap.dedent(match["text"]),
        )
        for match in FENCE.finditer(text)
    ]
    return [each for each in found if each.file or each.language in LANGUAGES]


class Reader:
    """Somebody who does what a page says, in a directory that has what a clone has."""

    def __init__(self, page: Path, directory: Path) -> None:
        self.page, self.directory = page, directory
        self._cwd = directory / "clone"
        self._ports: dict[str, str] = {}
        self._running: list[subprocess.Popen[bytes]] = []
        bin_directory = Path(sys.executable).parent
        shutil.copytree(ROOT / "scripts_examples", self._cwd / "scripts_examples")
        shutil.copytree(ROOT / "db", self._cwd / "db")
        for file in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / file, self._cwd)
        (self._cwd / ".venv").symlink_to(bin_directory.parent)
        for made in ("opt", "etc/bgrscrpt", "var/log", "var/lib/bgrscrpt"):
            (directory / made).mkdir(parents=True)
        (directory / "opt/bgrscrpt").symlink_to(bin_directory.parent)
        (directory / "ready").touch()  # newer than what it is made from
        self._environ = ca_environ(
            int(self._port("5064")),
            HOME=str(directory),
            XDG_STATE_HOME=str(directory / "state"),
            PATH=f"{bin_directory}:{os.environ['PATH']}",
            # Nothing is to be installed.
            MAKEFLAGS=f" -- READY={directory / 'ready'} PLOT={directory / 'ready'}",
            DEMO_IOC_PORT=self._port("5064"),
            DEMO_INSTRUMENT_PORT=self._port("5068"),
            BACKGROUND_PLOT_PORT=self._port("8989"),
            DEMO_WEB_PORT=self._port("8089"),
            **{MARK: str(directory)},
        )
        self._environ.pop("PYTHONPATH", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs, the newest first."""
        for process in reversed(self._running):
            process.terminate()
            try:
                process.wait(DEADLINE)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        until(self._daemons_end)

    def _daemons_end(self) -> bool:
        """End those that can be seen; one that is being started is seen at a later look."""
        left = self._daemons()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return not left

    def _daemons(self) -> list[int]:
        """What the page has started and its commands have left behind."""
        started = posix.started_with_any(MARK)
        return [pid for pid, mark in started.items() if mark == str(self.directory)]

    def read(self) -> None:
        """Do all of it."""
        for block in blocks(self.page):
            if block.file:
                path = self._cwd / self._own(block.file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._own(block.text))
            elif not block.info.startswith("not-run: "):
                self._do(block)

    def _do(self, block: Block) -> None:
        commands = [
            (self._own(command), [self._own(line) for line in lines])
            for command, lines in block.commands
        ]
        for at, (command, lines) in enumerate(commands):
            where = f"{self.page.relative_to(ROOT)}:{block.line}: $ {command}"
            if lines[:1] == ["^C"]:
                self._end(where, lines[1:])
            elif not command:
                self._wait(where, lines)
            elif block.info == "stays" and at == len(commands) - 1:
                self._leave(where, command, lines)
            else:
                text = self._run(where, command, lines, fails=block.info == "fails")
                assert block.info != "silent" or not text, f"{where}\nprints:\n{text}"

    def _leave(self, where: str, command: str, lines: list[str]) -> None:
        """Start it, and wait until it has printed the lines."""
        output = self.directory / f"output{len(self._running)}"
        with output.open("wb") as file:
            process = self._start(f"exec {command}", file)
        self._running.append(process)

        def told() -> bool:
            assert process.poll() is None, f"{where}\nhas ended:\n{output.read_text()}"
            return not missing(lines, output.read_text())

        try:
            until(told, PATIENCE)
        except AssertionError as error:
            raise AssertionError(complaint(where, lines, output.read_text())) from error

    def _wait(self, where: str, lines: list[str]) -> None:
        """Wait until one of those that run has printed the lines."""
        outputs = [self.directory / f"output{at}" for at in range(len(self._running))]
        try:
            until(lambda: any(not missing(lines, each.read_text()) for each in outputs), PATIENCE)
        except AssertionError as error:
            text = "\n".join(each.read_text() for each in outputs)
            raise AssertionError(complaint(where, lines, text)) from error

    def _end(self, where: str, lines: list[str]) -> None:
        """End the newest as `^C` does, which goes to all of a terminal's foreground."""
        process = self._running[-1]
        output = self.directory / f"output{len(self._running) - 1}"
        os.killpg(process.pid, signal.SIGINT)
        process.wait(DEADLINE)
        assert not missing(lines, output.read_text()), complaint(where, lines, output.read_text())

    def _run(self, where: str, command: str, lines: list[str], *, fails: bool) -> str:
        """Run it to its end, and return what it prints; what it exports holds for what follows."""
        left = self.directory / "left"
        output = self.directory / "output"
        with output.open("wb") as file:
            script = f"set -e\n{command}\nset +e\npwd >{left}\nenv -0 >>{left}\n"
            process = self._start(script, file)
            try:
                code = process.wait(PATIENCE)
            except subprocess.TimeoutExpired as error:
                raise AssertionError(f"{where}\ndoes not end:\n{output.read_text()}") from error
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        text = output.read_text()
        assert (code != 0) == fails, f"{where}\nexit code {code}:\n{text}"
        assert not missing(lines, text), complaint(where, lines, text)
        if not fails:
            cwd, _, variables = left.read_text().partition("\n")
            self._cwd = Path(cwd)
            named = (each.partition("=") for each in variables.split("\0") if each)
            self._environ = {name: value for name, _, value in named}
        return text

    def _start(self, script: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=self._cwd,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _own(self, text: str) -> str:
        """The same with ports and directories of ours."""
        text = PORT.sub(lambda found: self._port(found[0]), text)
        return PLACE.sub(f"{self.directory}/", text)

    def _port(self, port: str) -> str:
        if port not in self._ports:
            self._ports[port] = str(free_port())
        return self._ports[port]


def missing(lines: list[str], text: str) -> list[str]:
    """The lines that the text does not have, in their order and perhaps among others."""
    printed = iter(text.replace("\r", "").splitlines())
    return [
        line for line in lines if not any(pattern(line).fullmatch(each.strip()) for each in printed)
    ]


def pattern(line: str) -> re.Pattern[str]:
    """What a line stands for."""
    made, end = "", 0
    for found in WILD.finditer(line := line.strip()):
        made += re.escape(line[end : found.start()]) + ANYTHING[str(found.lastgroup)][1]
        end = found.end()
    return re.compile(made + re.escape(line[end:]))


def complaint(where: str, lines: list[str], text: str) -> str:
    """What a page says and what is."""
    return f"{where}\nshould print {missing(lines, text)}, but printed:\n{text}"
