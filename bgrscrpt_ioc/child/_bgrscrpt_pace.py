"""Sends messages that cannot be sent now: the newest of each kind, by a thread that then ends.

This module is imported when a script first sends a message. The thread ends before a fork.
"""

from _thread import RLock, allocate_lock, get_ident, start_new_thread
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable  # noqa: F401 - in type comments, as Any
    from typing import Any  # noqa: F401

PATIENCE = 1.0  # s that the end of the script, or a fork, waits for the thread
BURST = 2.0  # s


class Sender:
    """Keeps the newest message of each key, and sends all every `every` s until none is left."""

    def __init__(self, send, every):
        # type: (Callable[[Any], bool], float) -> None
        """Make a sender. It calls `send` again later if `send` returns False for want of room."""
        self.send, self.every = send, every
        self.waiting = {}  # type: dict[Hashable, Any]
        self.lock = RLock()  # type: Any  # as `bgrscrpt._lock`, which says how it is taken
        self.inside = 0  # the thread that has it, and does something with it
        self.sender = None  # type: Any  # held by the thread, as long as there is one
        self.hurry = allocate_lock()  # released to end the thread's sleep
        self.is_over = self.has_end = self.is_hurried = False

    def hold(self, key, item):
        # type: (Hashable, Any) -> bool
        """Keep a message for the thread; False if no thread can run. Needs the lock."""
        if self.sender is None and not self.start():
            return False
        self.waiting[key] = item
        return True

    def start(self):
        # type: () -> bool
        """Start the thread; False if the system has no more threads, or Python is ending."""
        import atexit

        sender = allocate_lock()
        sender.acquire()
        self.hurry.acquire(blocking=False)
        try:
            start_new_thread(self.run, (sender,))
        except RuntimeError:
            return False
        self.sender = sender
        if not self.has_end:
            self.has_end = True
            atexit.register(self.end)
        return True

    def run(self, sender):
        # type: (Any) -> None
        """Send what waits every `every` s until nothing is left; without a pause if in a hurry."""
        until = 0.0  # while somebody is in a hurry
        try:
            while True:
                if monotonic() > until and self.hurry.acquire(timeout=self.every):
                    until = monotonic() + PATIENCE
                with self.lock:
                    if not self.waiting:
                        self.sender = None
                        return
                    self.is_hurried = monotonic() <= until
                    waiting = self.taken_out()
                self.send_what_waits(waiting)
                with self.lock:
                    self.put_back(waiting)
        finally:
            sender.release()

    def send_what_waits(self, waiting):
        # type: (dict[Hashable, Any]) -> None
        """Send what waits in its order, until there is no room; keep the rest."""
        for key in list(waiting):
            if not self.send(waiting[key]):
                break
            del waiting[key]

    def taken_out(self):
        # type: () -> dict[Hashable, Any]
        """Return what the thread is to send now. Needs the lock."""
        waiting, self.waiting = self.waiting, {}
        return waiting

    def put_back(self, waiting):
        # type: (dict[Hashable, Any]) -> None
        """Put back what was not sent, in front of what has come since. Needs the lock."""
        if waiting:
            waiting.update(self.waiting)
            self.waiting = waiting

    def settle(self):
        # type: () -> None
        """Send everything and end the thread: Python warns about a fork while a thread runs."""
        if self.lock._is_owned() and self.inside != get_ident():
            self.lock.release()  # an interrupt has left it taken
        sender = self.sender
        if sender is not None:
            try:  # noqa: SIM105 - contextlib is written in Python: scripts may have their own
                self.hurry.release()
            except RuntimeError:
                pass  # another caller has ended the thread
            if sender.acquire(timeout=PATIENCE):
                sender.release()
                sleep(0.001)  # the thread of the system ends a little after that of Python

    def end(self):
        # type: () -> None
        """Send everything at the script's end; later messages are sent at once."""
        self.is_over = True
        self.settle()


class Pace(Sender):
    """Sends the newest message of each kind, at most as fast as the IOC shows them.

    The first `BURST / every` messages are sent at once; most scripts never come here for more.
    """

    def __init__(self, send, every):
        # type: (Callable[[Any], bool], float) -> None
        super().__init__(send, every)
        self.free_at = {}  # type: dict[str, float]

    def take(self, kind, payload):
        # type: (str, str) -> bool
        """Keep a message for the thread; False if it is to be sent now."""
        now = monotonic()
        free_at = max(self.free_at.get(kind, 0.0), now)
        # While the thread runs, all messages go by it: one sent here would overtake the others.
        if self.is_over or (self.sender is None and free_at - now < BURST):
            self.free_at[kind] = free_at + self.every
            return False
        return self.hold(kind, payload)
