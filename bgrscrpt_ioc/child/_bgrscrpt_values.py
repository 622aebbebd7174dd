"""The types of PVs that a script may make: which values each takes, and how a value is encoded.

A value is sent as bytes. `escaped` removes newlines from them, because the channel's frames are
lines.
"""

import _struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable  # noqa: F401 - in type comments, as Any
    from typing import Any  # noqa: F401

MAX_ELEMENTS = 100000  # elements of an array
MAX_TEXT = 4096  # bytes of a text, NUL included
MAX_CHOICES, LONGEST_CHOICE = 16, 25  # choices of an mbbi; bytes of each
LOWEST, HIGHEST = -(2**31), 2**31 - 1  # values of a longin and of the elements of an array of LONG


class WrongValueError(ValueError):
    """The PV cannot have this value; the text tells the script's author why."""


class Float:
    """A float: ai, ao."""

    name = "float"
    limited = True

    def take(self, value):
        # type: (Any) -> tuple[Any, bytes]
        """Return a value in two forms: for the handle, and for the message to the IOC.

        Raises:
            WrongValueError: the PV cannot have this value. (An odd object may raise anything.)
        """
        if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
            raise WrongValueError("a number expected")
        number = float(value)
        return number, float.__repr__(number).encode()

    def put(self, value):
        # type: (Any) -> Any
        """Return a value that a client has put, in the form for the handle."""
        return float(value)


class Int(Float):
    """An int: longin, longout."""

    name = "int"

    def take(self, value):
        # type: (Any) -> tuple[Any, bytes]
        """Return a number in both forms; a float must be whole."""
        if isinstance(value, (str, bytes)) or not hasattr(value, "__int__"):
            raise WrongValueError("a whole number expected")
        number = int(value)
        if number != value:
            raise WrongValueError("a whole number expected: give pv() a float to have fractions")
        if not LOWEST <= number <= HIGHEST:
            raise WrongValueError("a number of 32 bits expected: give pv() a float for larger ones")
        return number, int.__repr__(number).encode()

    def put(self, value):
        # type: (Any) -> Any
        """Return the number."""
        return int(value)


class Bool:
    """A bool: bi, bo."""

    name = "bool"
    limited = False

    def take(self, value):
        # type: (Any) -> tuple[Any, bytes]
        """Return the truth."""
        if isinstance(value, (str, bytes)):
            raise WrongValueError("True or False expected")
        truth = bool(value)
        return truth, b"1" if truth else b"0"

    def put(self, value):
        # type: (Any) -> Any
        """Return the truth."""
        return bool(value)


class Choice:
    """One of several texts: mbbi, mbbo."""

    name = "choice"
    limited = False

    def __init__(self, choices):
        # type: (tuple[str, ...]) -> None
        self.choices = choices

    def take(self, value):
        # type: (Any) -> tuple[Any, bytes]
        """Return the text of a choice in both forms; it may be given by its number."""
        if isinstance(value, str):
            if value not in self.choices:
                raise WrongValueError("one of its choices expected")
            index = self.choices.index(value)
        else:
            index = int(value)
            if not 0 <= index < len(self.choices):
                raise WrongValueError("the number of one of its choices expected")
        return self.choices[index], b"%d" % index

    def put(self, value):
        # type: (Any) -> Any
        """Return the text."""
        return self.choices[int(value)]


class Text:
    """A long text: waveform of CHAR."""

    name = "text"
    limited = False

    def take(self, value):
        # type: (Any) -> tuple[Any, bytes]
        """Return the text."""
        if not isinstance(value, str):
            raise WrongValueError("a text expected")
        return value, escaped(value.encode("utf-8", "replace"))

    def put(self, value):
        # type: (Any) -> Any
        """Return the text."""
        return str(value)


