"""The PVs that a script makes by `bgrscrpt.pv`, as its own process has them.

Imported at the first call of `pv`. The IOC serves the PVs; here is what the script's side of them
needs; _bgrscrpt_outbox.py sends the values.
"""

from _thread import RLock

from _bgrscrpt_declared import LONGEST_NAME, declared, is_name
from _bgrscrpt_outbox import Outbox
from _bgrscrpt_values import WrongValueError, type_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments

SEVERITIES = ("NO_ALARM", "MINOR", "MAJOR", "INVALID")


class Pv:
    """The handle of one PV."""

    def __init__(self, pvs, name, kind, value):
        # type: (Pvs, str, Any, Any) -> None
        self._pvs, self._name, self._type, self._value = pvs, name, kind, value

    @property
    def name(self):
        # type: () -> str
        """The name, as `pv` was given it."""
        return self._name

    @property
    def value(self):
        # type: () -> Any
        """The value: the last one that was set or, of a writable PV, put by a client."""
        return self._value

    def set(self, value, severity=None):
        # type: (Any, Any) -> None
        """Give the PV a value; clients see it at once.

        Args:
            value: of the type of the first one.
            severity: of its alarm: 0 to 3, or "NO_ALARM", "MINOR", "MAJOR", "INVALID". None: as
                `alarm_low` and `alarm_high` say.
        """
        self._pvs.set(self, value, severity)

    def __repr__(self):
        # type: () -> str
        return "<PV %s: %r>" % (self._name, self._value)


class Anything:
    """The type of a PV that works in the script alone, for its first value fits no PV."""

    name = ""

    def take(self, value):
        # type: (Any) -> tuple[Any, bytes]
        """Return the value."""
        return value, b""


