"""Describes the exception that has ended a script: in one line with its place, and as a traceback.

The texts are bounded, however long the exception's own text is. The middle of a long text is cut,
so that the place of the exception and both ends of the text always remain.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = frozenset(
    os.path.join(HERE, name)
    for name in ("bootstrap.py", "_bgrscrpt_start.py", "_bgrscrpt_error.py", "_bgrscrpt_standby.py")
)
PATHS = os.path.join(HERE, "_bgrscrpt_paths.py")
LINE = 600  # characters of the line without its place: the PV ERROR has 1024 bytes
PART = 5000  # characters of one exception's text in a traceback
WHOLE = 15000  # characters of a traceback: the PV TRACEBACK has 16000 bytes


def cannot_open(script, error):
    """Return what `python script.py` prints for a file that cannot be opened.

    For a package, the text also has the remedy.
    """
    text = "can't open file %r: [Errno %s] %s" % (script, error.errno, error.strerror)
    main = os.path.join(script, "__main__.py")
    return "%s: set `script` to %s" % (text, main) if os.path.isfile(main) else text


def cut(text, size):
    """Return a text of at most `size` characters; a longer text loses its middle."""
    if len(text) <= size:
        return text
    mark = " ... (%d characters) ... " % (len(text) - size)
    half = max(0, size - len(mark)) // 2
    return text[:half] + mark + text[len(text) - half :]


def without_ours(traceback):
    """Return a traceback without our frames: those at its outer end, and those of a `path_map`."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename in OURS:
        traceback = traceback.tb_next
    at = traceback
    while at is not None:
        while at.tb_next is not None and at.tb_next.tb_frame.f_code.co_filename == PATHS:
            at.tb_next = at.tb_next.tb_next
        at = at.tb_next
    return traceback


def summary(error, script):
    """Return an exception in one line, with the script's line: `ValueError: bad (script.py:17)`."""
    name = os.path.basename(script)
    if isinstance(error, SyntaxError) and error.filename:
        where = "%s:%s" % (os.path.basename(str(error.filename)), error.lineno)
        return "%s (%s)" % (cut("%s: %s" % (type(error).__name__, error.msg), LINE), where)
    where, traceback = "", error.__traceback__
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if filename == script or not where.startswith(name + ":"):
            where = "%s:%d" % (os.path.basename(filename), traceback.tb_lineno)
        traceback = traceback.tb_next
    text = cut(first_line(error), LINE)
    return "%s (%s)" % (text, where) if where else text


def first_line(error):
    """Return the first line about an exception, such as `ValueError: bad`."""
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
    """Return the traceback that Python prints, by the standard library's `traceback`."""
    if isinstance(error, KeyboardInterrupt):
        return frames_of(error)  # mostly a STOP: nobody reads the traceback, and a client waits
    path, sys.path = sys.path, standard_path
    try:
        return in_full(error)
    except Exception as trouble:  # noqa: BLE001 - it can be told in one line, all the same
        return cut("no traceback: %s\n" % first_line(trouble), LINE)
    finally:
        sys.path = path


def in_full(error):
    """Return the traceback that Python prints. May raise what a module of the script raises."""
    import traceback

    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return cut("".join(cut(line, PART) for line in lines), WHOLE)


def leave_no_frame(hook):
    """Wrap `sys.excepthook` once, so that the printed traceback begins in the script's file."""

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
    """Return the frames without source lines: `import traceback` takes longer than the rest."""
    lines, traceback = ["Traceback (most recent call last):\n"], error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        where = code.co_filename, traceback.tb_lineno, code.co_name
        lines.append('  File "%s", line %d, in %s\n' % where)
        traceback = traceback.tb_next
    return cut("".join(lines), WHOLE) + type(error).__name__ + "\n"
