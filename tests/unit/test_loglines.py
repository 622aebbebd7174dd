"""Output in any chunks gives the same lines, and LOG shows the newest of them."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bgrscrpt_ioc.output import loglines
from bgrscrpt_ioc.output.loglines import (
    NOTHING,
    Block,
    LineFramer,
    Tail,
    clean,
    cut,
    guarded,
    prefixed,
    visible,
)

# Bytes that matter to framing and cleaning come often, all others now and then.
OUTPUT = st.lists(
    st.one_of(
        st.sampled_from([b"\n", b"\r", b"\r\n", b"\x1b[1;31m", b"\x1b]0;t\x07", b"\x1b", b"\0"]),
        st.sampled_from(["é", "漢", "😀"]).map(str.encode),
        st.binary(max_size=12),
    )
).map(b"".join)


def framed(output: bytes, cuts: list[int], longest: int = 1 << 16) -> bytes:
    """Return all that a framer makes of `output` when it is read in pieces that end at `cuts`."""
    framer = LineFramer(longest)
    ends = [0, *sorted(at % (len(output) + 1) for at in cuts), len(output)]
    blocks = [framer.feed(output[start:end]) for start, end in pairwise(ends)]
    blocks.append(framer.flush())
    for block in blocks:
        assert block.lines == block.raw.count(b"\n")
        assert not block.raw or block.raw.endswith(b"\n")
    return b"".join(block.raw for block in blocks)


def tail_of(output: bytes, size: int = 1000) -> Tail:
    tail = Tail(size)
    tail.append(Block(output, output.count(b"\n")))
    return tail


@given(output=OUTPUT, cuts=st.lists(st.integers(0)), longest=st.integers(4, 30))
def test_any_chunking_gives_the_same_lines(output: bytes, cuts: list[int], longest: int) -> None:
    """The lines do not show how the output was cut into reads."""
    assert framed(output, cuts, longest) == framed(output, [], longest)


@given(output=OUTPUT, longest=st.integers(4, 30))
def test_nothing_is_lost_and_no_line_is_too_long(output: bytes, longest: int) -> None:
    """Lines have the script's own bytes. Long ones have newlines added, and nothing is removed."""
    lines = framed(output, [], longest)
    assert lines.replace(b"\n", b"") == output.replace(b"\n", b"")
    assert all(len(line) <= longest for line in lines.split(b"\n"))
    if all(len(line) <= longest for line in output.split(b"\n")):
        assert lines == output + b"\n" * (not output.endswith((b"\n", b"")) or lines != output)


@given(text=st.text(alphabet="aé漢😀"), longest=st.integers(4, 30))
def test_a_long_line_is_cut_between_characters(text: str, longest: int) -> None:
    """Each piece of a line that is too long is valid UTF-8."""
    assert framed(text.encode(), [], longest).decode().replace("\n", "") == text


def test_a_long_line_of_no_characters_is_cut_at_the_limit() -> None:
    """If no character begins there, the pieces are as long as they may be."""
    assert framed(b"\x80" * 10, [], longest=4) == b"\x80\x80\x80\x80\n" * 2 + b"\x80\x80\n"


