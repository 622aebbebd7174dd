"""An interpreter that is started, has imported what it was told to, and waits for its script.

The IOC tells it by single bytes on the pipe that the order came through; at EOF it ends.
"""

import os
import sys

import bgrscrpt
from _bgrscrpt_preload import Preloaded, PreloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable  # noqa: F401 - in type comments

CHECK, GO = b"c", b"g"
COOKIE = "BGRSCRPT_RUN"
LOOK = 30000  # ms between two looks at the files that were imported
CAP_SYS_NICE = 1 << 23  # whoever has it may leave SCHED_IDLE again
COMMANDS_AT = 201  # the descriptor of the pipe: scripts expect the small ones for theirs


def take_commands():
    # type: () -> int
    """Keep stdin's pipe where nobody stumbles over it."""
    try:
        return os.dup2(0, COMMANDS_AT, inheritable=False)
    except OSError:
        return os.dup(0)  # `ulimit -n` is lower


class Standby:
    """This interpreter, until it runs the script."""

    def __init__(self, preload, standard_path):
        # type: (list[str], list[str]) -> None
        """Take the pipe. `preload`: modules to import; `standard_path`: where Python's own are."""
        self.commands = take_commands()
        self.preload = preload
        self.preloaded = None if not preload else Preloaded(standard_path)
        self.stamps = {}  # type: dict[str, object]

    def wait(self, check, begin_anew):
        # type: (Callable[[], str], Callable[[], object]) -> None
        """Return when the script shall run.

        Args:
            check: says what is wrong with the script as it is on disk, or "".
            begin_anew: runs the script in this process by a fresh interpreter; does not return.
        """
        poll = poller(self.commands)
        modules = 0 if self.preloaded is None else self.import_ahead(self.preloaded)
        bgrscrpt._send(bgrscrpt._json(kind="prepared", modules=modules), patience=1.0)
        while True:
            if not poll(LOOK):
                if self.is_stale():
                    os._exit(0)  # the IOC prepares another one
                continue
            told = os.read(self.commands, 1)
            if told == CHECK:
                bgrscrpt._send(bgrscrpt._json(kind="checked", error=check()), patience=1.0)
            elif told == GO:
                break
            else:
                os._exit(0)
        os.close(self.commands)
        cookie = become_a_run()
        if self.preloaded is not None:
            self.preloaded.as_it_was[COOKIE] = cookie
        if self.is_stale():
            begin_anew()

    def import_ahead(self, preloaded):
        # type: (Preloaded) -> int
        """Import the modules at low priority; return how many it took."""
        prioritise(os.SCHED_IDLE if may_return() else os.SCHED_BATCH)
        try:
            preloaded.load(self.preload)
        except PreloadError as error:
            bgrscrpt._send(bgrscrpt._json(kind="unprepared", error=str(error)), patience=1.0)
            os._exit(0)
        finally:
            prioritise(os.SCHED_OTHER)
        files = {getattr(module, "__file__", None) for module in preloaded.hidden.values()}
        for file in files | {sys.executable}:
            if isinstance(file, str):
                self.stamps[file] = stamp(file)
        return len(preloaded.hidden)

    def is_stale(self):
        # type: () -> bool
        """Tell whether a file is not what it was when it was imported."""
        return any(stamp(file) != before for file, before in self.stamps.items())


def become_a_run():
    # type: () -> str
    """Carry the cookie of the run from now on, also where others look: in /proc."""
    before = os.environ.get(COOKIE, "")
    head, _, run = before.rpartition("/~")
    cookie = head + "/" + run if head else before
    os.environ[COOKIE] = cookie
    try:
        with open("/proc/self/environ", "rb") as file:
            at = (b"\0" + file.read()).index(b"\0" + COOKIE.encode() + b"=")
        with open("/proc/self/stat", "rb") as file:  # proc(5): env_start is the 50th field
            start = int(file.read().rpartition(b")")[2].split()[47])
        with open("/proc/self/mem", "r+b", 0) as memory:
            memory.seek(start + at)
            memory.write((COOKIE + "=" + cookie).encode() + b"\0")
    except (OSError, ValueError, IndexError):
        pass  # it is known by its session, and by what it inherits
    return cookie


def may_return():
    # type: () -> bool
    """Tell whether this process may leave the lowest priority again."""
    try:
        with open("/proc/self/status", "rb") as file:
            status = file.read()
    except OSError:
        return False
    return bool(int(status.partition(b"CapEff:")[2].split()[0], 16) & CAP_SYS_NICE)


def prioritise(policy):
    # type: (int) -> None
    """Schedule all threads so: libraries start some when they are imported."""
    for thread in os.listdir("/proc/self/task"):
        try:  # noqa: SIM105 - contextlib is written in Python: scripts may have their own
            os.sched_setscheduler(int(thread), policy, os.sched_param(0))
        except OSError:
            pass  # it has ended, or nobody may: then it takes a little more of others' time


def poller(fd):
    # type: (int) -> Callable[[int], object]
    """Wait for something to read, without leaving `select` in the script's `sys.modules`."""
    known = "select" in sys.modules
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not known:
        del sys.modules["select"]
    return poll.poll


def stamp(file):
    # type: (str) -> object
    """Tell what changes when the file does."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
