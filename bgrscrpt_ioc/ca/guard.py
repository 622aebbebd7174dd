"""What stands between clients and channels: access security, and the log of puts.

Decides nothing itself: the rules are in access/.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import caproto as ca

from bgrscrpt_ioc.access.acf import Right
from bgrscrpt_ioc.access.putlog import PutLog
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.ca.channels import Channel
from bgrscrpt_ioc.ca.puts import Writable

COMMANDS = 0  # access security level of what clients write, as of the VAL of a bo in EPICS
READINGS = 1  # of all other fields


class Guard:
    """Of one server."""

    def __init__(self, security: Security, putlog: PutLog | None = None) -> None:
        """By these rules; `putlog` hears of every put to a record that can be written."""
        self.security, self._putlog = security, putlog

    def rights(self, channel: Channel, user: str, address: str, own: str) -> ca.AccessRights:
        """What this user may do with the channel from this address; `own` is the server's."""
        level = COMMANDS if channel.writable else READINGS
        right = self.security.granted(level, user, address, own).right
        rights = ca.AccessRights(0)
        if right >= Right.READ:
            rights |= ca.AccessRights.READ
        if right >= Right.WRITE and channel.writable:
            rights |= ca.AccessRights.WRITE
        return rights

    def put(
        self, channel: Writable, values: Sequence[object], by: str, *, refused: bool = False
    ) -> None:
        """Log a put by `user@host`, before it is carried out."""
        if self._putlog is not None:
            user, _, host = by.partition("@")
            old = channel.choices[channel.value]
            new = shown(values, channel.choices)
            self._putlog.write(user, host, channel.name, new, old, refused=refused)


def shown(values: Sequence[object], choices: Sequence[str]) -> str:
    """What was put, for people: one line, whatever it was."""
    value = values[0] if values else "nothing"
    if isinstance(value, int) and value in range(len(choices)):
        return choices[value]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "".join(each if each.isprintable() else "?" for each in text)[:40]


def asker(user: str, claimed_host: str, peer: str) -> str:
    """Who puts, as `user@host`, for messages and logs; not to be trusted.

    The user is what the client claims: the protocol knows no more. So is the host where the client
    is on this host; else it is the address that the connection comes from.
    """
    host = claimed_host if peer.startswith("127.") else peer
    return f"{_name(user)}@{_name(host)}"


def _name(text: str) -> str:
    return re.sub(r"[^\w.\-]", "?", text)[:40] or "?"
