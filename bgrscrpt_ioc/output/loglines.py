"""Makes whole lines of the bytes that a script prints, and keeps the newest lines for LOG.

Pure. Nothing is done line by line when output comes: a script may print a million lines.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

# Bytes; a longer line is kept in pieces of this size, each counted as a line.
LONGEST_LINE = 1 << 16
# Times the size of the tail: how much output waits to be cleaned. LOG is posted and so cleaned ten
# times a second: only a flood has that much.
BACKLOG = 64
ENOUGH = 256  # bytes that are cleaned at least in each further step

# ECMA-48: CSI sequences; strings (OSC, DCS, SOS, PM, APC) up to BEL or ST; escapes of two bytes and
# more. Every end is optional, because an unfinished sequence is no text either. Nothing backtracks.
_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)"
)
_CONTROL = bytes({*range(32), 127} - {*b"\t\n"})
_C1 = re.compile(r"[\x80-\x9f]+")  # further control characters; in UTF-8 they are _C1_RAW
_C1_RAW = re.compile(rb"\xc2[\x80-\x9f]")

# Characters that control a terminal, or make it show text in another order.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNSEEN_IN_LINES = re.compile(_UNSEEN.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return the text with control characters written as escapes, such as `\x1b`.

    With `lines`, newlines and tabs stay. Lone surrogates become `?`, because no PV, file or
    database can hold them.
    """
    if text.isprintable():
        return text
    return (_UNSEEN_IN_LINES if lines else _UNSEEN).sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    return "?" if found[0] >= "\ud800" else ascii(found[0])[1:-1]


