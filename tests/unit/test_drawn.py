"""Instances on a terminal of 80 columns, and the new lines of LOG."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import pytest

from bgrscrpt_ioc.cli.drawn import info_lines, plain_state, status_lines
from bgrscrpt_ioc.cli.logfiles import moment, newest, shown
from bgrscrpt_ioc.client.newlines import NewLines
from bgrscrpt_ioc.client.pvs import text
from bgrscrpt_ioc.client.readings import Row, in_trouble
from bgrscrpt_ioc.host.streams import complain
from bgrscrpt_ioc.lifecycle.events import CommandFailed
from bgrscrpt_ioc.output.loglines import duration

REASON = "exit 1: ValueError: " + "a reason that is long " * 40 + "(/data/scripts/watch.py:17)"


def row(name: str, status: str | None, severity: str | None, reason: str | None) -> Row:
    return {
        "NAME": name,
        "STATUS": status,
        "SEVERITY": severity,
        "STATUS:MSG": reason,
        "PID": 4_194_303 if status == "Running" else 0,
        "UPTIME": 11_534.2,
        "CPU": 100.0,
        "MEMORY": 1234.5,
        "RESTARTS": 3,
    }


ROWS = [
    row("BGRSCRPT_01", "Running", "NO_ALARM", "started by the IOC at its start"),
    row("BGRSCRPT_02", "Running", "MAJOR", "no heartbeat for 60 s"),
    row("BGRSCRPT_03", "Backoff", "MINOR", REASON),
    row("BGRSCRPT_04", "Failed", "MAJOR", "gave up"),
    row("BGRSCRPT_05", None, None, None),
]


def test_status_in_80_columns() -> None:
    """Names, states and reasons are whole; columns that have no room are left out."""
    names = [f"TE:NDW1234:{each['NAME']}" for each in ROWS]
    drawn = status_lines(ROWS, names, 80, colour=False)
    lines = drawn.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["NAME", "STATUS", "UPTIME", "PID", "CPU"]
    told = [each for each in lines[1].split("  ") if each]
    assert told == [names[0], "Running", "3 h 12 min", "4194303", "100.0 %"]
    assert "Running, no heartbeat" in drawn
    assert "no answer" in drawn
    assert " ".join(drawn.split()).count(" ".join(REASON.split())) == 1


def test_status_where_there_is_room() -> None:
    """In 200 columns all columns are shown; in 10, names and states still are."""
    names = [each["NAME"] for each in ROWS]
    head = status_lines(ROWS, names, 200, colour=False).splitlines()[0]
    assert head.split() == ["NAME", "STATUS", "UPTIME", "PID", "CPU", "MEMORY", "RESTARTS"]
    narrow = status_lines(ROWS, names, 10, colour=False)
    assert "BGRSCRPT_02  Running, no heartbeat\n" in narrow


def test_colours_of_severities() -> None:
    """A state has the colour of its severity; the words are the same without colour."""
    names = [each["NAME"] for each in ROWS]
    drawn = status_lines(ROWS, names, 80, colour=True)
    for words in (
        "\x1b[32mRunning\x1b[0m",
        "\x1b[31mRunning, no heartbeat\x1b[0m",
        "\x1b[33mBackoff\x1b[0m",
        "\x1b[35mno answer\x1b[0m",
    ):
        assert words in drawn
    plain = drawn
    for code in ("31", "32", "33", "35", "0"):
        plain = plain.replace(f"\x1b[{code}m", "")
    assert plain == status_lines(ROWS, names, 80, colour=False)


def test_who_needs_somebody() -> None:
    """Failed and hung scripts need somebody; a script in Backoff does not."""
    assert [in_trouble(each) for each in ROWS] == [False, True, False, True, False]
    words = ["Running", "Hung", "Backoff", "Failed", None]
    assert [plain_state(each) for each in ROWS] == words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (725, "12 min 5 s"),
        (3600, "1 h"),
        (11_534, "3 h 12 min"),
        (86_400 * 9 + 14_400 + 59, "9 d 4 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    """A duration is shown in its two largest units."""
    assert duration(seconds) == said


def test_info() -> None:
    """Long texts stand below their names, whole; short ones beside them."""
    assert info_lines({"PID": 3, "ERROR": "a text " * 5}, 24) == (
        "PID    3\nERROR\n  a text a text a text a\n  text a text\n"
    )
    assert info_lines({"IOC:UPTIME": 3660.2, "IOC:MEMORY": 1.25}, 80) == (
        "IOC:UPTIME  1 h 1 min\nIOC:MEMORY  1.2 MB\n"
    )
    drawn = info_lines({"PID": 3, "TRACEBACK": "Traceback:\n  File x\n", "CPU": 0.25}, 80)
    assert drawn == "PID        3\nTRACEBACK\n  Traceback:\n    File x\nCPU        0.2 %\n"


def test_complaints_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages on stderr break between words on a terminal, not in paths; in a pipe, nowhere."""
    text = f"usage: x\n\n{REASON} /{'long/' * 30}path"
    told = io.StringIO()
    monkeypatch.setattr("sys.stderr", told)
    monkeypatch.setenv("COLUMNS", "40")
    complain(text)
    assert told.getvalue() == f"{text}\n"
    told.truncate(told.seek(0))
    monkeypatch.setattr(told, "isatty", lambda: True)
    complain(text)
    lines = told.getvalue().splitlines()
    assert lines[:3] == ["usage: x", "", "exit 1: ValueError: a reason that is"]
    assert [len(each) > 40 for each in lines].count(True) == 1
    assert " ".join(told.getvalue().split()) == " ".join(text.split())


