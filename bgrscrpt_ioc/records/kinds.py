"""The kinds of live records: the values that each takes from the IOC and from clients."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from bgrscrpt_ioc.output.loglines import cut
from bgrscrpt_ioc.records import texts
from bgrscrpt_ioc.records.alarm import AlarmStatus
from bgrscrpt_ioc.records.live import LiveRecord, WrongValueError
from bgrscrpt_ioc.records.puts import Action, BusyPuts, Puts
from bgrscrpt_ioc.records.table import STRING_SIZE, Record

PIECE = 1 << 16  # bytes of two arrays that are compared at once


class Number(LiveRecord):
    """ai, ao, longin, longout, int64in: an int or a float."""

    __slots__ = ()

    def taken(self, value: Any) -> int | float:
        """Return the number."""
        if not isinstance(value, (int, float)):
            raise WrongValueError(f"{self.name}: {value!r} is no number")
        return value

    def understood(self, value: object) -> int | float:
        """Return the whole number that a client puts. As in base, a fraction is cut off."""
        try:
            number = _in_32_bits(self._number(value, texts.whole))
            return int(self._limited(number))
        except ValueError as error:  # NaN
            raise WrongValueError(f"{self.name}: {value!r} is no whole number") from error

    def _number(self, value: object, read: Callable[[str], float]) -> float:
        """Return a number, or what `read` reads in a text; an empty text is 0, as in base."""
        if not isinstance(value, str):
            return self.taken(value)
        try:
            return read(value) if value else 0
        except ValueError as error:
            raise WrongValueError(f"{self.name}: {error}") from error

    def _limited(self, number: float) -> float:
        """Return the number, or the nearest that an output may have: DRVL and DRVH of base.

        As in base, NaN is neither too low nor too high: it must not become the highest value.
        """
        low, high = self.record.limits
        return max(low, min(high, number)) if low < high and number == number else number

    def _differs(self, value: Any) -> bool:
        now = self.value
        return value != now and not (value != value and now != now)  # NaN is equal to NaN here


def _in_32_bits(number: float) -> float:
    """Return the number, or the nearest of 32 bits; NaN is near to none."""
    return max(texts.LOWEST, min(texts.HIGHEST, number)) if number == number else number


class Real(Number):
    """ai, ao."""

    __slots__ = ()
    initial: ClassVar[Any] = 0.0

    def understood(self, value: object) -> float:
        """Return the number that a client means, within the limits."""
        return float(self._limited(self._number(value, texts.real)))


class Numbers(LiveRecord):
    """waveform of DOUBLE or LONG: an array of floats or ints that nobody may change."""

    __slots__ = ()

    def __init__(self, name: str, record: Record) -> None:
        super().__init__(name, record)
        self.value = array(self.typecode)

    @property
    def typecode(self) -> str:
        """Return the type of the elements, as `array` names it."""
        return "d" if self.record.elements == "DOUBLE" else "i"

    def taken(self, value: Any) -> array[Any]:
        """Return as many of the numbers as there is room for."""
        if not isinstance(value, array) or value.typecode != self.typecode:
            raise WrongValueError(f"{self.name}: an array of {self.typecode!r} expected")
        return value if len(value) <= self.record.size else value[: self.record.size]

    def understood(self, value: object) -> array[Any]:
        """Return the numbers that a client means: an array, a list with texts, or one alone."""
        given = value if isinstance(value, (list, array)) else [value]
        if isinstance(given, array) and given.typecode == self.typecode:
            return self.taken(given)
        try:
            if self.typecode == "d":
                whole = isinstance(given, array)  # 100,000 numbers in 3 ms
                return self.taken(array("d", given if whole else map(_real, given)))
            return self.taken(_whole(given))
        except (TypeError, ValueError) as error:
            raise WrongValueError(f"{self.name}: numbers expected") from error

    def _differs(self, value: Any) -> bool:
        # By bytes, so that NaN is equal to NaN. Piece by piece, equal arrays of 800 kB take 0.1 ms;
        # as a whole they take 0.8 ms, for the memory, and as memoryviews 2 ms.
        new, old = memoryview(value).cast("B"), memoryview(self.value).cast("B")
        return len(new) != len(old) or any(
            new[at : at + PIECE].tobytes() != old[at : at + PIECE].tobytes()
            for at in range(0, len(new), PIECE)
        )


def _real(value: Any) -> float:
    return texts.real(value) if isinstance(value, str) else float(value)


def _whole(given: Iterable[Any]) -> array[int]:
    """Return numbers or texts as whole numbers of 32 bits; the nearest to a number of more."""
    if isinstance(given, array):
        try:
            return array("i", map(int, given))  # 100,000 numbers in 8 ms
        except (ValueError, OverflowError):
            pass
    return array("i", map(_whole_one, given))


def _whole_one(value: Any) -> int:
    return texts.whole(value) if isinstance(value, str) else int(_in_32_bits(float(value)))


class Choice(LiveRecord):
    """bi, bo, mbbi, mbbo: the number of one of several texts. A state decides its alarm."""

    __slots__ = ()
    alarm: ClassVar[AlarmStatus] = AlarmStatus.STATE

    def taken(self, value: Any) -> int:
        """Return the number of the choice."""
        if isinstance(value, str) or value not in range(len(self.choices)):
            raise WrongValueError(f"{self.name}: {value!r} is the number of none of its choices")
        return int(value)

    def understood(self, value: object) -> int:
        """Return the choice that a client puts: by its text or its number, also as a text."""
        number = value
        if isinstance(value, str):
            if value in self.choices:
                return self.choices.index(value)
            try:
                number = texts.whole(value, strict=self.record.kind.startswith("b"))
            except ValueError:
                number = None
        if not isinstance(number, (int, float)) or number not in range(len(self.choices)):
            raise WrongValueError(f"{self.name}: {value!r} is none of {', '.join(self.choices)}")
        return int(number)


class Text(LiveRecord):
    """stringin, and waveform of CHAR: a text without NULs, cut between two characters.

    The NUL that ends the text for clients takes one byte of the record's size.
    """

    __slots__ = ()
    initial: ClassVar[Any] = ""

    @property
    def size(self) -> int:
        """Return the bytes of the text in UTF-8, including the NUL."""
        return self.record.size if self.record.kind == "waveform" else STRING_SIZE

    def taken(self, value: Any) -> str:
        """Return as much of the text as there is room for."""
        if not isinstance(value, str):
            raise WrongValueError(f"{self.name}: {value!r} is no text")
        return cut(value.replace("\0", ""), self.size - 1).decode()

    def understood(self, value: object) -> str:
        """Return the text that a client puts; a number becomes its text."""
        return self.taken(value if isinstance(value, str) else f"{value:g}")


def live(name: str, record: Record) -> LiveRecord:
    """Make the live record that the table describes; clients cannot write it."""
    match record.kind:
        case "ai" | "ao":
            return Real(name, record)
        case "int64in" | "longin" | "longout":
            return Number(name, record)
        case "waveform" if not record.is_text:
            return Numbers(name, record)
        case "stringin" | "waveform":
            return Text(name, record)
        case _:
            return Choice(name, record)


def command(name: str, record: Record, action: Action) -> LiveRecord:
    """Make a record that is Busy from a put of 1 until `action` has returned."""
    made = Choice(name, record)
    made.puts = BusyPuts(made, action)
    return made


def switch(name: str, record: Record, action: Action) -> LiveRecord:
    """Make a record that clients put; `action` posts its value."""
    made = Choice(name, record)
    made.puts = Puts(made, action)
    return made
