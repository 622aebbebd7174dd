r"""Reads the bytes that a script's interpreter sends, and returns its messages; see parsing.py.

Pure. The sender is not trusted: whatever comes, memory is bounded and nothing is raised.

A message travels in frames of at most `PIPE_BUF` bytes (4096 on Linux): only such frames are
written whole when several processes share a pipe, and the script's forked children share it. A
frame is `<pid>+<part>\n`. The last frame of a message is `<pid>=<part>\n` or, if the message is the
value of a PV, `<pid>!<part>\n`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from bgrscrpt_ioc.process.messages import Alive, Message, Refused
from bgrscrpt_ioc.process.parsing import parse, parse_value

MAX_FRAME = 4096  # bytes, newline included
MAX_MESSAGE = 1 << 18  # bytes of one message with all its parts
MAX_PARTS = 128  # of one message; `bgrscrpt` sends parts of 4000 bytes
MAX_VALUE = 1 << 21  # bytes of a PV's value: each of 800,000 bytes may be escaped
MAX_VALUE_PARTS = 600
MAX_UNFINISHED = 16  # senders of which half a message has come
PORTION = 64  # frames that are looked at in one go
FEW = 32  # frames that wait and are no flood: each of them is read
LAST = 4096  # frames that are looked at when no more will come; more are no messages of `bgrscrpt`
VALUE_BEGINS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:")  # as the names of PVs begin
# Of these kinds only the newest message counts. `bgrscrpt` begins them like this.
NEWEST = tuple(f'{{"kind":"{kind}",'.encode() for kind in ("alive", "message", "progress"))
_HEAD = re.compile(rb"(\d{1,11})([!+=])").match


@dataclass(slots=True)
class _Unfinished:
    """The message of one sender that has not come whole."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    is_refused: bool = False  # its further frames are dropped

    @property
    def is_too_long(self) -> bool:
        """Return whether it is longer than a message of its kind may be."""
        if self.parts[0][:1] and self.parts[0][0] in VALUE_BEGINS:
            return self.size > MAX_VALUE or len(self.parts) > MAX_VALUE_PARTS
        return self.size > MAX_MESSAGE or len(self.parts) > MAX_PARTS


