"""Lets the IOC read the stacks of this interpreter's threads, even if these threads run C code.

The IOC sends a signal. faulthandler, which is written in C, then writes the stacks of all threads
to a file in memory. The IOC opens the file through /proc. Neither side waits for the other.
"""

import os

from _bgrscrpt_process import STACKS_SIGNAL, call_libc

NAME = "bgrscrpt-stacks"  # name by which the IOC finds the file among the process's descriptors
STACKS_AT = 202  # descriptor of the file: scripts expect to get the low numbers themselves
MFD_CLOEXEC = 1


def listen():
    # type: () -> None
    """Have faulthandler write the stacks of all threads when the IOC asks, if it can here.

    A system call that the signal interrupts is resumed, if the kernel can do that (SA_RESTART).
    """
    import faulthandler

    try:
        file = open_file()
        faulthandler.register(STACKS_SIGNAL, file=file, all_threads=True, chain=False)
    except (AttributeError, OSError, ValueError, RuntimeError):
        pass  # Windows, no such signal, no memory, or no descriptor


def open_file():
    # type: () -> int
    """Make the file in memory, in append mode, because the IOC empties the file."""
    if hasattr(os, "memfd_create"):
        made = os.memfd_create(NAME, MFD_CLOEXEC)
    else:  # a Python that was built for an old libc, as conda's are
        made = call_libc("memfd_create", NAME.encode(), MFD_CLOEXEC)
    if made < 0:
        raise OSError("no file in memory")
    try:
        path = "/proc/self/fd/%d" % made
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.close(made)
    try:
        file = os.dup2(opened, STACKS_AT, inheritable=False)
    except OSError:
        return opened  # `ulimit -n` is lower
    os.close(opened)
    return file
