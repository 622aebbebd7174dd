"""The pipe by which a process of the script sends messages to the IOC, frame by frame."""

import os
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments

PAUSE = 0.005  # s between two tries; a script may have a `select.py` of its own beside it


class Channel:
    """The pipe to the IOC, for this process."""

    def __init__(self, fd, script_pid, script_fd, exe_path, write):
        # type: (int, int, int, str, Any) -> None
        """Make the channel. `write(fd, data)` is the system's call that writes."""
        self.fd, self._write = fd, write
        self.script_fd = script_fd  # the descriptor that the script's own process has
        self.script_pid = script_pid
        self.exe_path = exe_path
        self.identity = self._identify()
        self.cut_short = False  # the last message was given up after its first frame
        self.before = b"\n"  # ends the line that a wrapper of the interpreter may have printed

    def _identify(self):
        # type: () -> tuple[int, int]
        found = os.fstat(self.fd)
        return found.st_dev, found.st_ino

    def is_open(self):
        # type: () -> bool
        """Return whether the descriptor is still ours: a daemon closes all its descriptors."""
        try:
            return self._identify() == self.identity
        except OSError:
            return False

    def write(self, frame, patience):
        # type: (bytes, float) -> bool
        """Write one frame, whole or not at all; wait up to `patience` s for room."""
        deadline = monotonic() + patience
        while self.is_open():
            try:
                self._write(self.fd, self.before + frame)
            except BlockingIOError:
                if monotonic() >= deadline:
                    return False
                sleep(PAUSE)
            except OSError:
                return False  # the IOC is gone
            else:
                self.before = b""
                return True
        return False
