"""The web pages of a script: what the setting `links` may hold, and the PV `LINKS`. Pure.

A line of the PV is an address and, behind a space, its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

ROOM = 2048  # bytes of the PV, its NUL included
LONGEST_NAME = 40  # characters
# Only what a browser opens as a page. No user and password, which all clients would read.
WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~\-\[\]:]+([/?#][!-~]*)?")


def link_problem(name: str, address: str) -> str:
    """Return what is wrong with a link, and what should be; empty if nothing is."""
    if not name or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        return f"{name!r} should be a name of 1 to {LONGEST_NAME} characters on one line"
    if not WEB_ADDRESS.fullmatch(address):
        return f"{name}: {address!r} should be an address that begins with http:// or https://"
    return ""


def as_lines(links: Mapping[str, str]) -> str:
    """Return the value of the PV."""
    return "\n".join(f"{address} {name}" for name, address in links.items())


def read_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and address of each good line; an IOC may send anything."""
    for line in text.splitlines():
        address, _, name = line.partition(" ")
        if not link_problem(name, address):
            yield name, address
