"""What settings mean on POSIX: all of them work, and a tree alone enforces no limit."""

from __future__ import annotations

from collections.abc import Mapping

HELD: Mapping[str, str] = {}
REFUSED: Mapping[str, str] = {}
