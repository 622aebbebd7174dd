"""What other rooms may ask of an operating system. posix/ and windows/ each have all of it.

`NAMES` lists the functions and classes, by the module that has them. Values and protocols are
defined here, because they are the same on every system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

COOKIE = "BGRSCRPT_RUN"  # set in the environment of every process of a run: IOC's id/instance/run

NAMES: Mapping[str, tuple[str, ...]] = {
    # The processes of one run, from the launch to the end of the last one; see `RunTree`.
    "tree": ("Tree",),
    # Waits for the children of the IOC: start, stop, look (every few seconds).
    "reaper": ("Reaper",),
    # Ends everything when the IOC is gone, however it ended: start, open and close for each run,
    # stop.
    "guardian": ("Guardian",),
    # Kills what dead IOCs left of the instances; returns how many processes were killed.
    "sweep": ("sweep",),
    # The process table, one process of it, this process's own id.
    "processes": ("look_up", "own_id", "processes"),
    # The stacks of a Python process's threads, by `child/_bgrscrpt_stack.py`. Blocks.
    "stacks": ("take_stacks",),
    # What each process takes (quick), memory with what is shared counted once (slow).
    "memory": ("proportional", "taken"),
    # Groups of the kernel in which runs are confined, where there are such.
    "cgroup": ("Cgroups", "find_cgroups"),
    # Locks that end with their holder: of a name on this host, and of a file.
    "locks": (
        "claim_name",
        "claimed_by",
        "claimed_names",
        "claims",
        "describe_holder",
        "lock_file",
        "note_holder",
    ),
    # Requests to an IOC that runs, from its own host: where it hears them (start, close), and how
    # to ask.
    "control": ("RequestServer", "ask"),
    # Calls when somebody wants this process to end, or to read its configuration again.
    # Which signals can ask a script to end.
    "signals": ("STOP_SIGNALS", "on_end_asked"),
    # Tells the program that started the IOC, if it wants to know, that the IOC serves, lives and
    # ends.
    "sdnotify": ("Systemd",),
    # Runs a tool such as git to its end, beside the scripts.
    "tool": ("run_tool",),
    # File descriptors: how many there may be, and when one can be written to again.
    "descriptors": ("descriptor_limit", "wait_until_writable"),
    # Files that others cannot read, that links cannot redirect, and that are really on disk.
    "disk": (
        "complete_last_line",
        "new_file",
        "open_to_append",
        "open_to_read",
        "replace",
        "special_kind",
        "sync_directory",
    ),
    # Sockets that share a port or not, and notice a client that has gone; the meanings of errors.
    "sockets": (
        "EXHAUSTED",
        "GONE",
        "TAKEN",
        "datagram_socket",
        "go_on",
        "hears_only_its_address",
        "listening_socket",
        "shared_datagram_socket",
        "watch_peer",
    ),
    # Whether anybody may change a file or directory, and the remedy.
    "permissions": ("describe_open", "open_to_all"),
    # Settings that do not work here, {key: why, and what to do}; limits that a tree enforces itself
    # (see `Allowance`), {key: mechanism}.
    "settings": ("HELD", "REFUSED"),
}


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    session: int
    # Clock ticks since boot: distinguishes a process from a later one with the same pid.
    started: int
    stopped: bool
    # Where the table tells these too; else 0, see `taken`.
    threads: int = 0
    memory: int = 0  # bytes, resident
    cpu: float = 0.0  # s that it has run


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process takes of the host, and has taken."""

    threads: int
    memory: int  # bytes, resident
    cpu: float  # s


@dataclass(frozen=True, slots=True)
class Allowance:
    """What all processes of a tree may use together, if the system can limit a tree.

    0 is no limit. (POSIX uses cgroups and resource limits, which a run enters by itself.)
    """

    memory: int = 0  # bytes
    cpu: float = 0.0  # % of one core
    processes: int = 0
    nice: int = 0  # how far they yield to others, up to 19


@dataclass(frozen=True, slots=True)
class Dump:
    """The stacks of a Python process's threads."""

    pid: int
    text: bytes = b""  # as faulthandler writes it
    problem: str = ""  # why there is no text, and what is known of the process


@dataclass(frozen=True, slots=True)
class Program:
    """The program of a tree's leader; `environ` is its whole environment."""

    command: Sequence[str]
    cwd: Path
    environ: Mapping[str, str]
    stdin: bytes  # what it can read there at once
    cookie: str  # marks all its descendants: IOC's id/instance/run
    cgroup: str = ""  # the cgroup that it enters by itself
    stop_signal: str = "SIGINT"  # the signal that asks it to end, one of STOP_SIGNALS
    allowance: Allowance = Allowance()


@dataclass(frozen=True, slots=True)
class End:
    """How a tree's leader has ended."""

    code: int  # -N for signal N
    reason: str  # "exit 3", "SIGSEGV (core dumped)"
    killed: bool = False  # by force, by whomever
    # Whose memory ran out: its own cgroup's, or the host's. Empty without evidence.
    out_of_memory: Literal["", "cgroup", "host"] = ""


class ClaimedName(Protocol):
    """A name of this host that one process has, until it closes the claim or ends."""

    def close(self) -> None:
        """Give the name up."""


class TreeListener(Protocol):
    """Hears of a tree. All calls come from the event loop, none after `emptied`."""

    @property
    def behind(self) -> bool:
        """Return whether more output would be lost: then it waits in the pipe."""
        ...

    @property
    def busy(self) -> bool:
        """Return whether messages should be read later: then more of them wait in the pipe."""
        ...

    def wrote(self, data: bytes) -> None:
        """Hear what was written to stderr, or to what the leader uses instead."""

    def told(self, data: bytes) -> None:
        """Hear what came through the channel, which is the leader's stdout at first."""

    def ended(self, end: End) -> None:
        """Hear that the leader is dead; all that it wrote has been passed on before."""

    def emptied(self) -> None:
        """Hear, after `ended`, that no process of the tree lives."""


class RunTree(Protocol):
    """All processes of a run. The constructor launches the run; if it raises, nothing lives.

    It raises OSError or ValueError if the program cannot be launched. The leader can read the
    program's `stdin`. If the leader `waits`, its output waits in its pipe until `begin`.
    """

    pid: int  # of the leader
    mark: int  # identifies the run for the guardian

    def tell(self, data: bytes) -> bool:
        """Write to the pipe that was the leader's stdin at first, and stays open.

        Return False if the leader is dead or has not read what was written before; `data` is
        dropped.
        """
        ...

    def begin(self, word: bytes = b"") -> None:
        """Send these last bytes to a leader that waits; from now on its output is read."""

    def interrupt(self, pid: int) -> None:
        """Ask a process of the tree to end, by the program's `stop_signal`."""

    def terminate(self) -> None:
        """Ask all processes to end."""

    def kill(self) -> None:
        """End all processes by force; helpers that clean up by themselves have a moment for it."""

    def processes(self, everyone: dict[int, Process] | None = None) -> dict[int, Process]:
        """Return the living processes (of `everyone`, if the table was read already)."""
        ...

    def look(self) -> int:
        """Return how many processes live.

        If none does after the leader's end, `emptied` is called.
        """
        ...

    def abandon(self) -> None:
        """Kill all processes and wait until they are dead; the listener hears nothing. Blocks."""
