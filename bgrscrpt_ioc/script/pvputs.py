"""The puts of clients to a script's PVs: each is handed on to the script, and completed once.

Knows no Channel Access, and not which PVs there are: pvs.py does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.process.messages import PutEnded, PvMade
from bgrscrpt_ioc.records.alarm import AlarmStatus, alarm_of
from bgrscrpt_ioc.records.live import LiveRecord
from bgrscrpt_ioc.records.puts import Completed, ForwardedPuts
from bgrscrpt_ioc.script.pvtypes import bytes_of, for_script

MAX_PUTS = 1000  # that wait for the script
MAX_PUT_BYTES = 16_000_000  # of their values, as long as they may be; the only put always waits

NOT_RUNNING = "the script is not running"
STOPPED = "the script has ended"
STOPPING = "the script is being stopped"

Tell = Callable[[bytes], bool]


@dataclass(slots=True)
class ScriptPv:
    """One PV of a script."""

    made: PvMade
    live: LiveRecord
    is_made: bool = True  # by this run
    is_served: bool = False  # this run has given it a value
    settled: Any = None  # the last value that the script has set or taken
    going: set[int] = field(default_factory=set)  # its puts that wait


@dataclass(slots=True)
class _Put:
    """A put that waits for the script."""

    own: ScriptPv
    value: Any
    completed: Completed
    size: int  # bytes that the value may have


class OwnPuts:
    """The puts to all PVs of one instance, run after run. All calls come from the event loop."""

    def __init__(self, taken: Callable[[ScriptPv], None]) -> None:
        """None yet; `taken` is called when the script has taken a value that a client has put."""
        self._taken = taken
        self._puts: dict[int, _Put] = {}
        self._bytes = 0  # of their values
        self._numbers = count(1)
        self._tell: Tell | None = None  # while a run takes puts
        self._is_stopping = False

    def begin(self, tell: Tell) -> None:
        """A run begins, which hears of puts by `tell`."""
        self._tell, self._is_stopping = tell, False

    def stop(self) -> None:
        """The run is asked to stop: it takes no more puts."""
        self._tell, self._is_stopping = None, True

    def end(self) -> None:
        """The run is over: all puts fail."""
        self._tell, self._is_stopping = None, False
        self.fail(tuple(self._puts), STOPPED)

    def of(self, own: ScriptPv) -> ForwardedPuts:
        """Return what takes the puts to one PV."""

        def forward(value: Any, by: str, completed: Completed) -> None:  # noqa: ARG001 - logged before
            self._put(own, value, completed)

        def give_up(why: str) -> None:
            self.fail(tuple(own.going), why)

        return ForwardedPuts(own.live, forward, give_up)

    def _put(self, own: ScriptPv, value: Any, completed: Completed) -> None:
        """Hand a put on to the script; it is completed at once if that cannot be."""
        if self._tell is None or not own.is_served:
            completed(STOPPING if self._is_stopping and own.is_served else NOT_RUNNING)
            return
        number, size = next(self._numbers), bytes_of(own.made)
        has_room = len(self._puts) < MAX_PUTS and (
            not self._puts or self._bytes + size <= MAX_PUT_BYTES
        )
        told = {"number": number, "pv": own.made.name, "value": for_script(value)}
        if not has_room or not self._tell(line_of(kind="put", **told)):
            own.live.post(own.live.value, Severity.MAJOR, AlarmStatus.WRITE)
            completed("the script does not take the puts that wait")
            return
        self._puts[number] = _Put(own, value, completed, size)
        self._bytes += size
        own.going.add(number)
        own.live.post(value, *alarm_of(own.live.record, value))

    def ended(self, ended: PutEnded) -> None:
        """The script has taken a put, or failed to."""
        if ended.problem or ended.number not in self._puts:
            self.fail([ended.number], ended.problem)
            return
        put = self._take_off(ended.number)
        own = put.own
        if ended.holds:  # else the script has set another value since, which was shown
            own.settled = put.value
            if not own.going:
                own.live.post(put.value, *alarm_of(own.live.record, put.value))
            self._taken(own)
        put.completed("")

    def fail(self, numbers: Iterable[int], why: str) -> None:
        """Complete puts as failed; the value is what the script has set or taken last."""
        for number in numbers:
            if number not in self._puts:
                continue
            put = self._take_off(number)
            own = put.own
            if own.is_served:
                value = own.settled if not own.going else own.live.value
                own.live.post(value, Severity.MAJOR, AlarmStatus.WRITE)
            put.completed(why)

    def _take_off(self, number: int) -> _Put:
        put = self._puts.pop(number)
        self._bytes -= put.size
        put.own.going.discard(number)
        return put


def line_of(**command: Any) -> bytes:
    """Return what the script's interpreter is told, a JSON object in a line."""
    return json.dumps(command, default=list, separators=(",", ":")).encode() + b"\n"
