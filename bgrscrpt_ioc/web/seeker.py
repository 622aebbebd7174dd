"""Finds IOCs that come back after a long absence sooner than libca does by itself.

libca searches for a lost channel ever less often, every 60 s at last, and hears no beacons without
a repeater. It searches for a new channel often. So one new channel is made for each IOC that is
away, again and again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from bgrscrpt_ioc.client.instance import Instance

PERIOD = 4.0  # s between two new channels: libca searches for one at intervals of 0.03 s to 2 s
AT_ONCE = 20  # instances that are sought; more have their turns


class Seeker:
    """Seeks instances whose IOC is away."""

    def __init__(self, found: Callable[[str], None]) -> None:
        """Seek nothing yet; `found` is called with a full name, in a thread of libca."""
        self._found = found
        self._turns: deque[str] = deque()
        self._channels: list[Any] = []

    def seek(self, missing: Sequence[Instance]) -> None:
        """Seek these until the next call; to be called every `PERIOD` s."""
        from epics import ca

        for channel in self._channels:
            ca.clear_channel(channel)
        self._channels.clear()
        waiting = {each.full_name: each for each in missing}
        kept = dict.fromkeys(name for name in self._turns if name in waiting)
        self._turns = deque(kept | dict.fromkeys(waiting))
        for name in list(self._turns)[:AT_ONCE]:
            # By a name that nothing else follows: pyepics has one channel for each name.
            self._channels.append(
                ca.create_channel(
                    f"{waiting[name].pv}STATUS.DESC",
                    connect=False,
                    auto_cb=True,
                    callback=self._connection(name),
                )
            )
        self._turns.rotate(-AT_ONCE)
        ca.flush_io()

    def _connection(self, full_name: str) -> Callable[..., None]:
        def connection(conn: bool = False, **_more: Any) -> None:
            if conn:
                self._found(full_name)

        return connection
