"""Prepares the process before the script and reports after it: all runs as in `python script.py`.

This file imports no module that is written in Python, because a script may have a `signal.py` or
`types.py` of its own beside it, and because each millisecond delays the user.
"""

import os
import sys

import _bgrscrpt_hook
import _bgrscrpt_stack
import bgrscrpt
from _bgrscrpt_error import cannot_open, leave_no_frame, summary, whole_traceback, without_ours
from _bgrscrpt_process import (
    call_process,
    confine,
    die_with_the_ioc,
    for_children,
    obey,
    reset_signals,
    take_pipes,
    tell,
)

CANNOT_RUN = 2  # exit code, as for `python no_such_file.py`


def read_order():
    """Read the order, and nothing behind it. The IOC's `process/order.py` writes the order."""
    length = b""
    while not length.endswith(b"\0"):
        length += take(1)
    data = b""
    while len(data) < int(length[:-1]):
        data += take(int(length[:-1]) - len(data))
    return data


def take(size):
    """Read from the IOC. End the process if the IOC has gone or needs no script."""
    data = os.read(0, size)
    if not data:
        sys.exit(0)
    return data


def fields_of(order):
    """Return the parts of the order: mode, script, place and limits, then arguments and paths."""
    fields = [os.fsdecode(item) for item in order[:-1].split(b"\0")]
    lists = []
    at = 4
    while at < len(fields):
        end = at + 1 + int(fields[at])
        lists.append(fields[at + 1 : end])
        at = end
    return (*fields[:4], *lists)


def sha256(data):
    """Return the SHA-256 without OpenSSL: its import takes longer than to compile the script."""
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


def read_script(script):
    """Return the script's text.

    Refuse a FIFO, socket or device, from which a read may never return.
    """
    kind = os.stat(script).st_mode & 0o170000  # stat.S_IFMT, without an import
    if kind not in (0o100000, 0o040000):  # for a directory, `open` raises a good message
        raise OSError(22, "is a FIFO, a socket or a device, not a file")
    with open(script, "rb") as file:
        return file.read()


def compiled(script, source=None):
    """Compile the script and return its code and source; read the source if it is not given."""
    if source is None:
        source = read_script(script)
    reason = no_script(source, script)
    if reason:
        raise SyntaxError(reason, (script, 1, None, None))
    return compile(source, script, "exec", dont_inherit=True), source


def no_script(source, script):
    """Return why a file is no script, and the remedy; "": the compiler's message is good."""
    if source[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "the file is UTF-16, which Python cannot read: save it as UTF-8"
    if b"\0" in source and b"PK\5\6" in source[-(1 << 16) :]:
        code = "import runpy; runpy.run_path(%r, run_name='__main__')" % script
        return "a zip archive: set `script` to a file with the line `%s`" % code
    return ""


class Start:
    """The start of one script, from the order to its first line, and its end."""

    def __init__(self, standard_path):
        """Read the order. `standard_path`: the value of `sys.path` when the interpreter started."""
        self.standard_path = standard_path
        self.checked = None  # code and source, if a check has compiled the script
        try:
            self.mode, self.script, self.cgroup, self.limits, *lists = fields_of(read_order())
            self.args, self.search_path, self.preload, self.path_map = lists
        except ValueError as error:
            tell("the IOC's order is incomplete: a wrapper of the interpreter has read its stdin")
            raise SystemExit(CANNOT_RUN) from error

    def begin(self):
        """Set the process up, wait if the order says so, and return the script's code."""
        die_with_the_ioc()
        standby, name = None, os.environ.get("BGRSCRPT_NAME", "bgrscrpt")
        call_process("~" + name if self.mode == "standby" else name)
        channel, commands = take_pipes()  # the channel tells the IOC that this process waits
        if self.mode == "standby":
            standby = bgrscrpt._ours("_bgrscrpt_standby").Standby(commands, self.preload)
        bgrscrpt._open(channel, os.getpid(), for_children(channel), self.script)
        bgrscrpt._standard_path = self.standard_path
        _bgrscrpt_hook.install()
        if self.path_map:
            paths = bgrscrpt._ours("_bgrscrpt_paths")
            paths.install(paths.pairs_of(self.path_map))
        __import__("faulthandler").enable()
        sys.argv = [self.script, *self.args]
        # A script that starts itself again by these arguments starts the script, not the bootstrap.
        if hasattr(sys, "orig_argv"):
            sys.orig_argv = [sys.orig_argv[0], "-u", *sys.argv]
        sys.path[:0] = [os.path.dirname(os.path.realpath(self.script)), *self.search_path]
        make_main(self.script)
        if standby is not None:
            standby.wait(self.check, reset_signals)
            call_process(name)
            if standby.has_imported:
                # A new `__main__`: at the end, Python collects the script's own objects.
                make_main(self.script)
        bgrscrpt._commands_fd = commands  # not earlier, because the standby uses the same pipe
        if bgrscrpt._pvs is not None:  # a module of `preload` has made PVs
            bgrscrpt._pvs.go()
        obey()
        confine(self.cgroup, self.limits)
        code, source = self.open_script()
        _bgrscrpt_stack.listen()
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
        # Otherwise a module of `preload` may have set handlers.
        if standby is None or not standby.has_imported:
            reset_signals()
        return code

    def check(self):
        """Return why the script on disk cannot run, or "" if it can."""
        try:
            self.checked = compiled(self.script)
        except OSError as error:
            return cannot_open(self.script, error)
        except Exception as error:  # noqa: BLE001 - compile raises more than SyntaxError
            return summary(error, self.script)
        return ""

    def open_script(self):
        """Read and compile the script.

        If the file cannot be read, the process ends as `python script.py` does.
        """
        try:
            source = read_script(self.script)
        except OSError as error:
            text = cannot_open(self.script, error)
            bgrscrpt._send(bgrscrpt._json(kind="failed", error=text, traceback=""), patience=1.0)
            os.write(2, ("%s: %s\n" % (sys.executable, text)).encode("utf-8", "backslashreplace"))
            raise SystemExit(CANNOT_RUN) from error
        if self.checked is not None and self.checked[1] == source:
            return self.checked  # compiled only once, so that warnings are printed only once
        return compiled(self.script, source)

    def report(self, error):
        """Tell the IOC of the exception that has ended the script, unless it is a plain exit."""
        error.__traceback__ = without_ours(error.__traceback__)
        if not isinstance(error, SystemExit):
            sys.excepthook = leave_no_frame(getattr(sys, "excepthook", sys.__excepthook__))
        elif error.code is None or isinstance(error.code, int):
            return
        if bgrscrpt._channel is None or os.getpid() != bgrscrpt._channel.script_pid:
            return  # this is a forked child: the script itself still runs
        bgrscrpt._send(
            bgrscrpt._json(
                kind="failed",
                error=summary(error, self.script),
                traceback=whole_traceback(error, self.standard_path),
            ),
            patience=1.0,
        )
