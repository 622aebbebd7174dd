"""Sends the values of a script's PVs to the IOC: at once or, at a high rate, the newest value soon.

A script may set a PV without pause. The outbox then sends the newest value, at a steady pace.
"""

import os
from _thread import get_ident
from time import monotonic

from _bgrscrpt_pace import BURST, Sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable  # noqa: F401 - in type comments, as Any
    from typing import Any  # noqa: F401 - in type comments

EVERY = 0.01  # s between two values of one PV, on average
RATE = 16e6  # bytes a second of one PV, on average
SOON = 0.005  # s to wait for room in the pipe
MANY = 1000  # values that are lost before LOG says so
TOO_FAST = (
    "the PV %s is set faster than values are shown (100 a second, arrays less often):"
    " clients see the newest value"
)
F_SETPIPE_SZ, ROOM = 1031, 1 << 20  # Linux: bytes that the pipe holds if the script has array PVs


class Outbox(Sender):
    """The outbox of one process. `home` is the module `bgrscrpt`, which has the channel."""

    def __init__(self, home):
        # type: (Any) -> None
        super().__init__(self.try_to_send, EVERY)
        self.home = home
        self.free_at = {}  # type: dict[str, float]  # of each PV, as `Pace` has it
        self.replaced = 0  # values that were not sent, because newer ones came
        self.is_flooded = False
        self.is_sending = False  # the thread is sending what has waited

    @property
    def is_served(self):
        # type: () -> bool
        """Whether this is the script's own process: in other processes nothing waits."""
        channel = self.home._channel
        return channel is not None and os.getpid() == channel.script_pid

    def widen(self):
        # type: () -> None
        """Make the pipe large enough for an array, if the system can do that."""
        try:
            import fcntl

            fcntl.fcntl(self.home._channel.fd, F_SETPIPE_SZ, ROOM)
        except (ImportError, OSError, ValueError):
            pass  # arrays then take a little longer

    def post(self, key, payload, mark=b"="):
        # type: (Any, str | bytes, bytes) -> None
        """Send a message now or, if there is no room, soon; of one key, only the newest waits."""
        self.keep(
            payload,
            mark,
            lambda: (
                (self.sender is None and self.home._send(payload, 0.0, mark))
                or self.hold(key, (payload, mark))
            ),
        )

    def post_value(self, name, payload):
        # type: (str, bytes) -> None
        """Send the value of a PV now or, if it is set too often or there is no room, soon."""
        self.keep(payload, b"!", lambda: self.take(name, payload))

    def keep(self, payload, mark, take):
        # type: (str | bytes, bytes, Callable[[], bool]) -> None
        """Call `take` with the lock; send the message here if it must not wait, or cannot."""
        home, lock, me = self.home, self.lock, get_ident()
        if not self.is_served:
            home._send(payload, home._MOMENT, mark)  # a forked child may end without notice
            return
        if self.inside == me:  # in a signal handler
            home._send(payload, 0.0, mark)
            return
        patience = 0.0
        try:
            if lock._is_owned() or lock.acquire(timeout=home._MOMENT):
                self.inside = me
                if take():
                    return
                patience = home._PATIENCE
        finally:
            if self.inside == me:
                self.inside = 0
            if lock._is_owned():
                lock.release()
        home._send(payload, patience, mark)

    def take(self, name, payload):
        # type: (str, bytes) -> bool
        """Send the value or keep it for later; False if neither is possible. Needs the lock."""
        if self.sender is None and self.is_due(name):
            if self.home._send(payload, 0.0, b"!"):
                self.count(name, len(payload))
                return True
        elif name in self.waiting:
            self.replaced += 1
            if self.replaced > MANY and not self.is_flooded:
                self.is_flooded = True
                self.hold("told", (self.complaint(TOO_FAST % name, is_error=False), b"="))
        is_held = self.hold(name, (payload, b"!"))
        if is_held and not self.is_sending:
            # This thread sends: another one would wait for Python's lock while this one is busy.
            self.send_what_waits(self.waiting)
        return is_held

    def is_due(self, key):
        # type: (Any) -> bool
        """Return whether the PV may send a value now: the rate of each PV is limited."""
        free_at = self.free_at.get(key)
        return free_at is None or free_at - monotonic() < BURST or self.is_over or self.is_hurried

    def count(self, name, size):
        # type: (str, int) -> None
        """Count a value that was sent, for the rate of its PV."""
        self.free_at[name] = max(self.free_at.get(name, 0.0), monotonic()) + EVERY + size / RATE

    def complaint(self, text, is_error=True):
        # type: (str, bool) -> str
        """Return the message to LOG that says how many values were lost."""
        return self.home._json(kind="complaint", text=text, is_error=is_error)

    # --- for Sender ------------------------------------------------------------------------------

    def send_what_waits(self, waiting):
        # type: (Any) -> None
        """Send what waits in its order, until a value is not due or finds no room."""
        while waiting:
            key = next(iter(waiting))
            if not self.is_due(key) or not self.send(waiting[key]):
                break
            payload, mark = waiting.pop(key)
            if mark == b"!":
                self.count(key, len(payload))

    def try_to_send(self, item):
        # type: (tuple[str | bytes, bytes]) -> bool
        """Send one message that has waited; False if there is no room."""
        payload, mark = item
        home = self.home
        if not home._channel.is_open():
            return True  # lost
        patience = home._PATIENCE if self.is_over else SOON if self.is_sending else 0.0
        return home._send(payload, patience, mark)

    def taken_out(self):
        # type: () -> Any
        """Return what the thread is to send now; the script's own thread then sends nothing."""
        self.is_sending = True
        return super().taken_out()

    def put_back(self, waiting):
        # type: (Any) -> None
        """Take back what was not sent; from now on the script's own thread may send."""
        super().put_back(waiting)
        self.is_sending = False
