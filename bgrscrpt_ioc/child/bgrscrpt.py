"""What a script may tell its operators: `alive()`, `message()`, `progress()`, and PVs by `pv()`.

The functions work from any thread and from child processes. Without the IOC, every function does
nothing, so a script that uses them also runs by hand. No function here blocks for long or fails.
"""

import os
from _thread import RLock, get_ident
from itertools import count

TYPE_CHECKING = False  # `import typing` would take longer than everything here
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments

__all__ = ["alive", "message", "progress", "pv"]

_PART = 4000  # bytes: a frame must stay below PIPE_BUF (4096), which a pipe takes as a whole
_PATIENCE = 1.0  # s to wait for the IOC where a message must not be lost
_MOMENT = 0.05  # s to wait for another thread where a message may be lost
_PACE = 0.1  # s between two messages of one kind, after the first few, which are sent at once


def alive():
    # type: () -> None
    """Say that the script still does its work: the heartbeat that `heartbeat_timeout` watches."""
    _say("alive", '{"kind":"alive","count":%d}' % next(_beats))


def message(text):
    # type: (object) -> None
    """Say in one line what the script is doing. The PV `MESSAGE` shows it."""
    try:
        _say("message", _json(kind="message", text=str(text)[:1000]))
    except Exception as error:  # noqa: BLE001 - an object may raise anything when it is shown
        _refuse("message", text, error)


def progress(percent):
    # type: (float) -> None
    """Say how far the script is, in percent, 0 to 100. The PV `PROGRESS` shows it."""
    try:
        number = float(percent)
        if number == number:  # NaN is no percentage
            percent = min(100.0, max(0.0, number))
            _say("progress", '{"kind":"progress","percent":%r}' % percent)
    except Exception as error:  # noqa: BLE001 - an object may raise anything when it is converted
        _refuse("progress", percent, error)


def pv(
    name,
    initial,
    *,
    description="",
    unit="",
    precision=3,
    low=None,
    high=None,
    alarm_low=None,
    alarm_high=None,
    choices=None,
    writable=False,
    on_put=None,
    keep=False,
    archive=False,
    size=None,
):
    # type: (...) -> Any
    """Make the PV `$(P)$(NAME):<name>`, with this value at first, and return its handle.

    The handle has `value`, `set(value, severity=None)` and, of a writable PV, `wait(timeout)`.

    Args:
        name: letters A-Z, digits, `_` and `:`.
        initial: first value. Its type is the type of the PV: a float, an int, a bool, a text, or
            numbers.
        description: text for people, at most 40 bytes.
        unit: unit of the numbers, at most 15 bytes.
        precision: digits behind the decimal point.
        low: lowest value for displays. If a client puts a lower value, the PV gets this one.
        high: highest value, in the same way.
        alarm_low: a number that is not above this one is in alarm.
        alarm_high: a number that is not below this one is in alarm.
        choices: up to 16 texts. The value is one of them.
        writable: whether clients may put values; access security applies.
        on_put: function that is called with each value that a client puts. If it raises an
            exception, the put fails.
        keep: whether the value survives the script and the IOC, in place of `initial`.
        archive: whether an archiver should record the PV.
        size: most elements of an array (at most 100,000), or most bytes of a text (at most 4,096).
    """
    options = dict(locals())
    return _own_pvs().make(options)


# --- from here on: for the bootstrap and the hook, not for scripts -----------------------------

_beats = count(1)
# A KeyboardInterrupt may come in the moment in which `acquire` has taken a lock, or `release` is to
# be called. So the lock may stay with a thread that is not inside; that thread uses it again.
_lock = RLock()  # type: Any  # of the channel
_inside = 0  # the thread that sends
_channel = None  # type: Any  # the pipe to the IOC; see _bgrscrpt_channel.py
_write = os.write  # on Windows: _bgrscrpt_windows.write
_commands_fd = -1  # the pipe that brings the IOC's commands; see _bgrscrpt_commands.py
_kept_line = b""  # the kept values, for an interpreter in standby; see _bgrscrpt_puts.py
_commands = None  # type: Any  # who reads that pipe, on Windows alone
_standard_path = None  # type: list[str] | None  # `sys.path` as the interpreter has made it
_first = {}  # type: dict[str, Any]  # what two threads may make at once: the first one holds
_pace = None  # type: Any  # paces `alive`, `message` and `progress`; see _bgrscrpt_pace.py
_pvs = None  # type: Any  # the PVs of this process; see _bgrscrpt_pvs.py


def _open(fd, script_pid, script_fd, exe_path):
    # type: (int, int, int, str) -> None
    """Send messages to the descriptor `fd` from now on."""
    global _channel  # noqa: PLW0603 - a process has one channel
    channel = _ours("_bgrscrpt_channel").Channel
    _channel = channel(fd, script_pid, script_fd, exe_path, _write)


