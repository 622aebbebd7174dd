"""What the PVs of a script say to the IOC: at once or, of each PV, the newest value soon.

A script may set a PV without end. Then its values are sent at a steady pace, and only the newest.
"""

import os
from time import monotonic

from _bgrscrpt_pace import BURST, Sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments

EVERY = 0.01  # s between two values of one PV, in the long run
RATE = 16e6  # bytes a second of one PV, in the long run
SOON = 0.005  # s to wait for room
MANY = 1000  # values that are not sent before the script's user is told
TOO_FAST = (
    "the PV %s is set faster than values are shown (100 a second, arrays less often):"
    " clients see the newest value"
)
F_SETPIPE_SZ, ROOM = 1031, 1 << 20  # Linux: bytes that the channel holds once there are arrays


class Outbox(Sender):
    """Of one process. `home` is the module `bgrscrpt`, which has the channel."""

    def __init__(self, home):
        # type: (Any) -> None
        super().__init__(self.try_to_send, EVERY)
        self.home = home
        self.free_at = {}  # type: dict[str, float]  # of each PV, as `Pace` has it
        self.replaced = 0  # values that were not sent, for newer ones came
        self.is_flooded = False
        self.is_sending = False  # the thread sends what has waited

    @property
    def is_served(self):
        # type: () -> bool
        """Whether this is the script's own process: of others nothing waits."""
        channel = self.home._channel
        return channel is not None and os.getpid() == channel.script_pid

    def widen(self):
        # type: () -> None
        """Give the channel room for an array, where the system has the means."""
        try:
            import fcntl

            fcntl.fcntl(self.home._channel.fd, F_SETPIPE_SZ, ROOM)
        except (ImportError, OSError, ValueError):
            pass  # arrays take a little longer then

    def post(self, key, payload, mark=b"="):
        # type: (Any, str | bytes, bytes) -> None
        """Send it now or, if there is no room, soon; of those with one key the newest."""
        if self.may_hold(payload, mark):
            try:
                is_sent = self.sender is None and self.home._send(payload, 0.0, mark)
                is_held = is_sent or self.hold(key, (payload, mark))
            finally:
                self.lock.release()
            if not is_held:
                self.home._send(payload, self.home._PATIENCE, mark)

    def post_value(self, name, payload):
        # type: (str, bytes) -> None
        """Send the value of a PV now or, if it is set too often or there is no room, soon."""
        if self.may_hold(payload, b"!"):
            try:
                is_held = self.take(name, payload)
            finally:
                self.lock.release()
            if not is_held:
                self.home._send(payload, self.home._PATIENCE, b"!")

    def may_hold(self, payload, mark):
        # type: (str | bytes, bytes) -> bool
        """Lock this; if it cannot be, or nothing is to wait, send and return False."""
        home = self.home
        if not self.is_served:
            home._send(payload, home._MOMENT, mark)  # who was forked may end without a word
            return False
        if not self.lock.acquire(timeout=home._MOMENT):  # in a signal handler
            home._send(payload, 0.0, mark)
            return False
        return True

    def take(self, name, payload):
        # type: (str, bytes) -> bool
        """Send the value or keep it for later; False if neither can be. With the lock held."""
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
            # Not the other thread: it would wait for Python's lock, for as long as we are busy.
            self.send_what_waits(self.waiting)
        return is_held

    def is_due(self, key):
        # type: (Any) -> bool
        """Tell whether a value of the PV may be sent: not if that was done too often lately."""
        free_at = self.free_at.get(key)
        return free_at is None or free_at - monotonic() < BURST or self.is_over or self.is_hurried

    def count(self, name, size):
        # type: (str, int) -> None
        """Take note that a value was sent."""
        self.free_at[name] = max(self.free_at.get(name, 0.0), monotonic()) + EVERY + size / RATE

    def complaint(self, text, is_error=True):
        # type: (str, bool) -> str
        """Return the message that says so."""
        return self.home._json(kind="complaint", text=text, is_error=is_error)

    # --- for Sender ------------------------------------------------------------------------------

    def send_what_waits(self, waiting):
        # type: (Any) -> None
        """Send in their order, until one is not due or finds no room."""
        while waiting:
            key = next(iter(waiting))
            if not self.is_due(key) or not self.send(waiting[key]):
                break
            payload, mark = waiting.pop(key)
            if mark == b"!":
                self.count(key, len(payload))

    def try_to_send(self, item):
        # type: (tuple[str | bytes, bytes]) -> bool
        """Send what has waited; False if there is no room."""
        payload, mark = item
        home = self.home
        if not home._channel.is_open():
            return True  # lost
        patience = home._PATIENCE if self.is_over else SOON if self.is_sending else 0.0
        return home._send(payload, patience, mark)

    def taken_out(self):
        # type: () -> Any
        """Return what the thread is to send now; the script's own thread sends nothing then."""
        self.is_sending = True
        return super().taken_out()

    def put_back(self, waiting):
        # type: (Any) -> None
        """Take what was not sent; the script's own thread may send again."""
        super().put_back(waiting)
        self.is_sending = False
