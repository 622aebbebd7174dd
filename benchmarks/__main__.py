"""All figures that have peers, in one table: `python -m benchmarks`."""

from __future__ import annotations

import os
import platform
import sys

from benchmarks import hosts, logs, rates, serving, starts
from benchmarks.kit import table


def main() -> None:
    """Measure, and say on what."""
    parts = (
        [starts, logs, serving, rates, hosts]
        if os.geteuid() == 0
        else [starts, logs, serving, rates]
    )
    print(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores\n")
    rows = []
    for part in parts:
        print(f"{part.__name__} ...", file=sys.stderr)
        rows += part.rows()
    print(table(rows))


if __name__ == "__main__":
    main()
