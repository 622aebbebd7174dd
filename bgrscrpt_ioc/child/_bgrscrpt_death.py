"""Tells the IOC when an exception ends a thread or an asyncio task of the script.

This module chains Python's hooks and replaces none: everything is printed as usual, and a hook that
the script sets has precedence. It is imported only if a script imports `threading` or asyncio.
"""

import os
from time import monotonic

import bgrscrpt
from _bgrscrpt_error import cut, frames_of, in_full, summary, without_ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments

AT_ONCE = 10  # deaths that are sent at once; after them, one every `PACE` s
PACE = 0.2  # s
WHO = 100  # characters of a thread's or a task's name


class Teller:
    """Tells the IOC of deaths, at a limited rate."""

    def __init__(self):
        # type: () -> None
        self.free_at = 0.0
        self.untold = 0

    def tell(self, who, error):
        # type: (str, BaseException) -> None
        """Tell the IOC who died of which exception. A failure here never disturbs the script."""
        try:
            channel = bgrscrpt._channel
            # The threads of a child process are not those of the script.
            if channel is not None and os.getpid() == channel.script_pid and self.may_tell():
                self.send(who, error, channel.exe_path)
        except Exception:  # noqa: BLE001, S110 - it is printed: all that is lost is the alarm
            pass

    def may_tell(self):
        # type: () -> bool
        """Count a death, and return whether to send it."""
        now = monotonic()
        if self.free_at > now + AT_ONCE * PACE:
            self.untold += 1
            return False
        self.free_at = max(self.free_at, now) + PACE
        return True

    def send(self, who, error, script):
        # type: (str, BaseException, str) -> None
        """Send a death to the IOC."""
        more, self.untold = self.untold, 0
        error.__traceback__ = without_ours(error.__traceback__)
        try:
            traceback = in_full(error)
        except Exception:  # noqa: BLE001 - the script may have a `traceback.py` of its own
            traceback = frames_of(error)
        bgrscrpt._send(
            bgrscrpt._json(
                kind="died",
                who=cut(who, WHO),
                error=summary(error, script),
                traceback=traceback,
                more=more,
            ),
            patience=1.0,
        )


_teller = Teller()


def watch_threads(module):
    # type: (Any) -> None
    """Chain `threading.excepthook`, which prints the death of a thread."""
    original = getattr(module, "excepthook", None)
    if original is None:
        return  # this is a `threading.py` of the script's own

    def excepthook(args):
        # type: (Any) -> None
        try:
            original(args)
        finally:
            error = args.exc_value
            # SystemExit ends a thread normally.
            if error is not None and not isinstance(error, SystemExit):
                _teller.tell("thread %s" % getattr(args.thread, "name", ""), error)

    module.excepthook = excepthook


def watch_tasks(module):
    # type: (Any) -> None
    """Chain the handler of event loops for which the script has set no handler."""
    loop = getattr(module, "BaseEventLoop", None)  # type: Any
    original = getattr(loop, "default_exception_handler", None)
    if original is None:
        return

    def default_exception_handler(self, context):
        # type: (Any, dict) -> None
        try:
            original(self, context)
        finally:
            error = context.get("exception")
            # A lost connection is not a task, and is normal for servers.
            if error is not None and "transport" not in context and "protocol" not in context:
                _teller.tell(who_of(context), error)

    loop.default_exception_handler = default_exception_handler


def who_of(context):
    # type: (dict) -> str
    """Return the name of the task that has died, such as `task Task-3`, or of a callback."""
    task = context.get("task") or context.get("future")
    name = getattr(task, "get_name", None)
    return "task %s" % name() if name is not None else "a callback or future of asyncio"
