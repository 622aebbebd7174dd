"""An interpreter in standby: it checks the script, imports the modules of `preload`, and then runs.

The IOC sends it single bytes by the pipe that has brought the order. At EOF it ends.
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
    """This interpreter, until it runs the script."""

    def __init__(self, commands, preload):
        # type: (int, list[str]) -> None
        """Take commands from the descriptor `commands`. `preload` has the modules to import."""
        self.commands, self.preload = commands, preload
        self.has_imported = False
        # Processes that it starts are the run's. Its own cookie in /proc stays that of standby.
        head, _, run = os.environ.get(COOKIE, "").rpartition("/~")
        if head:
            os.environ[COOKIE] = head + "/" + run

    def wait(self, check, reset_signals):
        # type: (Callable[[], str], Callable[[], None]) -> None
        """Return when the script is to run.

        Args:
            check: returns what is wrong with the script on disk, or "".
            reset_signals: sets the signals for the script, and for what is imported for it.
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
                bgrscrpt._kept_line = b""  # the run is told the values of now
                break
            else:
                os._exit(0)

    def read_line(self):
        # type: () -> bytes
        """Read a line that has its length in a line before it."""
        length = b""
        while not length.endswith(b"\n"):
            length += os.read(self.commands, 1) or os._exit(0)
        data = b""
        while len(data) < int(length):
            data += os.read(self.commands, int(length) - len(data)) or os._exit(0)
        return data

    def import_ahead(self):
        # type: () -> None
        """Import the modules, and report which failed: the script may need none of them."""
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
    """Keep the garbage collector from the modules: a RESTART waits for the end of the old run.

    Of that end the collector takes the most (with matplotlib 60 ms of 70). What the script leaves
    in globals of these modules is then not collected. Files are flushed, so that no data is lost.
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
                pass  # it is closed, or its disk is full, as Python too would find too late

    atexit.register(flush)
    gc.freeze()
