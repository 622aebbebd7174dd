"""The PVs of an instance as EPICS records: the one table that all else is made from.

Pure; nothing is here of what the records do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bgrscrpt_ioc.events import Severity, State

Kind = Literal["ai", "bi", "bo", "int64in", "longin", "mbbi", "stringin", "waveform"]

LINE = 1024  # bytes of a text PV that holds a line or a path, its NUL included
SHA256 = 65  # 64 hexadecimal digits and the NUL
TAIL = 16000  # of LOG and TRACEBACK: what EPICS_CA_MAX_ARRAY_BYTES = 16384 lets through

DONE_BUSY = ("Done", "Busy")
NO_YES = ("No", "Yes")
OFF_ON = ("Off", "On")

ARCHIVED = {"archive": "VAL"}
IMPORTANT = {"INTEREST": "HIGH", **ARCHIVED}
ALARMED = {"alarm": "BGRSCRPT", **IMPORTANT}


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `size` is the NELM of a waveform, bytes; `high` the HOPR, with LOPR 0."""

    name: str
    kind: Kind
    desc: str
    egu: str = ""
    prec: int = 0
    high: float = 0
    size: int = 1
    choices: tuple[str, ...] = ()
    severities: Mapping[int, Severity] = field(default_factory=dict)  # choice -> severity, of mbbi
    writable: bool = False
    live: bool = False  # true only at the moment one looks: brought up to date before it is read
    infos: Mapping[str, str] = field(default_factory=dict)


def _command(name: str, desc: str) -> Record:
    return Record(name, "bo", desc, choices=DONE_BUSY, writable=True, infos=ARCHIVED)


def _text(
    name: str,
    desc: str,
    size: int = LINE,
    infos: Mapping[str, str] | None = None,
    *,
    live: bool = False,
) -> Record:
    return Record(name, "waveform", desc, size=size, infos=infos or {}, live=live)


RECORDS: tuple[Record, ...] = (
    _command("START", "Start the script"),
    _command("STOP", "Stop the script, and keep it stopped"),
    _command("RESTART", "Stop the script if it runs, start it"),
    _command("CHECK", "Compile the script file, run nothing"),
    Record(
        "AUTORESTART",
        "bo",
        "Start the script again after a failure",
        choices=OFF_ON,
        writable=True,
        infos=ARCHIVED,
    ),
    Record(
        "STATUS",
        "mbbi",
        "State of the script",
        choices=tuple(state.name.capitalize() for state in State),
        severities={State.BACKOFF: Severity.MINOR, State.FAILED: Severity.MAJOR},
        infos=ALARMED,
    ),
    _text("STATUS:MSG", "Why it is in this state", infos={"INTEREST": "HIGH"}),
    _text("LOG", "Newest lines of the script's output", TAIL, {"INTEREST": "HIGH"}),
    _text("LOG:LINE", "Newest line of the script's output"),
    Record("LOG:COUNT", "int64in", "Lines printed since the IOC started", "lines"),
    Record(
        "LOG:DROPPED", "int64in", "Lines that could not be kept on file", "lines", infos=ARCHIVED
    ),
    _text("LOG:FILE", "Today's log file"),
    _text("ERROR", "Last uncaught exception, one line", infos={"INTEREST": "HIGH"}),
    _text("TRACEBACK", "Last uncaught exception, its traceback", TAIL),
    Record("EXITCODE", "longin", "Last exit code, -N for signal N", infos=ARCHIVED),
    Record("EXITREASON", "stringin", "Why the script ended last", infos=ARCHIVED),
    Record("PID", "longin", "Process id of the script, 0: none"),
    Record("STARTTIME", "stringin", "Start of this run, local time"),
    Record("UPTIME", "ai", "Length of this run", "s", live=True),
    Record("STARTS", "longin", "Runs since the IOC started", infos=ARCHIVED),
    Record("RESTARTS", "longin", "Runs that were started automatically", infos=ARCHIVED),
    Record("RETRYIN", "ai", "Time to the next automatic start", "s", 1, live=True),
    _text("SCRIPT", "Path of the script", live=True),
    _text("SCRIPT:MSG", "Who else may change the script", live=True),
    _text("SCRIPT:SHA256", "SHA-256 of the text that runs", SHA256),
    Record("SCRIPT:GIT", "stringin", "Revision that runs, + when modified"),
    Record(
        "SCRIPT:CHANGED",
        "bi",
        "The file on disk is not what runs",
        choices=NO_YES,
        live=True,
        infos=ARCHIVED,
    ),
    _text("PYTHON", "Interpreter that runs the script", 256),
    Record("REGISTERED", "bi", "The IOC registry has the script", choices=NO_YES, infos=IMPORTANT),
    _text("REGISTRY:MSG", "State of the IOC registry, last error", 256),
    Record("CPU", "ai", "Processor time of the script's tree", "%", 1, live=True, infos=ARCHIVED),
    Record("MEMORY", "ai", "Memory of the script's tree", "MB", 1, live=True, infos=ARCHIVED),
    Record("PROCS", "longin", "Processes of the script's tree", live=True, infos=ARCHIVED),
    Record("THREADS", "longin", "Threads of the script's tree", live=True, infos=ARCHIVED),
    _text("SPARE", "Interpreter kept for the next start", 256),
    Record("SPARE:MEMORY", "ai", "Memory of the spare interpreter", "MB", 1, live=True),
    Record("HEARTBEAT", "longin", "How often the script said it is alive"),
    _text("MESSAGE", "What the script says it is doing", 256),
    Record("PROGRESS", "ai", "How far the script says it is", "%", 1, 100, infos=ARCHIVED),
)

IOCOUT = 5120  # bytes, as procServControl has it

# At $(P)CS:PS:$(NAME): instead of $(P)$(NAME): - the names and strings of procServControl.
PROCSERV_RECORDS: tuple[Record, ...] = (
    Record("START", "bo", "Start the script", choices=DONE_BUSY, writable=True),
    Record("STOP", "bo", "Stop the script", choices=DONE_BUSY, writable=True),
    Record("RESTART", "bo", "Restart the script", choices=DONE_BUSY, writable=True),
    Record("TOGGLE", "bo", "Switch autorestart", choices=DONE_BUSY, writable=True),
    Record(
        "STATUS",
        "mbbi",
        "State of the script",
        choices=("Running", "Shutdown", "procServ Stopped", "Invalid portname"),
    ),
    Record("AUTORESTART", "bi", "Start again after a failure", choices=OFF_ON),
    Record("IOCNAME", "stringin", "Name of the instance"),
    Record("IOCOUT", "waveform", "Newest lines of the script's output", size=IOCOUT),
)
