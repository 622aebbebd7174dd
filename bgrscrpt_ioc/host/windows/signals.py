"""Tells the IOC when somebody wants the process to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable

import win32api
import win32con

# The window of the console is closed, the user logs off, or the system shuts down. When the handler
# returns, the system ends the process; after 5 s (20 s at a shutdown) it does so in any case.
LAST = (win32con.CTRL_CLOSE_EVENT, win32con.CTRL_LOGOFF_EVENT, win32con.CTRL_SHUTDOWN_EVENT)
STOP_SIGNALS = ("SIGINT",)  # signals that can ask a script to end
ENDING = 60.0  # s to wait until the process has ended by itself


def on_end_asked(
    call: Callable[[], None],
    reload: Callable[[], None] = lambda: None,  # noqa: ARG001 - there is no such signal
) -> None:
    """Call `call` when this process must end: ^C, ^Break, or the end of its console or session.

    A service also hears of users who log off, and does not end for that. `reload` is never called.
    """
    loop = asyncio.get_running_loop()

    def soon() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the IOC has ended
            loop.call_soon_threadsafe(call)

    for number in (signal.SIGINT, signal.SIGBREAK, signal.SIGTERM):
        signal.signal(number, lambda *_: soon())

    def told(event: int) -> bool:
        """Handle a console event; the system calls this in a thread of its own."""
        if event not in LAST:
            return False  # ^C and ^Break come as signals
        if event == win32con.CTRL_LOGOFF_EVENT and _is_service():
            return True
        soon()
        time.sleep(ENDING)
        return True

    win32api.SetConsoleCtrlHandler(told, True)


def _is_service() -> bool:
    """Return whether this process is in the session of services, where no user logs on."""
    import win32process
    import win32ts

    return win32ts.ProcessIdToSessionId(win32process.GetCurrentProcessId()) == 0
