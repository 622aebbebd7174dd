"""The names of `contract.NAMES` for this operating system; each is loaded when first used.

Besides `streams`, which must not import it, only this module asks which system this is.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bgrscrpt_ioc.host.contract import NAMES

if TYPE_CHECKING:  # for the type checker; a test compares it with the contract
    from bgrscrpt_ioc.host.posix.cgroup import Cgroups, find_cgroups
    from bgrscrpt_ioc.host.posix.control import RequestServer, ask
    from bgrscrpt_ioc.host.posix.descriptors import descriptor_limit, wait_until_writable
    from bgrscrpt_ioc.host.posix.disk import (
        complete_last_line,
        new_file,
        open_to_append,
        open_to_read,
        replace,
        special_kind,
        sync_directory,
    )
    from bgrscrpt_ioc.host.posix.guardian import Guardian
    from bgrscrpt_ioc.host.posix.locks import (
        claim_name,
        claimed_by,
        claimed_names,
        claims,
        describe_holder,
        lock_file,
        note_holder,
    )
    from bgrscrpt_ioc.host.posix.memory import proportional, taken
    from bgrscrpt_ioc.host.posix.permissions import describe_open, open_to_all
    from bgrscrpt_ioc.host.posix.processes import look_up, own_id, processes
    from bgrscrpt_ioc.host.posix.reaper import Reaper
    from bgrscrpt_ioc.host.posix.sdnotify import Systemd
    from bgrscrpt_ioc.host.posix.settings import HELD, REFUSED
    from bgrscrpt_ioc.host.posix.signals import STOP_SIGNALS, on_end_asked
    from bgrscrpt_ioc.host.posix.sockets import (
        EXHAUSTED,
        GONE,
        TAKEN,
        datagram_socket,
        go_on,
        hears_only_its_address,
        listening_socket,
        shared_datagram_socket,
        watch_peer,
    )
    from bgrscrpt_ioc.host.posix.stacks import take_stacks
    from bgrscrpt_ioc.host.posix.sweep import sweep
    from bgrscrpt_ioc.host.posix.tool import run_tool
    from bgrscrpt_ioc.host.posix.tree import Tree

__all__ = (
    "EXHAUSTED",
    "GONE",
    "HELD",
    "REFUSED",
    "STOP_SIGNALS",
    "TAKEN",
    "Cgroups",
    "Guardian",
    "Reaper",
    "RequestServer",
    "Systemd",
    "Tree",
    "ask",
    "claim_name",
    "claimed_by",
    "claimed_names",
    "claims",
    "complete_last_line",
    "datagram_socket",
    "describe_holder",
    "describe_open",
    "descriptor_limit",
    "find_cgroups",
    "go_on",
    "hears_only_its_address",
    "listening_socket",
    "lock_file",
    "look_up",
    "new_file",
    "note_holder",
    "on_end_asked",
    "open_to_all",
    "open_to_append",
    "open_to_read",
    "own_id",
    "processes",
    "proportional",
    "replace",
    "run_tool",
    "shared_datagram_socket",
    "special_kind",
    "sweep",
    "sync_directory",
    "take_stacks",
    "taken",
    "wait_until_writable",
    "watch_peer",
)  # fmt: skip

TENANT = "windows" if sys.platform == "win32" else "posix"
_HOMES = {name: module for module, names in NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a name: most commands need few of them, and must start fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"bgrscrpt_ioc.host.{TENANT}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