def test_a_long_line_without_end_is_kept_in_bounded_memory() -> None:
    """A line of 10 MB comes in pieces of 64 KiB while it is read, and counts as that many lines."""
    framer = LineFramer()
    lines = 0
    for _ in range(100):
        block = framer.feed(b"x" * 100_000)
        lines += block.lines
        assert len(framer.pending) <= loglines.LONGEST_LINE
    assert lines + framer.flush().lines == -(-10_000_000 // loglines.LONGEST_LINE)


def test_a_progress_bar_is_one_line() -> None:
    """If a line has carriage returns, the block has all of it, and the last state is shown."""
    framer = LineFramer()
    assert framer.feed(b"50%\r60") == NOTHING
    assert framer.pending == "60"
    block = framer.feed(b"%\r100%\n")
    assert block == Block(b"50%\r60%\r100%\n", 1)
    assert tail_of(block.raw).text() == "100%"
    assert framer.pending == ""


def test_a_progress_bar_without_end_is_cut_between_its_states() -> None:
    """A line without end comes in pieces of whole states, and the last state is pending."""
    framer = LineFramer(longest=10)
    assert framer.feed(b"10%\r20%\r30%\r40%").raw == b"10%\r20%\r\n"
    assert framer.pending == "40%"


def test_an_unfinished_character_is_not_shown_before_it_is_whole() -> None:
    """A character that was read in part does not appear as a replacement character."""
    framer = LineFramer()
    framer.feed("21 °".encode()[:-1])
    assert framer.pending == "21 "
    framer.feed("°".encode()[-1:])
    assert framer.pending == "21 °"


def test_an_unfinished_last_line_is_completed() -> None:
    """Output without a newline at its end loses nothing there; otherwise nothing is added."""
    framer = LineFramer()
    framer.feed(b"a\nb")
    assert framer.flush() == Block(b"b\n", 1)
    assert framer.flush() == NOTHING


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain\ttext\n", "plain\ttext\n"),
        (b"windows\r\n", "windows\n"),
        (b"doubled\r\r\n", "doubled\n"),
        (b"a\rb\nc\rd\r\n", "b\nd\n"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b[38:2::1:2:3mtrue colour\x1b[m", "true colour"),
        (b"\r\x1b[2K100%", "100%"),
        (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        (b"\x1b]0;title without end\nnext", "\nnext"),
        (b"\x1bPdcs\x1b\\a\x1b(Bb\x1b7c\x1b=d", "abcd"),
        (b"cut short\x1b[3\n\x1b", "cut short\n"),
        (b"\0\x01\x07\x08\x0b\x0c\x1f\x7f.", "."),
        ("\x80\x85\x9b°\xa0".encode(), "°\xa0"),
        (b"\xff\xfe\xc3", "\ufffd\ufffd\ufffd"),
        ("žluť 漢 😀".encode(), "žluť 漢 😀"),
    ],
)
def test_output_is_cleaned(raw: bytes, shown: str) -> None:
    """Colours, titles, overwritten text and control characters are removed.

    All other text stays.
    """
    assert clean(raw) == shown


@given(OUTPUT)
def test_clean_text_holds_nothing_that_harms(output: bytes) -> None:
    """Whatever was printed, no control character is left, and the number of lines is the same."""
    text = clean(output)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text)
    assert text.count("\n") == output.count(b"\n")


@pytest.mark.parametrize(
    "hostile",
    [b"\r" * 60_000 + b"x", b"\x1b[" * 30_000, b"\x1b]" + b"a" * 60_000, b"\x1b" * 60_000],
)
def test_cleaning_takes_linear_time(hostile: bytes) -> None:
    """Output made to be expensive is not. Only our own processor time is measured."""
    began = time.thread_time()
    assert len(clean(hostile * 50)) <= len(hostile) * 50
    assert time.thread_time() - began < 5


def reference_tail(output: bytes, size: int, pending: str) -> str:
    """Return the newest lines that fit, exactly as the contract says, and slowly."""
    lines = [re.sub("^--- ", r"\\--- ", clean(line)) for line in output.split(b"\n")[:-1]]
    lines += [pending] if pending else []
    shown: list[str] = []
    for line in reversed(lines):
        if len("\n".join([line, *shown]).encode()) >= size:
            break
        shown.insert(0, line)
    if lines and not shown:
        return lines[-1].encode()[: size - 1].decode(errors="ignore")
    return "\n".join(shown)


@given(
    blocks=st.lists(OUTPUT.map(lambda output: output + b"\n"), max_size=8),
    size=st.integers(1, 60),
    asked=st.sets(st.integers(0, 7)),
    pending=st.text(alphabet="a漢", max_size=20),
)
@example(blocks=["漢漢\n".encode(), b"\n"], size=6, asked={0, 1}, pending="")
@example(blocks=[b"\r--- ours?\n"], size=20, asked=set(), pending="")
def test_tail_is_the_newest_lines_that_fit(
    blocks: list[bytes], size: int, asked: set[int], pending: str
) -> None:
    """LOG has what the contract says, whenever it was asked for before."""
    tail = Tail(size)
    for number, raw in enumerate(blocks):
        tail.append(Block(raw, raw.count(b"\n")))
        if number in asked:
            tail.text("unfinished")
    output = b"".join(blocks)
    assert tail.text(pending) == reference_tail(output, size, pending)
    assert tail.count == output.count(b"\n")
    assert tail.newest == (clean(output.split(b"\n")[-2]) if blocks else "")


def test_lines_that_hardly_show_do_not_push_out_others() -> None:
    """A progress bar takes no more of LOG than it shows, however much it has printed."""
    tail = Tail(100)
    tail.append(Block(b"before\n", 1))
    for _ in range(16):
        tail.append(Block(b"99%\r" * 16_000 + b"\n", 1))
    assert tail.text() == "\n".join(["before", *["99%"] * 16])


def test_an_empty_block_changes_nothing() -> None:
    """A block without bytes is no line."""
    tail = tail_of(b"a\n")
    tail.append(NOTHING)
    assert (tail.text(), tail.newest, tail.count) == ("a", "a", 1)


def test_a_line_of_output_gets_a_prefix() -> None:
    """Each line of a block gets the prefix, empty lines too; an empty block stays empty."""
    assert prefixed(b"a\n\nb\n", b"> ") == b"> a\n> \n> b\n"
    assert prefixed(b"", b"> ") == b""


@given(st.text(), st.integers(0, 20))
def test_text_is_cut_between_characters(text: str, size: int) -> None:
    """A text is cut to the longest beginning that fits and has whole characters."""
    data = cut(text, size)
    assert text.startswith(data.decode())
    assert len(data) <= size
    assert data.decode() == text or len(text[: len(data.decode()) + 1].encode()) > size


def test_a_lone_surrogate_is_replaced() -> None:
    """A text that has no UTF-8 is cut like any other, and not refused."""
    assert cut("a\ud800b", 10) == b"a?b"


LIKE_OURS = [
    "--- Stopped by the director",
    "x\r--- Stopped by the director",
    "x\r2026-11-28 12:00:00.000 --- Stopped by the director",
    "\x1b[2K\x1b[G--- Stopped by the director",
    "x\x0b--- Stopped",
    "x\u2028--- Stopped",
    "x\x85--- Stopped",
]


@pytest.mark.parametrize("line", LIKE_OURS)
@pytest.mark.parametrize("many", [1, 300])
def test_guarded(line: str, many: int) -> None:
    """What a reader may take for a line of the IOC is escaped, and nothing is lost."""
    raw = (line.encode() + b"\n") * many
    block = guarded(Block(raw, many))
    assert block.lines == many
    assert block.raw.replace(b"\\--- ", b"--- ") == raw
    for text in (block.raw.decode(), "\n".join(block.raw.decode().splitlines())):
        assert not re.search(r"^(2026[^\\]* )?--- ", text, re.MULTILINE)


@pytest.mark.parametrize(
    "raw", [b"a --- b\n", b"------\n", b"---\n--\n", b"+--- x\n", b"\ta\t--- b\n"]
)
def test_other_lines_are_not_guarded(raw: bytes) -> None:
    """Rules, tables and dashes in a line do not change."""
    assert guarded(Block(raw, 1)).raw == raw


@given(output=OUTPUT.map(lambda raw: raw + b"-\0-- x\n"), dashes=st.lists(st.integers(0)))
def test_no_line_of_a_script_is_like_ours_in_log(output: bytes, dashes: list[int]) -> None:
    """Whatever a script prints, only the IOC's own lines in LOG begin with `--- `."""
    for at in sorted(at % (len(output) + 1) for at in dashes):
        output = output[:at] + b"--- " + output[at:]
    framer, tail = LineFramer(), Tail(1000)
    tail.append(guarded(framer.feed(output)))
    tail.note("ours\n")
    tail.append(guarded(framer.feed(output + b"--- pending")))
    lines = tail.text(framer.pending).split("\n")
    assert [line for line in lines if line.startswith("--- ")] in ([], ["--- ours\\n"])


@given(st.text())
def test_visible(text: str) -> None:
    """The result is one line of text; text without control characters does not change."""
    seen = visible(text)
    assert len(seen.splitlines()) <= 1
    assert not set(seen) & set(map(chr, (*range(32), *range(127, 160), *range(0xD800, 0xE000))))
    assert visible(seen) == seen
    assert not text.isprintable() or seen == text
    assert set(visible(text, lines=True)) - set(seen) <= {"\n", "\t"}


def test_the_traceback_of_an_interrupt_is_forgotten() -> None:
    """It goes with all that led to it.

    Other tracebacks and earlier ones stay, and all are counted.
    """
    frames = "Traceback (most recent call last):\n  File 'x', line 1, in f\n    f()\n"
    chain = f"{frames}E: x\n\nDuring handling of the above exception, another ...\n\n"
    tail = tail_of(f"{frames}KeyboardInterrupt\n".encode())
    tail.note("run 2")
    tail.append(Block(f"a\n{chain}{frames}KeyboardInterrupt\nb\n".encode(), 13))
    tail.forget_interrupt()
    tail.forget_interrupt()
    assert tail.text() == f"{frames}KeyboardInterrupt\n--- run 2\na\nb"
    assert (tail.count, tail.newest) == (17, "b")
