"""Becomes the script: sets up what design section 4 promises, then runs it as `__main__`.

Run as `python -I -u bootstrap.py`. Its three pipes: stdin brings the order, stdout takes messages,
stderr takes output. It imports nothing that is written in Python: a script may have a `signal.py`
or a `types.py` of its own beside it, and every millisecond is the user's.
"""

import _signal  # pyright: ignore[reportMissingImports] - `signal` without its imports
import os
import sys

_signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # who stops it now shall see no traceback of ours

CANNOT_RUN = 2  # exit code, as of `python no_such_file.py`
CHANNEL_AT = 200  # the descriptor of the channel: scripts expect the small ones for theirs
PR_SET_PDEATHSIG = 1
SIGKILL = 9


def read_order():
    """Read the order until EOF; `launch.Launch.order` of the IOC writes it."""
    data = b""
    while True:
        more = os.read(0, 65536)
        if not more:
            break
        data += more
    if not data.endswith(b"\0"):
        sys.exit(0)  # the IOC has gone, or wants no script
    fields = [os.fsdecode(item) for item in data[:-1].split(b"\0")]
    mode, script, cgroup, limits, count, *rest = fields
    return mode, script, cgroup, limits, rest[: int(count)], rest[int(count) :]


def confine(cgroup, limits):
    """Take the place and the limits the IOC has for the script; what cannot be is told."""
    if cgroup:
        try:
            with open(cgroup + "/cgroup.procs", "wb", 0) as file:
                file.write(b"0")  # cgroups(7): the process that writes it
        except OSError as error:
            tell("not in its cgroup %s: %s" % (cgroup, error.strerror))
    for name, number in [part.split("=") for part in limits.split()]:
        try:
            limit(name, int(number))
        except (OSError, ValueError, ImportError, AttributeError) as error:
            tell("the limit %s=%s does not hold: %s" % (name, number, error))


def limit(name, number):
    """Set one: our chance to be killed for memory, niceness, or a resource limit."""
    if name == "oom":
        with open("/proc/self/oom_score_adj", "rb+", 0) as file:
            file.write(b"%d" % min(1000, int(file.read()) + number))
    elif name == "nice":
        os.nice(number)
    else:
        import resource

        del sys.modules["resource"]  # a script may have a `resource.py` of its own
        which = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(which)[1]
        number = number if hard == resource.RLIM_INFINITY else min(number, hard)
        resource.setrlimit(which, (number, number))


def tell(text):
    """Say something among the script's own output."""
    os.write(2, ("bgrscrpt-ioc: %s\n" % text).encode("utf-8", "backslashreplace"))


def take_pipes():
    """Keep stdout's pipe as the channel; join stdout to stderr; put stdin at EOF."""
    try:
        channel = os.dup2(1, CHANNEL_AT, inheritable=False)
    except OSError:
        channel = os.dup(1)  # `ulimit -n` is lower
    os.set_blocking(channel, False)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return channel


