"""What the bootstrap does before the script and after it: what design section 4 promises.

It imports nothing that is written in Python: a script may have a `signal.py` or a `types.py` of its
own beside it, and every millisecond is the user's.
"""

import _signal  # pyright: ignore[reportMissingImports] - `signal` without its imports
import os
import sys

import _bgrscrpt_hook
import bgrscrpt

BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.py")
OURS = frozenset((BOOTSTRAP, __file__))
PATHS = os.path.join(os.path.dirname(BOOTSTRAP), "_bgrscrpt_paths.py")
CANNOT_RUN = 2  # exit code, as of `python no_such_file.py`
CHANNEL_AT = 200  # the descriptor of the channel: scripts expect the small ones for theirs
PR_SET_PDEATHSIG = 1
SIGKILL = 9


def read_order():
    """Read the order, and not what may follow it; `launch.Launch.order` of the IOC writes it."""
    length = b""
    while not length.endswith(b"\0"):
        length += take(1)
    data = b""
    while len(data) < int(length[:-1]):
        data += take(int(length[:-1]) - len(data))
    return data


def take(size):
    """Read from the IOC; end if it has gone, or wants no script."""
    data = os.read(0, size)
    if not data:
        sys.exit(0)
    return data


def fields_of(order):
    """Take the order apart: mode, script, its place and limits, then lists: arguments, path, ..."""
    fields = [os.fsdecode(item) for item in order[:-1].split(b"\0")]
    lists = []
    at = 4
    while at < len(fields):
        end = at + 1 + int(fields[at])
        lists.append(fields[at + 1 : end])
        at = end
    return (*fields[:4], *lists)


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
        if sys.version_info < (3, 12):
            from _sha256 import sha256 as new
        else:
            from _sha2 import sha256 as new  # pyright: ignore[reportMissingImports]
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


def compiled(script):
    """Read and compile the script; return both, the code and its source."""
    with open(script, "rb") as file:
        source = file.read()
    return compile(source, script, "exec", dont_inherit=True), source


def cannot_open(script, error):
    """Say it as `python script.py` does."""
    return "can't open file %r: [Errno %s] %s" % (script, error.errno, error.strerror)


def without_ours(traceback):
    """Drop our own frames: at the outer end of a traceback, and a `path_map`'s from within."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename in OURS:
        traceback = traceback.tb_next
    at = traceback
    while at is not None:
        while at.tb_next is not None and at.tb_next.tb_frame.f_code.co_filename == PATHS:
            at.tb_next = at.tb_next.tb_next
        at = at.tb_next
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


def whole_traceback(error, standard_path):
    """Tell it as Python prints it, by the standard `traceback` and no file beside the script."""
    if isinstance(error, KeyboardInterrupt):
        return frames_of(error)  # most are a STOP: nobody looks at it, but somebody waits
    path, sys.path = sys.path, standard_path
    try:
        import traceback

        lines = traceback.format_exception(type(error), error, error.__traceback__)
    except Exception as trouble:  # noqa: BLE001 - it can be told in one line, all the same
        return "no traceback: %r\n" % trouble
    finally:
        sys.path = path
    return "".join(lines)[-30000:]


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


def frames_of(error):
    """Tell where it was, but for the source: `import traceback` takes longer than all that ends."""
    lines, traceback = ["Traceback (most recent call last):\n"], error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        where = code.co_filename, traceback.tb_lineno, code.co_name
        lines.append('  File "%s", line %d, in %s\n' % where)
        traceback = traceback.tb_next
    return "".join(lines)[-30000:] + type(error).__name__ + "\n"


class Start:
    """The start of one script, from the order to its first line, and how it ended."""

    def __init__(self, standard_path):
        """Read the order. `standard_path`: `sys.path` as the interpreter has made it."""
        self.standard_path = standard_path
        self.order = read_order()
        self.mode, self.script, self.cgroup, self.limits, *lists = fields_of(self.order)
        self.args, self.search_path, self.preload, self.path_map = lists

    def begin(self):
        """Set everything up, wait if that is the order; return the script's code."""
        standby = None
        if self.mode == "standby":
            standby = import_ours("_bgrscrpt_standby").Standby(self.preload, self.standard_path)
        if self.mode != "check":
            die_with_the_ioc()
        self.channel = take_pipes()
        bgrscrpt._open(self.channel, os.getpid(), self.channel, self.script)
        _bgrscrpt_hook.install()
        if self.path_map:
            paths = import_ours("_bgrscrpt_paths")
            paths.install(paths.pairs_of(self.path_map))
        __import__("faulthandler").enable()
        sys.argv = [self.script, *self.args]
        sys.path[:0] = [os.path.dirname(os.path.realpath(self.script)), *self.search_path]
        make_main(self.script)
        if standby is not None:
            standby.wait(self.check, self.begin_anew)
        confine(self.cgroup, self.limits)
        code, source = self.open_script()
        if self.mode == "check":
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
        reset_signals()
        return code

    def check(self):
        """Say what keeps the script on disk from running, or ""."""
        try:
            compiled(self.script)
        except OSError as error:
            return cannot_open(self.script, error)
        except Exception as error:  # noqa: BLE001 - compile raises more than SyntaxError
            return summary(error, self.script)
        return ""

    def open_script(self):
        """Read and compile it; a file that cannot be read ends as `python script.py` does."""
        try:
            return compiled(self.script)
        except OSError as error:
            text = cannot_open(self.script, error)
            bgrscrpt._send(bgrscrpt._json(kind="failed", error=text, traceback=""), patience=1.0)
            os.write(2, ("%s: %s\n" % (sys.executable, text)).encode("utf-8", "backslashreplace"))
            raise SystemExit(CANNOT_RUN) from error

    def begin_anew(self):
        """Run the script in this process by a fresh interpreter, which imports nothing ahead."""
        data = self.order.replace(b"standby", b"run", 1)
        data = b"%d\0" % len(data) + data
        stdin, to_stdin = os.pipe()
        os.set_blocking(to_stdin, False)
        if os.write(to_stdin, data) == len(data):  # else too long for a pipe: it runs as it is
            os.dup2(stdin, 0)
            os.dup2(self.channel, 1)
            os.execv(sys.executable, [sys.executable, "-I", "-u", BOOTSTRAP])  # noqa: S606 - ours

    def report(self, error):
        """Tell the IOC how the script ended, if it did not just exit with a code."""
        error.__traceback__ = without_ours(error.__traceback__)
        if not isinstance(error, SystemExit):
            sys.excepthook = leave_no_frame(getattr(sys, "excepthook", sys.__excepthook__))
        elif error.code is None or isinstance(error.code, int):
            return
        if bgrscrpt._channel is None or os.getpid() != bgrscrpt._channel.script_pid:
            return  # a forked child that fell through: the script itself still runs
        bgrscrpt._send(
            bgrscrpt._json(
                kind="failed",
                error=summary(error, self.script),
                traceback=whole_traceback(error, self.standard_path),
            ),
            patience=1.0,
        )


def import_ours(name):
    """Import a module from beside this file, which is not on the script's path."""
    sys.path.insert(0, os.path.dirname(__file__))
    try:
        return __import__(name)
    finally:
        del sys.path[0]
