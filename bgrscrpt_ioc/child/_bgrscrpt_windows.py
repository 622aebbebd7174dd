"""The parts of the bootstrap that differ on Windows. This file is imported only there.

The modules of Windows that this file imports are built into the interpreter, so no file of a script
can take their place.
"""

import _signal  # pyright: ignore[reportMissingImports] - `signal` without its imports
import _winapi
import msvcrt
import os
import sys
from _thread import start_new_thread
from time import monotonic, sleep

import bgrscrpt
from _bgrscrpt_commands import CHUNK, PAUSE, SCAN, Commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments

NOWAIT = 1  # PIPE_NOWAIT
DUPLICATE_HANDLE = 0x40  # PROCESS_DUP_HANDLE
CONTROL_C_EXIT = 0xC000013A - (1 << 32)  # exit code of a program that ^C has ended
MANY = 8  # commands that are kept until they have a handler

# The pipe that has brought the order, and brings commands. It is a handle and not a descriptor: a
# script that closes all descriptors would wait for ever to close one that a thread reads.
_commands = 0


def take_pipes():
    # type: () -> tuple[int, int]
    """Keep stdout's pipe as the channel and stdin's for commands; text is UTF-8, lines end with LF.

    This does the same as `_bgrscrpt_process.take_pipes`. Children inherit no descriptor.
    """
    global _commands  # noqa: PLW0603 - a process has one
    ours = _winapi.GetCurrentProcess()
    _commands = _winapi.DuplicateHandle(
        ours, msvcrt.get_osfhandle(0), ours, 0, False, _winapi.DUPLICATE_SAME_ACCESS
    )
    channel, commands = os.dup(1), os.dup(0)  # descriptor of the commands, until `obey`
    never_wait(channel)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    streams = [
        (sys.stdin, "strict"),
        (sys.stdout, "strict"),
        (sys.stderr, "backslashreplace"),
    ]  # type: list[tuple[Any, str]]
    for stream, errors in streams:
        if stream is not None:  # pythonw.exe may have no such stream
            stream.reconfigure(encoding="utf-8", errors=errors, newline="\n")
    return channel, commands


def never_wait(channel):
    # type: (int) -> None
    """Make writes to a full pipe fail at once; `bgrscrpt` uses our `write` from now on."""
    _winapi.SetNamedPipeHandleState(msvcrt.get_osfhandle(channel), NOWAIT, None, None)
    bgrscrpt._write = write


def write(channel, data):
    # type: (int, bytes) -> int
    """Write to the channel, all or nothing; BlockingIOError: the pipe is full.

    `os.write` would say that the disk is full.
    """
    done = _winapi.WriteFile(msvcrt.get_osfhandle(channel), data)[0]
    if not done:
        raise BlockingIOError
    return done


def for_children(channel):
    # type: (int) -> int
    """Return the handle by which `reach`, in another process, finds the channel."""
    return msvcrt.get_osfhandle(channel)


def reach(script_pid, handle):
    # type: (int, int) -> int
    """Open the channel of the script's process from a child; OSError if the script has ended."""
    script = _winapi.OpenProcess(DUPLICATE_HANDLE, False, script_pid)
    try:
        ours = _winapi.DuplicateHandle(
            script, handle, _winapi.GetCurrentProcess(), 0, False, _winapi.DUPLICATE_SAME_ACCESS
        )
    finally:
        _winapi.CloseHandle(script)
    channel = msvcrt.open_osfhandle(ours, 0)
    never_wait(channel)
    return channel


def obey():
    # type: () -> None
    """Obey the IOC's commands in a thread: on Windows, no other process can send a signal."""
    os.close(bgrscrpt._commands_fd)
    bgrscrpt._commands_fd = -1
    bgrscrpt._commands = HandleCommands(_commands)
    start_new_thread(bgrscrpt._commands.run, ())


class HandleCommands(Commands):
    """Reads commands from the start, and keeps a command until there is a handler for it."""

    def __init__(self, handle):
        # type: (int) -> None
        self.handle, self.unread = handle, b""
        self.handlers = {"stop": interrupt, "stack": tell_stacks}
        self.early = {}  # type: dict[str, dict]  # by kind, the newest
        self.has_first = False

    def add(self, handlers):
        # type: (dict[str, Any]) -> None
        """Add these handlers, and carry out the commands that were kept for them."""
        self.handlers.update(handlers)
        for kind in handlers:
            command = self.early.pop(kind, None)
            if command is not None:
                self.handlers[kind](command)

    def take_first(self, patience):
        # type: (float) -> None
        """Wait until the line that the IOC writes at the start of each run is carried out."""
        deadline = monotonic() + patience
        while not self.has_first and monotonic() < deadline:
            sleep(PAUSE)

    def start(self):
        # type: () -> None
        """Do nothing: the thread runs already."""

    def run(self):
        # type: () -> None
        """Carry out commands until the pipe ends."""
        while True:
            try:
                self.unread += _winapi.ReadFile(self.handle, CHUNK)[0]
            except OSError:
                return  # the IOC has closed the pipe
            lines = self.unread.split(b"\n")
            self.unread = lines.pop()
            for line in lines:
                self.carry_out(line)
                self.has_first = True

    def carry_out(self, line):
        # type: (bytes) -> None
        """Call the handler of one command, or keep the command."""
        try:
            command = SCAN(line.decode(), 0)[0]
            kind = command["kind"]
        except (ValueError, StopIteration, KeyError, TypeError):
            return
        handler = self.handlers.get(kind)
        if handler is not None:
            handler(command)
        elif len(self.early) < MANY:
            self.early[kind] = command


def interrupt(_command):
    # type: (dict) -> None
    """Raise SIGINT in C, as ^C does: this also ends `time.sleep`."""
    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        os._exit(CONTROL_C_EXIT)  # the C runtime's own exit code would be 3
    _signal.raise_signal(_signal.SIGINT)


def tell_stacks(command):
    # type: (dict) -> None
    """Write the stacks of all threads to a file, which gets its name when it is complete."""
    import faulthandler

    part = command["file"] + ".part"
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_BINARY)
    try:
        faulthandler.dump_traceback(file=file, all_threads=True)
    finally:
        os.close(file)
    os.rename(part, command["file"])
