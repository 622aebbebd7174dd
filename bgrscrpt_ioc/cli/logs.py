"""The command `log`: reads the log file on the host of the IOC, and the PV LOG elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bgrscrpt_ioc.cli import logfiles
from bgrscrpt_ioc.cli.printing import write
from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.client.libca import not_found
from bgrscrpt_ioc.client.newlines import NewLines
from bgrscrpt_ioc.client.pvs import number, read, text
from bgrscrpt_ioc.client.watching import PvWatch
from bgrscrpt_ioc.host.streams import complain
from bgrscrpt_ioc.lifecycle.events import CommandFailed

USUAL = 200  # lines of a file, about as many as LOG holds
QUIET = 0.3  # s without news until an unfinished line is printed


@dataclass(frozen=True, slots=True)
class Asked:
    """Which lines to print: the newest `lines`, since a time, or all.

    With or without time stamps.
    """

    lines: int | None
    since: str | None
    stamps: bool


def log(instance: Instance, asked: Asked, *, follow: bool, kept: Callable[[], Path | None]) -> None:
    """Print the newest output; with `follow`, also what is added, until interrupted.

    Args:
        instance: the instance whose output is printed.
        asked: which lines.
        follow: whether to go on.
        kept: called if no IOC answers; returns the newest log file of the instance on this host.

    Raises:
        CommandFailed: no IOC answers for the instance and there is no log file of it, or what is
            asked for needs the log file.
    """
    names = {key: instance.pv + key for key in ("LOG", "LOG:FILE", "LOG:LINE", "LOG:COUNT")}
    found = read(list(names.values()))
    if names["LOG"] not in found:
        path = kept()
        if path is None:
            raise CommandFailed(not_found(names["LOG"], instance.prefix))
        complain(f"[{instance.full_name}: no IOC answers; these lines are from {path}]")
        _from_file(instance, asked, path, "", follow=follow, away=True)
        return
    values = {key: found[name].value if name in found else None for key, name in names.items()}
    tail = text(values["LOG"]) or ""
    told = text(values["LOG:FILE"]) or ""
    path = logfiles.readable_here(told, found[names["LOG"]].host)
    if path is not None:
        _from_file(instance, asked, path, _begun(tail, text(values["LOG:LINE"])), follow=follow)
        return
    if asked.since is not None or asked.stamps:
        what = "--stamps" if asked.since is None else "--since"
        raise CommandFailed(
            f"{instance.name}: {what} needs the log file, {told or 'which there is not'}: it cannot"
            " be read here; run this command on the host of the IOC"
        )
    if follow:
        _follow_pv(instance, asked, tail, int(number(values["LOG:COUNT"]) or 0))
    else:
        lines = tail.split("\n")[-asked.lines :] if asked.lines else tail.split("\n")
        _print(lines if tail and asked.lines != 0 else [])


def _begun(tail: str, newest: str | None) -> str:
    """Return the unfinished line of the script. LOG shows it; a file has it when it is finished."""
    last = tail.rpartition("\n")[2]
    if not last or newest is None or (newest and last.startswith(newest)):
        return ""
    return last


def _print(lines: list[str]) -> None:
    write("".join(f"{line}\n" for line in lines), now=True)


# --- the file -------------------------------------------------------------------------------------


def _from_file(
    instance: Instance, asked: Asked, path: Path, begun: str, *, follow: bool, away: bool = False
) -> None:
    growing = logfiles.Growing(path)  # opened before the file is read, so that no line is missed
    try:
        if asked.since is not None:
            when = logfiles.moment(asked.since, datetime.now())
            found = logfiles.since(path, growing.end, when)
            for line in found if asked.lines is None else deque(found, asked.lines):
                write(logfiles.shown(line, stamps=asked.stamps))
        else:
            count = USUAL if asked.lines is None else asked.lines
            lines = logfiles.newest(path, growing.end, count)
            write(logfiles.shown(lines, stamps=asked.stamps))
        if follow:
            write("", now=True)
            _follow_file(instance, asked, growing, away=away)
        elif begun and asked.lines != 0:
            _print([begun])
    finally:
        growing.close()


def _follow_file(
    instance: Instance, asked: Asked, growing: logfiles.Growing, *, away: bool
) -> None:
    """Print what is added to the file. PVs tell when something is new, and where the IOC is.

    `away` says that the absence of the IOC was already reported.
    """
    file, count = f"{instance.pv}LOG:FILE", f"{instance.pv}LOG:COUNT"
    presence = _Presence(instance, away=away)
    with PvWatch([file, count]) as watch:
        while True:
            watch.wait(QUIET)  # the file is written a moment after the PVs change
            lines = growing.read() + growing.follow(text(watch.newest.get(file)) or "")
            if lines:
                write(logfiles.shown(lines, stamps=asked.stamps), now=True)
            presence.tell(away=watch.away if watch.looked else away)


class _Presence:
    """Reports on stderr when the IOC goes and when it comes back."""

    def __init__(self, instance: Instance, *, away: bool = False) -> None:
        self._instance, self._away = instance, away

    def tell(self, *, away: bool) -> bool:
        """Take whether the IOC is away now; return whether it has just come back."""
        changed, self._away = away != self._away, away
        if changed:
            what = "went away; waiting for it" if away else "is back"
            complain(f"[{self._instance.full_name}: the IOC {what}]")
        return changed and not away


# --- the PV ---------------------------------------------------------------------------------------


def _follow_pv(instance: Instance, asked: Asked, tail: str, count: int) -> None:
    log_pv, count_pv = f"{instance.pv}LOG", f"{instance.pv}LOG:COUNT"
    lines = NewLines()
    first = lines.feed(tail) + lines.rest()
    _print(first if asked.lines is None else first[len(first) - min(len(first), asked.lines) :])
    lines.completed = 0
    lost = _Lost(instance, count)
    presence = _Presence(instance)
    with PvWatch([log_pv, count_pv]) as watch:
        try:
            while True:
                news = watch.wait(QUIET)
                now = int(number(watch.newest.get(count_pv)) or 0)
                if presence.tell(away=watch.away) and now < lost.counted:
                    lines.forget()
                    lost.begin(now)
                if news and log_pv in watch.newest:
                    _print(lines.feed(text(watch.newest[log_pv]) or ""))
                    lost.seen(now, gap=lines.gap)
                else:
                    _print(lines.rest())
                    lost.say(lines.completed)
        finally:
            lost.say(lines.completed)


class _Lost:
    """Counts the lines that LOG has not shown because they came too fast, and reports them."""

    def __init__(self, instance: Instance, count: int) -> None:
        self._instance = instance
        self.begin(count)

    def begin(self, count: int) -> None:
        """Count from this LOG:COUNT."""
        self._first = self.counted = count
        self._said = 0
        self.unsaid = False

    def seen(self, count: int, *, gap: bool) -> None:
        """Take the LOG:COUNT that belongs to what was printed."""
        self.counted = count
        if gap and not self.unsaid:
            complain(
                f"[{self._instance.full_name}: lines come faster than LOG can show them; LOG:FILE"
                " has them all]"
            )
        self.unsaid = self.unsaid or gap

    def say(self, printed: int) -> None:
        """Report how many lines were missed, if any. Call it when no line is about to come."""
        if not self.unsaid:
            return
        self.unsaid = False
        missing = self.counted - self._first - printed - self._said
        self._said += max(0, missing)
        complain(f"[{self._instance.full_name}: about {max(1, missing)} lines were not shown]")
