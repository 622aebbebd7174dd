"""What the scripts have registered, and how much of it the journal and the database have.

Pure: no thread, clock, file or database. `registry.py` guards it with a lock and does the work.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.registry.dbtrouble import short
from bgrscrpt_ioc.registry.entries import Answer, Entry, RegistryStatus
from bgrscrpt_ioc.registry.pvrows import brief, clean, fitting, name_refusal
from bgrscrpt_ioc.registry.wanted import Claim, Ident, RegisteredRun, Wanted

NOT_CALLED = "not registered: the script has not called register_ioc_start"
ENDED = "not registered: the script that registered as {} has ended"

_Key = tuple[str, str]  # IOC name, instance


@dataclass(frozen=True, slots=True)
class _Left:
    """What an earlier IOC may have left in the row of one IOC name."""

    before: float
    sweep: bool
    others: frozenset[Ident]


class Ledger:
    """What each run has registered, and what is wanted now of each IOC name."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._claims: dict[_Key, Claim] = {}  # the newest last
        self._remarks: dict[_Key, str] = {}
        self._kept: dict[_Key, Claim] = {}  # what the journal has
        self._rows: dict[str, list[Ident]] = {}  # rows of our runs that the database may have
        self._takes: set[str] = set()  # names registered anew since the database last had them
        self._left: dict[str, _Left] = {}
        self._asked: dict[str, str] = {}  # by instance: the name that its run registered last
        self._here: set[str] = set()  # names that scripts of this IOC have registered
        self._newest = 0.0  # when the last registration was
        self._unread = False  # what an earlier IOC left was not read yet
        self._refused: dict[str, str] = {}  # by instance: why its IOC name is refused

    # --- what the scripts do ---------------------------------------------------------------------

    def began(self, instance: str) -> None:
        """Forget what the instance's last run registered.

        The end of its row is written separately.
        """
        self._asked.pop(clean(instance), None)
        self._refused.pop(clean(instance), None)

    def register(self, ioc_name: str, instance: str, run: RegisteredRun) -> str:
        """Take the registration of a run; return why it was refused, or nothing."""
        name, instance = clean(ioc_name), clean(instance)
        if refusal := name_refusal(name):
            text = f"not registered: IOC name {brief(name)} refused: {refusal}"
            self._refused[instance] = text
            return text
        self._refused.pop(instance, None)
        self._asked[instance] = name
        rows, warnings = fitting(run.pvs)
        # Later than all before, even if the clock stands still or is set back.
        self._newest = max(run.registered, math.nextafter(self._newest, math.inf))
        run = replace(run, exe_path=clean(run.exe_path), pvs=rows, registered=self._newest)
        self._here.add(name)
        key = name, instance
        self._claims.pop(key, None)
        self._claims[key] = Claim(name, instance, run)
        self._remarks[key] = "; ".join(warnings)
        self._takes.add(name)
        # At the end: if two names claim one PV, the later one has it.
        self._entries.pop(name, None)
        self._renew(name)
        return self._remarks[key]

    def stop(self, ioc_name: str, when: float, instance: str, pid: int | None = None) -> bool:
        """End what a run registered; return False if it had registered nothing.

        Args:
            ioc_name: as in `register`.
            when: seconds since the epoch.
            instance: whose run it was.
            pid: of the run; None for any run of the instance.
        """
        name, instance = clean(ioc_name), clean(instance)
        key = name, instance
        claim = self._claims.get(key)
        if claim is None or claim.stopped is not None or pid not in (None, claim.run.pid):
            return False
        others = [each for each in self._of(name) if each.stopped is None and each is not claim]
        if not others:
            self._claims[key] = replace(claim, stopped=when)
            self._renew(name)
            return True
        del self._claims[key]
        if self._entries[name].wanted.instance == instance:
            self._renew(name)  # the row belongs to the last of those that live
        return True

    def expect(self) -> None:
        """Hold back the ends of runs until `recover` tells who has the rows."""
        self._unread = True

    def recover(
        self,
        names: Iterable[str],
        left: Iterable[Claim],
        others: frozenset[Ident],
        when: float,
    ) -> None:
        """Take over what a dead IOC left. Rows that its scripts left running are stopped.

        Args:
            names: the instances. Their rows may say that they run though the journal knows nothing.
            left: what the journal has of them.
            others: the rows of IOCs that share the journal's directory.
            when: the stop time if none is known, seconds since the epoch.
        """
        self._unread = False
        swept = [name for name in names if not name_refusal(name)]
        touched = dict.fromkeys(swept)
        for claim in sorted(left, key=lambda each: each.run.registered or each.run.started):
            name, key = claim.ioc_name, (claim.ioc_name, claim.instance)
            touched[name] = None
            self._kept[key] = claim
            for ident in (*claim.earlier, claim.run.ident):
                self._may_have(name, ident)
            self._newest = max(self._newest, claim.run.registered)
            if name not in self._here:  # otherwise a newer registration counts
                ended = when if claim.stopped is None else claim.stopped
                self._claims.setdefault(key, replace(claim, stopped=ended))
                self._takes.add(name)  # the earlier IOC may have died before it wrote this
        for name in touched:
            entry = self._entries.get(name)
            if entry is None or entry.pending or entry.wanted.stopped is not None:
                self._left[name] = _Left(when, name in swept, others)
                self._renew(name)

    # --- what the journal and the database do ----------------------------------------------------

    def unsaved(self) -> list[tuple[_Key, Claim | None]]:
        """Return what the journal does not have; None means that the file is to be removed."""
        keys = {**self._kept, **self._claims}
        return [
            (key, self._claims.get(key))
            for key in keys
            if self._claims.get(key) is not self._kept.get(key)
        ]

    def saved(self, key: _Key, claim: Claim | None) -> None:
        """Note what the journal has now."""
        if claim is None:
            self._kept.pop(key, None)
        else:
            self._kept[key] = claim

    def pending(self) -> list[Entry]:
        """Return the entries that the database does not have and may have now."""
        return [
            entry
            for entry in self._entries.values()
            if entry.pending and not (self._unread and entry.wanted.stopped is not None)
        ]

    def trying(self, entry: Entry) -> None:
        """Note that the database may have the entry from now on, whatever it answers."""
        if entry.wanted.run is not None:
            self._may_have(entry.name, entry.wanted.run.ident)

    def answered(self, entry: Entry, answer: Answer) -> None:
        """Note the database's answer to an entry."""
        entry.refusal, entry.taken, entry.written = answer.refusal, answer.taken, not answer.refusal
        entry.remark = "; ".join(filter(None, [entry.remark, *answer.warnings]))
        name, run = entry.name, entry.wanted.run
        if self._entries.get(name) is not entry:
            return
        for claim in self._of(name):  # this entry has also written all earlier ends
            if claim.stopped is not None:
                del self._claims[name, claim.instance]
        if entry.done:
            self._rows.pop(name, None)
        elif entry.written:
            self._rows[name] = [run.ident] if run and not answer.taken else []
        if entry.written or entry.done:
            self._takes.discard(name)
            self._left.pop(name, None)

    def forget_done(self) -> None:
        """Drop the entries that are done."""
        self._entries = {name: entry for name, entry in self._entries.items() if not entry.done}

    # --- what people ask -------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """Return all entries."""
        return list(self._entries.values())

    def concerned(self, *entries: Entry) -> list[str]:
        """Return the instances whose status depends on one of these entries."""
        found: dict[str, None] = {}
        for entry in entries:
            found[entry.wanted.instance] = None
            found |= dict.fromkeys(claim.instance for claim in self._of(entry.name))
            found |= dict.fromkeys(each for each, name in self._asked.items() if name == entry.name)
        return list(found)

    def status(self, instance: str, trouble: str) -> RegistryStatus:
        """Return how far the registration of this instance's script is.

        Args:
            instance: its name; its script may have registered another name.
            trouble: what is wrong with the database now, or nothing.
        """
        instance = clean(instance)
        if refusal := self._refused.get(instance):
            return RegistryStatus(False, short(refusal), Severity.MINOR)
        name = self._asked.get(instance)
        entry = self._entries.get(instance if name is None else name)
        owner = entry is not None and entry.wanted.instance == instance
        if entry and owner and entry.pending and trouble:
            return RegistryStatus(False, short(trouble), Severity.MINOR)
        if name is None:
            return RegistryStatus(False, NOT_CALLED, Severity.NO_ALARM)
        claim = self._claims.get((name, instance))
        if entry is None or claim is None or claim.stopped is not None:
            return RegistryStatus(False, short(ENDED.format(name)), Severity.NO_ALARM)
        if entry.refusal:
            return RegistryStatus(False, short(f"not registered: {entry.refusal}"), Severity.MINOR)
        if not owner:
            text = f"not registered: {entry.wanted.instance} has registered {name} later"
            return RegistryStatus(False, short(text), Severity.NO_ALARM)
        if entry.taken:
            text = f"not registered: {entry.taken}"
            return RegistryStatus(False, short(text), Severity.NO_ALARM)
        text = "registered" if entry.written else "registering"
        text += f" as {name}" if name != instance else ""
        text += f"; {entry.remark}" if entry.remark else ""
        return RegistryStatus(entry.written, short(text), Severity.NO_ALARM)

    # ---------------------------------------------------------------------------------------------

    def _of(self, name: str) -> list[Claim]:
        return [claim for (of, _), claim in self._claims.items() if of == name]

    def _may_have(self, name: str, ident: Ident) -> None:
        rows = self._rows.setdefault(name, [])
        if ident not in rows:
            rows.append(ident)

    def _renew(self, name: str) -> None:
        """Make the entry of a name from what its runs have registered."""
        claims = self._of(name)
        left = self._left.get(name)
        before, sweep, others = (
            (left.before, left.sweep, left.others) if left else (None, False, frozenset[Ident]())
        )
        rows = tuple(self._rows.get(name, ()))
        if not claims and before is not None:
            wanted = Wanted(name, name, None, before, False, rows, before, sweep, others)
            self._entries[name] = Entry(wanted)
            return
        living = [claim for claim in claims if claim.stopped is None]
        claim = (living or claims)[-1]
        key = name, claim.instance
        if claim.earlier != rows:  # the journal must know them, in case this IOC dies
            claim = self._claims[key] = replace(claim, earlier=rows)
        ours = dict.fromkeys((*rows, *(each.run.ident for each in claims)))
        wanted = Wanted(
            name,
            claim.instance,
            claim.run,
            claim.stopped,
            name in self._takes,
            tuple(ours),
            before,
            sweep,
            others,
        )
        self._entries[name] = Entry(wanted, self._remarks.get(key, ""))
