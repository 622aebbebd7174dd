"""What the IOC and its scripts say as text, as people read it in a console. Pure."""

from __future__ import annotations

from bgrscrpt_ioc.output.loglines import prefixed


class TextLines:
    """Leaves lines as they are; with `names` each gets its instance's name in front."""

    def __init__(self, *, names: bool) -> None:
        self._names = names

    def show_names(self, names: bool) -> None:
        """Have each line get its instance's name in front from now on, or not."""
        self._names = names

    def output(self, name: str, raw: bytes, at: float) -> bytes:
        """Return whole lines of a script's output."""
        del at  # those who read a console have a clock
        return prefixed(raw, f"{name}: ".encode() if self._names else b"")

    def message(self, text: str, at: float) -> bytes:
        """Return a message of the IOC."""
        del at
        return f"bgrscrpt-ioc: {text}\n".encode("utf-8", "backslashreplace")

    def missed(self, lines: int, at: float) -> bytes:
        """Return a message that lines of scripts are not among these."""
        del at
        return f"... {lines} lines not echoed\n".encode()
