"""Tells the followers of an instance what happens to it and what is published of it.

It is the only observer of the lifecycle. Followers decide nothing, and a fault in one harms no run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.lifecycle.events import Event, Severity
from bgrscrpt_ioc.lifecycle.machine import Machine
from bgrscrpt_ioc.output.output import Publish
from bgrscrpt_ioc.script.story import Happening, Story

# The readings that followers are told of: what is known of a run.
READINGS = (
    "STARTTIME", "ERROR", "EXITCODE", "EXITREASON", "SCRIPT:SHA256", "SCRIPT:GIT", "STACK:TEXT"
)  # fmt: skip


class Follower(Protocol):
    """Follows an instance. All calls come from the event loop and must not block."""

    def happened(self, happening: Happening) -> None:
        """Note what has happened; readings that were published before are known."""
        ...

    def published(self, name: str, value: Any) -> None:
        """Note a reading, one of `READINGS`; it may not have changed."""
        ...

    def close(self) -> None:
        """End: nothing more happens."""
        ...


class Witness:
    """The witness of one instance."""

    def __init__(self, name: str, publish: Publish) -> None:
        """Pass readings on to `publish`; followers are added later."""
        self._publish = publish
        self._story = Story()
        self._followers: list[Follower] = []
        self._faults = Faults(f"{name}: its history or its notices")

    def add(self, follower: Follower) -> None:
        """Add a follower."""
        self._followers.append(follower)

    def publish(
        self, name: str, value: str | float, severity: Severity = Severity.NO_ALARM
    ) -> None:
        """Publish a reading, and tell the followers."""
        self._publish(name, value, severity)
        if name in READINGS:
            for each in self._followers:
                with self._faults:
                    each.published(name, value)

    def seen(self, event: Event, machine: Machine) -> None:
        """Tell the followers what an event means that the machine has handled."""
        self._tell(self._story.seen(event, machine))

    def close(self) -> None:
        """End all followers."""
        for each in self._followers:
            with self._faults:
                each.close()

    def _tell(self, happenings: Iterable[Happening]) -> None:
        for happening in happenings:
            for each in self._followers:
                with self._faults:
                    each.happened(happening)
