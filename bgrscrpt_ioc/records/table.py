"""The PVs of an instance as EPICS records: the one table from which all else is made.

Pure. What the records do is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bgrscrpt_ioc.lifecycle.events import Severity, State

Kind = Literal[
    "ai", "ao", "bi", "bo", "int64in", "longin", "longout", "mbbi", "mbbo", "stringin", "waveform"
]  # fmt: skip
Elements = Literal["CHAR", "LONG", "DOUBLE"]  # of a waveform

STRING_SIZE = 40  # bytes of a stringin, its NUL included
LINE = 1024  # bytes of a text PV that holds a line or a path, its NUL included
LINKS = 2048  # bytes of LINKS, its NUL included
SHA256 = 65  # 64 hexadecimal digits and the NUL
TAIL = 16000  # of LOG and TRACEBACK: the most that EPICS_CA_MAX_ARRAY_BYTES = 16384 lets through

DONE_BUSY = ("Done", "Busy")
NO_YES = ("No", "Yes")
OFF_ON = ("Off", "On")

ARCHIVED = {"archive": "VAL"}
IMPORTANT = {"INTEREST": "HIGH", **ARCHIVED}
ALARMED = {"alarm": "BGRSCRPT", **IMPORTANT}


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `low` and `high` are its LOPR and HOPR, and DRVL and DRVH of an output.

    `size` is the NELM of a waveform. `alarms` are LOLO and HIHI, each of severity MAJOR.
    """

    name: str
    kind: Kind
    desc: str
    egu: str = ""
    prec: int = 0
    high: float = 0
    low: float = 0
    alarms: tuple[float | None, float | None] = (None, None)
    size: int = 1
    elements: Elements = "CHAR"
    choices: tuple[str, ...] = ()
    severities: Mapping[int, Severity] = field(default_factory=dict)  # choice -> severity, for mbbi
    writable: bool = False
    live: bool = False  # current only when read: it is brought up to date before that
    infos: Mapping[str, str] = field(default_factory=dict)
    made: bool = False  # by a script: as in base, some of its fields follow the value

    @property
    def limits(self) -> tuple[float, float]:
        """Return the lowest and the highest value for displays; both 0 if there are none."""
        return self.low, self.high

    @property
    def is_text(self) -> bool:
        """Return whether the value is a text."""
        return self.kind == "stringin" or (self.kind == "waveform" and self.elements == "CHAR")


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
    _command("STOP", "Stop the script and keep it stopped"),
    _command("RESTART", "Check, stop and start the script"),
    _command("CHECK", "Compile the script and run nothing"),
    _command("STACK", "Read the stacks of the script's threads"),
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
    _text("STATUS:MSG", "Reason for the state of the script", infos={"INTEREST": "HIGH"}),
    _text("LOG", "Newest lines of the script's output", TAIL, {"INTEREST": "HIGH"}),
    _text("LOG:LINE", "Newest line of the script's output"),
    Record("LOG:COUNT", "int64in", "Lines printed since the IOC started", "lines"),
    Record("LOG:DROPPED", "int64in", "Lines that are not in the log file", "lines", infos=ARCHIVED),
    _text("LOG:FILE", "Path of today's log file"),
    _text("ERROR", "Last uncaught exception, in one line", infos={"INTEREST": "HIGH"}),
    _text("TRACEBACK", "Traceback of the last exception", TAIL),
    _text("STACK:TEXT", "Stacks of the script's threads", TAIL),
    Record("EXITCODE", "longin", "Last exit code; -N for signal N", infos=ARCHIVED),
    Record("EXITREASON", "stringin", "How the last run of the script ended", infos=ARCHIVED),
    Record("PID", "longin", "Process id of the script; 0: none"),
    Record("STARTTIME", "stringin", "Start of this run, in local time"),
    Record("UPTIME", "ai", "Length of this run", "s", live=True),
    Record("STARTS", "longin", "Runs since the IOC started", infos=ARCHIVED),
    Record("RESTARTS", "longin", "Runs that the IOC started by itself", infos=ARCHIVED),
    Record("RETRYIN", "ai", "Time until the next automatic start", "s", 1, live=True),
    _text("HISTORY", "Newest runs, one JSON object a line", TAIL),
    _text("HISTORY:TEXT", "Newest runs, a line for each", TAIL),
    _text("SCRIPT", "Path of the script", live=True),
    _text("SCRIPT:MSG", "What is wrong with the script's file", live=True),
    _text("SCRIPT:SHA256", "SHA-256 of the script that runs", SHA256),
    Record("SCRIPT:GIT", "stringin", "Git revision that runs; +: modified"),
    Record(
        "SCRIPT:CHANGED",
        "bi",
        "Whether the file differs from what runs",
        choices=NO_YES,
        live=True,
        infos=ARCHIVED,
    ),
    _text("PYTHON", "Interpreter that runs the script", 256),
    _text("LINKS", "Web pages of the script, one a line", LINKS),
    Record(
        "REGISTERED", "bi", "Whether the registry has the script", choices=NO_YES, infos=IMPORTANT
    ),
    _text("REGISTRY:MSG", "State of the registry, and last error", 256),
    Record("CPU", "ai", "Processor use of the script", "%", 1, live=True, infos=ARCHIVED),
    Record(
        "MEMORY", "ai", "Memory of all processes of the script", "MB", 1, live=True, infos=ARCHIVED
    ),
    Record("PROCS", "longin", "Number of processes of the script", live=True, infos=ARCHIVED),
    Record("THREADS", "longin", "Number of threads of the script", live=True, infos=ARCHIVED),
    Record("HEARTBEAT", "longin", "Number of the script's alive() calls"),
    _text("MESSAGE", "Message of the script to its operators", 256),
    Record("PROGRESS", "ai", "Progress that the script reports", "%", 1, 100, infos=ARCHIVED),
    _text("PVS", "PVs of the script's own, as JSON", TAIL),
    Record("IOC:VERSION", "stringin", "Version of the IOC"),
    _text("IOC:HOST", "Host that the IOC runs on", 256),
    Record("IOC:PID", "longin", "Process id of the IOC"),
    Record("IOC:STARTTIME", "stringin", "Start of the IOC, in local time"),
    Record("IOC:UPTIME", "ai", "Time since the start of the IOC", "s", live=True),
    Record("IOC:CLIENTS", "longin", "Client connections to the IOC", live=True, infos=ARCHIVED),
    Record("IOC:CPU", "ai", "Processor use of the IOC", "%", 1, live=True, infos=ARCHIVED),
    Record("IOC:MEMORY", "ai", "Memory of the IOC", "MB", 1, live=True, infos=ARCHIVED),
    Record("IOC:FDS", "longin", "Open files and sockets of the IOC", live=True, infos=ARCHIVED),
    _text("IOC:INSTANCES", "Instances of the IOC, one a line", TAIL),
    _text("IOC:CONFIG", "Configuration file of the IOC"),
)