def die_with_the_ioc():
    """Ask the kernel for SIGKILL when the IOC dies: `prctl` without the 4 ms of `import ctypes`."""
    try:
        import _ctypes

        libc = _ctypes.dlopen(None, 0)  # pyright: ignore[reportArgumentType] - of our own process
        prctl = _ctypes.dlsym(libc, "prctl")
        _ctypes.call_function(prctl, (PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
    except (ImportError, AttributeError, OSError):
        pass  # not Linux, or a Python without ctypes: the guardian process does it alone


def reset_signals():
    """Give the script default handlers, also when the IOC was started with some ignored."""
    kept = {getattr(_signal, name, None) for name in ("SIGPIPE", "SIGXFSZ")}  # Python's own
    for number in range(1, _signal.NSIG):
        if number not in kept and _signal.getsignal(number) == _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def sha256(data):
    """Hash without OpenSSL, which takes longer to load than the script to compile."""
    try:
        from _sha2 import sha256 as new  # pyright: ignore[reportMissingImports] - CPython 3.12
    except ImportError:
        try:
            from _sha256 import sha256 as new
        except ImportError:
            from hashlib import sha256 as new
    return new(data).hexdigest()


def make_main(script):
    """Make the `__main__` that `python script.py` would have."""
    module = type(sys)("__main__")
    vars(module).update(
        __file__=script,
        __cached__=None,
        __loader__=type(__loader__)("__main__", script),
        __builtins__=sys.modules["builtins"],
        __annotations__={},
    )
    sys.modules["__main__"] = module


def read_script(script):
    """Read the source; a file that cannot be read ends as `python script.py` does."""
    try:
        with open(script, "rb") as file:
            return file.read()
    except OSError as error:
        text = "can't open file %r: [Errno %s] %s" % (script, error.errno, error.strerror)
        bgrscrpt._send(bgrscrpt._json(kind="failed", error=text, traceback=""), patience=1.0)
        os.write(2, ("%s: %s\n" % (sys.executable, text)).encode("utf-8", "backslashreplace"))
        raise SystemExit(CANNOT_RUN) from error


def without_ours(traceback):
    """Drop the frames of this file from the outer end of a traceback."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback


def summary(error, script):
    """Tell an exception in one line: `ValueError: bad (script.py:17)`, at the script's own line."""
    name = os.path.basename(script)
    if isinstance(error, SyntaxError) and error.filename:
        where = "%s:%s" % (os.path.basename(str(error.filename)), error.lineno)
        return "%s: %s (%s)" % (type(error).__name__, error.msg, where)
    where, traceback = "", error.__traceback__
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if filename == script or not where.startswith(name + ":"):
            where = "%s:%d" % (os.path.basename(filename), traceback.tb_lineno)
        traceback = traceback.tb_next
    text = first_line(error)
    return "%s (%s)" % (text, where) if where else text


def first_line(error):
    """Tell an exception without `import traceback`: `ValueError: bad`."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("__main__", "builtins"):
        name = "%s.%s" % (kind.__module__, name)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - whatever the user's own class does
        text = "<exception str() failed>"
    return "%s: %s" % (name, text.split("\n")[0]) if text else name


def whole_traceback(error):
    """Tell it as Python prints it, by the standard `traceback` and no file beside the script."""
    path, sys.path = sys.path, STANDARD_PATH
    try:
        import traceback

        lines = traceback.format_exception(type(error), error, error.__traceback__)
    except Exception as trouble:  # noqa: BLE001 - it can be told in one line, all the same
        return "no traceback: %r\n" % trouble
    finally:
        sys.path = path
    return "".join(lines)[-30000:]


def report(error, script):
    """Tell the IOC how the script ended, if it did not just exit with a code."""
    error.__traceback__ = without_ours(error.__traceback__)
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return
    if bgrscrpt._channel is None or os.getpid() != bgrscrpt._channel.script_pid:
        return  # a forked child that fell through: the script itself still runs
    bgrscrpt._send(
        bgrscrpt._json(
            kind="failed", error=summary(error, script), traceback=whole_traceback(error)
        ),
        patience=1.0,
    )


def leave_no_frame(hook):
    """Wrap `sys.excepthook` for its one call, so that the user's traceback starts in his file."""

    def excepthook(kind, error, traceback):
        sys.excepthook = hook
        traceback = without_ours(traceback)
        try:
            hook(kind, error.with_traceback(traceback), traceback)
        except SystemExit:
            raise
        except BaseException as trouble:  # noqa: BLE001 - told as Python tells it
            trouble.__traceback__ = without_ours(trouble.__traceback__)
            sys.stderr.write("Error in sys.excepthook:\n")
            sys.__excepthook__(type(trouble), trouble, trouble.__traceback__)
            sys.stderr.write("\nOriginal exception was:\n")
            sys.__excepthook__(kind, error, traceback)

    return excepthook


STANDARD_PATH = sys.path[:]
mode, script, cgroup, limits, args, search_path = read_order()
if sys.version_info < (3, 8):
    told = "Python %d.%d is too old: a script needs 3.8 or newer" % sys.version_info[:2]
    os.write(
        1, ('%d={"kind":"failed","error":"%s","traceback":""}\n' % (os.getpid(), told)).encode()
    )
    os.write(2, (sys.executable + ": " + told + "\n").encode())
    sys.exit(CANNOT_RUN)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import _bgrscrpt_hook  # noqa: E402
import bgrscrpt  # noqa: E402

del sys.path[0]
if mode == "run":
    die_with_the_ioc()
confine(cgroup, limits)
channel = take_pipes()
bgrscrpt._open(channel, os.getpid(), channel, script)
_bgrscrpt_hook.install()
__import__("faulthandler").enable()
sys.argv = [script, *args]
sys.path[:0] = [os.path.dirname(os.path.realpath(script)), *search_path]
make_main(script)
try:
    source = read_script(script)
    code = compile(source, script, "exec", dont_inherit=True)
    if mode == "check":
        sys.exit(0)
    bgrscrpt._send(
        bgrscrpt._json(
            kind="began",
            pid=os.getpid(),
            sha256=sha256(source),
            python="%d.%d.%d" % sys.version_info[:3],
            executable=sys.executable,
        ),
        patience=1.0,
    )
    del source
    reset_signals()
    exec(code, sys.modules["__main__"].__dict__)  # noqa: S102 - what this file is for
except BaseException as error:
    report(error, script)
    if not isinstance(error, SystemExit):
        sys.excepthook = leave_no_frame(getattr(sys, "excepthook", sys.__excepthook__))
    raise
