"""A process with the real genie_python that is asked by JSON lines: what a user types, and sees.

Run by the interpreter of `make genie`; imports nothing of this project.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any


def main() -> None:
    """Answer `{"id": n, "do": "get_pv", "arguments": [...], "options": {...}}` until EOF."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what genie_python and libca print shall not stand between the answers
    from genie_python import genie as g  # pyright: ignore[reportMissingImports]

    g.set_instrument(None, import_instrument_init=False)
    answers.write(json.dumps({"ready": g.prefix_pv_name("")}) + "\n")
    for line in sys.stdin:
        asked = json.loads(line)
        answers.write(json.dumps({"id": asked["id"], **answer(g, asked)}) + "\n")


class Seen(io.StringIO):
    """What a user sees; our own stderr gets it at once, since a call may never return."""

    def write(self, text: str) -> int:
        """Take it."""
        os.write(2, text.encode())
        return super().write(text)


def answer(g: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Do it; what it returned, and what a user has seen of it."""
    seen = Seen()
    try:
        with redirect_stdout(seen), redirect_stderr(seen):
            value = getattr(g, asked["do"])(*asked["arguments"], **asked["options"])
    except Exception as error:  # noqa: BLE001 - told to the test
        return {"error": f"{type(error).__name__}: {error}"}
    return {"result": {"value": value, "seen": seen.getvalue()}}


if __name__ == "__main__":
    main()
