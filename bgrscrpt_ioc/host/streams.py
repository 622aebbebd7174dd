"""Makes sure that the standard streams are open, so that no other file gets their descriptors.

It is imported before everything else, so it imports only what Python has loaded already.
"""

import os
import sys
from io import TextIOWrapper
from typing import TextIO

USUAL_COLUMNS = 80  # for a terminal that does not say how many it has
UNREAD = 128 + 13  # the exit code that a shell shows for a program whose output nobody reads


def complete() -> None:
    """Open the null device for each closed standard stream, and make every text printable.

    If descriptor 0, 1 or 2 is closed, the next socket or file that is opened gets it, and what is
    printed goes there. A character that the terminal's encoding lacks is printed as its escape.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened == fd:
                os.set_inheritable(fd, True)
            else:  # a lower one was closed meanwhile
                os.dup2(opened, fd)
                os.close(opened)
    for name, fd, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, mode, closefd=False))  # noqa: SIM115 - a descriptor
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            # Otherwise a file would be in the code page's encoding.
            if os.name == "nt" and not stream.isatty():
                stream.reconfigure(encoding="utf-8", newline="\n")


def only_ours(entries: list[str]) -> None:
    """Import nothing from these entries of PYTHONPATH any more.

    The same program is started again without PYTHONPATH, in the same process. On Windows, where
    that would be another process, the entries are removed from the import path.
    """
    if os.name == "nt":
        sys.path[:] = [each for each in sys.path if os.path.abspath(each) not in entries]  # noqa: PTH100
    else:
        os.execv(sys.executable, [sys.executable, "-E", "-P", *sys.orig_argv[1:]])  # noqa: S606 - this very program


def discard_output() -> None:
    """Send what stdout still holds to the null device, so that Python can end without an error."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def is_journal(descriptor: int, stream: str) -> bool:
    """Return whether systemd's journal reads the descriptor: `stream` is $JOURNAL_STREAM."""
    try:
        there = os.fstat(descriptor)
    except OSError:
        return False
    return stream == f"{there.st_dev}:{there.st_ino}"


def columns(stream: TextIO) -> int:
    """Return the columns of a terminal: from `$COLUMNS`, from the terminal, or 80.

    (Python's own function for that is in shutil, which imports all the archive formats.)
    """
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS
    except (OSError, ValueError):  # no terminal, or no file at all
        return USUAL_COLUMNS


def complain(text: object) -> None:
    """Print a line on stderr; on a terminal, break the line between words.

    If stderr cannot be written, nobody can be told, and the text is lost.
    """
    try:  # noqa: SIM105 - contextlib is not loaded yet
        print(_broken(str(text)), file=sys.stderr, flush=True)
    except OSError:
        pass


def _broken(text: str) -> str:
    if not sys.stderr.isatty():
        return text
    from bgrscrpt_ioc.host.wrapping import wrapped  # imported here, because only people need it

    width = columns(sys.stderr)
    lines = ([each] if len(each) <= width else wrapped(each, width) for each in text.split("\n"))
    return "\n".join(line for each in lines for line in each)
