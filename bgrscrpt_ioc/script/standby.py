"""An interpreter in standby: it checks the script, and can then become a run.

The supervisor decides whether there is a next run, and when it begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from bgrscrpt_ioc.host.system import Reaper
from bgrscrpt_ioc.lifecycle.events import Sign
from bgrscrpt_ioc.process.messages import CheckedAhead, Message, Prepared, Refused, ScriptFailed
from bgrscrpt_ioc.process.order import Order
from bgrscrpt_ioc.process.process import CHECK, KEPT, Listener, ScriptProcess
from bgrscrpt_ioc.process.spawn import why_not_begun
from bgrscrpt_ioc.script.timers import Timer

# Seconds: an interpreter on a network disk may be slow, but one that hangs must not block a put.
PATIENCE = 30.0
IMPORTS = 60.0  # s that `preload` may take; the old run goes on meanwhile
EARLY = 100  # messages from imported modules that are kept for the run
LINE = 500  # bytes kept of what an interpreter prints when it can send no message


class Standby:
    """One interpreter, used for one run at most; a `process.Listener` until then."""

    behind = False

    def __init__(
        self, order: Order, reaper: Reaper, ended: Callable[[int], None] = lambda _pid: None
    ) -> None:
        """Launch the interpreter. `ended` is called with its pid when it has ended without a run.

        Raises:
            SpawnError: the interpreter or the working directory cannot be used.
        """
        self._order, self._ended = order, ended
        self._loop = asyncio.get_running_loop()
        self._checked = self._loop.create_future()  # why the script does not compile, or ""
        self._prepared = self._loop.create_future()  # what could not be imported, or ""
        self._failure, self._printed = "", b""
        self._early: list[Message] = []
        self.gone = asyncio.Event()
        self.alive = True  # and has not become a run
        self.heir: Listener | None = None  # the listener of the run, once it has been told to go
        self.process = ScriptProcess(order, reaper, self, mode="standby")

    def is_of(self, order: Order) -> bool:
        """Tell whether a run by this order would be the same: settings may have changed since."""
        return replace(self._order, preload=order.preload) == order

    async def check(self, patience: float = PATIENCE) -> str:
        """Check the script; return in one line why it does not compile, or nothing."""
        self.process.tell(CHECK)
        late = (
            f"{self._order.python} did not check the script within {patience:g} s: `python` should"
            " be Python 3.8 or newer, or a wrapper that leaves its stdin to Python"
        )
        return await self._answer(self._checked, patience, late)

    def know(self, kept: bytes) -> None:
        """Tell it the values that are kept of PVs: modules of `preload` may make such."""
        if self._order.preload:
            self.process.tell(KEPT + b"%d\n" % len(kept) + kept)

    async def prepare(self, patience: float) -> str:
        """Wait until the modules of `preload` are imported; return what could not be imported."""
        if not self._order.preload:
            return ""
        return await self._answer(self._prepared, patience, f"not done within {patience:g} s")

    async def _answer(self, answer: asyncio.Future[str], patience: float, late: str) -> str:
        def give_up() -> None:
            if not answer.done():
                answer.set_result(late)
                self.close()

        timer = Timer(patience, give_up)
        try:
            return await asyncio.shield(answer)
        finally:
            timer.cancel()

    def go(self, listener: Listener) -> None:
        """Run the script for `listener`; from now on this is a run."""
        self.alive, self.heir = False, listener
        self.process.go(listener)
        for message in self._early:
            listener.said(message)

    def close(self) -> None:
        """Kill the interpreter, unless it has become a run."""
        if self.alive:
            self.alive = False
            self.process.send(Sign.KILL)

    # --- process.Listener ----------------------------------------------------------------------

    def output(self, data: bytes) -> None:
        """Keep the end of the output, for an interpreter that ends without a message."""
        self._printed = (self._printed + data)[-LINE:]

    def said(self, message: Message) -> None:
        """Note how far the interpreter is."""
        match message:
            case CheckedAhead(error) if not self._checked.done():
                self._checked.set_result(error)
            case Prepared(error) if not self._prepared.done():
                self._prepared.set_result(error)
            case ScriptFailed(error):
                self._failure = error
            case Refused():
                pass  # printed by a wrapper before Python starts
            case _ if len(self._early) < EARLY:
                self._early.append(message)

    def exited(self, code: int, reason: str, survivors: int) -> None:
        """Note the end of the interpreter: it could not start, an import ended it, or a kill."""
        if self.heir is not None:  # after a fault of the IOC its end is that of the run
            self.heir.exited(code, reason, survivors)
            return
        self.alive = False
        why = self._failure or why_not_begun(self._order.python, reason, self._printed)
        if not self._checked.done():
            self._checked.set_result(why)
        if not self._prepared.done():
            self._prepared.set_result(f"the interpreter ended: {reason}")
        if not survivors:
            self.cleared()

    def cleared(self) -> None:
        """Note that the processes that its imports had started have ended too."""
        if self.heir is not None:
            self.heir.cleared()
            return
        self.gone.set()
        self._ended(self.process.pid)
