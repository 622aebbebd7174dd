"""Sets up the script's process: pipes, signals and limits, and that it ends when the IOC ends.

This file imports no module written in Python: a script may have a `signal.py` of its own beside it.
"""

import _signal  # pyright: ignore[reportMissingImports] - `signal` without its imports
import os
import sys

WINDOWS = os.name == "nt"
# Descriptors of the channel and of the commands. Scripts expect to get the low numbers themselves.
CHANNEL_AT, COMMANDS_AT = 200, 201
STACKS_SIGNAL = 54  # a real-time signal, as a number, because libcs differ in SIGRTMIN
PR_SET_PDEATHSIG = 1
SIGKILL = 9


def confine(cgroup, limits):
    """Enter the cgroup and set the limits of the order. Print a message about each that fails."""
    if WINDOWS:
        return  # it is in a job, which enforces them
    if cgroup:
        try:
            with open(cgroup + "/cgroup.procs", "wb", 0) as file:
                file.write(b"0")  # cgroups(7): 0 means the process that writes
        except OSError as error:
            tell("the script could not enter its cgroup %s: %s" % (cgroup, error.strerror))
    for name, number in [part.split("=") for part in limits.split()]:
        try:
            limit(name, int(number))
        except (OSError, ValueError, ImportError, AttributeError) as error:
            tell("the limit %s=%s could not be set: %s" % (name, number, error))


def limit(name, number):
    """Set one limit: the OOM score, the niceness, or a resource limit."""
    if name == "oom":
        with open("/proc/self/oom_score_adj", "rb+", 0) as file:
            file.write(b"%d" % min(1000, int(file.read()) + number))
    elif name == "nice":
        os.nice(number)
    else:
        import resource

        del sys.modules["resource"]  # a script may have a `resource.py` of its own beside it
        which = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(which)[1]
        number = number if hard == resource.RLIM_INFINITY else min(number, hard)
        resource.setrlimit(which, (number, number))


def tell(text):
    """Print a message into the script's output."""
    os.write(2, ("bgrscrpt-ioc: %s\n" % text).encode("utf-8", "backslashreplace"))


def take_pipes():
    """Keep the pipes of stdout and stdin for the IOC; join stdout to stderr; set stdin to EOF."""
    if WINDOWS:
        return windows().take_pipes()
    channel, commands = set_apart(1, CHANNEL_AT), set_apart(0, COMMANDS_AT)
    os.set_blocking(channel, False)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return channel, commands


def set_apart(fd, where):
    """Return a second descriptor of a pipe, with a number that scripts do not expect."""
    try:
        return os.dup2(fd, where, inheritable=False)
    except OSError:
        return os.dup(fd)  # `ulimit -n` is lower


def for_children(channel):
    """Return the number by which a child process finds the channel."""
    if WINDOWS:
        return windows().for_children(channel)
    return channel


def die_with_the_ioc():
    """Ask the kernel to send SIGKILL when the IOC dies.

    If the kernel cannot, the guardian process kills the script.
    """
    if WINDOWS:
        return  # it is in a job, which ends with the IOC
    call_libc("prctl", PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def call_libc(name, *arguments):
    """Call a function of libc without the 4 ms of `import ctypes`.

    Return -1 if that is impossible.
    """
    try:
        import _ctypes

        libc = _ctypes.dlopen(None, 0)  # pyright: ignore[reportArgumentType] - of our own process
        return _ctypes.call_function(_ctypes.dlsym(libc, name), arguments)
    except (ImportError, AttributeError, OSError):
        return -1  # not Linux, or a Python without ctypes


def call_process(name):
    """Set the name of this process in `top`, `ps -o comm` and the kernel's log, to 15 bytes."""
    if WINDOWS:
        return  # the task manager shows only the program
    try:
        with open("/proc/self/comm", "wb", 0) as file:
            file.write(os.fsencode(name)[:15])
    except OSError:
        pass  # not Linux: the process is still named python


def reset_signals():
    """Set the default handlers and block no signal, however the IOC was started."""
    # Python itself ignores these.
    kept = {getattr(_signal, name, None) for name in ("SIGPIPE", "SIGXFSZ")}
    kept.add(STACKS_SIGNAL)
    for number in range(1, _signal.NSIG):
        if number not in kept and _signal.getsignal(number) == _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    if not WINDOWS:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def obey():
    """Obey the IOC's commands while the script runs; on POSIX the IOC uses signals."""
    if WINDOWS:
        windows().obey()


def windows():
    """Return the module for Windows, which can be imported only there."""
    import bgrscrpt

    return bgrscrpt._ours("_bgrscrpt_windows")
