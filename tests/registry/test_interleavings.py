"""Any interleaving of runs, foreign writers, outages, lost answers and deaths of IOCs: no lie left.

The ledger, the journal's content and the rule for a row, with a row of the test's own as database:
fast enough for thousands of histories.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bgrscrpt_ioc.registry.entries import Answer, Entry
from bgrscrpt_ioc.registry.ledger import Ledger
from bgrscrpt_ioc.registry.wanted import Claim, Found, Ident, RegisteredRun, Step

INSTANCES = {"P": ["B1", "B2"], "Q": ["B3"]}  # IOC -> its instances
NAMES = ["B1", "B3", "ODD"]
iocs = st.sampled_from(list(INSTANCES))
instances = st.sampled_from([(ioc, each) for ioc, own in INSTANCES.items() for each in own])
names = st.sampled_from(NAMES)
STEPS = {
    "register": st.tuples(st.just("register"), instances, names),
    "end": st.tuples(st.just("end"), instances),
    "foreign": st.tuples(st.just("foreign"), names),
    "foreign_end": st.tuples(st.just("foreign_end"), names),
    "die": st.tuples(st.just("die"), iocs),
    "turn": st.tuples(st.just("turn"), iocs, st.sampled_from(["answered", "lost", "late"])),
    "save": st.tuples(st.just("save"), iocs),
}


@dataclass
class Script:
    """A process that has registered, by its IOC or by itself."""

    ioc: str | None
    run: RegisteredRun
    names: list[str] = field(default_factory=list)
    lives: bool = True


@dataclass
class World:
    """One database, one directory of journals, two IOCs, and the scripts that live."""

    rows: dict[str, Found] = field(default_factory=dict)
    journal: dict[tuple[str, str], Claim] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    running: dict[str, Script] = field(default_factory=dict)  # instance -> its run
    scripts: dict[Ident, Script] = field(default_factory=dict)
    late: list[tuple[str, Entry]] = field(default_factory=list)  # answers under way
    clock: Iterator[int] = field(default_factory=lambda: count(100))

    def script(self, ioc: str | None) -> Script:
        now = next(self.clock)
        script = Script(ioc, RegisteredRun(now, "/a.py", float(now), ()))
        self.scripts[script.run.ident] = script
        return script

    def start(self, ioc: str) -> None:
        self.ledgers[ioc] = Ledger()
        own = INSTANCES[ioc]
        left = [claim for claim in self.journal.values() if claim.instance in own]
        others = {each.run.ident for each in self.journal.values() if each.instance not in own}
        self.ledgers[ioc].recover(own, left, frozenset(others), float(next(self.clock)))
        # The journal's keeper reads what is left before it writes.
        for key in {(claim.ioc_name, claim.instance) for claim in left}:
            assert key in self.journal

    def register(self, ioc: str, instance: str, name: str) -> None:
        script = self.running.get(instance)
        if script is None:
            script = self.running[instance] = self.script(ioc)
            self.ledgers[ioc].began(instance)
        if name in script.names:
            script.names.remove(name)
        script.names.append(name)
        self.ledgers[ioc].register(name, instance, script.run)
        self.save(ioc)  # a registration that dies with its IOC before it is kept never was

    def end(self, ioc: str, instance: str) -> None:
        if script := self.running.pop(instance, None):
            script.lives = False
            for name in script.names:
                now = float(next(self.clock))
                self.ledgers[ioc].stop(name, now, instance, script.run.pid)

    def foreign(self, name: str) -> None:
        script = self.script(None)
        script.names.append(name)
        self.rows[name] = Found(script.run.pid, script.run.ident[1], running=True)

    def foreign_end(self, name: str) -> None:
        for script in self.scripts.values():
            if script.ioc is None and name in script.names:
                script.lives = False

    def die(self, ioc: str) -> None:
        for instance in INSTANCES[ioc]:
            if script := self.running.pop(instance, None):
                script.lives = False
        self.late = [(of, entry) for of, entry in self.late if of != ioc]
        self.start(ioc)

    def save(self, ioc: str) -> None:
        for key, claim in self.ledgers[ioc].unsaved():
            if claim is None:
                self.journal.pop(key, None)
            else:
                self.journal[key] = claim
            self.ledgers[ioc].saved(key, claim)

    def turn(self, ioc: str, how: str = "answered") -> None:
        """Give the writer of an IOC one turn; its answers come, are lost, or come late."""
        for of, entry in self.late:
            self.ledgers[of].answered(entry, Answer())
        self.late = []
        ledger = self.ledgers[ioc]
        for entry in ledger.pending():
            ledger.trying(entry)
            self._bring(entry)
            if how == "answered":
                ledger.answered(entry, Answer())
            elif how == "late":
                self.late.append((ioc, entry))
        ledger.forget_done()

    def _bring(self, entry: Entry) -> None:
        wanted = entry.wanted
        row = self.rows.get(wanted.ioc_name)
        step = wanted.step(row, self.lives)
        owner = self.scripts.get((row.pid, row.started)) if row and row.started else None
        if row and owner and row.running and wanted.stopped is not None and step is not Step.LEAVE:
            assert not owner.lives, "the row of a script that lives is stopped"
        if step is Step.STOP:
            assert row is not None
            self.rows[wanted.ioc_name] = Found(None, row.started, running=False)
        elif step is Step.WRITE:
            assert wanted.run is not None
            lives = wanted.stopped is None
            pid, started = wanted.run.ident
            self.rows[wanted.ioc_name] = Found(pid if lives else None, started, running=lives)

    def lives(self, pid: int | None, started: int) -> bool:
        script = self.scripts.get((pid, started))
        return script is not None and script.lives

    def settle(self) -> None:
        for ioc in [*INSTANCES, *INSTANCES]:
            self.turn(ioc)
            self.save(ioc)


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.one_of(*STEPS.values()), max_size=25))
def test_no_row_lies(steps: list[Any]) -> None:
    """No end stops the row of another run, and in the end no row runs whose script has ended."""
    world = play(steps)
    for row in world.rows.values():
        if row.running:
            script = world.scripts[row.pid, row.started or 0]
            # A script that writes its row by itself ends it by itself.
            assert script.lives or script.ioc is None


OWN = [STEPS["end"], STEPS["turn"], STEPS["save"]]
REGISTERED = st.tuples(st.just("register"), st.sampled_from([("P", "B1"), ("P", "B2")]), names)
DIED = st.tuples(st.just("die"), st.just("P"))


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.one_of(REGISTERED, DIED, *OWN), max_size=25))
def test_row_is_that_of_the_last_who_lives(steps: list[Any]) -> None:
    """In one IOC, the row of a name is that of the living run that registered it last."""
    world = play(steps)
    order: dict[str, list[Ident]] = {}
    for step, *values in steps:
        if step == "register":
            order.setdefault(values[1], []).append(values[0][1])
    for name, asked in order.items():
        lives = [
            each for each in asked if each in world.running and name in world.running[each].names
        ]
        row = world.rows[name]
        wanted = world.running[lives[-1]].run.pid if lives else None
        assert (row.running, row.pid) == (bool(lives), wanted)
        for instance in set(lives):
            message = world.ledgers["P"].status(instance, "").message
            if world.running[instance].names[-1] == name:
                assert message.startswith("registered") == (instance == lives[-1])
    assert set(world.journal) == {
        (name, each) for each, script in world.running.items() for name in script.names
    }


def play(steps: list[Any]) -> World:
    """Play the history to its end."""
    world = World()
    for ioc in INSTANCES:
        world.start(ioc)
    for step, *values in steps:
        if step in ("register", "end"):
            (ioc, instance), *rest = values
            getattr(world, step)(ioc, instance, *rest)
        else:
            getattr(world, step)(*values)
    world.settle()
    return world