def _say(kind, payload):
    # type: (str, str) -> None
    """Send a message; of each kind, only the newest matters."""
    global _pace  # noqa: PLW0603 - made when it is first needed
    # A forked child may end without notice (`os._exit`), so its messages do not wait.
    if _channel is None or os.getpid() != _channel.script_pid:
        _send(payload)
        return
    pace = _pace
    if pace is None:
        made = _ours("_bgrscrpt_pace").Pace(_send_soon, _PACE)
        pace = _pace = _first.setdefault("pace", made)
    me = get_ident()
    if pace.inside == me:
        return  # a signal handler has interrupted another message, which counts
    waits = True
    try:
        if pace.lock._is_owned() or pace.lock.acquire(timeout=_MOMENT):
            pace.inside = me
            waits = pace.take(kind, payload)
    finally:
        if pace.inside == me:
            pace.inside = 0
        if pace.lock._is_owned():
            pace.lock.release()
    if not waits:
        _send(payload)


def _send_soon(payload):
    # type: (str) -> bool
    _send(payload, _PACE)
    return True  # a message without room is lost: a newer one comes


def _ours(name):
    # type: (str) -> Any
    """Import one of our modules when it is first needed; it is not on the script's path."""
    import sys

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    try:
        return __import__(name)
    finally:
        sys.path.remove(here)


_json = _ours("_bgrscrpt_json").fields


def _own_pvs():
    # type: () -> Any
    """Return the PVs of this process."""
    global _pvs  # noqa: PLW0603 - made when it is first needed
    if _pvs is None:
        import sys

        # No lock: a signal handler of the script may call this again meanwhile.
        _pvs = _first.setdefault("pvs", _ours("_bgrscrpt_pvs").Pvs(sys.modules[__name__]))
    return _pvs


def _before_fork():
    # type: () -> None
    """End our threads: a fork must not find one."""
    for sender in (_pace, _pvs and _pvs.outbox):
        if sender is not None:
            sender.settle()


def _after_fork_in_child():
    # type: () -> None
    """Begin anew in the child: the lock and all waiting messages are the parent's."""
    global _lock, _inside, _beats, _pace
    _lock, _inside, _beats, _pace = RLock(), 0, count(1), None
    _first.pop("pace", None)
    if _channel is not None:
        _channel.cut_short = False
    if _pvs is not None:
        _pvs.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def _send(payload, patience=0.0, mark=b"="):
    # type: (str | bytes, float, bytes) -> bool
    """Send one message: JSON or, with the mark `!`, the value of a PV. False if that failed."""
    global _inside  # noqa: PLW0603 - a process has one channel
    channel, me = _channel, get_ident()
    if channel is None or _inside == me:  # a signal handler must not divide a message
        return False
    lock = _lock
    try:
        if not (lock._is_owned() or lock.acquire(timeout=max(patience, _MOMENT))):
            return False
        _inside = me
        sender = b"%d" % os.getpid()
        data = payload.encode("ascii") if isinstance(payload, str) else payload
        if channel.cut_short and not channel.write(sender + b"=\n", patience):
            return False
        begun = False
        while len(data) > _PART:
            if not channel.write(sender + b"+" + data[:_PART] + b"\n", patience):
                break
            data, begun, patience = data[_PART:], True, _PATIENCE  # once begun, worth a wait
        else:
            if channel.write(sender + mark + data + b"\n", patience):
                channel.cut_short = False
                return True
        channel.cut_short = begun
        return False
    finally:
        if _inside == me:
            _inside = 0
        if lock._is_owned():
            lock.release()


def _register_ioc_start(ioc_name, pv_database=None, prefix=None):
    # type: (str, dict | None, str | None) -> None
    """Register this script in the IOC registry, in place of the call of `server_common.helpers`."""
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
        problem = type(error).__name__  # the exception's text may raise, too
    if problem:
        _complain("register_ioc_start: not forwarded: %s\n" % problem)


_refused = set()  # type: set[tuple[str, str]]


def _refuse(function, value, error):
    # type: (str, object, Exception) -> None
    """Complain, once for each type of value, that a function ignores it. Raises nothing."""
    kind = type(value).__name__
    if (function, kind) not in _refused and len(_refused) < 100:
        _refused.add((function, kind))
        reason = type(error).__name__
        _complain("bgrscrpt.%s: ignored a value of type %s: %s\n" % (function, kind, reason))


def _complain(text):
    # type: (str) -> None
    """Print a complaint on stderr, if that is still open: a daemon closes it."""
    try:  # noqa: SIM105 - contextlib is written in Python: scripts may have their own
        os.write(2, text.encode("ascii", "backslashreplace"))
    except OSError:
        pass
