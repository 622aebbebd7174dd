"""What a script prints: bytes in, whole lines out, and the newest of them as text for LOG.

Pure. Nothing here is done line by line while output comes in: a script may print a million lines.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

LONGEST_LINE = 1 << 16  # bytes; a longer line is kept in pieces of this, each counted as a line
BACKLOG = 4  # times the size of the tail: how much output waits to be cleaned

# ECMA-48: CSI sequences; strings (OSC, DCS, SOS, PM, APC) up to BEL or ST; escapes of two bytes and
# more. Every end is optional: an unfinished sequence is no text either, and nothing backtracks.
_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)"
)
_CONTROL = bytes({*range(32), 127} - {*b"\t\n"})
_C1 = re.compile(r"[\x80-\x9f]+")  # further control characters; in UTF-8 they are _C1_RAW
_C1_RAW = re.compile(rb"\xc2[\x80-\x9f]")


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines as the script wrote them, colours and all; `raw` ends with a newline."""

    raw: bytes
    lines: int


NOTHING = Block(b"", 0)


@dataclass(slots=True)
class LineFramer:
    """Bytes as they were read, in any chunks -> blocks of whole lines.

    A line longer than `longest` (bytes, at least 4) comes in pieces, each of them a line: cut after
    a carriage return if there is one (a progress bar that never ends its line), else between two
    characters. No byte is lost, and at most `longest` bytes wait for the end of their line.
    """

    longest: int = LONGEST_LINE
    _rest: bytes = b""

    def feed(self, data: bytes) -> Block:
        """Take what was read; return the lines that it completes."""
        data = self._rest + data
        pieces: list[bytes] = []
        start = at = 0  # of the lines not in `pieces` yet; of the lines not looked at yet
        while len(data) - at > self.longest:
            end = data.rfind(b"\n", at, at + self.longest + 1) + 1
            if not end:
                end = self._break(data, at)
                pieces.append(data[start:end])
                start = end
            at = end
        end = max(at, data.rfind(b"\n", at) + 1)
        self._rest = data[end:]
        raw = b"\n".join([*pieces, data[start:end]])
        return Block(raw, raw.count(b"\n")) if raw else NOTHING

    def _break(self, data: bytes, at: int) -> int:
        end = at + self.longest
        return data.rfind(b"\r", at, end) + 1 or _boundary(data, end)

    def flush(self) -> Block:
        """Complete the line that was begun, if there is one: no more output will come."""
        return self.feed(b"\n") if self._rest else NOTHING

    @property
    def pending(self) -> str:
        """The line that was begun, as LOG may show it; empty when there is none."""
        return clean(self._rest, whole=False)


class Tail:
    """The newest lines, in `size` bytes of UTF-8 with the NUL that ends them.

    Output is cleaned when it is asked for, not when it comes. Between the two at most some
    `BACKLOG` times `size` bytes are kept, and the newest block.
    """

    def __init__(self, size: int) -> None:
        self.count = 0  # lines ever appended
        self._size = size
        self._fresh: list[bytes] = []
        self._held = 0  # bytes in _fresh
        self._shown = b""  # clean lines, older than the fresh ones, each with its newline
        self._newest = b""

    def append(self, block: Block) -> None:
        """Take the next lines."""
        if not block.lines:
            return
        self.count += block.lines
        self._newest = block.raw[block.raw.rfind(b"\n", 0, -1) + 1 :]
        self._fresh.append(block.raw)
        self._held += len(block.raw)
        if self._held > BACKLOG * self._size:
            self._settle()

    def text(self, pending: str = "") -> str:
        """The newest lines that fit, oldest first, with newlines between them.

        A line that does not fit alone is cut at a character boundary and keeps its beginning.
        `pending` (of the framer) is shown as if it were the newest line.
        """
        self._settle()
        lines = self._shown + (pending.encode() + b"\n" if pending else b"")
        text = _last_lines(lines, self._size)[:-1]
        return text[: _boundary(text, self._size - 1)].decode()

    @property
    def newest(self) -> str:
        """The newest line, however long."""
        return clean(self._newest[:-1])

    def _settle(self) -> None:
        """Clean what came: of its end as much as can be shown, found in a look or two."""
        raw = b"".join(self._fresh)
        self._fresh.clear()
        self._held = 0
        span, start, shown = self._size, len(raw), b""
        while start and len(shown) < self._size:
            start = raw.rfind(b"\n", 0, max(0, len(raw) - span)) + 1
            shown = clean(raw[start:]).encode()
            span = 2 * (len(raw) - start)
        self._shown = _last_lines(self._shown + shown, self._size)


def clean(raw: bytes, *, whole: bool = True) -> str:
    """Output as text: what a terminal would show of it at last, without colours.

    Of a line with carriage returns that is what stands behind the last one. Bytes that are not
    UTF-8 become U+FFFD; an unfinished character at the end is left out where more is to come
    (`whole=False`). Control characters go: a NUL would end the text for a CA client.
    """
    raw = raw.replace(b"\r\n", b"\n")
    if b"\r" in raw:
        raw = b"\n".join(_last_state(line) for line in raw.split(b"\n"))
    if b"\x1b" in raw:
        raw = _ESCAPE.sub(b"", raw)
    raw = raw.translate(None, _CONTROL)
    text, _ = codecs.utf_8_decode(raw, "replace", whole)
    return _C1.sub("", text) if _C1_RAW.search(raw) else text


def prefixed(raw: bytes, prefix: bytes) -> bytes:
    """Whole lines with `prefix` in front of each."""
    return prefix + raw[:-1].replace(b"\n", b"\n" + prefix) + b"\n" if raw else b""


def cut(text: str, size: int) -> bytes:
    """`text` in UTF-8, at most `size` bytes of it, cut between two characters."""
    data = text.encode("utf-8", "replace")
    return data[: _boundary(data, size)]


def _last_state(line: bytes) -> bytes:
    line = line.rstrip(b"\r")
    return line[line.rfind(b"\r") + 1 :]


def _last_lines(lines: bytes, size: int) -> bytes:
    """The last whole lines in at most `size` bytes; the last one if even that is longer."""
    if len(lines) <= size:
        return lines
    start = lines.find(b"\n", len(lines) - size - 1) + 1
    return lines[start:] or lines[lines.rfind(b"\n", 0, -1) + 1 :]


def _boundary(data: bytes, end: int) -> int:
    """`end`, or the start of the UTF-8 character that it would cut in two."""
    for at in range(end, max(end - 4, -1), -1):
        if at >= len(data) or data[at] & 0xC0 != 0x80:
            return at
    return end
