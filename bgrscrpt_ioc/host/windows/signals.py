"""What this process is told when somebody wants it to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable

import win32api
import win32con

# The window of the console is closed, the user logs off, the system shuts down: when the handler
# returns, the system ends the process. It does so after 5 s (20 s at a shutdown) in any case.
LAST = (win32con.CTRL_CLOSE_EVENT, win32con.CTRL_LOGOFF_EVENT, win32con.CTRL_SHUTDOWN_EVENT)
STOP_SIGNALS = ("SIGINT",)  # that can ask a script to end
ENDING = 60.0  # s: until the process has ended by itself


def on_end_asked(
    call: Callable[[], None],
    reload: Callable[[], None] = lambda: None,  # noqa: ARG001 - there is no such signal
) -> None:
    """Call when somebody wants this process to end: ^C, ^Break, a console or session that ends.

    A service's processes hear of users who log off, too, which is no reason to end. Nothing here
    calls `reload`.
    """
    loop = asyncio.get_running_loop()

    def soon() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended
            loop.call_soon_threadsafe(call)

    for number in (signal.SIGINT, signal.SIGBREAK, signal.SIGTERM):
        signal.signal(number, lambda *_: soon())

    def told(event: int) -> bool:
        """In a thread of the system."""
        if event not in LAST:
            return False  # ^C and ^Break are signals
        if event == win32con.CTRL_LOGOFF_EVENT and _is_service():
            return True
        soon()
        time.sleep(ENDING)
        return True

    win32api.SetConsoleCtrlHandler(told, True)


def _is_service() -> bool:
    """Tell whether this process is in the session of services, which no user logs on to."""
    import win32process
    import win32ts

    return win32ts.ProcessIdToSessionId(win32process.GetCurrentProcessId()) == 0