@dataclass(slots=True)
class MessageReader:
    """Turns the bytes of the channel into messages, in the order in which they are complete.

    Bytes that were taken cost nothing until they are read, a portion of frames at a time. Of the
    heartbeats, texts and percentages of a portion, only the newest are read.
    """

    _rest: bytes = b""  # the frames after this portion, and the beginning of the next one
    _is_divided: bool = True  # `_rest` has no whole frame
    _skipping: bool = False  # inside a frame that is too long
    # The frames of this portion, each with the number of messages that it stands for.
    _frames: deque[tuple[bytes, int]] = field(default_factory=deque)
    _refused: list[Refused] = field(default_factory=list)
    _unfinished: dict[bytes, _Unfinished] = field(default_factory=dict)
    _size: int = 0  # bytes of all unfinished messages

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes of the channel; yield the messages that they complete."""
        self.take(data)
        yield from self.read_all()

    @property
    def waits(self) -> bool:
        """Return whether some bytes were taken and not read."""
        return bool(self._frames or self._refused or not self._is_divided)

    def take(self, data: bytes) -> None:
        """Take bytes of the channel."""
        self._rest += data
        self._is_divided = False

    def read(self) -> Iterator[Message]:
        """Yield the messages of one portion; the caller may stop, and go on later.

        There may be none, though more frames wait.
        """
        if not self._frames:
            self._divide()
        while self._refused:
            yield self._refused.pop(0)
        while self._frames:
            frame, count = self._frames.popleft()
            head = _HEAD(frame)
            if head is not None and head[2] == b"!" and head[1] not in self._unfinished:
                yield parse_value(frame[head.end() :])
                continue
            for message in self._frame(frame):
                yield Alive(message.count, count) if isinstance(message, Alive) else message

    def read_all(self) -> Iterator[Message]:
        """Yield the messages of all that was taken."""
        while self.waits:
            yield from self.read()

    def shorten(self) -> None:
        """Drop frames from the middle of what waits, if they are too many to be messages."""
        count = self._rest.count(b"\n")
        if count > LAST:
            *first, _ = self._rest.split(b"\n", LAST // 2)
            _, *last = self._rest.rsplit(b"\n", LAST // 2)
            self._rest = b"\n".join([*first, *last])
            self._refused.append(Refused(f"{count} frames in a row: too many for messages"))

    def _divide(self) -> None:
        """Make frames of the next portion of bytes."""
        *frames, self._rest = self._rest.split(b"\n", PORTION)
        self._is_divided = len(frames) < PORTION
        if self._skipping and frames:
            self._skipping = False
            del frames[0]
        stands_for = self._newest(frames)
        for at, frame in enumerate(frames):
            count = stands_for.get(at, 1)
            if len(frame) >= MAX_FRAME:
                self._refused.append(Refused("a frame longer than a pipe writes whole"))
            elif frame and count:  # the bootstrap's first frame is empty
                self._frames.append((frame, count))
        if self._is_divided and len(self._rest) >= MAX_FRAME:
            if not self._skipping:
                self._refused.append(Refused("a frame without an end"))
            self._rest, self._skipping = b"", True

    def skim(self) -> int:
        """Drop the values of PVs in this portion, except the newest of each PV; return how many.

        If few frames wait, none is dropped: the IOC may be slow, and the script says little.
        """
        if len(self._frames) + self._rest.count(b"\n") <= FEW:
            return 0
        if not self._frames:
            self._divide()
        newest: dict[bytes, int] = {}
        older: set[int] = set()
        begun = set(self._unfinished)  # the next frame of such a sender is no whole message
        for at, (frame, _) in enumerate(self._frames):
            sender, mark, part = _split(frame)
            if mark == b"+":
                begun.add(sender)
            elif sender in begun:
                begun.discard(sender)
            elif mark == b"!":
                name = part[: part.find(b"=")].partition(b"/")[0]
                if name in newest:
                    older.add(newest[name])
                newest[name] = at
        if older:
            kept = (each for at, each in enumerate(self._frames) if at not in older)
            self._frames = deque(kept)
        return len(older)

    def _newest(self, frames: list[bytes]) -> dict[int, int]:
        """Return for how many messages each frame stands; 0 if a newer frame stands for it."""
        last: dict[bytes, int] = {}
        stands_for: dict[int, int] = {}
        for at, frame in enumerate(frames):
            sender, _, part = frame.partition(b"=")
            if part.startswith(NEWEST) and sender not in self._unfinished:
                key = sender + part[:15]
                before = last.get(key, at)
                stands_for[at] = stands_for.get(before, 0) + 1
                if before != at:
                    stands_for[before] = 0
                last[key] = at
        return stands_for

    def _frame(self, frame: bytes) -> Iterator[Message]:
        sender, mark, part = _split(frame)
        if not sender:
            yield Refused("a frame without a sender")
            return
        if mark != b"+":
            before = self._drop(sender) if self._unfinished else None
            if before is not None and before.is_refused:
                return
            whole = b"".join([*before.parts, part]) if before else part
            if mark == b"!":
                yield parse_value(whole)
            else:
                yield parse(whole)
            return
        message = self._unfinished.setdefault(sender, _Unfinished())
        if message.is_refused:
            return
        message.parts.append(part)
        message.size += len(part)
        self._size += len(part)
        if message.is_too_long:
            self._size -= message.size
            self._unfinished[sender] = _Unfinished(is_refused=True)
            yield Refused(f"a message of more than {MAX_MESSAGE >> 10} KiB, or in too many parts")
        elif len(self._unfinished) > MAX_UNFINISHED or self._size > 2 * MAX_VALUE:
            self._drop(next(iter(self._unfinished)))  # the oldest, because its sender may be dead
            yield Refused("too many unfinished messages at once")

    def _drop(self, sender: bytes) -> _Unfinished | None:
        message = self._unfinished.pop(sender, None)
        if message is not None:
            self._size -= message.size
        return message


def _split(frame: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the sender, mark and part of a frame; nothing if it is no frame."""
    found = _HEAD(frame)
    if found is None:
        return b"", b"", b""
    sender, mark = found.groups()
    return sender, mark, frame[found.end() :]
