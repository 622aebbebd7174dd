"""The kinds of channels (numbers, choices, texts) and how each reads as DBR types."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.ca.channels import NEVER, OF_VAL, Channel, Events, Reading
from bgrscrpt_ioc.records.live import LiveRecord

MOST_TEXTS = 1_000  # that a put of an array may have: they are read in 1 ms
PIECE = 400  # numbers that are converted at once, to texts in 0.5 ms
COST = 90  # bytes of answers, of each number that is converted: a piece is a turn


class NumberChannel(Channel):
    """ai, ao, longin, longout, int64in, and fields with numbers."""

    __slots__ = ()

    def _data(self, native: int) -> tuple[bytes, int]:
        value, record = self.value, self.live.record
        if native != wire.STRING:
            return wire.pack(native, [value]), 1
        whole = isinstance(value, int) or record.kind == "int64in"
        return wire.pack_strings([f"{value:.0f}" if whole else f"{value:.{record.prec}f}"]), 1


class ChoiceChannel(Channel):
    """bi, bo, mbbi and menus: the number of one of several texts."""

    __slots__ = ("choices",)

    def __init__(
        self,
        name: str,
        live: LiveRecord,
        choices: tuple[str, ...],
        value: Callable[[], Any],
        events: Events = NEVER,
    ) -> None:
        super().__init__(name, live, wire.ENUM, value, events)
        self.choices = choices

    def _data(self, native: int) -> tuple[bytes, int]:
        value = self.value
        if native != wire.STRING:
            return wire.pack(native, [value]), 1
        known = value < len(self.choices)
        return wire.pack_strings([self.choices[value] if known else "Illegal_Value"]), 1

    def _meta(self) -> wire.Meta:
        live = self.live
        return wire.Meta(live.status, live.severity, live.stamp, choices=self.choices)


class Written(ChoiceChannel):
    """bi, bo, mbbi, mbbo."""

    __slots__ = ()

    def _meta(self) -> wire.Meta:
        if self.live.record.kind != "bo":
            return super()._meta()
        # As base's bo does, and its bi does not.
        return replace(super()._meta(), control=(0, 0xFFFF))


class String(Channel):
    """stringin, and fields with text: UTF-8, cut between two characters at 39 bytes."""

    __slots__ = ()

    def _data(self, native: int) -> tuple[bytes, int]:
        if native == wire.STRING:
            return wire.pack_strings([self.value]), 1
        if native == wire.ENUM:
            return wire.pack(native, [_choice(self.value, self.live.choices)]), 1
        return wire.pack(native, [wire.number(self.value)]), 1


def _choice(text: str, choices: tuple[str, ...]) -> int:
    """Return the number of a choice, as base converts a text to a DBR_ENUM.

    Raises:
        wire.ConversionError: the text is no choice of the record, and no number of one.
    """
    if text in choices:
        return choices.index(text)
    if text.strip().isdecimal() and int(text) < len(choices):
        return int(text)
    raise wire.ConversionError(f"{text!r} is no choice")


class TextChannel(Channel):
    """waveform of CHAR, and texts that are asked for with `$`: UTF-8, with a NUL at the end."""

    __slots__ = ("_size",)

    def __init__(
        self,
        name: str,
        live: LiveRecord,
        value: Callable[[], Any],
        size: int,
        events: Events = NEVER,
    ) -> None:
        super().__init__(name, live, wire.CHAR, value, events)
        self._size = size

    @property
    def size(self) -> int:
        """Return how many bytes the text may have, including its NUL."""
        return self._size

    def understood(self, kind: int, count: int, payload: bytes) -> Any:
        """Return the text that a client puts, as characters or as a string."""
        values = wire.unpack(kind, count, payload)
        if kind != wire.CHAR:
            return wire.first(kind, count, payload)
        return bytes(values).partition(b"\0")[0].decode("utf-8", "replace")

    def _data(self, native: int) -> tuple[bytes, int]:
        data = encoded(self.value)
        return wire.pack_bytes(native, data), len(data)  # an array with one number in each element


class ArrayChannel(Channel):
    """waveform of numbers."""

    __slots__ = ("_packed",)

    def __init__(
        self, name: str, live: LiveRecord, value: Callable[[], Any], events: Events = NEVER
    ) -> None:
        kind = wire.DOUBLE if live.record.elements == "DOUBLE" else wire.LONG
        super().__init__(name, live, kind, value, events)
        # A value, and its bytes as the record's own type.
        self._packed: tuple[Any, bytes] = (None, b"")

    @property
    def size(self) -> int:
        """Return how many numbers the value may have."""
        return self.live.record.size

    @property
    def length(self) -> int:
        """Return how many numbers the value has."""
        return len(self.value)

    def understood(self, kind: int, count: int, payload: bytes) -> Any:
        """Return the numbers that a client puts, or texts that are to be some."""
        if kind != wire.STRING:
            return wire.unpack_numbers(kind, count, payload)
        return [each.decode("utf-8", "replace") for each in wire.unpack(kind, count, payload)]

    def longest_put(self, kind: int) -> int:
        """Return how many bytes all numbers have; texts take long to read, and are less."""
        if kind not in wire.SIZES:
            return 0
        most = self.size if kind != wire.STRING else min(self.size, MOST_TEXTS)
        return most * wire.SIZES[kind]

    def _data(self, native: int) -> tuple[bytes, int]:
        value = self.value
        if native == self.kind:
            if self._packed[0] is not value:
                self._packed = value, _big_endian(value)
            return self._packed[1], len(value)
        return self._converted(native, value), len(value)

    def _converted(self, native: int, numbers: array[Any]) -> bytes:
        if native != wire.STRING:
            return wire.pack(native, numbers)
        precision = self.live.record.prec if self.kind == wire.DOUBLE else 0
        return wire.pack_ascii([f"{each:.{precision}f}" for each in numbers])

    def _first_text(self) -> bytes:
        return wire.padded(self._converted(wire.STRING, self.value[:1]), wire.STRING, 1)

    def reading_in_pieces(self, kind: int, count: int) -> Generator[int, None, Reading] | None:
        """Return what converts a long array."""
        value = self.value
        if len(value) <= PIECE or wire.native(kind) == self.kind or kind > wire.LAST_OF_VALUES:
            return None
        return self._pieces(kind, count or len(value), value, self._before(kind))

    def _pieces(
        self, kind: int, count: int, value: array[Any], before: bytes
    ) -> Generator[int, None, Reading]:
        data, native = bytearray(), wire.native(kind)
        for at in range(0, min(count, len(value)), PIECE):
            data += self._converted(native, value[at : at + PIECE])
            yield PIECE * COST
        return Reading(before, wire.padded(bytes(data), kind, count), count)


def _big_endian(numbers: array[Any]) -> bytes:
    if sys.byteorder == "big":
        return numbers.tobytes()
    swapped = array(numbers.typecode, numbers)
    swapped.byteswap()
    return swapped.tobytes()


def encoded(text: str) -> bytes:
    """Return the bytes of a text as clients get it in an array of characters."""
    return text.encode() + b"\0"


def channel_of(name: str, live: LiveRecord) -> Channel:
    """Return the channel of a record's value."""
    made = _channel_of(name, live)
    made.is_value = True
    return made


def _channel_of(name: str, live: LiveRecord) -> Channel:
    def value() -> Any:
        return live.value

    match live.record.kind:
        # Channel Access has no 64-bit integers, so base serves them like this.
        case "ai" | "ao" | "int64in":
            return NumberChannel(name, live, wire.DOUBLE, value, OF_VAL)
        case "longin" | "longout":
            return NumberChannel(name, live, wire.LONG, value, OF_VAL)
        case "stringin":
            return String(name, live, wire.STRING, value, OF_VAL)
        case "waveform" if not live.record.is_text:
            return ArrayChannel(name, live, value, OF_VAL)
        case "waveform":
            return TextChannel(name, live, value, live.record.size, OF_VAL)
        case _:
            return Written(name, live, live.choices, value, OF_VAL)