class Pvs:
    """All of one process. `home` is the module `bgrscrpt`, which has the channel."""

    def __init__(self, home):
        # type: (Any) -> None
        self.home = home
        self.by_name = {}  # type: dict[str, Pv]
        self.options = {}  # type: dict[str, dict]  # of each, without its first value
        self.first = {}  # type: dict[str, Any]  # the value that each was made with
        self.puts = None  # type: Any  # what IOC and clients say; see _bgrscrpt_puts.py
        self.forked()

    def forked(self):
        # type: () -> None
        """In a forked child: the threads and what waits are the parent's."""
        self.making = RLock()  # a signal handler may make a PV while its thread makes another
        self.outbox = Outbox(self.home)

    def go(self):
        # type: () -> None
        """The script begins: take kept values and puts for PVs that were made ahead of it."""
        self.puts = None
        for name, options in self.options.items():
            pv = self.by_name[name]
            if options["keep"] and pv._value is self.first[name]:  # else it was set since
                value, data = self.listener().kept(name, pv._type, (pv._value, b""))
                if data:
                    pv._value = value
                    self.outbox.post_value(name, name.encode() + b"=" + data)
        if any(options["writable"] for options in self.options.values()):
            self.listener().start()

    # --- making ----------------------------------------------------------------------------------

    def make(self, options):
        # type: (dict) -> Pv
        """Return the PV of that name, which is made if there is none."""
        with self.making:
            return self._make(options)

    def _make(self, options):
        # type: (dict) -> Pv
        name, initial = options.pop("name"), options.pop("initial")
        known = self.by_name.get(name) if type(name) is str else None
        if known is not None:
            if not is_like(self.options[name], options):
                self.complain("the PV %s is made a second time, in another way: ignored" % name)
            return known
        kind = Anything()  # type: Any
        value = initial
        try:
            kind = type_of(initial, options["choices"], options["size"])
            value, data = kind.take(initial)
            declaration = declared(name, kind, options, len(self.by_name))
        except Exception as error:  # noqa: BLE001 - an odd object may raise anything
            self.complain("the PV %s is not served: %s" % (shown(name), reason(error)))
            return self.handle(name, kind, value, options)
        if options["keep"] and self.outbox.is_served:
            value, data = self.listener().kept(name, kind, (value, data))
        made = self.by_name[name] = self.handle(name, kind, value, options)
        self.options[name], self.first[name] = options, value
        if self.outbox.is_served:
            if kind.name in ("floats", "ints"):
                self.outbox.widen()
            if options["writable"]:
                self.listener().start()
            self.outbox.post(("pv", name), self.home._json(**declaration))
            self.outbox.post_value(name, name.encode() + b"=" + data)
        return made

    def handle(self, name, kind, value, options):
        # type: (str, Any, Any, dict) -> Pv
        """Return the handle."""
        if not options["writable"]:
            return Pv(self, name, kind, value)
        puts = self.home._ours("_bgrscrpt_puts")
        return puts.WritablePv(self, name, kind, value, options["on_put"])

    def listener(self):
        # type: () -> Any
        """Return who hears what the IOC says."""
        if self.puts is None:
            self.puts = self.home._ours("_bgrscrpt_puts").Puts(self)
        return self.puts

    # --- values ----------------------------------------------------------------------------------

    def set(self, pv, value, severity):
        # type: (Pv, Any, Any) -> None
        """Take a value, and send it if the PV is served."""
        try:
            pv._value, data = pv._type.take(value)
            mark = b"" if severity is None else b"/%d" % severity_of(severity)
        except WrongValueError as error:
            self.refuse(pv, value, str(error))
            return
        except Exception as error:  # noqa: BLE001 - an odd object may raise anything
            self.refuse(pv, value, type(error).__name__)
            return
        name = pv._name
        if type(name) is str and self.by_name.get(name) is pv:
            self.outbox.post_value(name, name.encode() + mark + b"=" + data)

    # --- what is wrong ---------------------------------------------------------------------------

    def refuse(self, pv, value, why):
        # type: (Pv, Any, str) -> None
        """Say, once for each PV and type of value, that the PV keeps its value."""
        refused = self.home._refused
        name = shown(pv._name)
        key = name, type(value).__name__
        if key not in refused and len(refused) < 100:
            refused.add(key)
            self.complain("the PV %s keeps its value: %s, not %s" % (name, why, brief(value)))

    def complain(self, text):
        # type: (str) -> None
        """Tell the script's user: in LOG and ERROR or, without an IOC, on stderr."""
        if self.outbox.is_served:
            self.outbox.post(("told", text), self.outbox.complaint(text))
        else:
            self.home._complain("bgrscrpt: %s\n" % text)


def severity_of(severity):
    # type: (Any) -> int
    """Return the number of a severity.

    Raises:
        WrongValueError: there is no such.
    """
    if isinstance(severity, str):
        if severity.upper() in SEVERITIES:
            return SEVERITIES.index(severity.upper())
    elif 0 <= int(severity) < len(SEVERITIES):
        return int(severity)
    raise WrongValueError("severity: one of %s expected" % ", ".join(SEVERITIES))


def reason(error):
    # type: (Exception) -> str
    """Say what is wrong; of an odd object only what it raised."""
    return str(error) if isinstance(error, WrongValueError) else type(error).__name__


def brief(value):
    # type: (Any) -> str
    """Show a value in a message, however long it is."""
    if isinstance(value, (str, int, float)):
        text = repr(value)
        return text if len(text) <= 40 else text[:37] + "..."
    return "a value of type " + type(value).__name__


def shown(name):
    # type: (Any) -> str
    """Show a name in a message."""
    if type(name) is str:
        return name if is_name(name) and len(name) <= LONGEST_NAME else brief(name)
    return "whose name is " + brief(name)


def is_like(options, others):
    # type: (dict, dict) -> bool
    """Tell whether a PV is made in the same way."""
    try:
        return bool(options == others)
    except Exception:  # noqa: BLE001 - an odd object may raise anything
        return False
