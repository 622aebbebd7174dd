"""Stacks as text: without our frames, in whole lines, never longer than asked for."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.host.contract import Dump
from bgrscrpt_ioc.process.stacks import cut_lines, stacks_text, without_ours

OURS = "/opt/caf\u00e9/child"
DUMP = rb"""Thread 0x00007f020a2356c0 (most recent call first):
  File "/opt/caf\xe9/child/bgrscrpt.py", line 171 in run

Thread 0x00007f020a2356c1 [Poller] (most recent call first):
  File "/home/me/script.py", line 4 in work
  File "/usr/lib/python3.14/threading.py", line 1 in run

Current thread 0x00007f020ae6eb80 (most recent call first):
  File "/opt/caf\xe9/child/bgrscrpt.py", line 99 in _send
  File "/home/me/script.py", line 7 in <module>
  File "/opt/caf\xe9/child/bootstrap.py", line 30 in <module>
"""


def test_what_is_ours_is_left_out() -> None:
    """Our frames are left out, and a thread that has no others, in a directory of any name."""
    assert without_ours(DUMP, OURS) == (
        "Thread 0x00007f020a2356c1 [Poller] (most recent call first):\n"
        '  File "/home/me/script.py", line 4 in work\n'
        '  File "/usr/lib/python3.14/threading.py", line 1 in run\n\n'
        "Current thread 0x00007f020ae6eb80 (most recent call first):\n"
        '  File "/home/me/script.py", line 7 in <module>\n'
    )


def test_what_is_ours_on_windows() -> None:
    """Our frames are left out where paths have backslashes too."""
    dump = DUMP.replace(rb"/opt/caf\xe9/child/", rb"C:\caf\xe9\child" + b"\\")
    told = without_ours(dump, "C:\\caf\u00e9\\child")
    assert told == without_ours(DUMP, OURS)


def test_all_processes() -> None:
    """Each process has its title; one without stacks says why, one that is cut says so too."""
    text = stacks_text(
        [Dump(7, problem="it has ended"), Dump(8, b"Thread 0x1 (x):\n  File", "cut short")],
        OURS,
        "why",
        1000,
    )
    assert text == (
        "why\n\nprocess 7: no stacks: it has ended\n\n"
        "process 8, a child: (cut short)\nThread 0x1 (x):\n  File\n"
    )


def test_whole_lines() -> None:
    """What is too long loses lines of its middle, and says how many."""
    text = "".join(f"line {number}\n" for number in range(100))
    cut = cut_lines(text, 100)
    assert cut.startswith("line 0\nline 1\n")
    assert cut.endswith("line 98\nline 99\n")
    left_out = int(cut.partition("... (")[2].partition(" ")[0])
    assert left_out + cut.count("line ") == 100


@given(st.text(), st.integers(60, 400))
def test_never_too_long(text: str, size: int) -> None:
    """Whatever a script has written there, the text fits, and each line but one was there."""
    text = text.encode(errors="replace").decode()
    cut = cut_lines(text, size)
    assert len(cut.encode()) <= size
    lines = text.split("\n")
    assert sum(line not in lines for line in cut.split("\n")) <= 1


@given(st.binary())
def test_anything_is_read(dump: bytes) -> None:
    """No bytes of the file make the text fail, or command a terminal."""
    text = stacks_text([Dump(1, dump)], OURS, "why", 1000)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
