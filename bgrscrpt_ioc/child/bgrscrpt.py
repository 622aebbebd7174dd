"""What a background script may tell its operators: `alive()`, `message()`, `progress()`.

Works from any thread and from child processes. Without the IOC every function does nothing, so a
script that uses them also runs by hand. No function here blocks for long or fails.
"""

import os
from _thread import allocate_lock
from itertools import count
from time import monotonic, sleep

__all__ = ["alive", "message", "progress"]

_PART = 4000  # bytes: a frame must stay below PIPE_BUF (4096), what a pipe takes whole
_PATIENCE = 1.0  # s to wait for the IOC where a message must not be lost
_MOMENT = 0.05  # s to wait for another thread where a message may be lost
_PAUSE = 0.005  # s between two tries; a script may have a `select.py` of its own beside it


def alive():
    # type: () -> None
    """Say that the script still does its work; `heartbeat_timeout` of the IOC watches for it."""
    _send('{"kind":"alive","count":%d}' % next(_beats))


def message(text):
    # type: (object) -> None
    """Say what the script is doing, in one line: the PV `MESSAGE`."""
    _send(_json(kind="message", text=str(text)[:1000]))


def progress(percent):
    # type: (float) -> None
    """Say how far the script is, 0 to 100: the PV `PROGRESS`."""
    _send('{"kind":"progress","percent":%r}' % min(100.0, max(0.0, float(percent))))


# --- from here on: for the bootstrap and the hook, not for scripts -----------------------------

_beats = count(1)
_lock = allocate_lock()
_channel = None  # type: _Channel | None


class _Channel:
    """The pipe to the IOC, as this process has it."""

    def __init__(self, fd, script_pid, script_fd, exe_path):
        # type: (int, int, int, str) -> None
        self.fd = fd
        self.script_fd = script_fd  # what the script itself has it at
        self.script_pid = script_pid
        self.exe_path = exe_path
        self.identity = self._identify()
        self.cut_short = False  # a message was given up between two frames

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
                os.write(self.fd, frame)
            except BlockingIOError:
                if monotonic() >= deadline:
                    return False
                sleep(_PAUSE)
            except OSError:
                return False  # the IOC is gone
            else:
                return True
        return False


def _open(fd, script_pid, script_fd, exe_path):
    # type: (int, int, int, str) -> None
    """Speak on descriptor `fd` from now on."""
    global _channel  # noqa: PLW0603 - a process has one channel
    _channel = _Channel(fd, script_pid, script_fd, exe_path)


def _renew_lock():
    # type: () -> None
    """In a forked child: another thread of the parent may have held the lock."""
    global _lock  # noqa: PLW0603
    _lock = allocate_lock()
    if _channel is not None:
        _channel.cut_short = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _json(**fields):
    # type: (object) -> str
    return _encoded(fields)


def _encoded(value):
    # type: (object) -> str
    """Write JSON without `import json`: a script may have a `json.py` of its own beside it."""
    if isinstance(value, dict):
        items = ("%s:%s" % (_quoted(str(key)), _encoded(item)) for key, item in value.items())
        return "{%s}" % ",".join(items)
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join(map(_encoded, value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return int.__repr__(value)  # also of an IntEnum
    if isinstance(value, float) and value - value == 0:  # JSON has no infinity
        return float.__repr__(value)
    return _quoted(value if isinstance(value, str) else str(value))


def _quoted(text):
    # type: (str) -> str
    """Write a JSON string in ASCII; `_json` would have to be loaded for it at every start."""
    if _is_plain(text):
        return '"' + text + '"'  # not %s, which asks a subclass how it shows itself
    return '"%s"' % "".join(each if _is_plain(each) else _escaped(each) for each in text)


def _is_plain(text):
    # type: (str) -> bool
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def _escaped(character):
    # type: (str) -> str
    # By hand: "utf-16" would be imported, which cannot be when descriptors have run out.
    code = ord(character)
    if code > 0xFFFF:
        code -= 0x10000
        return "\\u%04x\\u%04x" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))
    return "\\u%04x" % code


def _send(payload, patience=0.0):
    # type: (str, float) -> bool
    """Send one message; False when it could not be."""
    channel = _channel
    if channel is None or not _lock.acquire(timeout=max(patience, _MOMENT)):
        return False
    try:
        sender, data = b"%d" % os.getpid(), payload.encode("ascii")
        if channel.cut_short and not channel.write(sender + b"=\n", patience):
            return False
        begun = False
        while len(data) > _PART:
            if not channel.write(sender + b"+" + data[:_PART] + b"\n", patience):
                break
            data, begun, patience = data[_PART:], True, _PATIENCE  # once begun, worth a wait
        else:
            if channel.write(sender + b"=" + data + b"\n", patience):
                channel.cut_short = False
                return True
        channel.cut_short = begun
        return False
    finally:
        _lock.release()


def _register_ioc_start(ioc_name, pv_database=None, prefix=None):
    # type: (str, dict | None, str | None) -> None
    """Tell the IOC's registry that this script runs, in place of `server_common.helpers`' own."""
    if _channel is None:
        return
    try:
        told = _send(
            _json(
                kind="register",
                pid=_channel.script_pid,
                exe_path=_channel.exe_path,
                ioc_name=str(ioc_name),
                prefix=None if prefix is None else str(prefix),
                pv_database=pv_database or {},
            ),
            patience=_PATIENCE,
        )
        problem = "" if told else "the IOC does not listen"
    except Exception as error:  # noqa: BLE001 - the call never raises: scripts rely on it
        problem = repr(error)
    if problem:
        _complain("register_ioc_start: not forwarded: %s\n" % problem)


def _complain(text):
    # type: (str) -> None
    """Tell the user, where he still listens: daemons close their stderr."""
    try:  # noqa: SIM105 - contextlib is written in Python: scripts may have their own
        os.write(2, text.encode("ascii", "backslashreplace"))
    except OSError:
        pass
