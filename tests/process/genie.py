"""The path of the interpreter that has the real genie_python."""

from __future__ import annotations

import sys
from pathlib import Path

PYTHON = Path(sys.prefix, "genie", "bin", "python")  # `make genie` sets it up
