"""Checks the options of a PV that a script makes, and writes them as a message to the IOC."""

import os

from _bgrscrpt_values import MAX_TEXT, WrongValueError, size_of, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments

MAX_PVS = 1000  # of one script
LONGEST_NAME = 60  # characters of a PV's name, its prefix included
ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:")


def declared(name, kind, options, others):
    # type: (str, Any, dict, int) -> dict
    """Return the message to the IOC about a PV of a script that has `others` other PVs.

    Raises:
        WrongValueError: the script cannot have such a PV; the text says why.
    """
    base = os.environ.get("MYPVPREFIX", "") + os.environ.get("BGRSCRPT_NAME", "") + ":"
    room = LONGEST_NAME - len(base)
    if not is_name(name):
        raise WrongValueError("a name of A-Z, 0-9, _ and : expected")
    if len(name) > room:
        raise WrongValueError("a name of at most %d characters expected after %s" % (room, base))
    if others >= MAX_PVS:
        raise WrongValueError("a script has at most %d PVs" % MAX_PVS)
    limits = {
        key: limit(key, options[key], kind) for key in ("low", "high", "alarm_low", "alarm_high")
    }
    if options["on_put"] is not None:
        if not callable(options["on_put"]):
            raise WrongValueError("on_put: a function expected")
        if not options["writable"]:
            raise WrongValueError("on_put is of a writable PV: give writable=True")
    size = getattr(kind, "size", 1)
    if kind.name == "text":
        size = size_of(options["size"], MAX_TEXT)
    choices = options["choices"]
    if choices is None:
        choices = ("False", "True") if kind.name == "bool" else ()
    return dict(
        kind="pv",
        name=name,
        type=kind.name,
        description=str(options["description"]),
        unit=str(options["unit"]),
        precision=max(0, min(15, whole("precision", options["precision"]))),
        choices=[str(each) for each in choices],
        writable=bool(options["writable"]),
        keep=bool(options["keep"]),
        archive=bool(options["archive"]),
        size=size,
        **limits,
    )


def limit(key, value, kind):
    # type: (str, Any, Any) -> Any
    """Return a limit as the IOC takes it; None: the PV has no such limit.

    Raises:
        WrongValueError: the value is not a finite number, or the PV is not a number.
    """
    if value is None:
        return None
    if not kind.limited or (key.startswith("alarm") and kind.name in ("floats", "ints")):
        raise WrongValueError("%s is for numbers" % key)
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        raise WrongValueError("%s: a number expected" % key)
    number = float(value)
    if number - number != 0:
        raise WrongValueError("%s: a finite number expected" % key)
    return int(number) if kind.name == "int" else number


def is_name(name):
    # type: (Any) -> bool
    """Return whether a name has only the letters that a PV's name may have."""
    return type(name) is str and bool(name) and ALLOWED.issuperset(name)
