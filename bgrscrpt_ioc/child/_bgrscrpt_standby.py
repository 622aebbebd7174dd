"""An interpreter in standby: checks the script, imports the modules of `preload`, then runs.

The IOC sends single bytes as commands, by the pipe that has brought the order. At EOF the
interpreter ends.
"""

import os

import bgrscrpt
from _bgrscrpt_error import cut, first_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable  # noqa: F401 - in type comments

CHECK, GO, KEPT = b"c", b"g", b"k"
COOKIE = "BGRSCRPT_RUN"


class Standby:
    """This interpreter, until the script begins."""

    def __init__(self, commands, preload):
        # type: (int, list[str]) -> None
        """Read commands from the descriptor `commands`. `preload`: names of modules to import."""
        self.commands, self.preload = commands, preload
        self.has_imported = False
        # Processes that this one starts belong to the run. /proc keeps showing standby's cookie.
        head, _, run = os.environ.get(COOKIE, "").rpartition("/~")
        if head:
            os.environ[COOKIE] = head + "/" + run

    def wait(self, check, reset_signals):
        # type: (Callable[[], str], Callable[[], None]) -> None
        """Return when the script is to run.

        Args:
            check: returns what is wrong with the script on disk, or "".
            reset_signals: sets the signals for the script and for the modules of `preload`.
        """
        while True:
            told = os.read(self.commands, 1)
            if told == CHECK:
                problem = check()
                bgrscrpt._send(bgrscrpt._json(kind="checked", error=problem), patience=1.0)
                if self.preload and not problem and not self.has_imported:
                    reset_signals()
                    self.import_ahead()
            elif told == KEPT:
                bgrscrpt._kept_line = self.read_line()
            elif told == GO:
                bgrscrpt._kept_line = b""  # the run gets the values that are kept now
                break
            else:
                os._exit(0)

    def read_line(self):
        # type: () -> bytes
        """Return a line; its length is in the line before it."""
        length = b""
        while not length.endswith(b"\n"):
            length += os.read(self.commands, 1) or os._exit(0)
        data = b""
        while len(data) < int(length):
            data += os.read(self.commands, int(length) - len(data)) or os._exit(0)
        return data

    def import_ahead(self):
        # type: () -> None
        """Import the modules. Report those that fail, and go on: the script may not need them."""
        self.has_imported = True
        problems = []
        for name in self.preload:
            try:
                __import__(name)
            except BaseException as error:  # noqa: BLE001 - the user's module may raise anything
                problems.append("%s cannot be imported: %s" % (name, cut(first_line(error), 200)))
        spare_the_end()
        problem = "; ".join(problems)
        bgrscrpt._send(bgrscrpt._json(kind="prepared", error=problem), patience=1.0)


def spare_the_end():
    # type: () -> None
    """Keep the garbage collector from these modules, so that the script ends sooner.

    A RESTART waits for the end of the old run, and the collector takes most of that time (with
    matplotlib, 60 ms of 70). The price: objects that the script leaves in globals of these modules
    are not collected. Their files are flushed, so no data is lost.
    """
    import _io
    import atexit
    import gc

    kinds = (_io.BufferedWriter, _io.BufferedRandom, _io.TextIOWrapper)

    def files():
        # type: () -> list
        return [each for each in gc.get_objects() if type(each) in kinds]

    early = files()

    def flush():
        # type: () -> None
        for file in files() + early:
            try:  # noqa: SIM105 - contextlib is written in Python: scripts may have their own
                file.flush()
            except (OSError, ValueError):
                pass  # it is closed, or its disk is full: Python would notice too late as well

    atexit.register(flush)
    gc.freeze()
