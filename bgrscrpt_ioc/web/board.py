"""What the web page knows of the instances: the newest reading of each PV, and their output.

No I/O. Use it in one thread; the time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.client.ownpvs import OwnPv
from bgrscrpt_ioc.client.readings import in_words
from bgrscrpt_ioc.config.weblinks import read_lines
from bgrscrpt_ioc.web.scroll import Scroll
from bgrscrpt_ioc.web.trend import Trend

NO_ANSWER = "No answer"
CONNECTING = "Connecting"  # its IOC is looked for, and has not had the time to answer
# The order of the overview: instances that need somebody come first.
ORDER = ("Failed", "Hung", NO_ANSWER, "Backoff", "Alarm", CONNECTING, "Starting", "Stopping",
         "Running", "Finished", "Stopped")  # fmt: skip
SUMMARY = (
    "STATUS:MSG", "UPTIME", "CPU", "MEMORY", "PROGRESS", "MESSAGE", "HEARTBEAT", "ERROR",
    "EXITREASON", "RESTARTS", "REGISTERED", "PID", "RETRYIN", "SCRIPT", "SCRIPT:CHANGED",
    "IOC:VERSION",
)  # fmt: skip
# The numbers of which the page keeps the last hour, in addition to the script's own PVs.
TRENDS = ("CPU", "MEMORY", "PROGRESS", "PROCS", "THREADS")
PLOTTED = ("ai", "ao", "longin", "longout")  # kinds of the script's own PVs that are plotted
MOST_PLOTS = 20  # of the script's own PVs


@dataclass(frozen=True, slots=True)
class ShownValue:
    """The value of a PV as people read it, and its alarm severity."""

    value: Any
    severity: str = "NO_ALARM"


@dataclass(frozen=True, slots=True)
class OwnReading:
    """A PV that the script has made; its value is None while it is not connected.

    Its severity is None if the PV is too long to be followed.
    """

    pv: OwnPv
    value: Any = None
    severity: str | None = "INVALID"
    more: Mapping[str, Any] = field(default_factory=dict)  # unit, choices, low, high

    def detail(self) -> dict[str, Any]:
        """Return what the page shows of it."""
        return {
            "value": self.value,
            "severity": self.severity,
            "kind": self.pv.kind,
            "size": self.pv.size,
            "writable": self.pv.writable,
            "description": self.pv.description,
            **self.more,
        }


@dataclass(slots=True)
class Shown:
    """One instance as the page shows it. `readings` is empty while no IOC answers."""

    instance: Instance
    readings: dict[str, ShownValue] = field(default_factory=dict)
    own: dict[str, OwnReading] = field(default_factory=dict)  # PVs that the script has made
    scroll: Scroll = field(default_factory=Scroll)
    trends: dict[str, Trend] = field(default_factory=dict)
    looked: bool = False  # its IOC has answered, or has had the time to answer
    last_seen: float | None = None  # time of the last answer, if the IOC has gone
    beat_at: float | None = None  # when HEARTBEAT was last seen to change
    version: int = 0  # grows with each change

    def value(self, name: str) -> Any:
        """Return the value of a reading; None if there is none."""
        reading = self.readings.get(name) or self.own.get(name)
        return None if reading is None else reading.value

    @property
    def state(self) -> str:
        """Return the state in one word: a STATUS, `Hung`, `Alarm`, `Connecting` or `No answer`."""
        status = self.readings.get("STATUS")
        if status is None:
            return NO_ANSWER if self.looked else CONNECTING
        if status.value == "Running" and status.severity != "NO_ALARM":
            return "Hung" if status.severity == "MAJOR" else "Alarm"
        return str(status.value)

    @property
    def links(self) -> list[dict[str, str]]:
        """Return the web pages of the script, as its settings have them."""
        found = read_lines(str(self.value("LINKS") or ""))
        return [{"name": name, "url": address} for name, address in found]

    def summary(self, now: float) -> dict[str, Any]:
        """Return what the overview and `/api/instances` show of the instance."""
        status = self.readings.get("STATUS")
        row = {
            "STATUS": None if status is None else status.value,
            "SEVERITY": None if status is None else status.severity,
        }
        return {
            "name": self.instance.full_name,
            "connected": status is not None,
            "state": self.state,
            "words": in_words(row) if status is not None else self.state,
            "severity": "INVALID" if status is None else status.severity,
            "status": row["STATUS"],
            "last_seen": self.last_seen,
            "links": self.links,
            "heartbeat_age": None if self.beat_at is None else max(0.0, now - self.beat_at),
            **{_key(name): self.value(name) for name in SUMMARY},
        }

    def detail(self, now: float) -> dict[str, Any]:
        """Return all that is known of the instance, except for its log."""
        return {
            **self.summary(now),
            "pvs": {
                name: {"value": each.value, "severity": each.severity}
                for name, each in self.readings.items()
                if name not in ("LOG", "LOG:LINE", "PVS")
            },
            "own": {name: each.detail() for name, each in sorted(self.own.items())},
        }


def _key(name: str) -> str:
    return name.lower().replace(":", "_")


class Board:
    """All instances that the page shows."""

    def __init__(self) -> None:
        self._shown: dict[str, Shown] = {}
        self._version = 0

    def __iter__(self) -> Iterator[Shown]:
        return iter(self._shown.values())

    def __len__(self) -> int:
        return len(self._shown)

    def add(self, instance: Instance) -> Shown:
        """Show an instance from now on."""
        return self._shown.setdefault(instance.full_name, Shown(instance))

    def get(self, name: str) -> Shown | None:
        """Return an instance by its full name, or by its name alone if only one instance has it."""
        if (exact := self._shown.get(name)) is not None:
            return exact
        found = [each for each in self if each.instance.name == name]
        return found[0] if len(found) == 1 else None

    def sorted(self) -> list[Shown]:
        """Return the instances in the order of the overview: failed ones first, then by name."""
        return sorted(
            self,
            key=lambda each: (
                ORDER.index(each.state) if each.state in ORDER else len(ORDER),
                each.instance,
            ),
        )

    def take(self, shown: Shown, news: Mapping[str, ShownValue | None], now: float) -> None:
        """Take new readings of an instance; None means that the PV is not connected."""
        for name, reading in news.items():
            if reading is None:
                shown.readings.pop(name, None)
                if name == "STATUS":
                    shown.last_seen = now
                continue
            if name == "HEARTBEAT" and reading.value and reading != shown.readings.get(name):
                shown.beat_at = now
            if name == "PID" and not reading.value:
                shown.beat_at = None
            if name == "LOG":
                count = news.get("LOG:COUNT") or shown.readings.get("LOG:COUNT")
                shown.scroll.take(reading.value or "", count.value if count else None)
            shown.readings[name] = reading
        if "STATUS" in shown.readings:
            shown.looked, shown.last_seen = True, None
        self.changed(shown)

    def give_up(self, shown: Shown) -> None:
        """Note that the IOC of an instance has had the time to answer."""
        if not shown.looked:
            shown.looked = True
            self.changed(shown)

    def missing(self) -> list[Instance]:
        """Return the instances whose IOC has had the time to answer and does not."""
        return [each.instance for each in self if each.looked and "STATUS" not in each.readings]

    def take_own(self, shown: Shown, news: Mapping[str, OwnReading | None]) -> None:
        """Take new readings of PVs that the script has made; None means that the PV is gone."""
        for name, reading in news.items():
            if reading is None:
                shown.own.pop(name, None)
            else:
                shown.own[name] = reading
        self.changed(shown)

    def changed(self, shown: Shown) -> None:
        """Note that something of an instance has changed."""
        self._version += 1
        shown.version = self._version

    def sample(self, now: float) -> None:
        """Add the numbers at the time `now`, s since the epoch, to the plots of the last hour."""
        for shown in self:
            own = [name for name, each in shown.own.items() if each.pv.kind in PLOTTED]
            for name in (*TRENDS, *own[:MOST_PLOTS]):
                value = shown.value(name)
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    value = None
                if value is not None or name in shown.trends:
                    shown.trends.setdefault(name, Trend()).add(now, value)
