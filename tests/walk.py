"""Follows one put through the house: `python -P -m tests.walk [RESTART]` prints its way.

The way is that of the IOC's own thread, from the bytes of the put to the bytes of its completion:
the files that are entered, and how often a call goes from one room into another.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

import caproto as ca

import bgrscrpt_ioc
from benchmarks.rig.ca import free_port
from benchmarks.rig.raw import RawClient
from bgrscrpt_ioc.cli.service import CommandLine, server
from bgrscrpt_ioc.config.load import load

PACKAGE = Path(bgrscrpt_ioc.__file__).parent
RUNNING = 2
SCRIPT = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"


class Walk:
    """The files that are entered while it is on, and the calls from one room into another."""

    def __init__(self) -> None:
        self.files: dict[str, None] = {}  # in the order in which each is entered first
        self.borders: Counter[tuple[str, str]] = Counter()
        self.on = False

    def called(self, frame: FrameType, event: str, _argument: object) -> None:
        """Be a profile function: note each call into the package."""
        if not self.on or event != "call" or not (file := file_of(frame)):
            return
        self.files[file] = None
        caller = frame.f_back
        while caller is not None and not file_of(caller):
            caller = caller.f_back
        if caller is not None and room(file_of(caller)) != room(file):
            self.borders[room(file_of(caller)), room(file)] += 1


def file_of(frame: FrameType) -> str:
    """Return the file of the package that a frame is in, or ""."""
    name = frame.f_code.co_filename
    root = f"{PACKAGE}{os.sep}"
    return name.removeprefix(root) if name.startswith(root) else ""


def room(file: str) -> str:
    """Return the room of a file of the package."""
    return Path(file).parts[0].removesuffix(".py")


def walk(command: str, directory: Path) -> Walk:
    """Serve one instance whose script runs, put 1 to a command, and return the walk of that put."""
    script = directory / "background_script.py"
    script.write_text(SCRIPT)
    port = free_port()
    given = {"prefix": "TE:", "port": port, "state_dir": str(directory), "echo": False}
    settings = load(None, script, None, given, os.environ)
    taken = Walk()

    def put() -> None:
        with RawClient(port) as client:
            status = client.open("TE:BGRSCRPT_01:STATUS")
            while True:  # each get waits for its answer
                client.send(status.read(data_type=ca.ChannelType.INT))
                if client.receive(ca.ReadNotifyResponse).data[0] == RUNNING:
                    break
            channel = client.open(f"TE:BGRSCRPT_01:{command}")
            request = channel.write((1,), data_type=ca.ChannelType.INT, notify=True)
            taken.on = True
            client.send(request)
            client.receive(ca.WriteNotifyResponse)
            taken.on = False
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=put_when_served, args=(put, port))
    thread.start()
    sys.setprofile(taken.called)
    try:
        server()(settings, "", CommandLine(argparse.Namespace(config=None), None))
    finally:
        sys.setprofile(None)
    thread.join()
    return taken


def put_when_served(put: Callable[[], None], port: int) -> None:
    """Call as soon as somebody listens on the port."""
    while True:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            put()
            return


def main() -> None:
    """Print the walk of a command."""
    command = sys.argv[1] if sys.argv[1:] else "RESTART"
    with tempfile.TemporaryDirectory() as directory:
        taken = walk(command, Path(directory))
    files, steps = list(taken.files), taken.borders
    print("\n".join(files))
    print(f"{len(files)} files in {len({*map(room, files)})} rooms")
    for (one, other), times in steps.most_common():
        print(f"{times:4}  {one} -> {other}")


if __name__ == "__main__":
    main()
