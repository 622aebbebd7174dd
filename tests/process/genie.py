"""Where the real genie_python is: `make genie`, and for scripts on Windows `make windows-genie`."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.rig.where import WINDOWS, WINE, native

_HOME = Path(sys.prefix, "genie")
PYTHON = _HOME / "bin" / "python"  # of this host, for programs that the tests start
# For scripts of an IOC. On Windows it is a directory on the import path of the one Python there.
_THERE = WINE / "genie" if WINDOWS else _HOME
OPTIONS = ("--python-path", native(_THERE)) if WINDOWS else ("--python", str(PYTHON))
_MISSING = [str(each) for each in {_HOME, _THERE} if not (each / "ready").exists()]
IS_THERE = not _MISSING
MISSING = (
    f"no genie_python in {', '.join(_MISSING)}: run `make genie`, for Windows `make windows-genie`"
)
