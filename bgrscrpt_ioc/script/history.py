"""The runs of an instance as they are kept: one JSON object a line, the newest 1,000.

Pure: works on the bytes of the file. `historyfile` knows where the file is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from bgrscrpt_ioc.output.loglines import duration, visible
from bgrscrpt_ioc.script.story import How

KEPT = 1000  # runs
MAX_FILE = 2 << 20  # bytes; fewer runs are kept if their lines are long
MAX_TEXT = 1000  # characters of an error or a reason
MAX_STACKS = 8000  # characters of the stacks of a run
SHOWN_TEXT = 200  # characters of an error in the PV HISTORY, so that many runs fit

IOC_ENDED = "the IOC ended"
_NUMBER = re.compile(rb'\{"number": ?([0-9]{1,12})[,}]')
_OPEN = b'"how": "running"'


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run. Times are local, in ISO 8601. A run that has not ended has no `end`.

    Attributes:
        number: counts the runs of the instance, including those of earlier IOCs.
        seconds: how long it lasted, by a monotonic clock.
        how: `How` it ended.
        code, reason: EXITCODE and EXITREASON.
        why: STATUS:MSG at its end: who stopped it, or the reason with the error and its place.
        error: ERROR.
        by: who asked for it.
        restarts: how many automatic starts its IOC had made until then.
        script: path of the file that ran.
        stacks: the newest stacks of all its threads, taken when its heartbeat was missing or by
            STACK.
    """

    number: int
    start: str
    end: str = ""
    seconds: float = 0.0
    how: str = How.RUNNING
    code: int | None = None
    reason: str = ""
    why: str = ""
    error: str = ""
    by: str = ""
    sha256: str = ""
    git: str = ""
    restarts: int = 0
    script: str = ""
    stacks: str = ""


_NAMES = tuple(each.name for each in fields(PastRun))
_IN_PV = tuple(name for name in _NAMES if name not in ("script", "stacks"))
_KINDS: dict[str, tuple[type, ...]] = {
    "number": (int,), "seconds": (int, float), "code": (int, type(None)), "restarts": (int,)
}  # fmt: skip


def line(run: PastRun) -> bytes:
    """Return the run as a line of the file, without a newline."""
    return json.dumps(_bounded(run, _NAMES, MAX_TEXT)).encode()


def read_line(data: bytes) -> PastRun:
    """Return the run that a line of the file holds. Keys of later versions are ignored.

    Raises:
        ValueError: the line is no run.
    """
    try:
        raw = json.loads(data)
    except RecursionError as error:
        raise ValueError("not JSON") from error
    if not isinstance(raw, dict) or not _NUMBER.match(data):
        raise ValueError("not a run")
    values = {key: raw[key] for key in _NAMES if key in raw}
    for key, value in values.items():
        if not isinstance(value, _KINDS.get(key, (str,))) or isinstance(value, bool):
            raise ValueError(f"{key} is {value!r}")  # noqa: TRY004 - the content is wrong, not a type
    try:
        return PastRun(**values)
    except TypeError as error:
        raise ValueError("not a whole run") from error


def read(data: bytes) -> tuple[list[PastRun], int]:
    """Return the runs of a file in their order, and how many lines are no runs."""
    found: dict[int, PastRun] = {}
    bad = 0
    for each in data.split(b"\n"):
        if each.strip():
            try:
                run = read_line(each)
            except ValueError:
                bad += 1
            else:
                found[run.number] = run
    return [found[number] for number in sorted(found)], bad


def read_newest(data: bytes, count: int) -> tuple[list[PastRun], list[PastRun], int]:
    """Return the newest runs of a file, all unfinished runs, and how many lines are bad.

    Of older lines only the beginning and the end are looked at, so that IOCs start fast.
    """
    lines = [each for each in data.split(b"\n") if each.strip()]
    good = [each for each in lines if _NUMBER.match(each) and each.endswith(b"}")]
    still = [each for each in good[:-count] if _OPEN in each]
    newest, bad = read(b"\n".join(good[-count:]))
    older, more = read(b"\n".join(still))
    going = [run for run in (*older, *newest) if run.how == How.RUNNING]
    return newest, going, bad + more + len(lines) - len(good)


def merged(data: bytes, runs: Iterable[PastRun]) -> bytes:
    """Return the file with these runs added, or in place of those with the same numbers.

    Lines that stay are not parsed, so that keys of later versions stay too.
    """
    new = {run.number: line(run) for run in runs}
    lines = data.split(b"\n")
    while lines:
        found = _NUMBER.match(lines[-1])
        if found and lines[-1].endswith(b"}"):
            if int(found[1]) < min(new, default=0):
                break
            new.setdefault(int(found[1]), lines[-1])
        lines.pop()
    lines += [new[number] for number in sorted(new)]
    del lines[:-KEPT]
    size = sum(map(len, lines)) + len(lines)
    first = 0
    while size > MAX_FILE and first < len(lines) - 1:
        size -= len(lines[first]) + 1
        first += 1
    return b"".join(each + b"\n" for each in lines[first:])


def lost(run: PastRun) -> PastRun:
    """Complete a run whose IOC ended during the run: its end is unknown."""
    return replace(run, how=How.LOST, why=IOC_ENDED)


def pv_line(run: PastRun) -> str:
    """Return a run as a line of the PV HISTORY: ASCII, with a long error shortened."""
    return json.dumps(_bounded(run, _IN_PV, SHOWN_TEXT))


def for_people(run: PastRun) -> str:
    """Return a run as a line of the PV HISTORY:TEXT."""
    how = f"{run.how} after {lasted(run)}" if lasted(run) else run.how
    why = run.why if run.why != "exit 0" else ""
    parts = (f"run {run.number}", run.start[:19].replace("T", " "), how, f"by {run.by}", why)
    return visible("  ".join(_cut(each, SHOWN_TEXT) for each in parts if each not in ("", "by ")))


def lasted(run: PastRun) -> str:
    """Return how long a run that has ended lasted, or "": nobody knows of one that was lost."""
    if run.how in (How.RUNNING, How.LOST):
        return ""
    return f"{run.seconds:.1f} s" if run.seconds < 10 else duration(run.seconds)


def fitting(lines: Iterable[str], size: int) -> str:
    """Return as many of the first lines as fit in `size` bytes. Later lines are not made."""
    found: list[str] = []
    for each in lines:
        size -= len(each.encode()) + 1
        if size < 0:
            break
        found.append(each)
    return "\n".join(found)


def rows(text: str) -> list[PastRun]:
    """Return the runs in the text of the PV HISTORY; lines that are no runs are left out."""
    return list(reversed(read(text.encode())[0]))


def _bounded(run: PastRun, names: Iterable[str], size: int) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for name in names:
        value = getattr(run, name)
        if isinstance(value, str):
            value = _cut(value, MAX_STACKS if name == "stacks" else size)
        values[name] = value
    return values


def _cut(text: str, size: int) -> str:
    half = (size - 5) // 2
    return text if len(text) <= size else f"{text[:half]} ... {text[-half:]}"
