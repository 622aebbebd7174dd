"""An instance, as a client finds it."""

from __future__ import annotations

from dataclasses import dataclass, field

HERE = "this host"  # as the source of an instance


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """An instance, as a client finds it; the names of its PVs begin with `pv`.

    `hosts` are where to search for its IOC; if there are none, where every client searches.
    `source` says from where the client knows it.
    """

    prefix: str
    name: str
    port: int
    hosts: tuple[str, ...] = ()
    source: str = field(default="", compare=False)

    @property
    def is_here(self) -> bool:
        """Return whether its IOC is on this host, where clients then search too."""
        return self.source == HERE

    @property
    def full_name(self) -> str:
        """Return prefix and name."""
        return f"{self.prefix}{self.name}"

    @property
    def pv(self) -> str:
        """Return the beginning of the names of its PVs."""
        return f"{self.full_name}:"
