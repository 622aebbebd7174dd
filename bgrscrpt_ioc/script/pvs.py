"""The PVs that the script of one instance makes: which there are, which a run serves, their puts.

A PV outlives its run: then it keeps its value, in INVALID alarm, until a later run makes it again,
or has been healthy without it. Every put is completed exactly once. Knows no Channel Access.
"""

from __future__ import annotations

from collections.abc import Callable

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.process.messages import PutEnded, PvMade, PvSet
from bgrscrpt_ioc.records.alarm import AlarmStatus, alarm_of
from bgrscrpt_ioc.records.directory import Directory
from bgrscrpt_ioc.records.kinds import live
from bgrscrpt_ioc.records.live import WrongValueError
from bgrscrpt_ioc.records.table import Record
from bgrscrpt_ioc.registry.pvrows import PvRow
from bgrscrpt_ioc.script.keptvalues import ROOM, KeptValues
from bgrscrpt_ioc.script.pvputs import OwnPuts, ScriptPv, Tell, line_of
from bgrscrpt_ioc.script.pvtypes import (
    LONGEST_NAME,
    NotServedError,
    bytes_of,
    decoded,
    record_of,
)

MAX_PVS = 1000  # of one instance, those of earlier runs included
MAX_BYTES = 32_000_000  # of the values of all of them, as long as they may be
MAX_PUTS = 1000  # that wait for the script
MAX_PUT_BYTES = 16_000_000  # of their values, as long as they may be; the only put always waits