IOCOUT = 5120  # bytes, as in procServControl

# At $(P)CS:PS:$(NAME): instead of $(P)$(NAME): - the names and strings of procServControl.
PROCSERV_RECORDS: tuple[Record, ...] = (
    _command("START", "Start the script"),
    _command("STOP", "Stop the script; autorestart off"),
    _command("RESTART", "Restart the script; autorestart on"),
    _command("TOGGLE", "Switch autorestart"),
    Record(
        "STATUS",
        "mbbi",
        "State of the script",
        choices=("Running", "Shutdown", "procServ Stopped", "Invalid portname"),
        severities=dict.fromkeys((1, 2, 3), Severity.MAJOR),
        infos=ARCHIVED,
    ),
    Record(
        "AUTORESTART", "bi", "Whether failures restart the script", choices=OFF_ON, infos=ARCHIVED
    ),
    Record("IOCNAME", "stringin", "Name of the instance"),
    Record("IOCDESC", "stringin", "Description of the instance"),
    Record("IOCOUT", "waveform", "Newest lines of the script's output", size=IOCOUT),
    Record("SHOWOUT", "bo", "Whether IOCOUT shows the output", choices=NO_YES, writable=True),
    Record("PORT", "stringin", "Name of the console"),
    Record("CONPORT", "longin", "Port of the console; 0: none"),
    Record("LOGPORT", "longin", "Port of the log; 0: none"),
)


def _number(
    name: str, desc: str, egu: str = "", prec: int = 0, high: float = 0, *, live: bool = True
) -> Record:
    return Record(name, "ai", desc, egu, prec, high, live=live)


# At $(P)CS:IOC:$(NAME):DEVIOS: - the names, types and units of devIocStats' ioc.template. A calc,
# calcout or sub there is an ai here: also a DOUBLE that clients only read.
IOCSTATS_RECORDS: tuple[Record, ...] = (
    Record(
        "ACCESS",
        "mbbi",
        "Access mode of the IOC",
        choices=("Running", "Maintenance", "Test", "OFFLINE"),
        severities={1: Severity.MINOR, 2: Severity.MINOR, 3: Severity.MAJOR},
    ),
    Record("STARTTOD", "stringin", "Time and date of startup"),
    Record("TOD", "stringin", "Current time and date", live=True),
    _number("HEARTBEAT", "1 Hz counter since startup"),
    _number("START_CNT", "Increments at startup", live=False),
    _number("READACF", "Not used by this IOC", live=False),
    _number("SYSRESET", "Not used by this IOC", live=False),
    _number("CA_CLNT_CNT", "Number of CA Clients", high=200),
    _number("CA_CONN_CNT", "Number of CA Connections", high=5000),
    _number("RECORD_CNT", "Number of Records"),
    _number("FD_MAX", "Max File Descriptors"),
    _number("FD_CNT", "Allocated File Descriptors"),
    _number("FD_FREE", "Available FDs", high=150),
    _number("SYS_CPU_LOAD", "System CPU Load", "%", 1, 100),
    _number("IOC_CPU_LOAD", "IOC CPU Load", "%", 1, 100),
    _number("LOAD", "IOC CPU Load", "%", 1, 100),
    _number("CPU_CNT", "Number of CPUs", live=False),
    _number("SUSP_TASK_CNT", "Number Suspended Tasks", live=False),
    _number("MEM_USED", "Allocated Memory", "byte"),
    _number("MEM_FREE", "Free Memory", "byte"),
    _number("MEM_MAX", "Maximum Memory", "byte"),
    Record("ST_SCRIPT1", "stringin", "Startup Script Part1"),
    Record("ST_SCRIPT2", "stringin", "Startup Script Part2"),
    _text("ST_SCRIPT", "Startup Script", 120),
    Record("KERNEL_VERS", "stringin", "Kernel Version"),
    Record("EPICS_VERS", "stringin", "EPICS Version"),
    _text("EPICS_VERSION", "EPICS Version", 120),
    Record("HOSTNAME", "stringin", "Host Name"),
    Record("APP_DIR1", "stringin", "Application Directory Part 1"),
    Record("APP_DIR2", "stringin", "Application Directory Part 2"),
    _text("APP_DIR", "Application Directory", 160),
    Record("UPTIME", "stringin", "Elapsed Time since Start", live=True),
    Record("ENGINEER", "stringin", "Engineer"),
    Record("LOCATION", "stringin", "Location"),
    _number("PROCESS_ID", "Process ID", live=False),
    _number("PARENT_ID", "Parent Process ID", live=False),
)
