"""Reads the log files of an instance on the host of the IOC, as people want to see them.

Each line of a file is `YYYY-MM-DD HH:MM:SS.mmm text`. The IOC's own remarks begin with `--- `.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from bgrscrpt_ioc.host.files import file_name
from bgrscrpt_ioc.lifecycle.events import CommandFailed
from bgrscrpt_ioc.output.logdir import LogDirectory
from bgrscrpt_ioc.output.loglines import clean

CHUNK = 1 << 16
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) ")
_FILE = re.compile(r"(.+)-[0-9]{8}(?:\.[0-9]+)?\.log")
_AGO = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def readable_here(path: str, server: str) -> Path | None:
    """Return the path of a log file if its IOC is on this host and the file can be read here.

    Args:
        path: the path that the IOC gives.
        server: `host:port` of the IOC, as the client library has it.
    """
    if not path or not _is_this_host(server.rpartition(":")[0]):
        return None
    with suppress(OSError), (file := _named(path)).open("rb"):
        return file
    return None


def _named(path: str) -> Path:
    """Return a path that the IOC gives, which is UTF-8 whatever this command's locale is."""
    return Path(os.fsdecode(path.encode()))


def newest_file(directory: Path, full_name: str) -> Path | None:
    """Return the newest log file of an instance in a directory, or None if there is none."""
    with suppress(OSError):
        segments = LogDirectory(directory, file_name(full_name)).segments()
        if segments:
            return directory / segments[-1].name
    return None


def _is_this_host(host: str) -> bool:
    """Return whether an address is one of this host. Only such an address can be bound."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return True
    return False


def moment(text: str, now: datetime) -> datetime:
    """Return the time that `--since TEXT` means: `10:30`, `2026-11-28 10:30`, or `2h` ago.

    Raises:
        CommandFailed: the text is none of these.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return now - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])
    with suppress(ValueError):
        return datetime.fromisoformat(text.strip()).replace(tzinfo=None)
    with suppress(ValueError):
        time = datetime.strptime(text.strip(), "%H:%M:%S" if text.count(":") > 1 else "%H:%M")
        return now.replace(hour=time.hour, minute=time.minute, second=time.second, microsecond=0)
    raise CommandFailed(
        f"--since {text}: should be a time such as 10:30 or '2026-11-28 10:30', or a time span such"
        " as 30s, 15min, 2h or 1d"
    )


def shown(lines: bytes, *, stamps: bool) -> str:
    """Return whole lines of a file as text, without characters that control a terminal."""
    if not stamps:
        return clean(b"\n".join(_STAMP.sub(b"", line, count=1) for line in lines.split(b"\n")))
    text: list[str] = []
    for line in lines.split(b"\n"):
        stamp = _STAMP.match(line)
        head = stamp[0].decode() if stamp else ""
        text.append(head + clean(line[len(head) :]))
    return "\n".join(text)


def newest(path: Path, end: int, count: int) -> bytes:
    """Return the newest `count` lines of the files up to the byte `end` of `path`."""
    found: list[bytes] = []
    lines = 0
    for file in reversed(_files(path)):
        with suppress(OSError), file.open("rb") as opened:
            for block in _backwards(opened, end if file == path else opened.seek(0, 2)):
                found.append(block)
                lines += block.count(b"\n")
                if lines > count:
                    break
        if lines > count:
            break
    # The part after the last newline is empty, so one part more is taken.
    return b"\n".join(b"".join(reversed(found)).split(b"\n")[-count - 1 :]) if count else b""


def since(path: Path, end: int, when: datetime) -> Iterator[bytes]:
    """Yield the lines since `when` of the files, up to the byte `end` of `path`."""
    begin = when.isoformat(" ", "milliseconds").encode()
    for file in _files(path, when):
        later = False
        with suppress(OSError), file.open("rb") as opened:
            left = end if file == path else opened.seek(0, 2)
            opened.seek(0)
            for line in opened:
                left -= len(line)
                if left < 0:
                    break
                stamp = _STAMP.match(line)
                later = later or (stamp is not None and stamp[1] >= begin)
                if later:
                    yield line


def _files(path: Path, when: datetime | None = None) -> list[Path]:
    """Return the log files of the instance from the day of `when` up to `path`, oldest first."""
    name = _FILE.fullmatch(path.name)
    if name is None:
        return [path]
    segments = []
    with suppress(OSError):
        segments = LogDirectory(path.parent, name[1]).segments()
    names = [each.name for each in segments if when is None or each.day >= when.date()]
    if path.name in names:
        names = names[: names.index(path.name) + 1]
    return [path.parent / each for each in names] or [path]


def _backwards(file: BinaryIO, at: int) -> Iterator[bytes]:
    while at:
        size = min(CHUNK, at)
        at -= size
        file.seek(at)
        yield file.read(size)


class Growing:
    """A log file that grows, read from its present end.

    And the next file, when the IOC names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        at = max(0, self._file.seek(0, 2) - CHUNK)
        self._file.seek(at)
        # The end of the whole lines.
        self.end = self._file.seek(at + self._file.read().rfind(b"\n") + 1)
        self._half = b""

    def read(self) -> bytes:
        """Return the whole lines that were added."""
        data = self._half + self._file.read()
        end = data.rfind(b"\n") + 1
        self._half = data[end:]
        return data[:end]

    def follow(self, path: str) -> bytes:
        """Go on with the next file, which the IOC names; return the last lines of this one."""
        next_path = _named(path)
        if not path or next_path == self.path:
            return b""
        with suppress(OSError):
            file = next_path.open("rb")
            lines = self.read()
            self._file.close()
            self.path, self._file, self._half = next_path, file, b""
            return lines
        return b""

    def close(self) -> None:
        """Close the file."""
        self._file.close()
