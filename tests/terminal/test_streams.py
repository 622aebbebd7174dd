"""Client commands with pipes of any encoding, full disks, and pipes without a reader."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.rig.ca import DEADLINE, ca_environ
from benchmarks.rig.iocs import COMMAND, Ioc
from bgrscrpt_ioc.host.streams import UNREAD

TEXT = "Dr. Žák: 5 µm, 20 °C, \U0001f600"
SCRIPT = f"""
import bgrscrpt, time
print({TEXT!r})
bgrscrpt.message({TEXT!r})
raise ValueError({TEXT!r})
"""
ENCODINGS: dict[str, dict[str, str]] = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "iso-8859-1": {"PYTHONIOENCODING": "iso-8859-1"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
NAME = "BGRSCRPT_01"
LINES = {  # command -> exit code
    "status": 3,
    "status --json": 3,
    f"info {NAME}": 0,
    f"log {NAME} --stamps": 0,
    f"restart {NAME} --settle 30": 1,
}
STREAMS = {  # what a shell does with the output -> exit code where it is not the command's
    "{} >/dev/full": 1,
    "{} >&-": 0,
    "{{ sleep 0.2; {}; }} | true": UNREAD,
}


@pytest.fixture(scope="module")
def ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ioc]:
    directory = tmp_path_factory.mktemp("žluť")  # a path that few encodings have
    script = directory / "skript-č.py"
    script.write_text(SCRIPT)
    options = ("--prefix", "TE:", "--start-limit", "1")
    with Ioc(directory, script, *options, environ={"PYTHONUTF8": "1"}) as served:
        served.ready().wait_for("gave up after 1")
        yield served


def run(ioc: Ioc, line: str, shell: str, environ: dict[str, str]) -> tuple[int, bytes, bytes]:
    """Run a command by a shell; return its exit code, what it prints, and its complaints."""
    client = " ".join([*COMMAND[:1], "-m", "bgrscrpt_ioc", line, "--prefix TE:"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell.format(client)}"],
        env=ca_environ(ioc.port, **environ),
        cwd=Path("/"),
        check=False,
        capture_output=True,
        timeout=DEADLINE,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("line", LINES)
def test_encodings(ioc: Ioc, line: str, encoding: str) -> None:
    """A character that the encoding lacks is printed as an escape; JSON stays valid JSON."""
    code, out, err = run(ioc, line, "{}", ENCODINGS[encoding])
    assert code == LINES[line]
    assert b"Traceback" not in err
    if "--json" in line:
        (row,) = json.loads(out.decode(encoding))
        assert TEXT in row["ERROR"]
    else:
        shown = TEXT.encode(encoding, "backslashreplace")
        assert shown in (err if line.startswith("restart") else out)


@pytest.mark.parametrize("shell", STREAMS)
@pytest.mark.parametrize("line", ["status", f"info {NAME}", f"log {NAME}", f"check {NAME}"])
def test_streams(ioc: Ioc, line: str, shell: str) -> None:
    """A full disk gives a message and exit code 1; a reader that has gone gives no message."""
    code, _, err = run(ioc, line, shell, {})
    assert code == (STREAMS[shell] or LINES.get(line, 0))
    assert b"Traceback" not in err
    assert (b"cannot write to standard output" in err) == ("full" in shell)
