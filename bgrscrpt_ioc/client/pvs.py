"""Channel Access for clients with the real libca: read, put and wait.

Only client commands import it. It does not know how the IOC makes its PVs.
"""

from __future__ import annotations

import ctypes
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bgrscrpt_ioc.client.libca import (
    ECA_DISCONN,
    ECA_NORMAL,
    ECA_NOWTACCESS,
    ECA_PUTFAIL,
    meaning,
    not_found,
    user,
)
from bgrscrpt_ioc.lifecycle.events import CommandFailed
from bgrscrpt_ioc.output.loglines import clean, cut

CONNECT_TIMEOUT = 5.0  # s; an IOC answers in milliseconds, on a very busy host in seconds
READ_TIMEOUT = 10.0  # s; an IOC that was found is there, but may be busy
MAX_STRING = 39  # bytes of a DBR_STRING, without its NUL
SHORT = 1.0  # s without an answer until a command says for what it waits

_HELD: deque[Any] = deque(maxlen=100)  # callbacks of the newest puts


@dataclass(frozen=True, slots=True)
class PvReading:
    """A value and its alarm severity, 0 to 3; `host` is `address:port` of the server."""

    value: Any
    severity: int
    host: str


class PutFailedError(CommandFailed):
    """The IOC took the put and says that the command failed; STATUS:MSG says why."""


def read(names: Sequence[str]) -> dict[str, PvReading]:
    """Return a reading of each of `names` that is found in time."""
    from epics import ca

    channels = {name: ca.create_channel(name, connect=False, auto_cb=False) for name in names}
    end = time.monotonic() + CONNECT_TIMEOUT
    kinds: dict[str, int] = {}
    for name, channel in channels.items():
        if ca.connect_channel(channel, timeout=max(0.01, end - time.monotonic())):
            kinds[name] = ca.promote_fieldtype(ca.field_type(channel), use_time=True)
            ca.get_with_metadata(channel, ftype=kinds[name], wait=False)
    found: dict[str, PvReading] = {}
    for name, kind in kinds.items():
        got = ca.get_complete_with_metadata(channels[name], ftype=kind, timeout=READ_TIMEOUT)
        if got is not None:
            host = str(ca.host_name(channels[name]))
            found[name] = PvReading(got["value"], int(got.get("severity", 0)), host)
    return found


def put_and_wait(
    pvname: str,
    value: float | str | Sequence[float],
    timeout: float,
    when_slow: Callable[[], object] = lambda: None,
) -> None:
    """Put with callback, and raise if the put fails, which pyepics' put(wait=True) ignores.

    Args:
        pvname: a PV of any type.
        value: a number, a text, or numbers for an array.
        timeout: seconds from the put to its completion.
        when_slow: called once if the put takes longer than a second.

    Raises:
        CommandFailed: no server has the PV, the put is refused or fails, or no answer comes.
    """
    from epics import ca, dbr

    channel = ca.create_channel(pvname, connect=False, auto_cb=False)
    if not ca.connect_channel(channel, timeout=CONNECT_TIMEOUT):
        raise CommandFailed(not_found(pvname))
    done, statuses = threading.Event(), []

    def completed(args: Any) -> None:  # called in a thread of libca
        statuses.append(args.status)
        done.set()

    callback = dbr.make_callback(completed, dbr.event_handler_args)
    kind, count, data = _put_data(pvname, channel, value)
    libca: Any = ca.libca
    refused = libca.ca_array_put_callback(
        kind, count, channel, ctypes.byref(data), callback, ctypes.py_object(None)
    )
    _raise_if_failed(pvname, refused)
    ca.flush_io()
    # libca may still be in the callback when the answer is here. The channel is not cleared: with
    # its last channel libca closes the connection, and the next read sometimes found no PV.
    _HELD.append(callback)
    answered = done.wait(min(SHORT, timeout))
    if not answered and timeout > SHORT:
        when_slow()
        answered = done.wait(timeout - SHORT)
    if not answered:
        raise CommandFailed(
            f"{pvname}: not completed within {timeout:g} s; the command goes on, and `status` shows"
            " how far it is"
        )
    _raise_if_failed(pvname, statuses[0])


