"""What scripts print reaches the IOC's stdout unchanged, and a broken stdout does no harm."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bgrscrpt_ioc.output.echo import Echo
from bgrscrpt_ioc.output.loglines import NOTHING, Block
from bgrscrpt_ioc.output.textlines import TextLines


def block(raw: bytes) -> Block:
    return Block(raw, raw.count(b"\n"))


class Pipe:
    """A stdout whose other end the test holds."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def read(self) -> bytes:
        """Close the writing end; return all that was written."""
        os.close(self.write_end)
        data = b""
        while more := os.read(self.read_end, 1 << 16):
            data += more
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Both ends are closed in the end."""
    pipe = Pipe()
    yield pipe
    for end in (pipe.read_end, pipe.write_end):
        with suppress(OSError):  # the test closed it
            os.close(end)


def test_lines_are_copied_byte_for_byte(pipe: Pipe) -> None:
    """With one instance stdout is what the script wrote: colours, invalid bytes, `IOC started`."""
    raw = b"IOC started\n\x1b[31m50%\r100%\xff\0\n\n"
    echo = Echo(pipe.write_end, TextLines(names=False))
    echo.write("X", block(raw))
    echo.write("X", NOTHING)
    assert echo.close(60)
    assert pipe.read() == raw


def test_lines_of_several_instances_are_named(pipe: Pipe) -> None:
    """With several instances each line begins with its instance's name."""
    echo = Echo(pipe.write_end, TextLines(names=True))
    echo.write("BGRSCRPT_01", block(b"a\nb\n"))
    echo.write("BGRSCRPT_02", block(b"c\n"))
    assert echo.close(60)
    assert pipe.read() == b"BGRSCRPT_01: a\nBGRSCRPT_01: b\nBGRSCRPT_02: c\n"


def test_a_stalled_stdout_costs_counted_lines(pipe: Pipe) -> None:
    """If nobody reads stdout, nothing waits for it.

    Lines that did not fit are counted in their place.
    """
    echo = Echo(pipe.write_end, TextLines(names=False), limit=300_000)
    many = block((b"x" * 99 + b"\n") * 1000)
    for _ in range(5):
        echo.write("X", many)
    assert not echo.close(0.01)
    copied = b""
    while copied.count(b"\n") < 2001:
        copied += os.read(pipe.read_end, 1 << 16)
    assert echo.close(60)
    assert copied == many.raw * 2 + b"... 3000 lines not echoed\n"


def test_a_stdout_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    """If stdout is non-blocking, because another program set it so, no line is lost."""
    os.set_blocking(pipe.write_end, False)
    echo = Echo(pipe.write_end, TextLines(names=False))
    many = block((b"x" * 99 + b"\n") * 3000)
    echo.write("X", many)
    copied = b""
    while len(copied) < len(many.raw):
        copied += os.read(pipe.read_end, 1 << 16)
    assert echo.close(60)
    assert copied == many.raw


def test_a_closed_stdout_silences_the_echo(pipe: Pipe) -> None:
    """When the reader of stdout has gone, output is dropped without an error."""
    os.close(pipe.read_end)
    echo = Echo(pipe.write_end, TextLines(names=False))
    for _ in range(3):
        echo.write("X", block(b"a\n"))
    assert echo.close(60)


def passed(echo: Echo) -> None:
    """Wait until all that was written so far was tried."""
    done = threading.Event()
    assert echo._writer.put(0, done.set)
    assert done.wait(60)


def test_lines_lost_to_a_full_disk_are_counted(pipe: Pipe) -> None:
    """If stdout is a file on a full disk, missing lines are reported as soon as there is room."""
    stream = os.open("/dev/full", os.O_WRONLY)
    echo = Echo(stream, TextLines(names=True))
    echo.write("X", block(b"a\nb\n"))
    echo.write("X", block(b"c\n"))
    passed(echo)
    os.dup2(pipe.write_end, stream)
    echo.write("X", block(b"d\n"))
    echo.write("X", block(b"e\n"))
    assert echo.close(60)
    os.close(stream)
    assert pipe.read() == b"... 3 lines not echoed\nX: d\nX: e\n"


def test_a_line_echoed_in_part_is_ended(pipe: Pipe, tmp_path: Path) -> None:
    """After a line that a full disk has cut short, the next text begins on a new line."""
    stream = os.open(tmp_path / "stdout", os.O_WRONLY | os.O_CREAT)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    echo = Echo(stream, TextLines(names=False))
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, before[1]))  # stands in for the full disk
    try:
        echo.write("X", block(b"one\ntwo two\nthree\n"))
        passed(echo)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    os.dup2(pipe.write_end, stream)
    echo.write("X", block(b"four\n"))
    assert echo.close(60)
    os.close(stream)
    assert (tmp_path / "stdout").read_bytes() == b"one\ntwo"
    assert pipe.read() == b"\n... 2 lines not echoed\nfour\n"