OURS = b"--- "  # the beginning of the IOC's own lines
ESCAPED = b"\\" + OURS
# Bytes after which a terminal, an editor or a program may see the beginning of a line.
_BEGINS = re.compile(rb"[\x00-\x08\v-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
_BEFORE = 256  # bytes before such a line in which these are looked for
_MANY = 200  # lines in one block: if there are more, all are escaped, to save time
# What Python prints for an uncaught KeyboardInterrupt, with the exceptions that led to it.
_FRAMES = rb"^Traceback \(most recent call last\):\n(?: .*\n)+"
_INTERRUPT = re.compile(
    rb"(?:" + _FRAMES + rb"(?! ).+\n\n(?:During handling|The above exception).*\n\n)*"
    + _FRAMES + rb"KeyboardInterrupt(?::.*)?\n",
    re.MULTILINE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines as the script wrote them, including colours; `raw` ends with a newline."""

    raw: bytes
    lines: int


NOTHING = Block(b"", 0)


def guarded(block: Block) -> Block:
    r"""Return the block with `\--- ` where a line looks like one of the IOC, `--- Stopped by ...`.

    So a line that begins with `--- ` is always the IOC's, in LOG and in files, whatever a script
    prints. Control characters that hide the real beginning of a line do not help a script.
    """
    raw = block.raw
    count = raw.count(OURS)
    if count == 0:
        return block
    if count > _MANY:
        return Block(raw.replace(OURS, ESCAPED), block.lines)
    pieces: list[bytes] = []
    at = 0
    while (found := raw.find(OURS, at)) >= 0:
        begin = max(raw.rfind(b"\n", 0, found) + 1, found - _BEFORE)
        is_like_ours = begin == found or _BEGINS.search(raw, begin, found)
        pieces += [raw[at:found], ESCAPED if is_like_ours else OURS]
        at = found + len(OURS)
    return Block(b"".join([*pieces, raw[at:]]), block.lines)


@dataclass(slots=True)
class LineFramer:
    """Makes blocks of whole lines from bytes that come in any chunks.

    A line longer than `longest` (bytes, at least 4) comes in pieces, each of them a line. It is cut
    after a carriage return if there is one (a progress bar without newlines), otherwise between two
    characters. No byte is lost, and at most `longest` bytes wait for the end of their line.
    """

    longest: int = LONGEST_LINE
    _rest: bytes = b""

    def feed(self, data: bytes) -> Block:
        """Take bytes; return the lines that they complete."""
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
        """Return the unfinished line, if there is one: no more output will come."""
        return self.feed(b"\n") if self._rest else NOTHING

    @property
    def pending(self) -> str:
        """Return the unfinished line as LOG may show it; empty if there is none."""
        text = clean(guarded(Block(self._rest, 0)).raw, whole=False)
        return f"\\{text}" if text.startswith("--- ") else text


class Tail:
    """The newest lines, in `size` bytes of UTF-8 including the NUL that ends them.

    Output is cleaned when somebody asks for it, not when it comes. Until then about `BACKLOG` times
    `size` bytes are kept at most, and the newest block.
    """

    def __init__(self, size: int) -> None:
        self.count = 0  # all lines ever appended
        self._size = size
        self._fresh: list[bytes] = []
        self._held = 0  # bytes in _fresh
        self._shown = b""  # clean lines, older than the fresh ones, each with its newline
        self._newest = b""

    def append(self, block: Block) -> None:
        """Append lines."""
        if not block.lines:
            return
        self.count += block.lines
        self._newest = block.raw[block.raw.rfind(b"\n", 0, -1) + 1 :]
        self._fresh.append(block.raw)
        self._held += len(block.raw)
        if self._held > BACKLOG * self._size:
            self._settle()

    def note(self, text: str) -> None:
        """Show a line of the IOC's own. It is not counted, and never the newest line."""
        self._settle()
        self._shown = _last_lines(self._shown + f"--- {visible(text)}\n".encode(), self._size)

    def forget_interrupt(self) -> None:
        """Remove the last traceback of a KeyboardInterrupt since our last line.

        Its lines stay counted.
        """
        self._settle()
        begin = self._shown.rfind(b"\n--- ") + 1
        if found := [*_INTERRUPT.finditer(self._shown, begin)]:
            last = found[-1]
            self._shown = self._shown[: last.start()] + self._shown[last.end() :]
            if self._newest.startswith(b"KeyboardInterrupt"):
                self._newest = self._shown[self._shown.rfind(b"\n", 0, -1) + 1 :]

    def text(self, pending: str = "") -> str:
        """Return the newest lines that fit, oldest first, with newlines between them.

        If a line does not fit alone, its beginning is kept, cut between two characters. `pending`
        (of the framer) is shown as if it were the newest line.
        """
        self._settle()
        lines = self._shown + (pending.encode() + b"\n" if pending else b"")
        text = _last_lines(lines, self._size)[:-1]
        return text[: _boundary(text, self._size - 1)].decode()

    @property
    def newest(self) -> str:
        """Return the newest line, however long."""
        return clean(self._newest[:-1])

    def _settle(self) -> None:
        """Clean what has come, as much of its end as can be shown, in a few steps."""
        raw = b"".join(self._fresh)
        self._fresh.clear()
        self._held = 0
        span, end, shown = self._size, len(raw), b""
        while end and len(shown) < self._size:
            start = raw.rfind(b"\n", 0, max(0, end - span)) + 1
            # Cleaning may have uncovered the beginning of a line that looks like ours.
            more = b"\n" + clean(raw[start:end]).encode()
            shown = more.replace(b"\n" + OURS, b"\n" + ESCAPED)[1:] + shown
            cleaned = len(raw) - start
            wanted = cleaned * (self._size - len(shown)) // max(1, len(shown)) + ENOUGH
            end, span = start, min(2 * cleaned, wanted)
        self._shown = _last_lines(self._shown + shown, self._size)


def clean(raw: bytes, *, whole: bool = True) -> str:
    """Return output as text: what a terminal would show in the end, without colours.

    Of a line with carriage returns, that is the part after the last one. Bytes that are not UTF-8
    become U+FFFD. An unfinished character at the end is left out if more is to come
    (`whole=False`). Control characters are removed: a NUL would end the text for a CA client.
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
    """Return whole lines with `prefix` before each."""
    return prefix + raw[:-1].replace(b"\n", b"\n" + prefix) + b"\n" if raw else b""


def cut(text: str, size: int) -> bytes:
    """Return `text` in UTF-8, cut to at most `size` bytes between two characters."""
    data = text.encode("utf-8", "replace")
    return data[: _boundary(data, size)]


def _last_state(line: bytes) -> bytes:
    line = line.rstrip(b"\r")
    return line[line.rfind(b"\r") + 1 :]


def _last_lines(lines: bytes, size: int) -> bytes:
    """Return the last whole lines in at most `size` bytes; the last line even if it is longer."""
    if len(lines) <= size:
        return lines
    start = lines.find(b"\n", len(lines) - size - 1) + 1
    return lines[start:] or lines[lines.rfind(b"\n", 0, -1) + 1 :]


def _boundary(data: bytes, end: int) -> int:
    """Return `end`, or the beginning of the UTF-8 character that a cut at `end` would divide."""
    for at in range(end, max(end - 4, -1), -1):
        if at >= len(data) or data[at] & 0xC0 != 0x80:
            return at
    return end


def duration(seconds: float) -> str:
    """Return a time as people say it: `42 s`, `12 min 5 s`, `3 h 12 min`, `9 d 4 h`."""
    whole = int(seconds)
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"))
    said = [*parts, (whole % 60, "s")]
    first = next((at for at, (count, _) in enumerate(said) if count), len(said) - 1)
    return " ".join(
        f"{count} {unit}" for at, (count, unit) in enumerate(said[first : first + 2])
        if count or not at
    )  # fmt: skip
