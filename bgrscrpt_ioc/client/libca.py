"""Prepares EPICS base's libca for one command: where it searches, and what it may print.

Only client commands import it. It knows no PV.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from bgrscrpt_ioc.config.epicsvars import RESERVED, read_epics_variables
from bgrscrpt_ioc.host.networks import (
    EVERYWHERE,
    LOOPBACK,
    LOOPBACK_BROADCAST,
    broadcast_of,
    broadcasts,
)
from bgrscrpt_ioc.host.resolver import look_up
from bgrscrpt_ioc.host.streams import complain

ECA_NORMAL, ECA_PUTFAIL, ECA_DISCONN = 1, 160, 192  # caerr.h of EPICS base
ECA_DBLCHNL, ECA_NOWTACCESS = 200, 376
FEW = 4  # addresses that a message may name
# Seconds between searches, at most, so that an IOC that was away is found soon; base: 300.
SEARCH_PERIOD = "60"

_HELD: list[Any] = []  # kept until the command ends
_WHERE: list[str] = []  # the addresses that were searched
_GIVEN = os.environ.get("EPICS_CA_ADDR_LIST", "").strip()  # set by the user, if not empty


def point_at(port: int, interfaces: Sequence[str]) -> None:
    """Make libca search for an IOC at `port`. EPICS_CA_ADDR_LIST of the user has precedence.

    Call it before the first channel of a context is made: libca reads its environment then.
    """
    _prepare()
    os.environ["EPICS_CA_SERVER_PORT"] = str(port)
    if not _GIVEN:
        hosts = search_addresses(interfaces)
        if port <= RESERVED:  # libca accepts no such port from its variable
            hosts = [f"{host}:{port}" for host in hosts]
        os.environ["EPICS_CA_ADDR_LIST"] = " ".join(hosts)
        os.environ["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
    if port <= RESERVED:
        del os.environ["EPICS_CA_SERVER_PORT"]  # libca would print that it is out of range
    _WHERE.append(f"{os.environ['EPICS_CA_ADDR_LIST']}, port {port}")
    _hear_exceptions()


def point_at_all(
    places: Iterable[tuple[int, tuple[str, ...], bool]], interfaces: Sequence[str]
) -> None:
    """Make libca search for IOCs at several ports and hosts; without places, it searches as usual.

    Args:
        places: (port, hosts); a host may have a port of its own, `HOST:PORT`.
        interfaces: as for `point_at`.
    """
    _prepare()
    found: list[str] = []
    for port, hosts, is_here in places:
        usual = _GIVEN.split() or search_addresses(interfaces)
        # The user's list may name another port than the one that an IOC of this host has.
        for entry in hosts or (*usual, *([LOOPBACK] if is_here else ())):
            host, _, own = entry.partition(":")
            if addresses := look_up(host):
                found += [f"{each}:{own or port}" for each in _all_servers_at(addresses[0])]
            else:
                complain(f"{host}: this host is not known; correct its name")
    found = list(dict.fromkeys(found))
    os.environ["EPICS_CA_ADDR_LIST"] = " ".join(found)
    os.environ["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
    _WHERE.append(" ".join(found) if len(found) <= FEW else f"{len(found)} addresses")
    _hear_exceptions()


def _prepare() -> None:
    if _HELD:
        return
    for problem in read_epics_variables(os.environ).problems:
        complain(problem)
    _stand_in_for_repeater()
    os.environ.setdefault("EPICS_CA_MAX_SEARCH_PERIOD", SEARCH_PERIOD)


def _stand_in_for_repeater() -> None:
    """Keep libca from starting caRepeater, and from printing four lines if there is none.

    If a port is in use, libca takes its owner for a running repeater. Beacons, which a repeater
    forwards, are of no use to a short command.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held.bind(("127.0.0.1", 0))
    os.environ["EPICS_CA_REPEATER_PORT"] = str(held.getsockname()[1])
    atexit.register(held.close)
    _HELD.append(held)


def not_found(what: str, prefix: str = "") -> str:
    """Return a message that says where PVs were searched that nobody has."""
    text = f"no answer for {what} at {_WHERE[-1]}: is the IOC running, with this prefix and port?"
    if prefix and prefix[-1].isalnum():
        text += f" The prefix {prefix!r} has no separator at its end, such as ':'."
    return text


def search_addresses(interfaces: Sequence[str]) -> list[str]:
    """Return where to search for IOCs of this host, or for one on an interface of another host.

    Several IOCs of this host share the UDP port, and only a broadcast reaches all of them. EPICS
    base's own server, if bound to the loopback, receives no broadcast there. So both are used.
    """
    found = [LOOPBACK, LOOPBACK_BROADCAST]
    for interface in interfaces:
        if interface == EVERYWHERE:
            found += broadcasts()
        elif not interface.startswith("127."):
            found += _all_servers_at(interface)
    return list(dict.fromkeys(found))


def _all_servers_at(address: str) -> list[str]:
    """Return where a search reaches all servers of this address, if it is one of this host.

    If several servers share a UDP port, the kernel gives a datagram to that address to one of them
    only, always to the same one for one client.
    """
    broadcast = broadcast_of(address)
    return [address] if broadcast is None else [broadcast, address]


def _hear_exceptions() -> None:
    """Load libca. It must not warn of an IOC that answers at two of its addresses."""
    from epics import ca

    ca.initialize_libca()
    if ca.current_context() is None:
        ca.create_context()
    _HELD.append(heard := _EXCEPTION_HANDLER(_excepted))
    libca: Any = ca.libca
    libca.ca_add_exception_event(heard, None)


def leave_context() -> None:
    """Make the next search in a new context, which reads the environment anew."""
    from epics import ca

    ca.detach_context()


class _Exception(ctypes.Structure):
    """`struct exception_handler_args` of EPICS base's cadef.h."""

    _fields_ = (
        ("usr", ctypes.c_void_p),
        ("chid", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("addr", ctypes.c_void_p),
        ("stat", ctypes.c_long),
        ("op", ctypes.c_long),
        ("ctx", ctypes.c_char_p),
        ("file", ctypes.c_char_p),
        ("line", ctypes.c_uint),
    )


_EXCEPTION_HANDLER = ctypes.CFUNCTYPE(None, _Exception)


def _excepted(args: _Exception) -> None:  # called in a thread of libca
    if args.stat not in (ECA_DISCONN, ECA_DBLCHNL):  # the caller is told of ECA_DISCONN
        complain(f"{meaning(args.stat)}: {(args.ctx or b'').decode('utf-8', 'replace')}")


def meaning(code: int) -> str:
    """Return libca's text for a status."""
    from epics import ca

    libca: Any = ca.libca
    return libca.ca_message(code).decode()


def user() -> str:
    """Return the user's name as libca tells it to the IOC. The environment may say another name."""
    from epics import ca

    libca: Any = ca.libca
    name = ctypes.create_string_buffer(100)
    libca.osiGetUserName(name, len(name))
    return name.value.decode("utf-8", "replace")
