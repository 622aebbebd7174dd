"""Logs for collectors: JSON lines on stdout, base's iocLogServer, and caPutLog's servers."""

from __future__ import annotations

import getpass
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.rig.basetools import tool
from benchmarks.rig.ca import DEADLINE, Client, free_port
from benchmarks.rig.iocs import FOREVER, Ioc, until

P = "TE:BGRSCRPT_01:"
SCRIPT = "print('one \"line\"\\nand \\x1b[31mred', flush=True)\n" + FOREVER


def started(directory: Path, *options: str, **environ: str) -> Ioc:
    """An IOC with a script that prints."""
    (directory / "script.py").write_text(SCRIPT)
    return Ioc(directory, directory / "script.py", "--prefix", "TE:", *options, environ=environ)


@contextmanager
def log_server(directory: Path, port: int) -> Iterator[Path]:
    """Start EPICS base's iocLogServer; return the file that it writes."""
    file = directory / f"ioc{port}.log"
    server = subprocess.Popen(
        [tool("iocLogServer")],
        env={
            "EPICS_IOC_LOG_PORT": str(port),
            "EPICS_IOC_LOG_FILE_NAME": str(file),
            "EPICS_IOC_LOG_FILE_LIMIT": "1000000",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(file.exists)
        yield file
    finally:
        server.kill()
        server.wait(DEADLINE)


def objects(ioc: Ioc) -> list[dict[str, Any]]:
    """Return the objects of all whole lines that the IOC has printed."""
    return [json.loads(line) for line in ioc.drain().splitlines(keepends=True) if line[-1] == "\n"]


def test_json_lines(tmp_path: Path) -> None:
    """Each line is an object: of the script, of the IOC, and of a put, old and new value."""
    with started(tmp_path, "--log-format", "json") as ioc, Client(ioc.port) as client:
        ioc.wait_for("IOC started")
        client.put(f"{P}AUTORESTART", 0)
        ioc.wait_for("AUTORESTART")
        assert ioc.end() == 0
        found = objects(ioc)
    assert all(
        list(each)[:5] == ["time", "level", "instance", "stream", "message"] for each in found
    )
    said = {(each["stream"], each["instance"], each["message"]) for each in found}
    assert ("script", "TE:BGRSCRPT_01", 'one "line"') in said
    assert ("script", "TE:BGRSCRPT_01", "and \x1b[31mred") in said
    assert ("ioc", "", "ending: stopping all scripts") in said
    (put,) = (each["put"] for each in found if each["stream"] == "put")
    assert put["user"] == getpass.getuser()
    assert (put["pv"], put["new"], put["old"]) == (f"{P}AUTORESTART", 0, 1)
    text = next((tmp_path / "state/log").glob("*.log")).read_text()
    assert 'one "line"' in text
    assert "{" not in text  # the log file stays as people read it


def test_the_log_server_of_base(tmp_path: Path) -> None:
    """EPICS base's log server gets all messages as text, also those from before its start."""
    port = free_port()
    where = {"EPICS_IOC_LOG_INET": "127.0.0.1", "EPICS_IOC_LOG_PORT": str(port)}
    with started(tmp_path, **where) as ioc, Client(ioc.port) as client:
        ioc.wait_for(f"no log server at 127.0.0.1:{port}")
        client.put(f"{P}AUTORESTART", 0)
        with log_server(tmp_path, port) as file:
            until(lambda: "AUTORESTART new=0 old=1" in file.read_text())
            assert ioc.end() == 0
            until(lambda: "ending: stopping all scripts" in file.read_text())
            text = file.read_text()
    assert "bgrscrpt-ioc TE: INFO: " in text
    assert "and red" not in text  # the scripts' output is not for it


def test_puts_as_json(tmp_path: Path) -> None:
    """The server of EPICS_CA_JSON_PUT_LOG_ADDR gets caPutLog's JSON, that of the other its text."""
    texts, jsons = free_port(), free_port()
    with (
        log_server(tmp_path, texts) as text_file,
        log_server(tmp_path, jsons) as json_file,
        started(
            tmp_path,
            EPICS_CA_PUT_LOG_ADDR=f"127.0.0.1:{texts}",
            EPICS_CA_JSON_PUT_LOG_ADDR=f"127.0.0.1:{jsons}",
        ) as ioc,
        Client(ioc.ready().port) as client,
    ):
        client.put(f"{P}AUTORESTART", 0)
        until(lambda: "\n" in json_file.read_text() and "\n" in text_file.read_text())
        line = json_file.read_text()
        put = json.loads(line[line.index("{") :])
        assert list(put) == ["date", "time", "host", "user", "pv", "new", "old"]
        assert (put["pv"], put["new"], put["old"]) == (f"{P}AUTORESTART", 0, 1)
        assert f"{P}AUTORESTART new=0 old=1\n" in text_file.read_text()
