"""Receives the commands that the IOC sends to a script's process: JSON objects, one a line.

The commands come by the pipe that has brought the order. A thread reads the pipe only if the script
has a PV that needs the commands.
"""

import _json  # imported because `json` is written in Python
import os
from _thread import start_new_thread
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable  # noqa: F401 - in type comments, as Any
    from typing import Any  # noqa: F401

PAUSE = 0.002  # s between two looks for a line that must come
CHUNK = 1 << 16


class Decoder:
    """The attributes of `json.JSONDecoder` that its scanner, which is written in C, needs."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int = float, int
    memo = {}  # type: dict  # noqa: RUF012 - of the scanner

    @staticmethod
    def parse_constant(name):
        # type: (str) -> float
        """Return NaN, Infinity or -Infinity."""
        return float(name.replace("Infinity", "inf"))


def commands_of(home, handlers):
    # type: (Any, dict[str, Callable[[dict], None]]) -> Any
    """Return the commands of this process, with these handlers; `home`: the module `bgrscrpt`."""
    if home._commands is None:
        return Commands(home._commands_fd, handlers)
    home._commands.add(handlers)  # on Windows, a thread reads the pipe from the start
    return home._commands


SCAN = _json.make_scanner(Decoder)  # pyright: ignore[reportArgumentType] - as `json` does


class Commands:
    """Reads commands from the pipe. `handlers` has a function for each kind of command."""

    def __init__(self, fd, handlers):
        # type: (int, dict[str, Callable[[dict], None]]) -> None
        self.fd, self.handlers = fd, handlers
        self.unread = b""
        self.has_thread = False
        self.identity = self._identify()

    def _identify(self):
        # type: () -> tuple[int, int] | None
        try:
            found = os.fstat(self.fd)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def take_first(self, patience):
        # type: (float) -> None
        """Read and carry out the line that the IOC writes at the start of each run."""
        if self.identity is None:
            return
        deadline = monotonic() + patience
        os.set_blocking(self.fd, False)
        try:
            while b"\n" not in self.unread and monotonic() < deadline:
                try:
                    data = os.read(self.fd, CHUNK)
                except BlockingIOError:
                    sleep(PAUSE)
                    continue
                if not data:
                    break
                self.unread += data
        finally:
            os.set_blocking(self.fd, True)
        line, newline, self.unread = self.unread.partition(b"\n")
        if newline:
            self.carry_out(line)

    def start(self):
        # type: () -> None
        """Start a thread that carries out later commands; the thread ends with the script."""
        if not self.has_thread and self.identity is not None:
            self.has_thread = True
            start_new_thread(self.run, ())

    def run(self):
        # type: () -> None
        """Carry out commands until the pipe ends."""
        while True:
            lines = self.unread.split(b"\n")
            self.unread = lines.pop()
            for line in lines:
                self.carry_out(line)
            if self._identify() != self.identity:
                return  # the script has closed all descriptors
            try:
                data = os.read(self.fd, CHUNK)
            except OSError:
                return
            if not data:
                return  # the IOC has gone
            self.unread += data

    def carry_out(self, line):
        # type: (bytes) -> None
        """Call the handler of one command."""
        try:
            command = SCAN(line.decode(), 0)[0]
            handler = self.handlers.get(command["kind"])
        except (ValueError, StopIteration, KeyError, TypeError, AttributeError):
            return
        if handler is not None:
            handler(command)
