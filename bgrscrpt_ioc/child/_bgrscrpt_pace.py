"""Sends later what cannot be sent now: of each kind the newest, by a thread that then ends.

Imported when a script first says something. No thread is there when the script forks.
"""

from _thread import allocate_lock, start_new_thread
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable  # noqa: F401 - in type comments, as Any
    from typing import Any  # noqa: F401

PATIENCE = 1.0  # s that the end of the script, or a fork, waits for the thread
BURST = 2.0  # s


class Sender:
    """Keeps of each key the newest, and sends them every `every` s until nothing is left."""

    def __init__(self, send, every):
        # type: (Callable[[Any], bool], float) -> None
        """`send` returns False if there was no room: it is asked again."""
        self.send, self.every = send, every
        self.waiting = {}  # type: dict[Hashable, Any]
        self.lock = allocate_lock()
        self.sender = None  # type: Any  # held by the thread, as long as there is one
        self.hurry = allocate_lock()  # released to end the thread's sleep
        self.is_over = self.has_end = self.is_hurried = False

    def hold(self, key, item):
        # type: (Hashable, Any) -> bool
        """Keep it for the thread; False if there can be none. With the lock held."""
        if self.sender is None and not self.start():
            return False
        self.waiting[key] = item
        return True

    def start(self):
        # type: () -> bool
        """Start the thread; False if the system or Python's end has no more threads."""
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
        """Send what waits every `every` s, until nothing does; in a hurry without a pause."""
        until = 0.0  # while there is hurry
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
        """Send in their order, until there is no room; leave what was not sent."""
        for key in list(waiting):
            if not self.send(waiting[key]):
                break
            del waiting[key]

    def taken_out(self):
        # type: () -> dict[Hashable, Any]
        """Return what the thread is to send now. With the lock held."""
        waiting, self.waiting = self.waiting, {}
        return waiting

    def put_back(self, waiting):
        # type: (dict[Hashable, Any]) -> None
        """Take what was not sent, before what has come meanwhile. With the lock held."""
        if waiting:
            waiting.update(self.waiting)
            self.waiting = waiting

    def settle(self):
        # type: () -> None
        """End the thread, with all sent: before a fork, of which Python warns if there is one."""
        sender = self.sender
        if sender is not None:
            try:  # noqa: SIM105 - contextlib is written in Python: scripts may have their own
                self.hurry.release()
            except RuntimeError:
                pass  # somebody else has
            if sender.acquire(timeout=PATIENCE):
                sender.release()
                sleep(0.001)  # the system's thread ends a little after Python's

    def end(self):
        # type: () -> None
        """Send all at the script's end, and from then on at once."""
        self.is_over = True
        self.settle()


class Pace(Sender):
    """Sends of each kind the newest, not faster than the IOC shows it: a flood costs others.

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
        # While the thread is there all wait for it: what is sent now would overtake what it sends.
        if self.is_over or (self.sender is None and free_at - now < BURST):
            self.free_at[kind] = free_at + self.every
            return False
        return self.hold(kind, payload)
