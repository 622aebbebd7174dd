"""What real clients send to the IOC: each runs once behind a tee, and what it said is kept.

`python -m benchmarks.rig.recording [FILE]` makes the file anew. The tests mutate what is in it.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rig.basetools import tool
from benchmarks.rig.ca import DEADLINE, ca_environ
from benchmarks.rig.iocs import FOREVER, Ioc
from benchmarks.rig.tee import Recording, Tee

FILE = Path(__file__).parent / "sessions.json"
P = "TE:BGRSCRPT_01:"
LARGEST = 20_000  # bytes of one connection that are kept: its beginning

# Of base's tools; camonitor goes on until it is told to end.
TOOLS = (
    "caget {P}STATUS {P}PID {P}LOG {P}NONE -w 0.5",
    "caget -a {P}STATUS {P}CPU {P}EXITREASON {P}LOG:COUNT",
    "caget -c -p 30 -w 5 {P}STATUS.DESC$ {P}LOG.NORD",
    "caget -d DBR_CTRL_ENUM {P}STATUS {P}START",
    "caget -d DBR_GR_DOUBLE {P}CPU {P}PROGRESS",
    "caget -d DBR_CTRL_STRING {P}STATUS {P}EXITREASON",
    "caget -d DBR_STSACK_STRING {P}STATUS",
    "caget -d DBR_CLASS_NAME {P}STATUS {P}LOG",
    "caget -S -# 20 {P}LOG {P}LOG:LINE",
    "cainfo {P}STATUS {P}LOG {P}AUTORESTART",
    "caput {P}AUTORESTART 1",
    "caput -c -w 10 {P}CHECK 1",
    "caput -s {P}AUTORESTART Off",
    "caput -l {P}AUTORESTART On",
    "caput -a {P}AUTORESTART 1 1",
    "caput -S {P}STATUS:MSG refused",
    "caput {P}STATUS 1",
    "catime {P}AUTORESTART 4",
    "camonitor {P}STATUS {P}LOG:LINE {P}CPU",
    "camonitor -m va -S {P}LOG {P}STATUS.SEVR {P}STATUS:MSG",
)

PYEPICS = """
import epics
seen = []
pvs = [epics.PV(P + name, auto_monitor=True, callback=lambda **kw: seen.append(kw))
       for name in ("STATUS", "LOG", "CPU", "AUTORESTART")]
assert all(pv.wait_for_connection(20) for pv in pvs)
for pv in pvs:
    pv.get(timeout=20), pv.get(as_string=True, timeout=20), pv.get_ctrlvars(timeout=20)
    pv.get_timevars(timeout=20)
pvs[3].put(1, wait=True, timeout=20)
pvs[3].put("Off", use_complete=True)
pvs[1].clear_auto_monitor()
pvs[2].disconnect()
epics.caget_many([P + name for name in ("PID", "STARTS", "ERROR", "STATUS.DESC")])
epics.caput(P + "CHECK", 1, wait=True, timeout=20)
"""
AIOCA = """
import asyncio
from aioca import FORMAT_CTRL, FORMAT_TIME, caget, cainfo, camonitor, caput
async def main():
    came = asyncio.Event()
    monitors = [camonitor(P + name, lambda _: came.set(), format=FORMAT_TIME)
                for name in ("STATUS", "LOG:LINE")]
    await asyncio.wait_for(came.wait(), 20)
    await caget([P + "STATUS", P + "CPU", P + "STATUS:MSG"], timeout=20, format=FORMAT_CTRL)
    await caput(P + "AUTORESTART", 1, wait=True, timeout=20)
    await caput(P + "AUTORESTART", "Off", timeout=20)
    await cainfo(P + "LOG")
    for each in monitors:
        each.close()
