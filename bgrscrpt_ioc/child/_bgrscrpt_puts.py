"""Puts of clients to the PVs of a script: `on_put` is called, and the IOC hears the result.

Imported with the first PV that is writable or kept. One thread takes the puts in their order.
"""

import sys
from _thread import allocate_lock
from time import monotonic

from _bgrscrpt_commands import commands_of
from _bgrscrpt_pvs import Pv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable  # noqa: F401 - in type comments, as Any
    from typing import Any  # noqa: F401

PATIENCE = 1.0  # s to wait for the values that the IOC has kept
FOREVER = 1e6  # s; a lock accepts no infinity
# Seconds to wait for a lock at once. On Windows a stop gets through only between two waits.
SLICE = 0.1 if sys.platform == "win32" else FOREVER
LONGEST = 200  # characters of an exception in what a client is told


class WritablePv(Pv):
    """The handle of a PV that clients may write."""

    def __init__(self, pvs, name, kind, value, on_put):
        # type: (Any, str, Any, Any, Any) -> None
        super().__init__(pvs, name, kind, value)
        self._on_put = on_put
        asyncio = sys.modules.get("asyncio")
        self._loop = asyncio._get_running_loop() if asyncio is not None else None
        self._guard = allocate_lock()
        self._waiters = []  # type: list[Any]
        self._is_news = False  # a put has come for which nobody has waited
        # Puts that wait for the one before. Two threads take them: ours, and that of the loop.
        self._later = []  # type: list[tuple[Any, Any]]
        self._is_busy = False  # one of the threads is taking them
        self._task = None  # type: Any  # kept, because the loop does not

    def wait(self, timeout=None):
        # type: (float | None) -> bool
        """Wait until a client has put a value since the last call; False: not in `timeout` s."""
        lock = allocate_lock()
        lock.acquire()
        with self._guard:
            if self._is_news:
                self._is_news = False
                return True
            self._waiters.append(lock)
        end = monotonic() + (FOREVER if timeout is None else min(FOREVER, max(0.0, timeout)))
        try:
            while not lock.acquire(timeout=min(SLICE, max(0.0, end - monotonic()))):
                if monotonic() >= end:
                    break
        finally:
            with self._guard:
                is_late = lock in self._waiters
                if is_late:
                    self._waiters.remove(lock)
        return not is_late

    def _take_put(self, value, ended):
        # type: (Any, Callable[[str, bool], None]) -> None
        """Take a put; `ended` gets "" or why it failed, and whether the value is the PV's."""
        with self._guard:
            self._later.append((value, ended))
            if self._is_busy:
                return
            self._is_busy = True
        self._take_those_that_wait()

    def _take_those_that_wait(self):
        # type: () -> None
        """Take put after put, until there is no other or a coroutine has to end first."""
        goes_on = False
        while not goes_on:
            with self._guard:
                if not self._later:
                    self._is_busy = False
                    return
                value, ended = self._later.pop(0)
            goes_on = self._take_one(value, ended)

    def _take_one(self, value, ended):
        # type: (Any, Callable[[str, bool], None]) -> bool
        """Take a put, and tell whether its coroutine goes on."""
        before = self._value
        try:
            value = self._value = self._type.put(value)
            result = None if self._on_put is None else self._on_put(value)
            if hasattr(result, "__await__"):
                self._begin(result, value, before, ended)
                return True
        except BaseException as error:  # noqa: BLE001 - whatever it is, the put has failed
            self._failed(error, value, before, ended)
        else:
            self._succeeded(value, ended)
        return False

    def _begin(self, result, value, before, ended):
        # type: (Any, Any, Any, Any) -> None
        """Run a coroutine in the loop in which the PV was made."""
        loop = self._loop
        if loop is None or loop.is_closed():
            close = getattr(result, "close", None)
            if close is not None:
                close()
            raise RuntimeError(
                "on_put returned a coroutine: make the PV in the event loop that is to run it"
            )

        def done(task):
            # type: (Any) -> None
            self._task = None
            error = None
            if task.cancelled():
                error = RuntimeError("on_put was cancelled")
            elif task.exception() is not None:
                error = task.exception()
            try:
                if error is None:
                    self._succeeded(value, ended)
                else:
                    self._failed(error, value, before, ended)
            finally:
                self._take_those_that_wait()

        def begin():
            # type: () -> None
            self._task = sys.modules["asyncio"].ensure_future(result)
            self._task.add_done_callback(done)

        loop.call_soon_threadsafe(begin)

    def _succeeded(self, value, ended):
        # type: (Any, Callable[[str, bool], None]) -> None
        ended("", self._value is value)
        with self._guard:
            waiters, self._waiters = self._waiters, []
            self._is_news = not waiters
        for lock in waiters:
            lock.release()

    def _failed(self, error, value, before, ended):
        # type: (BaseException, Any, Any, Callable[[str, bool], None]) -> None
        """Report a failed put to the client and, with its traceback, in LOG.

        The old value stays.
        """
        if self._value is value:
            self._value = before
        errors = self._pvs.home._ours("_bgrscrpt_error")
        ended(errors.cut(errors.first_line(error), LONGEST), False)
        trace = error.__traceback__
        if trace is not None and trace.tb_frame.f_code is WritablePv._take_one.__code__:
            error.__traceback__ = trace.tb_next  # a coroutine's traceback has no frame of ours
        path = self._pvs.home._standard_path or sys.path
        text = "on_put of the PV %s failed:\n%s" % (
            self._name,
            errors.whole_traceback(error, path),
        )
        self._pvs.home._complain(text)


class Puts:
    """Receives what the IOC sends to the script's PVs."""

    def __init__(self, pvs):
        # type: (Any) -> None
        self.pvs = pvs
        self.values = {}  # type: dict[str, Any]  # that the IOC has kept
        handlers = {"kept": self.take_kept, "put": self.take_put}
        self.commands = commands_of(pvs.home, handlers)
        line, pvs.home._kept_line = pvs.home._kept_line, b""
        if line:
            self.commands.carry_out(line)
        else:
            self.commands.take_first(PATIENCE)

    def start(self):
        # type: () -> None
        """Take puts from now on."""
        self.commands.start()

    def take_kept(self, command):
        # type: (dict) -> None
        """Take the values that the IOC has kept from earlier runs."""
        self.values = dict(command["values"])

    def kept(self, name, kind, initial):
        # type: (str, Any, tuple[Any, bytes]) -> tuple[Any, bytes]
        """Return the value that was kept, or the initial one if none fits."""
        if name in self.values:
            try:
                return kind.take(kind.put(self.values[name]))
            except Exception:  # noqa: BLE001 - the PV was of another type
                return initial
        return initial

    def take_put(self, command):
        # type: (dict) -> None
        """Pass a put of a client to its PV."""
        number, pvs = command["number"], self.pvs
        pv = pvs.by_name.get(command["pv"])

        def ended(problem, holds):
            # type: (str, bool) -> None
            told = pvs.home._json(kind="put", number=number, problem=problem, holds=holds)
            pvs.outbox.post(("put", number), told)

        if pv is None:
            ended("the script has no such PV", False)
        else:
            pv._take_put(command["value"], ended)