class Numbers:
    """An array: waveform of DOUBLE or LONG."""

    limited = True

    def __init__(self, whole, size):
        # type: (bool, int) -> None
        self.name = "ints" if whole else "floats"
        self.format, self.dtype = ("i", "<i4") if whole else ("d", "<f8")
        self.width = 4 if whole else 8  # bytes of an element
        self.size = size

    def take(self, value):
        # type: (Any) -> tuple[Any, bytes]
        """Return a copy of the numbers in both forms; a numpy array stays a numpy array."""
        if hasattr(value, "astype"):
            kept = value.copy().ravel()
            if self.format == "i":
                self.check(kept)
            data = kept.astype(self.dtype).tobytes()
        else:
            kept = list(value)
            try:
                data = _struct.pack("<%d%s" % (len(kept), self.format), *kept)
            except _struct.error as error:  # pyright: ignore[reportAttributeAccessIssue]
                raise WrongValueError("numbers of the type of the first ones expected") from error
        if len(kept) > self.size:
            raise WrongValueError("%d numbers: it has room for %d" % (len(kept), self.size))
        return kept, escaped(data)

    def check(self, array):
        # type: (Any) -> None
        """Raise WrongValueError for numbers that the array cannot hold unchanged."""
        if array.dtype.kind not in "iub":
            raise WrongValueError("whole numbers expected: give pv() floats to have fractions")
        large = array.dtype.itemsize >= 4 and len(array)
        if large and not (array.min() >= LOWEST and array.max() <= HIGHEST):
            raise WrongValueError("numbers of 32 bits expected: give pv() floats for larger ones")

    def put(self, value):
        # type: (Any) -> Any
        """Return the numbers of a kept list, or of the bytes that a client has put."""
        if isinstance(value, list):
            return value
        from binascii import a2b_base64

        data = a2b_base64(value)
        return list(_struct.unpack("<%d%s" % (len(data) // self.width, self.format), data))


def type_of(initial, choices, size):
    # type: (Any, Any, int | None) -> Any
    """Return the type of a PV that has this initial value.

    Raises:
        WrongValueError: no type has this value; the text says why.
    """
    is_bool = isinstance(initial, bool) or type(initial).__name__ in ("bool_", "bool")
    if choices is not None:
        if isinstance(choices, (str, bytes)) or not hasattr(choices, "__iter__"):
            raise WrongValueError("choices: a list of texts expected")
        choices = tuple(str(each) for each in choices)
        if not 2 <= len(choices) <= MAX_CHOICES or len(set(choices)) < len(choices):
            raise WrongValueError("choices: 2 to %d different texts expected" % MAX_CHOICES)
        if any(len(each.encode("utf-8", "replace")) > LONGEST_CHOICE for each in choices):
            raise WrongValueError("choices: texts of at most %d bytes expected" % LONGEST_CHOICE)
        if is_bool and len(choices) > 2:
            raise WrongValueError("choices: 2 texts expected, for the PV is True or False")
        return Bool() if is_bool else Choice(choices)
    if is_bool:
        return Bool()
    if isinstance(initial, str):
        return Text()
    is_array = hasattr(initial, "__len__") and getattr(initial, "ndim", 1)
    if is_array and not isinstance(initial, (bytes, dict)):
        return Numbers(are_whole(initial), size_of(size, MAX_ELEMENTS))
    if hasattr(initial, "__index__"):
        return Int()
    if hasattr(initial, "__float__"):
        return Float()
    raise WrongValueError("a number, True or False, a text or a sequence of numbers expected")


def size_of(size, most):
    # type: (Any, int) -> int
    """Return how many elements or bytes a PV has room for; `most` if `size` is None or 0.

    Raises:
        WrongValueError: `size` is not a number.
    """
    return max(1, min(whole("size", size or most), most))


def whole(key, value):
    # type: (str, Any) -> int
    """Return an option that must be a whole number.

    Raises:
        WrongValueError: the option is not a whole number.
    """
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise WrongValueError("%s: a whole number expected" % key) from error


def are_whole(values):
    # type: (Any) -> bool
    """Return whether an array has whole numbers; for an empty array, False."""
    if hasattr(values, "dtype"):
        return values.dtype.kind in "iub"
    return bool(values) and all(hasattr(each, "__index__") for each in values)


def escaped(data):
    # type: (bytes) -> bytes
    """Return bytes with each newline escaped."""
    return data.replace(b"\x1b", b"\x1b1").replace(b"\n", b"\x1b0")
