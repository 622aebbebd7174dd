"""The messages of Channel Access on a connection: bytes become requests, answers become bytes.

It knows headers, and not what is asked for. It does not record what either side has said: this
server accepts what base's server accepts (decision 23).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import caproto as ca

HEADER = struct.Struct(">HHHHII")  # command, bytes that follow, type, count, two parameters
EXTENSION = struct.Struct(">II")  # bytes that follow, and count, if the header has no room for them
EXTENDED = 0xFFFF
LONGEST_REQUEST = 1 << 14  # bytes, as base has it by default; puts of arrays may be longer
NO_CHANNEL = 0xFFFFFFFF  # the client's number of none
LONGEST_NAME = 512  # bytes of a user, host or PV, as in base
MINOR_VERSION = ca.DEFAULT_PROTOCOL_VERSION

VERSION, EVENT_ADD, EVENT_CANCEL, READ, WRITE, SEARCH, EVENTS_OFF, EVENTS_ON = (
    0,
    1,
    2,
    3,
    4,
    6,
    8,
    9,
)
READ_SYNC, ERROR, CLEAR, NOT_FOUND, READ_NOTIFY, CREATE, WRITE_NOTIFY = 10, 11, 12, 14, 15, 18, 19
CLIENT_NAME, HOST_NAME, RIGHTS, ECHO, CREATE_FAILED, DISCONNECTED = 20, 21, 22, 23, 26, 27

# The results of a request, from caerr.h.
ECA_NORMAL = ca.CAStatus.ECA_NORMAL.value.code_with_severity
ECA_TOLARGE = ca.CAStatus.ECA_TOLARGE.value.code_with_severity
ECA_ADDFAIL = ca.CAStatus.ECA_ADDFAIL.value.code_with_severity
ECA_BADTYPE = ca.CAStatus.ECA_BADTYPE.value.code_with_severity
ECA_INTERNAL = ca.CAStatus.ECA_INTERNAL.value.code_with_severity
ECA_GETFAIL = ca.CAStatus.ECA_GETFAIL.value.code_with_severity
ECA_PUTFAIL = ca.CAStatus.ECA_PUTFAIL.value.code_with_severity
ECA_NORDACCESS = ca.CAStatus.ECA_NORDACCESS.value.code_with_severity
ECA_NOWTACCESS = ca.CAStatus.ECA_NOWTACCESS.value.code_with_severity
ECA_PUTCBINPROG = ca.CAStatus.ECA_PUTCBINPROG.value.code_with_severity


class BrokenProtocolError(ValueError):
    """A client sends what no Channel Access client should send. Its connection ends."""


class Request(NamedTuple):
    """One message of a client. The command says what `one` and `two` mean.

    For most commands `one` is the server's number of the channel (sid), and `two` is the client's
    number of the request.
    """

    command: int
    kind: int
    elements: int
    one: int
    two: int
    payload: bytes

    @property
    def name(self) -> str:
        """Return the text that the message carries."""
        return self.payload.partition(b"\0")[0].decode("latin-1")


Admit = Callable[[int, int, int, int], None]


def first_request(data: bytearray, admit: Admit) -> Request | None:
    """Take the first message off the start of `data`; return None if it has not come whole.

    `admit(command, kind, one, size)` is called with the head, also of a message that is not
    complete, and raises BrokenProtocolError if the message is too long.
    """
    if len(data) < HEADER.size:
        return None
    command, size, kind, count, one, two = HEADER.unpack_from(data)
    start = HEADER.size
    if size == EXTENDED:
        if len(data) < start + EXTENSION.size:
            return None
        size, count = EXTENSION.unpack_from(data, start)
        start += EXTENSION.size
    admit(command, kind, one, size)
    end = start + size
    if len(data) < end:
        return None
    request = Request(command, kind, count, one, two, bytes(data[start:end]))
    del data[:end]
    return request


def message(
    command: int,
    kind: int = 0,
    count: int = 0,
    one: int = 0,
    two: int = 0,
    payload: bytes = b"",
) -> bytes:
    """Return the bytes of a message, its payload padded to a multiple of 8."""
    size = (len(payload) + 7) & ~7
    if size != len(payload):
        payload = payload.ljust(size, b"\0")
    header, extension = _head(command, size, kind, count, one, two)
    return header + extension + payload


def bytes_of_gets(data: bytearray) -> int:
    """Return how many bytes the whole gets at the start of the data have."""
    at, end, begins = 0, len(data) - HEADER.size, READ_NOTIFY.to_bytes(2) + bytes(2)
    while at <= end and data.startswith(begins, at):
        at += HEADER.size
    return at


def around(kind: int, count: int, status: int, payload: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return a message without its command and its last parameter: what is between, what follows.

    A payload of 640 KB in several parts is copied once.
    """
    size = sum(map(len, payload))
    padding = -size % 8
    header, extension = _head(0, size + padding, kind, count, status, 0)
    return header[2:12], b"".join((extension, *payload, bytes(padding)))


def _head(
    command: int, size: int, kind: int, count: int, one: int, two: int
) -> tuple[bytes, bytes]:
    """Return the header of a message, and its extension if there must be one."""
    if size < EXTENDED and count < EXTENDED:
        return HEADER.pack(command, size, kind, count, one, two), b""
    header = HEADER.pack(command, EXTENDED, kind, 0, one, two)
    return header, EXTENSION.pack(size, count)


def error(request: Request, cid: int, status: int, why: str) -> bytes:
    """Return the message for a request that failed and has no answer of its own.

    Args:
        request: the client's request; its header goes back to the client.
        cid: the client's number of the channel.
        status: one of the ECA codes.
        why: text that the client shows; base sends the PV's name.
    """
    command, kind, count, one, two, payload = request
    header, extension = _head(command, len(payload), kind, count, one, two)
    text = header + extension + why.encode("utf-8", "replace")[: LONGEST_NAME - 1] + b"\0"
    return message(ERROR, one=cid, two=status, payload=text)
