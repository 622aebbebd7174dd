"""Answers to reads: made once, kept until the value changes, and sent to all who ask.

A repeated get takes a microsecond. So does the update of a monitor if another of its kind was sent.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from bgrscrpt_ioc.ca import messages, wire
from bgrscrpt_ioc.ca.channels import Channel, Reading, no_reading
from bgrscrpt_ioc.ca.messages import ECA_GETFAIL, ECA_NORDACCESS, ECA_NORMAL, READ_NOTIFY

PLAIN = struct.Struct(">HHHHI")  # of a request, up to the client's number of the request
REQUEST = 16  # bytes
IDENTITY = slice(12, 16)  # of a message
COMMANDS = {each: each.to_bytes(2) for each in (messages.READ_NOTIFY, messages.EVENT_ADD)}
KEPT = 8  # answers of one channel: clients ask for few types
LARGEST_KEPT = 1 << 15  # bytes of an answer: a larger one takes as long to copy as to make


def answer(
    channel: Channel, kind: int, count: int, *, readable: bool, keep: bool = True
) -> tuple[bytes, bytes]:
    """Return the answer to a read: the bytes between command and identity, and the bytes after.

    Args:
        channel: what is read.
        kind: the DBR type to read it as.
        count: the number of elements, 0 for all.
        readable: whether the client may read it.
        keep: whether the answer is kept; tests that compare do without.
    """
    found = channel.answers.get((kind, count)) if readable else None
    if found is not None:
        return found
    status = ECA_NORMAL
    if not readable:
        reading, status = no_reading(kind, count), ECA_NORDACCESS
    else:
        try:
            reading = channel.read(kind, count)
        except wire.ConversionError:  # as base does: zeros, and a status that says so
            reading, status = no_reading(kind, count, least=0), ECA_GETFAIL
    made = around(kind, status, reading)
    if (
        keep
        and status == ECA_NORMAL
        and len(channel.answers) < KEPT
        and len(made[1]) <= LARGEST_KEPT
    ):
        channel.answers[kind, count] = made
    return made


def around(kind: int, status: int, reading: Reading) -> tuple[bytes, bytes]:
    """Return a reading as `answer` does."""
    return messages.around(kind, reading.elements, status, (reading.metadata, reading.data))


def message(command: int, identity: int, made: tuple[bytes, bytes]) -> bytes:
    """Return the whole message for one get or one monitor."""
    head, tail = made
    return COMMANDS[command] + head + identity.to_bytes(4) + tail


def answered(
    data: memoryview,
    readable: Mapping[int, Channel],
    put: Callable[[bytes], bool],
) -> int:
    """Answer the plain gets at the start of the data; return how many bytes these gets have.

    Args:
        data: what a client has sent.
        readable: the channels that the client may read, by sid.
        put: sends an answer; returns False if the client must wait.
    """
    at, end, start = 0, len(data), COMMANDS[READ_NOTIFY]
    while at + REQUEST <= end:
        command, size, kind, count, sid = PLAIN.unpack_from(data, at)
        channel = readable.get(sid) if command == READ_NOTIFY and not size else None
        if channel is None or channel.live.refresh is not None:
            break
        found = channel.answers.get((kind, count))
        if found is None:
            break
        head, tail = found
        identity = bytes(data[at + IDENTITY.start : at + IDENTITY.stop])
        at += REQUEST
        if not put(start + head + identity + tail):
            break
    return at