def test_no_text_commands_a_terminal() -> None:
    """Escape sequences and control characters of a PV's text are left out."""
    assert text(b"\x1b]0;title\x07\x1b[31mred\x1b[2J\x9b\x08 \xc3\xa9\0junk") == "red\ufffd é"
    assert text("\x1b[31mred") == "red"
    assert text(65) == "A"
    assert text(None) is None


# --- `log` ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        (["a", "a\nb", "a\nb\nc"], "a b c"),
        (["a\nb", "b\nc"], "a b c"),  # the oldest goes
        (["a\na", "a\na\na"], "a a a"),
        (["a\n10 %", "a\n20 %", "a\n30 %", "a\ndone\nb"], "a done b"),  # a progress bar
        (["a\n10 %", ".", "a\n20 %", "."], "a 10 % 20 %"),  # that rests
        (["a", ".", "a", ".", "a\nb"], "a b"),
        (["", "a"], "a"),
        (["a\nb\nc", "x\ny\nz"], "a b c GAP x y z"),
        (["a\nb\nc", ".", "c\nx"], "a b c x"),  # just no gap
    ],
)
def test_what_is_new_in_log(values: list[str], printed: str) -> None:
    """Each line is printed once; an incomplete line is printed when nothing more comes."""
    lines, told = NewLines(), list[str]()
    for value in values:
        if value == ".":
            told += lines.rest()
            continue
        before = lines.rest() if value.startswith("x") else []
        new = lines.feed(value)
        told += [*before, *(["GAP"] if lines.gap else []), *new]
    told += lines.rest()
    assert " ".join(told) == printed
    assert not lines.held_back


def test_a_log_of_the_next_ioc() -> None:
    """After a restart of the IOC, its LOG is printed from the start, and no line counts as lost."""
    lines = NewLines()
    lines.feed("a\nb\nc")
    lines.forget()
    assert lines.feed("x\ny\nz") == ["x", "y"]
    assert not lines.gap


@pytest.mark.parametrize("there", [0, 1, 2, 7, 5000])
@pytest.mark.parametrize("wanted", [0, 1, 6, 7, 8, 200])
def test_newest_lines_of_a_file(tmp_path: Path, there: int, wanted: int) -> None:
    """The newest lines of a file are returned, or all; a line may have a carriage return."""
    path = tmp_path / "BGRSCRPT_01-20261128.log"
    lines = [b"line %d\rof a bar of progress\n" % number for number in range(there)]
    path.write_bytes(b"".join(lines))
    last = lines[-wanted:] if wanted else []
    assert newest(path, path.stat().st_size, wanted) == b"".join(last)


def test_lines_of_a_file() -> None:
    """Stamps are removed or kept; control characters for a terminal are removed."""
    line = b"2026-11-28 10:30:00.125 \x1b[31mred\x1b[0m 1\r2\r3\nno stamp\n"
    assert shown(line, stamps=False) == "3\nno stamp\n"
    assert shown(line, stamps=True) == "2026-11-28 10:30:00.125 3\nno stamp\n"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("10:30", "2026-11-28 10:30:00"),
        ("10:30:15", "2026-11-28 10:30:15"),
        ("2026-11-27 09:00", "2026-11-27 09:00:00"),
        ("2026-11-27", "2026-11-27 00:00:00"),
        ("90s", "2026-11-28 11:58:30"),
        ("2 h", "2026-11-28 10:00:00"),
        ("1d", "2026-11-27 12:00:00"),
    ],
)
def test_moments(text: str, means: str) -> None:
    """Times of today, of another day, and time spans are understood."""
    now = datetime(2026, 11, 28, 12, 0, 0)
    assert moment(text, now) == datetime.fromisoformat(means)


def test_no_moment() -> None:
    """A text that is no time is refused, with the forms that are."""
    with pytest.raises(CommandFailed, match=r"--since soon: should be a time such as 10:30"):
        moment("soon", datetime(2026, 11, 28))
