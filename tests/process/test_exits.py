"""Every way in which a script can end, or fail to begin, has its own true reason."""

from __future__ import annotations

import os
import re
import signal
import sys
import zipapp
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bgrscrpt_ioc.process.messages import ScriptBegan
from bgrscrpt_ioc.process.spawn import SpawnError
from tests.process.scripts import Runner, interpreters

ALL = interpreters()
SUPPORTED = {version: path for version, path in ALL.items() if version >= (3, 8)}
TOO_OLD = {version: path for version, path in ALL.items() if version < (3, 8)}


def named(version: tuple[int, int]) -> str:
    return "{}.{}".format(*version)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


@pytest.mark.parametrize("version", SUPPORTED, ids=named)
@pytest.mark.parametrize(
    ("text", "code", "reason", "error"),
    [
        ("pass", 0, "exit 0", None),
        ("raise SystemExit(3)", 3, "exit 3", None),
        ("import sys\nsys.exit('why')", 1, "exit 1", "SystemExit: why (script.py:2)"),
        ("import os\nos._exit(7)", 7, "exit 7", None),
        ("def f():\n  raise ValueError('bad')\nf()", 1, "exit 1", "ValueError: bad (script.py:2)"),
        ("import json\njson.loads('[')", 1, "exit 1", "json.decoder.JSONDecodeError: Expecting"),
        ("x = = 1", 1, "exit 1", "SyntaxError: invalid syntax (script.py:1)"),
        ("import os\nos.kill(os.getpid(), 9)", -9, "SIGKILL", None),
        ("raise KeyboardInterrupt", -2, "SIGINT", "KeyboardInterrupt (script.py:1)"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", -15, "SIGTERM", None),
        ("import os, signal\nos.kill(os.getpid(), 40)", -40, "signal 40", None),
    ],
)
async def test_ends(
    script: Path,
    runner: Runner,
    version: tuple[int, int],
    text: str,
    code: int,
    reason: str,
    error: str | None,
) -> None:
    """Exit code, reason and one-line error, with every interpreter on this machine."""
    script.write_text(text)
    heard = await runner.run(script, SUPPORTED[version])
    assert (heard.code, heard.reason) == (code, reason)
    assert isinstance(heard.messages[0], ScriptBegan) or "SyntaxError" in (error or "")
    told = heard.failure.error if heard.failure else None
    assert told == error or (error is not None and told is not None and told.startswith(error))
    if heard.failure is not None and "SystemExit" not in heard.failure.error:
        told = heard.failure.traceback
        if heard.failure.error.startswith("KeyboardInterrupt"):  # told without the source
            printed = iter(heard.text.decode().splitlines())
            assert all(line in printed for line in told.splitlines())
        else:
            assert told.encode() in heard.text  # what is told is what is printed


@pytest.mark.parametrize("version", SUPPORTED, ids=named)
async def test_crash(script: Path, runner: Runner, version: tuple[int, int]) -> None:
    """A segfault is reported by its signal, with faulthandler's dump."""
    script.write_text("import faulthandler\nfaulthandler._sigsegv()\n")
    heard = await runner.run(script, SUPPORTED[version])
    assert heard.code == -signal.SIGSEGV
    assert heard.reason.startswith("SIGSEGV")
    assert b"Fatal Python error: Segmentation fault" in heard.text


@pytest.mark.parametrize("version", SUPPORTED, ids=named)
async def test_what_began(script: Path, runner: Runner, version: tuple[int, int]) -> None:
    """The first message has pid, hash, version and interpreter of what runs."""
    script.write_text("import os\nprint(os.getpid())\n")
    heard = await runner.run(script, SUPPORTED[version])
    began = heard.messages[0]
    assert isinstance(began, ScriptBegan)
    assert began.pid == int(heard.text)
    assert began.python.startswith(named(version) + ".")
    assert Path(began.executable).samefile(SUPPORTED[version])
    assert len(began.sha256) == 64


@pytest.mark.parametrize("version", TOO_OLD, ids=named)
async def test_too_old(script: Path, runner: Runner, version: tuple[int, int]) -> None:
    """A Python older than 3.8 is reported, in the log and as the error."""
    script.write_text("print('never')\n")
    heard = await runner.run(script, TOO_OLD[version])
    assert heard.code == 2
    assert heard.failure is not None
    assert heard.failure.error == f"Python {named(version)} is too old: a script needs 3.8 or newer"
    assert b"is too old" in heard.text
    assert b"never" not in heard.text


async def test_no_file(script: Path, runner: Runner) -> None:
    """A missing script ends as by hand: it is named, and the exit code is 2."""
    heard = await runner.run(script)
    assert heard.code == 2
    assert heard.failure is not None
    told = f"can't open file '{script}': [Errno 2] No such file or directory"
    assert heard.failure.error == told
    assert heard.text.decode() == f"{sys.executable}: {told}\n"


async def test_a_directory(tmp_path: Path, runner: Runner) -> None:
    """A script that is a directory is named, with the reason."""
    heard = await runner.run(tmp_path, cwd=tmp_path)
    assert heard.code == 2
    assert b"Is a directory" in heard.text


async def test_a_fifo_is_no_script(script: Path, runner: Runner) -> None:
    """A FIFO or a device is refused before it is read, so nobody waits for it."""
    os.mkfifo(script)
    heard = await runner.run(script)
    told = f"can't open file '{script}': [Errno 22] is a FIFO, a socket or a device, not a file"
    assert (heard.code, heard.failure and heard.failure.error) == (2, told)
    heard = await runner.run(Path("/dev/zero"), cwd=script.parent)
    assert heard.code == 2


async def test_a_file_that_cannot_be_read(script: Path, runner: Runner) -> None:
    """A script that its interpreter may not read is named, with the reason."""
    script.write_text("print('never')\n")
    script.chmod(0)
    python = sys.executable
    if os.geteuid() == 0:  # whom no mode keeps out: the interpreter gives its rights up first
        wrapper = script.with_name("python")
        wrapper.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-all "{python}" "$@"\n')
        wrapper.chmod(0o755)
        python = str(wrapper)
    heard = await runner.run(script, python)
    assert heard.code == 2
    assert b"Permission denied" in heard.text


@pytest.mark.parametrize(
    ("python", "problem"),
    [
        ("/nowhere/python", "cannot run /nowhere/python: No such file or directory"),
        ("{script}", "cannot run {script}: Permission denied"),
    ],
)
async def test_no_interpreter(script: Path, runner: Runner, python: str, problem: str) -> None:
    """A program that cannot be run is reported at once, with what to do."""
    script.write_text("")
    with pytest.raises(SpawnError) as error:
        await runner.run(script, python.format(script=script))
    assert str(error.value).startswith(problem.format(script=script))
    assert "set `python`" in str(error.value)


@pytest.mark.parametrize("python", ["/bin/true", "/bin/cat"])
async def test_no_python(script: Path, runner: Runner, python: str) -> None:
    """A program that is no Python never reaches the script, whatever its exit code is."""
    script.write_text("")
    heard = await runner.run(script, python)
    assert heard.messages == []


async def test_no_working_directory(script: Path, runner: Runner) -> None:
    """A working directory that does not exist is named."""
    with pytest.raises(SpawnError, match="cwd /nowhere is not a directory"):
        await runner.run(script, cwd=Path("/nowhere"))


@contextmanager
def without_rights() -> Iterator[None]:
    """Become a user whom file modes keep out."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("inner", ["", "inner"])
async def test_a_working_directory_that_is_closed(
    tmp_path: Path, script: Path, runner: Runner, inner: str
) -> None:
    """A working directory that may not be entered or looked up is named."""
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    with without_rights(), pytest.raises(SpawnError, match=f"cwd {closed / inner} "):
        runner.launch(script, cwd=closed / inner)
    closed.chmod(0o700)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("raise ValueError('a\\nb')", "ValueError: a (script.py:1)"),
        ("import csv\nraise csv.Error", "_csv.Error (script.py:2)"),
        ("class E(Exception):\n  def __str__(self): 1/0\nraise E", "E: <exception str() failed>"),
        ("import sys\nsys.path.clear()\n1/0", "ZeroDivisionError: division by zero (script.py:3)"),
        ("raise SystemExit(('a', 1))", "SystemExit: ('a', 1) (script.py:1)"),
        ("import sibling", "ValueError: there (script.py:1)"),
        ("x = '\\udcff'\nraise ValueError(x)", "ValueError: ? (script.py:2)"),
    ],
)
async def test_errors_in_one_line(script: Path, runner: Runner, text: str, error: str) -> None:
    """One line, with the class as Python names it and the script's own line."""
    script.with_name("sibling.py").write_text("raise ValueError('there')\n")
    script.write_text(text + "\n")
    heard = await runner.run(script)
    assert heard.failure is not None
    assert heard.failure.error.startswith(error)


async def test_arguments_without_end(script: Path, runner: Runner) -> None:
    """More arguments than a pipe can hold are refused, not written in part."""
    with pytest.raises(SpawnError, match="too long"):
        await runner.run(script, sys.executable, *["x" * 1000] * 2000)


async def test_what_is_no_file_of_python_is_told_with_the_remedy(
    tmp_path: Path, runner: Runner
) -> None:
    """A package, a zip archive and UTF-16 are named; the remedies in the messages work."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__main__.py").write_text("import sys\nprint('main', sys.path[0])\n")
    archive = tmp_path / "app.pyz"
    zipapp.create_archive(package, archive)
    wide = tmp_path / "wide.py"
    wide.write_text("print(1)\n", encoding="utf-16")

    heard = await runner.run(package)
    assert f"set `script` to {package / '__main__.py'}" in heard.text.decode()
    heard = await runner.run(package / "__main__.py")
    assert heard.text.decode() == f"main {package}\n"

    heard = await runner.run(archive)
    assert heard.failure is not None
    line = re.search("with the line `(.*)`", heard.failure.error)
    assert line is not None
    (tmp_path / "runs.py").write_text(line[1])
    heard = await runner.run(tmp_path / "runs.py")
    assert heard.text.decode() == f"main {archive}\n"

    heard = await runner.run(wide)
    assert heard.failure is not None
    assert "save it as UTF-8 (wide.py:1)" in heard.failure.error