asyncio.run(main())
"""
CAPROTO = """
from caproto.sync.client import read, write
from caproto.threading.client import Context
read(P + "STATUS", data_type="control", timeout=20, repeater=False)
read(P + "LOG", timeout=20, repeater=False)
write(P + "AUTORESTART", 1, notify=True, timeout=20, repeater=False)
context = Context(timeout=20)
pvs = context.get_pvs(*(P + name for name in ("STATUS", "LOG", "AUTORESTART")), timeout=20)
seen = []
subscriptions = [pv.subscribe(data_type="time") for pv in pvs]
tokens = [each.add_callback(lambda sub, response: seen.append(response)) for each in subscriptions]
for pv in pvs:
    pv.wait_for_connection(timeout=20)
    pv.read(data_type="control", timeout=20)
pvs[2].write([0], wait=True, timeout=20)
pvs[0].circuit_manager.events_off()
pvs[0].circuit_manager.events_on()
for each in subscriptions:
    each.clear()
pvs[1].go_idle()
context.disconnect()
"""
OURS = ("status", "log BGRSCRPT_01 -n 5", "restart BGRSCRPT_01")


@dataclass(frozen=True)
class Session:
    """What one client has sent: over each connection, and by each datagram."""

    client: str
    connections: tuple[bytes, ...]
    datagrams: tuple[bytes, ...]


def clients() -> Iterable[tuple[str, Sequence[str | Path]]]:
    """The clients: what each is called, and its command."""
    for line in TOOLS:
        name, *arguments = line.replace("{P}", P).split()
        yield line.replace("{P}", ""), [tool(name), *arguments]
    for name, code in ("pyepics", PYEPICS), ("aioca", AIOCA), ("caproto", CAPROTO):
        yield name, [sys.executable, "-c", f"P = {P!r}\n{code}"]
    for line in OURS:
        yield f"bgrscrpt-ioc {line}", [sys.executable, "-m", "bgrscrpt_ioc", *line.split()]


def record(directory: Path) -> list[Session]:
    """Run each client once against an IOC in this directory.

    Raises:
        RuntimeError: a client has not said what it was to say.
    """
    script = directory / "script.py"
    script.write_text(FOREVER)
    sessions: list[Session] = []
    with Ioc(directory, script, "--prefix", "TE:", "--no-echo") as ioc:
        ioc.ready()
        for name, command in clients():
            with Tee(ioc.port) as tee:
                _run(command, tee.port, directory)
            sessions.append(_session(name, tee.recording))
            if not any(len(each) > LEAST for each in sessions[-1].connections):
                raise RuntimeError(f"{name} has asked for nothing")
    return sessions


LEAST = 100  # bytes of a connection that asks for something


def _run(command: Sequence[str | Path], port: int, directory: Path) -> None:
    environ = ca_environ(port, MYPVPREFIX="TE:", ICPVARDIR="/nowhere", PATH="/nowhere")
    endless = "camonitor" in str(command[0])
    with subprocess.Popen(
        command,
        env=environ,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            if endless and process.stdout is not None:
                for _ in range(3):
                    process.stdout.readline()
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=3 * DEADLINE)
        finally:
            process.kill()


def _session(name: str, recording: Recording) -> Session:
    """Return what was said, without the name of this machine."""
    host = socket.gethostname().encode()
    there = [b"".join(each).replace(host, b"h" * len(host)) for each in recording.connections]
    return Session(
        name, tuple(each[:LARGEST] for each in there if each), tuple(recording.datagrams[:20])
    )


def save(sessions: Iterable[Session], path: Path) -> None:
    """Write sessions to a file."""
    rows = (
        {
            "client": each.client,
            "connections": [data.hex() for data in each.connections],
            "datagrams": [data.hex() for data in dict.fromkeys(each.datagrams)],
        }
        for each in sessions
    )
    path.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def load(path: Path = FILE) -> list[Session]:
    """Read the sessions of a file."""
    rows: list[dict[str, Any]] = json.loads(path.read_text())
    return [
        Session(
            row["client"],
            tuple(map(bytes.fromhex, row["connections"])),
            tuple(map(bytes.fromhex, row["datagrams"])),
        )
        for row in rows
    ]


def main() -> None:
    """Make the file anew."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    with tempfile.TemporaryDirectory(prefix="bgr-") as directory:
        save(record(Path(directory)), path)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