def _put_data(
    pvname: str, channel: Any, value: float | str | Sequence[float]
) -> tuple[int, int, Any]:
    """Return the type, the number of elements and the bytes to put; the server converts them.

    Raises:
        CommandFailed: the PV has no room for it.
    """
    from epics import ca, dbr

    room = ca.element_count(channel)
    if isinstance(value, str) and ca.field_type(channel) == dbr.CHAR:
        data = value.encode("utf-8", "replace") + b"\0"
        if len(data) > room:
            raise CommandFailed(f"{pvname}: the text has more than {room - 1} bytes")
        return dbr.CHAR, len(data), ctypes.create_string_buffer(data, len(data))
    if isinstance(value, str):
        data = value.encode("utf-8", "replace")
        if len(data) > MAX_STRING:
            raise CommandFailed(f"{pvname}: the text has more than {MAX_STRING} bytes")
        return dbr.STRING, 1, ctypes.create_string_buffer(data, MAX_STRING + 1)
    if isinstance(value, int):
        kind = ca.field_type(channel)
        return kind, 1, dbr.Map[kind](value)
    if isinstance(value, float):
        return dbr.DOUBLE, 1, ctypes.c_double(value)
    if not 0 < len(value) <= room:
        raise CommandFailed(f"{pvname}: 1 to {room} numbers expected, not {len(value)}")
    return dbr.DOUBLE, len(value), (ctypes.c_double * len(value))(*value)


def put_text(pvname: str, text: str, timeout: int) -> None:
    """Put a text to a PV of any server: a waveform of CHAR, or a string, which has 39 bytes.

    Raises:
        CommandFailed: no server has the PV, or the put is refused or not completed.
    """
    from epics import ca, dbr

    channel = ca.create_channel(pvname, connect=False, auto_cb=False)
    if not ca.connect_channel(channel, timeout=CONNECT_TIMEOUT):
        raise CommandFailed(f"{pvname}: no answer within {CONNECT_TIMEOUT:g} s")
    if not ca.write_access(channel):
        raise CommandFailed(f"{pvname}: its IOC gives no right to write")
    data = text.encode("utf-8", "replace")
    value: Any = cut(text, MAX_STRING).decode()
    if ca.field_type(channel) == dbr.CHAR:
        size = ca.element_count(channel)
        value = [*cut(text, size - 1), 0] if len(data) >= size else [*data, 0]
    if ca.put(channel, value, wait=True, timeout=timeout) != 1:
        raise CommandFailed(f"{pvname}: the put was not completed within {timeout} s")


def _raise_if_failed(pvname: str, status: int) -> None:
    """Raise the error that a status of libca means.

    Only for ECA_PUTFAIL the IOC has more to say.
    """
    if status == ECA_NORMAL:
        return
    if status == ECA_PUTFAIL:
        raise PutFailedError(f"{pvname}: {meaning(status)}")
    if status == ECA_DISCONN:
        raise CommandFailed(f"{pvname}: the IOC went away before it was done")
    if status == ECA_NOWTACCESS:
        raise CommandFailed(
            f"{pvname}: the IOC refused the put (ECA_NOWTACCESS): its access security gives"
            f" {user()}@{socket.gethostname()} no right to write; ask for a change of `asg`"
            " or `write_hosts` of the IOC"
        )
    raise CommandFailed(f"{pvname}: {meaning(status)}")


def text(value: Any) -> str | None:
    """Return the value of a text PV without characters that control a terminal; None stays None.

    libca clients get it as an array of CHAR, up to its NUL. A single element comes as a number.
    """
    if value is None:
        return None
    if isinstance(value, str):
        data = value.encode("utf-8", "replace")
    else:
        data = bytes([value]) if isinstance(value, int) else bytes(value)
    return clean(data.partition(b"\0")[0])


def number(value: Any) -> int | float | None:
    """Return the value of a number PV as a number of Python."""
    return value if value is None or isinstance(value, int) else float(value)