class ScriptPvs:
    """Of one instance, run after run. All calls come from the event loop."""

    def __init__(
        self, prefix: str, name: str, directory: Directory, kept: KeptValues | None = None
    ) -> None:
        """There are none yet.

        Args:
            prefix: of all PVs.
            name: the instance's.
            directory: where they are served.
            kept: what outlives the IOC; None: nothing does.
        """
        self._base, self._directory, self._kept = f"{prefix}{name}:", directory, kept
        self._own: dict[str, ScriptPv] = {}
        self._puts = OwnPuts(self._keep)
        self._run_goes = False
        self._refused: set[str] = set()  # names of this run's PVs that are not served
        self.when_changed: list[Callable[[], None]] = []  # called when there are other PVs

        self._bytes = 0  # of all values, as long as they may be

    @property
    def rows(self) -> list[PvRow]:
        """Those of this run, as the IOC registry has them."""
        records = (each.live.record for each in self._own.values() if each.is_made)
        return [PvRow(self._base + r.name, r.kind, r.desc, r.infos) for r in records]

    def records(self) -> list[Record]:
        """Return those of this run, and those of earlier runs that are served still."""
        return [each.live.record for each in self._own.values()]

    # --- a run -----------------------------------------------------------------------------------

    def began(self, tell: Tell) -> None:
        """A run begins, which hears commands by `tell`."""
        self.ended()
        for each in self._own.values():
            each.is_made = False
        self._refused.clear()
        self._run_goes = True
        self._puts.begin(tell)
        tell(self.kept_line())

    def stopping(self) -> None:
        """The run is asked to stop: it takes no more puts."""
        self._puts.stop()

    def ended(self) -> None:
        """The run is over."""
        self._run_goes = False
        self._puts.end()
        for each in self._own.values():
            each.is_served = False
            each.live.post(each.live.value, Severity.INVALID, AlarmStatus.COMM)

    def kept_line(self) -> bytes:
        """Return what an interpreter is told of the values that were kept."""
        return line_of(kind="kept", values={} if self._kept is None else self._kept.now)

    def healthy(self) -> None:
        """The run has been healthy: what it has not made is not wanted any more."""
        self._remove([name for name, each in self._own.items() if not each.is_made])
        if self._kept is not None:
            self._kept.retain({name for name, each in self._own.items() if each.made.keep})

    def _remove(self, names: list[str]) -> None:
        gone = [self._own.pop(name) for name in names]
        self._bytes -= sum(bytes_of(each.made) for each in gone)
        for each in gone:
            self._puts.fail(tuple(each.going), "the PV is gone")
        self._directory.remove(each.live for each in gone)
        if gone:
            self._changed()

    def _changed(self) -> None:
        for each in self.when_changed:
            each()

    # --- from the script -------------------------------------------------------------------------

    def make(self, made: PvMade) -> None:
        """Serve a PV, once it has a value.

        Raises:
            NotServedError: it cannot be served.
        """
        if not self._run_goes:
            return
        try:
            self._make(made)
        except NotServedError:
            if made.name not in self._own and len(self._refused) < MAX_PVS:
                self._refused.add(made.name)
            raise

    def _make(self, made: PvMade) -> None:
        record = record_of(made)
        full_name = self._base + made.name
        if len(full_name) > LONGEST_NAME:
            raise NotServedError(f"{full_name} has more than {LONGEST_NAME} characters")
        own = self._own.get(made.name)
        if own is not None and own.made == made:
            own.is_made = True
            return
        if own is not None:
            if own.is_made:
                raise NotServedError("it is made a second time, in another way")
            self._remove([made.name])  # it is another one, to which clients connect anew
        if self._directory.has(full_name):
            raise NotServedError(f"{full_name} is a PV of the IOC: choose another name")
        self._make_room(made)
        record_live = live(full_name, record)
        record_live.post(record_live.value, Severity.INVALID, AlarmStatus.UDF)
        own = ScriptPv(made, record_live, settled=record_live.value)
        if made.writable:
            record_live.puts = self._puts.of(own)
        self._own[made.name] = own
        self._bytes += bytes_of(made)
        self._directory.add(record_live)
        self._changed()

    def _make_room(self, made: PvMade) -> None:
        """Remove those of earlier runs, if there are too many; the oldest first.

        Raises:
            NotServedError: this run has too many.
        """
        if not self._has_room(made):
            old = [name for name, each in self._own.items() if not each.is_made]
            while old and not self._has_room(made):
                some = 1 + len(old) // 4  # at once: clients are told of each removal
                self._remove(old[:some])
                del old[:some]
        if len(self._own) >= MAX_PVS:
            raise NotServedError(f"a script has at most {MAX_PVS} PVs")
        if not self._has_room(made):
            raise NotServedError(
                f"the arrays of a script have at most {MAX_BYTES:,} bytes in all: give `size` to"
                " those that have less than 100,000 numbers"
            )
        if made.keep:
            kept = [each.made for each in self._own.values() if each.made.keep]
            if sum(bytes_of(each) for each in [*kept, made]) > 8 * ROOM:
                raise NotServedError(
                    f"the kept PVs of a script have at most {ROOM:,} numbers in all: give `size`"
                )

    def _has_room(self, made: PvMade) -> bool:
        return len(self._own) < MAX_PVS and self._bytes + bytes_of(made) <= MAX_BYTES

    def set(self, value: PvSet) -> None:
        """Show a value that the script has given a PV.

        Raises:
            NotServedError: there is no such PV.
            ValueError: the PV cannot have the value.
        """
        if not self._run_goes:
            return
        own = self._own.get(value.name)
        if own is None or not own.is_made:
            if value.name in self._refused:
                return  # its author has been told why
            raise NotServedError("the script's own process has not made it")
        new = own.live.taken(decoded(own.made, value.data))
        own.settled, own.is_served = new, True
        if value.severity is None:
            own.live.post(new, *alarm_of(own.live.record, new))
        else:
            own.live.post(new, Severity(value.severity))
        self._keep(own)

    def put_ended(self, ended: PutEnded) -> None:
        """The script has taken a put, or failed to."""
        self._puts.ended(ended)

    def _keep(self, own: ScriptPv) -> None:
        if own.made.keep and self._kept is not None:
            self._kept.set(own.made.name, own.settled)

    def forget_all(self) -> None:
        """Serve none any more: the instance is removed."""
        self._remove(list(self._own))

    def close(self) -> None:
        """The instance ends."""
        if self._kept is not None:
            self._kept.close()


__all__ = ["NotServedError", "ScriptPvs", "WrongValueError"]
