"""When to restart IOCs whose block is in an error state, and when to give up.

Pure: readings and a clock in, actions out; it reads no PV and never sleeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

RUNNING, SHUTDOWN = "Running", "Shutdown"  # of procServControl's STATUS
NO_ALARM = "NO_ALARM"
SHOWN = 100  # characters of a value, in a message
SEVERITIES = (NO_ALARM, "MINOR", "MAJOR", "INVALID")


@dataclass(frozen=True)
class Reading:
    """A block as it was read; `value` is None while nobody serves it."""

    value: object = None
    severity: str = NO_ALARM


@dataclass(frozen=True)
class Restart:
    """Restart this IOC."""

    ioc: str


@dataclass(frozen=True)
class Say:
    """Tell people, once."""

    text: str
    alarm: bool = False


Action = Union[Restart, Say]  # noqa: UP007 - a script may run in Python 3.8


@dataclass(frozen=True)
class Rules:
    """What is watched, and what is done about it; `wait` in s."""

    block: str
    iocs: tuple[str, ...]
    error_states: tuple[object, ...]
    severities: tuple[str, ...] = ()
    wait: float = 120.0
    limit: int = 5  # restarts in a row

    def in_error(self, reading: Reading) -> bool:
        """Is this one of the error states? A block that nobody serves is in none."""
        value = reading.value
        return value is not None and (
            reading.severity in self.severities
            or any(value == state or str(value) == state for state in self.error_states)
        )


class RestartPolicy:
    """Decides, poll by poll. `restarts` counts all, `in_a_row` those that have not helped yet.

    A restart has helped when every IOC is online and the block has stayed out of its error states
    for `wait`: one that comes back for a moment only is not restarted for ever.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.recovering = False  # restarted, and not yet seen to be well
        self.restarts = self.in_a_row = 0
        self._not_before = float("-inf")
        self._well_since: float | None = None
        self._told = ""

    def step(
        self, now: float, reading: Reading, statuses: Mapping[str, str | None]
    ) -> list[Action]:
        """What to do now.

        Args:
            now: s, of a clock that never goes back.
            reading: the block.
            statuses: of each IOC, as procServControl has it; None where that does not answer.
        """
        in_error = self.rules.in_error(reading)
        offline = [ioc for ioc in self.rules.iocs if statuses.get(ioc) not in (None, RUNNING)]
        if reading.value is not None and not in_error and not (self.recovering and offline):
            return self._well(now, reading)
        self._well_since = None
        if not in_error and not self.recovering:
            return self._tell("away", f"{self.rules.block}: no such block, or not connected")
        why = self._described(reading)
        if reading.value is not None and not in_error:
            why += "".join(f", but {ioc} is {statuses[ioc]!r}" for ioc in offline)
        stopped = [ioc for ioc in self.rules.iocs if statuses.get(ioc) == SHUTDOWN]
        if len(stopped) == len(self.rules.iocs) and (
            now >= self._not_before or self._told == "stopped"
        ):
            return self._leave_alone(now, why)
        if now < self._not_before:
            # While it recovers, that is no news.
            return [] if self.recovering else self._tell("early", f"{why} again")
        if self.in_a_row >= self.rules.limit:
            return self._give_up(why)
        return self._restart(now, why, [ioc for ioc in self.rules.iocs if ioc not in stopped])

    def _well(self, now: float, reading: Reading) -> list[Action]:
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since >= self.rules.wait:
            self.in_a_row = 0
        text = self._described(reading)
        if self.recovering and self.in_a_row:
            restarts = "1 restart" if self.in_a_row == 1 else f"{self.in_a_row} restarts"
            text = f"{_listed(self.rules.iocs)} back online after {restarts}: {text}"
        self.recovering = False
        return self._tell("well", text)

    def _restart(self, now: float, why: str, iocs: list[str]) -> list[Action]:
        self.restarts += 1
        self.in_a_row += 1
        self._not_before = now + self.rules.wait
        self.recovering = True
        self._told = ""
        count = f"{self.in_a_row} of {self.rules.limit}"
        said = Say(f"{why}: restarting {_listed(iocs)}, {count}")
        return [said, *map(Restart, iocs)]

    def _leave_alone(self, now: float, why: str) -> list[Action]:
        """Somebody has stopped them: procServControl's RESTART never ends in `Shutdown`."""
        self._not_before = now + self.rules.wait  # to be up, once somebody starts them
        self.recovering = True
        stopped = f"{_listed(self.rules.iocs)} shut down"
        return self._tell("stopped", f"{why}; {stopped}: left alone")

    def _give_up(self, why: str) -> list[Action]:
        return self._tell(
            "given up",
            f"{why} after {self.in_a_row} restarts of {_listed(self.rules.iocs)}: gave up,"
            " somebody has to look",
            alarm=True,
        )

    def _tell(self, what: str, text: str, alarm: bool = False) -> list[Action]:
        """Say it when it is news."""
        if what == self._told:
            return []
        self._told = what
        return [Say(text, alarm)]

    def _described(self, reading: Reading) -> str:
        if reading.value is None:
            return f"{self.rules.block} is not connected"
        alarm = "" if reading.severity == NO_ALARM else f" ({reading.severity})"
        value = repr(reading.value)
        if len(value) > SHOWN:  # an array
            value = f"{value[:SHOWN]}..."
        return f"{self.rules.block} is {value}{alarm}"


def _listed(iocs: tuple[str, ...] | list[str]) -> str:
    return ", ".join(iocs)
