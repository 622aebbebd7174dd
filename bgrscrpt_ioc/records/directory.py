"""All records of one IOC by their full names: the instances' own, and those that scripts make.

Faces look records up here, and are told when records come and go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from bgrscrpt_ioc.records.live import LiveRecord


class Face(Protocol):
    """Shows the records to clients."""

    def added(self) -> None:
        """Note that there are new records: clients may wait for them."""
        ...

    def removed(self, records: Sequence[LiveRecord]) -> None:
        """Tell the clients of these records that the records are gone."""
        ...


class Directory:
    """The records of one IOC."""

    def __init__(self, records: Mapping[str, LiveRecord]) -> None:
        """Begin with these records."""
        self.by_full_name: dict[str, LiveRecord] = dict(records)
        self.faces: list[Face] = []

    def has(self, name: str) -> bool:
        """Return whether there is a record of this full name."""
        return name in self.by_full_name

    def add(self, record: LiveRecord) -> None:
        """Serve a record; its name must be new."""
        self.by_full_name[record.name] = record
        for face in self.faces:
            face.added()

    def extend(self, records: Iterable[LiveRecord]) -> None:
        """Serve records, whose names none has yet."""
        self.by_full_name.update((each.name, each) for each in records)
        for face in self.faces:
            face.added()

    def remove(self, records: Iterable[LiveRecord]) -> None:
        """Stop serving these records."""
        gone = [each for each in records if self.by_full_name.get(each.name) is each]
        for each in gone:
            del self.by_full_name[each.name]
        if gone:
            for face in self.faces:
                face.removed(gone)
