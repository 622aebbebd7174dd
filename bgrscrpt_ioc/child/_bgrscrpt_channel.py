"""The pipe on which a process of the script speaks to the IOC, frame by frame."""

import os
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments

PAUSE = 0.005  # s between two tries; a script may have a `select.py` of its own beside it


class Channel:
    """The pipe to the IOC, as this process has it."""

    def __init__(self, fd, script_pid, script_fd, exe_path, write):
        # type: (int, int, int, str, Any) -> None
        """Write by `write(fd, data)`, which is the system's."""
        self.fd, self._write = fd, write
        self.script_fd = script_fd  # what the script itself has it at
        self.script_pid = script_pid
        self.exe_path = exe_path
        self.identity = self._identify()
        self.cut_short = False  # a message was given up between two frames
        self.before = b"\n"  # the first frame: a wrapper may have printed something without an end

    def _identify(self):
        # type: () -> tuple[int, int]
        found = os.fstat(self.fd)
        return found.st_dev, found.st_ino

    def is_open(self):
        # type: () -> bool
        """Tell whether the descriptor is still ours: scripts that daemonise close them all."""
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
