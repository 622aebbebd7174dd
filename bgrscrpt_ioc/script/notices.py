"""Makes the notices of an instance, and what a command of `notify` receives. Pure.

announcer.py sends them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.script.story import Happening, How, Hung, RunEnded, WellAgain

MAX_TEXT = 1000  # characters of a reason or an error

# The commands for an event; the first one that the settings have is used.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "failure": ("on_failure",),
    "gave_up": ("on_gave_up", "on_failure"),
    "hung": ("on_hung",),
    "recovery": ("on_recovery",),
}
_SAYS = {
    "failure": "has failed",
    "gave_up": "has failed and stays down",
    "hung": "is hung",
    "recovery": "has recovered",
    "test": "sends this as a test of its notices",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice. `more` counts the notices that were held back before it, by their events."""

    event: str
    name: str
    prefix: str = ""
    host: str = ""
    script: str = ""
    time: str = ""
    reason: str = ""
    error: str = ""
    more: Mapping[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole notice in one line."""
        says = f"{self.prefix}{self.name} {_SAYS[self.event]}"
        if self.reason:
            says += f": {self.reason}"
        if self.more:
            counts = ", ".join(f"{event} {count}" for event, count in sorted(self.more.items()))
            says += f" (not told before: {counts})"
        return visible(says)

    def json(self) -> bytes:
        """Return what the command reads from its stdin."""
        values = {key: _cut(value) for key, value in asdict(self).items()}
        return json.dumps({**values, "text": self.text[: 3 * MAX_TEXT]}).encode() + b"\n"

    def environ(self) -> dict[str, str]:
        """Return what is added to the command's environment."""
        values = asdict(self) | {"more": str(sum(self.more.values())), "text": self.text}
        return {
            f"BGRSCRPT_{key.upper()}": visible(str(_cut(value))) for key, value in values.items()
        }


def event_of(happening: Happening) -> tuple[str, str]:
    """Return the event of a happening, and why it happened; "" if nobody is to be told."""
    match happening:
        case RunEnded(how=How.FAILED, message=message, final=final):
            return ("gave_up" if final else "failure"), message
        case Hung(_, message):
            return "hung", message
        case WellAgain(_, message):
            return "recovery", message
        case _:
            return "", ""


def _cut(value: object) -> object:
    return value[:MAX_TEXT] if isinstance(value, str) else value
