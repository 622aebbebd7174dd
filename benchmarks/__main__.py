"""All figures that have peers, beside their goals: `python -m benchmarks [PART ...]`.

Writes them into the page that shows them, `docs/reference/performance.md`, and says which goals
were missed.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from pathlib import Path

from benchmarks import hosts, logs, published, rates, serving, starts, web
from benchmarks.kit import Row, table

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "performance.md"
PARTS = {
    "starts": starts, "logs": logs, "serving": serving, "rates": rates, "hosts": hosts,
    "published": published, "web": web,
}  # fmt: skip


def main() -> None:
    """Measure, write the page, and print what was found."""
    names = sys.argv[1:] or list(PARTS)
    if os.geteuid() != 0 and "hosts" in names:
        print("hosts: left out, it needs root", file=sys.stderr)
        names.remove("hosts")
    host = f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}"
    host += f", {platform.system()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    page = filled(PAGE.read_text("utf-8"), "host", f"The figures below are of {host} at the begin.")
    every: list[Row] = []
    for name in names:
        began = time.monotonic()
        rows = list(PARTS[name].rows())
        print(f"{name}: {time.monotonic() - began:.0f} s\n{table(rows)}\n", flush=True)
        page = filled(page, name, table(rows))
        every += rows
    PAGE.write_text(page, "utf-8")
    missed = [row.figure for row in every if row.verdict == "MISSED"]
    met = sum(row.verdict == "met" for row in every)
    print(f"{met} goals met, {len(missed)} missed: {'; '.join(missed)}\n{PAGE} is written.")


def filled(page: str, part: str, text: str) -> str:
    """Return the page with `text` between the marks of this part."""
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
    whole, number = re.subn(
        f"(?<={re.escape(begin)}).*?(?={re.escape(end)})",
        lambda _: f"\n{text}\n\n",
        page,
        flags=re.DOTALL,
    )
    if number != 1:
        raise ValueError(f"{PAGE}: no place for {part}")
    return whole


if __name__ == "__main__":
    main()
