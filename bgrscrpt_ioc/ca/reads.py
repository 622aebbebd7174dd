"""Answers to reads that are kept until the value changes, and given without caproto.

A get that is asked for again takes a microsecond, not a hundred. Whatever is not a plain read of a
value that is at hand is left to caproto, and so is all that follows it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from bgrscrpt_ioc.ca.channels import Channel

HEADER = struct.Struct(">HHHHI")  # of a request, up to the identity that the client gives it
REQUEST = 16  # bytes
IDENTITY = slice(12, 16)  # of a message
READ_NOTIFY = 15
KEPT = 8  # answers of one channel: clients ask for few types


def keep(channel: Channel, kind: int, count: int, answer: Any) -> None:
    """Keep the answer, a message of caproto's, until the channel changes."""
    if channel.refresh is None and len(channel.answers) < KEPT:
        data = bytes(answer)
        channel.answers[kind, count] = data[: IDENTITY.start], data[IDENTITY.stop :]


def answered(
    data: memoryview,
    served: Mapping[int, Channel],
    put: Callable[[bytes], bool],
) -> int:
    """Answer the plain reads that the data begin with; return how many bytes they were.

    Args:
        data: what a client has sent.
        served: its channels, by sid.
        put: sends an answer; False when the client is to wait.
    """
    at = 0
    while at + REQUEST <= len(data):
        command, size, kind, count, sid = HEADER.unpack_from(data, at)
        channel = served.get(sid) if command == READ_NOTIFY and not size else None
        answer = channel.answers.get((kind, count)) if channel is not None else None
        if answer is None:
            break
        start, end = answer
        identity = bytes(data[at + IDENTITY.start : at + IDENTITY.stop])
        at += REQUEST
        if not put(start + identity + end):
            break
    return at
